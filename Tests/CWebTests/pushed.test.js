// A change on its whole way: the program encrypts and sends it, a push service takes it, and Chromium's service worker gets
// it through DevTools and shows it. What did not fit the worker fetches.

import assert from "node:assert/strict";
import { createDecipheriv, createECDH, createPublicKey, hkdfSync, randomBytes, verify } from "node:crypto";
import { createServer } from "node:http";
import { test } from "node:test";
import { Chromium, path } from "./support/chromium.js";
import { Scene, skip, until } from "./support/program.js";

/** A push service, and the keys of one who has subscribed there. */
class Service {
  messages = [];
  keys = createECDH("prime256v1");
  auth = randomBytes(16);

  static async start() {
    const service = new Service();
    service.keys.generateKeys();
    service.server = createServer((request, response) => {
      const parts = [];
      request.on("data", (part) => parts.push(part));
      request.on("end", () => {
        service.messages.push({ headers: request.headers, body: Buffer.concat(parts) });
        response.writeHead(201).end();
      });
    });
    const port = await new Promise((done) => {
      service.server.listen(0, "127.0.0.1", () => done(service.server.address().port));
    });
    service.origin = `http://127.0.0.1:${port}`;
    return service;
  }

  get subscription() {
    const keys = { p256dh: this.keys.getPublicKey("base64url"), auth: this.auth.toString("base64url") };
    return { endpoint: `${this.origin}/push/1`, expirationTime: null, keys };
  }

  /** RFC 8291, from the receiver's side. */
  decrypt(body) {
    const [salt, sender] = [body.subarray(0, 16), body.subarray(21, 86)];
    const info = Buffer.concat([Buffer.from("WebPush: info\0"), this.keys.getPublicKey(), sender]);
    const input = Buffer.from(hkdfSync("sha256", this.keys.computeSecret(sender), this.auth, info, 32));
    const derived = (name, count) => Buffer.from(hkdfSync("sha256", input, salt, `Content-Encoding: ${name}\0`, count));
    const decipher = createDecipheriv("aes-128-gcm", derived("aes128gcm", 16), derived("nonce", 12));
    decipher.setAuthTag(body.subarray(-16));
    const content = Buffer.concat([decipher.update(body.subarray(86, -16)), decipher.final()]);
    assert.equal(content.at(-1), 2);
    return content.subarray(0, -1).toString();
  }

  /** RFC 8292: the claims of a signature that is good. */
  claims(authorization) {
    const [, token, key] = /^vapid t=([\w.-]+), k=([\w-]+)$/.exec(authorization) ?? assert.fail(authorization);
    const [header, claims, signature] = token.split(".");
    const point = Buffer.from(key, "base64url");
    const [x, y] = [point.subarray(1, 33), point.subarray(33)].map((part) => part.toString("base64url"));
    const publicKey = createPublicKey({ format: "jwk", key: { kty: "EC", crv: "P-256", x, y } });
    const signed = Buffer.from(`${header}.${claims}`);
    const isGood = verify("sha256", signed, { key: publicKey, dsaEncoding: "ieee-p1363" }, Buffer.from(signature, "base64url"));
    assert.ok(isGood);
    return JSON.parse(Buffer.from(claims, "base64url"));
  }

  close() {
    this.server.closeAllConnections?.();
    this.server.close();
  }
}

const inBrowser = { skip: skip || (path ? false : "no Chromium: apt install chromium") };

test("Chromium's service worker shows a change, and fetches one that did not fit", inBrowser, async () => {
  const service = await Service.start();
  let it;
  let browser;
  try {
    it = await Scene.start(`push: { subject: "mailto:ops@example.com", key_file: vapid.pem, allow: ["${service.origin}/"] }`);
    it.page.removeAllListeners("request");
    it.page.on("request", (request, response) => {
      if (request.url !== "/sw.js") {
        response.setHeader("Content-Type", "text/html").end("<!doctype html><title>ready</title>");
        return;
      }
      response.setHeader("Content-Type", "text/javascript").end(`
        importScripts("${it.url}/client/push.js");
        freshetPush({
          gateway: "${it.url}", token: "${it.key}",
          show: ({ data }) => {
            const [item] = data.items.updated;
            return { title: data.source, body: item.id + ": " + item.a.length };
          },
        });
      `);
    });
    // An item event is sent where it is smaller than the value.
    const orders = (first, second = "y") => [{ id: 1, a: first }, { id: 2, a: second }, { id: 3, a: "z".repeat(500) }];
    it.value = orders("x");
    browser = await Chromium.start();
    await browser.call("Browser.grantPermissions", { origin: it.origin, permissions: ["notifications"] });
    let registration;
    browser.heard = (method, params) => {
      if (method === "ServiceWorker.workerRegistrationUpdated") registration ??= params.registrations[0]?.registrationId;
    };
    const tab = await browser.open(`${it.origin}/`);
    await tab.until(`document.title === "ready"`);
    await tab.call("ServiceWorker.enable");
    const isReady = `navigator.serviceWorker.register("/sw.js").then(() => navigator.serviceWorker.ready).then(() => true)`;
    assert.equal(await tab.run(isReady), true);
    await until(() => registration !== undefined);

    const headers = { Authorization: `Bearer ${it.key}`, "Content-Type": "application/json" };
    const { key } = await (await fetch(`${it.url}/v1/push/key`, { headers })).json();
    assert.equal(Buffer.from(key, "base64url").length, 65);
    const body = JSON.stringify({ subscription: service.subscription, sources: "orders" });
    await until(async () => (await (await fetch(`${it.url}/v1/values/orders`, { headers })).json()).length === 3);
    const made = await fetch(`${it.url}/v1/push/subscriptions`, { method: "POST", headers, body });
    assert.equal(made.status, 201, await made.text());

    // DevTools drops a message for a worker that the browser has not stored yet, and says nothing: it is handed over again.
    let data;
    const hand = () => tab.call("ServiceWorker.deliverPushMessage", {
      origin: it.origin, registrationId: registration, data,
    });
    const shown = async (text) => {
      const look = "navigator.serviceWorker.ready.then((own) => own.getNotifications())"
        + ".then((all) => all.map(({ title, body }) => title + " + `" " + body).join())`;
      let [seen, looks] = ["", 0];
      await until(async () => {
        looks += 1;
        if (looks % 100 === 1) await hand();
        seen = await tab.run(look);
        return seen === text;
      }, () => seen);
    };
    const message = async (count) => {
      await until(() => service.messages.length >= count);
      const { headers: fields, body: encrypted } = service.messages[count - 1];
      const claims = service.claims(fields.authorization);
      assert.equal(claims.aud, service.origin);
      assert.equal(claims.sub, "mailto:ops@example.com");
      assert.ok(claims.exp > Date.now() / 1000 && claims.exp <= Date.now() / 1000 + 86_400);
      assert.ok(fields.authorization.endsWith(`k=${key}`));
      assert.equal(fields["content-encoding"], "aes128gcm");
      data = service.decrypt(encrypted);
      return JSON.parse(data);
    };
    it.value = orders("changed");
    const event = await message(1);
    assert.equal(event.event, "items");
    await shown("orders 1: 7");
    it.value = orders("changed", "y".repeat(5000));
    const cursor = await message(2);
    assert.deepEqual([cursor.event, cursor.data.sources, cursor.data.item], ["changes", "orders", 2]);
    await shown("orders 2: 5000");
  } finally {
    await browser?.close();
    await it?.close();
    service.close();
  }
});
