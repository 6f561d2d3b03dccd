// A client of the Streamdata.io SDK's protocol, by its description: follows one URL through the gateway, comes back with the
// last id now and then, and compares every value.
//
// usage: streamdata_client.mjs PORT TARGET TOKEN KEY FOLDER [HEADER…]
//
// KEY: the private key of the token, or "-". FOLDER holds the values as 0.json, 1.json and so on, neighbours different. Prints
// "value N" behind each, "error STATUS" for each error event, and exits 0 after the last value.

import { createHmac } from "node:crypto";
import { readFileSync, readdirSync } from "node:fs";
import http from "node:http";
import { isDeepStrictEqual } from "node:util";

const [port, target, token, key, folder, ...headers] = process.argv.slice(2);
const names = readdirSync(folder).sort((left, right) => parseInt(left) - parseInt(right));
const values = names.map((name) => JSON.parse(readFileSync(`${folder}/${name}`, "utf8")));

function fail(message) {
  console.log(`failed: ${message}`);
  process.exit(1);
}

function signed(url) {
  if (key === "-") return url;
  const pair = Buffer.from(key, "base64");
  const [beacon, secret] = [pair.subarray(0, 36), pair.subarray(36)];
  const stamp = String(Date.now());
  const code = createHmac("sha512", secret).update(`GET\n${stamp}\n${url}\n`).digest("base64");
  const text = Buffer.concat([beacon, Buffer.from(code)]).toString("base64");
  const separator = url.includes("?") ? "&" : "?";
  return `${url}${separator}X-Auth-Sd-Ts=${encodeURIComponent(stamp)}&X-Auth-Sd-S=${encodeURIComponent(text)}`;
}

function path() {
  const parts = headers.map((line) => `X-Sd-Header=${encodeURIComponent(line)}`);
  parts.push(`X-Sd-Token=${encodeURIComponent(token)}`);
  const url = signed(target);
  return `/${url}${url.includes("?") ? "&" : "?"}${parts.join("&")}`;
}

function parent(document, tokens) {
  return tokens.slice(0, -1).reduce((value, name) => value[name], document);
}

// RFC 6902, in place, in a holder since the value itself may be replaced.
function apply(document, patch) {
  const holder = { "": document };
  const tokensOf = (pointer) => ["", ...pointer.split("/").slice(1).map((t) => t.replaceAll("~1", "/").replaceAll("~0", "~"))];
  for (const step of patch) {
    const tokens = tokensOf(step.path);
    const last = tokens.at(-1);
    let value = step.value;
    if (step.op === "move" || step.op === "copy") {
      const from = tokensOf(step.from);
      const origin = parent(holder, from);
      value = origin[from.at(-1)];
      if (step.op === "copy") value = structuredClone(value);
      else if (Array.isArray(origin)) origin.splice(Number(from.at(-1)), 1);
      else delete origin[from.at(-1)];
    }
    const place = parent(holder, tokens);
    if (!["add", "remove", "replace", "move", "copy"].includes(step.op)) fail(`the operation ${step.op}`);
    if (Array.isArray(place)) {
      const index = last === "-" ? place.length : Number(last);
      if (step.op === "remove") place.splice(index, 1);
      else if (step.op === "replace") place[index] = value;
      else place.splice(index, 0, value);
    } else if (step.op === "remove") delete place[last];
    else Object.defineProperty(place, last, { value, enumerable: true, writable: true, configurable: true });
  }
  return holder[""];
}

let document;
let position = 0;
let lastID;
let received = 0;
let breaks = 0;

function take(event) {
  if (event.name === "error") {
    const error = JSON.parse(event.data);
    if (typeof error.status !== "number" || !error.cause || !error.message || !error.timestamp || !error.sessionId) {
      fail(`the error ${event.data}`);
    }
    console.log(`error ${error.status}`);
    return;
  }
  if (event.id !== undefined) lastID = event.id;
  if (event.name === "data") document = JSON.parse(event.data);
  else if (event.name === "patch" && document !== undefined) document = apply(document, JSON.parse(event.data));
  else fail(`the event ${event.name}`);
  // A value that comes whole again, behind a resume that is not possible, may be a later one.
  while (position < values.length && !isDeepStrictEqual(document, values[position])) {
    if (event.name !== "data" || breaks === 0) fail(`value ${position} differs`);
    position += 1;
  }
  console.log(`value ${position}`);
  position += 1;
  received += 1;
  if (position >= values.length) process.exit(0);
}

function connect() {
  const request = http.get({
    host: "127.0.0.1", port, path: path(), agent: false,
    headers: {
      Accept: "text/event-stream", "Cache-Control": "no-cache", ...(lastID ? { "Last-Event-ID": lastID } : {}),
    },
  });
  let isOver = false;
  const again = () => {
    if (isOver) return;
    isOver = true;
    breaks += 1;
    request.destroy();
    setTimeout(connect, 50);
  };
  request.on("error", again);
  request.on("response", (response) => {
    if (response.statusCode !== 200) fail(`the status ${response.statusCode}`);
    if (response.headers["content-type"] !== "text/event-stream") fail("the type");
    let text = "";
    response.setEncoding("utf8");
    response.on("data", (chunk) => {
      text += chunk;
      for (let end = text.indexOf("\n\n"); end >= 0 && !isOver; end = text.indexOf("\n\n")) {
        const event = { name: "message", data: undefined, id: undefined };
        for (const line of text.slice(0, end).split("\n")) {
          const [, name, value] = /^([^:]*):? ?(.*)$/s.exec(line);
          if (name === "event") event.name = value;
          else if (name === "data") event.data = value;
          else if (name === "id") event.id = value;
        }
        text = text.slice(end + 2);
        if (event.data === undefined) continue;
        take(event);
        if (event.name !== "error" && received % 7 === 0) again();
      }
    });
    response.on("end", again);
    response.on("close", again);
  });
}

connect();
