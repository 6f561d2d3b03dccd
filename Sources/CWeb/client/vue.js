// Vue 3, and 2.6: refs of what stores show.
//
//   import { bind } from "/client/vue.js";
//   const { useSource, useItem } = bind(Vue);

/** The functions, made with the Vue of the page. */
export function bind(Vue) {
  // Vue must not look into values: they are never changed in place, and their identity tells what changed.
  const box = (value) => {
    if (Vue.shallowRef) return Vue.shallowRef(value);
    const count = Vue.observable({ now: 0 });
    // Where it is part of `data`, Vue 2 would make all of it reactive that is not frozen.
    return Object.freeze({
      get value() { return count.now >= 0 ? value : undefined; },
      set value(now) {
        value = now;
        count.now += 1;
      },
    });
  };
  const follow = (follow, owner) => {
    const made = box();
    const stop = follow((value) => { made.value = value; });
    if (owner) owner.$once("hook:beforeDestroy", stop);
    else if (Vue.getCurrentScope?.()) Vue.onScopeDispose(stop);
    return made;
  };
  return {
    /** A ref of a store's value, until the component ends; in Vue 2 that is `owner`. */
    useSource: (store, owner) => follow((listener) => store.subscribe(listener), owner),
    useItem: (store, key, owner) => follow((listener) => store.item(key).subscribe(listener), owner),
    /** A ref of `{state, reason}`. */
    useConnection: (store, owner) => follow((listener) => store.onState(listener), owner),
  };
}
