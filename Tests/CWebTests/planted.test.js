// Mistakes that simpler clients make, put into copies of this one: the histories find each of them.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../../", import.meta.url));

// What is broken, where, which text by which, and the rule that says so.
const mistakes = [
  ["settles at the answer", "writes.js", "one.holds(record.answer)", "true", "older"],
  ["settles at any event", "source.js", "return this.sequence >= answer.sequence;", "return true;", "older"],
  ["never settles across numberings", "source.js", "return this.confirmed > answer.at;", "return false;", "unsettled"],
  ["makes a new key for each try", "writes.js", `"Idempotency-Key": id`, `"Idempotency-Key": id + record.tries`, "twice"],
  ["calls a lost answer a refusal", "verdict.js", "if (!isSent || !status ||",
    "if (isSent && !status) return {};\n  if (!isSent ||", "verdict"],
  ["shows what it creates beside what came", "source.js", "if (!this.creates || this.truth === undefined) return;", "return;",
    "flash"],
];

/** The histories over a copy of the client with one mistake in it. */
async function broken(file, from, to) {
  const folder = mkdtempSync(join(tmpdir(), "freshet-planted-"));
  try {
    for (const part of ["Sources/CWeb", "Tests/CWebTests"]) cpSync(root + part, join(folder, part), { recursive: true });
    const path = join(folder, "Sources/CWeb/client", file);
    const text = readFileSync(path, "utf8");
    assert.ok(text.includes(from), `${file} does not say: ${from}`);
    writeFileSync(path, text.replace(from, to));
    const { NODE_TEST_CONTEXT: ours, ...outer } = process.env;
    const env = { ...outer, FRESHET_HISTORIES: "1-400" };
    return await new Promise((done) => {
      const words = ["--test", "--test-reporter=tap", join(folder, "Tests/CWebTests/writes.test.js")];
      execFile(process.execPath, words, { env, maxBuffer: 1 << 26 }, (error, output) => done(output));
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

for (const [what, file, from, to, rule] of mistakes) {
  test(`a client that ${what} is found by the rule "${rule}"`, async () => {
    const output = await broken(file, from, to);
    assert.match(output, new RegExp(`${rule}: [xy] `), output.slice(0, 2000));
  });
}
