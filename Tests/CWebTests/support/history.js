// A random history: pages that read and write, a gateway that restarts, a network that fails; and what must hold in each frame.

import assert from "node:assert/strict";
import { ModelGateway, Network } from "./model.js";
import { World } from "./world.js";

const fields = ["a", "b", "c"];

/** One page: a store, its writes, and the rules that its frames have to keep. */
export class Page {
  writes = [];
  broken = new Set();

  constructor(history, name, connect, mode, options = {}) {
    Object.assign(this, { history, name, connect, mode, options });
    this.network = new Network(history.world, history.gateway);
    this.network.lag = history.lag;
  }

  open() {
    this.client = this.connect("http://gateway", { fetch: this.network.fetch, tabs: false, ...this.options });
    this.store = this.client.source("orders", { mode: this.mode });
    this.stop = this.store.subscribe(() => {});
  }

  /** The items that are shown. */
  get items() {
    const { value } = this.store;
    if (value === undefined) return [];
    return this.mode === "items" ? [...value.values()] : value.orders;
  }

  item(id) { return this.items.find((one) => one.id === id); }

  complain(rule, what) {
    const text = `${rule}: ${this.name} ${what}`;
    this.broken.add(text);
  }

  note(promise, write) {
    Object.assign(write, { state: "pending", number: this.writes.length });
    this.writes.push(write);
    write.promise = promise;
    promise.then((result) => {
      write.state = "fulfilled";
      if (write.method === "POST") write.id = Number(result.key);
    }, (error) => {
      if (write.state !== "pending") this.complain("report", `${write.token} was refused twice`);
      write.state = error.outcome === "unknown" ? "unknown" : "refused";
      write.error = error;
      if (error.conflict) this.history.conflicts += 1;
    });
  }

  /** Does one thing to the store. */
  act() {
    const { world } = this.history;
    const token = `${this.name}${this.writes.length}`;
    const shown = this.items.filter((item) => item.id !== undefined);
    const kind = world.random();
    if (kind < 0.12) {
      if (this.store.value === undefined || !this.client.sourcesOf("orders")[0].shape) return undefined;
      const made = { made: token, a: token };
      return this.note(this.store.create(made), { method: "POST", token, made });
    }
    if (!shown.length) return undefined;
    const { id } = world.pick(shown);
    const item = this.store.item(id);
    // A page that does not know yet what the items are has none to write to.
    if (item.value === undefined) return undefined;
    if (kind < 0.17) {
      const made = this.item(id).made;
      for (const page of this.history.pages) {
        for (const write of page.writes) if (write.token === made) write.isTakenAway = true;
      }
      return this.note(item.remove(), { method: "DELETE", token, id });
    }
    const field = world.pick(fields);
    const text = world.chance(this.history.poison) ? `poison ${token}` : token;
    if (kind < 0.3) {
      const value = { ...this.item(id), [field]: text };
      return this.note(item.put(value), { method: "PUT", token: text, id, field, value });
    }
    return this.note(item.patch({ [field]: text }), { method: "PATCH", token: text, id, field });
  }

  // Whether another page that shares the queue, or this one before it was killed, may have written this or removed the item.
  isFromElsewhere(id, field, text) {
    const others = this.history.browser ? this.history.pages : [];
    return others.flatMap((page) => page.writes.filter((write) => page !== this || write.state === "lost"))
      .some((write) => write.id === id && (write.method === "DELETE" || write.token === text || write.value?.[field] === text));
  }

  // A gateway without a log forgets its keys when it restarts. A creation that is asked for again in just that moment, after
  // the stream was seen to be the old one, happens again; no client can know.
  isForgotten({ token }) {
    const made = this.history.gateway.effects.filter((effect) => effect.method === "POST" && effect.operand.made === token);
    return new Set(made.map((effect) => effect.epoch)).size === made.length && made.length > 1;
  }

  // A page that begins without a value, while it is not known whether an item was created, knows the item by its looks. Once
  // others have changed it, no client can tell it from theirs until the answer has come.
  isStrange(write) {
    const { upstream } = this.history.gateway;
    const there = [...upstream.values()].find((item) => item.made === write.token);
    return Boolean(this.history.browser) && write.state === "lost" && there && there.a !== write.made.a;
  }

  /** What must hold in a frame, which is what a browser draws when all that could run has run. */
  look() {
    if (!this.store || this.store.value === undefined) return;
    const { items } = this;
    const shown = new Map(items.map((item) => [item.id, item]));
    const pending = new Map();
    for (const write of this.writes) {
      if (write.method === "POST") {
        const count = items.filter((item) => item.made === write.token).length;
        const isKnown = this.isForgotten(write) || this.isStrange(write);
        if (count > 1 && !isKnown) this.complain("flash", `${write.token} is there ${count} times`);
        const isDue = write.state === "pending" && !write.isTakenAway;
        if (isDue && count === 0) this.complain("shown", `${write.token} is not there`);
        continue;
      }
      if (write.state === "pending") {
        const place = `${write.id}/${write.field ?? ""}`;
        // Of what is put the user wrote what differs from what was shown; the rest may be merged.
        if (write.method !== "DELETE") pending.set(place, write.token);
        else for (const name of fields) pending.delete(`${write.id}/${name}`);
        pending.set(`${write.id}/`, write.method === "DELETE" ? undefined : write.token);
      }
    }
    for (const [place, text] of pending) {
      const [id, field] = place.split("/");
      const item = shown.get(Number(id));
      if (!field) {
        const isOff = (text === undefined) !== (item === undefined);
        if (isOff && !this.isFromElsewhere(Number(id))) this.complain("shown", `${place} is ${JSON.stringify(item)}`);
        continue;
      }
      const now = item?.[field];
      // Or what came after it: the answer to a later write tells it before the stream does.
      const texts = this.history.gateway.history.get(place) ?? [];
      const isNewer = texts.includes(text) && texts.lastIndexOf(now) > texts.indexOf(text);
      const isOff = item && now !== text && !isNewer && !this.isFromElsewhere(Number(id), field, now);
      if (isOff) this.complain("shown", `${place} is ${now}, not ${text}`);
    }
    for (const write of this.writes) {
      if (write.state !== "fulfilled" || !write.field) continue;
      const item = shown.get(write.id);
      if (!item || pending.has(`${write.id}/${write.field}`)) continue;
      const texts = this.history.gateway.history.get(`${write.id}/${write.field}`) ?? [];
      const own = texts.indexOf(write.token);
      const now = texts.lastIndexOf(item[write.field]);
      // A write of another page to an item that is gone brings along what that page saw of it.
      if (this.history.browser && !this.history.gateway.upstream.has(write.id)) continue;
      const isOlder = now < own && !this.isFromElsewhere(write.id, write.field, item[write.field]);
      if (isOlder) this.complain("older", `${write.id}/${write.field} is ${item[write.field]} after ${write.token}`);
    }
  }

  /** How often a write had its effect. */
  effectsOf({ promise }) { return this.history.gateway.effects.filter(({ key }) => key.startsWith(promise.id)).length; }

  /** What must hold when all is quiet. */
  judge() {
    const { gateway } = this.history;
    const shown = [...this.items].sort((a, b) => a.id - b.id);
    const there = [...gateway.upstream.values()].sort((a, b) => a.id - b.id);
    try {
      assert.deepEqual(shown, there);
    } catch {
      this.complain("diverged", `${JSON.stringify(shown)} is not ${JSON.stringify(there)}`);
    }
    for (const write of this.writes) {
      const count = this.effectsOf(write);
      if (count > 1 && this.isForgotten(write)) this.history.forgotten += 1;
      else if (count > 1) this.complain("twice", `${write.method} ${write.token}: ${count} effects`);
      if (write.state === "pending") this.complain("unsettled", `${write.method} ${write.token}`);
      if (write.method === "DELETE") continue;
      if (write.state === "fulfilled" && count === 0) this.complain("verdict", `${write.token} fulfilled, no effect`);
      if (write.state === "refused" && count > 0) this.complain("verdict", `${write.token} refused, ${count} effects`);
    }
  }
}

export class History {
  conflicts = 0;
  forgotten = 0;
  poison = 0;

  constructor(seed) {
    const world = this.world = new World(seed);
    world.install();
    this.gateway = new ModelGateway(world, [1, 2, 3].map((id) => ({ id, a: `a${id}`, b: `b${id}`, c: `c${id}` })));
    this.lag = () => (world.chance(0.3) ? world.integer(2000) : world.integer(60));
  }

  /** Pages that act for a while, what happens to them, and then quiet. `happen` does one thing of its own. */
  async run(pages, { steps = 40, happen = () => {}, rest = () => [], quiet = 3 * 3600_000 } = {}) {
    const { world, gateway } = this;
    this.pages = pages;
    const look = () => pages.forEach((page) => page.client && page.look());
    pages.forEach((page) => page.open());
    await world.run(5000, look);
    for (let step = 0; step < steps; step += 1) {
      const page = world.pick(pages);
      if (world.chance(0.6)) page.act();
      else if (world.chance(0.4)) this.other(step);
      else happen(step);
      await world.run(world.integer(world.chance(0.2) ? 6000 : 400), look);
    }
    gateway.trouble = () => undefined;
    this.isOnline = true;
    for (const page of pages) {
      Object.assign(page.network, { isOnline: true, loss: 0 });
      if (!page.client) page.open();
      if (page.tab) this.browser.show(page.tab, true);
    }
    const isQuiet = () => pages.every((page) => !page.client.outbox.records.length);
    await world.run(quiet, look, isQuiet);
    await world.run(120_000, look);
    pages.forEach((page) => page.judge());
    const found = [...pages.flatMap((page) => [...page.broken]), ...rest()];
    pages.forEach((page) => page.client.close());
    await world.settle();
    World.restore();
    return found;
  }

  /** Somebody else writes. */
  other(step) {
    const { world, gateway } = this;
    const ids = [...gateway.upstream.keys()];
    if (!ids.length || world.chance(0.1)) {
      gateway.last += 1;
      return gateway.change(gateway.last, { id: gateway.last, a: `o${step}` });
    }
    const id = world.pick(ids);
    if (world.chance(0.08)) return gateway.change(id, undefined);
    return gateway.change(id, { ...gateway.upstream.get(id), [world.pick(fields)]: `o${step}` });
  }
}
