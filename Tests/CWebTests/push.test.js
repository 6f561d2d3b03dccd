// `push.js` as a service worker has it, with stand-ins for the worker and the network. `pushed.test.js` has real ones.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { runInNewContext } from "node:vm";
import { gzipSync } from "node:zlib";

const text = readFileSync(fileURLToPath(new URL("../../Sources/CWeb/client/push.js", import.meta.url)), "utf8");

/** A worker that has loaded the script, and what it did. */
function worker(options, answer = { status: 200, body: { events: [] } }) {
  const [listeners, shown, requests, opened] = [{}, [], [], []];
  const self = {
    location: new URL("https://app.example/sw.js"),
    registration: {
      scope: "https://app.example/",
      showNotification: async (title, settings) => { shown.push({ title, ...settings }); },
    },
    clients: {
      pages: [],
      matchAll: async () => self.clients.pages,
      openWindow: async (url) => { opened.push(url); },
    },
    addEventListener: (name, listener) => { listeners[name] = listener; },
    fetch: async (url, init) => {
      requests.push({ url: new URL(url), ...init });
      if (answer instanceof Error) throw answer;
      return { ok: answer.status === 200, json: async () => answer.body };
    },
  };
  runInNewContext(text, { self, URL });
  self.freshetPush(options);
  const dispatch = async (name, event) => {
    let work;
    listeners[name]({ ...event, waitUntil: (promise) => { work = promise; } });
    await work;
  };
  const data = (message) => (message === undefined ? null : { json: () => JSON.parse(message) });
  const push = (message) => dispatch("push", { data: data(message) });
  return { self, shown, requests, opened, dispatch, push };
}

const event = (items) => ({ id: "e-2", event: "items", data: { source: "orders", at: "t", items } });
const updated = event({ created: [], updated: [{ id: 7, status: "done" }], deleted: [] });
const place = { sources: "orders", since: "e-1", cursor: "e-2" };
const cursor = (data) => JSON.stringify({ event: "changes", data: { ...place, ...data } });

test("an event is shown as it came, and nothing is fetched", async () => {
  const { push, shown, requests } = worker();
  await push(JSON.stringify(updated));
  assert.deepEqual(requests, []);
  assert.equal(shown.length, 1);
  assert.equal(shown[0].title, "orders");
  assert.equal(shown[0].body, "1 updated");
  assert.equal(shown[0].tag, "freshet orders");
  assert.equal(JSON.stringify(shown[0].data), JSON.stringify(updated));
});

test("a cursor is fetched, the newest change first, with the token of that moment", async () => {
  const changes = [];
  const options = {
    gateway: "https://gateway.example/",
    token: async () => "secret",
    show: (change, all) => { changes.push(change, all.length); return { title: "Order 7", icon: "/o.png" }; },
  };
  const { push, shown, requests } = worker(options, { status: 200, body: { events: [updated, event({})] } });
  await push(cursor({ item: 7 }));
  assert.equal(requests.length, 1);
  const [{ url, headers }] = requests;
  assert.equal(url.origin + url.pathname, "https://gateway.example/v1/changes/orders");
  assert.deepEqual(Object.fromEntries(url.searchParams), {
    mode: "items", since: "e-1", descending: "true", limit: "20", item: "7",
  });
  assert.equal(headers.Authorization, "Bearer secret");
  assert.deepEqual(changes, [updated, 2]);
  assert.equal(shown[0].title, "Order 7");
  assert.equal(shown[0].icon, "/o.png");
});

test("a pointer, and an identity with a comma, are asked for as the gateway reads them", async () => {
  const { push, requests } = worker();
  await push(cursor({ pointer: "/a/b" }));
  await push(cursor({ item: "a,b" }));
  await push(cursor({ item: "plain" }));
  assert.equal(requests[0].url.searchParams.get("pointer"), "/a/b");
  assert.equal(requests[1].url.searchParams.get("item"), '"a,b"');
  assert.equal(requests[2].url.searchParams.get("item"), "plain");
  assert.equal(requests[0].url.origin, "https://app.example");
});

for (const [name, answer] of [
  ["without network", new Error("offline")], ["without the right", { status: 404, body: {} }],
  ["with nothing new", { status: 200, body: { events: [] } }],
]) {
  test(`${name} a notification is shown all the same`, async () => {
    const { push, shown } = worker({}, answer);
    await push(cursor({}));
    assert.equal(shown.length, 1);
    assert.equal(shown[0].title, "orders");
    assert.equal(shown[0].body, "changed");
  });
}

test("a message that is not the gateway's is shown, and harms nothing", async () => {
  const { push, shown, requests } = worker();
  for (const message of [undefined, "nonsense", "{}", `{"event":"changes"}`, `{"event":"items"}`, "null", `{"data":null}`]) {
    await push(message);
  }
  assert.equal(shown.length, 7);
  assert.ok(shown.every(({ title }) => title === "app.example"));
  assert.deepEqual(requests, []);
});

test("a click brings a page to the front, or opens one", async () => {
  const { self, dispatch, opened } = worker({ url: "/orders" });
  let closed = 0;
  const notification = { close: () => { closed += 1; } };
  await dispatch("notificationclick", { notification });
  assert.deepEqual(opened, ["https://app.example/orders"]);
  let focused = "";
  self.clients.pages = ["https://app.example/", "https://app.example/orders"].map((url) => ({
    url, focus: async () => { focused = url; },
  }));
  await dispatch("notificationclick", { notification });
  assert.equal(focused, "https://app.example/orders");
  assert.equal(closed, 2);
  assert.equal(opened.length, 1);
});

const tsc = { skip: existsSync("/usr/bin/tsc") ? false : "no tsc: apt install node-typescript" };

test("TypeScript takes the declaration as it is used", tsc, () => {
  const folder = mkdtempSync(join(tmpdir(), "freshet-push-"));
  try {
    writeFileSync(join(folder, "worker.ts"), `
/// <reference path="${fileURLToPath(new URL("../../Sources/CWeb/client/push.d.ts", import.meta.url))}" />
freshetPush();
freshetPush({ token: async () => "secret", show: ({ data }, all) => ({ title: data?.source, body: \`\${all.length}\` }) });
// @ts-expect-error: no such option
freshetPush({ gatewy: "https://gateway.example" });
`);
    execFileSync("/usr/bin/tsc", ["--noEmit", "--strict", "--lib", "es2022,dom", join(folder, "worker.ts")], { stdio: "pipe" });
  } catch (error) {
    assert.fail(String(error.stdout ?? error));
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
});

test("it is no larger than 1.5 KB, and loads nothing", () => {
  const stripped = text.replace(/\/\*[\s\S]*?\*\//g, "").replace(/^\s*\/\/.*$/gm, "").replace(/\n\s*\n/g, "\n");
  const size = gzipSync(stripped, { level: 9 }).length;
  assert.ok(size <= 1536, `${size} bytes`);
  assert.ok(!/\bimport\b|importScripts/.test(stripped));
});
