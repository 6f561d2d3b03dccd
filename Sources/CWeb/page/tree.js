// A value as a folding tree. What a change touched is marked and unfolded; children are made when they are opened.

import { isContainer, pointer, title } from "./changes.js";
import { make } from "./elements.js";
import { count, literal, plain, plural } from "./words.js";

const pageSize = 100;

/** `leaves` are those of the shown change by pointer; `open` remembers, by pointer, what the reader folded or unfolded. */
export function tree({ value, leaves, open, collection }, place = "", key = null) {
  const context = { leaves, open, collection };
  const change = leaves.get(place);
  const isIndex = typeof key === "number";
  const label = key === null ? [] : [make("span", isIndex ? "index" : "key data", plain(String(key))), " "];
  const was = change && make("span", "was",
    ...(change.old === undefined ? ["new"] : ["was ", make("del", "data", literal(change.old, 60))]));
  if (!isContainer(value)) {
    const kind = value === null ? "null" : typeof value;
    const text = make("span", `data ${kind}`, literal(value, 2000));
    const line = make("div", change ? "line changed" : "line", ...label, text);
    if (change) line.append(" ", was);
    return line;
  }
  const members = Array.isArray(value) ? value.map((member, index) => [index, member]) : Object.entries(value);
  const isTouched = [...leaves.keys()].some((one) => one === place || one.startsWith(place + "/"));
  const summary = make("summary", change ? "changed" : isTouched && place ? "touched" : "", ...label);
  if (isIndex && collection?.key) {
    const called = title(value, collection.key);
    summary.append(make("b", "data", plain(called.id)), " ", make("span", "data", plain(called.name)), " ");
  }
  summary.append(make("span", "note", plural(members.length, Array.isArray(value) ? "element" : "member")));
  if (change) summary.append(" ", was);

  const node = make("details", "", summary);
  node.dataset.pointer = place;
  function fill(from) {
    const shown = members.slice(from, from + pageSize);
    node.append(...shown.map(([token, member]) => tree({ ...context, value: member }, place + pointer([token]), token)));
    if (members.length <= from + pageSize) return;
    const more = make("button", "quiet", `Show ${pageSize} more of ${count(members.length)}`);
    more.addEventListener("click", () => { more.remove(); fill(from + pageSize); });
    node.append(more);
  }
  node.open = open.get(place) ?? isTouched;
  if (node.open) fill(0);
  node.addEventListener("toggle", () => { if (node.open && node.childElementCount === 1) fill(0); });
  summary.addEventListener("click", () => open.set(place, !node.open));
  return node;
}
