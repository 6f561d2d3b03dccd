// For service workers: `/// <reference path="push.d.ts" />`. See push.js.

/** An event as `/v1/changes` has it; `changes` where there was no network to fetch it. */
interface FreshetPushChange {
  id?: string;
  event?: "items" | "snapshot" | "changes";
  data?: {
    source?: string;
    sources?: string;
    at?: string;
    value?: unknown;
    items?: { created: unknown[]; updated: unknown[]; deleted: (string | number)[] };
  };
}

interface FreshetPushOptions {
  gateway?: string;
  token?: string | (() => string | undefined | Promise<string | undefined>);
  credentials?: "omit" | "same-origin" | "include";
  show?: (
    change: FreshetPushChange,
    changes: FreshetPushChange[],
  ) => { title?: string; [option: string]: unknown } | undefined | Promise<{ title?: string; [option: string]: unknown } | undefined>;
  url?: string;
}

declare function freshetPush(options?: FreshetPushOptions): void;
