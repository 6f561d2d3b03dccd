// Random histories of pages that write without network, are killed and come back: with a queue on a disk.
// `FRESHET_HISTORIES=1-5000 node --test Tests/CWebTests/queue.test.js`

import assert from "node:assert/strict";
import { test } from "node:test";
import { connect } from "../../Sources/CWeb/client/offline.js";
import { Browser } from "./support/browser.js";
import { History, Page } from "./support/history.js";

const [first, last] = (process.env.FRESHET_HISTORIES ?? "1-250").split("-").map(Number);

/** A page that has the memory of its browser, and may be killed. */
class KeptPage extends Page {
  open() {
    this.network.isOnline = this.history.isOnline;
    this.tab = this.history.browser.open(() => super.open());
  }

  act() {
    return this.tab && this.history.browser.run(this.tab, () => super.act());
  }

  note(promise, write) {
    super.note(promise, write);
    promise.kept.then(() => { write.isKept = true; }, () => { write.isUnkept = true; });
  }

  kill() {
    this.history.browser.kill(this.tab);
    this.network.cut();
    this.tab = this.client = this.store = undefined;
    for (const write of this.writes) if (write.state === "pending") write.state = "lost";
  }

  look() {
    if (this.tab) super.look();
  }
}

function plan(seed) {
  const history = new History(seed);
  const { world, gateway } = history;
  const browser = history.browser = new Browser(world);
  browser.install();
  history.isOnline = true;
  gateway.conflict = ["merge", "overwrite", "reject"][seed % 3];
  gateway.trouble = () => {
    const chance = world.random();
    if (chance < 0.05) return "busy";
    return chance < 0.1 ? "after" : chance < 0.14 ? "unauthorized" : undefined;
  };
  gateway.poison = (operand) => JSON.stringify(operand ?? "").includes("poison");
  history.poison = 0.08;
  const modes = ["items", "patch"];
  const mode = (index) => modes[(seed + index) % 2];
  const pages = ["x", "y"].map((name, index) => new KeptPage(history, name, connect, mode(index), { tabs: true }));
  const happen = () => {
    const page = world.pick(pages);
    const kind = world.integer(7);
    if (kind === 0) pages.forEach((one) => one.network.cut());
    else if (kind === 1) gateway.restart();
    else if (kind === 2) {
      history.isOnline = !history.isOnline;
      for (const one of pages) one.network.isOnline = history.isOnline;
      if (!history.isOnline) pages.forEach((one) => one.network.cut());
    } else if (kind < 5) {
      if (page.tab) page.kill();
      else page.open();
    } else if (kind === 5) {
      for (const one of pages) one.network.loss = world.chance(0.5) ? 0.2 : 0;
    } else if (page.tab) browser.show(page.tab, page.tab.document.hidden);
  };
  return { history, pages, happen };
}

/** What the rules of the queue say at the end. */
function judge(history, pages) {
  const { browser } = history;
  const [database] = [...browser.databases.values()];
  const left = [...database.stores.get("writes").values()];
  const found = [];
  for (const record of left) if (!record.problem) found.push(`unsettled: ${record.id} is in the queue as ${record.state}`);
  for (const page of pages) {
    for (const write of page.writes) {
      const isThis = (operand) => operand !== undefined && JSON.stringify(operand).includes(`"${write.token}"`);
      const effects = page.effectsOf(write);
      const isParked = ({ body, method }) => body && method === write.method && isThis(JSON.parse(body));
      const parked = left.filter(isParked).length;
      if (write.method === "DELETE") continue;
      if (write.state === "lost" && write.isKept && !effects && !parked) found.push(`vanished: ${write.method} ${write.token}`);
      if (write.state === "refused" && write.isKept && !parked) found.push(`report: ${write.token} is not parked`);
    }
  }
  return found;
}

test(`no history of ${first} to ${last} loses, doubles or shows what is not`, async () => {
  let [writes, killed] = [0, 0];
  for (let seed = first; seed <= last; seed += 1) {
    const { history, pages, happen } = plan(seed);
    let broken;
    try {
      broken = await history.run(pages, { happen, rest: () => judge(history, pages) });
    } finally {
      Browser.restore();
    }
    assert.deepEqual(broken, [], `FRESHET_HISTORIES=${seed}-${seed}`);
    writes += pages.reduce((sum, page) => sum + page.writes.length, 0);
    killed += pages.reduce((sum, page) => sum + page.writes.filter((write) => write.state === "lost").length, 0);
  }
  assert.ok(writes > 8 * (last - first + 1), `${writes} writes`);
  assert.ok(killed >= (last - first) / 4, `${killed} writes outlived their page`);
});
