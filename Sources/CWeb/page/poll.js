// The last poll of a source: how it ended, where its time went, and what was said. The gateway redacts, not the page.

import { drawing, make, setClock } from "./elements.js";
import { ago, bytes, plain } from "./words.js";

const phases = { dns: "Name lookup", connect: "Connect", tls: "TLS handshake", first_byte: "First byte", download: "Download" };

const outcomes = {
  superseded: () => "The answer was dropped, and the upstream is asked again.",
  not_modified: () => "Not modified: the value is confirmed, nothing was transferred.",
  changed: (size) => `A new value, ${bytes(size)} on the wire.`,
  unchanged: (size) => `The same value again, ${bytes(size)} on the wire.`,
};

export function showPoll(fields, { last_poll: poll, last_error: error }) {
  const timing = poll.timing_ms ?? {};
  const total = Object.values(timing).reduce((sum, part) => sum + Number(part.source ?? part), 0);
  const facts = [poll.protocol, poll.connection && `${poll.connection} connection`, `${total.toFixed(total < 10 ? 1 : 0)} ms`];
  setClock(fields.pollNote, () => [ago(poll.at), ...facts].filter(Boolean).join(", "));
  const words = outcomes[poll.outcome]?.(poll.bytes);
  const failure = make("b", "bad data", plain(error?.message ?? poll.outcome));
  fields.outcome.replaceChildren(...(words ? [make("b", "", String(poll.status)), ` ${words}`] : [failure]));
  fields.waterfall.replaceChildren(fields.waterfall.caption, waterfall(poll, total));
  fields.waterfall.hidden = total === 0;
  const wasOpen = [...fields.headers.children].map((list) => list.open);
  const lists = [["Request", poll.request_headers], ["Response", answerHead(poll)]]
    .filter(([, pairs]) => pairs?.length).map(([words, pairs]) => headers(words, pairs));
  lists.forEach((list, index) => { list.open = wasOpen[index] ?? true; });
  fields.headers.replaceChildren(...lists);
}

const answerHead = ({ protocol, status, response_headers: pairs }) =>
  (pairs && status ? [[protocol, String(status)], ...pairs] : []);

function waterfall({ timing_ms: timing, connection }, total) {
  let begun = 0;
  return make("tbody", "", ...Object.entries(phases).map(([phase, words]) => {
    const part = Number(timing?.[phase]?.source ?? timing?.[phase] ?? 0);
    const isKept = part === 0 && connection === "kept";
    const heading = make("th", "", words);
    heading.scope = "row";
    const lane = make("td", "lane");
    if (isKept) lane.append("kept connection");
    else {
      const place = { x: (100 * begun) / total, width: Math.max((100 * part) / total, 0.5), height: 8, class: phase };
      const frame = { viewBox: "0 0 100 8", preserveAspectRatio: "none", "aria-hidden": "true" };
      lane.append(drawing("svg", frame, drawing("rect", place)));
    }
    begun += part;
    return make("tr", isKept ? "kept" : "", heading, lane, make("td", "count", isKept ? "–" : `${part.toFixed(1)} ms`));
  }));
}

function headers(words, [[first, second], ...fields]) {
  const line = make("span", "data", plain(`${first} ${second}`));
  return make("details", "", make("summary", "", words, " ", make("span", "note", line)),
    make("dl", "", ...fields.map(([name, value]) => make("div", "", make("dt", "data", plain(name)),
      value === null ? make("dd", "redacted", "redacted") : make("dd", "data", plain(value))))));
}
