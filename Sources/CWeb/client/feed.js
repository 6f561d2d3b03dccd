// Keeps streams open for the sources that are wanted: one for all of the same query, whatever comes and goes.

import { readStream } from "./stream.js";

// How long a source that was refused is left alone.
const patience = 30_000;

/** How long to wait before the next try: exponential, with full jitter. */
export const backOff = (failures, base = 2000) => Math.random() * Math.min(30_000, base * 2 ** failures);

const states = { 401: "denied", 403: "denied", 404: "gone", 410: "gone" };

export class Feed {
  #streams = new Set();
  #refused = new Set();
  wanted = new Set();

  /** `emit` gets events with the keys of the sources whose cursor they move, and states. */
  constructor(gateway, emit) {
    Object.assign(this, { gateway, emit });
  }

  /** Opens what is missing, ends what is not wanted, and makes one stream of those that have caught up. */
  set(wanted) {
    this.wanted = wanted;
    const missing = new Set(wanted);
    for (const source of this.#refused) missing.delete(source);
    for (const stream of [...this.#streams]) {
      const left = stream.sources.filter((source) => wanted.has(source));
      for (const source of left) missing.delete(source);
      if (left.length < stream.sources.length) {
        this.#end(stream);
        this.#open(left);
      }
    }
    for (const query of new Set([...wanted].map((source) => source.query))) {
      const isOf = (source) => source.query === query;
      this.#open([...missing].filter(isOf));
      const ready = [...this.#streams].filter(({ sources, isLive }) => isLive && isOf(sources[0]) && since(sources));
      if (ready.length < 2) continue;
      ready.forEach((stream) => this.#end(stream));
      this.#open(ready.flatMap((stream) => stream.sources));
    }
  }

  close() { this.set(new Set()); }

  /** Opens the stream of a source again, at once and where it stands. */
  renew(source) {
    for (const stream of this.#streams) {
      if (!stream.sources.includes(source)) continue;
      stream.isAgain = true;
      stream.abort?.abort();
    }
  }

  #end(stream) {
    this.#streams.delete(stream);
    stream.isOver = true;
    stream.abort?.abort();
  }

  #open(sources) {
    if (!sources.length) return;
    const stream = { sources };
    this.#streams.add(stream);
    this.#run(stream);
  }

  async #run(stream) {
    const { sources } = stream;
    for (let failures = 0; ;) {
      stream.bye = stream.isAgain = undefined;
      const error = await this.#once(stream).catch((failure) => failure);
      if (stream.isOver) return;
      const { isLive, bye, retry } = stream;
      failures = isLive ? 0 : failures + 1;
      stream.isLive = false;
      if (stream.isAgain) continue;
      const state = states[error?.status];
      if (state) {
        // One that may not be read, or is not there, keeps none of the others from being read.
        this.#end(stream);
        if (sources.length > 1) return sources.forEach((source) => this.#open([source]));
        return this.#refuse(sources[0], state, error.message);
      }
      this.#state(sources, "offline", bye ?? error?.message ?? "cut off");
      if (isLive && (bye === "expired" || bye === "slow")) continue;
      await this.gateway.sleep(bye && retry ? retry : (error?.wait ?? 0) + backOff(failures, retry));
    }
  }

  async #refuse(source, ...state) {
    this.#state([source], ...state);
    this.#refused.add(source);
    await this.gateway.sleep(patience * (1 + Math.random()));
    this.#refused.delete(source);
    this.set(this.wanted);
  }

  /** One connection. Resolves or rejects with what it ended with. */
  async #once(stream) {
    const { gateway } = this;
    const { EventSource, ticket, transport } = gateway.options;
    const { sources } = stream;
    const opened = Date.now();
    const headers = await gateway.credential(true);
    if (stream.isOver) return undefined;
    const abort = stream.abort = new AbortController();
    const { signal } = abort;
    let watchdog;
    let heartbeat = 15;
    const alive = () => {
      clearTimeout(watchdog);
      watchdog = setTimeout(() => abort.abort(new Error("silent for too long")), heartbeat * 2500 + 5000);
    };
    const on = (type, data, id) => {
      if (signal.aborted) return;
      if (type === "retry") {
        stream.retry = data;
        return;
      }
      if (type === "bye") stream.bye = data.reason;
      if (type === "hello") {
        heartbeat = data.heartbeat;
        stream.isLive = true;
        this.#state(sources, "live");
      }
      try {
        this.emit({ type, data, id, keys: sources.map((source) => source.key), opened });
      } catch {
        // The patch does not apply to the value held: start again from a snapshot.
        for (const source of sources) if (source.name === data.source) source.epoch = undefined;
        this.renew(sources[0]);
      }
      if (id && this.#streams.size > 1) queueMicrotask(() => this.set(this.wanted));
    };
    const names = sources.map((source) => encodeURIComponent(source.name));
    const from = since(sources);
    const path = `streams/${names}?${sources[0].query}${from ? `&since=${from}` : ""}`;
    // A ticket opens one connection, and not one for all.
    const open = typeof transport === "function" ? transport
      : transport && !ticket ? (await import("./socket.js")).openSocket
      : EventSource || ticket ? (await import("./events.js")).openEvents : readStream;
    return open({ gateway, sources, path, headers, signal, on, alive }).finally(() => clearTimeout(watchdog));
  }

  #state(sources, state, reason = "") {
    this.emit({ type: "state", keys: sources.map((source) => source.key), state, reason });
  }
}

/** From where a stream of some sources has to begin so that none misses anything; undefined: from their snapshots. */
function since(sources) {
  const [{ epoch }] = sources;
  const isOne = epoch && sources.every((source) => source.epoch === epoch);
  return isOne ? `${epoch}-${Math.min(...sources.map((source) => source.sequence))}` : undefined;
}
