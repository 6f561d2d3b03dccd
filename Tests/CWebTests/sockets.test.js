// `transport: "socket"` before the program itself: in node with Debian's `ws`, and in a real browser.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { connect } from "../../Sources/CWeb/client/freshet.js";
import { Chromium, path as chromium } from "./support/chromium.js";
import { lacking, load, paths } from "./support/debian.js";
import { freePort, program, scene, skip, until } from "./support/program.js";
import { WritableUpstream } from "./support/upstream.js";
import { numbers } from "./support/world.js";

const inNode = { skip: skip || lacking(paths.sockets) };
const inBrowser = { skip: skip || (chromium ? false : "no Chromium: apt install chromium") };

/** A WebSocket that is known to the test. */
function watched() {
  const opened = [];
  const WebSocket = load(paths.sockets);
  class Watched extends WebSocket {
    constructor(...given) {
      super(...given);
      opened.push(this);
    }
  }
  return { WebSocket: Watched, opened };
}

/** Counts the streams that are asked for without a socket. */
function counted() {
  const streams = [];
  const ask = (url, init) => {
    if (String(url).includes("/v1/streams/")) streams.push(String(url));
    return fetch(url, init);
  };
  return { streams, ask };
}

/** The program with a configuration of its own. */
async function serve(configuration, action) {
  const folder = mkdtempSync(join(tmpdir(), "freshet-sockets-"));
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  writeFileSync(join(folder, "freshet.yaml"), `listen: 127.0.0.1:${port}\n${configuration}`);
  const gateway = spawn(program, ["serve", "--config", join(folder, "freshet.yaml")], { stdio: "ignore" });
  try {
    await until(() => fetch(`${url}/readyz`).then((answer) => answer.ok, () => false));
    await action(url);
  } finally {
    gateway.kill("SIGKILL");
    rmSync(folder, { recursive: true, force: true });
  }
}

test("node: sources that come one after the other over a socket that is cut miss no change and see none twice", inNode,
  async () => {
  const values = new Map(["a", "b", "c"].map((name) => [name, 0]));
  const upstream = createServer((request, response) => {
    const name = request.url.slice(1);
    const value = { n: values.get(name), items: [{ id: 1, n: values.get(name) }, { id: 2 }], rest: "x".repeat(200) };
    response.setHeader("Content-Type", "application/json").end(JSON.stringify(value));
  });
  await new Promise((done) => upstream.listen(0, "127.0.0.1", done));
  const from = `http://127.0.0.1:${upstream.address().port}`;
  const sources = [...values.keys()].map((name) =>
    `  ${name}: { url: "${from}/${name}", interval: 20ms, items: /items, key: /id }`);
  let client;
  try {
    await serve(`retry: 100ms\nsources:\n${sources.join("\n")}\n`, async (url) => {
      const { WebSocket, opened } = watched();
      const { streams, ask } = counted();
      const random = numbers(26);
      client = connect(url, { tabs: false, transport: "socket", WebSocket, fetch: ask });
      const seen = new Map();
      const follow = async (name) => {
        const numbersOf = [];
        seen.set(name, numbersOf);
        client.source(name).subscribe((value) => {
          if (value && numbersOf.at(-1) !== value.n) numbersOf.push(value.n);
        });
        await until(() => numbersOf.length > 0);
      };
      for (let step = 0; step < 120; step += 1) {
        const next = [...values.keys()].find((one) => !seen.has(one));
        if (step % 30 === 0 && next) await follow(next);
        const name = [...values.keys()][Math.floor(random() * 3)];
        values.set(name, values.get(name) + 1);
        // One that is not open yet would never be, on a machine that is slow.
        if (random() < 0.1 && opened.at(-1).readyState === WebSocket.OPEN) opened.at(-1).terminate();
        if (random() < 0.1) client.feed.renew(client.source([...seen.keys()][0]));
        await new Promise((done) => setTimeout(done, random() * 40));
      }
      await until(() => [...values].every(([name, n]) => client.source(name).value?.n === n),
        () => JSON.stringify([...values, ...seen]));
      for (const [name, numbersOf] of seen) {
        const answer = await fetch(`${url}/v1/changes/${name}?since=earliest&limit=1000`);
        const { events } = await answer.json();
        const logged = events.map(({ data }) => data).map((data) => data.value?.n
          ?? data.patch.find(({ path }) => path === "/n").value);
        // From where it began, each once and in order.
        const start = logged.indexOf(numbersOf[0]);
        assert.ok(start >= 0 && numbersOf.length > 5, JSON.stringify([name, numbersOf, logged]));
        assert.deepEqual(numbersOf, logged.slice(start), name);
      }
      assert.ok(opened.length > 3);
      assert.deepEqual(streams, []);
    });
  } finally {
    client?.close();
    upstream.closeAllConnections?.();
    upstream.close();
  }
});

test("node: one socket for all, and what it cannot hold comes without; a key that is wrong is denied", inNode,
  (t) => scene(async (it) => {
  const { WebSocket, opened } = watched();
  const { streams, ask } = counted();
  const over = new AbortController();
  t.after(() => over.abort());
  const options = { tabs: false, transport: "socket", WebSocket, fetch: ask, signal: over.signal };
  const client = connect(it.url, { ...options, token: it.key });
  const [patches, items] = [client.source("orders"), client.source("orders", { mode: "items" })];
  for (const store of [patches, items]) store.subscribe(() => {});
  await until(() => patches.value?.[0].a === "x" && items.value?.get("1").a === "x");
  // A socket has each source once.
  assert.deepEqual([opened.length, streams.length], [1, 1]);
  it.value = [{ id: 1, a: "changed" }];
  await until(() => patches.value[0].a === "changed" && items.value.get("1").a === "changed");
  await it.stop();
  await until(() => patches.state === "offline");
  it.value = [{ id: 1, a: "later" }];
  await it.run();
  client.retry();
  await until(() => patches.value[0].a === "later" && items.value.get("1").a === "later" && patches.state === "live");
  assert.equal(opened.filter(({ readyState }) => readyState === WebSocket.OPEN).length, 1);
  const wrong = connect(it.url, { ...options, token: "w".repeat(43) });
  wrong.source("orders").subscribe(() => {});
  await until(() => wrong.source("orders").state === "denied");
  const missing = client.source("nothing");
  missing.subscribe(() => {});
  await until(() => missing.state === "gone");
  assert.equal(patches.state, "live");
  // No socket at all, as in a node that has none.
  const without = connect(it.url, { ...options, token: it.key, WebSocket: undefined });
  without.source("orders").subscribe(() => {});
  await until(() => without.source("orders").value?.[0].a === "later");
})());

test("node: a write is shown at once and settled by the cursor that the socket brings", inNode, async () => {
  const upstream = await new WritableUpstream([{ id: 1, a: "a1" }, { id: 2, a: "a2" }]).listen();
  const address = `http://127.0.0.1:${upstream.port}/orders`;
  let client;
  try {
    await serve(`
sources:
  orders:
    url: ${address}
    interval: 100ms
    key: /id
    write: { item_url: "${address}/{key}", methods: [PUT, PATCH, DELETE, POST] }
`, async (url) => {
      const { WebSocket, opened } = watched();
      client = connect(url, { tabs: false, transport: "socket", WebSocket });
      const store = client.source("orders", { mode: "items" });
      const seen = [];
      store.item(1).subscribe((item) => item && seen.push(item.a));
      await until(() => store.state === "live" && store.item(1).value);
      upstream.delay = () => 30;
      for (let n = 0; n < 10; n += 1) {
        const write = store.item(1).patch({ a: `w${n}` });
        assert.equal(store.item(1).value.a, `w${n}`);
        if (n % 3 === 0) assert.equal((await write).status, 200);
      }
      assert.equal((await store.create({ a: "new" })).status, 201);
      await until(() => upstream.items.get("1").a === "w9" && !client.outbox.records.length);
      assert.deepEqual(seen, ["a1", ...Array.from({ length: 10 }, (_, n) => `w${n}`)]);
      assert.equal(opened.length, 1);
    });
  } finally {
    client?.close();
    upstream.close();
  }
});

test("browser: two pages of another origin have one socket, over a restart", inBrowser, scene(async (it) => {
  const browser = await Chromium.start();
  try {
    const open = async () => {
      const tab = await browser.open(`${it.origin}/`);
      await tab.until(`document.title === "ready"`);
      await tab.run(`import("${it.url}/client/freshet.js").then(({ connect }) => {
        window.sockets = [];
        class Watched extends WebSocket {
          constructor(...given) {
            super(...given);
            sockets.push(this);
          }
        }
        window.client = connect("${it.url}", { token: "${it.key}", transport: "socket", WebSocket: Watched });
        window.store = client.source("orders", { mode: "items" });
        store.subscribe(() => {});
      })`);
      await tab.until(`store.state === "live" && store.item(1).value?.a === "x"`);
      return tab;
    };
    const tabs = [await open(), await open()];
    const counts = await Promise.all(tabs.map((tab) => tab.run("sockets.length")));
    assert.deepEqual([...counts].sort(), [0, 1]);
    it.value = [{ id: 1, a: "changed" }];
    for (const tab of tabs) await tab.until(`store.item(1).value.a === "changed"`);
    await it.stop();
    for (const tab of tabs) await tab.until(`store.state === "offline"`);
    it.value = [{ id: 1, a: "back" }];
    await it.run();
    for (const tab of tabs) await tab.until(`store.state === "live" && store.item(1).value.a === "back"`);
    for (const tab of tabs) {
      const loaded = await tab.run(`performance.getEntriesByType("resource").map(({ name }) => name).join(" ")`);
      assert.ok(!loaded.includes("/v1/streams/") && !loaded.includes(it.key), loaded);
    }
    // The leader ends; the other one opens its own.
    const [leader, other] = counts[0] ? tabs : [...tabs].reverse();
    await leader.kill();
    it.value = [{ id: 1, a: "alone" }];
    await other.until(`store.item(1).value.a === "alone" && sockets.length === 1 && store.state === "live"`);
  } finally {
    await browser.close();
  }
}));
