// What a page loads: without comments, compressed. The figures are in the catalogue; they may fall, and not rise.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";

const folder = fileURLToPath(new URL("../../Sources/CWeb/client/", import.meta.url));

/** All modules that one loads, itself included. */
function modules(name, found = new Set()) {
  if (found.has(name)) return found;
  found.add(name);
  const text = readFileSync(folder + name, "utf8");
  for (const [, other] of text.matchAll(/^(?:import|export)\b[^;"=]*"\.\/([^"]+)"/gm)) modules(other, found);
  return found;
}

const stripped = (text) => text.replace(/\/\*[\s\S]*?\*\//g, "").replace(/^\s*\/\/.*$/gm, "").replace(/\n\s*\n/g, "\n");
const read = (name) => stripped(readFileSync(folder + name, "utf8"));
const size = (names) => gzipSync([...names].map(read).join(""), { level: 9 }).length;

const core = modules("freshet.js");
const offline = modules("offline.js");

test("the client is no larger than the catalogue says", () => {
  const figures = { core: size(core), offline: size(offline) - size(core) };
  const text = readFileSync(fileURLToPath(new URL("../../Sources/freshet/Freshet.docc/Client.md", import.meta.url)), "utf8");
  const [, ...said] = /core (\d+) bytes, `offline\.js` (\d+) more/.exec(text) ?? assert.fail("Client.md names no sizes");
  assert.ok(figures.core <= Number(said[0]) && figures.offline <= Number(said[1]), JSON.stringify(figures));
  // A figure that was undercut by much is to be written down.
  assert.ok(figures.core > Number(said[0]) - 300 && figures.offline > Number(said[1]) - 300, JSON.stringify(figures));
});

test("no module is loaded that the offline client does not need", () => {
  assert.deepEqual([...offline].filter((name) => !core.has(name)), ["offline.js"]);
});
