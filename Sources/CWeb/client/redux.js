// Redux: a slice that holds what sources show, and a middleware that keeps it and sends writes.
//
//   import { freshet, middleware, write } from "/client/redux.js";
//   const orders = gateway.source("orders", { mode: "items" });
//   const store = createStore(combineReducers({ freshet }), applyMiddleware(middleware({ orders })));
//   store.dispatch(write("orders", 42).patch({ status: "done" }));

const shown = "freshet/shown";
const written = "freshet/write";

// A view of items becomes a plain object by key, as Redux wants it.
const plain = (value) => (value?.keys && !Array.isArray(value) && value[Symbol.iterator] ? Object.fromEntries(value) : value);

/** The reducer of the slice: `{[name]: {value, state, reason}}`. */
export const freshet = (slice = {}, { type, source, change } = {}) =>
  (type === shown ? { ...slice, [source]: { ...slice[source], ...change } } : slice);

/** Follows stores by the name under which the slice has them. `dispatch` of a write returns what the store returns. */
export const middleware = (stores) => ({ dispatch }) => {
  // Nothing may be dispatched while the middleware is being made.
  queueMicrotask(() => {
    for (const [source, store] of Object.entries(stores)) {
      const tell = (change) => dispatch({ type: shown, source, change });
      store.onState(({ state, reason }) => tell({ state, reason }));
      store.subscribe((value) => tell({ value: plain(value) }));
    }
  });
  return (next) => (action) => {
    if (action.type !== written) return next(action);
    const store = stores[action.source];
    return (action.key === undefined ? store : store.item(action.key))[action.method](action.value);
  };
};

/** Actions that write to a source, or to one item of it. */
export const write = (source, key) => Object.fromEntries(["put", "patch", "remove", "create"].map((method) =>
  [method, (value) => ({ type: written, source, key, method, value })]));
