// The same over a WebSocket: one for all streams of a gateway, each a subscription with a cursor of its own. Loaded where
// `transport: "socket"` asks for it.

import { readStream } from "./stream.js";

const sockets = new WeakMap();
// How often in a row no socket opened, for gateways where one had.
const failures = new WeakMap();

// How long a socket may take to open: a proxy on the path may drop the handshake without an answer.
const patience = 10_000;
// How long a socket without subscriptions stays: another often comes at once.
const linger = 5000;
// A browser tells nobody of the server's pings: after so long a silence we ask.
const heartbeat = 15;
// A gateway that is away for a moment refuses streams too; what refuses sockets for longer than that is on the path.
const tries = 3;

/** As `readStream`. Where no WebSocket can be opened, or not any more, it is one of those. */
export async function openSocket(request) {
  const { gateway, path, sources, headers, signal, on, alive } = request;
  let socket;
  alive();
  try {
    socket = await socketOf(gateway, headers.Authorization?.replace(/^Bearer /, ""));
  } catch (error) {
    if (error.status) throw error;
    const count = (failures.get(gateway) ?? tries) + 1;
    if (count > tries) return readStream(request);
    failures.set(gateway, count);
    throw error;
  }
  failures.set(gateway, 0);
  signal.throwIfAborted();
  const query = Object.fromEntries(new URLSearchParams(path.split("?")[1]));
  return socket.subscribe(sources.map(({ name }) => name), query, { signal, on, alive }).catch((error) => {
    // The same source by another query: a socket has each once.
    if (error.problem?.code !== "already_subscribed") throw error;
    return readStream(request);
  });
}

/** The socket of a gateway, open, with this token. */
async function socketOf(gateway, token) {
  let socket = sockets.get(gateway);
  if (!socket || socket.isOver) {
    socket = new Socket(gateway);
    sockets.set(gateway, socket);
  }
  await socket.opened;
  if (token && token !== socket.token) {
    try {
      await socket.ask("auth", { token });
      socket.token = token;
    } catch (error) {
      // A socket keeps its subject.
      if (error.problem?.code !== "other_subject") throw error;
      socket.close();
      return socketOf(gateway, token);
    }
  }
  return socket;
}

class Socket {
  #asked = new Map();
  #subscriptions = new Set();
  #gaps = [];
  #number = 0;
  // The last request that ended a subscription, and the last of those that was answered.
  #leaving = 0;
  #left = 0;

  constructor({ url, options }) {
    const { WebSocket } = { ...globalThis, ...options };
    this.channel = new WebSocket(`${url.replace(/^http/, "ws")}/v1/socket`, "freshet.v1");
    this.opened = new Promise((resolve, reject) => {
      const late = setTimeout(() => this.channel.close(), patience);
      this.channel.onopen = () => {
        clearTimeout(late);
        resolve();
      };
      this.channel.onclose = ({ code }) => {
        clearTimeout(late);
        reject(new Error("the socket did not open"));
        this.#end(code);
      };
    });
    // `close` follows, and tells the same; node's `ws` throws an error that has no listener.
    this.channel.onerror = () => {};
    this.channel.onmessage = ({ data }) => this.#receive(JSON.parse(data));
    this.#rest();
  }

  close() {
    this.isOver = true;
    this.channel.close();
  }

  /** Sends a request; resolves with what its answer says, and rejects with a problem. */
  ask(op, members) { return new Promise((resolve, reject) => { this.#send(op, members, { resolve, reject }); }); }

  /** `waiting` is told of the answer at once, before what comes behind it. */
  #send(op, members, waiting) {
    this.#number += 1;
    this.#asked.set(this.#number, waiting);
    this.channel.send(JSON.stringify({ re: this.#number, op, ...members }));
    return this.#number;
  }

  /** Resolves when the subscription ends by the server's `bye` or by its signal; rejects where it is refused or cut off. */
  subscribe(names, query, { signal, on, alive }) {
    clearTimeout(this.resting);
    const sources = names.map(encodeURIComponent).join(",");
    return new Promise((resolve, reject) => {
      // Events that come until an earlier subscription has ended belong to that one, which may be ahead of this one's start.
      const subscription = { names: new Set(names), after: this.#leaving, on, alive, resolve };
      const end = (settle, reason) => {
        if (!this.#subscriptions.delete(subscription)) return;
        if (!this.#subscriptions.size) this.#rest();
        settle(reason);
      };
      subscription.fail = (error) => end(reject, error);
      subscription.end = () => end(resolve);
      this.#subscriptions.add(subscription);
      alive();
      subscription.number = this.#send("subscribe", { sources, ...query }, {
        resolve: ({ cursor }) => on("hello", { cursor, heartbeat }),
        reject: subscription.fail,
      });
      signal.addEventListener("abort", () => {
        if (!this.#subscriptions.has(subscription)) return;
        if (!this.isOver) this.#leave(sources);
        subscription.fail(signal.reason);
      });
    });
  }

  #leave(sources) {
    const over = () => { this.#left = number; };
    const number = this.#send("unsubscribe", { sources }, { resolve: over, reject: over });
    this.#leaving = number;
  }

  #rest() {
    clearTimeout(this.resting);
    if (this.isOver) return;
    this.resting = setTimeout(() => this.#subscriptions.size || this.close(), linger);
  }

  #receive({ re, ok, problem, event, data, id }) {
    clearTimeout(this.silence);
    this.silence = setTimeout(() => this.ask("ping").catch(() => {}), heartbeat * 1000);
    for (const { alive } of this.#subscriptions) alive();
    if (re !== undefined) this.#answered(re, ok, problem);
    else if (event === "gap") this.#gaps.push(data);
    else if (event === "bye") {
      for (const { on } of this.#subscriptions) on(event, data);
    } else {
      // A socket has each source once: of two that ask for it, the later one is refused.
      const { after, on } = [...this.#subscriptions].find(({ names }) => names.has(data.source)) ?? {};
      if (!on || after > this.#left) return;
      // A gap stands before the first event of what it is of.
      for (const gap of this.#gaps.splice(0)) on("gap", gap);
      on(event, data, id);
    }
  }

  #answered(re, ok, problem) {
    const wait = (problem?.retry_after ?? 0) * 1000;
    const error = problem && Object.assign(new Error(problem.detail), { status: problem.status, problem, wait });
    const asked = this.#asked.get(re);
    this.#asked.delete(re);
    if (asked) return problem ? asked.reject(error) : asked.resolve(ok);
    // It was answered before: a subscription has ended.
    for (const subscription of [...this.#subscriptions]) if (subscription.number === re) subscription.fail(error);
    return undefined;
  }

  #end(code) {
    this.isOver = true;
    clearTimeout(this.silence);
    clearTimeout(this.resting);
    const error = new Error(`the socket was closed with ${code}`);
    for (const { reject } of this.#asked.values()) reject(error);
    this.#asked.clear();
    for (const subscription of [...this.#subscriptions]) {
      if (code === 1001 || code === 1008) subscription.end();
      else subscription.fail(error);
    }
  }
}
