// A headless Chromium with several pages, driven over its debugging pipe.

import { spawn } from "node:child_process";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export const path = ["/usr/bin/chromium", "/usr/bin/chromium-browser"].find((one) => existsSync(one));

export class Chromium {
  #answers = new Map();
  #count = 0;
  #tail = "";
  #end = undefined;

  /** `more`: further options of its command line. */
  static async start(more = []) {
    const browser = new Chromium();
    browser.profile = mkdtempSync(join(tmpdir(), "freshet-chromium-"));
    // Pages that are behind others run as fast as those in front; they are hidden all the same.
    const pace = ["--disable-background-timer-throttling", "--disable-renderer-backgrounding"];
    const always = ["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--remote-debugging-pipe"];
    const options = [...always, ...pace, ...more];
    browser.process = spawn(path, [...options, `--user-data-dir=${browser.profile}`, "about:blank"], {
      stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"], env: { ...process.env, HOME: browser.profile },
      // A group of its own, which ends as a whole.
      detached: true,
    });
    browser.process.stdio[4].on("data", (bytes) => browser.#hear(bytes));
    // A browser that is gone answers nothing: whoever waits is told so.
    browser.process.stdio[3].on("error", () => {});
    browser.ended = new Promise((done) => {
      const end = (why) => {
        browser.#end = new Error(`Chromium ended: ${why}`);
        for (const { reject } of browser.#answers.values()) reject(browser.#end);
        browser.#answers.clear();
        done();
      };
      browser.process.on("exit", (code, signal) => end(signal ?? code));
      browser.process.on("error", end);
    });
    await browser.call("Browser.getVersion").catch(async (error) => {
      await browser.close();
      throw error;
    });
    return browser;
  }

  #hear(bytes) {
    const parts = (this.#tail + bytes).split("\0");
    this.#tail = parts.pop();
    for (const part of parts) {
      const { id, result, error, method, params } = JSON.parse(part);
      if (method) this.heard?.(method, params);
      const waiting = this.#answers.get(id);
      this.#answers.delete(id);
      if (error) waiting?.reject(new Error(error.message));
      else waiting?.resolve(result);
    }
  }

  call(method, params = {}, sessionId = undefined) {
    if (this.#end) return Promise.reject(this.#end);
    const id = (this.#count += 1);
    this.process.stdio[3].write(`${JSON.stringify({ id, method, params, sessionId })}\0`);
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new Error(`${method}: no answer in two minutes`)), 120_000);
      const settle = (action) => (value) => { clearTimeout(timer); action(value); };
      this.#answers.set(id, { resolve: settle(resolve), reject: settle(reject) });
    });
  }

  /** A page of this browser, with the storage, locks and channels of the others. */
  async open(url, context = undefined) {
    const { targetId } = await this.call("Target.createTarget", { url, browserContextId: context });
    const { sessionId } = await this.call("Target.attachToTarget", { targetId, flatten: true });
    return new Tab(this, targetId, sessionId);
  }

  /** Storage, locks and channels of their own, as another browser has them. */
  async context() { return (await this.call("Target.createBrowserContext")).browserContextId; }

  async close() {
    try {
      process.kill(-this.process.pid, "SIGKILL");
    } catch {
      // It has ended by itself, or never began.
    }
    await this.ended;
    // Its children end a moment after it, and write until then. What is left of the profile fails no test.
    for (let count = 0; count < 20; count += 1) {
      try {
        return rmSync(this.profile, { recursive: true, force: true });
      } catch {
        await new Promise((done) => setTimeout(done, 100));
      }
    }
    return undefined;
  }
}

class Tab {
  constructor(browser, target, session) {
    Object.assign(this, { browser, target, session });
  }

  call(method, params) { return this.browser.call(method, params, this.session); }

  /** Runs a script; what it promises is waited for. */
  async run(expression) {
    const answer = await this.call("Runtime.evaluate", { expression, awaitPromise: true, returnByValue: true });
    const { exceptionDetails: failure } = answer;
    if (failure) throw new Error(failure.exception?.description ?? failure.text);
    return answer.result.value;
  }

  /** Waits until a script is true, a minute and a half at most; the page may be on its way yet. */
  async until(condition, said = "undefined") {
    const end = Date.now() + 90_000;
    const look = `new Promise((done) => {
      const look = () => {
        if (${condition}) done(true);
        else if (Date.now() > ${end}) done("late");
        else setTimeout(look, 10);
      };
      look();
    })`;
    for (let result; result !== true;) {
      result = await this.run(look).catch((error) => {
        if (!/context was destroyed|Cannot find context|navigated/.test(error.message)) throw error;
      });
      if (result !== true && Date.now() > end) throw new Error(`never: ${condition}; ${await this.run(said)}`);
    }
  }

  /** What it looks like, as PNG. */
  async picture() {
    const { data } = await this.call("Page.captureScreenshot", { format: "png" });
    return Buffer.from(data, "base64");
  }

  async reload() { await this.call("Page.reload", {}); }

  async setOnline(isOnline) {
    await this.call("Network.enable");
    const conditions = { offline: !isOnline, latency: 0, downloadThroughput: -1, uploadThroughput: -1 };
    await this.call("Network.emulateNetworkConditions", conditions);
  }

  kill() { return this.browser.call("Target.closeTarget", { targetId: this.target }); }
}
