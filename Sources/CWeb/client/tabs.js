// One page holds the connection for all pages of the same gateway and identity.

// How long a page may be hidden before it lets another lead.
const rest = 10_000;

/**
 * Joins the pages of this name. `lead()` is called when this page is to hold the connection, `follow()` when it no longer
 * is, `hear(message)` for what another page says. Where there are no Web Locks, every page leads.
 */
export class Tabs {
  id = Math.random().toString(36).slice(2);
  isLeader = false;

  constructor(name, isShared, { lead, follow, hear }) {
    Object.assign(this, { name, lead, follow });
    const { document, navigator, BroadcastChannel } = globalThis;
    this.locks = isShared && BroadcastChannel && navigator?.locks;
    this.document = document;
    if (this.locks) {
      this.channel = new BroadcastChannel(name);
      this.channel.unref?.();
      this.channel.onmessage = ({ data }) => (data.to ?? this.id) === this.id && hear(data);
    }
    this.look = () => {
      clearTimeout(this.timer);
      if (!document?.hidden) this.#compete();
      else this.timer = setTimeout(() => this.#yield(), rest);
    };
    document?.addEventListener("visibilitychange", this.look);
    this.look();
  }

  /** Tells the other pages, or the one that `to` names. */
  post(message) {
    this.channel?.postMessage({ from: this.id, ...message });
  }

  close() {
    this.document?.removeEventListener("visibilitychange", this.look);
    clearTimeout(this.timer);
    this.#yield();
    this.channel?.close();
  }

  #compete() {
    if (this.abort) return;
    const abort = this.abort = new AbortController();
    if (!this.locks) return this.#lead();
    // Held until this page yields, is closed or dies.
    this.locks.request(this.name, { signal: abort.signal }, () => new Promise((release) => {
      this.release = release;
      if (abort.signal.aborted) release();
      else this.#lead();
    })).catch(() => {});
  }

  #lead() {
    this.isLeader = true;
    this.lead();
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
