// The hooks with React 18 of Debian: who renders, how often, and that no frame mixes two values.

import assert from "node:assert/strict";
import { test } from "node:test";
import { connect } from "../../Sources/CWeb/client/freshet.js";
import { bind } from "../../Sources/CWeb/client/react.js";
import { lacking, load, paths } from "./support/debian.js";
import { scripted } from "./support/script.js";

const skip = lacking(paths.react, paths.renderer);
const [React, renderer] = [load(paths.react), load(paths.renderer)];
const { createElement, Profiler, StrictMode } = React ?? {};
globalThis.IS_REACT_ACT_ENVIRONMENT = true;

const at = "2026-01-01T00:00:00Z";

/** A tree before a scripted gateway that has `orders`; React may not complain. */
const inReact = (action) => scripted(async (script) => {
  script.shapes.orders = { items: "", key: "/id" };
  const client = connect("http://gateway/", { fetch: script.fetch, tabs: false });
  const complaints = [];
  const { error } = console;
  console.error = (...words) => complaints.push(words.join(" "));
  const act = async (inner) => renderer.act(async () => { await inner(); });
  try {
    await action({ script, client, act, ...bind(React) });
  } finally {
    console.error = error;
    client.close();
  }
  assert.deepEqual(complaints, []);
});

const create = (tree) => renderer.create(tree, { unstable_isConcurrent: true, unstable_strictMode: true });

test("a change renders those that read it, once, in StrictMode", { skip }, inReact(async (it) => {
  const { script, client, act, useItem, useSource, useConnection } = it;
  const store = client.source("orders", { mode: "items" });
  const commits = {};
  // The profiler is told once for each commit in which something below it rendered.
  const counted = (id, Component) => createElement(Profiler, {
    key: id, id, onRender: () => { commits[id] = (commits[id] ?? 0) + 1; },
  }, createElement(Component));
  const parts = {
    one: () => `${useItem(store, 1)?.a}`,
    two: () => `${useItem(store, "2")?.a}`,
    part: () => `${useItem(store, 1, (item) => item?.b)}`,
    size: () => `${useSource(store, (value) => value?.size)}`,
    state: () => useConnection(store),
  };
  let root;
  await act(() => {
    const children = Object.entries(parts).map(([id, part]) => counted(id, part));
    root = create(createElement(StrictMode, null, children));
  });
  await act(() => script.run());
  await act(() => {
    script.line.snapshots({ orders: [{ id: 1, a: "a", b: "b" }, { id: 2, a: "c" }] }, "e-1");
    return script.run();
  });
  assert.deepEqual(root.toJSON(), ["a", "c", "b", "2", "live"]);
  const change = async (items, id) => {
    for (const name of Object.keys(commits)) delete commits[name];
    await act(() => {
      script.line.event("items", { source: "orders", at, items: { created: [], updated: [], deleted: [], ...items } }, id);
      return script.run();
    });
    return { ...commits };
  };
  assert.deepEqual(await change({ updated: [{ id: 1, a: "x", b: "b" }] }, "e-2"), { one: 1 });
  assert.deepEqual(await change({ updated: [{ id: 2, a: "y" }] }, "e-3"), { two: 1 });
  assert.deepEqual(await change({ created: [{ id: 3 }] }, "e-4"), { size: 1 });
  assert.deepEqual(await change({ updated: [{ id: 1, a: "x", b: "z" }] }, "e-5"), { one: 1, part: 1 });
  assert.deepEqual(root.toJSON(), ["x", "y", "z", "3", "live"]);
  await act(() => root.unmount());
  await script.run(10_000);
  assert.equal(script.open.length, 0);
}));

test("a write is shown in the next render and sent once, in StrictMode", { skip }, inReact(async (it) => {
  const { script, client, act, useItem } = it;
  const store = client.source("orders", { mode: "items" });
  let root;
  await act(() => { root = create(createElement(StrictMode, null, createElement(() => `${useItem(store, 1)?.a}`))); });
  await act(() => script.run());
  await act(() => {
    script.line.snapshots({ orders: [{ id: 1, a: "a" }] }, "e-1");
    return script.run();
  });
  script.answer = (method) => (method === "PATCH" ? [200, { id: 1, a: "mine" }, { "Freshet-Cursor": "e-2" }] : undefined);
  await act(() => { store.item(1).patch({ a: "mine" }).catch(() => {}); });
  assert.equal(root.toJSON(), "mine");
  await act(() => script.run());
  assert.equal(script.requests.filter((one) => one.method === "PATCH").length, 1);
  await act(() => root.unmount());
}));

test("two hundred components share one connection", { skip }, inReact(async (it) => {
  const { script, client, act, useItem, useSource } = it;
  const Part = ({ id }) => (id % 2 ? `${useSource(client.source("other"))}` : `${useItem(client.source("orders"), id)?.n}`);
  let root;
  await act(() => {
    const parts = Array.from({ length: 200 }, (_, id) => createElement(Part, { key: id, id }));
    root = create(createElement(StrictMode, null, parts));
  });
  await act(() => script.run());
  assert.deepEqual(script.open.map((line) => line.sources), [["orders", "other"]]);
  await act(() => {
    script.line.snapshots({ orders: Array.from({ length: 200 }, (_, id) => ({ id, n: id })), other: "x" }, "e-1");
    return script.run();
  });
  assert.deepEqual(root.toJSON(), Array.from({ length: 200 }, (_, id) => (id % 2 ? "x" : `${id}`)));
  assert.equal(script.lines.length, 1);
  await act(() => root.unmount());
}));

test("a value that changes while React renders in slices tears no frame", { skip }, inReact(async (it) => {
  const { script, client, act, useSource } = it;
  const store = client.source("a");
  let rendered = 0;
  const Slow = () => {
    const end = performance.now() + 2;
    while (performance.now() < end);
    rendered += 1;
    return `${useSource(store)}`;
  };
  const frames = [];
  let [root, setCount] = [];
  const List = () => {
    const [count, set] = React.useState(1);
    setCount = set;
    // What has been committed is what somebody sees.
    React.useLayoutEffect(() => { frames.push(root && [root.toJSON()].flat()); });
    return Array.from({ length: count }, (_, index) => createElement(Slow, { key: index }));
  };
  await act(() => { root = create(createElement(List)); });
  await act(() => script.run());
  await act(() => {
    script.line.snapshots({ a: 1 }, "e-1");
    return script.run();
  });
  globalThis.IS_REACT_ACT_ENVIRONMENT = false;
  try {
    rendered = 0;
    React.startTransition(() => setCount(100));
    let interrupted = 0;
    for (let step = 0; step < 1000 && [root.toJSON()].flat().length < 100; step += 1) {
      await script.world.settle();
      if (!interrupted && rendered > 20 && rendered < 90) {
        interrupted = rendered;
        script.line.event("snapshot", { source: "a", at, value: 2 }, "e-2");
        await script.run();
      }
      frames.push([root.toJSON()].flat());
    }
    assert.ok(interrupted, "nothing came in the middle");
    for (const frame of frames) assert.ok(!frame || new Set(frame).size === 1, JSON.stringify(frame));
    assert.deepEqual([root.toJSON().length, new Set(root.toJSON())], [100, new Set(["2"])]);
  } finally {
    globalThis.IS_REACT_ACT_ENVIRONMENT = true;
  }
  await act(() => root.unmount());
}));
