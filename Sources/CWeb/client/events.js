// The same by an EventSource, which sends no fields and tells no status: with tickets. Loaded where one is asked for.

import { readStream } from "./stream.js";

const types = ["hello", "snapshot", "patch", "merge", "items", "checkpoint", "status", "gap", "bye"];

/** A ticket where the connection cannot send fields; undefined where it needs none, or the gateway gives none. */
async function ticketFor({ gateway, sources, headers }) {
  const { ticket, EventSource } = gateway.options;
  const names = sources.map((source) => source.name);
  if (ticket) return typeof ticket === "function" ? ticket(names) : ticket;
  if (!EventSource || !headers.Authorization) return undefined;
  try {
    const response = await gateway.ask("tickets", {
      method: "POST",
      headers: { ...headers, "Content-Type": "application/json" },
      body: JSON.stringify({ sources: names.join(",") }),
    });
    return (await response.json()).ticket;
  } catch (error) {
    if ([404, 405, 501].includes(error.status)) return undefined;
    throw error;
  }
}

const listen = (url, { gateway, signal, on }) => new Promise((resolve, reject) => {
  const { EventSource, credentials } = gateway.options;
  const source = new EventSource(url, { withCredentials: credentials === "include" });
  const fail = (error) => {
    source.close();
    reject(error);
  };
  let last = "";
  for (const type of types) {
    source.addEventListener(type, (event) => {
      // `lastEventId` is that of an earlier event where this one has none.
      const id = event.lastEventId === last ? undefined : event.lastEventId;
      last = event.lastEventId;
      on(type, JSON.parse(event.data), id);
    });
  }
  // It would come back by itself, at a time of its own; the one who called decides when.
  source.addEventListener("error", () => fail(new Error("the connection failed")));
  signal.addEventListener("abort", () => fail(signal.reason));
});

/** As `readStream`. */
export async function openEvents(request) {
  const { gateway, path, headers, on } = request;
  const ticket = await ticketFor(request);
  const place = ticket ? `${path}&ticket=${encodeURIComponent(ticket)}` : path;
  if (!gateway.options.EventSource || (!ticket && headers.Authorization)) {
    return readStream({ ...request, path: place, headers: ticket ? {} : headers });
  }
  let isLive;
  try {
    return await listen(`${gateway.url}/v1/${place}`, {
      ...request,
      on: (...event) => {
        isLive = true;
        on(...event);
      },
    });
  } catch (error) {
    // An EventSource does not say why.
    if (!isLive) await gateway.ask(path.replace(/&since=.*/, ""), { method: "HEAD", headers });
    throw error;
  }
}
