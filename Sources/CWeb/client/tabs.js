// One page holds the connection for all pages of the same gateway and identity.

// How long a page may be hidden before it lets another lead.
const rest = 10_000;

/**
 * The pages of this name; `look()` joins them. `lead()` is called when this page is to hold the connection, `follow()` when
 * it no longer is, `hear(message)` for what another page says. Where there are no Web Locks, every page leads.
 */
export class Tabs {
  id = Math.random().toString(36).slice(2);
  isLeader = false;

  constructor(name, isShared, handlers) {
    Object.assign(this, handlers);
    const { document, navigator, BroadcastChannel } = globalThis;
    const locks = isShared && BroadcastChannel && navigator?.locks;
    if (locks) {
      this.channel = new BroadcastChannel(name);
      this.channel.unref?.();
      this.channel.onmessage = ({ data }) => (data.to ?? this.id) === this.id && this.hear(data);
    }
    // Held until this page yields, is closed or dies.
    this.hold = async (signal, hold) => (locks ? locks.request(name, { signal }, hold) : hold());
    const look = () => this.look();
    this.look = () => {
      clearTimeout(this.timer);
      if (!document?.hidden) this.#compete();
      else this.timer = setTimeout(() => this.#yield(), rest);
    };
    document?.addEventListener("visibilitychange", look);
    this.leave = () => document?.removeEventListener("visibilitychange", look);
  }

  /** Tells the other pages, or the one that `to` names. */
  post(message) {
    this.channel?.postMessage({ from: this.id, ...message });
  }

  close() {
    this.leave();
    clearTimeout(this.timer);
    this.#yield();
    this.channel?.close();
  }

  #compete() {
    if (this.abort) return;
    const { signal } = this.abort = new AbortController();
    this.hold(signal, () => new Promise((release) => {
      this.release = release;
      if (signal.aborted) return release();
      this.isLeader = true;
      return this.lead();
    })).catch(() => {});
  }

  #yield() {
    this.abort?.abort();
    this.abort = undefined;
    if (this.isLeader) {
      this.isLeader = false;
      this.follow();
    }
    this.release?.();
  }
}
