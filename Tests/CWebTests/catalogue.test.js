// The snippets of the pages on the client in the catalogue, as they stand there.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { lacking, load, paths } from "./support/debian.js";
import { Browser } from "./support/browser.js";
import { ModelGateway, Network } from "./support/model.js";
import { run, snippets } from "./support/snippets.js";
import { World } from "./support/world.js";

/** Two sources before a page whose console is read. */
async function inPage(action) {
  const world = new World(1);
  const { log } = console;
  const { fetch } = globalThis;
  world.install();
  const browser = new Browser(world);
  browser.install();
  const rates = new ModelGateway(world, [{ id: "EUR", rate: 1 }]);
  const orders = new ModelGateway(world, [{ id: 42, status: "open" }]);
  rates.name = "rates";
  const [first, second] = [rates, orders].map((gateway) => new Network(world, gateway));
  globalThis.fetch = (url, init) => {
    if (url.endsWith("/schema")) return Promise.resolve({ ok: true, json: async () => schema });
    return (url.includes("rates") ? first : second).fetch(url, init);
  };
  globalThis.localStorage = { token: "secret" };
  const lines = [];
  console.log = (...values) => lines.push(...values);
  try {
    await action({ world, browser, orders, lines });
  } finally {
    console.log = log;
    globalThis.fetch = fetch;
    delete globalThis.localStorage;
    Browser.restore();
    World.restore();
  }
}

const schema = { properties: { orders: { items: { properties: { status: { enum: ["open", "done"] } } } } } };

/** Runs snippets in a page for a while, and says what they printed. */
const printed = (text, look = () => {}, globals = {}) => inPage(async ({ world, browser, orders, lines }) => {
  let failure;
  browser.open(() => { run(text, globals).catch((error) => { failure = error; }); });
  // React waits in real time for a moment, too.
  for (let step = 0; step < 50; step += 1) await world.run(500);
  assert.equal(failure, undefined);
  look(orders, lines);
});

const page = snippets("Client.md");
const followed = { orders: [{ id: "EUR", rate: 1 }], at: "always" };

// Somebody reads before writing.
const pause = "await new Promise((done) => setTimeout(done, 3000));\n";

const reading = page.slice(0, 3).join("");

test("the snippets of Client.md follow and write", () => printed(reading + pause + page[3], (orders, lines) => {
  for (const wanted of [followed, "open", "done"]) {
    assert.ok(lines.some((line) => JSON.stringify(line) === JSON.stringify(wanted)), JSON.stringify(lines));
  }
  assert.equal(orders.upstream.get(42).status, "done");
}));

test("the snippet of Client.md on a page without network names what is parked", () => {
  const write = "\nconst store = gateway.source(\"orders\", { mode: \"items\" }); store.subscribe(() => {});"
    + "\nstore.item(42).put({ id: 42 }).catch(() => {});";
  return printed(page[4] + write, (orders, lines) => assert.deepEqual(lines, ["precondition_failed"]));
});

test("every snippet of Client.md is run", () => assert.equal(page.length, 5));

const bindings = snippets("Bindings.md");
const said = (...wanted) => (orders, lines) => assert.deepEqual(lines, wanted);

test("the snippet of React shows an item, and closes it", { skip: lacking(paths.react, paths.renderer) }, () => {
  const [React, renderer] = [load(paths.react), load(paths.renderer)];
  const show = `
    let root;
    const act = (inner) => renderer.act(async () => { inner(); await new Promise((done) => setTimeout(done, 3000)); });
    await act(() => {
      root = renderer.create(React.createElement(React.Fragment, null, React.createElement(Order, { id: 42 }),
        React.createElement(Count)));
    });
    const button = root.root.findByType("button");
    console.log(button.children[0], root.toJSON()[1]);
    await act(() => button.props.onClick());
    console.log(button.children[0]);
    await act(() => root.unmount());
  `;
  globalThis.IS_REACT_ACT_ENVIRONMENT = true;
  return printed(bindings[0] + show, (orders, lines) => {
    assert.deepEqual([lines, orders.upstream.get(42).status], [["open", "1", "done"], "done"]);
  }, { React, renderer });
});

test("the snippet of Redux shows values, and writes", { skip: lacking(paths.redux) }, () => {
  const text = `${bindings[1]}\n${pause}await close(42);`;
  return printed(text, (orders, lines) => {
    assert.deepEqual(lines.filter(Boolean).map((value) => value[42].status).at(-1), "done");
    assert.equal(orders.upstream.get(42).status, "done");
  }, { Redux: load(paths.redux) });
});

test("the snippet of Vue watches an item", { skip: lacking(paths.vue) }, () => {
  const Vue = load(paths.vue);
  Vue.config.productionTip = false;
  return printed(bindings[2], said("open"), { Vue });
});

test("the recipe for TanStack Query keeps an entry of the cache", () => {
  // What its documentation says of these two; no package here has it.
  const cache = new Map();
  const queryClient = {
    setQueryData: (key, value) => cache.set(key.join(), value),
    fetchQuery: async ({ queryKey, queryFn }) => cache.get(queryKey.join()) ?? queryFn(),
  };
  const value = { orders: [{ id: "EUR", rate: 1 }], at: "always" };
  return printed(bindings[4], (orders, lines) => {
    assert.deepEqual([lines, cache.get("rates")], [[value], value]);
  }, { queryClient });
});

test("the snippet of the validator says what is wrong", () =>
  printed(bindings[5], said(["/status is none of [\"open\",\"done\"]"])));

test("every snippet of Bindings.md is run, that of MobX in bindings.test.js", () => assert.equal(bindings.length, 6));
