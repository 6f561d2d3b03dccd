// The description of the interface, and the page that is made from it.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { brief, follow, sections } from "../../Sources/CWeb/docs/docs.js";

const root = fileURLToPath(new URL("../../", import.meta.url));
const description = JSON.parse(readFileSync(join(root, "Sources/CWeb/openapi.json"), "utf8"));
const operations = sections(description).flatMap((section) => section.operations);

function* within(value) {
  if (typeof value !== "object" || value === null) return;
  yield value;
  for (const part of Object.values(value)) yield* within(part);
}

function swiftFiles(folder) {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return swiftFiles(path);
    return entry.name.endsWith(".swift") ? [path] : [];
  });
}

test("it is OpenAPI 3.2, and every event stream and every JSON-lines answer describes its items", () => {
  assert.match(description.openapi, /^3\.2\./);
  for (const { path, method, one } of operations) {
    for (const [status, response] of Object.entries(one.responses)) {
      for (const [type, media] of Object.entries(response.content ?? {})) {
        const isStream = type === "text/event-stream" || type === "application/x-ndjson";
        assert.equal(media.itemSchema !== undefined, isStream, `${method} ${path} ${status} ${type}`);
      }
    }
  }
});

test("every reference leads somewhere", () => {
  for (const part of within(description)) {
    if (typeof part.$ref !== "string") continue;
    assert.ok(Object.keys(follow(description, part).value).length > 0, part.$ref);
  }
});

test("the page has every operation once, in the section of its tag, under a name of its own", () => {
  const listed = Object.values(description.paths).flatMap(Object.values);
  assert.equal(operations.length, listed.length);
  assert.equal(new Set(operations.map(({ one }) => one.operationId)).size, listed.length);
  const known = new Set(description.tags.map((tag) => tag.name));
  for (const { path, one } of operations) assert.ok(one.tags.length === 1 && known.has(one.tags[0]), path);
});

test("a schema in one line", () => {
  assert.equal(brief({}), "any JSON");
  assert.equal(brief({ type: ["string", "null"], format: "date-time" }), "string | null, date-time");
  assert.equal(brief({ enum: ["a", null] }), '"a" | null');
  assert.equal(brief({ type: "integer", minimum: 1, maximum: 9, default: 3 }), "integer, ≥ 1, ≤ 9, default 3");
});

test("every code of a problem is described, and no other; a test names each", () => {
  const forms = [
    [/Problem\(\s*\d{3},\s*"(\w+)"/g, ""],
    [/\bself\.init\(\s*\d{3},\s*"(\w+)"/g, ""], [/\b(?:busy|overRate|forbidden|notApplied)\(\s*"(\w+)"/g, ""],
    [/\bcode: "(\w+)"/g, ""], [/\bbadParameter\(\s*"(\w+)"/g, "bad_"],
  ];
  const used = new Set();
  for (const folder of readdirSync(join(root, "Sources")).filter((name) => name.startsWith("Freshet"))) {
    for (const path of swiftFiles(join(root, "Sources", folder))) {
      const text = readFileSync(path, "utf8");
      for (const [form, prefix] of forms) for (const [, code] of text.matchAll(form)) used.add(prefix + code);
    }
  }
  // Its status is that of the upstream.
  used.add("upstream_refused");
  const described = description.components.schemas.Code.oneOf.map((one) => one.const);
  assert.deepEqual([...described].sort(), described, "in the order of the alphabet");
  assert.deepEqual([...used].filter((code) => !described.includes(code)), [], "not described");
  assert.deepEqual(described.filter((code) => !used.has(code)), [], "described, and not used");
  const tests = swiftFiles(join(root, "Tests")).map((path) => readFileSync(path, "utf8")).join("\n");
  assert.deepEqual(described.filter((code) => !new RegExp(`\\b${code}\\b`).test(tests)), [], "in no test");
  for (const { const: code, description: said } of description.components.schemas.Code.oneOf) {
    assert.match(said, /^[1-5]\d\d\. |^The status /, code);
  }
});

test("the table of metrics has every name of the program, and no other", () => {
  const used = new Set();
  for (const path of swiftFiles(join(root, "Sources"))) {
    for (const [, name] of readFileSync(path, "utf8").matchAll(/"(freshet_[a-z0-9_]+)",?\s*(?:"|limit:)/g)) used.add(name);
  }
  const text = readFileSync(join(root, "Sources/freshet/BoundMetrics.swift"), "utf8");
  for (const [, gauge] of text.matchAll(/Row\(gauge: "(\w+)"/g)) {
    used.add(gauge.endsWith("_bytes") ? gauge.replace(/_bytes$/, "_limit_bytes") : `${gauge}_limit`);
  }
  const table = readFileSync(join(root, "Sources/freshet/Freshet.docc/Metrics.md"), "utf8").split("## All metrics")[1];
  const told = new Set(table.match(/freshet_[a-z0-9_]+/g));
  assert.deepEqual([...used].filter((name) => !told.has(name)), [], "not in Metrics.md");
  assert.deepEqual([...told].filter((name) => !used.has(name)), [], "in no source");
});

test("the table of log events has every message of the program", () => {
  // Up to what is interpolated.
  const levels = "log|trace|debug|info|notice|warning|error|critical";
  const form = new RegExp(`\\blogger\\.(?:${levels})\\(\\s*(?:level: [^,]+,\\s*)?"((?:[^"\\\\]|\\\\[^(])*)`, "g");
  const table = readFileSync(join(root, "Sources/freshet/Freshet.docc/Logs.md"), "utf8").split("## Events")[1];
  const messages = swiftFiles(join(root, "Sources")).flatMap((path) =>
    [...readFileSync(path, "utf8").matchAll(form)].map(([, message]) => message));
  assert.ok(messages.length > 40);
  assert.deepEqual(messages.filter((message) => !table.includes(`| ${message}`)), [], "not in Logs.md");
});

test("the codes of a refused write are among them", () => {
  const codes = new Set(description.components.schemas.Code.oneOf.map((one) => one.const));
  for (const code of description.components.schemas.WriteProblem.properties.code.enum) assert.ok(codes.has(code), code);
});
