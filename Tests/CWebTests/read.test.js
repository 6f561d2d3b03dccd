// Reading: one truth for each source, whatever the stream does.

import assert from "node:assert/strict";
import { test } from "node:test";
import { connect } from "../../Sources/CWeb/client/freshet.js";
import { scripted } from "./support/script.js";

const open = (script, options) => connect("http://gateway/", { fetch: script.fetch, tabs: false, ...options });
const seen = (store) => {
  const values = [];
  store.subscribe((value) => values.push(value));
  return values;
};
const at = "2026-01-01T00:00:00Z";

test("a patch changes what it names, and what it does not is the same object", scripted(async (script) => {
  const store = open(script).source("orders");
  const values = seen(store);
  assert.deepEqual([store.value, store.state], [undefined, "connecting"]);
  await script.run();
  const value = { orders: [{ id: 1, tags: ["x"] }, { id: 2 }], note: { a: 1 } };
  script.line.snapshots({ orders: value }, "e-1");
  await script.run();
  script.line.event("patch", { source: "orders", at, patch: [{ op: "add", path: "/orders/1/done", value: true }] }, "e-2");
  await script.run();
  assert.deepEqual(values, [undefined, value, { ...value, orders: [value.orders[0], { id: 2, done: true }] }]);
  assert.equal(values[1].orders[0], values[2].orders[0]);
  assert.equal(values[1].note, values[2].note);
  assert.notEqual(values[1].orders[1], values[2].orders[1]);
  assert.equal(store.state, "live");
  assert.deepEqual(store.at, new Date(at));
}));

test("a snapshot in the place of a patch keeps what is equal; one that is equal is no change", scripted(async (script) => {
  const values = seen(open(script).source("a"));
  await script.run();
  script.line.snapshots({ a: [{ id: 1 }, { id: 2 }, { id: 3 }] }, "e-1");
  script.line.event("snapshot", { source: "a", at, value: [{ id: 0 }, { id: 1 }, { id: 2 }, { id: 3 }] }, "e-2");
  script.line.event("snapshot", { source: "a", at, value: [{ id: 0 }, { id: 1 }, { id: 2 }, { id: 3 }] }, "e-3");
  await script.run();
  assert.equal(values.length, 3);
  assert.deepEqual(values[1].map((item) => values[2].includes(item)), [true, true, true]);
}));

test("all four modes come to the same value", scripted(async (script) => {
  const client = open(script);
  const stores = ["patch", "merge", "snapshot", "items"].map((mode) => client.source("orders", { mode }));
  script.shapes.orders = { items: "/orders", key: "/id" };
  const calls = stores.map(seen);
  await script.run();
  assert.equal(script.open.length, 4);
  for (const line of script.open) {
    const mode = line.url.searchParams.get("mode");
    line.snapshots({ orders: { orders: [{ id: 1 }, { id: 2 }] } }, "e-1");
    const now = { orders: [{ id: 1, a: 1 }, { id: 3 }] };
    const change = {
      patch: { patch: [{ op: "add", path: "/orders/0/a", value: 1 }, { op: "replace", path: "/orders/1", value: { id: 3 } }] },
      merge: { merge: now }, snapshot: { value: now },
      items: { items: { created: [{ id: 3 }], updated: [{ id: 1, a: 1 }], deleted: [2] } },
    };
    line.event(mode, { source: "orders", at, ...change[mode] }, "e-2");
  }
  await script.run();
  for (const store of stores.slice(0, 3)) assert.deepEqual(store.value, { orders: [{ id: 1, a: 1 }, { id: 3 }] });
  assert.deepEqual([...stores[3].value], [["1", { id: 1, a: 1 }], ["3", { id: 3 }]]);
  assert.deepEqual([stores[3].value.size, stores[3].value.has("2"), stores[3].value.get("3")], [2, false, { id: 3 }]);
  for (const store of stores) assert.deepEqual(store.item(1).value, { id: 1, a: 1 });
  assert.deepEqual(calls.map((values) => values.length), [3, 3, 3, 3]);
}));

test("items of an object are known by their names", scripted(async (script) => {
  const store = open(script).source("rates", { mode: "items" });
  script.shapes.rates = { items: "/rates", key: null };
  seen(store);
  await script.run();
  script.line.snapshots({ rates: { rates: { USD: 1.1, CHF: 0.9 } } }, "e-1");
  const items = { created: [], updated: [{ key: "USD", value: 1.2 }], deleted: ["CHF"] };
  script.line.event("items", { source: "rates", at, items }, "e-2");
  await script.run();
  assert.deepEqual([...store.value], [["USD", 1.2]]);
}));

test("sources share one stream, and one that comes later joins it without a gap", scripted(async (script) => {
  const client = open(script);
  const [a, b] = [seen(client.source("a")), seen(client.source("b"))];
  await script.run();
  assert.deepEqual(script.open.map((line) => line.sources), [["a", "b"]]);
  script.line.snapshots({ a: 1, b: 1 }, "e-5");
  await script.run();
  const c = seen(client.source("c"));
  await script.run();
  assert.deepEqual(script.open.map((line) => line.sources), [["a", "b"], ["c"]]);
  script.open[0].event("snapshot", { source: "a", at, value: 2 }, "e-9");
  script.open[1].snapshots({ c: 1 }, "e-7");
  await script.run();
  // From the least cursor: what some of them have they ignore.
  assert.deepEqual(script.open.map((line) => [line.sources, line.since]), [[["a", "b", "c"], "e-7"]]);
  script.line.hello("e-9");
  script.line.event("snapshot", { source: "c", at, value: 2 }, "e-8");
  script.line.event("snapshot", { source: "a", at, value: "stale" }, "e-9");
  script.line.event("snapshot", { source: "b", at, value: 3 }, "e-10");
  await script.run();
  assert.deepEqual([a, b, c], [[undefined, 1, 2], [undefined, 1, 3], [undefined, 1, 2]]);
}));

test("a source that nobody listens to any more leaves the stream after a while", scripted(async (script) => {
  const client = open(script);
  seen(client.source("a"));
  const stop = client.source("b").subscribe(() => {});
  await script.run();
  script.line.snapshots({ a: 1, b: 1 }, "e-1");
  await script.run();
  stop();
  await script.run(1000);
  assert.deepEqual(script.open.map((line) => line.sources), [["a", "b"]]);
  await script.run(10_000);
  assert.deepEqual(script.open.map((line) => [line.sources, line.since]), [[["a"], "e-1"]]);
}));

test("a stream that ends is resumed where it was; a gap brings snapshots", scripted(async (script) => {
  const store = open(script).source("a");
  const values = seen(store);
  const states = [];
  store.onState(({ state, reason }) => states.push([state, reason]));
  await script.run();
  script.line.snapshots({ a: 1 }, "e-1");
  script.line.event("checkpoint", { source: "a" }, "e-4");
  await script.run();
  script.line.cut();
  await script.run(2000);
  assert.equal(script.line.since, "e-4");
  script.line.hello("f-2");
  script.line.event("gap", { reason: "epoch" });
  script.line.event("snapshot", { source: "a", at, value: 2 }, "f-2");
  await script.run();
  assert.deepEqual(values, [undefined, 1, 2]);
  assert.deepEqual(states, [["connecting", ""], ["live", ""], ["offline", "cut"], ["live", ""]]);
  script.line.close();
  await script.run(2000);
  assert.equal(script.line.since, "f-2");
}));

test("cut off between the snapshots of a gap, it begins anew", scripted(async (script) => {
  const client = open(script);
  const [a, b] = [seen(client.source("a")), seen(client.source("b"))];
  await script.run();
  script.line.snapshots({ a: 1, b: 1 }, "e-5");
  script.line.event("gap", { reason: "evicted" });
  script.line.event("snapshot", { source: "a", at, value: 2 }, "e-0");
  await script.run();
  script.line.cut();
  await script.run(2000);
  assert.equal(script.line.since, "e-0");
  script.line.hello("e-9");
  script.line.event("snapshot", { source: "a", at, value: 3 }, "e-0");
  script.line.event("snapshot", { source: "b", at, value: 3 }, "e-9");
  await script.run();
  assert.deepEqual([a, b], [[undefined, 1, 2, 3], [undefined, 1, 3]]);
}));

test("a patch that does not fit brings a snapshot, and nothing that is half done", scripted(async (script) => {
  const values = seen(open(script).source("a"));
  await script.run();
  script.line.snapshots({ a: { n: 1 } }, "e-1");
  const patch = [{ op: "replace", path: "/n", value: 2 }, { op: "remove", path: "/not/there" }];
  script.line.event("patch", { source: "a", at, patch }, "e-2");
  await script.run(2000);
  assert.equal(script.line.since, null);
  script.line.snapshots({ a: { n: 3 } }, "e-2");
  await script.run();
  assert.deepEqual(values, [undefined, { n: 1 }, { n: 3 }]);
}));

test("what is denied or gone keeps nothing else from being read, and is tried again", scripted(async (script) => {
  Object.assign(script.refusals, { secret: 401, nothing: 404 });
  const client = open(script);
  const stores = ["a", "secret", "nothing"].map((name) => client.source(name));
  stores.forEach(seen);
  await script.run();
  await script.run(1);
  assert.deepEqual(script.open.map((line) => line.sources), [["a"]]);
  script.line.snapshots({ a: 1 }, "e-1");
  await script.run();
  assert.deepEqual(stores.map((store) => store.state), ["live", "denied", "gone"]);
  script.refusals = {};
  await script.run(61_000);
  assert.deepEqual(new Set(script.open.flatMap((line) => line.sources)), new Set(["a", "secret", "nothing"]));
}));

test("status says what troubles a live source, and that one was removed", scripted(async (script) => {
  const store = open(script).source("a");
  seen(store);
  await script.run();
  script.line.snapshots({ a: 1 }, "e-1");
  script.line.event("status", { source: "a", state: "failing", error: { message: "refused" } });
  await script.run();
  assert.deepEqual([store.state, store.reason], ["live", "refused"]);
  script.line.event("status", { source: "a", state: "ok" });
  await script.run();
  assert.deepEqual([store.state, store.reason], ["live", ""]);
  script.line.event("status", { source: "a", state: "removed" });
  await script.run();
  assert.equal(store.state, "gone");
}));

test("the wait before a reconnect grows, with jitter; bye and Retry-After are obeyed", scripted(async (script) => {
  const store = open(script).source("a");
  seen(store);
  await script.run();
  script.line.snapshots({ a: 1 }, "e-1");
  script.line.say("retry: 7000\n\n");
  script.line.event("bye", { reason: "drain" });
  script.line.close();
  await script.run(6999);
  assert.deepEqual([script.open.length, store.reason], [0, "drain"]);
  await script.run(1);
  assert.equal(script.open.length, 1);
  script.line.hello("e-1");
  script.isDown = true;
  await script.run();
  script.line.cut();
  const times = [];
  for (let count = script.requests.length, step = 0; step < 4000; step += 1) {
    await script.run(100);
    if (script.requests.length > count) times.push(script.world.now);
    count = script.requests.length;
  }
  const waits = times.slice(1).map((time, index) => time - times[index]);
  assert.ok(waits.length > 12 && Math.max(...waits) <= 30_100, `${waits}`);
  assert.ok(new Set(waits).size > waits.length / 2 && waits.some((wait) => wait > 10_000), `${waits}`);
  script.isDown = false;
  script.answer = (method, url) => (url.pathname.startsWith("/v1/streams") ? [503, {}, { "Retry-After": "60" }] : undefined);
  await script.run(31_000);
  const count = script.requests.length;
  await script.run(59_000);
  assert.equal(script.requests.length, count);
  script.answer = undefined;
  await script.run(95_000);
  assert.deepEqual([script.open.length, store.state], [1, "offline"]);
}));

test("a stream that is silent for longer than its heartbeats is opened again", scripted(async (script) => {
  seen(open(script).source("a"));
  await script.run();
  script.line.snapshots({ a: 1 }, "e-1");
  for (let beat = 0; beat < 10; beat += 1) {
    await script.run(15_000);
    script.line.say(":\n\n");
  }
  assert.equal(script.lines.length, 1);
  await script.run(60_000);
  assert.ok(script.lines.length > 1 && !script.lines[0].isOpen);
}));

test("a token goes as a field, is asked for each time, and another identity sees nothing", scripted(async (script) => {
  let token = "one";
  const client = open(script, { token: async () => token });
  const store = client.source("a");
  const values = seen(store);
  await script.run();
  assert.equal(script.line.init.headers.Authorization, "Bearer one");
  script.line.snapshots({ a: "of one" }, "e-1");
  await script.run();
  token = "renewed";
  script.line.event("bye", { reason: "expired" });
  script.line.close();
  await script.run(10);
  assert.deepEqual([script.line.init.headers.Authorization, script.line.since], ["Bearer renewed", "e-1"]);
  token = "two";
  script.me = { id: "other", kind: "key" };
  script.line.cut();
  await script.run(2000);
  assert.deepEqual([values, store.value], [[undefined, "of one", undefined], undefined]);
  assert.deepEqual(script.open.map((line) => [line.init.headers.Authorization, line.since]), [["Bearer two", null]]);
}));

test("another identity sees no items, and listeners of items are told", scripted(async (script) => {
  let token = "one";
  script.shapes.orders = { items: "", key: "/id" };
  const store = open(script, { token: () => token }).source("orders", { mode: "items" });
  const [sizes, items] = [[], []];
  store.subscribe((value) => sizes.push(value?.size));
  store.item(1).subscribe((item) => items.push(item?.a));
  await script.run();
  script.line.snapshots({ orders: [{ id: 1, a: "of one" }] }, "e-1");
  await script.run();
  token = "two";
  script.me = { id: "other", kind: "key" };
  script.line.cut();
  await script.run(2000);
  assert.deepEqual([sizes, items, store.value], [[undefined, 1, undefined], [undefined, "of one", undefined], undefined]);
}));

test("what was written and then came is the same object, and is told once", scripted(async (script) => {
  script.shapes.orders = { items: "", key: "/id" };
  const client = open(script);
  const stores = ["items", "patch"].map((mode) => client.source("orders", { mode }));
  const calls = stores.map((store) => {
    const values = [];
    store.item(1).subscribe((item) => values.push(item));
    return values;
  });
  script.answer = (method) => (method === "PATCH" ? [200, { id: 1, a: "b" }, { "Freshet-Cursor": "e-2" }] : undefined);
  await script.run();
  for (const line of script.open) line.snapshots({ orders: [{ id: 1, a: "a" }] }, "e-1");
  await script.run();
  const write = stores[0].item(1).patch({ a: "b" });
  await script.run();
  for (const line of script.open) {
    const isItems = line.url.searchParams.get("mode") === "items";
    const change = isItems ? { items: { created: [], updated: [{ id: 1, a: "b" }], deleted: [] } }
      : { patch: [{ op: "replace", path: "/0/a", value: "b" }] };
    line.event(isItems ? "items" : "patch", { source: "orders", at, ...change }, "e-2");
  }
  await script.run();
  assert.equal((await write).status, 200);
  for (const values of calls) assert.deepEqual(values, [undefined, { id: 1, a: "a" }, { id: 1, a: "b" }]);
  assert.equal(client.outbox.records.length, 0);
}));

test("who is not known is denied, until a token is", scripted(async (script) => {
  script.me = undefined;
  const client = open(script, { token: () => "stale" });
  const store = client.source("a");
  seen(store);
  await script.run();
  assert.deepEqual([store.state, store.reason, script.open.length], ["denied", "who are you", 0]);
  script.me = { id: "me", kind: "key" };
  client.retry();
  await script.run();
  assert.equal(script.open.length, 1);
}));

class Events {
  static made = [];
  listeners = {};

  constructor(url, init) {
    Object.assign(this, { url: new URL(url), init });
    Events.made.push(this);
  }

  addEventListener(type, listener) { this.listeners[type] = listener; }
  say(type, data, lastEventId = "") { this.listeners[type]({ data: JSON.stringify(data), lastEventId }); }
  close() { this.isClosed = true; }
}

test("an EventSource with a token gets tickets; where there are none fetch takes its place", scripted(async (script) => {
  Events.made = [];
  let tickets = 0;
  script.answer = (method, url) => (url.pathname === "/v1/tickets" ? [200, { ticket: `t/${(tickets += 1)}` }] : undefined);
  const store = open(script, { token: "secret", EventSource: Events }).source("a");
  const values = seen(store);
  await script.run();
  const [first] = Events.made;
  assert.equal(first.url.searchParams.get("ticket"), "t/1");
  assert.ok(!first.url.href.includes("secret"));
  const asked = script.requests.find((one) => one.path === "/v1/tickets");
  assert.deepEqual([asked.init.body, asked.init.headers.Authorization], ['{"sources":"a"}', "Bearer secret"]);
  // With a ticket hello has an id too, and all ids a suffix; an event without one shows that of the event before.
  first.say("hello", { cursor: "e-3", heartbeat: 15 }, "e-3.mac");
  first.say("snapshot", { source: "a", at, value: 1 }, "e-4.mac");
  first.say("status", { source: "a", state: "ok" }, "e-4.mac");
  first.say("snapshot", { source: "a", at, value: 2 }, "e-5.mac");
  assert.deepEqual([values, store.state], [[undefined, 1, 2], "live"]);
  first.listeners.error({});
  await script.run(3000);
  assert.deepEqual([first.isClosed, Events.made.length], [true, 2]);
  const query = Events.made[1].url.searchParams;
  assert.deepEqual([query.get("ticket"), query.get("since")], ["t/2", "e-5"]);
  script.answer = undefined;
  Events.made[1].listeners.error({});
  await script.run(10_000);
  assert.equal(Events.made.length, 2);
  assert.equal(script.line.init.headers.Authorization, "Bearer secret");
}));

test("an EventSource that is refused is asked about", scripted(async (script) => {
  Events.made = [];
  script.refusals.a = 404;
  const store = open(script, { EventSource: Events }).source("a");
  seen(store);
  await script.run();
  Events.made[0].listeners.error({});
  await script.run(100);
  assert.equal(store.state, "gone");
}));

test("a signal and close() end everything", scripted(async (script) => {
  const controller = new AbortController();
  const store = open(script, { signal: controller.signal }).source("a");
  seen(store);
  await script.run();
  script.line.snapshots({ a: 1 }, "e-1");
  await script.run();
  controller.abort();
  const count = script.requests.length;
  await script.run(120_000);
  assert.deepEqual([script.open.length, script.requests.length - count, store.state, store.value], [0, 0, "offline", 1]);
}));

test("a listener that throws keeps no other from its value", scripted(async (script) => {
  const store = open(script).source("a");
  store.subscribe((value) => { if (value) throw new Error("mine"); });
  const values = seen(store);
  await script.run();
  script.line.snapshots({ a: 1 }, "e-1");
  await assert.rejects(script.run(), /mine/);
  assert.deepEqual(values, [undefined, 1]);
}));

test("one change among 100,000 items costs what one item costs, and tells those of that item", scripted(async (script) => {
  const count = 100_000;
  script.shapes.big = { items: "", key: "/id" };
  const store = open(script).source("big", { mode: "items" });
  let told = 0;
  for (let id = 0; id < count; id += 1) store.item(id).subscribe(() => { told += 1; });
  const views = seen(store);
  await script.run();
  script.line.snapshots({ big: Array.from({ length: count }, (_, id) => ({ id, n: 0 })) }, "e-1");
  await script.run();
  assert.deepEqual([told, store.value.size], [2 * count, count]);
  told = 0;
  // Every look into a map or set, and every step through one, is counted.
  let looks = 0;
  const steps = Object.getPrototypeOf(new Map().entries());
  const setSteps = Object.getPrototypeOf(new Set().values());
  const counted = [
    ...["get", "set", "has", "delete"].map((name) => [Map.prototype, name]), [Set.prototype, "add"], [Set.prototype, "has"],
    [steps, "next"], [setSteps, "next"], [Array.prototype, "slice"], [Array.prototype, "map"],
  ].map(([home, name]) => [home, name, home[name]]);
  for (const [home, name, original] of counted) {
    home[name] = function counting(...all) {
      looks += name === "slice" || name === "map" ? this.length : 1;
      return original.apply(this, all);
    };
  }
  script.line.event("items", { source: "big", at, items: { created: [], updated: [{ id: 7, n: 1 }], deleted: [] } }, "e-2");
  await script.run();
  for (const [home, name, original] of counted) home[name] = original;
  assert.deepEqual([told, store.item(7).value.n, views.length, views[2].get("7").n], [1, 1, 3, 1]);
  assert.notEqual(views[1], views[2]);
  assert.ok(looks < 300, `${looks} looks`);
}));
