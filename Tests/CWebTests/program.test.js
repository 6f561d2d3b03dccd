// The client before the program itself: in node, in a real browser from another origin, and behind nginx.

import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { test } from "node:test";
import { connect } from "../../Sources/CWeb/client/freshet.js";
import { Chromium, path as chromium } from "./support/chromium.js";
import { lacking, load, paths } from "./support/debian.js";
import { nginx, scene, skip } from "./support/program.js";

/** Waits until a store shows what is wanted. */
const shows = (store, wanted) => new Promise((done) => {
  let stop;
  stop = store.subscribe((value) => {
    if (!wanted(value)) return;
    done(value);
    queueMicrotask(() => stop());
  });
});

test("node: every mode follows, resumes, and comes back with the program", { skip }, scene(async (it) => {
  const client = connect(it.url, { token: it.key, tabs: false });
  const stores = ["patch", "merge", "snapshot", "items"].map((mode) => client.source("orders", { mode }));
  const stops = stores.map((store) => store.subscribe(() => {}));
  const first = (value) => (Array.isArray(value) ? value[0] : value?.get("1"));
  await Promise.all(stores.map((store) => shows(store, (value) => first(value)?.a === "x")));
  const [kept] = stores.map((store) => store.value[1]);
  it.value = [{ id: 1, a: "changed" }, { id: 2, a: "y" }];
  await Promise.all(stores.map((store) => shows(store, (value) => first(value)?.a === "changed")));
  assert.equal(stores[0].value[1], kept);
  assert.deepEqual(stores.map((store) => store.state), ["live", "live", "live", "live"]);
  await it.stop();
  it.value = [{ id: 1, a: "later" }];
  await it.run();
  await Promise.all(stores.map((store) => shows(store, (value) => first(value)?.a === "later")));
  stops.forEach((stop) => stop());
  client.close();
}));

test("node: a key that is wrong is denied, and a source that is not there is gone", { skip }, scene(async (it) => {
  const until = (store, wanted) => new Promise((done) => {
    store.onState(({ state }) => state === wanted && done());
    store.subscribe(() => {});
  });
  const wrong = connect(it.url, { token: randomBytes(32).toString("base64url"), tabs: false });
  await until(wrong.source("orders"), "denied");
  const right = connect(it.url, { token: it.key, tabs: false });
  await Promise.all([until(right.source("orders"), "live"), until(right.source("nothing"), "gone")]);
  wrong.close();
  right.close();
}));

const inBrowser = { skip: skip || (chromium ? false : "no Chromium: apt install chromium") };

test("browser: two pages of another origin, by key and one stream, on and off", inBrowser, scene(async (it) => {
  const browser = await Chromium.start();
  try {
    const open = async () => {
      const tab = await browser.open(`${it.origin}/`);
      await tab.until(`document.title === "ready"`);
      await tab.run(`import("${it.url}/client/offline.js").then(({ connect }) => {
        window.client = connect("${it.url}", { token: "${it.key}" });
        window.store = client.source("orders", { mode: "items" });
        store.subscribe(() => {});
      })`);
      await tab.until(`store.state === "live" && store.item(1).value?.a === "x"`);
      return tab;
    };
    const tabs = [await open(), await open()];
    const leads = await Promise.all(tabs.map((tab) => tab.run("client.tabs.isLeader")));
    assert.deepEqual([...leads].sort(), [false, true]);
    const answer = await fetch(`${it.url}/v1/sources/orders`, { headers: { Authorization: `Bearer ${it.key}` } });
    assert.equal((await answer.json()).subscribers, 1);
    const leader = leads[0] ? tabs[0] : tabs[1];
    await leader.setOnline(false);
    await it.stop();
    for (const tab of tabs) await tab.until(`store.state === "offline" && store.item(1).value.a === "x"`);
    it.value = [{ id: 1, a: "back" }];
    await it.run();
    await leader.setOnline(true);
    for (const tab of tabs) await tab.until(`store.state === "live" && store.item(1).value.a === "back"`);
  } finally {
    await browser.close();
  }
}));

const events = { skip: skip || lacking(paths.events) };

test("node, with an EventSource of its own: by ticket, and over a restart", events, scene(async (it) => {
  const EventSource = load(paths.events);
  const client = connect(it.url, { token: it.key, tabs: false, EventSource });
  const store = client.source("orders", { mode: "items" });
  store.subscribe(() => {});
  await shows(store, (value) => value?.get("1").a === "x");
  it.value = [{ id: 1, a: "changed" }];
  await shows(store, (value) => value.size === 1 && value.get("1").a === "changed");
  await it.stop();
  it.value = [{ id: 1, a: "later" }];
  await it.run();
  client.retry();
  await shows(store, (value) => value.get("1").a === "later");
  // A key that is refused is seen, although an EventSource tells no status.
  const wrong = connect(it.url, { token: randomBytes(32).toString("base64url"), tabs: false, EventSource });
  const other = wrong.source("orders");
  other.subscribe(() => {});
  await new Promise((done) => other.onState(({ state }) => state === "denied" && done()));
  wrong.close();
  client.close();
}));

test("behind nginx with the defaults of its buffers each change comes at once", {
  skip: skip || (existsSync(nginx) ? false : "no nginx: apt install nginx"),
}, scene(async (it) => {
  const url = await it.proxy();
  const client = connect(url, { token: it.key, tabs: false });
  const store = client.source("orders");
  store.subscribe(() => {});
  await shows(store, (value) => value?.[0].a === "x");
  for (let n = 0; n < 5; n += 1) {
    // Each is awaited before the next is made: a buffer would hold it back.
    it.value = [{ id: 1, a: `${n}` }];
    await shows(store, (value) => value[0].a === `${n}`);
  }
  await it.stop();
  it.value = [{ id: 1, a: "later" }];
  await it.run();
  client.retry();
  await shows(store, (value) => value[0].a === "later");
  client.close();
}));

test("browser: a page of another origin by ticket, with the browser's EventSource", inBrowser, scene(async (it) => {
  const browser = await Chromium.start();
  try {
    const tab = await browser.open(`${it.origin}/`);
    await tab.until(`document.title === "ready"`);
    await tab.run(`import("${it.url}/client/freshet.js").then(({ connect }) => {
      window.client = connect("${it.url}", { token: "${it.key}", EventSource });
      window.store = client.source("orders");
      store.subscribe(() => {});
    })`);
    await tab.until(`store.state === "live" && store.value[0].a === "x"`);
    const opened = await tab.run(`performance.getEntriesByType("resource").map(({ name }) => name).join(" ")`);
    assert.match(opened, /\/v1\/tickets/);
    assert.ok(!opened.includes(it.key));
    it.value = [{ id: 1, a: "changed" }];
    await tab.until(`store.value[0].a === "changed"`);
    await it.stop();
    await tab.until(`store.state === "offline"`);
    it.value = [{ id: 1, a: "back" }];
    await it.run();
    await tab.until(`store.state === "live" && store.value[0].a === "back"`);
  } finally {
    await browser.close();
  }
}));
