// What the page asks the gateway: the public API, and nothing else. The key stays in the memory of this tab.

import { applyPatch } from "/client/json.js";
import { follow, parse } from "./events.js";

let key = "";

/** Why a request was refused: `status`, 0 where nobody answers, and the problem of RFC 9457. */
class Refusal extends Error {
  constructor(status, problem) {
    super(problem.detail ?? "The gateway does not answer.");
    Object.assign(this, { status, problem });
  }
}

async function ask(path, { headers, ...init } = {}) {
  const credential = key ? { Authorization: `Bearer ${key}` } : {};
  const answer = await fetch(path, { cache: "no-store", ...init, headers: { ...credential, ...headers } }).catch((error) => {
    throw init.signal?.aborted ? error : new Refusal(0, {});
  });
  if (!answer.ok) throw new Refusal(answer.status, await answer.json().catch(() => ({})));
  return answer;
}

const read = async (path, init) => parse(await (await ask(path, init)).text());
/** A name as a segment of a path, percent-encoded so that it also stands in single quotes of a shell. */
export const segment = (name) =>
  encodeURIComponent(name).replace(/[!'()*]/g, (one) => "%" + one.charCodeAt(0).toString(16));

/** The name of a source where its path ends: there the slash of an instance may stand. */
export const pathOf = (name) => name.split("/").map(segment).join("/");

const changesAtOnce = 100;

export const gateway = {
  address: location.origin,

  get hasKey() { return key !== ""; },
  signIn(given) { key = given.trim(); },
  signOut() { key = ""; },

  /** `GET /v1/gateway`: version, caller, figures of the whole. */
  whole: () => read("/v1/gateway"),

  /** `GET /v1/sources/{source}`: a row with the headers of the last poll. */
  source: (name) => read(`/v1/sources/${segment(name)}`),

  /** `GET /v1/sources` as an event stream: every row, and then those that change. */
  rows: (callbacks) => follow({
    ...callbacks,
    open: ({ id, signal }) => ask("/v1/sources", {
      signal, headers: { Accept: "text/event-stream", ...(id ? { "Last-Event-ID": id } : {}) },
    }),
  }),

  /** `GET /v1/streams/{source}`: the changes after a cursor, as they come. */
  changes: (name, since, callbacks) => follow({
    ...callbacks,
    open: ({ id, signal }) => ask(`/v1/streams/${pathOf(name)}${since ? `?since=${since}` : ""}`, {
      signal, headers: { Accept: "text/event-stream", ...(id ? { "Last-Event-ID": id } : {}) },
    }),
  }),

  /**
   * The newest changes before a cursor, the oldest first, each with the value that it led to: `GET /v1/changes/{source}`
   * backwards, and the first value by `GET /v1/values/{source}?at=`. `before` is where to go on, if anywhere.
   */
  async history(name, before) {
    const query = `descending=true&limit=${changesAtOnce}${before ? `&before=${before}` : ""}`;
    const page = await read(`/v1/changes/${pathOf(name)}?${query}`);
    const events = page.events.filter(({ data }) => data?.patch ?? data?.value !== undefined).reverse();
    const known = [];
    for (const { id, data } of events) {
      let value = data.value;
      if (data.patch && known.length) value = applyPatch(known.at(-1).value, data.patch);
      else if (data.patch) value = await this.valueAt(name, id).catch(() => undefined);
      if (value !== undefined) known.push({ cursor: id, at: data.at, value });
    }
    return { changes: known, cursor: page.cursor, before: page.before };
  },

  /** `GET /v1/values/{source}?at=CURSOR`: the value as it was. */
  valueAt: (name, cursor) => read(`/v1/values/${segment(name)}?at=${cursor}`),

  /** The value as it is, with its cursor. */
  async value(name) {
    const answer = await ask(`/v1/values/${segment(name)}`);
    const at = new Date(answer.headers.get("Last-Modified") ?? Date.now()).toISOString();
    return { cursor: answer.headers.get("Freshet-Cursor"), at, value: parse(await answer.text()) };
  },

  /** `GET /v1/admin/webhooks`: every endpoint with its last tries. */
  webhooks: () => read("/v1/admin/webhooks"),

  /** `POST /v1/admin/webhooks/{name}/pause|resume|test`. */
  actOnWebhook: (name, verb) => read(`/v1/admin/webhooks/${segment(name)}/${verb}`, { method: "POST" }),

  /** `POST /v1/admin/sources/{source}/poll|pause|resume`. */
  act: (name, verb) => read(`/v1/admin/sources/${segment(name)}/${verb}`, { method: "POST" }),
};
