// Pages of one browser: one connection for all, values and writes that outlive a page, and nothing of one user for another.

import assert from "node:assert/strict";
import { test } from "node:test";
import { connect as connectOffline } from "../../Sources/CWeb/client/offline.js";
import { connect } from "../../Sources/CWeb/client/freshet.js";
import { Browser } from "./support/browser.js";
import { ModelGateway, Network } from "./support/model.js";
import { World } from "./support/world.js";

/** A browser and a gateway; pages that show `orders`. */
class Scene {
  constructor() {
    this.world = new World(1);
    this.world.install();
    this.browser = new Browser(this.world);
    this.browser.install();
    this.gateway = new ModelGateway(this.world, [{ id: 1, a: "a1" }, { id: 2, a: "a2" }]);
    this.networks = [];
  }

  open(options = {}, make = connectOffline) {
    const network = new Network(this.world, this.gateway);
    network.isOnline = this.isOnline ?? true;
    network.lag = () => 5;
    this.networks.push(network);
    const tab = this.browser.open(() => {
      const client = make("http://gateway", { fetch: network.fetch, ...options });
      const store = client.source("orders", { mode: "items" });
      store.subscribe(() => {});
      return { client, store };
    });
    const { client, store } = tab.result;
    return { tab, client, store, network, run: (action) => this.browser.run(tab, action) };
  }

  setOnline(isOnline) {
    this.isOnline = isOnline;
    for (const network of this.networks) {
      network.isOnline = isOnline;
      if (!isOnline) network.cut();
    }
  }

  kill(page) {
    this.browser.kill(page.tab);
    page.network.cut();
    this.networks = this.networks.filter((network) => network !== page.network);
  }

  run(duration = 3000) { return this.world.run(duration); }
  get connections() { return this.networks.reduce((sum, network) => sum + network.connections.size, 0); }
  stored(name) { return [...[...this.browser.databases.values()][0].stores.get(name).entries()]; }
}

const scene = (action) => async () => {
  const made = new Scene();
  try {
    await action(made);
  } finally {
    Browser.restore();
    World.restore();
  }
};

const shown = (store) => store.value && [...store.value.values()];
const settled = (promise) => promise.then((value) => ({ value }), (error) => ({ error }));

for (const [name, make] of [["freshet.js", connect], ["offline.js", connectOffline]]) {
  test(`${name}: one page holds the connection for all; when it dies or hides another takes over`, scene(async (it) => {
    const pages = [it.open({}, make), it.open({}, make), it.open({}, make)];
    await it.run();
    assert.equal(it.connections, 1);
    for (const page of pages) assert.deepEqual([page.store.state, shown(page.store).length], ["live", 2]);
    it.gateway.change(1, { id: 1, a: "x" });
    await it.run();
    for (const page of pages) assert.equal(page.store.item(1).value.a, "x");
    const leader = pages.find((page) => page.client.tabs.isLeader);
    it.kill(leader);
    it.gateway.change(1, { id: 1, a: "y" });
    await it.run();
    const left = pages.filter((page) => page !== leader);
    assert.equal(it.connections, 1);
    for (const page of left) assert.deepEqual([page.store.item(1).value.a, page.store.state], ["y", "live"]);
    const second = left.find((page) => page.client.tabs.isLeader);
    it.browser.show(second.tab, false);
    await it.run(9000);
    assert.ok(second.client.tabs.isLeader);
    await it.run(5000);
    const third = left.find((page) => page !== second);
    assert.deepEqual([second.client.tabs.isLeader, third.client.tabs.isLeader, it.connections], [false, true, 1]);
    it.gateway.change(1, { id: 1, a: "z" });
    await it.run();
    for (const page of left) assert.equal(page.store.item(1).value.a, "z");
    // Where all are hidden nobody needs a connection.
    it.browser.show(third.tab, false);
    await it.run(15_000);
    assert.equal(it.connections, 0);
    it.gateway.change(1, { id: 1, a: "back" });
    it.browser.show(second.tab, true);
    await it.run();
    assert.equal(second.store.item(1).value.a, "back");
  }));
}

test("a page without network opens with what it knew and says how old that is", scene(async (it) => {
  it.gateway.change(1, { id: 1, a: "x" });
  const first = it.open({ token: "secret" });
  await it.run(10_000);
  const seen = it.world.now;
  it.kill(first);
  it.setOnline(false);
  await it.run(3600_000);
  const page = it.open({ token: "secret" });
  await it.run();
  assert.deepEqual(shown(page.store), [{ id: 1, a: "x" }, { id: 2, a: "a2" }]);
  assert.equal(page.store.state, "offline");
  const age = it.world.now - Number(page.store.asOf);
  assert.ok(age >= 3600_000 && Number(page.store.asOf) <= seen, `${age}`);
  it.gateway.change(2, { id: 2, a: "y" });
  it.setOnline(true);
  await it.run(60_000);
  assert.deepEqual([shown(page.store), page.store.state], [[{ id: 1, a: "x" }, { id: 2, a: "y" }], "live"]);
}));

test("a thousand writes without network survive a reload and a killed page, in the order of each item", scene(async (it) => {
  for (let id = 3; id <= 20; id += 1) it.gateway.change(id, { id, a: `a${id}` });
  it.gateway.conflict = "overwrite";
  const page = it.open({ token: "secret" });
  await it.run();
  it.setOnline(false);
  await it.run();
  const kept = [];
  page.run(() => {
    for (let n = 0; n < 1000; n += 1) {
      const promise = page.store.item(1 + (n % 20)).patch({ a: `w${n}` });
      promise.catch(() => {});
      kept.push(promise.kept);
    }
  });
  await it.run(20_000);
  await Promise.all(kept);
  it.kill(page);
  const second = it.open({ token: "secret" });
  await it.run();
  assert.deepEqual(shown(second.store).map((item) => item.a), Array.from({ length: 20 }, (_, index) => `w${980 + index}`));
  it.kill(second);
  const third = it.open({ token: "secret" });
  it.setOnline(true);
  await it.run(600_000);
  assert.equal(third.client.outbox.records.length, 0);
  for (let id = 1; id <= 20; id += 1) {
    const numbers = it.gateway.effects.filter((effect) => effect.id === id).map((effect) => Number(effect.operand.a.slice(1)));
    assert.equal(numbers.length, 50);
    assert.deepEqual(numbers, [...numbers].sort((a, b) => a - b));
  }
  await it.run(10_000);
  assert.deepEqual(it.stored("writes"), []);
}));

test("two pages drain once", scene(async (it) => {
  it.gateway.conflict = "overwrite";
  const pages = [it.open(), it.open()];
  await it.run();
  it.setOnline(false);
  await it.run();
  const results = pages.flatMap((page, index) => page.run(() => Array.from({ length: 20 }, (_, n) =>
    settled(page.store.item(1 + (n % 2)).patch({ [`p${index}`]: n })))));
  await it.run();
  assert.deepEqual(pages.map((page) => page.store.item(2).value), Array(2).fill({ id: 2, a: "a2", p0: 19, p1: 19 }));
  it.setOnline(true);
  await it.run(120_000);
  assert.equal((await Promise.all(results)).filter(({ value }) => value).length, 40);
  assert.equal(it.gateway.effects.length, 40);
}));

test("a write that is refused is parked with its item's followers and holds up nobody else", scene(async (it) => {
  it.gateway.conflict = "overwrite";
  it.gateway.poison = (operand) => operand?.a === "poison";
  const page = it.open();
  await it.run();
  const parked = [];
  page.run(() => page.client.onParked((list) => parked.push(list.length)));
  const results = page.run(() => ["poison", "after"].map((a) => settled(page.store.item(1).patch({ a })))
    .concat(settled(page.store.item(2).patch({ a: "fine" }))));
  await it.run(10_000);
  const [poison, after, fine] = await Promise.all(results);
  assert.deepEqual([poison.error.status, after.error.code, fine.value.status], [422, "not_sent", 200]);
  assert.deepEqual(shown(page.store), [{ id: 1, a: "a1" }, { id: 2, a: "fine" }]);
  it.kill(page);
  const again = it.open();
  await it.run();
  assert.deepEqual(again.client.parked.map((one) => [one.key, one.value, one.problem.code]), [
    ["1", { a: "poison" }, "invalid"], ["1", { a: "after" }, "not_sent"],
  ]);
  const retried = again.run(() => settled(again.client.parked[1].retry()));
  again.run(() => again.client.parked[0].discard());
  await it.run(10_000);
  assert.equal((await retried).value.status, 200);
  assert.deepEqual([again.client.parked, it.gateway.upstream.get(1).a, it.stored("writes")], [[], "after", []]);
}));

test("a 401 loses nothing", scene(async (it) => {
  it.gateway.conflict = "overwrite";
  let token = "good";
  it.gateway.identityOf = (given) => (given === "good" ? { id: "alice", kind: "key" } : undefined);
  const page = it.open({ token: () => token });
  await it.run();
  token = "ended";
  page.network.cut();
  await it.run();
  const results = page.run(() => [1, 2].map((id) => settled(page.store.item(id).patch({ a: "kept" }))));
  await it.run(120_000);
  assert.deepEqual([page.store.state, it.gateway.effects.length], ["denied", 0]);
  assert.deepEqual(shown(page.store).map((item) => item.a), ["kept", "kept"]);
  token = "good";
  page.run(() => page.client.retry());
  await it.run(60_000);
  assert.deepEqual((await Promise.all(results)).map(({ value }) => value.status), [200, 200]);
}));

test("another user sees and sends nothing of the first, whose writes wait", scene(async (it) => {
  it.gateway.conflict = "overwrite";
  it.gateway.identityOf = (token) => ({ id: token, kind: "key" });
  const senders = [];
  const { answer } = it.gateway;
  it.gateway.answer = (url, init, network) => {
    if (init.method === "PATCH") senders.push(init.headers.Authorization);
    return answer.call(it.gateway, url, init, network);
  };
  const alice = it.open({ token: "alice" });
  await it.run();
  it.setOnline(false);
  await it.run();
  const first = alice.run(() => alice.store.item(1).patch({ a: "alice's" }));
  first.catch(() => {});
  await it.run();
  it.kill(alice);
  // Without network nobody but alice sees what was hers.
  const bob = it.open({ token: "bob" });
  await it.run();
  assert.deepEqual([bob.store.value, bob.client.outbox.records], [undefined, []]);
  it.setOnline(true);
  await it.run(120_000);
  assert.deepEqual([shown(bob.store)[0].a, senders], ["a1", []]);
  it.kill(bob);
  // The same page, in which somebody else signs in.
  let token = "alice";
  const page = it.open({ token: () => token });
  await it.run(30_000);
  assert.deepEqual(senders, ["Bearer alice"]);
  it.setOnline(false);
  const second = page.run(() => settled(page.store.item(2).patch({ a: "hers too" })));
  await it.run(5000);
  token = "bob";
  it.setOnline(true);
  await it.run(120_000);
  assert.equal((await second).error.outcome, "kept");
  assert.deepEqual([senders, shown(page.store)[1].a], [["Bearer alice"], "a2"]);
  token = "alice";
  page.network.cut();
  await it.run(120_000);
  assert.deepEqual([senders, it.gateway.upstream.get(2).a], [["Bearer alice", "Bearer alice"], "hers too"]);
}));

test("a full storage refuses the new write, and says so", scene(async (it) => {
  const page = it.open();
  await it.run(10_000);
  it.browser.isFull = true;
  const write = page.run(() => page.store.item(1).patch({ a: "lost?" }));
  const [result, kept] = [settled(write), settled(write.kept)];
  await it.run();
  assert.deepEqual([(await result).error.code, (await kept).error.name], ["not_kept", "QuotaExceededError"]);
  assert.deepEqual([shown(page.store)[0].a, it.gateway.effects, page.client.parked], ["a1", [], []]);
}));

test("a storage of a later version is left alone: values are shown, and writes refused", scene(async (it) => {
  it.browser.databases.set("freshet http://gateway", { version: 99, stores: new Map() });
  const page = it.open();
  await it.run();
  const result = page.run(() => settled(page.store.item(1).patch({ a: "x" })));
  await it.run();
  assert.deepEqual([(await result).error.code, shown(page.store)[0].a], ["not_kept", "a1"]);
}));

test("a write whose outcome stays unknown for longer than its key lives is parked, not sent again", scene(async (it) => {
  const page = it.open();
  await it.run();
  it.gateway.trouble = () => "after";
  const { answer } = it.gateway;
  it.gateway.answer = async (url, init, network) => {
    if (init.method === "PATCH") throw new TypeError("cut");
    return answer.call(it.gateway, url, init, network);
  };
  const result = page.run(() => settled(page.store.item(1).patch({ a: "x" })));
  await it.run(22 * 3600_000);
  assert.deepEqual(page.client.parked, []);
  await it.run(2 * 3600_000);
  assert.deepEqual([(await result).error.outcome, page.client.parked[0].problem.code], ["unknown", "outcome_unknown"]);
}));

test("an item that was created without network can be written before it has its key", scene(async (it) => {
  const page = it.open();
  await it.run();
  it.setOnline(false);
  await it.run();
  const results = page.run(() => {
    const made = page.store.create({ a: "new" });
    const patched = page.store.item(made.key).patch({ a: "changed" });
    return [settled(made), settled(patched)];
  });
  await it.run();
  assert.equal(shown(page.store)[2].a, "changed");
  it.setOnline(true);
  await it.run(120_000);
  const [made] = await Promise.all(results);
  assert.deepEqual([made.value.key, it.gateway.upstream.get(3)], ["3", { id: 3, a: "changed" }]);
}));
