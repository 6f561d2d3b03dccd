// Writes: shown at once, sent one after the other for each item, settled when the stream has reached their answer.

import { backOff } from "./feed.js";
import { applyEffect, at, effectBetween, effectOfMerge, applyPatch, parse, share } from "./json.js";
import { cursorOf } from "./source.js";
import { refusal } from "./stream.js";

const maxParallel = 6;
// How long the gateway keeps an idempotency key, less what clocks and ways differ.
const keyLife = 23 * 3600_000;
// After so many unclear answers the outcome of a write counts as unknown for good.
const maxUnknown = 5;

const hex = (bytes) => [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");

/** Why a write was refused: `status`, `code`, the gateway's `problem`, and `conflict` where others wrote too. */
export class WriteError extends Error {
  constructor(problem, status = problem.status) {
    super(problem.detail ?? problem.title ?? `status ${status}`);
    Object.assign(this, { name: "WriteError", status, problem, code: problem.code, outcome: problem.outcome });
  }
}

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
  async forget() {}
  drop() {}
  get drains() { return true; }

  /** The key that the gateway gave to an item, for the one that stood for it. */
  keyOf(key) { return this.#aliases.get(key) ?? key; }

  /** Takes note of the key of an item that was created. */
  known(record) {
    if (record.method === "POST" && record.item !== `~${record.id}`) this.#aliases.set(`~${record.id}`, record.item);
  }

  pendingOf(source) {
    return this.records.filter((record) => record.source === source.name && !source.isPart);
  }

  /** Takes a write. The promise is fulfilled when the truth holds it, and rejected exactly if it had no effect. */
  write(source, key, method, operand, more = {}) {
    const id = hex(crypto.getRandomValues(new Uint8Array(16)));
    const item = method === "POST" ? `~${id}` : key === undefined ? key : this.keyOf(String(key));
    const before = item === undefined ? source.layered : source.item(item);
    const isPatch = Array.isArray(operand);
    const effect = method !== "PATCH" ? [[[], operand]]
      : isPatch ? effectBetween(before, applyPatch(before, operand)) : effectOfMerge(operand);
    // Times tell writes of one page apart, too.
    this.#latest = Math.max(Date.now(), this.#latest + 1 / 1024);
    const record = {
      id, item, method, effect, before, source: source.name, state: "new", made: this.#latest, tries: 0, unknown: 0,
      base: source.cursor && `"${source.cursor}"`,
      type: method !== "PATCH" ? "application/json" : `application/${isPatch ? "json" : "merge"}-patch+json`,
      body: operand === undefined ? undefined : JSON.stringify(operand),
      ...more,
    };
    const previous = this.records.filter((other) => lane(other) === lane(record)).pop();
    // What is not there yet must not be there when it is made.
    if (method === "PUT" && item !== undefined && before === undefined) record.tag ??= null;
    else if (previous?.answer) record.tag ??= previous.method === "DELETE" ? null : previous.answer.etag ?? undefined;
    this.records.push(record);
    const promise = new Promise((resolve, reject) => this.#promises.set(id, { resolve, reject }));
    this.show(record);
    const kept = this.keep(record).then(() => {
      if (record.state === "new") record.state = "queued";
      this.pump();
    });
    kept.catch((error) => this.refuse(record, { code: "not_kept", detail: `The write was not kept: ${error.message}` }));
    this.gateway.want();
    return Object.assign(promise, { id, key: item, kept });
  }

  show(...records) {
    const items = records.map((record) => record.item);
    for (const source of this.gateway.named(records[0].source)) source.show(new Set(items));
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
    const result = await this.#ask(record).catch((error) => ({ error, status: error.status, wait: error.wait }));
    this.#sending -= 1;
    if (this.gateway.outbox !== this || !this.records.includes(record)) return;
    const verdict = this.#judge(record, result);
    if (verdict === "done") {
      await this.#answered(record, result);
    } else if (verdict === "refused") {
      this.refuse(record, result.problem, result.status);
    } else {
      record.isOut = record.isUnsure;
      record.state = "waiting";
      this.show(record);
      // A short first wait: a stream that was cut together with the write should be known to be.
      await this.gateway.sleep(Math.max(result.wait ?? backOff(record.tries++, 1000), 100));
      if (record.state === "waiting") record.state = "queued";
    }
    this.pump();
  }

  async #ask(record) {
    const { gateway } = this;
    const { source, item, method, tag, id, body } = record;
    const [known] = gateway.sourcesOf(source);
    if (record.isUnsure && method === "POST" && known) {
      // A gateway that forgot its keys would do it again; whoever has none is asked only while it is the same one.
      if (known.state !== "live") return { status: 503 };
      if (known.current !== record.epoch) return { status: 504, problem: {}, isLost: true };
    }
    // While no stream tells that there is a way, something harmless is asked first: what fails then was never sent.
    const headers = { ...await gateway.credential(false, known?.state !== "live"), "Idempotency-Key": id };
    if (gateway.outbox !== this) return {};
    record.epoch ??= known?.current;
    record.isOut = true;
    record.first ??= Date.now();
    // Kept before it is sent: from here on the key is in use.
    await this.keep(record);
    if (method === "POST") this.show(record);
    if (body !== undefined) headers["Content-Type"] = record.type;
    if (tag === null) headers["If-None-Match"] = "*";
    else if (tag && method !== "POST") headers["If-Match"] = tag;
    const place = item === undefined || method === "POST" ? `values/${encodeURIComponent(source)}`
      : `items/${encodeURIComponent(source)}/${encodeURIComponent(item)}`;
    const wasUnsure = record.isUnsure;
    record.isUnsure = true;
    const response = await gateway.fetch(`${gateway.url}/v1/${place}`, {
      method, headers, body, credentials: gateway.options.credentials,
    });
    if (!response.ok) {
      const result = await refusal(response);
      record.isUnsure = wasUnsure || result.status === 504;
      return { ...result, wasUnsure };
    }
    const text = await response.text();
    return { status: response.status, headers: response.headers, value: text ? JSON.parse(text) : undefined };
  }

  /** What an answer means. */
  #judge(record, result) {
    const { status, problem = {} } = result;
    if (!status) return this.#expired(record, result);
    if (status < 300) return "done";
    if (status === 504) {
      record.unknown += 1;
      if (result.isLost || record.unknown >= maxUnknown) return this.#lost(result);
      return this.#expired(record, result);
    }
    // The same request is still under way, or will be taken later.
    const isUnderWay = status === 409 && !problem.conflicts && !problem.upstream_status;
    if (status === 401 || status === 429 || status >= 500 || isUnderWay) return this.#expired(record, result);
    if (!result.wasUnsure) return "refused";
    // The gateway has forgotten the first try: what is there tells whether that was it.
    const { current } = problem;
    const isAbsent = status === 404 || status === 410 || (status === 412 && current == null);
    const isGone = record.method === "DELETE" && isAbsent;
    if (isGone || (current !== undefined && share(current, applyEffect(current, record.effect)) === current)) {
      result.cursor = problem.cursor;
      return "done";
    }
    problem.outcome = "unknown";
    return "refused";
  }

  #expired(record, result) {
    return record.isUnsure && Date.now() - record.first > keyLife ? this.#lost(result) : "later";
  }

  #lost(result) {
    result.problem = { ...result.problem, code: "outcome_unknown", outcome: "unknown" };
    result.problem.detail ??= "Nobody knows whether the write had its effect.";
    return "refused";
  }

  async #answered(record, { status, headers, value, cursor }) {
    const etag = headers?.get("ETag");
    record.answer = { ...cursorOf(headers?.get("Freshet-Cursor") ?? cursor), status, value, etag, at: Date.now() };
    record.state = "answered";
    record.isOut = record.isUnsure = false;
    const places = [record.item];
    const followers = this.#lane(record).filter((other) => other !== record);
    if (record.method === "POST") {
      const [, name] = /\/([^/?]+)$/.exec(headers?.get("Location") ?? "") ?? [];
      const pointer = this.gateway.sourcesOf(record.source)[0]?.shape?.key;
      const key = name ? decodeURIComponent(name) : pointer && at(value, parse(pointer));
      if (key !== undefined) {
        record.item = String(key);
        this.known(record);
        for (const follower of followers) follower.item = record.item;
      }
      if (value !== undefined) record.effect = [[[], value]];
      places.push(record.item);
    }
    // Kept as answered before it can be forgotten as settled.
    const kept = this.keep(record);
    for (const source of this.gateway.named(record.source)) source.show(new Set(places));
    for (const follower of followers) {
      if (follower.first) continue;
      follower.tag = record.method === "DELETE" ? null : etag ?? follower.tag;
      await this.keep(follower);
    }
    await kept;
    // Without a reader of the source there is no stream to wait for.
    if (!this.gateway.sourcesOf(record.source).length && this.records.includes(record)) this.finish(record);
    // An answer of another numbering than the stream's: a new stream tells which of them is the older one.
    for (const source of this.gateway.sourcesOf(record.source)) {
      if (source.epoch === record.answer.epoch) continue;
      this.gateway.sleep(5000).then(() => this.#compare(record, source));
    }
    this.gateway.want();
  }

  #compare(record, source) {
    if (this.records.includes(record) && source.epoch !== record.answer.epoch) this.gateway.renew(source.key);
  }

  /** Ends the writes that a source's truth holds; returns their items. */
  settle(source) {
    const isHeld = (record) => !record.answer.epoch || this.gateway.sourcesOf(record.source)
      .every((one) => one.isPart || one.state === "denied" || one.state === "gone" || one.holds(record.answer));
    const over = this.records.filter((one) => one.state === "answered" && one.source === source.name && isHeld(one));
    for (const record of over) this.finish(record);
    const items = over.map((record) => record.item);
    if (items.length) for (const other of this.gateway.named(source.name)) if (other !== source) other.show(new Set(items));
    return items;
  }

  finish(record) {
    this.#remove([record]);
    this.forget(record);
    const { status, value, etag } = record.answer;
    this.#promises.get(record.id)?.resolve({ status, value, etag, key: record.item });
    this.#promises.delete(record.id);
  }

  /** The writes of the same item that are yet to be answered; nothing of it is sent before the first of them is. */
  #lane(record) {
    return this.records.filter((other) => lane(other) === lane(record) && other.state !== "answered");
  }

  #remove(gone) {
    this.records = this.records.filter((record) => !gone.includes(record));
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
    this.#remove(gone);
    for (const one of gone) {
      const isFirst = one === gone[0];
      const error = new WriteError(isFirst ? problem : { code: "not_sent", detail: "A write before it was refused." }, status);
      if (isFirst && (status === 412 || problem.conflicts)) error.conflict = this.#conflict(one, problem);
      this.#promises.get(one.id)?.reject(error);
      this.#promises.delete(one.id);
    }
    if (gone.length) this.show(...gone);
    this.gateway.want();
  }

  /** Both sides, what they began from, and the three ways on. */
  #conflict(record, problem) {
    const [source] = this.gateway.sourcesOf(record.source);
    const theirs = problem.current ?? (record.item === undefined ? source?.truth : source?.trueItem(record.item));
    const mine = applyEffect(record.before, record.effect);
    const cursor = problem.cursor ?? source?.cursor;
    const again = (method, operand) =>
      this.write(source, record.item, method, operand, { tag: theirs == null ? null : `"${cursor}"` });
    return {
      base: record.before, theirs, mine, conflicts: problem.conflicts,
      keepMine: () => (record.method === "PATCH" && theirs != null
        ? again("PATCH", JSON.parse(record.body)) : again(mine === undefined ? "DELETE" : "PUT", mine)),
      keepTheirs: async () => {},
      merge: (value) => again("PUT", value),
    };
  }

  /** Lets go of everything: another identity came, or the page is done. */
  abandon() {
    const gone = this.records;
    this.records = [];
    for (const record of gone) {
      const outcome = this.isDurable ? "kept" : record.isUnsure ? "unknown" : undefined;
      this.#promises.get(record.id)?.reject(new WriteError({ code: "abandoned", detail: "The write was given up.", outcome }));
    }
  }
}
