// JSON and event streams as the page reads them: numbers keep their text, and a stream sends the key, which an EventSource
// cannot.

import { ExactNumber } from "./changes.js";

/** JSON whose numbers keep their text. Engines that do not tell it (no `context.source`) show plain numbers. */
export function parse(text) {
  return JSON.parse(text, (key, value, context) =>
    typeof value === "number" && context && String(value) !== context.source ? new ExactNumber(context.source) : value);
}

/** The events in a text that is read in pieces: `take(piece)` calls `on({ type, data, id })` for each that is complete. */
export class EventReader {
  #rest = "";
  #event = { type: "message", data: "", id: undefined };

  constructor(on) { this.on = on; }

  take(piece) {
    const lines = (this.#rest + piece).split("\n");
    this.#rest = lines.pop();
    for (const line of lines) this.#line(line.endsWith("\r") ? line.slice(0, -1) : line);
  }

  #line(line) {
    if (line === "") {
      const event = this.#event;
      this.#event = { type: "message", data: "", id: undefined };
      if (event.data !== "") this.on({ ...event, data: parse(event.data) });
      return;
    }
    const colon = line.indexOf(":");
    const name = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + (line[colon + 1] === " " ? 2 : 1));
    if (name === "event") this.#event.type = value;
    else if (name === "data") this.#event.data += (this.#event.data && "\n") + value;
    else if (name === "id") this.#event.id = value;
    else if (name === "retry") this.on({ type: "retry", data: Number(value) });
  }
}

const longestWait = 30_000;

/**
 * Follows a stream until `signal` is aborted, and comes back where it ended. `open({ id, signal })` makes the request;
 * `on` gets the events, `opened()` is called when a stream begins and `lost({ error, retryAt })` when one ends.
 */
export async function follow({ open, on, opened, lost, signal }) {
  let [id, retry, failures] = [undefined, 2000, 0];
  while (!signal.aborted) {
    let error;
    const silence = new AbortController();
    let watchdog;
    const alive = (seconds = 15) => {
      clearTimeout(watchdog);
      watchdog = setTimeout(() => silence.abort(new Error("silent for too long")), seconds * 2500 + 5000);
    };
    try {
      alive();
      const answer = await open({ id, signal: either(signal, silence) });
      failures = 0;
      opened();
      const reader = new EventReader((event) => {
        if (event.type === "retry") retry = event.data;
        if (event.id !== undefined) id = event.id;
        if (event.type !== "retry") on(event);
      });
      const decoder = new TextDecoder();
      for await (const bytes of chunks(answer.body)) {
        alive();
        reader.take(decoder.decode(bytes, { stream: true }));
      }
    } catch (caught) {
      error = caught;
    } finally {
      clearTimeout(watchdog);
      silence.abort();
    }
    if (signal.aborted) return;
    if (error?.status === 401 || error?.status === 403 || error?.status === 404) return lost({ error });
    const wait = error ? Math.min(longestWait, retry * 2 ** failures) * (0.5 + Math.random() / 2) : retry;
    failures += error ? 1 : 0;
    lost({ error, retryAt: Date.now() + wait });
    await pause(wait, signal);
  }
}

/** A signal for both: the second is aborted with the first. */
function either(signal, second) {
  signal.addEventListener("abort", () => second.abort(signal.reason), { once: true, signal: second.signal });
  return second.signal;
}

async function* chunks(body) {
  const reader = body.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    yield value;
  }
}

/** Waits; less where the network comes back or somebody looks at the page again. */
function pause(milliseconds, signal) {
  return new Promise((done) => {
    const over = () => {
      clearTimeout(timer);
      removeEventListener("online", over);
      signal.removeEventListener("abort", over);
      done();
    };
    const timer = setTimeout(over, milliseconds);
    addEventListener("online", over);
    signal.addEventListener("abort", over);
  });
}
