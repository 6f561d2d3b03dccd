// A browser in the time of a world: pages of one origin, with storage, locks and channels, that come, hide and are killed.

import { AsyncLocalStorage } from "node:async_hooks";
import { createHash } from "node:crypto";

const pages = new AsyncLocalStorage();
const clone = (value) => structuredClone(value);

class Request {
  run(world, page, action) {
    world.after(world.integer(5), () => {
      if (page.isDead) return;
      try {
        this.result = action();
        this.onsuccess?.({ target: this });
      } catch (error) {
        this.error = error;
        this.onerror?.({ target: this });
      }
    });
    return this;
  }
}

/** IndexedDB, as far as the client uses it: one store a transaction, which holds once it is complete. */
class Database {
  constructor(browser, page, stores) {
    Object.assign(this, { browser, page, stores });
  }

  createObjectStore(name) { this.stores.set(name, new Map()); }
  close() {}

  transaction(name, mode) {
    const { browser, page } = this;
    const { world } = browser;
    const map = this.stores.get(name);
    const changes = [];
    const reads = [];
    const read = (key) => {
      const request = new Request();
      reads.push([request, key]);
      return request;
    };
    const isReading = mode !== "readwrite";
    const transaction = {
      objectStore: () => ({
        get: (key) => (isReading ? new Request().run(world, page, () => clone(map.get(key))) : read(key)),
        getAll: (range) => new Request().run(world, page, () => [...map.keys()].sort()
          .filter((key) => key >= range.low && key <= range.high).map((key) => clone(map.get(key)))),
        put: (value, key) => { changes.push([key, clone(value)]); },
        delete: (key) => { changes.push([key]); },
      }),
    };
    if (!isReading) {
      // In the order in which they were begun.
      this.browser.free = Math.max(this.browser.free ?? 0, world.now + world.integer(10));
      world.after(this.browser.free - world.now, () => {
        if (page.isDead) return;
        for (const [request, key] of reads) {
          request.result = clone(map.get(key));
          request.onsuccess?.();
        }
        if (browser.isFull && changes.some((change) => change.length > 1)) {
          transaction.error = Object.assign(new Error("full"), { name: "QuotaExceededError" });
          transaction.onabort?.();
          return;
        }
        for (const [key, value] of changes) if (value === undefined) map.delete(key); else map.set(key, value);
        transaction.oncomplete?.();
      });
    }
    return transaction;
  }
}

export class Browser {
  databases = new Map();
  pages = new Set();
  isFull = false;
  #locks = new Map();

  constructor(world) {
    this.world = world;
  }

  install() {
    this.world.current = () => pages.getStore();
    this.world.outside = (action) => pages.exit(action);
    const get = (name, make) => Object.defineProperty(globalThis, name, {
      get: () => pages.getStore() && make(pages.getStore()), configurable: true,
    });
    get("indexedDB", (page) => ({ open: (name, version) => this.#open(page, name, version) }));
    get("navigator", (page) => ({ locks: { request: (name, options, action) => this.#request(page, name, options, action) } }));
    get("document", (page) => page.document);
    const browser = this;
    get("BroadcastChannel", (page) => class {
      constructor(name) {
        Object.assign(this, { name, page });
        page.channels.add(this);
      }

      postMessage(message) {
        const data = clone(message);
        const others = [...browser.pages].filter((other) => other !== page).flatMap((other) => [...other.channels]);
        for (const channel of others) {
          if (channel.name !== this.name) continue;
          // In order, as one thread of another process gets them.
          const at = channel.page.free = Math.max(channel.page.free, browser.world.now + browser.world.integer(20));
          browser.world.after(at - browser.world.now, () => {
            if (channel.page.isDead) return;
            pages.run(channel.page, () => channel.onmessage?.({ data }));
          });
        }
      }

      close() { page.channels.delete(this); }
    });
    globalThis.IDBKeyRange = { bound: (low, high) => ({ low, high }) };
    const { getRandomValues } = globalThis.crypto;
    const subtle = { digest: async (name, bytes) => Uint8Array.from(createHash("sha256").update(bytes).digest()).buffer };
    Object.defineProperty(globalThis, "crypto", { value: { getRandomValues, subtle }, configurable: true });
  }

  static restore() {
    for (const name of ["indexedDB", "navigator", "document", "BroadcastChannel", "IDBKeyRange"]) {
      Object.defineProperty(globalThis, name, { value: undefined, configurable: true, writable: true });
    }
  }

  #open(page, name, version) {
    const request = new Request();
    return request.run(this.world, page, () => {
      const known = this.databases.get(name) ?? { version: 0, stores: new Map() };
      if (known.version > version) throw Object.assign(new Error("newer"), { name: "VersionError" });
      this.databases.set(name, known);
      request.result = new Database(this, page, known.stores);
      if (known.version < version) request.onupgradeneeded?.({ oldVersion: known.version });
      known.version = version;
      return request.result;
    });
  }

  #request(page, name, options, action) {
    return new Promise((resolve, reject) => {
      const queue = this.#locks.get(name) ?? [];
      this.#locks.set(name, queue);
      const entry = { page };
      entry.start = () => pages.run(page, async () => {
        try {
          resolve(await action());
        } catch (error) {
          reject(error);
        }
        this.#release(name, entry);
      });
      options.signal?.addEventListener("abort", () => {
        if (queue.indexOf(entry) > 0) {
          queue.splice(queue.indexOf(entry), 1);
          reject(options.signal.reason);
        }
      });
      queue.push(entry);
      if (queue[0] === entry) this.world.after(1, () => !page.isDead && entry.start());
    });
  }

  #release(name, entry) {
    const queue = this.#locks.get(name);
    const index = queue.indexOf(entry);
    if (index < 0) return;
    queue.splice(index, 1);
    const [next] = queue;
    if (index === 0 && next) this.world.after(1, () => queue[0] === next && !next.page.isDead && next.start());
  }

  /** Opens a page and runs its program. */
  open(program) {
    const listeners = new Set();
    const document = {
      hidden: false,
      addEventListener: (type, listener) => listeners.add(listener),
      removeEventListener: (type, listener) => listeners.delete(listener),
    };
    const page = { document, channels: new Set(), free: 0, listeners };
    this.pages.add(page);
    page.result = pages.run(page, program);
    return page;
  }

  run(page, action) { return pages.run(page, action); }

  show(page, isShown) {
    page.document.hidden = !isShown;
    for (const listener of page.listeners) pages.run(page, listener);
  }

  /** The page is gone at once: nothing of it runs any more, and its locks are free. */
  kill(page) {
    page.isDead = true;
    this.pages.delete(page);
    page.channels.clear();
    for (const [name, queue] of this.#locks) {
      for (const entry of queue.filter((one) => one.page === page)) this.#release(name, entry);
    }
  }
}
