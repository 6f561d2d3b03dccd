// Random histories through the program: three clients and somebody else, an upstream that fails in every way, and a gateway
// that is killed. `FRESHET_THROUGH=25` runs that many gateways one after the other, each with twenty histories at once.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { connect } from "../../Sources/CWeb/client/freshet.js";
import { freePort, lacksKey, program, until } from "./support/program.js";
import { WritableUpstream } from "./support/upstream.js";
import { numbers } from "./support/world.js";

const rounds = Number(process.env.FRESHET_THROUGH ?? 1);
const parallel = process.env.FRESHET_THROUGH ? 20 : 5;
const steps = 40;
const first = Number(process.env.FRESHET_THROUGH_FIRST ?? 1);

const source = (name, port, conflict) => `  ${name}:
    url: http://127.0.0.1:${port}/orders
    interval: 200ms
    timeout: 2s
    key: /id
    write: { item_url: "http://127.0.0.1:${port}/orders/{key}", methods: [PUT, PATCH, DELETE, POST], conflict: ${conflict} }
`;
const skip = lacksKey(`sources:\n${source("orders", 8081, "merge")}`, "this program takes no writes");

/** One history: a source with its upstream, and what three clients do to it. */
class History {
  writes = [];
  shownWrongly = [];

  constructor(seed, name) {
    const random = this.random = numbers(seed);
    Object.assign(this, { seed, name, conflict: ["reject", "merge", "overwrite"][seed % 3] });
    this.upstream = new WritableUpstream([1, 2, 3, 4, 5].map((id) => ({ id, a: `a${id}`, b: `b${id}` })));
    this.upstream.delay = () => Math.floor(random() * 80);
    this.upstream.trouble = () => {
      const chance = random();
      return [[0.04, "before"], [0.1, "after"], [0.13, 500], [0.15, 409], [0.17, 428]].find(([limit]) => chance < limit)?.[1];
    };
  }

  integer(below) { return Math.floor(this.random() * below); }

  step(number, stores) {
    const store = stores[this.integer(3)];
    const items = rows(store).filter(({ id }) => id);
    const token = `t${number}`;
    const kind = this.random();
    if (kind < 0.2) {
      const ids = [...this.upstream.items.keys()];
      const id = ids[this.integer(ids.length)];
      if (id) this.upstream.set(id, { ...this.upstream.items.get(id), [this.random() < 0.5 ? "a" : "b"]: token });
    } else if (kind < 0.3) this.note(token, store.create({ a: token }));
    else if (items.length) {
      const { id } = items[this.integer(items.length)];
      const item = store.item(id);
      if (!item.value) return;
      if (kind < 0.35) this.note(undefined, item.remove());
      else {
        const field = this.random() < 0.5 ? "a" : "b";
        this.note(token, kind < 0.5 ? item.put({ ...item.value, [field]: token }) : item.patch({ [field]: token }));
        if (item.value?.[field] !== token) this.shownWrongly.push(token);
      }
    }
  }

  note(token, promise) {
    const write = { token, state: "pending" };
    this.writes.push(write);
    promise.then(() => { write.state = "fulfilled"; }, (error) => {
      write.state = error.outcome === "unknown" ? "unknown" : "refused";
      write.error = error;
    });
  }

  judge(stores) {
    const found = this.shownWrongly.map((token) => `${token} is not shown`);
    for (const { token, state, error } of this.writes) {
      if (state === "pending") found.push(`${token} is pending`);
      if (!token) continue;
      const effects = this.upstream.effects.filter(({ added }) => added.includes(token));
      const count = effects.length;
      const related = this.upstream.effects.filter(({ id }) => effects.some((one) => one.id === id));
      if (count > 1) found.push(`${token} (${state}) twice: ${JSON.stringify(related)}`);
      if (state === "fulfilled" && !count) found.push(`${token} is lost`);
      if (state === "refused" && count) found.push(`${token} is refused (${error.code}), and there`);
    }
    const there = text(rows({ value: this.upstream.items }));
    stores.forEach((store, index) => {
      if (text(rows(store)) !== there) found.push(`client ${index} shows ${text(rows(store))}, not ${there}`);
    });
    return found.map((one) => `seed ${this.seed}, ${this.conflict}: ${one}`);
  }
}

const rows = ({ value }) => [...value?.values() ?? []].sort((a, b) => a.id - b.id);
const text = (list) => JSON.stringify(list.map((item) => Object.entries(item).sort()));

async function round(number) {
  const folder = mkdtempSync(join(tmpdir(), "freshet-histories-"));
  const histories = Array.from({ length: parallel }, (_, index) => new History(first + number * parallel + index, `s${index}`));
  for (const history of histories) await history.upstream.listen();
  const port = await freePort();
  const url = `http://127.0.0.1:${port}`;
  const sources = histories.map(({ name, upstream, conflict }) => source(name, upstream.port, conflict)).join("");
  const log = `log: { path: "${join(folder, "log")}" }`;
  writeFileSync(join(folder, "freshet.yaml"), `listen: 127.0.0.1:${port}\n${log}\nsources:\n${sources}`);
  let gateway;
  const start = async () => {
    gateway = spawn(program, ["serve", "--config", join(folder, "freshet.yaml")], { stdio: "ignore" });
    await until(() => fetch(`${url}/readyz`).then((answer) => answer.ok, () => false));
  };
  const stop = () => new Promise((done) => {
    gateway.on("exit", done);
    gateway.kill("SIGKILL");
  });
  const clients = ["items", "patch", "items"].map((mode) => ({ mode, client: connect(url, { tabs: false }) }));
  try {
    await start();
    const stores = histories.map(({ name }) => clients.map(({ client, mode }) => client.source(name, { mode })));
    stores.flat().forEach((store) => store.subscribe(() => {}));
    await until(() => stores.flat().every((store) => store.state === "live" && store.item(1).value));
    for (let step = 0; step < steps; step += 1) {
      histories.forEach((history, index) => history.step(step, stores[index]));
      if (step === steps / 2) {
        await stop();
        await start();
      }
      await new Promise((done) => setTimeout(done, 60));
    }
    // Nothing goes wrong any more; whoever waits for another try tries now.
    for (const { upstream } of histories) upstream.trouble = () => undefined;
    await until(() => {
      clients.forEach(({ client }) => client.retry());
      return histories.every(({ writes }) => writes.every(({ state }) => state !== "pending"));
    }, () => JSON.stringify(clients.flatMap(({ client }) => client.outbox.records)));
    await until(() => histories.every((history, index) => !history.judge(stores[index]).some((one) => one.includes("shows"))))
      .catch(() => {});
    const count = (state) => histories.flatMap(({ writes }) => writes).filter((write) => write.state === state).length;
    return {
      found: histories.flatMap((history, index) => history.judge(stores[index])),
      fulfilled: count("fulfilled"), refused: count("refused"), unknown: count("unknown"),
    };
  } finally {
    clients.forEach(({ client }) => client.close());
    await stop();
    histories.forEach(({ upstream }) => upstream.close());
    rmSync(folder, { recursive: true, force: true });
  }
}

test(`${rounds * parallel} histories through the program lose, double and diverge nothing`, { skip }, async (context) => {
  const sum = { fulfilled: 0, refused: 0, unknown: 0 };
  for (let number = 0; number < rounds; number += 1) {
    const { found, ...counts } = await round(number);
    assert.deepEqual(found, []);
    for (const name of Object.keys(sum)) sum[name] += counts[name];
  }
  context.diagnostic(JSON.stringify(sum));
  assert.ok(sum.fulfilled > rounds * parallel * steps / 5, JSON.stringify(sum));
});
