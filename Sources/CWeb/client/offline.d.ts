// Types of offline.js: those of freshet.js, and the queue.

import type { Gateway, Options, Write } from "./freshet.js";

export { WriteError } from "./freshet.js";

export interface OfflineOptions extends Options {
  /**
   * Who the page knows is signed in, where a cookie says so: what was kept for whom is found by it without network. A
   * token says it by itself.
   */
  user?: string;
}

/** A write that was refused, or that was made on top of one, or whose outcome nobody knows any more. */
export interface ParkedWrite {
  readonly id: string;
  readonly source: string;
  readonly key?: string;
  readonly method: "PUT" | "PATCH" | "DELETE" | "POST";
  readonly made: Date;
  readonly value: unknown;
  /** What the gateway said. `outcome` is `unknown` where it may have had its effect. */
  readonly problem: { status?: number; code?: string; detail?: string; outcome?: string };
  /** Writes it again on top of what is there now, as a new write. */
  retry(): Write<unknown>;
  /** Gives it up. */
  discard(): void;
}

export interface OfflineGateway extends Gateway {
  readonly parked: ParkedWrite[];
  /** Calls the listener now and at each change. Returns what ends it. */
  onParked(listener: (parked: ParkedWrite[]) => void): () => void;
}

export function connect(url: string | URL, options?: OfflineOptions): OfflineGateway;
