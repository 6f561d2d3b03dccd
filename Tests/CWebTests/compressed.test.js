// Compressed streams in a real browser: its own EventSource shows each event as it comes, and comes back after an end.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { Chromium, path as chromium } from "./support/chromium.js";
import { freePort, Scene, skip, until } from "./support/program.js";

const skipped = skip || (chromium ? false : "no Chromium: apt install chromium");
const row = (index, n) => ({ id: index + 1, price: index % 3 ? 1 : n, name: `row ${index}` });
const rows = (n) => Array.from({ length: 30 }, (_, index) => row(index, n));

/** A self-signed pair of files, gone with `folder`. */
function certificate(folder) {
  const [key, chain] = ["key.pem", "chain.pem"].map((name) => join(folder, name));
  execFileSync("openssl", ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
    "-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", chain], { stdio: "pipe" });
  return { key, chain };
}

for (const [protocol, coding] of [["http/1.1", "gzip"], ["http/1.1", "zstd"], ["h2", "gzip"], ["h2", "zstd"]]) {
  const name = `EventSource over ${protocol} in ${coding}: each event as it comes, and again after an end`;
  test(name, { skip: skipped }, async () => {
    const folder = mkdtempSync(join(tmpdir(), "freshet-tls-"));
    let it;
    let browser;
    try {
      const [{ key, chain }, port] = [certificate(folder), await freePort()];
      const tls = `tls: { certificate: "${chain}", key: "${key}", listen: "127.0.0.1:${port}" }`;
      it = await Scene.start(`streams: { compression: true }\nheartbeat: 1s\n${tls}`, ["orders"]);
      it.value = rows(1);
      browser = await Chromium.start(["--ignore-certificate-errors"]);
      const origin = protocol === "h2" ? `https://127.0.0.1:${port}` : it.url;
      const tab = await browser.open(`${origin}/livez`);
      const answers = [];
      browser.heard = (method, { type, response }) => {
        if (method === "Network.responseReceived" && type === "EventSource") answers.push(response);
      };
      await tab.call("Network.enable");
      await tab.call("Network.setExtraHTTPHeaders", { headers: { "Accept-Encoding": coding } });
      await tab.until(`location.origin === "${origin}" && document.readyState === "complete"`);
      await tab.run(`(() => {
        window.prices = [];
        window.opened = 0;
        window.source = new EventSource("/v1/streams/orders?mode=snapshot");
        source.onopen = () => { opened += 1; };
        source.addEventListener("snapshot", ({ data }) => { prices.push(JSON.parse(data).value[0].price); });
      })()`);
      const follow = async (first) => {
        for (let n = first; n < first + 15; n += 1) {
          it.value = rows(n);
          // The next change is made when this one is there.
          await tab.until(`prices.at(-1) === ${n}`, "JSON.stringify([prices, source.readyState])");
        }
      };
      await follow(2);
      // Silence with heartbeats, then more.
      await new Promise((done) => setTimeout(done, 2500));
      await follow(20);
      assert.equal(await tab.run("opened"), 1);
      await it.stop();
      await it.run();
      await follow(40);
      assert.ok(await tab.run("opened") >= 2);
      await until(() => answers.length >= 2);
      for (const answer of answers) {
        const fields = Object.fromEntries(Object.entries(answer.headers).map(([name, value]) => [name.toLowerCase(), value]));
        assert.deepEqual([answer.protocol, fields["content-encoding"]], [protocol, coding]);
      }
    } finally {
      await browser?.close();
      await it?.close();
      rmSync(folder, { recursive: true, force: true });
    }
  });
}
