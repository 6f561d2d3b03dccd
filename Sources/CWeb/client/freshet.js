// Follows sources of a Freshet gateway and keeps their values. No dependencies; needs EventSource.
//
//   import { follow } from "/client/freshet.js";
//   const stop = follow("/v1/streams/rates", (name, value, event) => { … });

/** Applies an RFC 6902 document to a value, which it may change, and returns the new value. */
export function applyPatch(value, patch) {
  for (const operation of patch) {
    const path = tokens(operation.path);
    switch (operation.op) {
      case "add": value = put(value, path, operation.value, true); break;
      case "replace": value = put(value, path, operation.value, false); break;
      case "remove": value = take(value, path).rest; break;
      case "copy": value = put(value, path, structuredClone(get(value, tokens(operation.from))), true); break;
      case "move": {
        const taken = take(value, tokens(operation.from));
        value = put(taken.rest, path, taken.value, true);
        break;
      }
      case "test": break;
      default: throw new Error("unknown operation " + operation.op);
    }
  }
  return value;
}

function tokens(pointer) {
  return pointer.split("/").slice(1).map((token) => token.replaceAll("~1", "/").replaceAll("~0", "~"));
}

function get(value, path) {
  for (const token of path) {
    if (value === null || typeof value !== "object") throw new Error("no such member");
    if (!Object.hasOwn(value, token)) throw new Error("no such member");
    value = value[token];
  }
  return value;
}

function put(root, path, value, inserts) {
  if (path.length === 0) return value;
  const parent = get(root, path.slice(0, -1));
  const last = path[path.length - 1];
  if (Array.isArray(parent)) {
    const index = last === "-" ? parent.length : Number(last);
    parent.splice(index, inserts ? 0 : 1, value);
  } else {
    Object.defineProperty(parent, last, { value, writable: true, enumerable: true, configurable: true });
  }
  return root;
}

function take(root, path) {
  if (path.length === 0) return { rest: null, value: root };
  const parent = get(root, path.slice(0, -1));
  const last = path[path.length - 1];
  const value = get(parent, [last]);
  if (Array.isArray(parent)) parent.splice(Number(last), 1); else delete parent[last];
  return { rest: root, value };
}

/**
 * Opens a stream and calls `changed(name, value, event)` for each snapshot and each change. The browser
 * reconnects by itself, and the gateway then sends what was missed, or says `gap` and sends snapshots.
 * `options` may hold onOpen, onError, onStatus, onGap, onCheckpoint and onBye. Returns a function that ends the stream.
 */
export function follow(url, changed, options = {}) {
  const values = new Map();
  const stream = new EventSource(url);
  stream.onopen = () => options.onOpen?.();
  stream.onerror = () => options.onError?.();
  const on = (name, action) => stream.addEventListener(name, (event) => action(JSON.parse(event.data), event));
  on("snapshot", (data, event) => {
    values.set(data.source, data.value);
    changed(data.source, data.value, event);
  });
  on("patch", (data, event) => {
    if (!values.has(data.source)) return;
    values.set(data.source, applyPatch(values.get(data.source), data.patch));
    changed(data.source, values.get(data.source), event);
  });
  on("checkpoint", (data, event) => options.onCheckpoint?.(data, event));
  on("status", (data) => options.onStatus?.(data));
  on("gap", (data) => options.onGap?.(data));
  on("bye", (data) => options.onBye?.(data));
  return () => stream.close();
}
