// `freshet demo` as a new user meets it: from the command to a change on the page. The time is reported and not asserted:
// `node --test Tests/CWebTests/demo.test.js`, with `FRESHET_BINARY` for another program.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { Chromium, path as chromium } from "./support/chromium.js";
import { program, skip as isNotBuilt } from "./support/program.js";

const skip = isNotBuilt || (chromium ? false : "no Chromium: apt install chromium");

test("from the command to a change on the page, and to the board", { skip }, async (t) => {
  const home = mkdtempSync(join(tmpdir(), "freshet-demo-"));
  const browser = await Chromium.start();
  const began = performance.now();
  const since = () => Math.round(performance.now() - began);
  const demo = spawn(program, ["demo", "--listen", "127.0.0.1:0"], {
    stdio: ["ignore", "pipe", "ignore"], env: { ...process.env, RUNTIME_DIRECTORY: home },
  });
  try {
    // Its page and its board, as it prints them.
    const said = await new Promise((done, fail) => {
      let text = "";
      demo.stdout.on("data", (part) => {
        text += part;
        if (text.includes("Ctrl-C ends.")) done(text);
      });
      demo.on("exit", () => fail(new Error(text)));
    });
    const [, page] = /^The page +(\S+)$/m.exec(said) ?? assert.fail(said);
    const [, board] = /^A board, two-way +(\S+)$/m.exec(said) ?? assert.fail(said);
    const isListening = since();
    const tab = await browser.open(page);
    await tab.until(`document.querySelectorAll("tbody th a").length === 5`);
    const isShown = since();
    // What was there when the rows came does not count.
    const changes = `[...document.querySelectorAll("tbody .leaf")].map((one) => one.textContent).join()`;
    await tab.run(`window.first = ${changes}`);
    await tab.until(`${changes} !== first`);
    t.diagnostic(`listening after ${isListening} ms, rows after ${isShown} ms, the first change after ${since()} ms`);
    await tab.call("Page.navigate", { url: board });
    await tab.until(`document.querySelectorAll("main .card").length === 6 && globalThis.example?.orders.state === "live"`);
    // Where the orders cannot be read, the board does not say that there are none.
    const cut = await browser.open("about:blank", await browser.context());
    await cut.call("Network.enable");
    await cut.call("Network.setBlockedURLs", { urls: ["*/v1/*"] });
    await cut.call("Page.navigate", { url: board });
    const empty = `[...document.querySelectorAll("main .nothing")].map((one) => one.textContent).join()`;
    await cut.until(`globalThis.example && ${empty} === "Loading…,Loading…,Loading…"`, empty);
  } finally {
    await browser.close();
    demo.kill("SIGKILL");
    rmSync(home, { recursive: true, force: true });
  }
});
