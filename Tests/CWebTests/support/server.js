// The model of the gateway on a socket, for a real browser: the client's files, a page, streams that lag, and writes.

import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { fileURLToPath } from "node:url";
import { ModelGateway } from "./model.js";
import { numbers } from "./world.js";

const files = fileURLToPath(new URL("../../../Sources/CWeb", import.meta.url));

/** Real time, in the form of a world. */
class RealTime {
  random = numbers(7);
  integer(below) { return Math.floor(this.random() * below); }
  chance(share) { return this.random() < share; }
  get now() { return Date.now(); }
  after(delay, action) { setTimeout(action, delay).unref(); }
  pause(delay) { return new Promise((done) => setTimeout(done, delay)); }
}

export class Server {
  // How long an event is on its way.
  lag = () => 0;
  // Whether only the files are reached, as where a page has them by a worker of its own.
  isApart = false;
  // Requests that change something, as they came.
  writes = [];

  static async start(items) {
    const server = new Server();
    server.time = new RealTime();
    server.gateway = new ModelGateway(server.time, items);
    const network = { world: server.time, connections: new Set(), lag: () => server.lag() };
    server.http = createServer((request, response) => server.#answer(request, response, network));
    await new Promise((done) => server.http.listen(0, "127.0.0.1", done));
    server.url = `http://127.0.0.1:${server.http.address().port}`;
    return server;
  }

  async #answer(request, response, network) {
    const url = new URL(request.url, this.url);
    if (url.pathname === "/") return response.setHeader("Content-Type", "text/html").end("<!doctype html><title>ready</title>");
    if (url.pathname === "/page.svg") {
      return response.setHeader("Content-Type", "image/svg+xml").end(readFileSync(`${files}/page/page.svg`));
    }
    const [, type] = /^\/(?:client|demo)\/\w+\.(js|css|html)$/.exec(url.pathname) ?? [];
    if (type) {
      response.setHeader("Content-Type", `text/${type === "js" ? "javascript" : type}`);
      return response.end(readFileSync(files + url.pathname));
    }
    if (this.isApart) return response.destroy();
    let body = "";
    for await (const part of request) body += part;
    const names = ["Authorization", "Idempotency-Key", "If-Match", "If-None-Match", "Content-Type"];
    const headers = Object.fromEntries(names.map((name) => [name, request.headers[name.toLowerCase()]]));
    if (request.method !== "GET") this.writes.push({ method: request.method, path: url.pathname, body, headers });
    const abort = new AbortController();
    response.on("close", () => abort.abort(new Error("closed")));
    const init = { method: request.method, headers, body: body || undefined, signal: abort.signal };
    const reply = await this.gateway.answer(url, init, network).catch(() => undefined);
    if (!reply) return response.destroy();
    response.statusCode = reply.status;
    if (!reply.body) {
      for (const [name, value] of Object.entries(reply.fields ?? {})) if (value) response.setHeader(name, value);
      return response.end(reply.text_);
    }
    response.setHeader("Content-Type", "text/event-stream");
    response.flushHeaders();
    const reader = reply.body.getReader();
    try {
      for (;;) {
        const { done, value } = await reader.read();
        if (done) break;
        response.write(value);
      }
      response.end();
    } catch {
      response.destroy();
    }
    return undefined;
  }

  close() {
    this.http.closeAllConnections?.();
    return new Promise((done) => this.http.close(done));
  }
}
