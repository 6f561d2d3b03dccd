// The example board in Chromium: two windows of one browser and one of another that is offline end equal, with two conflicts
// resolved on screen. Before the model of the gateway, and as `freshet demo` has it. `FRESHET_SCREENSHOTS=FOLDER` keeps what it
// looks like.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { axe, findings } from "./support/axe.js";
import { Chromium, path } from "./support/chromium.js";
import { freePort, program, skip as isNotBuilt, until } from "./support/program.js";
import { Server } from "./support/server.js";

const skip = path ? false : "no Chromium: apt install chromium";
const folder = process.env.FRESHET_SCREENSHOTS;
const statuses = ["open", "packed", "sent"];

/** What a window shows, by column. */
const seen = `JSON.stringify(["open", "packed", "sent"].map((id) => [...document.querySelectorAll("#" + id + " article")]
  .map((card) => card.querySelector(".title").textContent + "/" + card.querySelector(".note").value)))`;
const card = (id) => `document.querySelector('[data-key="${id}"]')`;
const note = (id, value) => `{
  const field = ${card(id)}.querySelector(".note");
  field.value = ${JSON.stringify(value)};
  field.dispatchEvent(new Event("change"));
}`;
const click = (id, name) => `${card(id)}.querySelector("${name}").click()`;
const toggle = `document.getElementById("cut").click()`;
const decisions = `document.querySelectorAll("#conflicts article").length`;
const rows = `[...document.querySelectorAll("#conflicts tbody tr")].map((row) =>
  [...row.cells].map((cell) => cell.querySelector("input, select")?.value ?? cell.textContent))`;

/** The windows of one run, and what they are to show. */
class Windows {
  constructor(browser, url, name) { Object.assign(this, { browser, url, name }); }

  async open(context) {
    const tab = await this.browser.open(`${this.url}/demo/board.html`, context);
    await tab.until(`globalThis.example?.orders.state === "live" && document.querySelectorAll("main .card").length > 2`);
    return tab;
  }

  async keep(tab, name) {
    if (folder) writeFileSync(join(folder, `${this.name}-${name}.png`), await tab.picture());
  }

  /** Waits until some windows show these orders. */
  async show(tabs, orders) {
    const columns = statuses.map((status) => orders.filter((one) => one.status === status)
      .map(({ title, note: text }) => `${title}/${text}`));
    for (const tab of tabs) {
      // A page that is hidden for long lets go of its connection.
      await tab.call("Page.bringToFront");
      await tab.until(`${seen} === ${JSON.stringify(JSON.stringify(columns))}`, seen);
    }
  }
}

/** `read` is what the gateway has in the end. */
async function play(windows, read) {
  const { browser } = windows;
  const orders = structuredClone(await read());
  const change = (id, fields) => Object.assign(orders.find((one) => one.id === id), fields);
  const [one, two] = [await windows.open(), await windows.open()];
  const away = await windows.open(await browser.context());
  const all = [one, two, away];
  await windows.show(all, orders);

  await one.run(click(1, ".on"));
  change(1, { status: "packed" });
  await windows.show(all, orders);
  await windows.keep(one, "1-live");

  // One that is offline goes on; what it did is marked until it is settled.
  await away.run(toggle);
  await away.run(note(1, "gift wrap"));
  await away.run(click(2, ".on"));
  await away.run(note(4, "side door"));
  await away.run(`document.getElementById("title").value = "Milk for Edsger";
    document.getElementById("create").requestSubmit()`);
  const offline = structuredClone(orders);
  Object.assign(offline.find(({ id }) => id === 1), { note: "gift wrap" });
  Object.assign(offline.find(({ id }) => id === 2), { status: "packed" });
  Object.assign(offline.find(({ id }) => id === 4), { note: "side door" });
  const milk = { id: orders.length + 1, title: "Milk for Edsger", note: "", status: "open" };
  await windows.show([away], [...offline, milk]);
  assert.equal(await away.run(`document.querySelectorAll(".card.pending").length`), 4);
  await away.until(`/^Offline, as of .*4 changes wait$/.test(document.getElementById("state").textContent)`);
  await windows.keep(away, "2-offline");

  // Meanwhile others change two of these orders, and another one.
  await two.run(note(1, "fragile"));
  await two.run(note(4, "back door"));
  await two.run(click(3, ".on"));
  change(1, { note: "fragile" });
  change(4, { note: "back door" });
  change(3, { status: "sent" });
  await windows.show([one, two], orders);
  // Windows of one browser show each other's writes before they are sent.
  for (const tab of [one, two]) await tab.until(`!example.gateway.outbox.records.length`);

  await away.run(toggle);
  await away.until(`${decisions} === 2`, `JSON.stringify([
    example.orders.state, example.orders.reason, example.gateway.parked,
    example.gateway.outbox.records.map(({ state, item, tag, tries }) => [state, item, tag, tries]), ${seen}])`);
  assert.deepEqual(await away.run(`${rows}.sort()`), [
    ["note", "ring twice", "back door", "side door", "back door, side door"],
    ["note", "–", "fragile", "gift wrap", "fragile, gift wrap"],
  ].sort());
  change(2, { status: "packed" });
  orders.push(milk);
  await windows.show(all, orders);
  await windows.keep(away, "3-conflict");
  await check(away, windows);

  // One is put together, of the other one's own is kept.
  const panel = (title) => `[...document.querySelectorAll("#conflicts article")]
    .find((one) => one.querySelector(".title").textContent === "${title}")`;
  await away.run(`${panel("Bread for Ada")}.querySelector(".merge").click()`);
  change(1, { note: "fragile, gift wrap" });
  await windows.show(all, orders);
  await away.until(`${decisions} === 1`);
  await away.run(`${panel("Honey for Barbara")}.querySelector(".mine").click()`);
  change(4, { note: "side door" });
  await windows.show(all, orders);

  // Once more, and theirs is taken, in the next life of the window.
  await away.run(toggle);
  await away.run(note(1, "no paper"));
  await two.run(note(1, "much paper"));
  change(1, { note: "much paper" });
  await windows.show([one, two], orders);
  for (const tab of [one, two]) await tab.until(`!example.gateway.outbox.records.length`);
  await away.run(toggle);
  await away.until(`${decisions} === 1`);
  await away.reload();
  await away.until(`globalThis.example?.orders.state === "live" && ${decisions} === 1`, "document.body.innerText");
  assert.deepEqual(await away.run(rows), [
    ["note", "fragile, gift wrap", "much paper", "no paper", "much paper, no paper"],
  ]);
  await windows.keep(away, "4-next-life");
  await away.run(`document.querySelector("#conflicts .theirs").click()`);
  await windows.show(all, orders);
  for (const tab of all) await tab.until(`!document.querySelector(".card.pending") && ${decisions} === 0`);
  await windows.keep(one, "5-equal");
  assert.equal(await away.run("example.gateway.parked.length + example.gateway.outbox.records.length"), 0);
  const fields = (list) => list.map(({ id, title, note: text, status }) => [id, title, text, status]);
  await until(async () => JSON.stringify(fields(await read())) === JSON.stringify(fields(orders)),
    () => JSON.stringify(orders));
}

/** What a checker says, and whether anything is wider than its window: light and dark, on a desk and on a phone. */
async function check(tab, windows) {
  const script = axe();
  for (const [width, scheme, name] of [[1280, "light", "desk"], [1280, "dark", "desk-dark"], [390, "dark", "phone-dark"],
    [390, "light", "phone"]]) {
    const metrics = { width, height: 1100, deviceScaleFactor: 1, mobile: width < 500 };
    await tab.call("Emulation.setDeviceMetricsOverride", metrics);
    await tab.call("Emulation.setEmulatedMedia", { features: [{ name: "prefers-color-scheme", value: scheme }] });
    await tab.run("Promise.all(document.getAnimations().map((one) => one.finished)).then(() => 1)");
    await windows.keep(tab, name);
    assert.equal(await tab.run("document.documentElement.scrollWidth <= innerWidth"), true, name);
    if (script) assert.deepEqual(await findings(tab, script), [], name);
  }
  await tab.call("Emulation.clearDeviceMetricsOverride");
}

test("two windows and one offline end equal, with conflicts resolved on screen", { skip }, async () => {
  const server = await Server.start([
    { id: 1, title: "Bread for Ada", note: "", status: "open" },
    { id: 2, title: "Apples for Grace", note: "two kilos", status: "open" },
    { id: 3, title: "Tea for Alan", note: "", status: "packed" },
    { id: 4, title: "Honey for Barbara", note: "ring twice", status: "open" },
  ]);
  server.gateway.conflict = "merge";
  let browser;
  try {
    browser = await Chromium.start();
    await play(new Windows(browser, server.url, "model"), () => [...server.gateway.upstream.values()]);
  } finally {
    await browser?.close();
    await server.close();
  }
});

test("the same in `freshet demo`", { skip: skip || isNotBuilt }, async () => {
  const port = await freePort();
  const home = mkdtempSync(join(tmpdir(), "freshet-demo-"));
  const demo = spawn(program, ["demo", "--listen", `127.0.0.1:${port}`], {
    stdio: "ignore", env: { ...process.env, RUNTIME_DIRECTORY: home },
  });
  const url = `http://127.0.0.1:${port}`;
  let browser;
  try {
    const read = async () => (await fetch(`${url}/v1/values/orders`)).json();
    await until(() => read().then((orders) => orders.length > 3, () => false));
    browser = await Chromium.start();
    await play(new Windows(browser, url, "demo"), read);
  } finally {
    await browser?.close();
    demo.kill("SIGKILL");
    rmSync(home, { recursive: true, force: true });
  }
});
