// The validator of the client against the official suite, by which the gateway's own is judged too: where both support a
// case their verdicts are those of the suite, and so the same.

import assert from "node:assert/strict";
import { existsSync, readFileSync, readdirSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { connect } from "../../Sources/CWeb/client/freshet.js";
import { validator, validatorOf } from "../../Sources/CWeb/client/validate.js";
import { scripted } from "./support/script.js";

const suites = process.env.FRESHET_SUITES ?? fileURLToPath(new URL("../../../shared/suites", import.meta.url));
const skip = existsSync(`${suites}/json-schema`) ? false : "no suites: set FRESHET_SUITES";

// As Tests/JSONSchemaTests/SuiteTests.swift has it: what is an annotation for the gateway, or is not supported there.
const notInGateway = ["optional/format-assertion.json", "optional/cross-draft.json", "optional/content.json"];

for (const [folder, version] of [["draft2020-12", "draft/2020-12"], ["draft7", "draft-07"]]) {
  test(`the verdicts of ${folder} are those of the gateway, and what is not supported is said`, { skip }, () => {
    const root = `${suites}/json-schema/tests/${folder}/`;
    const files = [...readdirSync(root), ...readdirSync(`${root}optional`).map((name) => `optional/${name}`)];
    let [count, unsupported] = [0, 0];
    const reasons = new Set();
    for (const file of files.filter((name) => name.endsWith(".json") && !notInGateway.includes(name))) {
      for (const { description, schema, tests } of JSON.parse(readFileSync(root + file, "utf8"))) {
        const made = validator(schema, version);
        for (const reason of made.unsupported) reasons.add(reason.replace(/:.*/s, ""));
        for (const one of tests) {
          const errors = made.errors(one.data);
          if (made.unsupported.length) {
            unsupported += 1;
            assert.deepEqual(errors, []);
          } else {
            count += 1;
            assert.equal(errors.length === 0, one.valid, `${file}: ${description}: ${one.description}`);
          }
        }
      }
    }
    // Other documents, and what no `$schema` of ours names.
    for (const reason of reasons) assert.ok(["$ref", "$schema"].includes(reason), reason);
    assert.ok(count > 1000 && unsupported < count / 20, `${count} held, ${unsupported} not supported`);
  });
}

test("a violation has its place, its keyword and words", () => {
  const schema = {
    properties: { "a/b": { type: "integer", minimum: 3 }, list: { items: { maxLength: 2 }, uniqueItems: true } },
    required: ["id"],
  };
  const errors = validator(schema).errors({ "a/b": 2, list: ["x", "xyz"] });
  assert.deepEqual(errors.map(({ pointer, keyword }) => [pointer, keyword]), [
    ["", "required"], ["/a~1b", "minimum"], ["/list/1", "maxLength"],
  ]);
  assert.equal(errors[1].detail, "is less than 3");
});

test("a schema without end, and a pattern that is none, end nothing", () => {
  const endless = { $ref: "#" };
  assert.equal(validator(endless).errors(1)[0].detail, "takes too long to check");
  assert.deepEqual(validator({ pattern: "(" }).unsupported, ["pattern: ("]);
  assert.deepEqual(validator({ $schema: "https://json-schema.org/draft/2019-09/schema", type: "string" }).errors(1), []);
});

test("an item is checked before it is sent, as what it would be in the source", scripted(async (script) => {
  script.shapes.orders = { items: "/data/orders", key: "/id" };
  const schema = {
    required: ["at"],
    properties: { data: { properties: { orders: { items: { $ref: "#/$defs/order" } } } } },
    $defs: { order: { properties: { id: { type: "integer" }, status: { enum: ["open", "done"] } }, required: ["status"] } },
  };
  script.answer = (method, url) => (url.pathname === "/v1/sources/orders/schema" ? [200, schema] : undefined);
  const client = connect("http://gateway/", { fetch: script.fetch, tabs: false, token: "secret" });
  const orders = await validatorOf(client, "orders");
  assert.deepEqual(orders.unsupported, []);
  assert.deepEqual(orders.itemErrors({ id: 1, status: "open" }), []);
  assert.deepEqual(orders.itemErrors({ id: "1", status: "lost" }).map(({ pointer }) => pointer), ["/id", "/status"]);
  assert.deepEqual(orders.itemErrors({ id: 1 }).map(({ pointer, keyword }) => [pointer, keyword]), [["", "required"]]);
  assert.ok(script.requests.every((one) => one.path === "/v1/me" || one.init.headers.Authorization === "Bearer secret"));
}));
