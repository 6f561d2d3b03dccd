// Patches as the gateway sends them, held against the public suite of RFC 6902.

import assert from "node:assert/strict";
import { existsSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { applyPatch } from "../../Sources/CWeb/client/json.js";

const suites = process.env.FRESHET_SUITES ?? fileURLToPath(new URL("../../../shared/suites", import.meta.url));
const skip = existsSync(`${suites}/json-patch`) ? false : "no suites: set FRESHET_SUITES";

for (const name of ["tests.json", "spec_tests.json"]) {
  test(`RFC 6902: what ${name} expects of patches that apply`, { skip }, () => {
    let count = 0;
    for (const one of JSON.parse(readFileSync(`${suites}/json-patch/${name}`, "utf8"))) {
      if (one.disabled || !("expected" in one)) continue;
      assert.deepEqual(applyPatch(structuredClone(one.doc), one.patch), one.expected, one.comment);
      count += 1;
    }
    assert.ok(count > 10, `${count}`);
  });
}

test("a member named __proto__ is a member", () => {
  const value = applyPatch({}, [{ op: "add", path: "/__proto__", value: { polluted: true } }]);
  assert.equal(Object.getPrototypeOf(value), Object.prototype);
  assert.deepEqual(Object.keys(value), ["__proto__"]);
  assert.equal({}.polluted, undefined);
});
