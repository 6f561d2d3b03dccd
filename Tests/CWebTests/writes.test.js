// Random histories of reading and writing, each from a seed, against a model of the gateway.
// `FRESHET_HISTORIES=1-5000 node --test Tests/CWebTests/writes.test.js`

import assert from "node:assert/strict";
import { test } from "node:test";
import { connect } from "../../Sources/CWeb/client/freshet.js";
import { History, Page } from "./support/history.js";

const [first, last] = (process.env.FRESHET_HISTORIES ?? "1-250").split("-").map(Number);

function plan(seed) {
  const history = new History(seed);
  const { world, gateway } = history;
  gateway.conflict = ["reject", "merge", "overwrite"][seed % 3];
  gateway.isDurable = seed % 4 !== 3;
  gateway.trouble = () => {
    const chance = world.random();
    if (chance < 0.05) return "busy";
    if (chance < 0.1) return "before";
    if (chance < 0.16) return "after";
    return chance < 0.19 ? "unauthorized" : undefined;
  };
  gateway.poison = (operand) => JSON.stringify(operand ?? "").includes("poison");
  history.poison = 0.1;
  const modes = ["patch", "items", "merge", "snapshot"];
  const pages = ["x", "y"].map((name, index) => new Page(history, name, connect, modes[(seed + index) % 4]));
  const happen = () => {
    const { network } = world.pick(pages);
    const kind = world.integer(5);
    if (kind === 0) network.cut();
    else if (kind === 1) gateway.restart();
    else if (kind === 2) network.isOnline = !network.isOnline;
    else if (kind === 3) network.loss = world.chance(0.5) ? 0.2 : 0;
  };
  return { history, pages, happen };
}

test(`no history of ${first} to ${last} breaks a rule`, async () => {
  let [writes, forgotten] = [0, 0];
  for (let seed = first; seed <= last; seed += 1) {
    const { history, pages, happen } = plan(seed);
    const broken = await history.run(pages, { happen });
    assert.deepEqual(broken, [], `FRESHET_HISTORIES=${seed}-${seed}`);
    writes += pages.reduce((sum, page) => sum + page.writes.length, 0);
    forgotten += history.forgotten;
  }
  assert.ok(forgotten <= writes / 1000, `${forgotten} of ${writes} creations happened again after a restart without a log`);
  assert.ok(writes > 10 * (last - first + 1), `${writes} writes`);
});
