// Writes of the client through the program to an upstream: the same client, the real answers.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { connect } from "../../Sources/CWeb/client/freshet.js";
import { freePort, lacksKey, program, until } from "./support/program.js";
import { WritableUpstream } from "./support/upstream.js";
import { numbers } from "./support/world.js";

const configuration = (port, upstream, conflict) => `
listen: 127.0.0.1:${port}
sources:
  orders:
    url: http://127.0.0.1:${upstream}/orders
    interval: 100ms
    key: /id
    write: { item_url: "http://127.0.0.1:${upstream}/orders/{key}", methods: [PUT, PATCH, DELETE, POST], conflict: ${conflict} }
`;

const skip = lacksKey(configuration(8080, 8081, "reject"), "this program takes no writes");

const through = (conflict, action) => async () => {
  const folder = mkdtempSync(join(tmpdir(), "freshet-through-"));
  const items = [1, 2, 3].map((id) => ({ id, a: `a${id}`, b: `b${id}` }));
  const upstream = await new WritableUpstream(items).listen();
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  writeFileSync(join(folder, "freshet.yaml"), configuration(port, upstream.port, conflict));
  const gateway = spawn(program, ["serve", "--config", join(folder, "freshet.yaml")], { stdio: "ignore" });
  const clients = [];
  const open = async (mode = "items") => {
    const client = connect(url, { tabs: false });
    clients.push(client);
    const store = client.source("orders", { mode });
    store.subscribe(() => {});
    await until(() => store.state === "live" && store.item(1).value);
    return store;
  };
  try {
    await until(() => fetch(`${url}/readyz`).then((answer) => answer.ok, () => false));
    await action({ upstream, open });
  } finally {
    clients.forEach((client) => client.close());
    gateway.kill("SIGKILL");
    upstream.close();
    rmSync(folder, { recursive: true, force: true });
  }
};

const settled = (promise) => promise.then((value) => ({ value }), (error) => ({ error }));
const rows = (store) => [...store.value.values?.() ?? store.value].sort((a, b) => a.id - b.id);

test("a write is shown at once, and never the old value after it", { skip }, through("reject", async ({ upstream, open }) => {
  upstream.delay = () => 30;
  const store = await open();
  const seen = [];
  store.item(1).subscribe((item) => seen.push(item.a));
  for (let n = 0; n < 20; n += 1) {
    const write = store.item(1).patch({ a: `w${n}` });
    assert.equal(store.item(1).value.a, `w${n}`);
    if (n % 3 === 0) assert.equal((await write).status, 200);
    else write.catch(() => {});
  }
  await until(() => upstream.items.get("1").a === "w19" && !store.gateway.outbox.records.length);
  assert.deepEqual(seen, ["a1", ...Array.from({ length: 20 }, (_, n) => `w${n}`)]);
  assert.equal(upstream.effects.length, 20);
}));

test("what is created is there once, is written and removed", { skip }, through("reject", async ({ upstream, open }) => {
  const [store, other] = [await open(), await open("patch")];
  let most = 0;
  store.subscribe((value) => { most = Math.max(most, [...value?.values() ?? []].filter(({ a }) => a === "new").length); });
  const made = await store.create({ a: "new" });
  assert.deepEqual([made.status, made.key, most], [201, "4", 1]);
  await store.item(made.key).put({ id: 4, a: "newer" });
  await until(() => other.item(4).value?.a === "newer");
  assert.equal((await store.item(4).remove()).status, 204);
  await until(() => other.value.length === 3);
  assert.deepEqual(upstream.effects.map(({ method }) => method), ["POST", "PUT", "DELETE"]);
}));

test("who was overtaken gets both sides, and goes on", { skip }, through("reject", async ({ upstream, open }) => {
  const store = await open();
  upstream.set(2, { id: 2, a: "theirs", b: "b2" });
  const { error } = await settled(store.item(2).patch({ a: "mine" }));
  assert.deepEqual([error.status, error.conflict.base.a, error.conflict.theirs.a, error.conflict.mine.a],
    [412, "a2", "theirs", "mine"]);
  assert.equal(store.item(2).value.a === "mine", false);
  assert.equal((await error.conflict.keepMine()).status, 200);
  assert.deepEqual(upstream.items.get("2"), { id: 2, a: "mine", b: "b2" });
}));

test("different members merge, the same one conflicts", { skip }, through("merge", async ({ upstream, open }) => {
  const store = await open();
  upstream.set(3, { id: 3, a: "theirs", b: "b3" });
  await store.item(3).patch({ b: "mine" });
  assert.deepEqual(upstream.items.get("3"), { id: 3, a: "theirs", b: "mine" });
  await until(() => store.item(3).value.a === "theirs");
  upstream.set(3, { id: 3, a: "again", b: "mine" });
  const { error } = await settled(store.item(3).patch({ a: "mine too" }));
  assert.deepEqual([error.status, error.conflict.conflicts?.[0].path], [409, "/a"]);
}));

test("two clients and somebody else end equal, each write once", { skip }, through("merge", async ({ upstream, open }) => {
  const random = numbers(24);
  upstream.delay = () => Math.floor(random() * 40);
  const stores = [await open("items"), await open("patch")];
  const writes = [];
  for (let step = 0; step < 80; step += 1) {
    const id = 1 + Math.floor(random() * 3);
    const field = random() < 0.5 ? "a" : "b";
    const token = `t${step}`;
    if (random() < 0.2) upstream.set(id, { ...upstream.items.get(String(id)), [field]: token });
    else {
      const which = Math.floor(random() * 2);
      const write = stores[which].item(id).patch({ [field]: token });
      assert.equal(stores[which].item(id).value[field], token);
      writes.push(settled(write).then((result) => ({ token, ...result })));
    }
    await new Promise((done) => setTimeout(done, Math.floor(random() * 60)));
  }
  const results = await Promise.all(writes);
  await until(() => stores.every((store) => JSON.stringify(rows(store)) === JSON.stringify(rows({ value: upstream.items }))));
  for (const { token, value, error } of results) {
    const count = upstream.effects.filter(({ added }) => added.includes(token)).length;
    if (value) assert.equal(count, 1, token);
    else assert.ok([409, 412].includes(error.status) || error.code === "not_sent", `${token}: ${error.stack}`);
    if (error) assert.equal(count, 0, token);
  }
  assert.ok(results.filter(({ value }) => value).length > results.length / 2, `${results.length}`);
}));
