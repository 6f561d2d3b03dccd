// The same client with a memory: last values and a queue of writes in IndexedDB, of one gateway and one identity.

import { Gateway } from "./freshet.js";
import { Outbox } from "./writes.js";

export { WriteError } from "./writes.js";

/** As `connect` of freshet.js. A page without network opens with what it knew, and its writes wait. */
export const connect = (url, options) => new OfflineGateway(url, options, Queue);

// What each version of the storage adds to the one before.
const versions = [
  (database) => ["values", "writes", "identities"].forEach((store) => database.createObjectStore(store)),
];
// How often a value that keeps changing is saved.
const pace = 3000;
// How often the page that drains the queue looks whether there is more in it than it was told.
const patience = 30_000;
// Of how many numberings of the gateway it is remembered how far the forgotten writes reached.
const maxEpochs = 8;

const done = (request) => new Promise((resolve, reject) => {
  request.onsuccess = request.oncomplete = () => resolve(request.result);
  request.onerror = request.onabort = () => reject(request.error ?? new Error("the storage gave up"));
});

class Storage {
  constructor(name) {
    const request = indexedDB.open(name, versions.length);
    request.onupgradeneeded = ({ oldVersion }) => versions.slice(oldVersion).forEach((add) => add(request.result));
    this.database = done(request);
    // A page of a later version waits until this one lets go.
    this.database.then((database) => { database.onversionchange = () => database.close(); }, () => {});
  }

  async read(store, action) {
    return done(action((await this.database).transaction(store).objectStore(store)));
  }

  /** Resolves when it is on the disk, not before. */
  async change(store, action) {
    const transaction = (await this.database).transaction(store, "readwrite", { durability: "strict" });
    action(transaction.objectStore(store));
    return done(transaction);
  }
}

const everything = (prefix) => IDBKeyRange.bound(prefix, `${prefix}\uffff`);

/** What stands for a token, and does not give it away; undefined where nothing can. */
async function nameOf(token) {
  if (!token) return "nobody";
  const bytes = await crypto.subtle?.digest("SHA-256", new TextEncoder().encode(token));
  return bytes && String.fromCharCode(...new Uint8Array(bytes));
}

class Queue extends Outbox {
  isDurable = true;
  isDrainer = false;
  parked = [];
  #over = new Set();

  get drains() { return this.isDrainer; }
  get prefix() { return `${JSON.stringify(this.gateway.id)}\n`; }
  place(record) { return `${this.prefix}${record.made.toFixed(3).padStart(20, "0")}\n${record.id}`; }

  /** Reads what is left from before, and waits for its turn to send it: one page of all drains the queue. */
  async begin() {
    this.loaded = this.reread();
    await this.loaded;
    this.post({ look: true });
    const { locks } = globalThis.navigator ?? {};
    const drain = async () => {
      await this.reread();
      if (this.gateway.outbox !== this || this.gateway.isClosed) return undefined;
      this.isDrainer = true;
      this.pump();
      this.#watch();
      return new Promise((release) => { this.release = release; });
    };
    if (locks && this.gateway.options.tabs !== false) {
      this.turn = new AbortController();
      const name = `freshet drain ${this.gateway.url} ${this.gateway.id}`;
      locks.request(name, { signal: this.turn.signal }, drain).catch(() => {});
    } else drain();
  }

  /** Looks for what a page left behind that was killed before it could say so. */
  async #watch() {
    while (this.isDrainer) {
      await this.gateway.sleep(patience);
      if (this.isDrainer) await this.reread();
      this.pump();
    }
  }

  async reread() {
    const { storage } = this.gateway;
    const kept = await storage.read("writes", (store) => store.getAll(everything(this.prefix))).catch(() => undefined);
    if (!kept || this.gateway.outbox !== this) return;
    const ids = new Set(kept.map((record) => record.id));
    // What is not there any more another page has finished, which says so a moment later, unless it was killed meanwhile.
    const gone = this.records.filter((record) => !ids.has(record.id) && record.state !== "new" && !record.answer);
    if (gone.length) this.gateway.sleep(2000).then(() => gone.forEach((record) => this.#vanished(record)));
    kept.forEach((record) => this.take(record));
    this.gateway.want();
  }

  #vanished(record) {
    if (!this.records.includes(record) || record.answer) return;
    record.answer = { status: 200 };
    this.finish(record);
    this.show([record]);
  }

  /** Takes a write as the storage or another page has it. */
  take(record) {
    // What was kept before it ended may be heard of after that.
    if (this.#over.has(record.id) || this.parked.some((one) => one.id === record.id)) return;
    if (record.problem) return this.park([record]);
    const known = this.records.find((one) => one.id === record.id);
    // What was under way when its page ended may have had its effect.
    if (record.state !== "answered" && !(known && this.isDrainer)) {
      record = { ...record, state: "queued", isUnsure: Boolean(record.first), isOut: Boolean(record.first) };
    }
    const stood = known?.item ?? record.item;
    if (!known) this.records.push(record);
    else if (!this.isDrainer) Object.assign(known, record, { before: known.before ?? record.before });
    this.records.sort((a, b) => a.made - b.made);
    this.known(record);
    this.show([record], stood);
    if (record.state === "answered" && !this.gateway.sourcesOf(record.source).length) this.finish(known ?? record);
    this.gateway.want();
    return undefined;
  }

  post(message) { this.gateway.tabs?.post({ type: "note", ...message }); }

  hear({ record, gone, discarded, look }) {
    if (look && this.isDrainer) this.reread().then(() => this.pump());
    if (record) {
      this.take(record);
      this.pump();
    }
    if (gone) this.park(gone);
    if (discarded) this.unpark(discarded);
  }

  /** What is as large as the source is not kept with each write. */
  stored(record) { return { ...record, seen: undefined, before: record.item === undefined ? undefined : record.before }; }

  async keep(...records) {
    const kept = records.map((record) => this.stored(record));
    await this.gateway.storage.change("writes", (store) => kept.forEach((one) => store.put(one, this.place(one))));
    for (const one of kept) {
      if (one.state === "new") one.state = "queued";
      this.post({ record: one });
    }
  }

  /** A write that is settled is forgotten when a value is saved that has it: not before, or a reload would take it back. */
  forget(record) {
    this.#over.add(record.id);
    this.post({ record: this.stored(record) });
    this.gateway.forget(record, this.place(record));
  }

  /** Writes that were refused wait for somebody's decision, and hold up nothing but their item. */
  drop(gone, problem, status) {
    if (problem.code === "not_kept") return;
    const follower = { code: "not_sent", detail: "A write before it was refused." };
    const parked = gone.map((record, index) => ({ ...record, problem: index ? follower : { status, ...problem } }));
    this.park(parked);
    // A page that opens now reads it, or hears of it: what is said after it was kept cannot fall between the two.
    this.gateway.storage.change("writes", (store) => parked.forEach((one) => store.put(one, this.place(one)))).catch(() => {})
      .then(() => this.post({ gone: parked }));
  }

  park(gone) {
    const fresh = gone.filter((record) => !this.parked.some((one) => one.id === record.id));
    const ours = this.records.filter((record) => fresh.some((one) => one.id === record.id));
    this.parked = [...this.parked, ...fresh];
    // Those that this page made are told; it was another page that heard of it.
    if (ours.length) this.end(ours, fresh[0].problem, fresh[0].problem.status);
    if (fresh.length) this.changed();
  }

  unpark(id) {
    this.#over.add(id);
    this.parked = this.parked.filter((record) => record.id !== id);
    this.changed();
  }

  changed() {
    for (const listener of this.gateway.listeners) listener(this.parkedWrites);
  }

  get parkedWrites() {
    return this.parked.map((record) => ({
      id: record.id, source: record.source, key: record.item, method: record.method, made: new Date(record.made),
      value: record.body && JSON.parse(record.body), problem: record.problem,
      /** Gives it up. */
      discard: () => this.discard(record),
      /** Writes it again, on top of what is there now. */
      retry: () => {
        this.discard(record);
        const source = this.gateway.sourceOf(record.source);
        return this.write(source, record.item, record.method, record.body && JSON.parse(record.body));
      },
    }));
  }

  discard(record) {
    this.gateway.storage.change("writes", (store) => store.delete(this.place(record))).catch(() => {});
    this.unpark(record.id);
    this.post({ discarded: record.id });
  }

  abandon() {
    super.abandon();
    this.isDrainer = false;
    this.turn?.abort();
    this.release?.();
  }
}

class OfflineGateway extends Gateway {
  #timers = new Map();
  #settled = [];
  listeners = new Set();

  constructor(url, options, queue) {
    super(url, options, queue);
    this.storage = new Storage(`freshet ${this.url}`);
    this.save = () => { for (const source of [...this.#timers.keys()]) this.#save(source); };
    const { signal } = this.ended;
    globalThis.addEventListener?.("pagehide", this.save, { signal });
    globalThis.document?.addEventListener("visibilitychange", this.save, { signal });
  }

  /** Writes that were refused, each with `retry()` and `discard()`. */
  get parked() { return this.outbox.parkedWrites; }

  /** Calls the listener now and whenever a write is parked or is no longer. Returns what ends it. */
  onParked(listener) {
    this.listeners.add(listener);
    listener(this.parked);
    return () => this.listeners.delete(listener);
  }

  // Who we are

  /** Whose token this was when the gateway was last asked. */
  async recall() {
    const { token, user } = this.options;
    const name = user ?? await nameOf(typeof token === "function" ? await token() : token).catch(() => undefined);
    const id = name && await this.storage.read("identities", (store) => store.get(name)).catch(() => undefined);
    if (id !== undefined && this.id === undefined) this.become(id);
  }

  /** A cookie proves nothing to this page: who has one is remembered by the name that the page gives it. */
  async known(id, token, kind) {
    const name = this.options.user ?? (token || kind === "anonymous" ? await nameOf(token) : undefined);
    if (name) await this.storage.change("identities", (store) => store.put(id, name)).catch(() => {});
  }

  become(id) {
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
    super.become(id);
  }

  // Values

  #place(source) { return `${JSON.stringify(this.id)}\n${source.key}`; }

  restore(source) {
    if (this.id === undefined) return;
    const { id, outbox } = this;
    const read = (place) => this.storage.read("values", (store) => store.get(place));
    source.isRestoring = true;
    (async () => {
      // Not without the writes that are not in it yet.
      await outbox.loaded;
      const saved = await read(this.#place(source));
      const floor = new Map(await read(this.#floor(source.name)));
      if (!saved || id !== this.id || source.truth !== undefined) return;
      if (!(floor.get(saved.epoch) > saved.sequence)) source.restore(saved);
    })().catch(() => {}).finally(() => {
      source.isRestoring = false;
      this.want();
    });
  }

  /** Saves what changed, soon. */
  changed(source) {
    if (this.tabs.isLeader) this.#soon(source);
  }

  #soon(source) {
    if (!this.#timers.has(source)) this.#timers.set(source, setTimeout(() => this.#save(source), pace));
  }

  /** Has a write forgotten with the next value that is saved. */
  forget(record, place) {
    const source = this.sourcesOf(record.source).find((one) => !one.isPart);
    this.#settled.push({ source, place, record });
    if (source) this.#soon(source);
    else this.#forget(undefined);
  }

  #floor(name) { return `${JSON.stringify(this.id)}\nfloor ${name}`; }

  /** Values that were saved before what is forgotten, for another query of the source, count no more. */
  async #forget(source) {
    const over = this.#settled.filter((one) => one.source === source);
    this.#settled = this.#settled.filter((one) => one.source !== source);
    if (!over.length) return;
    const floor = this.#floor(over[0].record.source);
    await this.storage.change("values", (store) => {
      const request = store.get(floor);
      request.onsuccess = () => {
        const known = new Map(request.result);
        for (const { epoch, sequence } of over.map(({ record }) => record.answer)) {
          if (epoch) known.set(epoch, Math.max(known.get(epoch) ?? 0, sequence));
        }
        store.put(new Map([...known].slice(-maxEpochs)), floor);
      };
    }).catch(() => {});
    this.storage.change("writes", (store) => over.forEach(({ place }) => store.delete(place))).catch(() => {});
  }

  async #save(source) {
    clearTimeout(this.#timers.get(source));
    this.#timers.delete(source);
    const { truth, cursor, epoch, sequence, at, asOf, shape, held } = source;
    if (truth !== undefined && cursor) {
      const place = this.#place(source);
      const saved = { truth, cursor, epoch, sequence, at, seen: Number(asOf), shape, held };
      await this.storage.change("values", (store) => {
        const request = store.get(place);
        // Another page may be ahead.
        request.onsuccess = () => {
          const { epoch: other, sequence: reached } = request.result ?? {};
          if (other !== epoch || reached <= sequence) store.put(saved, place);
        };
      }).catch(() => {});
    }
    this.#forget(source);
  }

  close() {
    this.save();
    super.close();
  }
}
