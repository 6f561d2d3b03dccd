// One source, and the store of it: what the gateway said (the truth), and what the pending writes make of it (what is shown).

import { applyEffect, applyPatch, at, merge, parse, setAt, share } from "./json.js";

/** A cursor's epoch and sequence, without what a ticket adds; undefined if the text is not a cursor. */
export function cursorOf(id) {
  const [, epoch, sequence] = /^([^-]+)-(\d+)/.exec(id) ?? [];
  return epoch && { epoch, sequence: Number(sequence) };
}

/** Calls a listener now and at each change, until what it returns is called. */
function attach(set, listener, value) {
  const entry = (now) => {
    try {
      listener(now);
    } catch (error) {
      // A listener that throws is its own problem.
      setTimeout(() => { throw error; });
    }
  };
  set.add(entry);
  entry(value);
  return () => set.delete(entry);
}

// An item with a write on it; where others removed it meanwhile, on what was seen of it last.
function written(item, record) {
  if (item !== undefined) record.seen = item;
  return applyEffect(item ?? record.seen ?? record.before, record.effect);
}

class Writable {
  put(value) { return this.write("PUT", value); }
  patch(patch) { return this.write("PATCH", patch); }
  remove() { return this.write("DELETE"); }
}

/** One item of a source. */
class Item extends Writable {
  constructor(source, key) {
    super();
    Object.assign(this, { source, key });
  }

  get value() { return this.source.shownItem(this.key); }
  subscribe(listener) { return this.source.subscribeItem(this.source.gateway.outbox.keyOf(this.key), listener); }
  write(...what) { return this.source.gateway.outbox.write(this.source, this.key, ...what); }
}

/** A collection by key: a view of what is shown, and another view after each change. Keys are strings. */
class Items {
  #map;

  constructor(map) {
    this.#map = map;
  }

  get size() { return this.#map.size; }
  get(key) { return this.#map.get(key); }
  has(key) { return this.#map.has(key); }
  keys() { return this.#map.keys(); }
  values() { return this.#map.values(); }
  [Symbol.iterator]() { return this.#map.entries(); }
}

const indexes = new WeakMap();

export class Source extends Writable {
  state = "connecting";
  reason = "";
  users = 0;
  listeners = new Set();
  watchers = new Set();
  // Listeners of single items by key, and what they saw last.
  items = new Map();
  // Items that are not shown yet: one of them may be what a write under way creates.
  held = new Set();
  left = new Set();

  constructor(gateway, name, query, key) {
    super();
    const isKeyed = query.startsWith("mode=items");
    Object.assign(this, { gateway, name, query, key, isKeyed, isPart: /&(pointer|where|item)=/.test(query) });
  }

  get value() { return this.shown; }
  get cursor() { return this.epoch && `${this.epoch}-${this.sequence}`; }

  get asOf() { return this.state === "live" ? new Date(Date.now()) : this.seen && new Date(this.seen); }

  item(key) { return new Item(this, String(key)); }
  create(value) { return this.gateway.outbox.write(this, undefined, "POST", value); }

  write(...what) {
    if (this.isKeyed) throw new Error("A store of items is written item by item: use item(key) or create().");
    return this.gateway.outbox.write(this, undefined, ...what);
  }

  // The truth

  /** An event of a stream that has this source, and was asked for at the time `opened`. */
  receive(type, data, id, opened) {
    // What `hello` names is where the stream will be.
    const cursor = type === "hello" ? undefined : cursorOf(id);
    const { epoch } = cursor ?? cursorOf(data.cursor) ?? {};
    if (epoch) this.current = epoch;
    if (epoch === this.epoch) this.confirmed = opened;
    // 0 is "nothing yet": the first of several snapshots in place of what was there.
    if (cursor?.sequence && cursor.epoch === this.epoch && cursor.sequence <= this.sequence) return;
    const touched = data.source === this.name ? this.change(type, data) : [];
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
    if (place.epoch === this.epoch && place.sequence <= this.sequence) return;
    const before = this.truth;
    Object.assign(this, { truth, at: at && new Date(at), seen: seen ?? this.seen });
    this.shape ??= shape;
    this.move(place, 0);
    for (const key of held) this.held.add(key);
    if (!held.size) this.hold(before);
    this.show();
  }

  /** Holds back what was not there before: one of these items may be what a write under way creates. */
  hold(before) {
    if (!this.creates || this.truth === undefined) return;
    const known = before && this.index(before);
    for (const key of this.index(this.truth).keys()) {
      if (known ? !known.has(key) : this.isMaking(this.trueItem(key))) this.held.add(key);
    }
  }

  /** What its items are has become known. */
  reshape() {
    this.hold(undefined);
    this.show();
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
    const before = this.truth;
    const { value, patch, items } = data;
    if (before === undefined && (patch || items || type === "merge")) throw new Error("a difference from nothing");
    if (data.at) this.at = new Date(data.at);
    if (items) {
      const created = this.entries(items.created);
      if (this.creates) for (const [key] of created) this.held.add(key);
      const changed = [...created, ...this.entries(items.updated)];
      for (const [key, item] of changed) before.set(key, share(before.get(key), item));
      const gone = items.deleted.map(String);
      for (const key of gone) before.delete(key);
      return [...changed.map(([key]) => key), ...gone];
    }
    if (type === "patch") this.truth = applyPatch(before, patch);
    else if (type === "merge") this.truth = share(before, merge(before, data.merge));
    else if (type !== "snapshot") return [];
    else if (this.isKeyed) {
      const now = this.entries(at(value, parse(this.shape.items)) ?? []);
      this.truth = new Map(now.map(([key, item]) => [key, share(before?.get(key), item)]));
    } else this.truth = share(before, value);
    this.hold(before);
    return before === this.truth ? [] : undefined;
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

  /** Key and place of each item. */
  index(value) {
    if (this.isKeyed) return value;
    const list = this.shape && at(value, parse(this.shape.items));
    if (typeof list !== "object" || !list) return new Map();
    if (!indexes.has(list)) {
      const path = parse(this.shape.key ?? "");
      indexes.set(list, new Map(Array.isArray(list) ? list.map((item, index) => [String(at(item, path)), index])
        : Object.keys(list).map((name) => [name, name])));
    }
    return indexes.get(list);
  }

  place(value, key) { return [...parse(this.shape.items), this.index(value).get(key)]; }

  itemOf(value, key) {
    if (this.isKeyed) return value?.get(key);
    return this.index(value).has(key) ? at(value, this.place(value, key)) : undefined;
  }

  /** An item as it is shown, for what key it may have had before. */
  shownItem(key) { return this.itemOf(this.isKeyed ? this.shown : this.layered, this.gateway.outbox.keyOf(key)); }

  /** An item without the pending writes. */
  trueItem(key) { return this.itemOf(this.truth, key); }

  /** A value of this source with one write on it. */
  layer(value, record) {
    const { item } = record;
    if (item === undefined) return applyEffect(value, record.effect);
    const path = this.shape && parse(this.shape.items);
    const list = path && at(value, path);
    if (!list) return value;
    const isList = Array.isArray(list);
    const isNew = !this.index(value).has(item);
    const place = isNew ? [...path, isList ? list.length : item] : this.place(value, item);
    const made = setAt(value, place, written(this.itemOf(value, item), record));
    // What is created has no key yet by which the index would find it.
    if (isNew && isList && made !== value) this.index(made).set(item, list.length);
    return made;
  }

  /** Works out what is shown, and calls the listeners if it changed. `touched`: the keys that did, undefined for all. */
  show(touched) {
    const { outbox } = this.gateway;
    const settled = outbox.settle(this);
    const pending = outbox.pendingOf(this);
    // Another page may have sent it already.
    const isOut = (record) => record.state !== "answered" && (record.isOut || !outbox.drains);
    const creates = pending.filter((record) => record.method === "POST" && isOut(record));
    this.creates = creates.length ? creates : undefined;
    const keys = touched && new Set([...touched, ...settled, ...creates.length ? [] : this.held]);
    if (!this.creates) this.held.clear();
    if (this.isKeyed) this.showItems(keys, pending);
    else this.showValue(pending);
  }

  showValue(pending) {
    const before = this.shown;
    this.layered = this.truth;
    if (this.truth !== undefined) for (const record of pending) this.layered = this.layer(this.layered, record);
    this.shown = this.layered;
    for (const key of this.held) {
      if (pending.some((record) => record.item === key) || !this.index(this.shown).has(key)) continue;
      this.shown = setAt(this.shown, this.place(this.shown, key));
    }
    this.shown = share(before, this.shown);
    if (before !== this.shown) this.call(this.items.keys());
  }

  showItems(touched, pending) {
    const { map: before, truth, held } = this;
    // A change goes into the map that is shown; what replaced the truth makes another.
    const isNew = !before || !touched;
    const map = isNew ? new Map(truth) : before;
    const was = isNew ? before : new Map([...touched].map((key) => [key, map.get(key)]));
    const put = (key, item) => (item === undefined ? map.delete(key) : map.set(key, item));
    for (const key of isNew ? held : touched) put(key, held.has(key) ? undefined : truth.get(key));
    for (const record of pending) {
      const { item } = record;
      if (isNew || touched.has(item)) put(item, written(map.get(item), record));
    }
    if (!truth && !before) return;
    let isSame = truth && (!isNew || before?.size === map.size);
    for (const key of isNew ? map.keys() : touched) {
      // What was written is what came: the same object as before.
      put(key, share(was?.get(key), map.get(key)));
      isSame &&= was.get(key) === map.get(key);
    }
    if (isSame) return;
    this.map = truth && map;
    this.shown = truth && new Items(map);
    this.call(isNew ? this.items.keys() : touched);
  }

  /** Calls the listeners of the store, and those of some items. */
  call(keys) {
    for (const listener of this.listeners) listener(this.shown);
    for (const key of keys) this.tell(key);
  }

  tell(key) {
    const entry = this.items.get(key);
    const value = entry && this.shownItem(key);
    if (!entry || entry.value === value) return;
    entry.value = value;
    for (const listener of entry.listeners) listener(value);
  }

  setState(state, reason = "") {
    if (state === this.state && reason === this.reason) return;
    if (this.state === "live") this.seen = Date.now();
    Object.assign(this, { state, reason });
    for (const watcher of this.watchers) watcher({ state, reason });
  }

  // Listeners

  subscribe(listener) { return this.using(attach(this.listeners, listener, this.value)); }

  subscribeItem(key, listener) {
    const entry = this.items.get(key) ?? { listeners: new Set() };
    this.items.set(key, entry);
    entry.value = this.shownItem(key);
    const stop = attach(entry.listeners, listener, entry.value);
    return this.using(() => {
      stop();
      if (!entry.listeners.size) this.items.delete(key);
    });
  }

  onState(listener) { return attach(this.watchers, listener, { state: this.state, reason: this.reason }); }

  using(stop) {
    this.users += 1;
    this.gateway.want();
    return () => {
      this.users -= stop ? 1 : 0;
      stop?.();
      stop = undefined;
      this.gateway.want();
    };
  }
}
