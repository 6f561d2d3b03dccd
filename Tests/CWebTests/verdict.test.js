// What each answer to a write means, as the gateway's page on writes has them.

import assert from "node:assert/strict";
import { test } from "node:test";
import { judge } from "../../Sources/CWeb/client/verdict.js";

const effect = [[["a"], 1]];
const hour = 3600_000;

/** The meaning of an answer to a write, of which an earlier try may have had its effect. */
function meaning(status, problem, { method = "PATCH", wasUnsure = false, age = 0, ...more } = {}) {
  const record = { method, effect, unknown: 0, isUnsure: wasUnsure || status === 504, first: Date.now() - age, ...more };
  const error = Object.assign(new Error(), status ? { status, problem, wasUnsure } : {});
  return judge(record, error);
}

const said = (problem) => ({ code: "code", detail: "said", ...problem });

test("what is refused had no effect, and is refused at once", () => {
  for (const status of [400, 403, 404, 405, 409, 410, 412, 415, 422, 428]) {
    const problem = said(status === 409 ? { conflicts: [] } : {});
    assert.deepEqual(meaning(status, problem), problem, `${status}`);
  }
  // A conflict of the upstream's own.
  assert.equal(meaning(409, said({ upstream_status: 409 })).code, "code");
});

test("what may go better later is sent again with its key", () => {
  for (const status of [undefined, 401, 429, 500, 502, 503, 504]) assert.equal(meaning(status, said()), "later", `${status}`);
  assert.equal(meaning(409, said({ code: "write_under_way" })), "later");
});

test("what was applied is done, whatever came of it", () => {
  assert.equal(meaning(502, said({ code: "result_refused", outcome: "applied" })), "done");
});

test("an outcome that nobody tells any more is unknown", () => {
  const unsure = { wasUnsure: true };
  assert.equal(meaning(502, said(), { ...unsure, age: 22 * hour }), "later");
  assert.equal(meaning(502, said(), { ...unsure, age: 24 * hour }).outcome, "unknown");
  assert.equal(meaning(502, said(), { age: 24 * hour }), "later");
  assert.equal(meaning(504, said(), { unknown: 4 }).code, "outcome_unknown");
});

test("a gateway that forgot the first try shows whether that was it", () => {
  const unsure = { wasUnsure: true };
  assert.equal(meaning(412, said({ current: { a: 1, b: 2 } }), unsure), "done");
  assert.equal(meaning(412, said({ current: { a: 3 } }), unsure).outcome, "unknown");
  assert.equal(meaning(404, said(), { ...unsure, method: "DELETE" }), "done");
  assert.equal(meaning(404, said(), unsure).outcome, "unknown");
});
