// Writes: shown at once, sent one after the other for each item, settled when the stream has reached their answer.

import { backOff } from "./feed.js";
import { applyEffect, applyPatch, at, effectBetween, effectOfMerge, parse } from "./json.js";
import { cursorOf } from "./source.js";

const maxParallel = 6;

let failures = 0;

/** What is left to do where a write was not simply taken, loaded then. Until it is there such a write is sent again. */
const verdict = () => (failures ? import(`./verdict.js?${failures}`) : import("./verdict.js")).catch(() => {
  // A browser remembers by the address what it did not get.
  failures += 1;
  return { judge: () => "later", conflictOf() {} };
});

/** Why a write was refused: `status`, `code`, the gateway's `problem`, and `conflict` where others wrote too. */
export class WriteError extends Error {
  constructor(problem, status = problem.status) {
    super(problem.detail ?? problem.title ?? `status ${status}`);
    Object.assign(this, { name: "WriteError", status, problem, code: problem.code, outcome: problem.outcome });
  }
}

/**
 * Puts a write that was made before the answer to the one before it on top of that answer, which may hold what others wrote.
 * Returns whether it can: not where they and it change the same.
 */
function rebase(record, value) {
  const { method, before } = record;
  if (before === undefined || method === "DELETE") return true;
  const theirs = effectBetween(before, value);
  const mine = method === "PUT" ? effectBetween(before, record.effect[0][1]) : record.effect;
  const isOver = ([one], [other]) => one.every((name, index) => index >= other.length || name === other[index]);
  if (theirs.some((change) => mine.some((own) => isOver(change, own) && at(value, own[0]) !== own[1]))) return false;
  if (method === "PUT" && theirs.length) {
    const now = applyEffect(value, mine);
    Object.assign(record, { effect: [[[], now]], body: JSON.stringify(now) });
  }
  return true;
}

const notSent = { code: "not_sent", detail: "A write before it was refused." };
const lane = (record) => `${record.source}\n${record.item ?? ""}`;

export class Outbox {
  /** Writes in their order, until they are settled or refused. */
  records = [];
  #promises = new Map();
  #aliases = new Map();
  #sending = 0;
  #latest = 0;

  constructor(gateway) {
    this.gateway = gateway;
  }

  // What a durable queue does more.
  async keep() {}
  forget() {}
  drop() {}
  get drains() { return true; }

  /** The key that the gateway gave to an item, for the one that stood for it. */
  keyOf(key) { return this.#aliases.get(key) ?? key; }

  /** Takes note of the key of an item that was created. */
  known(record) {
    if (record.method === "POST" && record.item !== `~${record.id}`) this.#aliases.set(`~${record.id}`, record.item);
  }

  pendingOf(source) {
    return source.isPart ? [] : this.records.filter((record) => record.source === source.name);
  }

  /** Takes a write. The promise is fulfilled when the truth holds it, and rejected exactly if it had no effect. */
  write(source, key, method, operand, more) {
    const id = Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
    const item = method === "POST" ? `~${id}` : this.keyOf(key);
    const before = item === undefined ? source.layered : source.shownItem(item);
    const isPatch = method === "PATCH";
    const isList = isPatch && Array.isArray(operand);
    const effect = isList ? effectBetween(before, applyPatch(before, operand))
      : isPatch ? effectOfMerge(operand) : [[[], operand]];
    // Times tell writes of one page apart, too.
    this.#latest = Math.max(Date.now(), this.#latest + 1 / 1024);
    const record = {
      id, item, method, effect, before, source: source.name, state: "new", made: this.#latest, tries: 0, unknown: 0,
      base: source.cursor && `"${source.cursor}"`,
      type: isPatch ? `application/${isList ? "json" : "merge"}-patch+json` : "application/json",
      body: operand === undefined ? undefined : JSON.stringify(operand),
      ...more,
    };
    const previous = this.records.filter((other) => lane(other) === lane(record)).pop();
    // What is not there yet must not be there when it is made.
    if (method === "PUT" && item !== undefined && before === undefined) record.tag ??= null;
    else if (previous?.answer) record.tag ??= previous.answer.next;
    this.records.push(record);
    const promise = new Promise((resolve, reject) => this.#promises.set(id, { resolve, reject }));
    this.show([record]);
    const kept = this.keep(record).then(() => {
      if (record.state === "new") record.state = "queued";
      this.pump();
    });
    kept.catch((error) => this.refuse(record, { code: "not_kept", detail: `The write was not kept: ${error.message}` }));
    this.gateway.want();
    return Object.assign(promise, { id, key: item, kept });
  }

  /** Shows the items of writes to one source again. */
  show(records, ...more) {
    if (!records.length) return;
    const items = [...records.map((record) => record.item), ...more];
    for (const source of this.gateway.named(records[0].source)) source.show(items);
  }

  /** Sends what may be sent. */
  pump() {
    if (!this.drains) return;
    // What is under way goes first, also where another page made a write before it and said so late.
    const isUnderWay = (record) => record.state === "sending" || record.state === "waiting";
    const busy = new Set(this.records.filter(isUnderWay).map(lane));
    for (const record of [...this.records]) {
      if (record.state === "answered" || busy.has(lane(record))) continue;
      busy.add(lane(record));
      if (record.state === "queued" && this.#sending < maxParallel) this.#send(record);
    }
  }

  async #send(record) {
    this.#sending += 1;
    record.state = "sending";
    if (record.tag === undefined && record.method !== "POST") record.tag = record.base;
    const result = await this.#ask(record).catch((error) => error);
    this.#sending -= 1;
    const isOurs = () => this.gateway.outbox === this && this.records.includes(record);
    if (!isOurs()) return;
    const meaning = result instanceof Error ? (await verdict()).judge(record, result) : "done";
    if (!isOurs()) return;
    if (meaning === "done") await this.#answered(record, result);
    else if (meaning === "later") {
      record.isOut = record.isUnsure;
      record.state = "waiting";
      this.show([record]);
      // A short first wait: a stream that was cut together with the write should be known to be.
      await this.gateway.sleep(Math.max(result.wait || backOff(record.tries++, 1000), 100));
      if (record.state === "waiting") record.state = "queued";
    } else this.refuse(record, meaning, result.status);
    this.pump();
  }

  /** Sends one. Resolves with the answer of a gateway that took it; rejects with what it said, or with what was in the way. */
  async #ask(record) {
    const { gateway } = this;
    const { source, item, method, tag, id, body } = record;
    const [known] = gateway.sourcesOf(source);
    if (record.isUnsure && method === "POST" && known) {
      // A gateway that forgot its keys would do it again; whoever has none is asked only while it is the same one.
      if (known.state !== "live") throw new Error("not live");
      if (known.current !== record.epoch) throw Object.assign(new Error(), { status: 504, isLost: true });
    }
    // While no stream tells that there is a way, something harmless is asked first: what fails then was never sent.
    const headers = { ...await gateway.credential(false, known?.state !== "live"), "Idempotency-Key": id };
    if (gateway.outbox !== this) return undefined;
    record.epoch ??= known?.current;
    record.isOut = true;
    record.first ??= Date.now();
    // Kept before it is sent: from here on the key is in use.
    await this.keep(record);
    if (method === "POST") this.show([record]);
    if (body !== undefined) headers["Content-Type"] = record.type;
    if (tag === null) headers["If-None-Match"] = "*";
    else if (tag && method !== "POST") headers["If-Match"] = tag;
    const isPart = item !== undefined && method !== "POST";
    const path = `${isPart ? "items" : "values"}/${encodeURIComponent(source)}${isPart ? `/${encodeURIComponent(item)}` : ""}`;
    const wasUnsure = record.isUnsure;
    record.isUnsure = true;
    try {
      const answer = await gateway.ask(path, { method, headers, body });
      const text = await answer.text();
      const field = (name) => answer.headers.get(name);
      return {
        status: answer.status, value: text ? JSON.parse(text) : undefined,
        etag: field("ETag"), cursor: field("Freshet-Cursor"), place: field("Location"),
      };
    } catch (error) {
      if (error.status) record.isUnsure = wasUnsure || error.status === 504;
      throw Object.assign(error, { wasUnsure });
    }
  }

  async #answered(record, { status, value, etag, cursor, place }) {
    const isGone = record.method === "DELETE";
    // What the next write of the item is on top of.
    const next = isGone ? null : etag ?? undefined;
    record.answer = { ...cursorOf(cursor), status, value, etag, next, at: Date.now() };
    record.state = "answered";
    record.isOut = record.isUnsure = false;
    const stood = record.item;
    const changed = [record];
    const followers = this.#lane(record).filter((other) => other !== record);
    if (record.method === "POST") {
      const [, name] = /\/([^/?]+)$/.exec(place) ?? [];
      const pointer = this.gateway.sourcesOf(record.source)[0]?.shape?.key;
      const key = name ? decodeURIComponent(name) : pointer && at(value, parse(pointer));
      if (key !== undefined) {
        for (const one of [record, ...followers]) one.item = String(key);
        this.known(record);
        changed.push(...followers);
      }
    }
    // What came of it, with what others wrote meanwhile: the next write is made on top of that.
    if (value !== undefined && record.item !== undefined) record.effect = [[[], value]];
    const follower = followers.find((other) => !other.first);
    if (follower && next !== undefined) {
      follower.tag = next;
      if (value !== undefined && !rebase(follower, value)) {
        const problem = { code: "conflict", detail: "Others changed the same meanwhile.", current: value, cursor };
        this.refuse(follower, problem, 412);
      } else changed.push(follower);
    }
    this.show([record], stood);
    // Kept as answered before it can be forgotten as settled.
    await this.keep(...new Set(changed));
    // Without a reader of the source there is no stream to wait for.
    const readers = this.gateway.sourcesOf(record.source);
    if (!readers.length && this.records.includes(record)) this.finish(record);
    // An answer of another numbering than the stream's: a new stream tells which of them is the older one.
    const isOther = (source) => source.epoch !== record.answer.epoch;
    for (const source of readers.filter(isOther)) {
      this.gateway.sleep(5000).then(() => {
        if (this.records.includes(record) && isOther(source)) this.gateway.renew(source.key);
      });
    }
    this.gateway.want();
  }

  /** Ends the writes that a source's truth holds; returns their items. */
  settle(source) {
    const answered = this.records.filter((one) => one.state === "answered" && one.source === source.name);
    if (!answered.length) return [];
    const isOver = (one) => one.isPart || one.state === "denied" || one.state === "gone";
    const readers = this.gateway.sourcesOf(source.name).filter((one) => !isOver(one));
    const over = answered.filter((record) => !record.answer.epoch || readers.every((one) => one.holds(record.answer)));
    over.forEach((record) => this.finish(record));
    const items = over.map((record) => record.item);
    if (items.length) for (const other of this.gateway.named(source.name)) if (other !== source) other.show(items);
    return items;
  }

  finish(record) {
    const { status, value, etag } = record.answer;
    this.#end(record)?.resolve({ status, value, etag, key: record.item });
    this.forget(record);
  }

  /** The writes of the same item that are yet to be answered; nothing of it is sent before the first of them is. */
  #lane(record) {
    return this.records.filter((other) => lane(other) === lane(record) && other.state !== "answered");
  }

  /** Takes a write out; returns what settles its promise. */
  #end(record) {
    this.records = this.records.filter((other) => other !== record);
    const promise = this.#promises.get(record.id);
    this.#promises.delete(record.id);
    return promise;
  }

  /** Ends a write that had no effect, and those that were made on top of it. */
  refuse(record, problem, status) {
    const unanswered = this.#lane(record);
    const later = unanswered.slice(unanswered.indexOf(record) + 1);
    const gone = [record, ...later.filter((other) => !other.first)];
    this.drop(gone, problem, status);
    this.end(gone, problem, status);
  }

  /** Takes writes out and tells those who wait for them: the first was refused, the others were made on top of it. */
  end(gone, problem, status) {
    gone.forEach(async (record, index) => {
      const error = new WriteError(index ? notSent : problem, status);
      const reject = this.#end(record)?.reject;
      if (!index && (status === 412 || problem.conflicts)) error.conflict = (await verdict()).conflictOf(this, record, problem);
      reject?.(error);
    });
    this.show(gone);
    this.gateway.want();
  }

  /** Lets go of everything: another identity came, or the page is done. */
  abandon() {
    for (const record of this.records) {
      const outcome = this.isDurable ? "kept" : record.isUnsure ? "unknown" : undefined;
      this.#end(record)?.reject(new WriteError({ code: "abandoned", detail: "The write was given up.", outcome }));
    }
  }
}
