// The page's own modules that need no document: what a change is to a reader, streams that are read in pieces, its size.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { gzipSync } from "node:zlib";
import { applyPatch } from "../../Sources/CWeb/client/json.js";
import { compare, ExactNumber, sampleLeaf, words } from "../../Sources/CWeb/page/changes.js";
import { EventReader, parse } from "../../Sources/CWeb/page/events.js";
import { hostOf, literal, pace, plain, sentence, spaced } from "../../Sources/CWeb/page/words.js";
import { snippets } from "../../Sources/CWeb/page/snippets.js";

const folder = fileURLToPath(new URL("../../Sources/CWeb/page/", import.meta.url));
const files = readdirSync(folder);

test("the page is no larger than its catalogue page says, and loads nothing else", () => {
  const loaded = [...files.filter((name) => name !== "page.worker.js"), "../client/json.js"];
  const size = loaded.reduce((sum, name) => sum + readFileSync(folder + name).length, 0);
  const packed = loaded.reduce((sum, name) => sum + gzipSync(readFileSync(folder + name)).length, 0);
  const catalogue = new URL("../../Sources/freshet/Freshet.docc/Page.md", import.meta.url);
  const text = readFileSync(fileURLToPath(catalogue), "utf8");
  const [, said, files_] = /(\d+) KB in (\d+) files/.exec(text) ?? assert.fail("Page.md names no size");
  assert.equal(loaded.length, Number(files_));
  assert.ok(size <= Number(said) * 1000 && size > Number(said) * 1000 - 5000, `${size} bytes, ${packed} packed`);
});

test("the worker keeps every file of the page", () => {
  const text = readFileSync(folder + "page.worker.js", "utf8");
  for (const name of files.filter((one) => !["page.worker.js", "index.html"].includes(one))) {
    assert.ok(text.includes(`"/${name}"`), name);
  }
});

const leaves = (groups) => groups.flatMap((group) => group.leaves);

test("a change of items: which, and each value before and after", () => {
  const before = [{ id: 1, name: "a", n: 1 }, { id: 2, n: 1 }];
  const after = applyPatch(before, [{ op: "replace", path: "/0/n", value: 2 }, { op: "add", path: "/-", value: { id: 3 } }]);
  const found = compare(before, after, { items: "", key: "/id" });
  assert.deepEqual([found.updated, found.added, found.removed, found.values], [1, 1, 0, 0]);
  assert.equal(words(found), "1 updated, 1 added");
  const [first, second] = found.groups;
  assert.deepEqual([first.id, first.name, first.kind], ["1", "a", "updated"]);
  assert.deepEqual(first.leaves, [{ path: "/0/n", key: "n", old: 1, new: 2 }]);
  assert.deepEqual([second.id, second.kind], ["3", "added"]);
});

test("a change of a value without items, and one of order alone", () => {
  const found = compare({ a: { b: 1 }, c: 2 }, { a: { b: 3 }, d: 4 }, null);
  assert.equal(words(found), "3 values changed");
  assert.deepEqual(leaves(found.groups).map(({ key, old, new: now }) => [key, old, now]),
    [["b", 1, 3], ["c", 2, undefined], ["d", undefined, 4]]);
  const [one, two] = [{ id: 1 }, { id: 2 }];
  assert.equal(words(compare([one, two], [two, one], { items: "", key: "/id" })), "order changed");
});

test("values that arrive whole are compared as those that share their parts", () => {
  const before = { list: [{ id: 1, n: 1 }, { id: 2, n: 1 }], x: { y: [1, 2, { z: 1 }] } };
  const after = structuredClone(before);
  after.x.y[2].z = 2;
  const found = compare(before, after, { items: "/list", key: "/id" });
  assert.deepEqual(leaves(found.groups).map(({ path }) => path), ["/x/y/2/z"]);
});

test("members that are named like those of objects are members", () => {
  const before = parse('{"__proto__":1,"constructor":1}');
  const found = compare(before, parse('{"__proto__":2,"constructor":1}'), null);
  assert.deepEqual(leaves(found.groups).map(({ key }) => key), ["__proto__"]);
});

test("numbers keep the text of the upstream where the engine tells it", () => {
  const value = parse('{"big":9007199254740993,"one":1}');
  assert.equal(value.one, 1);
  // Node 20 does not tell; browsers do.
  if (value.big instanceof ExactNumber) assert.equal(literal(value.big), "9007199254740993");
  assert.equal(literal(new ExactNumber("14.0")), "14.0");
});

test("a sample of a row as a leaf", () => {
  assert.deepEqual(sampleLeaf({ item: 101, path: "/a~1b/c", old: 1, new: 0 }),
    { path: "/a~1b/c", key: "101 › a/b › c", old: 1, new: 0 });
  assert.equal(sampleLeaf({ item: null, path: "/n", new: 1 }).key, "n");
  assert.equal(sampleLeaf({ item: new ExactNumber("1.0"), path: "" }).key, "1.0");
});

test("a stream is the same in whatever pieces it comes", () => {
  const text = 'retry: 100\n\n: beat\n\nid: a-1\nevent: row\ndata: {"a":\ndata: 1}\n\n'
    + 'event:removed\r\ndata:{"n":"x"}\r\n\r\ndata: 1';
  const events = (pieces) => {
    const found = [];
    const reader = new EventReader((event) => found.push(event));
    for (const piece of pieces) reader.take(piece);
    return found;
  };
  const whole = events([text]);
  assert.deepEqual(whole, [
    { type: "retry", data: 100 }, { type: "row", data: { a: 1 }, id: "a-1" },
    { type: "removed", data: { n: "x" }, id: undefined },
  ]);
  for (let size = 1; size < 9; size += 1) {
    assert.deepEqual(events(text.match(new RegExp(`[^]{1,${size}}`, "g"))), whole, `${size}`);
  }
});

test("text that hides or turns what is around it is written out", () => {
  assert.equal(plain("a\u202eb\u200b\u0000"), "a\\u202eb\\u200b\\u0000");
  assert.equal(literal("\u2066x"), '"\\u2066x"');
  assert.equal(literal("x".repeat(300)), `"${"x".repeat(159)}… (302 characters)`);
});

test("times, paces, hosts and sentences in words", () => {
  assert.equal(spaced("9m40s"), "9 min 40 s");
  assert.equal(pace({ state: "ok", interval: "10s" }), "every 10 s");
  assert.equal(pace({ state: "paused", interval: "10s", next_poll_at: null }), "not polled");
  assert.equal(pace({ state: "ok", interval: null }), "pushed");
  assert.equal(hostOf("https://***@api.example:81/x?y=***"), "api.example:81");
  assert.equal(hostOf("https://{region}.example/x"), "{region}.example");
  assert.equal(hostOf(null), "pushed");
  assert.equal(sentence("as configured"), "As configured.");
});

test("every snippet names the stream, and a key by the word KEY alone", () => {
  for (const [language, write] of Object.entries(snippets)) {
    const given = { stream: "http://gw/v1/streams/a", gateway: "http://gw", name: "a" };
    const open = write({ ...given, needsKey: false });
    assert.ok(open.includes(language === "JavaScript" ? "http://gw" : given.stream), language);
    assert.ok(!open.includes("KEY"), language);
    assert.ok(write({ ...given, needsKey: true }).includes("KEY"), language);
  }
});
