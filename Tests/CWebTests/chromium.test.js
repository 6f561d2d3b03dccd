// The client in a real browser: its streams, locks, channels and storage.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Chromium, path } from "./support/chromium.js";
import { Server } from "./support/server.js";

const skip = path ? false : "no Chromium: apt install chromium";
const mutations = Number(process.env.FRESHET_MUTATIONS ?? 60);

const inBrowser = (items, action) => async () => {
  const server = await Server.start(items);
  let browser;
  // A server that is left open would keep this process from its end.
  try {
    browser = await Chromium.start();
    await action(browser, server);
  } finally {
    await browser?.close();
    await server.close();
  }
};

/** Opens a page that shows `orders`. */
async function open(browser, server, module, options = "{}") {
  const tab = await browser.open(`${server.url}/`);
  await show(tab, module, options);
  return tab;
}

async function show(tab, module, options = "{}") {
  await tab.until(`document.title === "ready" && document.readyState === "complete"`);
  await tab.run(`import("/client/${module}").then(({ connect }) => {
    window.client = connect("/", ${options});
    window.store = client.source("orders", { mode: "items" });
    store.subscribe(() => {});
  })`);
}

const items = (count) => Array.from({ length: count }, (_, index) => ({ id: index + 1, a: "0" }));
const kept = `{ token: "secret" }`;

test("no frame shows the old value before a lagging event", { skip }, inBrowser(items(10), async (browser, server) => {
  server.gateway.conflict = "overwrite";
  server.lag = () => server.time.integer(2000);
  const tab = await open(browser, server, "freshet.js");
  await tab.until(`store.state === "live" && store.value?.size === 10`);
  const result = await tab.run(`new Promise(async (done) => {
    const latest = new Map();
    const old = [];
    let [frames, over] = [0, 0];
    const look = () => {
      frames += 1;
      for (const [key, value] of latest) {
        const shown = store.item(key).value.a;
        if (shown !== value) old.push([key, value, shown]);
      }
      if (over < ${mutations}) requestAnimationFrame(look);
      else done({ old, frames });
    };
    requestAnimationFrame(look);
    for (let n = 1; n <= ${mutations}; n += 1) {
      const key = String(1 + n % 10);
      latest.set(key, String(n));
      store.item(key).patch({ a: String(n) }).then(() => { over += 1; }, done);
      await new Promise((next) => setTimeout(next, 10));
    }
  })`);
  assert.deepEqual(result.old, []);
  assert.ok(result.frames > 20, JSON.stringify(result));
  assert.equal(server.gateway.effects.length, mutations);
}));

test("two pages have one connection, and one goes on alone", { skip }, inBrowser(items(2), async (browser, server) => {
  const tabs = [await open(browser, server, "freshet.js"), await open(browser, server, "freshet.js")];
  for (const tab of tabs) await tab.until(`store.state === "live" && store.value?.size === 2`);
  const leads = await Promise.all(tabs.map((tab) => tab.run("client.tabs.isLeader")));
  assert.deepEqual([leads.filter((isLeader) => isLeader).length, server.gateway.streams.size], [1, 1]);
  server.gateway.change(1, { id: 1, a: "x" });
  for (const tab of tabs) await tab.until(`store.item(1).value.a === "x"`);
  const [leader, other] = leads[0] ? tabs : [...tabs].reverse();
  await leader.kill();
  server.gateway.change(1, { id: 1, a: "y" });
  await other.until(`store.item(1).value.a === "y" && client.tabs.isLeader && store.state === "live"`);
}));

test("writes without network survive a reload and a killed page, each once and in order", { skip },
  inBrowser(items(20), async (browser, server) => {
  server.gateway.conflict = "overwrite";
  const tab = await open(browser, server, "offline.js", kept);
  await tab.until(`store.state === "live" && store.value?.size === 20`);
  // The last value is on the disk a moment after it came.
  await tab.run(`client.save()`);
  await tab.setOnline(false);
  const each = Math.ceil(mutations / 20);
  await tab.run(`Promise.all(Array.from({ length: ${20 * each} }, (_, n) => {
    const write = store.item(1 + n % 20).patch({ a: String(n) });
    write.catch(() => {});
    return write.kept;
  })).then(() => true)`);
  // The page is there again, and the gateway is not.
  server.isApart = true;
  await tab.setOnline(true);
  await tab.reload();
  await show(tab, "offline.js", kept);
  const last = `[...store.value?.values() ?? []].map(({ a }) => a).join()`;
  await tab.until(`${last} === "${Array.from({ length: 20 }, (_, n) => 20 * each - 20 + n)}"`, last);
  await tab.until(`store.state === "offline" && store.asOf < new Date()`, "store.state");
  await tab.kill();
  server.isApart = false;
  // The network is back for this one; it begins with what was kept, and two pages share the work.
  const pages = [await open(browser, server, "offline.js", kept), await open(browser, server, "offline.js", kept)];
  const isOver = `store.item(1).value?.a === "${20 * each - 20}" && client.outbox.records.length === 0`;
  for (const page of pages) await page.until(isOver, `client.outbox.records.length + " left"`);
  for (let id = 1; id <= 20; id += 1) {
    const numbers = server.gateway.effects.filter((effect) => effect.id === id).map((effect) => Number(effect.operand.a));
    assert.deepEqual(numbers, Array.from({ length: each }, (_, index) => id - 1 + 20 * index));
  }
  assert.equal(server.gateway.effects.length, 20 * each);
}));

test("parked, denied, and another user", { skip }, inBrowser(items(2), async (browser, server) => {
  const { gateway } = server;
  gateway.conflict = "overwrite";
  gateway.poison = (operand) => operand?.a === "poison";
  gateway.identityOf = (token) => (token === "ended" ? undefined : { id: token, kind: "key" });
  const tab = await open(browser, server, "offline.js", `{ token: () => window.token ?? "alice" }`);
  await tab.until(`store.state === "live" && store.value?.size === 2`);
  await tab.run(`store.item(1).patch({ a: "poison" }).catch((error) => { window.refused = error.status; })`);
  await tab.run(`store.item(2).patch({ a: "fine" }).then(() => true)`);
  await tab.until(`client.parked.length === 1 && window.refused === 422 && store.item(1).value.a === "0"`);
  await tab.run(`window.token = "ended"; window.waiting = store.item(2).patch({ a: "kept" }); waiting.kept.then(() => true)`);
  await tab.until(`store.item(2).value.a === "kept"`);
  await tab.run(`waiting.catch(() => {}); window.token = "bob"; client.retry()`);
  await tab.until(`client.id === "bob" && store.value?.size === 2 && store.item(2).value.a === "fine"`);
  assert.equal(await tab.run("client.parked.length + client.outbox.records.length"), 0);
  await tab.run(`window.token = "alice"; client.retry()`);
  const other = await open(browser, server, "offline.js", `{ token: "alice" }`);
  await other.until(`store.item(2).value?.a === "kept" && client.outbox.records.length === 0 && client.parked.length === 1`);
  const senders = server.writes.filter(({ method }) => method === "PATCH").map(({ headers }) => headers.Authorization);
  assert.deepEqual(new Set(senders), new Set(["Bearer alice"]));
  assert.equal(gateway.upstream.get(2).a, "kept");
}));
