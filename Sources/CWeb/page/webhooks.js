// Webhooks, for administrators: where each endpoint stands, its last tries, and what can be done with it.

import { ask, make, setClock, setState, setText, stamp } from "./elements.js";
import { ago, clockTime, count, hostOf, plain, plural, since, until } from "./words.js";

const refreshMilliseconds = 5000;

/** How a try ended: the status, or why there was none. */
const ending = ({ outcome, status, error }) =>
  [outcome === "delivered" ? "delivered" : `${outcome},`, status ?? "", error ? plain(error) : ""].filter(String).join(" ");

const position = ({ lag, in_flight: underWay, refused }) => [
  lag ? `${count(lag)} behind` : "up to date",
  [underWay ? `${count(underWay)} under way` : "", refused ? `${count(refused)} refused` : ""].filter(Boolean).join(", "),
];

/** The panel of the overview. `entered` and `left` begin and end what it asks of the gateway. */
export function webhookPanel(page, { webhooks: panel, webhookRows: rows, webhookNotice: notice }) {
  const { gateway } = page;
  const lines = new Map();
  let timer;

  function line(name) {
    const { root, fields } = stamp("webhook");
    fields.line = root.firstElementChild;
    fields.pause.addEventListener("click", () => act(name, fields.pause.dataset.verb));
    fields.test.addEventListener("click", () => act(name, "test"));
    for (const button of [fields.pause, fields.test]) button.setAttribute("aria-describedby", `webhook-${name}`);
    fields.name.id = `webhook-${name}`;
    lines.set(name, fields);
    rows.append(fields.line);
    return fields;
  }

  function fill(fields, webhook) {
    const [where, note] = position(webhook);
    setText(fields.name, plain(webhook.name));
    setText(fields.host, plain(hostOf(webhook.url)));
    fields.host.title = plain(webhook.url);
    setState(fields.state, webhook.state);
    setClock(fields.since, () => `for ${since(webhook.state_since)}`);
    setText(fields.position, where);
    setText(fields.positionNote, note);
    setText(fields.delivered, `${count(webhook.delivered)} delivered`);
    const { next_try_at: next, gaps } = webhook;
    setClock(fields.next, () => [next ? `next try in ${until(next)}` : "", gaps ? plural(gaps, "gap") : ""]
      .filter(Boolean).join(", "));
    fields.pause.dataset.verb = ["paused", "disabled"].includes(webhook.state) ? "resume" : "pause";
    setText(fields.pause, fields.pause.dataset.verb === "resume" ? "Resume" : "Pause");
    showTries(fields, webhook.tries);
  }

  function showTries(fields, tries) {
    const shown = JSON.stringify(tries);
    if (fields.tries.dataset.shown === shown) return;
    fields.tries.dataset.shown = shown;
    const last = tries.at(-1);
    const marks = tries.map(({ outcome }) => make("i", outcome));
    const summary = last ? [make("span", "marks", ...marks), " ", `Last try ${ending(last)}`] : ["No try yet"];
    fields.summary.replaceChildren(...summary);
    fields.summary.querySelector(".marks")?.setAttribute("aria-hidden", "true");
    fields.tries.replaceChildren(...[...tries].reverse().map((one) => make("li", "",
      setClock(make("span", "note"), () => ago(one.at)),
      make("span", "data", plain(one.id)),
      make("span", "note", one.try > 1 ? `try ${count(one.try)}` : ""),
      make("span", `ending ${one.outcome}`, ending(one)),
      make("span", "note count", `${count(one.duration_ms)} ms`))));
    for (const [index, row] of [...fields.tries.children].entries()) row.title = clockTime(tries.at(-1 - index).at);
  }

  function show(webhooks) {
    panel.hidden = webhooks.length === 0;
    const names = new Set(webhooks.map(({ name }) => name));
    for (const [name, { line: node }] of lines) {
      if (names.has(name)) continue;
      node.remove();
      lines.delete(name);
    }
    for (const webhook of webhooks) fill(lines.get(webhook.name) ?? line(webhook.name), webhook);
  }

  async function refresh() {
    if (document.hidden || !page.whole.caller?.admin) return;
    const answer = await gateway.webhooks().catch(() => null);
    if (answer && timer) show(answer.webhooks);
  }

  async function act(name, verb) {
    if (verb === "pause" && !(await ask(`Pause ${plain(name)}?`, ["Freshet sends it nothing more.",
      "What changes meanwhile is sent when someone resumes it, as far as the log reaches back."], "Pause"))) return;
    setText(notice, verb === "test" ? `Sending a test to ${plain(name)}…` : "");
    setText(notice, await gateway.actOnWebhook(name, verb).then((answer) => said(verb, name, answer),
      (problem) => plain(problem.message)));
    await refresh();
  }

  function said(verb, name, answer) {
    if (verb === "test") return `The test of ${plain(name)} ended: ${ending(answer)} (${count(answer.duration_ms)} ms).`;
    return verb === "pause" ? `${plain(name)} is paused.` : `${plain(name)} goes on where it was.`;
  }

  return {
    entered() {
      timer = setInterval(refresh, refreshMilliseconds);
      refresh();
    },
    left() {
      clearInterval(timer);
      timer = undefined;
    },
  };
}
