// One source: what the gateway said (the truth), and what the pending writes make of it (what is shown).

import { applyEffect, applyPatch, at, escape, merge, parse, share } from "./json.js";

/** A cursor's epoch and sequence, without what a ticket adds; null if the text is not a cursor. */
export function cursorOf(id) {
  const [, epoch, sequence] = /^([^-]+)-(\d+)/.exec(id ?? "") ?? [];
  return epoch ? { epoch, sequence: Number(sequence) } : null;
}

// A listener that throws is its own problem.
function call(listener, value) {
  try {
    listener(value);
  } catch (error) {
    setTimeout(() => { throw error; });
  }
}

// An item with a write on it; where others removed it meanwhile, on what was seen of it last.
function written(item, record) {
  if (item !== undefined) record.seen = item;
  return applyEffect(item ?? record.seen ?? record.before, record.effect);
}

/** Calls a listener now and at each change, until what it returns is called. */
function subscribe(set, listener, value) {
  const entry = (now) => call(listener, now);
  set.add(entry);
  entry(value);
  return () => set.delete(entry);
}

/** A collection by key: a view of what is shown, and another view after each change. Keys are strings. */
class Items {
  #truth;
  #overlay;

  constructor(truth, overlay) {
    this.#truth = truth;
    this.#overlay = overlay;
  }

  get(key) { return this.#overlay.has(key) ? this.#overlay.get(key) : this.#truth.get(key); }
  has(key) { return this.get(key) !== undefined; }

  get size() {
    let size = this.#truth.size;
    for (const [key, item] of this.#overlay) size += (item !== undefined) - this.#truth.has(key);
    return size;
  }

  *[Symbol.iterator]() {
    for (const [key, item] of this.#truth) {
      const shown = this.#overlay.has(key) ? this.#overlay.get(key) : item;
      if (shown !== undefined) yield [key, shown];
    }
    for (const [key, item] of this.#overlay) if (item !== undefined && !this.#truth.has(key)) yield [key, item];
  }

  *keys() { for (const [key] of this) yield key; }
  *values() { for (const [, item] of this) yield item; }
}

const indexes = new WeakMap();

export class Source {
  state = "connecting";
  reason = "";
  listeners = new Set();
  watchers = new Set();
  // Listeners of single items by key, and what they saw last.
  items = new Map();
  overlay = new Map();
  // Items that are not shown yet: one of them may be what a write under way creates.
  held = new Set();
  left = new Set();

  constructor(gateway, name, query, shape) {
    const mode = new URLSearchParams(query).get("mode");
    Object.assign(this, { gateway, name, query, shape, mode, key: `${name}?${query}` });
  }

  get isKeyed() { return this.mode === "items"; }

  get value() {
    if (!this.isKeyed) return this.shown;
    return this.truth && (this.view ??= new Items(this.truth, this.overlay));
  }

  get cursor() { return this.epoch && `${this.epoch}-${this.sequence}`; }

  /** Up to when the value is known to be the current one. */
  get asOf() { return this.state === "live" ? new Date(Date.now()) : this.seen && new Date(this.seen); }

  // The truth

  /** An event of a stream that has this source, and was asked for at the time `opened`. */
  receive(type, data, id, opened) {
    // What `hello` names is where the stream will be.
    const cursor = type === "hello" ? null : cursorOf(id);
    const named = cursor ?? cursorOf(data.cursor);
    if (named) this.current = named.epoch;
    if (named?.epoch === this.epoch) this.confirmed = opened;
    // 0 is "nothing yet": the first of several snapshots in place of what was there.
    if (cursor?.sequence && cursor.epoch === this.epoch && cursor.sequence <= this.sequence) return;
    let touched = new Set();
    if (data.source === this.name) touched = this.change(type, data);
    if (cursor) this.move(cursor, opened);
    this.show(touched);
  }

  move({ epoch, sequence }, opened) {
    if (this.epoch && epoch !== this.epoch) this.left.add(this.epoch);
    Object.assign(this, { epoch, sequence, confirmed: opened });
  }

  /** What it held when it was saved, or what another page holds. */
  restore({ truth, cursor, at, seen, shape, held = new Set() }) {
    const place = cursorOf(cursor);
    // Another page may be behind.
    if (place && place.epoch === this.epoch && place.sequence <= this.sequence) return;
    const before = this.truth;
    Object.assign(this, { truth, at, seen: seen ?? this.seen });
    this.shape ??= shape;
    if (place) this.move(place, 0);
    for (const key of held) this.held.add(key);
    if (!held.size) this.hold(before);
    this.show();
  }

  /** Holds back what was not there before: one of these items may be what a write under way creates. */
  hold(before) {
    if (!this.creates || this.truth === undefined) return;
    const known = before && this.list(before);
    for (const [key, item] of this.list(this.truth)) if (known ? !known.has(key) : this.isMaking(item)) this.held.add(key);
  }

  /** What its items are has become known. */
  reshape() {
    this.hold(undefined);
    this.show();
  }

  list(truth) {
    if (this.isKeyed) return truth;
    return new Map([...this.index(truth).keys()].map((key) => [key, this.plainItem(truth, key)]));
  }

  /** Whether an item looks like one that is being created; where it is not known what was there before. */
  isMaking(item) {
    return this.creates.some(({ effect: [[, made]] }) => share(item, merge(item, made)) === item);
  }

  clear() {
    this.truth = this.epoch = this.at = undefined;
    this.held.clear();
    this.show();
  }

  /** Takes a change into the truth; returns the keys it touched, undefined for all. */
  change(type, data) {
    const isDifference = type === "patch" || type === "merge" || type === "items";
    if (this.truth === undefined && isDifference) throw new Error("a difference from nothing");
    this.at = data.at ?? this.at;
    if (this.isKeyed) {
      if (type === "snapshot") return this.replace(data.value);
      if (type !== "items") return new Set();
      const { created, updated, deleted } = data.items;
      if (this.creates) for (const [key] of this.entries(created)) this.held.add(key);
      const changed = [...this.entries(created), ...this.entries(updated)];
      for (const [key, item] of changed) this.truth.set(key, share(this.truth.get(key), item));
      const gone = deleted.map(String);
      for (const key of gone) this.truth.delete(key);
      return new Set([...changed.map(([key]) => key), ...gone]);
    }
    const before = this.truth;
    if (type === "snapshot") this.truth = share(before, data.value);
    else if (type === "patch") this.truth = applyPatch(before, data.patch);
    else if (type === "merge") this.truth = share(before, merge(before, data.merge));
    this.hold(before);
    return before === this.truth ? new Set() : undefined;
  }

  replace(value) {
    const before = this.truth;
    const old = before ?? new Map();
    this.truth = new Map(this.entries(at(value, parse(this.shape.items)) ?? []));
    const touched = new Set();
    for (const [key, item] of this.truth) {
      this.truth.set(key, share(old.get(key), item));
      if (old.get(key) !== this.truth.get(key)) touched.add(key);
    }
    this.hold(before);
    for (const key of old.keys()) if (!this.truth.has(key)) touched.add(key);
    this.view = undefined;
    return touched;
  }

  /** Key and item of each in a list, as values and `items` events have them. */
  entries(list) {
    if (!Array.isArray(list)) return Object.entries(list);
    const key = this.shape.key;
    return list.map((item) => (key == null ? [String(item.key), item.value] : [String(at(item, parse(key))), item]));
  }

  /** Whether the truth holds a write that was answered with this cursor. */
  holds(answer) {
    if (this.left.has(answer.epoch)) return true;
    if (this.epoch === answer.epoch) return this.sequence >= answer.sequence;
    // Another numbering: what is seen of it on a stream that was asked for after the answer came after it.
    return this.confirmed > answer.at;
  }

  // What is shown

  /** Key and place of each item of a plain value. */
  index(value) {
    const list = this.shape && at(value, parse(this.shape.items));
    if (typeof list !== "object" || list === null) return new Map();
    if (!indexes.has(list)) {
      const isList = Array.isArray(list) && this.shape.key != null;
      const path = parse(this.shape.key ?? "");
      indexes.set(list, new Map(isList ? list.map((item, index) => [String(at(item, path)), index])
        : Object.keys(list).map((name) => [name, name])));
    }
    return indexes.get(list);
  }

  place(value, key) { return `${this.shape.items}/${escape(String(this.index(value).get(key)))}`; }

  plainItem(value, key) {
    return this.index(value).has(key) ? at(value, parse(this.place(value, key))) : undefined;
  }

  /** An item as it is shown. */
  item(key) {
    const known = this.gateway.outbox.keyOf(key);
    return this.isKeyed ? this.value?.get(known) : this.plainItem(this.layered, known);
  }

  /** An item without the pending writes. */
  trueItem(key) { return this.isKeyed ? this.truth?.get(key) : this.plainItem(this.truth, key); }

  /** A value of this source with one write on it. */
  layer(value, record) {
    const { item: key } = record;
    if (key === undefined) return applyEffect(value, record.effect);
    if (!this.shape) return value;
    const old = this.plainItem(value, key);
    const now = written(old, record);
    if (now === old) return value;
    const list = at(value, parse(this.shape.items));
    const op = now === undefined ? "remove" : "replace";
    if (old !== undefined) return applyPatch(value, [{ op, path: this.place(value, key), value: now }]);
    const path = `${this.shape.items}/${Array.isArray(list) ? "-" : escape(key)}`;
    const made = list ? applyPatch(value, [{ op: "add", path, value: now }]) : value;
    // What is created has no key yet by which the index would find it.
    if (Array.isArray(list)) this.index(made).set(key, list.length);
    return made;
  }

  /** Works out what is shown, and calls the listeners if it changed. `touched`: the keys that did, undefined for all. */
  show(touched) {
    const { outbox } = this.gateway;
    for (const key of outbox.settle(this)) touched?.add(key);
    const pending = outbox.pendingOf(this);
    // Another page may have sent it already.
    const isOut = (record) => record.state !== "answered" && (record.isOut || !outbox.drains);
    const creates = pending.filter((record) => record.method === "POST" && isOut(record));
    this.creates = creates.length ? creates : undefined;
    if (!this.creates && this.held.size) {
      for (const key of this.held) touched?.add(key);
      this.held.clear();
    }
    if (this.isKeyed) this.showItems(touched, pending);
    else this.showValue(pending);
  }

  showValue(pending) {
    const before = this.shown;
    this.layered = this.truth;
    if (this.truth !== undefined) for (const record of pending) this.layered = this.layer(this.layered, record);
    this.shown = this.layered;
    if (this.held.size && this.layered !== undefined) {
      const isOwn = new Set(pending.map((record) => record.item));
      const held = [...this.held].filter((key) => this.index(this.layered).has(key) && !isOwn.has(key))
        .map((key) => this.place(this.layered, key));
      // From the end, so that places stay what they are.
      held.sort((a, b) => b.localeCompare(a, "en", { numeric: true }));
      this.shown = applyPatch(this.layered, held.map((path) => ({ op: "remove", path })));
    }
    if (before === this.shown) return;
    for (const listener of this.listeners) listener(this.shown);
    for (const key of this.items.keys()) this.tell(key);
  }

  showItems(touched, pending) {
    const keys = new Set(touched ?? [...(this.truth?.keys() ?? []), ...this.items.keys()]);
    if (!touched) for (const key of [...this.overlay.keys(), ...pending.map((record) => record.item)]) keys.add(key);
    for (const key of keys) {
      this.overlay.delete(key);
      if (this.held.has(key)) this.overlay.set(key, undefined);
    }
    for (const record of pending) {
      if (keys.has(record.item)) this.overlay.set(record.item, written(this.#seen(record.item), record));
    }
    if (!keys.size && this.view) return;
    this.view = undefined;
    if (!this.truth) return;
    for (const listener of this.listeners) listener(this.value);
    for (const key of keys) this.tell(key);
  }

  #seen(key) { return this.overlay.has(key) ? this.overlay.get(key) : this.truth?.get(key); }

  tell(key) {
    const entry = this.items.get(key);
    const value = entry && this.item(key);
    if (!entry || entry.value === value) return;
    entry.value = value;
    for (const listener of entry.listeners) listener(value);
  }

  setState(state, reason = "") {
    if (state === this.state && reason === this.reason) return;
    if (this.state === "live") this.seen = Date.now();
    Object.assign(this, { state, reason });
    for (const watcher of this.watchers) call(watcher, { state, reason });
  }

  // Listeners

  subscribe(listener) {
    return this.using(subscribe(this.listeners, listener, this.value));
  }

  subscribeItem(key, listener) {
    const entry = this.items.get(key) ?? { listeners: new Set() };
    this.items.set(key, entry);
    entry.value = this.item(key);
    const stop = subscribe(entry.listeners, listener, entry.value);
    return this.using(() => {
      stop();
      if (!entry.listeners.size) this.items.delete(key);
    });
  }

  watch(listener) { return subscribe(this.watchers, listener, { state: this.state, reason: this.reason }); }

  using(stop) {
    this.users = (this.users ?? 0) + 1;
    this.gateway.want();
    let isOver = false;
    return () => {
      if (isOver) return;
      isOver = true;
      stop();
      this.users -= 1;
      this.gateway.want();
    };
  }
}
