// The files as what they are: JavaScript that parses, JSON that is JSON, pages that load nothing but what is served.

import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const tests = dirname(fileURLToPath(import.meta.url));
const folder = join(tests, "../../Sources/CWeb");

function filesIn(path) {
  return readdirSync(path, { withFileTypes: true }).flatMap((entry) => {
    const below = join(path, entry.name);
    return entry.isDirectory() ? filesIn(below) : [below];
  });
}

const files = filesIn(folder).filter((path) => !/\.(c|h)$/.test(path));
const scripts = [...files, ...filesIn(tests)].filter((path) => path.endsWith(".js"));
const read = (path) => readFileSync(path, "utf8");

for (const path of scripts) {
  test(`${relative(tests, path)} parses`, () => {
    execFileSync(process.execPath, ["--check", path], { stdio: "pipe" });
  });
}

test("every file keeps to the house's rules of form", () => {
  const found = [];
  for (const path of [...files, ...scripts]) {
    const text = read(path);
    const lines = text.split("\n");
    const complain = (what, line) => found.push(`${relative(tests, path)}:${line + 1}: ${what}`);
    if (!text.endsWith("\n")) complain("no line feed at the end", lines.length - 1);
    if (/\.(js|ts)$/.test(path) && lines.length > 451) complain("longer than 450 lines", 450);
    lines.forEach((line, index) => {
      if (/[ \t]$/.test(line)) complain("white space at the end", index);
      if (line.includes("\t")) complain("a tab", index);
      if (path.endsWith(".js") && line.length > 128) complain("longer than 128 columns", index);
    });
  }
  assert.deepEqual(found, []);
});

test("no served file runs text, or takes it for markup (S26)", () => {
  const found = [];
  const dangers = /innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\b|new Function|javascript:/g;
  for (const path of files) {
    const matches = read(path).match(dangers);
    if (matches) found.push([relative(folder, path), ...matches]);
  }
  assert.deepEqual(found, []);
});

test("JSON files are JSON", () => {
  const found = files.filter((path) => path.endsWith(".json"));
  assert.ok(found.length > 0);
  for (const path of found) JSON.parse(read(path));
});

test("what a page or a module loads is served", () => {
  const served = new Set(Object.keys(JSON.parse(read(join(folder, "openapi.json"))).paths));
  for (const path of files) if (path.includes("/page/")) served.add("/" + path.split("/").pop());
  for (const path of files) if (path.includes("/docs/")) served.add("/docs/" + path.split("/").pop());
  // The example board is served beside the client.
  for (const path of files) if (path.includes("/demo/")) served.add("/demo/" + path.split("/").pop());
  const loaded = [];
  const inScript = /^(?:import|export)\b(?:[^;"=]*\bfrom)? "([^"]+)";$|\bimport\("([^"]+)"\)/gm;
  const inMarkup = /\b(?:src|href)="([^"]+)"/g;
  for (const path of files.filter((path) => /\.(html|js)$/.test(path))) {
    const base = new URL(relative(folder, path).replace(/^page\//, ""), "http://gateway/");
    const loading = path.endsWith(".js") ? inScript : inMarkup;
    for (const [, first, second] of read(path).matchAll(loading)) {
      const at = first ?? second;
      // The text of a snippet.
      if (at.startsWith("${")) continue;
      const url = new URL(at, base);
      loaded.push(url.pathname);
      assert.equal(url.host, "gateway", `${path} loads ${at}`);
      assert.ok(served.has(url.pathname), `${path} loads ${at}`);
    }
  }
  assert.ok(loaded.includes("/client/freshet.js"));
});
