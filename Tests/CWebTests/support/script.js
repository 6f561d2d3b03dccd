// A gateway that says what a test has it say, and the time of a world.

import { World } from "./world.js";

const json = (status, body, headers = {}) => ({
  status, ok: status < 300, headers: { get: (name) => headers[name] ?? null },
  json: async () => body, text: async () => JSON.stringify(body),
});

/** One stream that a client opened. */
class Line {
  #parts = [];
  #waiting;
  isOpen = true;

  constructor(url, init) {
    Object.assign(this, { url, init });
    init.signal?.addEventListener("abort", () => this.#end(init.signal.reason));
    this.sources = decodeURIComponent(url.pathname.slice(12)).split(",");
    this.since = url.searchParams.get("since");
  }

  say(text) { this.#give({ value: new TextEncoder().encode(text), done: false }); }

  event(type, data, id) { this.say(`${id ? `id: ${id}\n` : ""}event: ${type}\ndata: ${JSON.stringify(data)}\n\n`); }

  hello(cursor) { this.say(`retry: 1000\n\nevent: hello\ndata: {"cursor":"${cursor}","heartbeat":15}\n\n`); }

  /** `hello`, and a snapshot of each source, of which the last has the id. */
  snapshots(values, id) {
    this.hello(id);
    const names = Object.keys(values);
    names.forEach((source, index) => {
      const data = { source, at: "2026-01-01T00:00:00Z", value: values[source] };
      this.event("snapshot", data, index === names.length - 1 ? id : "");
    });
  }

  close() {
    this.isOpen = false;
    this.#give({ done: true });
  }

  cut() { this.#end(new TypeError("cut")); }

  #end(error) {
    this.isOpen = false;
    this.error = error;
    this.#waiting?.reject(error);
  }

  #give(part) {
    if (this.#waiting) this.#waiting.resolve(part);
    else this.#parts.push(part);
    this.#waiting = undefined;
  }

  read() {
    if (this.error) return Promise.reject(this.error);
    if (this.#parts.length) return Promise.resolve(this.#parts.shift());
    return new Promise((resolve, reject) => { this.#waiting = { resolve, reject }; });
  }
}

export class Script {
  requests = [];
  lines = [];
  me = { id: "me", kind: "key" };
  shapes = {};
  refusals = {};

  constructor(seed = 1) {
    this.world = new World(seed);
    this.world.install();
  }

  /** The streams that are open now. */
  get open() { return this.lines.filter((line) => line.isOpen); }
  get line() { return this.open[this.open.length - 1]; }

  fetch = async (text, init = {}) => {
    const url = new URL(text);
    const { method = "GET" } = init;
    this.requests.push({ method, path: url.pathname, url, init });
    if (this.isDown) throw new TypeError("no network");
    await null;
    const special = this.answer?.(method, url, init);
    if (special) return json(...special);
    if (url.pathname === "/v1/me") return this.me ? json(200, this.me) : json(401, { detail: "who are you" });
    const [, , kind, names] = url.pathname.split("/");
    if (kind === "sources") return json(200, { collection: this.shapes[names] ?? { items: "", key: null } });
    if (kind !== "streams") return json(404, {});
    const refused = decodeURIComponent(names).split(",").map((name) => this.refusals[name]).find((status) => status);
    if (refused) return json(refused, { detail: `refused with ${refused}` });
    if (method === "HEAD") return json(200, {});
    const line = new Line(url, init);
    this.lines.push(line);
    return { status: 200, ok: true, headers: { get: () => null }, body: { getReader: () => line } };
  };

  run(duration = 0) { return this.world.run(duration); }

  paths(method = "GET") { return this.requests.filter((one) => one.method === method).map((one) => one.path); }
}

/** A test in a world of its own. */
export const scripted = (action) => async () => {
  const script = new Script();
  try {
    await action(script);
  } finally {
    World.restore();
  }
};
