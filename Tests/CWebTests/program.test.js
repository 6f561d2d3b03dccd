// The client before the program itself, as it was built last: in node, and in a real browser from another origin.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { connect } from "../../Sources/CWeb/client/freshet.js";
import { Chromium, path as chromium } from "./support/chromium.js";

const program = process.env.FRESHET_BINARY ?? fileURLToPath(new URL("../../.build/debug/freshet", import.meta.url));
const skip = existsSync(program) ? false : "the program is not built";

const listen = (server) => new Promise((done) => server.listen(0, "127.0.0.1", () => done(server.address().port)));

/** The program with one source, `orders`, whose upstream says what `value` is; and a page of another origin. */
class Scene {
  value = [{ id: 1, a: "x" }, { id: 2, a: "y" }];
  key = randomBytes(32).toString("base64url");

  static async start() {
    const scene = new Scene();
    scene.folder = mkdtempSync(join(tmpdir(), "freshet-client-"));
    scene.upstream = createServer((request, response) => {
      response.setHeader("Content-Type", "application/json").end(JSON.stringify(scene.value));
    });
    scene.page = createServer((request, response) => {
      response.setHeader("Content-Type", "text/html").end("<!doctype html><title>ready</title>");
    });
    const [from, at] = [await listen(scene.upstream), await listen(scene.page)];
    // A port that was free a moment ago, since the program comes back at the same one.
    const probe = createServer();
    scene.port = await listen(probe);
    await new Promise((done) => probe.close(done));
    Object.assign(scene, { origin: `http://127.0.0.1:${at}`, url: `http://127.0.0.1:${scene.port}` });
    writeFileSync(join(scene.folder, "key"), scene.key, { mode: 0o600 });
    writeFileSync(join(scene.folder, "freshet.yaml"), `
listen: 127.0.0.1:${scene.port}
cors: { origins: ["${scene.origin}"] }
auth:
  keys: [{ id: mobile, secret_file: ${join(scene.folder, "key")}, read: ["orders"] }]
sources:
  orders: { url: "http://127.0.0.1:${from}/", interval: 100ms, key: /id }
`);
    await scene.run();
    return scene;
  }

  async run() {
    const words = ["serve", "--config", join(this.folder, "freshet.yaml")];
    this.program = spawn(program, words, { stdio: ["ignore", "ignore", "pipe"] });
    let errors = "";
    this.program.stderr.on("data", (text) => { errors += text; });
    this.ended = new Promise((done) => this.program.on("exit", done));
    for (let isReady = false; !isReady;) {
      assert.equal(this.program.exitCode, null, errors);
      isReady = await fetch(`${this.url}/readyz`).then((answer) => answer.ok, () => false);
      if (!isReady) await new Promise((done) => setTimeout(done, 50));
    }
  }

  async stop(signal = "SIGTERM") {
    this.program.kill(signal);
    await this.ended;
  }

  async close() {
    await this.stop("SIGKILL");
    for (const server of [this.upstream, this.page]) {
      server.closeAllConnections?.();
      server.close();
    }
    rmSync(this.folder, { recursive: true, force: true });
  }
}

const scene = (action) => async () => {
  const made = await Scene.start();
  try {
    await action(made);
  } finally {
    await made.close();
  }
};

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
