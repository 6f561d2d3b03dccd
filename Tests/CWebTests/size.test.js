// What a page loads: without comments, compressed. The figures are in the catalogue; they may fall, and not rise.
// `core` is what `freshet.js` loads by itself. What it loads later has figures of its own.

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
  const figures = [size(core), size(["verdict.js"]), size(["events.js"]), size(offline) - size(core)];
  const text = readFileSync(fileURLToPath(new URL("../../Sources/freshet/Freshet.docc/Client.md", import.meta.url)), "utf8");
  const words = /core (\d+) bytes;[^]*?`verdict\.js` (\d+)[^]*?`events\.js` (\d+)[^]*?`offline\.js` (\d+) more/;
  const [, ...said] = words.exec(text) ?? assert.fail("Client.md names no sizes");
  figures.forEach((figure, index) => assert.ok(figure <= Number(said[index]), JSON.stringify(figures)));
  // A figure that was undercut by much is to be written down.
  assert.ok(figures[0] > Number(said[0]) - 300 && figures[3] > Number(said[3]) - 300, JSON.stringify(figures));
});

test("what is loaded later is named, and nothing else is", () => {
  const later = [...core].flatMap((name) => [...read(name).matchAll(/import\(["`]\.\/([\w.]+)/g)].map(([, other]) => other));
  assert.deepEqual(new Set(later), new Set(["events.js", "socket.js", "verdict.js"]));
});

test("no binding is larger than 1 KB, and the validator no larger than 4 KB", () => {
  for (const name of ["react.js", "redux.js", "vue.js", "mobx.js"]) {
    assert.deepEqual([...modules(name)], [name]);
    assert.ok(size([name]) <= 1024, `${name}: ${size([name])}`);
  }
  assert.deepEqual([...modules("validate.js")], ["validate.js", "json.js"]);
  assert.ok(size(["validate.js"]) <= 4096, `${size(["validate.js"])}`);
});

test("no module is loaded that the offline client does not need", () => {
  assert.deepEqual([...offline].filter((name) => !core.has(name)), ["offline.js"]);
});
