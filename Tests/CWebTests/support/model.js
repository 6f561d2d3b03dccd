// A gateway as CONTRACT sections 4 and 6 have it, with one keyed source, behind a network that delays, loses and cuts.

const clone = (value) => (value === undefined ? undefined : JSON.parse(JSON.stringify(value)));
const merged = (target, patch) => {
  if (patch === null || typeof patch !== "object" || Array.isArray(patch)) return patch;
  const made = { ...target };
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete made[name];
    else made[name] = merged(made[name], value);
  }
  return made;
};

class Reply {
  constructor(status, body, headers = {}) {
    Object.assign(this, { status, text_: body === undefined ? "" : JSON.stringify(body), fields: headers });
    this.ok = status >= 200 && status < 300;
    this.headers = { get: (name) => headers[name] ?? null };
  }

  async text() { return this.text_; }
  async json() { return JSON.parse(this.text_); }
}

const problem = (status, code, more = {}) =>
  new Reply(status, { status, code, title: code, detail: code, ...more }, more.headers);

/** What one page has of the network: requests, each with delays of its own, in any order. */
export class Network {
  isOnline = true;
  loss = 0;
  lag = () => 0;

  constructor(world, gateway) {
    Object.assign(this, { world, gateway, connections: new Set() });
  }

  /** `fetch` of a page. */
  fetch = (url, init = {}) => {
    const page = this.world.current();
    // What is under way arrives, whatever becomes of the page.
    return new Promise((resolve, reject) => this.world.outside(() => this.#ask(url, init, (settle, value) => {
      if (!page?.isDead) (settle === "resolve" ? resolve : reject)(value);
    })));
  };

  #ask(url, init, settle) {
    const { signal } = init;
    const reject = (error) => settle("reject", error);
    const fail = (why) => reject(new TypeError(why));
    if (signal?.aborted) return reject(signal.reason);
    signal?.addEventListener("abort", () => reject(signal.reason));
    if (!this.isOnline) return this.world.after(1, () => fail("offline"));
    const cut = this.world.chance(this.loss) ? this.world.integer(2) : -1;
    this.world.after(this.lag(), async () => {
      if (!this.isOnline || cut === 0) return fail("cut on the way there");
      const reply = await this.gateway.answer(new URL(url), init, this).catch((error) => error);
      this.world.after(this.lag(), () => {
        if (reply instanceof Error || (!reply.body && (!this.isOnline || cut === 1))) return fail("cut on the way back");
        if (reply.body && !this.isOnline) return fail("cut");
        settle("resolve", reply);
      });
    });
  }

  cut() { for (const connection of [...this.connections]) connection.cut(); }
}

/** An event stream over a connection that delays. */
class Connection {
  #arrived = [];
  #waiting;
  #free = 0;
  #queue = [];

  constructor(network, signal) {
    Object.assign(this, { network });
    network.connections.add(this);
    signal?.addEventListener("abort", () => this.#end("abort", signal.reason));
    this.body = { getReader: () => ({ read: () => this.#read() }) };
  }

  send(text) {
    const { world } = this.network;
    // In order, however long each takes.
    this.#free = Math.max(this.#free, world.now + this.network.lag());
    this.#queue.push({ value: new TextEncoder().encode(text), done: false });
    world.after(this.#free - world.now, () => this.#give(this.#queue.shift()));
  }

  close() {
    this.isOver = true;
    this.#queue.push({ done: true });
    this.network.world.after(Math.max(0, this.#free - this.network.world.now), () => this.#give(this.#queue.shift()));
  }

  cut() { this.#end("cut", new TypeError("cut")); }

  #end(why, error) {
    this.isOver = true;
    this.network.connections.delete(this);
    this.error = error;
    this.#waiting?.reject(error);
    this.#waiting = undefined;
  }

  #give(part) {
    if (this.error) return;
    if (this.#waiting) this.#waiting.resolve(part);
    else this.#arrived.push(part);
    this.#waiting = undefined;
  }

  #read() {
    if (this.error) return Promise.reject(this.error);
    if (this.#arrived.length) return Promise.resolve(this.#arrived.shift());
    return new Promise((resolve, reject) => { this.#waiting = { resolve, reject }; });
  }
}

export class ModelGateway {
  name = "orders";
  conflict = "reject";
  isDurable = true;
  identity = { id: "alice", kind: "key" };
  keys = new Map();
  // Every effect of a write: what it wrote, once for each time.
  effects = [];
  // The texts that each field has had, in order.
  history = new Map();
  // Says what goes wrong with a write: `before`, `after` (504), `busy`, `unauthorized`, or nothing.
  trouble = () => undefined;
  poison = () => false;

  constructor(world, items) {
    this.world = world;
    this.upstream = new Map(items.map((item) => [item.id, item]));
    this.last = items.length;
    for (const item of items) this.#remember(item);
    this.#begin();
  }

  get value() { return { orders: [...this.upstream.values()], at: "always" }; }
  get cursor() { return `${this.epoch}-${this.sequence}`; }

  #begin() {
    this.epoch = `e${this.world.integer(1e9).toString(36)}`;
    this.sequence = 1;
    this.log = [];
    this.first = clone(this.value);
    this.versions = new Map([...this.upstream.keys()].map((id) => [id, 1]));
    this.streams = new Set();
    if (!this.isDurable) this.keys.clear();
  }

  /** Ends all connections; without a log everything that was numbered is forgotten. */
  restart() {
    for (const stream of this.streams) stream.connection.cut();
    this.streams.clear();
    if (!this.isDurable) this.#begin();
  }

  #remember(item) {
    const places = [...this.history.keys()].filter((place) => place.startsWith(`${item.id}/`));
    const missing = places.map((place) => place.split("/")[1]);
    for (const name of new Set([...Object.keys(item), ...missing])) {
      const text = item[name];
      const place = `${item.id}/${name}`;
      const texts = this.history.get(place) ?? [];
      if (texts[texts.length - 1] !== text) this.history.set(place, [...texts, text]);
    }
  }

  // Changes

  change(id, item) {
    const before = clone(this.value);
    const index = before.orders.findIndex((one) => one.id === id);
    const old = this.upstream.get(id);
    if (item === undefined) this.upstream.delete(id);
    else this.upstream.set(id, item);
    if (item) this.#remember(item);
    this.sequence += 1;
    this.versions.set(id, this.sequence);
    const patch = !old ? [{ op: "add", path: "/orders/-", value: item }]
      : !item ? [{ op: "remove", path: `/orders/${index}` }]
      : Object.keys({ ...old, ...item }).filter((name) => old[name] !== item[name]).map((name) => (name in item
        ? { op: name in old ? "replace" : "add", path: `/orders/${index}/${name}`, value: item[name] }
        : { op: "remove", path: `/orders/${index}/${name}` }));
    const items = { created: old ? [] : [item], updated: old && item ? [item] : [], deleted: item ? [] : [id] };
    this.log.push({ sequence: this.sequence, patch, items, item: clone(item), id });
    for (const stream of this.streams) this.#feed(stream);
  }

  #feed(stream) {
    for (const entry of this.log) if (entry.sequence > stream.position) this.#send(stream, entry);
    stream.position = this.sequence;
  }

  #send({ connection, mode }, entry) {
    const bodies = { patch: { patch: entry.patch }, items: { items: entry.items } };
    const body = bodies[mode] ?? { value: this.value };
    this.#event(connection, mode === "merge" ? "snapshot" : mode, body, `${this.epoch}-${entry.sequence}`);
  }

  #event(connection, type, body, id) {
    const data = JSON.stringify({ source: this.name, at: new Date(this.world.now).toISOString(), ...body });
    connection.send(`${id ? `id: ${id}\n` : ""}event: ${type}\ndata: ${data}\n\n`);
  }

  /** The item as it was at a sequence; undefined where the log does not reach back. */
  #past(id, sequence) {
    const known = this.log.filter((entry) => entry.id === id && entry.sequence <= sequence).pop();
    return known ? known.item : this.first.orders.find((item) => item.id === id);
  }

  // Requests

  async answer(url, init, network) {
    const token = init.headers?.Authorization?.slice(7);
    const identity = this.identityOf ? this.identityOf(token) : this.identity;
    if (url.pathname === "/v1/me") return identity ? new Reply(200, identity) : problem(401, "unauthorized");
    if (!identity) return problem(401, "unauthorized");
    if (url.pathname === "/v1/sources/orders") return new Reply(200, { collection: { items: "/orders", key: "/id" } });
    if (url.pathname.startsWith("/v1/streams/")) return this.#stream(url, init, network);
    return this.#write(url, init, identity);
  }

  #stream(url, init, network) {
    if (decodeURIComponent(url.pathname.slice(12)) !== this.name) return problem(404, "unknown_source");
    if (init.method === "HEAD") return new Reply(200);
    const connection = new Connection(network, init.signal);
    const stream = { connection, mode: url.searchParams.get("mode"), position: this.sequence };
    connection.send(`retry: 1000\n\nevent: hello\ndata: {"cursor":"${this.cursor}","heartbeat":15}\n\n`);
    const since = url.searchParams.get("since");
    const [epoch, sequence] = (since ?? "").split("-");
    if (since && epoch === this.epoch && Number(sequence) <= this.sequence && Number(sequence) > 0) {
      stream.position = Number(sequence);
      this.#feed(stream);
    } else {
      if (since) this.#event(connection, "gap", { reason: "epoch" });
      this.#event(connection, "snapshot", { value: this.value }, this.cursor);
    }
    this.streams.add(stream);
    const beat = () => {
      if (connection.isOver) return this.streams.delete(stream);
      connection.send(":\n\n");
      this.world.after(15_000, beat);
    };
    this.world.after(15_000, beat);
    return { status: 200, ok: true, headers: { get: () => null }, body: connection.body };
  }

  async #write(url, init, identity) {
    const { method, headers, body } = init;
    const key = `${identity.id} ${headers["Idempotency-Key"]}`;
    const conditions = [headers["If-Match"], headers["If-None-Match"]];
    const hash = JSON.stringify([method, url.pathname, ...conditions, headers["Content-Type"], body]);
    const known = this.keys.get(key);
    if (known && known.hash !== hash) return problem(422, "idempotency_key_reused");
    if (known && !known.reply) return problem(409, "under_way");
    if (known) return known.reply;
    const trouble = this.trouble();
    if (trouble === "busy") return problem(503, "busy", { headers: { "Retry-After": "1" } });
    if (trouble === "unauthorized") return problem(401, "unauthorized");
    if (trouble === "before") return problem(502, "unreachable", { outcome: "not_applied" });
    const epoch = this.epoch;
    this.keys.set(key, { hash });
    await this.world.pause(this.world.integer(300));
    if (epoch !== this.epoch) throw new TypeError("the gateway was restarted");
    this.key = headers["Idempotency-Key"];
    const reply = this.#apply(decodeURIComponent(url.pathname), method, headers, body);
    // The upstream was too slow for the gateway, which asks again and then knows.
    if (trouble === "after") {
      this.keys.delete(key);
      this.world.after(1, () => this.keys.set(key, { hash, reply }));
      return problem(504, "timeout", { outcome: "unknown" });
    }
    this.keys.set(key, { hash, reply });
    return reply;
  }

  #apply(path, method, headers, body) {
    const operand = body === undefined ? undefined : JSON.parse(body);
    if (this.poison(operand)) return problem(422, "invalid", { errors: [{ pointer: "", detail: "poison" }] });
    if (method === "POST") {
      this.last += 1;
      const made = { ...operand, id: this.last };
      return this.#done(201, method, made.id, made, operand);
    }
    const [, , , , name] = path.split("/");
    const id = Number(name);
    const current = this.upstream.get(id);
    const version = this.versions.get(id) ?? 0;
    if (headers["If-None-Match"] === "*") {
      if (current) return problem(412, "precondition_failed", { current, cursor: this.cursor });
      if (method !== "PUT") return problem(404, "unknown_item");
    }
    const match = headers["If-Match"];
    if (!match && !headers["If-None-Match"] && this.conflict === "reject") return problem(428, "precondition_required");
    let base = current;
    if (match) {
      const [, epoch, sequence] = /^"(.+)-(\d+)"$/.exec(match) ?? [];
      const isCurrent = epoch === this.epoch && Number(sequence) >= version;
      if (!isCurrent && (this.conflict !== "merge" || epoch !== this.epoch)) {
        return problem(412, "precondition_failed", { current, cursor: this.cursor });
      }
      if (!isCurrent && this.conflict === "merge") base = this.#past(id, Number(sequence));
    }
    if (method === "DELETE") return current ? this.#done(204, method, id, undefined, id) : problem(404, "unknown_item");
    if (!current && !headers["If-None-Match"]) return problem(404, "unknown_item");
    const mine = method === "PUT" ? operand : merged(base, operand);
    const conflicts = [];
    const made = { ...current };
    if (this.conflict === "merge" && current) {
      for (const field of new Set([...Object.keys(base ?? {}), ...Object.keys(mine)])) {
        if (mine[field] === base?.[field]) continue;
        if (current[field] !== base?.[field] && current[field] !== mine[field]) {
          conflicts.push({ path: `/${field}`, base: base?.[field], theirs: current[field], mine: mine[field] });
        }
        if (mine[field] === undefined) delete made[field];
        else made[field] = mine[field];
      }
      if (conflicts.length) return problem(409, "conflict", { conflicts, current, cursor: this.cursor });
    }
    const now = this.conflict === "merge" && current ? made : mine;
    return this.#done(current ? 200 : 201, method, id, { ...now, id }, operand);
  }

  #done(status, method, id, item, operand) {
    this.effects.push({ method, id, operand: clone(operand), epoch: this.epoch, key: this.key });
    this.change(id, item);
    const fields = { "Freshet-Cursor": this.cursor };
    if (item) fields.ETag = `"${this.cursor}"`;
    if (status === 201) fields.Location = `/v1/items/orders/${id}`;
    return new Reply(status, item, fields);
  }
}
