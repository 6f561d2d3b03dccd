// Follows sources of a Freshet gateway, and writes to them. No dependencies, no build step.
//
//   import { connect } from "/client/freshet.js";
//   const rates = connect("/").source("rates");
//   rates.subscribe((value) => { … });

import { Feed } from "./feed.js";
import { refusal } from "./stream.js";
import { Source } from "./source.js";
import { Tabs } from "./tabs.js";
import { Outbox } from "./writes.js";

export { WriteError } from "./writes.js";

// How long a source is followed on when the last listener went: another often comes at once.
const linger = 5000;

/** Connects to a gateway. Nothing is sent before something is subscribed to. */
export function connect(url, options) {
  return new Gateway(url, options);
}

/** One item of a source. */
class Item {
  constructor(source, key) {
    Object.assign(this, { source, key: String(key) });
  }

  get value() { return this.source.item(this.key); }
  subscribe(listener) { return this.source.subscribeItem(this.source.gateway.outbox.keyOf(this.key), listener); }
  put(value) { return this.#write("PUT", value); }
  patch(patch) { return this.#write("PATCH", patch); }
  remove() { return this.#write("DELETE"); }
  #write(method, operand) { return this.source.gateway.outbox.write(this.source, this.key, method, operand); }
}

/** A source as the query of its stream shows it. */
class Store {
  #source;

  constructor(source) {
    this.#source = source;
  }

  get value() { return this.#source.value; }
  get state() { return this.#source.state; }
  get reason() { return this.#source.reason; }
  get at() { return this.#source.at && new Date(this.#source.at); }
  get asOf() { return this.#source.asOf; }
  subscribe(listener) { return this.#source.subscribe(listener); }
  onState(listener) { return this.#source.watch(listener); }
  item(key) { return new Item(this.#source, key); }
  put(value) { return this.#write("PUT", value); }
  patch(patch) { return this.#write("PATCH", patch); }
  remove() { return this.#write("DELETE"); }
  create(value) { return this.#source.gateway.outbox.write(this.#source, undefined, "POST", value); }

  #write(method, operand) {
    if (this.#source.isKeyed) throw new Error("A store of items is written item by item: use item(key) or create().");
    return this.#source.gateway.outbox.write(this.#source, undefined, method, operand);
  }
}

export class Gateway {
  #sources = new Map();
  #stores = new Map();
  #sleepers = new Set();
  // What other pages want, by page.
  #others = new Map();

  constructor(url, options = {}, Queue = Outbox) {
    this.url = new URL(url, globalThis.location?.href).href.replace(/\/$/, "");
    this.options = options;
    this.fetch = options.fetch ?? ((...request) => fetch(...request));
    this.makeOutbox = () => new Queue(this);
    this.outbox = this.makeOutbox();
    this.wake = () => this.retry();
    globalThis.addEventListener?.("online", this.wake);
    globalThis.document?.addEventListener("visibilitychange", this.wake);
    options.signal?.addEventListener("abort", () => this.close());
  }

  /** The store of a source, the same for the same query. */
  source(name, { mode = "patch", pointer, item, where, items, key } = {}) {
    const query = new URLSearchParams({ mode });
    for (const [field, text] of Object.entries({ pointer, item: item?.toString(), where })) if (text) query.set(field, text);
    const source = this.#source(name, query.toString());
    if (key !== undefined) source.shape ??= { items: items ?? "", key };
    if (!this.#stores.has(source)) this.#stores.set(source, new Store(source));
    return this.#stores.get(source);
  }

  #source(name, query) {
    const key = `${name}?${query}`;
    if (!this.#sources.has(key)) {
      const source = new Source(this, name, query);
      source.isPart = /&(pointer|where|item)=/.test(query);
      this.#sources.set(key, source);
      this.restore?.(source);
    }
    return this.#sources.get(key);
  }

  /** The source of this name, created on first use. */
  sourceOf(name) {
    return this.named(name).find((source) => !source.isPart) ?? this.#source(name, "mode=patch");
  }

  named(name) { return [...this.#sources.values()].filter((source) => source.name === name); }

  /** Those that are followed. */
  sourcesOf(name) { return this.named(name).filter((source) => this.#isWanted(source)); }

  #isWanted(source) {
    return source.users > 0 || source.until > Date.now() || this.outbox.records.some((record) => record.source === source.name);
  }

  /** Follows what is wanted now, soon. */
  want() {
    this.planned ??= Promise.resolve().then(() => this.#follow()).finally(() => { this.planned = undefined; });
  }

  async #follow() {
    if (this.isClosed) return;
    const wanted = [];
    for (const source of this.#sources.values()) {
      if (source.wasUsed && !source.users) {
        source.until = Date.now() + linger;
        setTimeout(() => this.want(), linger + 1);
      }
      source.wasUsed = source.users > 0;
      if (this.#isWanted(source)) wanted.push(source);
    }
    this.wanted = wanted;
    if (wanted.length) this.#begin();
    this.#tell();
  }

  /** Asks who we are, until it is known, and joins the other pages. */
  async #begin() {
    if (this.begun) return;
    this.begun = true;
    await this.recall?.();
    for (let failures = 0; this.id === undefined && !this.isClosed; failures += 1) {
      await this.credential(true).catch(async (error) => {
        for (const source of this.wanted) source.setState(error.status === 401 ? "denied" : "offline", error.message);
        await this.sleep((error.wait ?? 0) + Math.random() * Math.min(30_000, 1000 * 2 ** failures));
      });
    }
  }

  #join() {
    this.tabs?.close();
    this.feed?.close();
    this.#others.clear();
    if (this.isClosed) return;
    this.feed = new Feed(this, (message) => {
      this.#hear(message);
      this.tabs.post(message);
    });
    this.tabs = undefined;
    const early = [];
    this.tabs = new Tabs(`freshet ${this.url} ${this.id}`, this.options.tabs ?? true, {
      lead: () => (this.tabs ? this.#lead() : early.push(1)),
      follow: () => {
        this.feed.close();
        for (const source of this.#sources.values()) this.#state(source, "offline", "hidden");
      },
      hear: (message) => this.#hearPage(message),
    });
    if (early.length) this.#lead();
    this.#tell();
    this.outbox.pump();
  }

  #lead() {
    this.#others.clear();
    this.tabs.post({ type: "lead" });
    this.#tell();
  }

  /** Has the feed follow what is wanted here and by other pages; or tells the page that leads. */
  #tell() {
    if (!this.tabs || !this.wanted || this.isClosed) return;
    const all = new Set(this.wanted);
    if (this.tabs.isLeader) {
      for (const keys of this.#others.values()) for (const { name, query } of keys) all.add(this.#source(name, query));
    }
    for (const source of all) this.shape(source);
    // What the items are, only the description of the source tells; this is done again when it has.
    const known = [...all].filter((source) => !source.isRestoring && (source.shape || !source.isKeyed));
    if (this.tabs.isLeader) this.feed.set(new Set(known));
    else this.tabs.post({ type: "want", keys: known.map(({ key, name, query, cursor }) => ({ key, name, query, cursor })) });
  }

  #state(source, state, reason) {
    source.setState(state, reason);
    if (this.tabs?.isLeader) this.tabs.post({ type: "state", keys: [source.key], state, reason });
  }

  /** Has a source's stream opened again. */
  renew(key) {
    if (this.tabs.isLeader) this.feed.renew(this.#sources.get(key));
    else this.tabs.post({ type: "renew", key });
  }

  #hearPage(message) {
    if (message.type === "lead") return this.#tell();
    if (message.type === "renew") return this.tabs.isLeader && this.renew(message.key);
    if (message.type === "note") return this.outbox.hear?.(message);
    if (message.type === "want") {
      if (!this.tabs.isLeader) return;
      this.#others.set(message.from, message.keys);
      this.#tell();
      for (const { key, cursor } of message.keys) {
        const { truth, cursor: mine, at, state, reason, held } = this.#sources.get(key) ?? {};
        const answer = { to: message.from, keys: [key], state, reason };
        const has = mine && mine !== cursor ? { truth, cursor: mine, at, held } : {};
        this.tabs.post({ ...answer, type: "truth", ...has });
      }
      return;
    }
    if (this.tabs.isLeader) return;
    if (message.type === "truth") {
      const source = this.#sources.get(message.keys[0]);
      if (!source) return;
      // From here on this page hears all that the other one does.
      source.leader = message.from;
      if (message.cursor) source.restore(message);
      return source.setState(message.state ?? "connecting", message.reason);
    }
    const keys = message.keys.filter((key) => this.#sources.get(key)?.leader === message.from);
    try {
      this.#hear({ ...message, keys });
    } catch {
      for (const key of keys) this.#sources.get(key).leader = this.#sources.get(key).epoch = undefined;
      this.#tell();
    }
  }

  #hear({ type, data, id, keys, opened, state, reason }) {
    for (const key of keys) {
      const source = this.#sources.get(key);
      if (!source) continue;
      if (type === "state") source.setState(state, reason);
      else if (type === "status" && data.source === source.name) {
        if (data.state === "removed") source.setState("gone", "removed");
        else source.setState(source.state, data.state === "ok" ? "" : data.error?.message ?? data.state);
      } else if (data) source.receive(type, data, id, opened);
      if (type === "state" || id) this.changed?.(source);
    }
  }

  /** Where the items of a source are, and what tells them apart; asked until it is known. */
  async shape(source) {
    if (source.shape || source.isRestoring || source.isAsked || this.id === undefined) return;
    source.isAsked = true;
    const url = `${this.url}/v1/sources/${encodeURIComponent(source.name)}`;
    const description = await this.credential()
      .then((headers) => this.fetch(url, { headers, credentials: this.options.credentials }))
      .then((response) => response.ok && response.json()).catch(() => {});
    source.shape ??= description?.collection ?? undefined;
    if (source.shape) {
      source.reshape();
      return this.#tell();
    }
    if (source.isKeyed) this.#state(source, "offline", "the gateway does not say what its items are");
    await this.sleep(1000 + 4000 * Math.random());
    source.isAsked = false;
    this.want();
  }

  // Who we are

  /**
   * The fields that prove it. Who is meant is looked up with each new token; with `isNew`, where a cookie may tell; and with
   * `always`.
   */
  async credential(isNew, always) {
    const { token: given, credentials } = this.options;
    const token = typeof given === "function" ? await given() : given;
    const headers = token ? { Authorization: `Bearer ${token}` } : {};
    const isKnown = this.id !== undefined && token === this.token;
    if (isKnown && !always && (token || !(isNew || this.hasCookie))) return headers;
    const response = await this.fetch(`${this.url}/v1/me`, { headers, credentials });
    if (!response.ok) {
      const refused = await refusal(response);
      throw Object.assign(new Error(refused.problem.detail ?? `status ${refused.status}`), refused);
    }
    const { id, kind } = await response.json();
    this.hasCookie = !token && kind !== "anonymous";
    this.token = token;
    if (id !== this.id) this.become(id);
    this.known?.(id, token, kind);
    return headers;
  }

  /** Takes an identity. Nothing of one is shown to another, or sent by it. */
  become(id) {
    const isOther = this.id !== undefined;
    this.id = id;
    if (isOther) {
      for (const source of this.#sources.values()) source.clear();
      this.outbox.abandon();
      this.outbox = this.makeOutbox();
    }
    this.outbox.begin?.();
    for (const source of this.#sources.values()) this.restore?.(source);
    this.#join();
  }

  /** A ticket where the connection cannot send fields; undefined where it needs none, or the gateway gives none. */
  async ticket(names, headers) {
    const { ticket, EventSource } = this.options;
    if (ticket) return typeof ticket === "function" ? ticket(names) : ticket;
    if (!EventSource || !headers.Authorization) return undefined;
    const response = await this.fetch(`${this.url}/v1/tickets`, {
      method: "POST",
      headers: { ...headers, "Content-Type": "application/json" },
      body: JSON.stringify({ sources: names.join(",") }),
    });
    if (response.ok) return (await response.json()).ticket;
    const refused = await refusal(response);
    if ([404, 405, 501].includes(refused.status)) return undefined;
    throw Object.assign(new Error(refused.problem.detail), refused);
  }

  // Time

  /** Waits, at most until something says that it may go better now. */
  sleep(milliseconds) {
    return new Promise((done) => {
      const wake = () => {
        clearTimeout(timer);
        this.#sleepers.delete(wake);
        done();
      };
      const timer = setTimeout(wake, milliseconds);
      this.#sleepers.add(wake);
    });
  }

  /** Tries now whatever waits for another try. */
  retry() {
    for (const wake of [...this.#sleepers]) wake();
  }

  /** Ends all streams. Stores keep what they show. */
  close() {
    if (this.isClosed) return;
    this.isClosed = true;
    globalThis.removeEventListener?.("online", this.wake);
    globalThis.document?.removeEventListener("visibilitychange", this.wake);
    this.tabs?.post({ type: "want", keys: [] });
    this.tabs?.close();
    this.feed?.close();
    this.outbox.abandon();
    this.retry();
    for (const source of this.#sources.values()) source.setState("offline", "closed");
  }
}
