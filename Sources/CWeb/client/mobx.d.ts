// Types of mobx.js.

import type { State, Store } from "./freshet.js";

/** Observed by whatever reads `current` in a derivation. */
export interface Observed<Value> { readonly current: Value }

export interface Observables {
  observe<Value>(store: Store<Value>): Observed<Value | undefined>;
  observeItem<Entry>(store: Store<unknown, Entry>, key: string | number): Observed<Entry | undefined>;
  observeConnection(store: Store<unknown>): Observed<State>;
}

/** Makes the functions with `createAtom` of MobX 5 or later. */
export function bind(mobx: { createAtom: (...values: never[]) => unknown }): Observables;
