// What it means that a write was not simply taken. Loaded when that happens first.

import { applyEffect, share } from "./json.js";

// How long the gateway keeps an idempotency key, less what clocks and ways differ.
const keyLife = 23 * 3600_000;
// After so many unclear answers the outcome of a write counts as unknown for good.
const maxUnknown = 5;

/** `done`; or `later`, to be sent again with the same key; or the problem for which it is refused. */
export function judge(record, error) {
  const { status, problem = {}, isLost } = error;
  const isSent = "wasUnsure" in error;
  const detail = "Nobody knows whether the write had its effect.";
  const lost = { detail, ...problem, code: "outcome_unknown", outcome: "unknown" };
  if (status === 504) record.unknown += 1;
  if (isLost || record.unknown >= maxUnknown) return lost;
  // It is done, although the gateway cannot show what came of it.
  if (problem.outcome === "applied") return "done";
  // The same request is still under way, or will be taken later.
  const isUnderWay = status === 409 && !problem.conflicts && !problem.upstream_status;
  if (!isSent || !status || status === 401 || status === 429 || status >= 500 || isUnderWay) {
    return record.isUnsure && Date.now() - record.first > keyLife ? lost : "later";
  }
  if (!error.wasUnsure) return problem;
  // The gateway has forgotten the first try: what is there tells whether that was it.
  const { current } = problem;
  const isAbsent = status === 404 || status === 410 || (status === 412 && current == null);
  const isThere = current !== undefined && share(current, applyEffect(current, record.effect)) === current;
  if (isThere || (record.method === "DELETE" && isAbsent)) {
    error.cursor = problem.cursor;
    return "done";
  }
  return { ...problem, outcome: "unknown" };
}

/** Both sides, what they began from, and the three ways on. */
export function conflictOf(outbox, record, problem) {
  const [source] = outbox.gateway.sourcesOf(record.source);
  const theirs = problem.current ?? (record.item === undefined ? source?.truth : source?.trueItem(record.item));
  const mine = applyEffect(record.before, record.effect);
  const cursor = problem.cursor ?? source?.cursor;
  const again = (method, operand) =>
    outbox.write(source, record.item, method, operand, { tag: theirs == null ? null : `"${cursor}"` });
  return {
    base: record.before, theirs, mine, conflicts: problem.conflicts,
    keepMine: () => (record.method === "PATCH" && theirs != null
      ? again("PATCH", JSON.parse(record.body)) : again(mine === undefined ? "DELETE" : "PUT", mine)),
    keepTheirs: async () => {},
    merge: (value) => again("PUT", value),
  };
}
