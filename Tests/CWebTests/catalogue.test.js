// The snippets of the page on the client in the catalogue, and of the README, as they stand there.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import * as freshet from "../../Sources/CWeb/client/freshet.js";
import * as offline from "../../Sources/CWeb/client/offline.js";
import { Browser } from "./support/browser.js";
import { ModelGateway, Network } from "./support/model.js";
import { World } from "./support/world.js";

const root = fileURLToPath(new URL("../../", import.meta.url));
const snippets = (path) => [...readFileSync(root + path, "utf8").matchAll(/^```js\n([\s\S]*?)^```$/gm)].map(([, text]) => text);

const AsyncFunction = (async () => {}).constructor;

/** Runs text as it would run in a module; the client is that of the tree, not of a gateway. */
function run(text) {
  const loading = /^import (\{.*\}) from "http:\/\/127\.0\.0\.1:8080\/client\/(\w+)\.js";$/gm;
  const local = text.replace(loading, "const $1 = client.$2;");
  return new AsyncFunction("client", local)({ freshet, offline });
}

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
  globalThis.fetch = (url, init) => (url.includes("rates") ? first : second).fetch(url, init);
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

/** Runs snippets in a page for a while, and says what they printed. */
const printed = (text, look = () => {}) => inPage(async ({ world, browser, orders, lines }) => {
  let failure;
  browser.open(() => { run(text).catch((error) => { failure = error; }); });
  await world.run(10_000);
  assert.equal(failure, undefined);
  look(orders, lines);
});

const page = snippets("Sources/freshet/Freshet.docc/Client.md");
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
