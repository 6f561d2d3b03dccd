// Time and chance under a seed: timers, the clock and random numbers of everything that runs in this process.

import { AsyncResource } from "node:async_hooks";
// What the client loads when it needs it takes no time of a world.
import "../../../Sources/CWeb/client/events.js";
import "../../../Sources/CWeb/client/verdict.js";

const real = {
  setTimeout: globalThis.setTimeout, clearTimeout: globalThis.clearTimeout, now: Date.now, random: Math.random,
  setImmediate: globalThis.setImmediate,
};

/** A generator of numbers in [0, 1) (mulberry32). */
export function numbers(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296;
  };
}

export class World {
  now = 1_700_000_000_000;
  #timers = [];

  // What runs now, such as a page, and how something runs as nothing of the kind.
  current = () => undefined;
  outside = (action) => action();

  constructor(seed) {
    this.random = numbers(seed);
  }

  integer(below) { return Math.floor(this.random() * below); }
  chance(share) { return this.random() < share; }
  pick(list) { return list[this.integer(list.length)]; }

  install() {
    globalThis.setTimeout = (action, delay = 0, ...rest) => this.after(delay, () => action(...rest));
    globalThis.clearTimeout = (timer) => { if (timer) timer.action = null; };
    Date.now = () => this.now;
    Math.random = this.random;
    const crypto = { getRandomValues: (array) => array.map(() => this.integer(256)) };
    Object.defineProperty(globalThis, "crypto", { value: crypto, configurable: true });
  }

  static restore() {
    globalThis.setTimeout = real.setTimeout;
    globalThis.clearTimeout = real.clearTimeout;
    Date.now = real.now;
    Math.random = real.random;
  }

  after(delay, action) {
    // It runs as what set it, so that pages can be told apart.
    const at = this.now + Math.max(0, Number(delay) || 0);
    const timer = { at, action: AsyncResource.bind(action), owner: this.current(), unref() {} };
    // Sorted by time; most timers are among the latest.
    let index = this.#timers.length;
    while (index > 0 && this.#timers[index - 1].at > timer.at) index -= 1;
    this.#timers.splice(index, 0, timer);
    return timer;
  }

  /** Waits in the time of this world. */
  pause(delay) { return new Promise((done) => this.after(delay, done)); }

  /** Lets everything run that needs no time to pass. */
  settle() { return new Promise((done) => real.setImmediate(done)); }

  /** Runs up to a moment, and calls `look` after each timer. */
  async run(duration, look = () => {}, isOver = () => false) {
    const end = this.now + duration;
    await this.settle();
    look();
    while (!isOver()) {
      const next = this.#timers[0];
      if (!next || next.at > end) break;
      this.#timers.shift();
      if (!next.action || next.owner?.isDead) continue;
      this.now = next.at;
      next.action();
      await this.settle();
      look();
    }
    if (!isOver()) this.now = end;
  }
}
