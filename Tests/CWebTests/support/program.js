// The program itself, as it was built last, with an upstream and a page of another origin; and nginx before it.

import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const program = process.env.FRESHET_BINARY ?? fileURLToPath(new URL("../../../.build/debug/freshet", import.meta.url));
export const nginx = "/usr/sbin/nginx";

/** What to skip a test with. */
export const skip = existsSync(program) ? false : "the program is not built";

const listen = (server) => new Promise((done) => server.listen(0, "127.0.0.1", () => done(server.address().port)));

/** A port that was free a moment ago. */
export async function freePort() {
  const probe = createServer();
  const port = await listen(probe);
  await new Promise((done) => probe.close(done));
  return port;
}

/** The program with one source, `orders`, whose upstream says what `value` is; and a page of another origin. */
export class Scene {
  value = [{ id: 1, a: "x" }, { id: 2, a: "y" }];
  key = randomBytes(32).toString("base64url");

  /** `more`: further sections of the configuration; `anonymous`: what may be read without a key. */
  static async start(more = "", anonymous = []) {
    const scene = new Scene();
    scene.folder = mkdtempSync(join(tmpdir(), "freshet-client-"));
    scene.upstream = createServer((request, response) => {
      response.setHeader("Content-Type", "application/json").end(JSON.stringify(scene.value));
    });
    scene.page = createServer((request, response) => {
      response.setHeader("Content-Type", "text/html").end("<!doctype html><title>ready</title>");
    });
    const [from, at] = [await listen(scene.upstream), await listen(scene.page)];
    // The program comes back at the same one.
    scene.port = await freePort();
    Object.assign(scene, { origin: `http://127.0.0.1:${at}`, url: `http://127.0.0.1:${scene.port}` });
    writeFileSync(join(scene.folder, "key"), scene.key, { mode: 0o600 });
    writeFileSync(join(scene.folder, "freshet.yaml"), `
listen: 127.0.0.1:${scene.port}
cors: { origins: ["${scene.origin}"] }
auth:
  anonymous: { read: ${JSON.stringify(anonymous)} }
  keys: [{ id: mobile, secret_file: ${join(scene.folder, "key")}, read: ["orders"] }]
sources:
  orders: { url: "http://127.0.0.1:${from}/", interval: 100ms, key: /id }
${more}
`);
    await scene.run().catch(async (error) => {
      await scene.close();
      throw error;
    });
    return scene;
  }

  async run() {
    const words = ["serve", "--config", join(this.folder, "freshet.yaml")];
    this.program = spawn(program, words, { stdio: ["ignore", "ignore", "pipe"] });
    let errors = "";
    this.program.stderr.on("data", (text) => { errors += text; });
    this.ended = new Promise((done) => this.program.on("exit", done));
    for (let isReady = false; !isReady;) {
      assert.equal(this.program.exitCode, null, errors);
      isReady = await fetch(`${this.url}/readyz`).then((answer) => answer.ok, () => false);
      if (!isReady) await new Promise((done) => setTimeout(done, 50));
    }
  }

  async stop(signal = "SIGTERM") {
    this.program.kill(signal);
    await this.ended;
  }

  /** Starts nginx before the program, with nothing said about buffers; returns its address. */
  async proxy() {
    const port = await freePort();
    const places = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"].map((one) => `${one}_temp_path ${this.folder}/${one};`);
    writeFileSync(join(this.folder, "nginx.conf"), `
daemon off; master_process off; pid ${this.folder}/pid; error_log stderr notice;
events {}
http {
  access_log off; ${places.join(" ")}
  server { listen 127.0.0.1:${port}; location / { proxy_pass ${this.url}; } }
}
`);
    const words = ["-p", this.folder, "-e", "stderr", "-c", join(this.folder, "nginx.conf")];
    this.nginx = spawn(nginx, words, { stdio: ["ignore", "ignore", "pipe"] });
    await new Promise((done, fail) => {
      let errors = "";
      this.nginx.stderr.on("data", (text) => {
        errors += text;
        if (errors.includes("event method")) done();
      });
      this.nginx.on("exit", () => fail(new Error(errors)));
    });
    return `http://127.0.0.1:${port}`;
  }

  async close() {
    this.nginx?.kill("SIGKILL");
    await this.stop("SIGKILL");
    for (const server of [this.upstream, this.page]) {
      server.closeAllConnections?.();
      server.close();
    }
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** Whether this program has what a configuration says; else what to skip a test with. */
export function lacksKey(text, what) {
  if (skip) return skip;
  const folder = mkdtempSync(join(tmpdir(), "freshet-client-"));
  try {
    writeFileSync(join(folder, "freshet.yaml"), text);
    execFileSync(program, ["validate", "--config", join(folder, "freshet.yaml")], { stdio: "pipe" });
    return false;
  } catch {
    return what;
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** Waits until something holds, half a minute at most on a quiet machine. */
export async function until(condition, said = () => "") {
  for (let count = 0; !await condition(); count += 1) {
    if (count >= 3000) assert.fail(`never: ${condition} ${said()}`);
    await new Promise((done) => setTimeout(done, 10));
  }
}

/** A test with a scene of its own. */
export const scene = (action) => async () => {
  const made = await Scene.start();
  try {
    await action(made);
  } finally {
    await made.close();
  }
};

