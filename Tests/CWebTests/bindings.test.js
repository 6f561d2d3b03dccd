// Redux and Vue 2.6 of Debian, Vue 3 by what its interface promises, MobX of PyPI, and the contract of Svelte's stores.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { connect } from "../../Sources/CWeb/client/freshet.js";
import { bind as bindMobX } from "../../Sources/CWeb/client/mobx.js";
import { freshet, middleware, write } from "../../Sources/CWeb/client/redux.js";
import { bind as bindVue } from "../../Sources/CWeb/client/vue.js";
import { lacking, load, paths } from "./support/debian.js";
import { scripted } from "./support/script.js";
import { run, snippets } from "./support/snippets.js";

const at = "2026-01-01T00:00:00Z";

/** A gateway that has shown `orders` twice: as a value and as items. */
const shown = (action) => scripted(async (script) => {
  script.shapes.orders = { items: "", key: "/id" };
  const client = connect("http://gateway/", { fetch: script.fetch, tabs: false });
  const value = client.source("orders");
  const items = client.source("orders", { mode: "items" });
  const begin = async () => {
    await script.run();
    for (const line of script.open) line.snapshots({ orders: [{ id: 1, a: "a" }, { id: 2, a: "b" }] }, "e-1");
    await script.run();
  };
  const change = async (id, a, cursor) => {
    for (const line of script.open) {
      const isItems = line.url.searchParams.get("mode") === "items";
      const body = isItems ? { items: { created: [], updated: [{ id, a }], deleted: [] } }
        : { patch: [{ op: "replace", path: `/${id - 1}/a`, value: a }] };
      line.event(isItems ? "items" : "patch", { source: "orders", at, ...body }, cursor);
    }
    await script.run();
  };
  await action({ script, client, value, items, begin, change });
  client.close();
});

test("Redux: one change is one action, and what did not change is the same object", { skip: lacking(paths.redux) },
  shown(async ({ script, value, items, begin, change }) => {
    const { applyMiddleware, combineReducers, createStore } = load(paths.redux);
    const store = createStore(combineReducers({ freshet }), applyMiddleware(middleware({ orders: items, list: value })));
    let actions = 0;
    store.subscribe(() => { actions += 1; });
    await begin();
    const before = store.getState().freshet;
    const entities = { 1: { id: 1, a: "a" }, 2: { id: 2, a: "b" } };
    assert.deepEqual(before.orders, { value: entities, state: "live", reason: "" });
    assert.deepEqual(before.list.value, [{ id: 1, a: "a" }, { id: 2, a: "b" }]);
    actions = 0;
    await change(1, "x", "e-2");
    const after = store.getState().freshet;
    // One for each of the two stores.
    assert.deepEqual([actions, after.orders.value[1].a, after.list.value[0].a], [2, "x", "x"]);
    assert.equal(after.orders.value[2], before.orders.value[2]);
    assert.equal(after.list.value[1], before.list.value[1]);
    const promise = store.dispatch(write("orders", 2).patch({ a: "mine" }));
    assert.equal(store.getState().freshet.orders.value[2].a, "mine");
    assert.equal(typeof promise.then, "function");
    promise.catch(() => {});
    await script.run();
    assert.equal(script.requests.filter((one) => one.method === "PATCH").length, 1);
  }));

test("Vue 2.6: who reads is told once, and Vue does not look into values", { skip: lacking(paths.vue) },
  shown(async ({ script, value, items, begin, change }) => {
    const Vue = load(paths.vue);
    Vue.config.productionTip = false;
    const { useConnection, useItem, useSource } = bindVue(Vue);
    const calls = { list: 0, one: 0, two: 0 };
    const view = new Vue({
      data() {
        return {
          list: useSource(value, this), now: useConnection(value, this),
          one: useItem(items, 1, this), two: useItem(items, 2, this),
        };
      },
      watch: {
        "list.value": () => { calls.list += 1; },
        "one.value": () => { calls.one += 1; },
        "two.value": () => { calls.two += 1; },
      },
    });
    await begin();
    assert.deepEqual([view.list.value.length, view.one.value.a, view.now.value.state], [2, "a", "live"]);
    Object.assign(calls, { list: 0, one: 0, two: 0 });
    await change(1, "x", "e-2");
    assert.deepEqual([calls, view.one.value.a, view.list.value[0].a], [{ list: 1, one: 1, two: 0 }, "x", "x"]);
    assert.equal(view.list.value[0].__ob__, undefined);
    assert.equal(view.list.value, value.value);
    view.$destroy();
    await script.run(10_000);
    assert.equal(script.open.length, 0);
  }));

test("Vue 3: a shallow ref that ends with the scope", shown(async ({ script, value, begin, change }) => {
  // What Vue 3 documents of these; Debian does not have it.
  const ends = [];
  const vue = {
    shallowRef: (first) => ({ value: first, isRef: true }),
    getCurrentScope: () => ({}),
    onScopeDispose: (end) => ends.push(end),
  };
  const ref = bindVue(vue).useSource(value);
  await begin();
  await change(2, "y", "e-2");
  assert.deepEqual([ref.isRef, ref.value], [true, [{ id: 1, a: "a" }, { id: 2, a: "y" }]]);
  ends.forEach((end) => end());
  await script.run(10_000);
  assert.equal(script.open.length, 0);
}));

/** MobX as a Python package has it; undefined where there is no network. */
function mobx(folder) {
  try {
    execFileSync("python3", ["-m", "venv", folder], { stdio: "pipe" });
    const pip = (...words) => execFileSync(join(folder, "bin/pip"), ["install", "-q", ...words], { stdio: "pipe" });
    pip("setuptools<80", "wheel");
    pip("--no-deps", "--no-build-isolation", "xstatic-mobx==5.9.0.1");
  } catch {
    return undefined;
  }
  const find = (path) => readdirSync(path, { withFileTypes: true }).flatMap((entry) => {
    const below = join(path, entry.name);
    return entry.isDirectory() ? find(below) : /\/mobx\.umd\.js$/.test(below) ? [below] : [];
  });
  const [path] = find(join(folder, "lib"));
  return createRequire(path)(path);
}

test("MobX: a reaction runs once for what it reads, and nothing is followed without one", async (context) => {
  const folder = mkdtempSync(join(tmpdir(), "freshet-mobx-"));
  const library = mobx(folder);
  rmSync(folder, { recursive: true, force: true });
  if (!library) return context.skip("no MobX: python3-venv and PyPI are needed");
  return shown(async ({ script, items, value, begin, change }) => {
    const { observe, observeConnection, observeItem } = bindMobX(library);
    const [one, list, now] = [observeItem(items, 1), observe(value), observeConnection(value)];
    await script.run();
    assert.equal(script.lines.length, 0);
    const seen = [];
    const stops = [
      library.autorun(() => seen.push(["one", one.current?.a])),
      library.autorun(() => seen.push(["list", list.current?.length, now.current])),
    ];
    await begin();
    seen.length = 0;
    await change(1, "x", "e-2");
    assert.deepEqual(seen.sort(), [["list", 2, "live"], ["one", "x"]]);
    await change(2, "y", "e-3");
    assert.deepEqual(seen.slice(2), [["list", 2, "live"]]);
    stops.forEach((stop) => stop());
    await script.run(10_000);
    assert.equal(script.open.length, 0);
    // The snippet of Bindings.md, with the network of this script.
    const { fetch } = globalThis;
    const { log } = console;
    const lines = [];
    Object.assign(globalThis, { fetch: script.fetch });
    console.log = (line) => lines.push(line);
    try {
      await run(snippets("Bindings.md")[3], { mobx: library });
      await script.run();
      script.line.snapshots({ orders: [{ id: 42, status: "open" }] }, "e-1");
      await script.run();
    } finally {
      Object.assign(globalThis, { fetch });
      console.log = log;
    }
    assert.deepEqual(lines, [undefined, "open"]);
  })();
});

test("Svelte: a store is one by its contract", shown(async ({ value, items, begin, change }) => {
  // At once and synchronously; then for each change, until what it returned is called, which may be twice.
  for (const store of [value, items, items.item(1)]) {
    const calls = [];
    const stop = store.subscribe((now) => calls.push(now));
    assert.deepEqual(calls, [store.value]);
    stop();
    stop();
  }
  const [first, second] = [[], []];
  const stop = value.subscribe((now) => first.push(now));
  value.subscribe((now) => second.push(now));
  items.subscribe(() => {});
  await begin();
  stop();
  await change(1, "x", "e-2");
  assert.deepEqual([first.length, second.length], [2, 3]);
  // As `get` of svelte/store reads it.
  let read;
  value.subscribe((now) => { read = now; })();
  assert.equal(read, value.value);
}));
