// Types of vue.js.

import type { State, Store } from "./freshet.js";

/** A shallow ref in Vue 3; in Vue 2 an object whose `value` is reactive. */
export interface Shown<Value> { value: Value }

/** In Vue 2 the component that reads; in Vue 3 the current scope takes its place. */
export interface Owner { $once(name: string, action: () => void): unknown }

export interface Composables {
  useSource<Value>(store: Store<Value>, owner?: Owner): Shown<Value | undefined>;
  useItem<Entry>(store: Store<unknown, Entry>, key: string | number, owner?: Owner): Shown<Entry | undefined>;
  useConnection(store: Store<unknown>, owner?: Owner): Shown<{ state: State; reason: string }>;
}

/** Makes the functions with the Vue of the page: the module of Vue 3, or the constructor of Vue 2. */
export function bind(Vue: object): Composables;
