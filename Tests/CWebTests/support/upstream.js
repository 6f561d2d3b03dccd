// An API whose items can be written, with strong entity tags: the collection at `/orders`, one item at `/orders/ID`.

import { createServer } from "node:http";

const merged = (target, patch) => {
  const made = { ...target, ...patch };
  for (const [name, value] of Object.entries(patch)) if (value === null) delete made[name];
  return made;
};

export class WritableUpstream {
  // What was written by request, in order, and the texts that were not there before.
  effects = [];
  // How long an answer takes.
  delay = () => 0;
  // What goes wrong with a write: a status, `before` or `after` (the connection ends), or nothing.
  trouble = () => undefined;
  #versions = new Map();
  #last;

  constructor(items) {
    this.items = new Map(items.map((item) => [String(item.id), item]));
    this.#last = items.length;
  }

  /** Somebody else writes. */
  set(id, item, isOther = true) {
    if (isOther) this.effects.push({ method: "other", id: Number(id), body: JSON.stringify(item), added: [] });
    if (item) this.items.set(String(id), item);
    else this.items.delete(String(id));
    this.#versions.set(String(id), (this.#versions.get(String(id)) ?? 0) + 1);
  }

  #tag(id) { return `"${id}-${this.#versions.get(id) ?? 0}"`; }

  async listen() {
    this.server = createServer((request, response) => this.#answer(request, response).catch(() => response.destroy()));
    await new Promise((done) => this.server.listen(0, "127.0.0.1", done));
    this.port = this.server.address().port;
    return this;
  }

  async #answer(request, response) {
    let text = "";
    for await (const part of request) text += part;
    const { method, headers } = request;
    const [, id] = /^\/orders\/([^/?]+)$/.exec(request.url) ?? [];
    const answer = (status, value, fields = {}) => {
      for (const [name, field] of Object.entries(fields)) response.setHeader(name, field);
      response.statusCode = status;
      if (value !== undefined) response.setHeader("Content-Type", "application/json");
      response.end(value === undefined ? "" : JSON.stringify(value));
    };
    if (method === "GET" && !id) return answer(200, [...this.items.values()]);
    await new Promise((done) => setTimeout(done, this.delay()));
    const trouble = method === "GET" ? undefined : this.trouble();
    if (trouble === "before") return response.destroy();
    if (trouble > 0) return answer(trouble);
    const done = (place, old, now) => {
      this.set(place, now, false);
      const added = Object.values(now ?? {}).filter((value) => !Object.values(old ?? {}).includes(value));
      this.effects.push({ method, id: Number(place), body: text, added });
      return trouble === "after";
    };
    if (method === "POST") {
      const made = { ...JSON.parse(text), id: (this.#last += 1) };
      if (done(made.id, undefined, made)) return response.destroy();
      return answer(201, made, { Location: `/orders/${made.id}`, ETag: this.#tag(String(made.id)) });
    }
    const item = this.items.get(id);
    const isRefused = (headers["if-match"] && (!item || headers["if-match"] !== this.#tag(id)))
      || (headers["if-none-match"] === "*" && item);
    if (method === "GET") return item ? answer(200, item, { ETag: this.#tag(id) }) : answer(404);
    if (isRefused) return answer(412);
    if (!item && method !== "PUT") return answer(404);
    const now = method === "DELETE" ? undefined : method === "PUT" ? JSON.parse(text) : merged(item, JSON.parse(text));
    if (done(id, item, now)) return response.destroy();
    return now ? answer(item ? 200 : 201, now, { ETag: this.#tag(id) }) : answer(204);
  }

  close() {
    this.server.closeAllConnections?.();
    this.server.close();
  }
}
