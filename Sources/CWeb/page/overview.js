// All sources: the whole in one sentence and four figures, a row a source, and the latest changes.

import { sampleLeaf, words } from "./changes.js";
import { leaf, link, make, setClock, setSparkline, setState, setText, stamp } from "./elements.js";
import { rowList } from "./rows.js";
import {
  ago, count, hostOf, needsAttention, pace, percent, plain, plural, reason, sentence, severity, short, since, stateWord,
} from "./words.js";
import { webhookPanel } from "./webhooks.js";

/** What the reader chose to see; kept while the page is open. */
const choice = { text: "", attentionOnly: false, column: "state", isDescending: false };
const maxLatest = 12;

export const addressOf = (name) => `#/sources/${encodeURIComponent(name)}`;

const sum = (numbers) => numbers.reduce((total, number) => total + number, 0);
const rank = ({ state }) => severity.indexOf(state);
const time = (at) => (at ? new Date(at).getTime() : 0);
/** What each column sorts by, and whether the largest come first. */
const columns = {
  name: { of: (source) => source.name },
  state: { of: rank },
  change: { of: (source) => time(source.last_change?.at), isDescending: true },
  pace: { of: (source) => time(source.next_poll_at) || Infinity },
  day: { of: (source) => sum(source.changes_per_hour), isDescending: true },
  share: { of: (source) => (source.polls ? source.not_modified / source.polls : 0), isDescending: true },
  audience: { of: (source) => source.subscribers, isDescending: true },
};

/** The sources in the order of a column; those that are equal in it as they were configured. */
export function sorted(sources, column = "state", isDescending = false) {
  const { of } = columns[column];
  const keyed = sources.map((source) => [of(source), source]);
  keyed.sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0) * (isDescending ? -1 : 1));
  return keyed.map(([, source]) => source);
}

/** The newest changes of all sources, from what their rows say; kept while the page is open. */
const latest = { changes: [], cursors: new Map() };

export function noteChange({ name, last_change: change }) {
  if (!change || latest.cursors.get(name) === change.cursor) return;
  latest.cursors.set(name, change.cursor);
  const index = latest.changes.findIndex((other) => time(other.at) <= time(change.at));
  latest.changes.splice(index < 0 ? latest.changes.length : index, 0, { ...change, source: name });
  latest.changes.splice(maxLatest);
}

export function forgetChanges() {
  latest.changes = [];
  latest.cursors.clear();
}

export function overview(page) {
  const { root, fields } = stamp("overview");
  const list = rowList(fields, fill);
  const webhooks = webhookPanel(page, fields);

  function fill(cells, source) {
    cells.name.href = addressOf(source.name);
    setText(cells.name, plain(source.name));
    cells.name.title = plain(source.name);
    cells.line.className = source.state;
    setText(cells.upstream, plain(hostOf(source.url)));
    setState(cells.state, source.state);
    setClock(cells.since, () => `for ${since(source.state_since)}`);
    setText(cells.warnings, source.warnings.length ? plural(source.warnings.length, "warning") : "");
    setText(cells.change, source.last_change ? words(source.last_change) : "none yet");
    setClock(cells.changed, () => (source.last_change ? ago(source.last_change.at) : ""));
    setClock(cells.pace, () => pace(source));
    setText(cells.why, reason(source));
    cells.why.title = reason(source);
    showSample(cells.sample, source.last_change?.sample);
    setSparkline(cells.day, source.changes_per_hour, source.failures_per_hour);
    setText(cells.share, percent(source.not_modified, source.polls));
    setText(cells.polls, `of ${short(source.polls)}`);
    setText(cells.subscribers, count(source.subscribers));
    setText(cells.saved, `${short(source.requests_saved)} saved`);
  }

  /** One leaf of the last change, as an example. */
  function showSample(node, sample) {
    const made = sample && leaf(sampleLeaf(sample));
    if (node.textContent !== (made?.textContent ?? "")) node.replaceChildren(...(made ? [made] : []));
  }

  function isChosen(source, text) {
    if (choice.attentionOnly && !needsAttention(source)) return false;
    return [source.name, source.url ?? "", stateWord(source.state)].some((one) => one.toLowerCase().includes(text));
  }

  function headline(failing, attention, total) {
    if (failing.length === 1) return `${plain(failing[0].name)} is failing`;
    if (failing.length > 1) return `${count(failing.length)} sources are failing`;
    if (attention === 0) return total === 1 ? "The source is ok" : `All ${count(total)} sources are ok`;
    return attention === 1 ? "1 source needs attention" : `${count(attention)} sources need attention`;
  }

  function showWorst(source) {
    fields.worst.hidden = !source;
    const what = source ? `${plain(sentence(source.problem.what))} ` : "";
    if (!source || fields.worst.firstChild?.textContent === what) return;
    fields.worst.replaceChildren(what, link(addressOf(source.name), "Why, and how to fix it"));
  }

  function showFigures(sources, attention) {
    const { whole } = page;
    const counts = severity.map((state) => [state, sources.filter((source) => source.state === state).length]);
    const others = counts.filter(([state, number]) => state !== "ok" && number);
    const tally = JSON.stringify([counts, sources.length]);
    if (fields.ok.dataset.shown !== tally) {
      fields.ok.dataset.shown = tally;
      fields.ok.replaceChildren(count(counts.at(-1)[1]), make("span", "of", ` of ${count(sources.length)}`));
      fields.okNote.replaceChildren(...(others.length ? others.map(([state, number]) =>
        make("span", `state ${state}`, `${count(number)} ${stateWord(state)}`)) : ["Every value is fresh"]));
      fields.all.replaceChildren("All ", make("span", "number", count(sources.length)));
    }
    // Of the whole only administrators are told where `auth` is set; what the rows say is known to all.
    const listeners = whole.subscribers ?? sum(sources.map((source) => source.subscribers));
    setText(fields.subscribers, count(listeners));
    setText(fields.subscribersNote, whole.subscribers_behind ? `${whole.subscribers_behind} behind, catching up` :
      whole.subscribers === null ? "of your sources" : "All caught up");
    const day = Array.from({ length: 24 }, (_, hour) => sum(sources.map((source) => source.changes_per_hour[hour])));
    setSparkline(fields.eventsDay, day);
    setText(fields.events, count(whole.events_per_minute));
    setText(fields.eventsNote, whole.deliveries_per_minute === null ? "for administrators" :
      plural(whole.deliveries_per_minute ?? 0, "deliver").replace(/deliver(s?)$/, (_, s) => (s ? "deliveries" : "delivery")));
    const saved = whole.upstream_requests_saved ?? sum(sources.map((source) => source.requests_saved));
    const asked = whole.upstream_requests ?? sum(sources.map((source) => source.polls));
    setText(fields.saved, short(saved));
    setText(fields.savedNote, `${short(asked)} polls instead of ${short(asked + saved)}`);
    fields.attention.replaceChildren("Need attention ", make("span", "number", count(attention)));
    fields.all.setAttribute("aria-pressed", !choice.attentionOnly);
    fields.attention.setAttribute("aria-pressed", choice.attentionOnly);
  }

  function update() {
    const { sources } = page;
    const attention = sources.filter(needsAttention).length;
    setText(fields.title, headline(sources.filter(({ state }) => state === "failing"), attention, sources.length));
    showWorst(sources.find(({ state, problem }) => state === "failing" && problem));
    document.title = `${attention ? `(${attention}) ` : ""}Freshet`;
    showFigures(sources, attention);
    showRows();
    showLatest();
  }

  function showRows() {
    const text = choice.text.toLowerCase();
    const chosen = page.sources.filter((source) => isChosen(source, text));
    list.show(sorted(chosen, choice.column, choice.isDescending));
    fields.noMatch.hidden = chosen.length > 0;
    setText(fields.matches, chosen.length === page.sources.length ? "" : `${plural(chosen.length, "source")} of ${
      count(page.sources.length)}`);
  }

  function showLatest() {
    const shown = latest.changes.map(({ cursor }) => cursor).join(" ");
    if (fields.latest.dataset.shown !== shown) {
      fields.latest.dataset.shown = shown;
      fields.latest.replaceChildren(...latest.changes.map((change) =>
        make("li", "", setClock(make("span", "note"), () => ago(change.at)),
          link(`${addressOf(change.source)}/at/${change.cursor}`, plain(change.source)),
          make("span", "summary", words(change)),
          make("span", "leaves", ...(change.sample ? [leaf(sampleLeaf(change.sample))] : [])))));
    }
    fields.noChange.hidden = latest.changes.length > 0;
    if (fields.noChange.hidden) return;
    const polls = plural(sum(page.sources.map((source) => source.polls)), "poll");
    setText(fields.noChange,
      `No change yet: ${polls} so far, and every one brought the same value. The first change appears here by itself.`);
  }

  function choose(chosen) {
    Object.assign(choice, chosen);
    list.toTop();
    update();
  }

  function sortBy(column) {
    const first = Boolean(columns[column].isDescending);
    const isDescending = choice.column === column ? !choice.isDescending : first;
    choose({ column, isDescending });
    markOrder();
  }

  function markOrder() {
    for (const button of fields.columns.querySelectorAll("button")) {
      const isChosen = button.dataset.column === choice.column;
      const order = choice.isDescending ? "descending" : "ascending";
      button.parentElement.setAttribute("aria-sort", isChosen ? order : "none");
    }
  }

  fields.filter.value = choice.text;
  fields.filter.addEventListener("input", () => choose({ text: fields.filter.value }));
  fields.all.addEventListener("click", () => choose({ attentionOnly: false }));
  fields.attention.addEventListener("click", () => choose({ attentionOnly: true }));
  for (const button of fields.columns.querySelectorAll("button")) {
    button.addEventListener("click", () => sortBy(button.dataset.column));
  }
  markOrder();
  return {
    root, update, filter: fields.filter,
    /** Moves the focus `by` rows. */
    step: (by) => list.step(by),
    entered() {
      list.entered();
      webhooks.entered();
    },
    left() {
      list.left();
      webhooks.left();
    },
  };
}
