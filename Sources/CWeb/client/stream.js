// One connection to `/v1/streams`: events in, and in the end why it ended.

const types = ["hello", "snapshot", "patch", "merge", "items", "checkpoint", "status", "gap", "bye"];

/** What an answer that is no stream says: status, problem, and how long to wait where it tells. */
export async function refusal(response) {
  const problem = await response.json().catch(() => ({}));
  const wait = Number(response.headers.get("Retry-After")) * 1000 || undefined;
  return { status: response.status, problem, wait };
}

/**
 * Reads a stream by `fetch`, which sends fields and sees the status. `on(type, data, id)` gets each event, and `alive()` is
 * called for all bytes, those of heartbeats too. Resolves when the stream ends; rejects where the connection fails.
 */
export async function readStream(fetch, url, init, on, alive) {
  const response = await fetch(url, { ...init, cache: "no-store" });
  if (response.status !== 200) return refusal(response);
  const reader = response.body.getReader();
  const decoder = new TextDecoder();
  let [tail, type, data, id] = ["", "", "", undefined];
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return {};
    alive();
    const lines = decoder.decode(value, { stream: true }).split("\n");
    lines[0] = tail + lines[0];
    tail = lines.pop();
    for (const ended of lines) {
      const line = ended.endsWith("\r") ? ended.slice(0, -1) : ended;
      const [, name, text] = /^([^:]*):? ?(.*)$/s.exec(line);
      if (name === "event") type = text;
      else if (name === "data") data += (data && "\n") + text;
      else if (name === "id") id = text;
      else if (name === "retry") on("retry", Number(text));
      else if (!line) {
        if (data) on(type, JSON.parse(data), id);
        [type, data, id] = ["", "", undefined];
      }
    }
  }
}

/** The same by an EventSource, which sends no fields and tells no status. */
export function listen(EventSource, url, withCredentials, signal, on) {
  return new Promise((resolve, reject) => {
    const source = new EventSource(url, { withCredentials });
    let last = "";
    const end = (settle, value) => {
      source.close();
      settle(value);
    };
    for (const type of types) {
      source.addEventListener(type, (event) => {
        // `lastEventId` is that of an earlier event where this one has none.
        const id = event.lastEventId === last ? undefined : event.lastEventId;
        last = event.lastEventId;
        on(type, JSON.parse(event.data), id);
      });
    }
    // It would come back by itself, at a time of its own; the one who called decides when.
    source.addEventListener("error", () => end(reject, new Error("the connection failed")));
    signal.addEventListener("abort", () => end(reject, signal.reason));
  });
}
