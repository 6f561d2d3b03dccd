// Types of freshet.js.

/** `live` while changes arrive; `offline` while the connection is sought; `denied` and `gone` while the gateway says so. */
export type State = "connecting" | "live" | "offline" | "denied" | "gone";

export interface Options {
  /** What proves who calls, or where to get it; asked again for each connection and each write. */
  token?: string | (() => string | undefined | Promise<string | undefined>);
  /** A ticket for the stream that opens now, where something else than this client gets them. */
  ticket?: string | ((sources: string[]) => string | Promise<string>);
  /** The connection to use instead of `fetch`. With a token, tickets are fetched, since it cannot send fields. */
  EventSource?: new (url: string, init?: { withCredentials?: boolean }) => EventTarget & { close(): void };
  /**
   * What opens streams instead of `fetch`; see `Transport`. `"socket"` is one WebSocket for all streams; where none can be
   * opened, streams as without.
   */
  transport?: Transport | "socket";
  /** What opens the socket, where the platform has no WebSocket of its own. */
  WebSocket?: new (url: string, protocol: string) => object;
  /** `include` sends cookies to a gateway of another origin, which has to allow it. */
  credentials?: RequestCredentials;
  /** Whether pages of the same gateway and identity share one connection; the default is true. */
  tabs?: boolean;
  /** Ends everything when it is aborted. */
  signal?: AbortSignal;
  fetch?: typeof fetch;
}

/**
 * Opens one stream and reads it until it ends, and then resolves; rejects where it is refused, with an error that has the
 * `status`, or where the connection fails. `on(type, data, id)` takes each event, `on("retry", milliseconds)` what the gateway
 * wants waited, and `alive()` is called for whatever arrives: who is silent for longer than two heartbeats is aborted.
 */
export type Transport = (stream: {
  gateway: Gateway;
  /** What the stream is of: `name`, `query` and `cursor` of each; all have the same query. */
  sources: { name: string; query: string; cursor?: string }[];
  /** Below `/v1/`, with query and `since`. */
  path: string;
  /** The fields that prove who calls. */
  headers: Record<string, string>;
  signal: AbortSignal;
  on: (type: string, data: unknown, id?: string) => void;
  alive: () => void;
}) => Promise<void>;

export interface SourceOptions {
  /** How changes come: RFC 6902 (the default), RFC 7396, by item, or as whole values. */
  mode?: "patch" | "merge" | "items" | "snapshot";
  /** Only what is below this JSON Pointer. */
  pointer?: string;
  /** Only these items. */
  item?: string | number | (string | number)[];
  /** With `items`: only items whose member has this value, as in `/status:open`. */
  where?: string;
  /** Where the items are and what tells them apart, if it is to be known before the gateway says so. */
  items?: string;
  key?: string;
}

/** A store by the contract of Svelte. What did not change is the same object as before. */
export interface Readable<Value> {
  readonly value: Value | undefined;
  /** Calls the listener now and at each change. Returns what ends it. */
  subscribe(listener: (value: Value | undefined) => void): () => void;
}

export interface Written<Value> {
  status: number;
  value?: Value;
  etag?: string | null;
  /** The key of the item, as text. */
  key?: string;
}

/** Fulfilled when the stream has reached the write; rejected with a `WriteError`. */
export interface Write<Value> extends Promise<Written<Value>> {
  /** The idempotency key. */
  readonly id: string;
  /** The key of the item; of one that is created, what stands for it until the gateway has given it one. */
  readonly key?: string;
  /** Fulfilled when the write would survive the end of the page; at once without a durable queue. */
  readonly kept: Promise<void>;
}

/** A JSON Patch or a merge patch. */
export type Patch = object | { op: string; path: string; from?: string; value?: unknown }[];

export interface Conflict<Value> {
  base: Value | undefined;
  theirs: Value | undefined;
  mine: Value | undefined;
  /** The places that collide, where the gateway merges. */
  conflicts?: { path: string; base: unknown; theirs: unknown; mine: unknown }[];
  keepMine(): Write<Value>;
  keepTheirs(): Promise<void>;
  merge(value: Value): Write<Value>;
}

export class WriteError<Value = unknown> extends Error {
  status?: number;
  code?: string;
  /** `unknown` where nobody can say whether it had its effect, `kept` where a queue has it yet; else it had none. */
  outcome?: string;
  /** What the gateway said, `application/problem+json`. */
  problem: Record<string, unknown>;
  conflict?: Conflict<Value>;
}

export interface Item<Value> extends Readable<Value> {
  readonly key: string;
  put(value: Value): Write<Value>;
  patch(patch: Patch): Write<Value>;
  remove(): Write<Value>;
}

/** A collection by key, as `mode: "items"` has it. A view of what is there now, and another one after each change. */
export interface Items<Value> extends Iterable<[string, Value]> {
  readonly size: number;
  get(key: string): Value | undefined;
  has(key: string): boolean;
  keys(): Iterable<string>;
  values(): Iterable<Value>;
}

export interface Store<Value, Entry = unknown> extends Readable<Value> {
  readonly state: State;
  /** Why it is so, for people; of a live source what troubles its upstream. */
  readonly reason: string;
  /** When the value was made. */
  readonly at: Date | undefined;
  /** Up to when the value is known to be the current one: now while live. */
  readonly asOf: Date | undefined;
  onState(listener: (now: { state: State; reason: string }) => void): () => void;
  item(key: string | number): Item<Entry>;
  put(value: Value): Write<Value>;
  patch(patch: Patch): Write<Value>;
  remove(): Write<Value>;
  /** Creates an item. */
  create(value: Partial<Entry>): Write<Entry>;
}

export interface Gateway {
  source<Entry>(name: string, options: SourceOptions & { mode: "items" }): Store<Items<Entry>, Entry>;
  source<Value, Entry = unknown>(name: string, options?: SourceOptions): Store<Value, Entry>;
  /** Tries at once whatever waits for another try: after a new token, say. */
  retry(): void;
  /** Ends all connections. Stores keep their values. */
  close(): void;
}

/** Connects to a gateway. Nothing is sent before something is subscribed to. */
export function connect(url: string | URL, options?: Options): Gateway;
