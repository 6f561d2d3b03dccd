// Streams over one WebSocket, against a server that the test plays.

import assert from "node:assert/strict";
import { test } from "node:test";

import { openSocket } from "../../Sources/CWeb/client/socket.js";

class Channel {
  static all = [];

  sent = [];

  constructor(url, protocol) {
    Object.assign(this, { url, protocol });
    Channel.all.push(this);
  }

  send(text) { this.sent.push(JSON.parse(text)); }

  close() { this.end(1000); }

  open() { this.onopen(); }

  end(code) { this.onclose({ code }); }

  tell(message) { this.onmessage({ data: JSON.stringify(message) }); }
}

const turn = () => new Promise((resolve) => { setImmediate(resolve); });

function world() {
  Channel.all = [];
  const gateway = { url: "http://gateway", options: { WebSocket: Channel } };
  const open = (names, query = "mode=patch", token = undefined) => {
    const abort = new AbortController();
    const events = [];
    const ended = openSocket({
      gateway,
      path: `streams/${names}?${query}`,
      sources: names.split(",").map((name) => ({ name })),
      headers: token ? { Authorization: `Bearer ${token}` } : {},
      signal: abort.signal,
      on: (...event) => events.push(event),
      alive: () => {},
    }).then((value) => ({ value }), (error) => ({ error }));
    return { abort, events, ended };
  };
  return { gateway, open };
}

test("streams are subscriptions of one socket, and get the events of their sources", async () => {
  const { open } = world();
  const [first, second] = [open("a,b", "mode=patch&since=k-3"), open("c")];
  await turn();
  const [channel] = Channel.all;
  assert.deepEqual([Channel.all.length, channel.url, channel.protocol], [1, "ws://gateway/v1/socket", "freshet.v1"]);
  channel.open();
  await turn();
  assert.deepEqual(channel.sent, [
    { re: 1, op: "subscribe", sources: "a,b", mode: "patch", since: "k-3" },
    { re: 2, op: "subscribe", sources: "c", mode: "patch" },
  ]);
  channel.tell({ event: "gap", data: { reason: "evicted" } });
  channel.tell({ id: "k-5", event: "snapshot", data: { source: "b", value: 1 } });
  channel.tell({ re: 1, ok: { cursor: "k-5" } });
  channel.tell({ re: 2, ok: { cursor: "k-5" } });
  channel.tell({ id: "k-6", event: "patch", data: { source: "c", patch: [] } });
  await turn();
  assert.deepEqual(first.events, [
    ["gap", { reason: "evicted" }], ["snapshot", { source: "b", value: 1 }, "k-5"],
    ["hello", { cursor: "k-5", heartbeat: 15 }],
  ]);
  assert.deepEqual(second.events, [
    ["hello", { cursor: "k-5", heartbeat: 15 }], ["patch", { source: "c", patch: [] }, "k-6"],
  ]);
  first.abort.abort(new Error("enough"));
  assert.equal((await first.ended).error.message, "enough");
  assert.deepEqual(channel.sent[2], { re: 3, op: "unsubscribe", sources: "a,b" });
  channel.tell({ event: "bye", data: { reason: "drain" } });
  channel.end(1001);
  assert.deepEqual(await second.ended, { value: undefined });
  assert.deepEqual(second.events.at(-1), ["bye", { reason: "drain" }]);
});

test("a token is said before anything else, and another one on the same socket", async () => {
  const { open } = world();
  open("a", "mode=patch", "one");
  await turn();
  const [channel] = Channel.all;
  channel.open();
  await turn();
  assert.deepEqual(channel.sent, [{ re: 1, op: "auth", token: "one" }]);
  channel.tell({ re: 1, ok: { id: "ida" } });
  await turn();
  assert.equal(channel.sent[1].op, "subscribe");
  open("b", "mode=patch", "two");
  await turn();
  assert.deepEqual(channel.sent[2], { re: 3, op: "auth", token: "two" });
  channel.tell({ re: 3, problem: { status: 403, code: "other_subject", detail: "no" } });
  await turn();
  assert.equal(Channel.all.length, 2);
  Channel.all[1].open();
  await turn();
  assert.deepEqual(Channel.all[1].sent, [{ re: 1, op: "auth", token: "two" }]);
  Channel.all[1].tell({ re: 1, ok: { id: "jo" } });
  await turn();
  assert.equal(Channel.all[1].sent[1].sources, "b");
  Channel.all[1].end(1006);
});

test("a refusal and a later end are errors with their status, and a cut is one without", async () => {
  const { open } = world();
  const [missing, busy, ended, cut] = ["a", "b", "c", "d"].map((name) => open(name));
  await turn();
  const [channel] = Channel.all;
  channel.open();
  await turn();
  channel.tell({ re: 1, problem: { status: 404, code: "unknown_source", detail: "none" } });
  channel.tell({ re: 2, problem: { status: 503, code: "draining", detail: "later", retry_after: 3 } });
  channel.tell({ re: 3, ok: { cursor: "k-1" } });
  channel.tell({ re: 4, ok: { cursor: "k-1" } });
  await turn();
  channel.tell({ re: 3, problem: { status: 410, code: "subscription_ended", detail: "gone" } });
  assert.equal((await missing.ended).error.status, 404);
  const { error } = await busy.ended;
  assert.deepEqual([error.status, error.wait, error.message], [503, 3000, "later"]);
  assert.equal((await ended.ended).error.status, 410);
  channel.end(1006);
  assert.equal((await cut.ended).error.status, undefined);
});

test("what comes before an earlier subscription has ended is not taken for the next one's", async () => {
  const { open } = world();
  const first = open("a");
  await turn();
  const [channel] = Channel.all;
  channel.open();
  await turn();
  channel.tell({ re: 1, ok: { cursor: "k-1" } });
  first.abort.abort(new Error("another query"));
  const second = open("a,b", "mode=patch&since=k-1");
  await turn();
  assert.deepEqual(channel.sent.slice(1), [
    { re: 2, op: "unsubscribe", sources: "a" },
    { re: 3, op: "subscribe", sources: "a,b", mode: "patch", since: "k-1" },
  ]);
  // Ahead of an event of `b` that the second one has not received.
  channel.tell({ id: "k-5", event: "patch", data: { source: "a", patch: [] } });
  channel.tell({ re: 2, ok: {} });
  channel.tell({ id: "k-3", event: "patch", data: { source: "b", patch: [] } });
  channel.tell({ id: "k-5", event: "patch", data: { source: "a", patch: [] } });
  channel.tell({ re: 3, ok: { cursor: "k-5" } });
  assert.deepEqual(second.events.map(([type, , id]) => [type, id]), [["patch", "k-3"], ["patch", "k-5"], ["hello", undefined]]);
  assert.equal((await first.ended).error.message, "another query");
  channel.end(1006);
});

test("a name with a comma in it is one name", async () => {
  const { gateway } = world();
  const events = [];
  openSocket({
    gateway, path: "streams/x?mode=patch", sources: [{ name: "geo/1,2" }, { name: "b" }], headers: {},
    signal: new AbortController().signal, on: (...event) => events.push(event), alive: () => {},
  }).catch(() => {});
  await turn();
  const [channel] = Channel.all;
  channel.open();
  await turn();
  assert.equal(channel.sent[0].sources, "geo%2F1%2C2,b");
  channel.tell({ id: "k-1", event: "snapshot", data: { source: "geo/1,2", value: 1 } });
  assert.equal(events.length, 1);
  channel.end(1006);
});

test("a socket that does not open is one that there is not: the stream comes without", async () => {
  const { gateway } = world();
  const asked = [];
  gateway.ask = (path) => {
    asked.push(path);
    return Promise.reject(Object.assign(new Error("no"), { status: 404 }));
  };
  const real = globalThis.setTimeout;
  // The wait for the answer to a handshake is cut short.
  globalThis.setTimeout = (action, delay, ...rest) => real(action, delay === 10_000 ? 0 : delay, ...rest);
  try {
    const request = { path: "streams/a?mode=patch", sources: [{ name: "a" }], headers: {}, on: () => {}, alive: () => {} };
    const failure = await openSocket({ gateway, signal: new AbortController().signal, ...request }).catch((error) => error);
    assert.deepEqual([failure.status, asked, Channel.all.length], [404, ["streams/a?mode=patch"], 1]);
  } finally {
    globalThis.setTimeout = real;
  }
});

test("an event is the first subscription's that has its source, and not also that of one which is refused then", async () => {
  const { open } = world();
  const [first, second] = [open("a"), open("a", "mode=items")];
  await turn();
  const [channel] = Channel.all;
  channel.open();
  await turn();
  channel.tell({ id: "k-1", event: "snapshot", data: { source: "a", value: 1 } });
  channel.tell({ re: 1, ok: { cursor: "k-1" } });
  assert.deepEqual([first.events.length, second.events.length], [2, 0]);
  channel.end(1006);
  await Promise.all([first.ended, second.ended]);
});

test("where sockets have opened, one that does not is an error three times, and a stream then", async () => {
  const { gateway, open } = world();
  const first = open("a");
  await turn();
  Channel.all[0].open();
  await turn();
  Channel.all[0].end(1006);
  await first.ended;
  for (let count = 1; count <= 3; count += 1) {
    const next = open("a");
    await turn();
    Channel.all[count].end(1006);
    assert.equal((await next.ended).error.message, "the socket did not open");
  }
  const asked = [];
  gateway.ask = (path) => {
    asked.push(path);
    return Promise.reject(Object.assign(new Error("no"), { status: 404 }));
  };
  const last = open("a");
  await turn();
  Channel.all[4].end(1006);
  assert.equal((await last.ended).error.status, 404);
  assert.deepEqual(asked, ["streams/a?mode=patch"]);
});
