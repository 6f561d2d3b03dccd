// Types of redux.js. They name nothing of Redux: its own types take these functions as they are.

import type { Patch, State, Store } from "./freshet.js";

export interface Shown<Value = unknown> {
  /** What the store shows; of a store of items a plain object by key. */
  value?: Value;
  state?: State;
  reason?: string;
}

export type Slice = Record<string, Shown>;

/** The reducer. */
export function freshet(slice: Slice | undefined, action: { type: string }): Slice;

/** Follows stores, each under the name that it has here. */
export function middleware(stores: Record<string, Store<unknown>>):
  (api: { dispatch: (action: never) => unknown }) => (next: (action: never) => unknown) => (action: never) => unknown;

export interface WriteAction { type: "freshet/write"; source: string; key?: string | number; method: string; value?: unknown }

/** Actions; `dispatch` returns the promise of the write. */
export function write(source: string, key?: string | number): {
  put(value: unknown): WriteAction;
  patch(patch: Patch): WriteAction;
  remove(): WriteAction;
  create(value: unknown): WriteAction;
};
