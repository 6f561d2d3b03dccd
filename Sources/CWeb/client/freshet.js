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
export const connect = (url, options) => new Gateway(url, options);

export class Gateway {
  // By name and query.
  #sources = new Map();
  #sleepers = new Set();
  // What other pages want, by page.
  #others = new Map();

  constructor(url, options = {}, Queue = Outbox) {
    const { document, location } = globalThis;
    this.url = new URL(url, location?.href).href.replace(/\/$/, "");
    this.options = options;
    this.fetch = options.fetch ?? ((...request) => fetch(...request));
    this.makeOutbox = () => new Queue(this);
    this.outbox = this.makeOutbox();
    this.ended = new AbortController();
    const { signal } = this.ended;
    const retry = () => this.retry();
    globalThis.addEventListener?.("online", retry, { signal });
    document?.addEventListener("visibilitychange", retry, { signal });
    options.signal?.addEventListener("abort", () => this.close());
  }

  get isClosed() { return this.ended.signal.aborted; }

  /** The store of a source, the same for the same query. */
  source(name, { mode = "patch", pointer, item, where, items = "", key } = {}) {
    const query = new URLSearchParams({ mode });
    for (const [field, text] of Object.entries({ pointer, item, where })) if (text) query.set(field, text);
    const source = this.#source(name, `${query}`);
    if (key !== undefined) source.shape ??= { items, key };
    return source;
  }

  #source(name, query) {
    const key = `${name}?${query}`;
    let source = this.#sources.get(key);
    if (!source) {
      source = new Source(this, name, query, key);
      this.#sources.set(key, source);
      this.restore?.(source);
    }
    return source;
  }

  /** The source of this name, created on first use. */
  sourceOf(name) { return this.named(name).find((source) => !source.isPart) ?? this.#source(name, "mode=patch"); }

  named(name) { return [...this.#sources.values()].filter((source) => source.name === name); }

  /** Those that are followed. */
  sourcesOf(name) { return this.named(name).filter((source) => this.#isWanted(source)); }

  #isWanted({ users, until, name }) {
    return users > 0 || until > Date.now() || this.outbox.records.some((record) => record.source === name);
  }

  /** Follows what is wanted now, soon. */
  want() {
    this.planned ??= Promise.resolve().then(() => {
      this.planned = undefined;
      this.#follow();
    });
  }

  #follow() {
    if (this.isClosed) return;
    for (const source of this.#sources.values()) {
      if (source.wasUsed && !source.users) {
        source.until = Date.now() + linger;
        setTimeout(() => this.want(), linger + 1);
      }
      source.wasUsed = source.users > 0;
    }
    this.wanted = [...this.#sources.values()].filter((source) => this.#isWanted(source));
    if (this.wanted.length && !this.begun) this.begun = this.#begin();
    this.#tell();
  }

  /** Asks who we are, until it is known, and joins the other pages. */
  async #begin() {
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
    if (this.isClosed) return;
    this.feed = new Feed(this, (message) => {
      this.#hear(message);
      this.tabs.post(message);
    });
    this.tabs = new Tabs(`freshet ${this.url} ${this.id}`, this.options.tabs ?? true, {
      lead: () => {
        this.#others.clear();
        this.tabs.post({ type: "lead" });
        this.#tell();
      },
      follow: () => {
        this.feed.close();
        for (const source of this.#sources.values()) this.#state(source, "offline", "hidden");
      },
      hear: (message) => this.#hearPage(message),
    });
    this.tabs.look();
    this.#tell();
    this.outbox.pump();
  }

  /** Has the feed follow what is wanted here and by other pages; or tells the page that leads. */
  #tell() {
    const { tabs, wanted } = this;
    if (!tabs || !wanted || this.isClosed) return;
    const others = tabs.isLeader ? [...this.#others.values()].flat() : [];
    const all = new Set([...wanted, ...others.map(({ name, query }) => this.#source(name, query))]);
    for (const source of all) this.shape(source);
    // What the items are, only the description of the source tells; this is done again when it has.
    const known = [...all].filter((source) => !source.isRestoring && (source.shape || !source.isKeyed));
    if (tabs.isLeader) this.feed.set(new Set(known));
    else tabs.post({ type: "want", keys: known.map(({ key, name, query, cursor }) => ({ key, name, query, cursor })) });
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
    const { type, from, key, keys } = message;
    const { isLeader } = this.tabs;
    if (type === "lead") this.#tell();
    else if (type === "note") this.outbox.hear?.(message);
    else if (type === "renew") {
      if (isLeader) this.renew(key);
    } else if (type === "want") {
      if (!isLeader) return;
      this.#others.set(from, keys);
      this.#tell();
      for (const { key: one, cursor: known } of keys) {
        const { truth, cursor, at, held, state, reason } = this.#sources.get(one) ?? {};
        const has = cursor && cursor !== known && { truth, cursor, at, held };
        this.tabs.post({ type: "truth", to: from, keys: [one], state, reason, ...has });
      }
    } else if (!isLeader) {
      const sources = keys.map((one) => this.#sources.get(one)).filter(Boolean);
      if (type === "truth") {
        for (const source of sources) {
          // From here on this page hears all that the other one does.
          source.leader = from;
          if (message.cursor) source.restore(message);
          source.setState(message.state ?? "connecting", message.reason);
        }
        return;
      }
      const ours = sources.filter((source) => source.leader === from);
      try {
        this.#hear({ ...message, keys: ours.map((source) => source.key) });
      } catch {
        for (const source of ours) source.leader = source.epoch = undefined;
        this.#tell();
      }
    }
  }

  #hear({ type, data, id, keys, opened, state, reason }) {
    for (const key of keys) {
      const source = this.#sources.get(key);
      if (type === "state") source.setState(state, reason);
      else if (type !== "status") source.receive(type, data, id, opened);
      else if (data.source !== source.name) continue;
      else if (data.state === "removed") source.setState("gone", "removed");
      else source.setState(source.state, data.state === "ok" ? "" : data.error?.message ?? data.state);
      if (type === "state" || id) this.changed?.(source);
    }
  }

  /** Where the items of a source are, and what tells them apart; asked until it is known. */
  async shape(source) {
    if (source.shape || source.isRestoring || source.isAsked || this.id === undefined) return;
    source.isAsked = true;
    const response = await this.credential()
      .then((headers) => this.ask(`sources/${encodeURIComponent(source.name)}`, { headers })).catch(() => {});
    source.shape ??= (await response?.json().catch(() => {}))?.collection ?? undefined;
    if (source.shape) {
      source.reshape();
      this.#tell();
      return;
    }
    if (source.isKeyed) this.#state(source, "offline", "the gateway does not say what its items are");
    await this.sleep(1000 + 4000 * Math.random());
    source.isAsked = false;
    this.want();
  }

  /** Asks the gateway; throws what it refuses. */
  async ask(path, init) {
    const { credentials } = this.options;
    const response = await this.fetch(`${this.url}/v1/${path}`, { credentials, ...init });
    if (!response.ok) throw await refusal(response);
    return response;
  }

  // Who we are

  /**
   * The fields that prove it. Who is meant is looked up with each new token; with `isNew`, where a cookie may tell; and with
   * `always`.
   */
  async credential(isNew, always) {
    const { token: given } = this.options;
    const token = typeof given === "function" ? await given() : given;
    const headers = token ? { Authorization: `Bearer ${token}` } : {};
    const isKnown = this.id !== undefined && token === this.token;
    if (isKnown && !always && (token || !(isNew || this.hasCookie))) return headers;
    const { id, kind } = await (await this.ask("me", { headers })).json();
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
    this.ended.abort();
    this.tabs?.post({ type: "want", keys: [] });
    this.tabs?.close();
    this.feed?.close();
    this.outbox.abandon();
    this.retry();
    for (const source of this.#sources.values()) source.setState("offline", "closed");
  }
}
