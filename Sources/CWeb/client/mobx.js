// MobX: what stores show as observables, followed while something observes them.
//
//   import { bind } from "/client/mobx.js";
//   const { observe, observeItem } = bind(mobx);

/** The functions, made with the MobX of the page. */
export function bind({ createAtom }) {
  const follow = (name, read, follow) => {
    let stop;
    let isBeginning;
    const begin = () => {
      // The call that comes at once tells nothing new, and a derivation that is under way may not be told.
      isBeginning = true;
      stop = follow(() => isBeginning || atom.reportChanged());
      isBeginning = false;
    };
    const atom = createAtom(name, begin, () => stop());
    return {
      get current() {
        atom.reportObserved();
        return read();
      },
    };
  };
  return {
    /** `{current}`: the value of a store. */
    observe: (store) => follow("source", () => store.value, (tell) => store.subscribe(tell)),
    observeItem: (store, key) => follow("item", () => store.item(key).value, (tell) => store.item(key).subscribe(tell)),
    /** `{current}`: the state of a store. */
    observeConnection: (store) => follow("state", () => store.state, (tell) => store.onState(tell)),
  };
}
