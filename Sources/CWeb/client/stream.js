// One connection to `/v1/streams` by `fetch`, which sends fields and sees the status.

/** An answer that says no, as an error: `status`, `problem`, and how long to `wait` where it tells. */
export async function refusal(response) {
  const { status } = response;
  const problem = await response.json().catch(() => ({}));
  const wait = Number(response.headers.get("Retry-After")) * 1000 || 0;
  return Object.assign(new Error(problem.detail ?? `status ${status}`), { status, problem, wait });
}

/**
 * Opens a stream. `on(type, data, id)` gets each event, and `alive()` is called for all bytes, those of heartbeats too.
 * Resolves when the stream ends; rejects where it is refused or the connection fails.
 */
export async function readStream({ gateway, path, headers, signal, on, alive }) {
  alive();
  const init = { headers: { Accept: "text/event-stream", ...headers }, signal, cache: "no-store" };
  const reader = (await gateway.ask(path, init)).body.getReader();
  const decoder = new TextDecoder();
  let [tail, type, data, id] = ["", "", ""];
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    alive();
    const lines = decoder.decode(value, { stream: true }).split("\n");
    lines[0] = tail + lines[0];
    tail = lines.pop();
    for (const ended of lines) {
      const line = ended.replace(/\r$/, "");
      const [, name, text] = /^([^:]*):? ?(.*)$/s.exec(line);
      if (name === "event") type = text;
      else if (name === "data") data += (data && "\n") + text;
      else if (name === "id") id = text;
      else if (name === "retry") on(name, Number(text));
      else if (!line) {
        if (data) on(type, JSON.parse(data), id);
        [type, data, id] = ["", ""];
      }
    }
  }
}
