// React 18 and later. A component renders when what it reads changes, and then once.
//
//   import { bind } from "/client/react.js";
//   const { useSource, useItem } = bind(React);

const itself = (value) => value;

/** The hooks, made with the React of the page. */
export function bind({ useCallback, useSyncExternalStore }) {
  const useStore = (store, key, select = itself) => {
    const subscribe = useCallback((listener) => {
      const entry = key === undefined ? store : store.item(key);
      return entry.subscribe(listener);
    }, [store, key]);
    const read = () => select(key === undefined ? store.value : store.item(key).value);
    return useSyncExternalStore(subscribe, read, read);
  };
  return {
    /** The value of a store, or the part of it that `select` returns: the same object as long as nothing in it changed. */
    useSource: (store, select) => useStore(store, undefined, select),
    /** One item. */
    useItem: (store, key, select) => useStore(store, String(key), select),
    /** The state of a store: `live`, `offline`, … */
    useConnection: (store) => {
      const subscribe = useCallback((listener) => store.onState(listener), [store]);
      const read = () => store.state;
      return useSyncExternalStore(subscribe, read, read);
    },
  };
}
