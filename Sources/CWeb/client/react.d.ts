// Types of react.js. `React` is the page's own.

import type { State, Store } from "./freshet.js";

export interface Hooks {
  /** The value of a store. With `select` only what it returns counts; it has to be a part of the value, not a new object. */
  useSource<Value>(store: Store<Value>): Value | undefined;
  useSource<Value, Part>(store: Store<Value>, select: (value: Value | undefined) => Part): Part;
  /** One item of a keyed source; undefined while it is not there. */
  useItem<Entry>(store: Store<unknown, Entry>, key: string | number): Entry | undefined;
  useItem<Entry, Part>(
    store: Store<unknown, Entry>, key: string | number, select: (item: Entry | undefined) => Part,
  ): Part;
  useConnection(store: Store<unknown>): State;
}

/** Makes the hooks with `useCallback` and `useSyncExternalStore` of a React of version 18 or later. */
export function bind(react: {
  useCallback: (callback: (...values: never[]) => unknown, inputs: readonly unknown[]) => unknown;
  useSyncExternalStore: (...values: never[]) => unknown;
}): Hooks;
