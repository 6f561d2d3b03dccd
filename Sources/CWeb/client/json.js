// JSON values that are never changed in place: what did not change stays the same object, so that `===` tells.

const isContainer = (value) => value !== null && typeof value === "object";
const isObject = (value) => isContainer(value) && !Array.isArray(value);
const copy = (value) => (Array.isArray(value) ? value.slice() : { ...value });

/** The tokens of a JSON Pointer (RFC 6901). */
export const parse = (pointer) =>
  pointer.split("/").slice(1).map((token) => token.replaceAll("~1", "/").replaceAll("~0", "~"));

/** A token as it stands in a pointer. */
export const escape = (token) => token.replaceAll("~", "~0").replaceAll("/", "~1");

// A member named `__proto__` is a member.
function set(object, name, value) {
  Object.defineProperty(object, name, { value, writable: true, enumerable: true, configurable: true });
}

const has = (value, token) => Array.isArray(value)
  ? /^(0|[1-9]\d*)$/.test(token) && Number(token) < value.length
  : isContainer(value) && Object.hasOwn(value, token);

/** What stands at a path of tokens; undefined where nothing does. */
export function at(value, path) {
  for (const token of path) {
    if (!has(value, token)) return undefined;
    value = value[token];
  }
  return value;
}

/** The new value with all that is equal taken from the old one: the old one itself where nothing differs. */
export function share(old, now) {
  if (old === now || !isContainer(old) || !isContainer(now) || Array.isArray(old) !== Array.isArray(now)) return now;
  if (!Array.isArray(now)) {
    const names = Object.keys(now);
    let same = names.length === Object.keys(old).length;
    const made = {};
    for (const name of names) {
      const known = Object.hasOwn(old, name);
      set(made, name, known ? share(old[name], now[name]) : now[name]);
      same &&= known && made[name] === old[name];
    }
    return same ? old : made;
  }
  // Elements are paired from the front, and behind the first that differs from the end.
  const shift = now.length - old.length;
  let fits = true;
  const made = now.map((value, index) => {
    const shared = share(old[fits ? index : index - shift], value);
    fits &&= shared === old[index];
    return shared;
  });
  return fits && shift === 0 ? old : made;
}

/** Applies an RFC 6902 document. Throws where it does not fit; the value is then as it was. */
export function applyPatch(value, patch) {
  const root = { "": value };
  // What this call made itself it may change.
  let owned = new Set([root]);
  const own = (path) => ["", ...path].reduce((parent, token) => {
    if (!has(parent, token) || !isContainer(parent[token])) throw new Error(`nothing at /${path.join("/")}`);
    if (!owned.has(parent[token])) {
      const made = copy(parent[token]);
      owned.add(made);
      set(parent, token, made);
    }
    return parent[token];
  }, root);
  const place = (path) => (path.length ? [own(path.slice(0, -1)), path[path.length - 1]] : [root, ""]);
  const get = (path) => {
    if (path.length && !has(at(root[""], path.slice(0, -1)), path[path.length - 1])) throw new Error("nothing there");
    return at(root[""], path);
  };
  const take = (path) => {
    const [parent, token] = place(path);
    if (!has(parent, token)) throw new Error(`nothing at ${token}`);
    if (Array.isArray(parent)) parent.splice(Number(token), 1);
    else delete parent[token];
  };
  const put = (path, added, inserts) => {
    const [parent, token] = place(path);
    if (!Array.isArray(parent)) {
      if (!inserts && !has(parent, token)) throw new Error(`nothing at ${token}`);
      return set(parent, token, added);
    }
    const index = inserts && (token === "-" || token === `${parent.length}`) ? parent.length : Number(token);
    if (index !== parent.length && !has(parent, token)) throw new Error(`no index ${token}`);
    parent.splice(index, inserts ? 0 : 1, added);
  };
  for (const { op, path: pointer, from, value: operand } of patch) {
    const path = parse(pointer);
    if (op === "add" || op === "replace") put(path, operand, op === "add");
    else if (op === "remove") take(path);
    else if (op === "test") {
      if (share(get(path), operand) !== get(path)) throw new Error(`${pointer} is another value`);
    } else if (op === "copy" || op === "move") {
      const moved = get(parse(from));
      if (op === "move") take(parse(from));
      // It may stand in two places now.
      owned = new Set([root]);
      put(path, moved, true);
    } else throw new Error(`unknown operation ${op}`);
  }
  return root[""];
}

/** Applies an RFC 7396 document. */
export function merge(target, patch) {
  if (!isObject(patch)) return patch;
  const made = isObject(target) ? { ...target } : {};
  for (const [name, value] of Object.entries(patch)) {
    if (value === null) delete made[name];
    else set(made, name, merge(has(made, name) ? made[name] : undefined, value));
  }
  return made;
}

// The effect of a write is a list of [path, value]; undefined removes. Applied again, and over what others changed
// meanwhile, it shows what was written and nothing twice, which a JSON Patch does not.

/** The effect of a merge patch. */
export const effectOfMerge = (patch, path = []) => (isObject(patch)
  ? Object.entries(patch).flatMap(([name, value]) => effectOfMerge(value, [...path, name]))
  : [[path, patch === null && path.length ? undefined : patch]]);

/** The effect of what made one value of another. */
export function effectBetween(before, after, path = []) {
  if (share(before, after) === before) return [];
  if (!isObject(before) || !isObject(after)) return [[path, after]];
  return Object.keys({ ...before, ...after }).flatMap((name) =>
    effectBetween(at(before, [name]), at(after, [name]), [...path, name]));
}

/** A value with another one at a path; a number names an element of an array, and undefined removes. */
export function setAt(value, path, entry, depth = 0) {
  if (depth === path.length) return share(value, entry);
  const name = path[depth];
  const isFitting = isObject(value) || (Array.isArray(value) && typeof name === "number");
  const old = isFitting ? at(value, [name]) : undefined;
  const now = setAt(old, path, entry, depth + 1);
  if (now === old) return value;
  const made = isFitting ? copy(value) : {};
  if (now !== undefined) set(made, name, now);
  else if (Array.isArray(made)) made.splice(name, 1);
  else delete made[name];
  return made;
}

/** A value with an effect on it. */
export const applyEffect = (value, effect) =>
  effect.reduce((result, [path, entry]) => setAt(result, path, entry), value);
