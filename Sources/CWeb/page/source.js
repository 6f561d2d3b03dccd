// One source: its state and pace, its changes as they come, its value now and before, its last poll, and how to connect.

import { applyPatch } from "/client/json.js";
import { compare, words } from "./changes.js";
import {
  ask, copy, copyButton, drawing, element, leaf, link, make, setClock, setSparkline, setState, setText, stamp,
} from "./elements.js";
import { pathOf } from "./gateway.js";
import { addressOf } from "./overview.js";
import { showPoll } from "./poll.js";
import { snippets } from "./snippets.js";
import { tree } from "./tree.js";
import {
  ago, clockTime, count, hostOf, percent, plain, plural, reason, sentence, short, since, spaced, until,
} from "./words.js";

const languages = Object.keys(snippets);
const sections = { changes: "Changes", value: "Value", connect: "Connect", poll: "Last poll" };
/** Changes in the list and in memory; older ones are asked for. */
const maxShownChanges = 100;
const maxChanges = 1000;
const detailMilliseconds = 2000;
let language = languages[0];

const summary = (change) => (change.isFirst ? "Value" : words(change));

function group({ kind, id, name, leaves }) {
  const called = make("span", "item", make("b", "data", plain(id)));
  if (name) called.append(" ", make("span", "data", plain(name)));
  if (kind !== "updated") {
    called.prepend(make("span", "unseen", kind), make("span", "sign", kind === "added" ? "+" : "−"));
  }
  const shown = leaves.slice(0, 12).map(leaf);
  if (leaves.length > 12) shown.push(make("span", "note", `and ${count(leaves.length - 12)} more`));
  return make("div", `group ${kind}`, ...(id ? [called] : []), make("span", "leaves", ...shown));
}

export function sourcePage(page, name) {
  const { gateway } = page;
  const { root, fields } = stamp("source");
  let detail = page.rows.get(name);
  const source = () => page.rows.get(name);
  const open = new Map([["", true]]);
  const stream = `${gateway.address}/v1/streams/${pathOf(name)}`;
  const leaving = new AbortController();
  const { signal } = leaving;
  let changes = [];
  let older;
  let shown = -1;
  let held = null;
  let pollShown;

  const isNow = () => shown === changes.length - 1;

  function update() {
    const one = source();
    if (!one) return;
    document.title = `${plain(name)} – Freshet`;
    setState(fields.state, one.state);
    setClock(fields.since, () => `for ${since(one.state_since)}`);
    setText(fields.upstream, one.url ? plain(one.url) : "none: values are pushed");
    // Of a cluster.
    setText(fields.owner, one.owner ? `Polled by the gateway ${plain(one.owner)}.` : "");
    const next = () => (detail?.next_poll_at && detail.state === one.state ? detail : one).next_poll_at;
    setClock(fields.next, () => (next() ? `in ${until(next())}` : "none"));
    const why = reason(one);
    setText(fields.why, one.state === "ok" && one.interval ? `Every ${spaced(one.interval)}. ${why}` : why);
    setClock(fields.changed, () => (one.last_change ? ago(one.last_change.at) : "none yet"));
    setText(fields.change, one.last_change ? words(one.last_change) : "");
    setText(fields.share, percent(detail.not_modified, detail.polls));
    setText(fields.polls, `${count(detail.not_modified)} of ${plural(detail.polls, "poll")}`);
    setText(fields.subscribers, count(one.subscribers));
    setText(fields.saved, `${short(detail.requests_saved)} requests saved`);
    setSparkline(fields.day, one.changes_per_hour, one.failures_per_hour);
    setText(fields.pause, one.state === "paused" ? "Resume" : "Pause");
    fields.poll.hidden = !one.interval;
    fields.pause.hidden = !one.interval;
    showProblems(one);
    const poll = detail.last_poll;
    fields.pollPanel.hidden = !poll;
    if (poll && JSON.stringify(poll) !== pollShown) showPoll(fields, detail);
    pollShown = JSON.stringify(poll);
  }

  /** The row with the headers of the last poll, which rows of a list do not have. */
  async function refresh() {
    if (document.hidden || signal.aborted) return;
    const answer = await gateway.source(name).catch(() => null);
    if (!answer || signal.aborted) return;
    detail = answer;
    if (detail.name === name && source()) update();
  }

  function showProblems({ state, problem, warnings }) {
    const problems = warnings.map(({ message }) => ({ what: sentence(message), state: "warning" }));
    if (problem) problems.unshift({ ...problem, state });
    const text = JSON.stringify(problems);
    if (fields.problem.dataset.shown === text) return;
    fields.problem.dataset.shown = text;
    fields.problem.replaceChildren(...problems.map((one) => {
      const { root: box, fields: parts } = stamp("problem");
      box.firstElementChild.classList.add(one.state);
      for (const part of ["what", "why", "effect", "fix"]) {
        if (one[part]) setText(parts[part], plain(one[part]));
        else parts[part].parentElement.remove();
      }
      return box;
    }));
  }

  function showTail() {
    const visible = changes.slice(0, held ?? changes.length);
    fields.tail.replaceChildren(...visible.slice(-maxShownChanges).reverse().map(entry));
    setText(fields.tailNote, held === null ? "live" : `held, ${count(changes.length - held)} newer`);
    fields.tailNote.classList.toggle("live", held === null);
    fields.noChange.hidden = changes.length > 1;
    fields.log.hidden = changes.length === 0;
    const one = source();
    setText(fields.noChange, one?.polls ? `No change yet: ${plural(one.polls, "poll")} brought the same value. The next change
      appears here by itself.`.replace(/\s+/g, " ") : "The first value appears here by itself.");
  }

  function entry(change) {
    const moment = link(`${addressOf(name)}/at/${change.cursor}`, clockTime(change.at), "moment");
    moment.title = `Show the value as of ${change.at}`;
    const isShown = change === changes[shown];
    if (isShown) moment.setAttribute("aria-current", "true");
    const age = setClock(make("span", "note"), () => ago(change.at));
    const head = make("div", "entry", moment, make("strong", "", summary(change)), age);
    const groups = change.groups.slice(0, 8).map(group);
    if (change.groups.length > 8) groups.push(make("div", "note", `and ${count(change.groups.length - 8)} more`));
    return make("li", isShown ? (isNow() ? "shown now" : "shown") : "", head, ...groups);
  }

  /** Keeps the list still while it is read: on request, and while it is scrolled. */
  function hold(isHeld) {
    held = isHeld ? changes.length : null;
    fields.hold.setAttribute("aria-pressed", isHeld);
    showTail();
  }

  function showValue() {
    const change = changes[shown];
    fields.history.hidden = changes.length < 2 && !older;
    fields.now.hidden = isNow();
    if (!change) return setText(fields.valueNote, "none yet");
    setClock(fields.valueNote, () => (isNow() ? "now" : `as of ${clockTime(change.at)}, ${ago(change.at)}`));
    fields.valueNote.classList.toggle("past", !isNow());
    fields.scrubber.max = changes.length - 1;
    fields.scrubber.value = shown;
    fields.scrubber.setAttribute("aria-valuetext", `${clockTime(change.at)}, ${summary(change)}`);
    fields.more.hidden = !older;
    showTicks();
    const leaves = new Map(change.groups.flatMap((one) => one.leaves).map((one) => [one.path, one]));
    const focused = document.activeElement?.closest("[data-pointer]")?.dataset.pointer;
    fields.tree.replaceChildren(tree({ value: change.value, leaves, open, collection: source()?.collection }));
    if (focused !== undefined) fields.tree.querySelector(`[data-pointer="${CSS.escape(focused)}"] > summary`)?.focus();
  }

  /** A bar a change above the scrubber, as high as the change is big. */
  function showTicks() {
    const most = Math.max(1, ...changes.map(({ groups }) => groups.length));
    const bars = changes.map(({ groups }, index) => {
      const height = 4 + (14 * groups.length) / most;
      const x = `${(100 * index) / Math.max(1, changes.length - 1)}%`;
      const width = changes.length > 60 ? 2 : 4;
      return drawing("rect", { x, y: 20 - height, width, height, rx: 1, class: index === shown ? "shown" : "" });
    });
    fields.ticks.replaceChildren(drawing("svg", {}, ...bars));
  }

  function show(index) {
    if (!changes.length) return;
    shown = Math.max(0, Math.min(index, changes.length - 1));
    history.replaceState(null, "", addressOf(name) + (isNow() ? "" : `/at/${changes[shown].cursor}`));
    showTail();
    showValue();
  }

  /** The changes with what differs in each from the one before. */
  function compared(list) {
    const { collection } = source() ?? {};
    return list.map((change, index) => {
      const before = list[index - 1];
      if (!before) return { ...change, isFirst: true, groups: [] };
      return { ...change, isFirst: false, ...compare(before.value, change.value, collection) };
    });
  }

  function take({ id, data }) {
    const before = changes.at(-1);
    if (!id || before?.cursor === id) return;
    const isFirst = before === undefined;
    if (isFirst && data.patch) return;
    const value = data.patch ? applyPatch(before.value, data.patch) : data.value;
    const difference = isFirst ? { groups: [] } : compare(before.value, value, source()?.collection);
    changes.push({ cursor: id, at: data.at, isFirst, value, ...difference });
    if (changes.length > maxChanges) {
      changes.shift();
      shown -= 1;
      if (held !== null) held -= 1;
    }
  }

  async function act(verb) {
    const { state, url, subscribers, next_poll_at: next } = source();
    if (!page.whole.caller?.admin) {
      await ask("This needs an administrator", [gateway.hasKey ? "Your key may read sources and nothing else." :
        "Without a key this page may read and nothing else.",
        "Sign in with a key that has admin: true, or with the content of admin.key on the gateway's machine."]);
      return;
    }
    if (verb === "pause" && !(await ask(`Pause ${plain(name)}?`, [`Freshet stops asking ${plain(hostOf(url))}.`,
      `${plural(subscribers, "subscriber")} stay connected, keep the last value and are told that the source is paused.`,
      "It stays paused until someone resumes it."], "Pause"))) return;
    if (verb === "poll" && state === "backoff" && next && !(await ask("Poll although the upstream asked to wait?",
      [`It asked to be left alone for ${until(next)} more.`, "A poll before then may make the wait longer."],
      "Poll anyway"))) return;
    setText(fields.notice, verb === "poll" ? "Polling…" : "");
    setText(fields.notice, await gateway.act(name, verb).then((answer) => said(verb, answer), (problem) => problem.message));
    await refresh();
  }

  function said(verb, { outcome }) {
    if (verb === "pause") return "Paused. Subscribers stay connected and keep the last value.";
    if (verb === "resume") return "Resumed. Freshet polls at once.";
    return { not_modified: "Polled: not modified (304).", unchanged: "Polled: the same value again.",
      changed: "Polled: the value has changed." }[outcome] ?? `Polled: ${plain(outcome)}.`;
  }

  function showSnippet() {
    for (const tab of fields.languages.children) {
      const isChosen = tab.textContent === language;
      tab.setAttribute("aria-selected", isChosen);
      tab.tabIndex = isChosen ? 0 : -1;
    }
    const { needsKey } = page;
    const [first, ...rest] = snippets[language]({ stream, gateway: gateway.address, name, needsKey }).split(stream);
    fields.snippet.setAttribute("aria-label", language);
    fields.snippet.replaceChildren(first, ...rest.flatMap((text) => [make("b", "", stream), text]));
  }

  function chooseLanguage(chosen) {
    language = chosen;
    showSnippet();
  }

  /** What the log keeps, the newest first to be asked for, and then what comes. */
  async function begin() {
    let since;
    try {
      const found = await gateway.history(name);
      const isEmpty = found.changes.length === 0;
      // A source that never had a value is not asked for one.
      const values = isEmpty && source()?.cursor ? [await gateway.value(name)] : found.changes;
      changes = compared(values);
      older = found.before;
      since = isEmpty ? values[0]?.cursor : found.cursor;
    } catch {
      // There is no value yet, or no answer: the stream brings what there is.
      changes = [];
    }
    if (signal.aborted) return;
    shown = changes.length - 1;
    showTail();
    showValue();
    gateway.changes(name, since, {
      signal,
      opened() {},
      lost() {},
      on(event) {
        // After a gap the snapshot stands for all that was missed.
        if (!["snapshot", "patch"].includes(event.type)) return;
        const follows = isNow() && held === null;
        const before = changes.length;
        take(event);
        if (changes.length === before && shown >= 0) return;
        if (follows) shown = changes.length - 1;
        showTail();
        showValue();
      },
    });
  }

  async function loadOlder() {
    const found = await gateway.history(name, older).catch(() => null);
    if (!found || signal.aborted) return;
    const first = changes[shown]?.cursor;
    const known = new Set(changes.map(({ cursor }) => cursor));
    const added = found.changes.filter(({ cursor }) => !known.has(cursor));
    changes = compared([...added, ...changes]);
    older = added.length ? found.before : undefined;
    if (held !== null) held += added.length;
    show(changes.findIndex(({ cursor }) => cursor === first));
  }

  async function goTo(cursor) {
    const index = changes.findIndex((change) => change.cursor === cursor);
    if (index >= 0) return show(index);
    setText(fields.notice, "This moment is no longer in what the page holds; older changes can be loaded.");
  }

  setText(fields.name, plain(name));
  setText(fields.stream, stream);
  fields.sections.append(...Object.entries(sections).map(([id, words]) => link(`${addressOf(name)}/${id}`, words)));
  fields.languages.append(...languages.map((one) => {
    const tab = make("button", "", one);
    Object.assign(tab, { type: "button", role: "tab" });
    tab.setAttribute("aria-controls", "snippet");
    tab.addEventListener("click", () => chooseLanguage(one));
    return tab;
  }));
  fields.languages.addEventListener("keydown", ({ key }) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[key];
    if (!step) return;
    chooseLanguage(languages.at((languages.indexOf(language) + step) % languages.length));
    fields.languages.querySelector("[aria-selected=true]").focus();
  });
  fields.copyStream.addEventListener("click", () => copy(fields.stream, fields.copyStream));
  fields.copySnippet.addEventListener("click", () => copy(fields.snippet, fields.copySnippet));
  fields.poll.addEventListener("click", () => act("poll"));
  fields.pause.addEventListener("click", () => act(source().state === "paused" ? "resume" : "pause"));
  fields.scrubber.addEventListener("input", () => show(Number(fields.scrubber.value)));
  fields.older.addEventListener("click", () => show(shown - 1));
  fields.newer.addEventListener("click", () => show(shown + 1));
  fields.more.addEventListener("click", loadOlder);
  fields.now.addEventListener("click", () => show(changes.length - 1));
  fields.hold.addEventListener("click", () => hold(held === null));
  fields.log.addEventListener("scroll", () => {
    const isAway = fields.log.scrollTop > 8;
    if (isAway !== (held !== null)) hold(isAway);
  });
  fields.announce.addEventListener("click", () => {
    const isOn = fields.log.getAttribute("aria-live") === "off";
    fields.log.setAttribute("aria-live", isOn ? "polite" : "off");
    fields.announce.setAttribute("aria-pressed", isOn);
  });
  showSnippet();
  const ready = begin();
  refresh();
  const timer = setInterval(refresh, detailMilliseconds);

  return {
    root, name, update,
    step: (by) => show(shown + by),
    /** `at` and a cursor, or a section of the page. */
    async go(token, cursor) {
      await ready;
      if (token === "at") goTo(cursor);
      if (token in sections) element(`section-${token}`)?.scrollIntoView();
    },
    opened: refresh,
    changed(row) { if (row.name === name) refresh(); },
    left() {
      leaving.abort();
      clearInterval(timer);
    },
  };
}
