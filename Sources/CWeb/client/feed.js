// Keeps streams open for the sources that are wanted: one for all of the same query, whatever comes and goes.

import { listen, readStream, refusal } from "./stream.js";

const maxDelay = 30_000;
// How long a source that was refused is left alone.
const patience = 30_000;

/** How long to wait before the next try: exponential, with full jitter. */
export const backOff = (failures, base = 2000) => Math.random() * Math.min(maxDelay, base * 2 ** failures);

const states = { 401: "denied", 403: "denied", 404: "gone", 410: "gone" };

/** What a failure says to people. */
const reasonOf = ({ problem, status, error }) => problem?.detail ?? (status ? `status ${status}` : error?.message ?? "cut off");

export class Feed {
  #streams = new Set();
  #refused = new Map();

  /** `emit` gets events with the keys of the sources whose cursor they move, and states. */
  constructor(gateway, emit) {
    Object.assign(this, { gateway, emit, wanted: new Set() });
  }

  set(wanted) {
    this.wanted = wanted;
    this.#arrange();
  }

  close() {
    this.wanted = new Set();
    for (const stream of this.#streams) this.#end(stream);
  }

  /** Opens the stream of a source again, at once and where it stands. */
  renew(source) {
    for (const stream of this.#streams) {
      if (!stream.sources.has(source)) continue;
      stream.isAgain = true;
      stream.abort?.abort();
    }
  }

  #end(stream) {
    this.#streams.delete(stream);
    stream.isOver = true;
    stream.abort?.abort();
  }

  /** Opens what is missing, ends what is not wanted, and makes one stream of those that have caught up. */
  #arrange() {
    const missing = new Set(this.wanted);
    for (const source of this.#refused.keys()) missing.delete(source);
    const ready = new Map();
    for (const stream of [...this.#streams]) {
      const left = [...stream.sources].filter((source) => this.wanted.has(source));
      for (const source of left) missing.delete(source);
      if (left.length < stream.sources.size) {
        this.#end(stream);
        if (left.length) this.#open(new Set(left));
      } else if (stream.isReady()) {
        const { query } = left[0];
        ready.set(query, [...(ready.get(query) ?? []), stream]);
      }
    }
    for (const query of new Set([...missing].map((source) => source.query))) {
      this.#open(new Set([...missing].filter((source) => source.query === query)));
    }
    for (const streams of ready.values()) {
      if (streams.length < 2) continue;
      streams.forEach((stream) => this.#end(stream));
      this.#open(new Set(streams.flatMap((stream) => [...stream.sources])));
    }
  }

  #open(sources) {
    const stream = { sources, keys: [...sources].map((source) => source.key) };
    stream.isReady = () => stream.isLive && since(sources) !== undefined;
    this.#streams.add(stream);
    this.#run(stream);
  }

  async #run(stream) {
    let failures = 0;
    while (!stream.isOver) {
      const result = await this.#once(stream).catch((error) => ({ error, status: error.status, problem: error.problem }));
      if (stream.isOver) return;
      failures = stream.isLive ? 0 : failures + 1;
      const { isLive, bye, retry } = stream;
      stream.isLive = false;
      if (stream.isAgain) continue;
      if (result.status in states) {
        if (await this.#refuse(stream, result)) return;
      } else {
        this.#state(stream, "offline", bye ?? reasonOf(result));
      }
      if (isLive && (bye === "expired" || bye === "slow")) continue;
      await this.gateway.sleep(bye && retry ? retry : (result.wait ?? 0) + backOff(failures, retry));
    }
  }

  /** One connection. Resolves with what it ended with. */
  async #once(stream) {
    const { gateway } = this;
    const sources = [...stream.sources];
    const opened = Date.now();
    const names = sources.map((source) => encodeURIComponent(source.name)).join(",");
    const headers = await gateway.credential(true);
    if (stream.isOver) return {};
    const abort = stream.abort = new AbortController();
    let watchdog;
    let result = {};
    let heartbeat = 15;
    const alive = () => {
      clearTimeout(watchdog);
      watchdog = setTimeout(() => abort.abort(new Error("silent for too long")), heartbeat * 2500 + 5000);
    };
    stream.bye = stream.isAgain = undefined;
    const on = (type, data, id) => {
      if (stream.isOver || abort.signal.aborted) return;
      if (type === "retry") {
        stream.retry = data;
        return;
      }
      if (type === "bye") stream.bye = data.reason;
      else if (type === "hello") {
        heartbeat = data.heartbeat;
        stream.isLive = true;
        this.#state(stream, "live");
      }
      try {
        this.emit({ type, data, id, keys: stream.keys, opened });
      } catch {
        // The patch does not apply to the value held: start again from a snapshot.
        for (const source of sources) if (source.name === data.source) source.epoch = undefined;
        this.renew(sources[0]);
      }
      if (id && stream.isReady()) queueMicrotask(() => this.#arrange());
    };
    const from = since(stream.sources);
    let url = `${gateway.url}/v1/streams/${names}?${sources[0].query}${from ? `&since=${from}` : ""}`;
    try {
      const { EventSource, credentials } = gateway.options;
      const ticket = await gateway.ticket(sources.map((source) => source.name), headers);
      if (ticket) url += `&ticket=${encodeURIComponent(ticket)}`;
      if (EventSource && (ticket || !headers.Authorization)) {
        await listen(EventSource, url, credentials === "include", abort.signal, on);
      } else {
        alive();
        const fields = ticket ? {} : headers;
        const init = { headers: { Accept: "text/event-stream", ...fields }, signal: abort.signal, credentials };
        result = await readStream(gateway.fetch, url, init, on, alive);
      }
    } catch (error) {
      result = { error };
      // An EventSource does not say why.
      if (gateway.options.EventSource && !stream.isLive) Object.assign(result, await this.#probe(sources[0], headers));
    } finally {
      clearTimeout(watchdog);
    }
    return result;
  }

  async #probe(source, headers) {
    const { gateway } = this;
    const url = `${gateway.url}/v1/streams/${encodeURIComponent(source.name)}?${source.query}`;
    const response = await gateway.fetch(url, { method: "HEAD", headers, credentials: gateway.options.credentials });
    return response.ok ? {} : refusal(response);
  }

  /** One that may not be read, or is not there, keeps none of the others from being read. Returns whether some were. */
  async #refuse(stream, result) {
    const headers = await this.gateway.credential().catch(() => ({}));
    const alone = stream.sources.size === 1;
    let isAny = false;
    for (const source of stream.sources) {
      const { status } = alone ? result : await this.#probe(source, headers).catch(() => ({}));
      if (stream.isOver) return true;
      if (!(status in states)) continue;
      this.emit({ type: "state", keys: [source.key], state: states[status], reason: reasonOf(alone ? result : { status }) });
      isAny = true;
      this.#refused.set(source, true);
      this.gateway.sleep(patience * (1 + Math.random())).then(() => {
        this.#refused.delete(source);
        this.#arrange();
      });
    }
    if (!isAny) return false;
    this.#end(stream);
    const others = [...stream.sources].filter((source) => !this.#refused.has(source));
    if (others.length) this.#open(new Set(others));
    return true;
  }

  #state(stream, state, reason = "") {
    this.emit({ type: "state", keys: stream.keys, state, reason });
  }
}

/** From where a stream of some sources has to begin so that none misses anything; undefined: from their snapshots. */
function since(sources) {
  let [epoch, least] = [undefined, Infinity];
  for (const source of sources) {
    if (!source.epoch || (epoch && source.epoch !== epoch)) return undefined;
    epoch = source.epoch;
    least = Math.min(least, source.sequence);
  }
  return `${epoch}-${least}`;
}
