// The example board in Chromium: two windows of one browser and one of another that is offline end equal, with a conflict
// resolved on screen. `FRESHET_SCREENSHOTS=FOLDER` keeps what it looks like.

import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { Chromium, path } from "./support/chromium.js";
import { Server } from "./support/server.js";

const skip = path ? false : "no Chromium: apt install chromium";
const folder = process.env.FRESHET_SCREENSHOTS;

const orders = [
  { id: 1, title: "Bread for Ada", note: "", status: "open" },
  { id: 2, title: "Apples for Grace", note: "two kilos", status: "open" },
  { id: 3, title: "Tea for Alan", note: "", status: "packed" },
];

/** What a window shows, by column. */
const seen = `JSON.stringify(["open", "packed", "sent"].map((id) => [...document.querySelectorAll("#" + id + " article")]
  .map((card) => card.querySelector("h3").textContent + "/" + card.querySelector(".note").value).sort()))`;
const card = (id) => `document.querySelector('[data-key="${id}"]')`;
const note = (id, value) => `{
  const field = ${card(id)}.querySelector(".note");
  field.value = ${JSON.stringify(value)};
  field.dispatchEvent(new Event("change"));
}`;
const click = (id, name) => `${card(id)}.querySelector("${name}").click()`;

test("two windows and one offline end equal, with a conflict resolved on screen", { skip }, async () => {
  const server = await Server.start(orders);
  let browser;
  try {
    browser = await Chromium.start();
    const open = async (context) => {
      const tab = await browser.open(`${server.url}/demo/board.html`, context);
      await tab.until(`globalThis.example?.orders.state === "live" && document.querySelectorAll("main article").length === 3`);
      return tab;
    };
    const keep = async (tab, name) => {
      if (folder) writeFileSync(join(folder, `${name}.png`), await tab.picture());
    };
    const shows = async (tab, columns) => {
      // A page that is hidden for long lets go of its connection.
      await tab.call("Page.bringToFront");
      await tab.until(`${seen} === ${JSON.stringify(JSON.stringify(columns))}`, seen);
    };
    const [one, two] = [await open(), await open()];
    const away = await open(await browser.context());

    await one.run(click(1, ".on"));
    for (const tab of [one, two, away]) {
      await shows(tab, [["Apples for Grace/two kilos"], ["Bread for Ada/", "Tea for Alan/"], []]);
    }
    await keep(one, "1-live");

    // One that is offline goes on; what it did is marked until it is settled.
    const toggle = `document.getElementById("cut").click()`;
    await away.run(toggle);
    await away.run(note(1, "gift wrap"));
    await away.run(click(2, ".on"));
    await away.run(`document.getElementById("title").value = "Milk for Edsger";
      document.getElementById("create").requestSubmit()`);
    await shows(away, [["Milk for Edsger/"], ["Apples for Grace/two kilos", "Bread for Ada/gift wrap", "Tea for Alan/"], []]);
    assert.equal(await away.run(`document.querySelectorAll("article.pending").length`), 3);
    await away.until(`document.getElementById("state").textContent.startsWith("offline, as of")`);
    await keep(away, "2-offline");

    // Meanwhile others change the same order, and another one.
    await two.run(note(1, "fragile"));
    await two.run(click(3, ".on"));
    for (const tab of [one, two]) {
      await shows(tab, [["Apples for Grace/two kilos"], ["Bread for Ada/fragile"], ["Tea for Alan/"]]);
      // Windows of one browser show each other's writes before they are sent.
      await tab.until(`!example.gateway.outbox.records.length`);
    }

    await away.run(toggle);
    await away.until(`document.querySelectorAll("#conflicts article").length === 1`, `JSON.stringify([
      example.orders.state, example.orders.reason, example.gateway.parked,
      example.gateway.outbox.records.map(({ state, item, tag, tries }) => [state, item, tag, tries]), ${seen}])`);
    const table = await away.run(`[...document.querySelectorAll("#conflicts td")].map((cell) => cell.textContent)`);
    assert.deepEqual(table, ["note", "–", "fragile", "gift wrap"]);
    for (const tab of [one, two, away]) {
      await shows(tab, [["Milk for Edsger/"], ["Apples for Grace/two kilos", "Bread for Ada/fragile"], ["Tea for Alan/"]]);
    }
    await keep(away, "3-conflict");
    await away.run(`document.querySelector("#conflicts .mine").click()`);
    for (const tab of [one, two, away]) {
      await shows(tab, [["Milk for Edsger/"], ["Apples for Grace/two kilos", "Bread for Ada/gift wrap"], ["Tea for Alan/"]]);
      await tab.until(`!document.querySelector("article.pending") && !document.querySelector("#conflicts article")`);
    }
    await keep(one, "4-equal");
    assert.equal(await away.run("example.gateway.parked.length + example.gateway.outbox.records.length"), 0);
    assert.deepEqual([...server.gateway.upstream.values()].map(({ id, note: text, status }) => [id, text, status]), [
      [1, "gift wrap", "packed"], [2, "two kilos", "packed"], [3, "", "sent"], [4, "", "open"],
    ]);
  } finally {
    await browser?.close();
    await server.close();
  }
});
