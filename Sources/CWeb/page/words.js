// Numbers, times and states in words. Pure functions of their arguments and the clock.

import { ExactNumber } from "./changes.js";

const whole = new Intl.NumberFormat("en");
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 3 });
export const count = (number) => (number === null || number === undefined ? "–" : whole.format(number));
export const short = (number) => (number === null || number === undefined ? "–" : compact.format(number));
export const percent = (part, of) => (of ? `${Math.round((100 * part) / of)} %` : "–");
export const plural = (number, one) => `${count(number)} ${one}${number === 1 ? "" : "s"}`;
export const bytes = (number) => (number < 1024 ? `${number} B` : `${(number / 1024).toFixed(1)} KiB`);

const clock = new Intl.DateTimeFormat("en", { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
const dated = new Intl.DateTimeFormat("en", {
  month: "short", day: "numeric", hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23",
});
const isToday = (at) => new Date(at).toDateString() === new Date().toDateString();
/** The time of day; with the date where that is another one. */
export const clockTime = (at) => (isToday(at) ? clock : dated).format(new Date(at));
const seconds = (from, to) => Math.max(0, Math.round((new Date(to) - new Date(from)) / 1000));

function span(seconds) {
  if (seconds < 60) return `${Math.max(seconds, 1)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  return seconds < 172800 ? `${Math.floor(seconds / 3600)} h` : `${Math.floor(seconds / 86400)} days`;
}
export const since = (at) => span(seconds(at, Date.now()));
export const ago = (at) => `${since(at)} ago`;
export const until = (at) => span(seconds(Date.now(), at));

const invisible = /[\u0000-\u001f\u007f-\u009f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]/g;
/** Characters that hide or reorder the text around them, shown as escapes. */
export const plain = (text) =>
  String(text).replace(invisible, (character) => "\\u" + character.charCodeAt(0).toString(16).padStart(4, "0"));

/** A value as JSON text, cut at `limit` characters. */
export function literal(value, limit = 160) {
  const text = value instanceof ExactNumber ? value.source : plain(JSON.stringify(value, exact) ?? "");
  return text.length > limit ? `${text.slice(0, limit)}… (${count(text.length)} characters)` : text;
}
const exact = (key, value) => (value instanceof ExactNumber ? JSON.rawJSON?.(value.source) ?? Number(value.source) : value);

export const severity = ["failing", "stale", "backoff", "paused", "starting", "ok"];
export const stateWord = (state) => ({ backoff: "backing off" })[state] ?? state;
export const needsAttention = ({ state, warnings }) => severity.indexOf(state) < 3 || warnings.length > 0;

/** The host of a URL as the gateway shows it, which may hold parameters in braces; nothing for a source that is pushed. */
export const hostOf = (url) => (url ? /^[^:]*:\/\/(?:[^/?#]*@)?([^/?#]*)/.exec(url)?.[1] ?? url : "pushed");

/** "9m40s" as "9 min 40 s". */
export const spaced = (interval) =>
  interval.replace(/(\d+)([a-z]+)/g, (_, number, unit) => `${number} ${unit === "m" ? "min" : unit} `).trim();

/** A sentence of the API as one that stands alone. */
export const sentence = (text) => {
  const begun = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?]$/.test(begun) ? begun : begun + ".";
};

/** Why the next poll is when it is, without the interval, which stands beside it. */
export const reason = ({ interval, interval_reason: text }) => sentence(text.replace(`every ${interval}, `, ""));

export function pace({ state, interval, next_poll_at: next }) {
  if (!interval) return "pushed";
  if (["ok", "starting"].includes(state)) return `every ${spaced(interval)}`;
  return next ? `next in ${until(next)}` : "not polled";
}
