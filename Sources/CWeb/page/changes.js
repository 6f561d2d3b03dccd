// What a patch means to a reader: which items changed, and each value before and after. No DOM, no network.

/** A number as the upstream wrote it, where a JavaScript number would say something else: 9007199254740993, 14.0. */
export class ExactNumber {
  constructor(source) { this.source = source; }
}

export const isContainer = (value) => typeof value === "object" && value !== null && !(value instanceof ExactNumber);

export const tokens = (pointer) =>
  pointer.split("/").slice(1).map((token) => token.replaceAll("~1", "/").replaceAll("~0", "~"));

export const pointer = (path) =>
  path.map((token) => "/" + String(token).replaceAll("~", "~0").replaceAll("/", "~1")).join("");

/** What is at a path of a value, or undefined. */
export const at = (value, path) =>
  path.reduce((node, token) => (isContainer(node) && Object.hasOwn(node, token) ? node[token] : undefined), value);

const nameMembers = ["name", "title", "headline", "label", "author"];

/** What a reader calls an item: its identity, and a name where it has one. */
export function title(item, key) {
  const id = at(item, tokens(key));
  const member = nameMembers.find((one) => isContainer(item) && typeof item[one] === "string" && item[one] !== id);
  return { id: id instanceof ExactNumber ? id.source : String(id), name: member ? item[member] : "" };
}

/**
 * What differs between two values, which share what a patch did not touch. A group is an item of the source's collection,
 * or the object or array that holds the members; its `kind` is `added`, `removed` or `updated`. A leaf is
 * `{ path, key, old, new }`; `path` is its pointer in `after`, or null where it is gone.
 */
export function compare(before, after, collection) {
  const items = collection?.key ? tokens(collection.items) : null;
  const groups = new Map();

  function report(path, old, now, item) {
    const holder = item ? item.path : path.slice(0, -1);
    const isWhole = item && path.length === holder.length;
    const kind = isWhole && old === undefined ? "added" : isWhole && now === undefined ? "removed" : "updated";
    const { id, name } = item ?? { id: holder.join(" › "), name: "" };
    const identity = (item ? "item " : "members ") + id;
    if (!groups.has(identity)) groups.set(identity, { kind, isItem: item !== null, id, name, leaves: [] });
    const key = path.slice(holder.length).join(" › ");
    groups.get(identity).leaves.push({ path: now === undefined ? null : pointer(path), key, old, new: now });
  }

  function walk(path, old, now, item) {
    if (isSame(old, now)) return;
    const areAlike = isContainer(old) && isContainer(now) && Array.isArray(old) === Array.isArray(now);
    if (!areAlike) return report(path, old, now, item);
    const isCollection = items && !item && pointer(path) === pointer(items);
    for (const [token, one, other] of pairs(old, now, isCollection ? collection.key : null)) {
      const place = [...path, token];
      walk(place, one, other, isCollection ? { path: place, ...title(other ?? one, collection.key) } : item);
    }
  }

  walk([], before, after, null);
  return { groups: [...groups.values()], ...count([...groups.values()]) };
}

/** The sample of a row's `last_change` as a leaf: the item's identity and the members that lead to it are its key. */
export function sampleLeaf({ item, path, old, new: now }) {
  const id = item === null || item === undefined ? [] : [item instanceof ExactNumber ? item.source : String(item)];
  return { path, key: [...id, ...tokens(path)].join(" › "), old, new: now };
}

const isSame = (old, now) =>
  old === now || (old instanceof ExactNumber && now instanceof ExactNumber && old.source === now.source);

/** Members that belong together, as `[token, old, new]`: elements by their key, else by identity, else in order. */
function* pairs(old, now, key) {
  if (!Array.isArray(now)) {
    const names = new Set([...Object.keys(old), ...Object.keys(now)]);
    for (const token of names) yield [token, at(old, [token]), at(now, [token])];
    return;
  }
  const identity = (element) => (key ? title(element, key).id : element);
  const gone = new Map();
  old.forEach((element, index) => gone.set(identity(element), [...(gone.get(identity(element)) ?? []), [index, element]]));
  const fresh = [];
  for (const [index, element] of now.entries()) {
    const match = gone.get(identity(element))?.shift();
    if (match) yield [index, match[1], element];
    else fresh.push([index, element]);
  }
  const left = [...gone.values()].flat();
  const isReplaced = !key && left.length === fresh.length;
  for (const [order, [index, element]] of fresh.entries()) {
    yield [index, isReplaced ? left[order][1] : undefined, element];
  }
  if (!isReplaced) for (const [index, element] of left) yield [index, element, undefined];
}

function count(groups) {
  const items = (kind) => groups.filter((group) => group.isItem && group.kind === kind).length;
  const members = groups.filter((group) => !group.isItem).reduce((sum, group) => sum + group.leaves.length, 0);
  return { added: items("added"), removed: items("removed"), updated: items("updated"), values: members };
}

/** "2 items updated", "1 updated, 1 added", "3 values changed". */
export function words({ added, removed, updated, values }) {
  if (added + removed + updated + values === 0) return "order changed";
  const parts = [[updated, "updated"], [added, "added"], [removed, "removed"]].filter(([number]) => number > 0);
  if (parts.length === 0) return `${values} ${values === 1 ? "value" : "values"} changed`;
  const noun = parts.length > 1 ? "" : parts[0][0] === 1 ? " item" : " items";
  return parts.map(([number, verb]) => `${number}${noun} ${verb}`).join(", ");
}
