import { applyPatch } from "/client/json.js";

const element = (id) => document.getElementById(id);
const rows = new Map();
const values = new Map();
let sources = [];
// `#NAME` is the chosen source, `#key=KEY` what the visitor signs in with, once: the address bar, the history and
// bookmarks do not keep it, nor does anything but this page while it is open, and it goes nowhere but to this origin.
const fragment = location.hash.slice(1);
let key = fragment.startsWith("key=") ? fragment.slice(4) : "";
if (key) history.replaceState(null, "", location.pathname + location.search);
let chosen = key ? "" : decoded(fragment);
let mayAdminister = false;
// Counts visits, each of one visitor, so that what comes late of one is dropped in the next.
let visit = 0;

// What is no percent-encoding names no source.
function decoded(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return "";
  }
}

// A key that comes while the page is open.
addEventListener("hashchange", () => { if (location.hash.startsWith("#key=")) location.reload(); });

const credential = () => (key ? { Authorization: "Bearer " + key } : {});

function make(tag, text, className) {
  const made = document.createElement(tag);
  if (text !== undefined) made.textContent = text;
  if (className) made.className = className;
  return made;
}

// Sources

function row(name) {
  let cells = rows.get(name);
  if (cells) return cells;
  const line = element("sources").insertRow();
  cells = Array.from({ length: 7 }, () => line.insertCell());
  for (const cell of cells.slice(3)) cell.className = "n";
  const button = make("button", name);
  button.addEventListener("click", () => choose(name));
  cells[0].append(button);
  rows.set(name, cells);
  return cells;
}

function setState(name, state, reason) {
  const cell = row(name)[1];
  cell.replaceChildren(make("span", state, "state " + state));
  cell.title = reason || "";
}

const share = (part, whole) => (whole ? Math.round((100 * part) / whole) + " %" : "–");

async function refresh() {
  const now = visit;
  const found = [];
  for (let after = ""; after !== undefined; ) {
    const answer = await fetch("/v1/sources?after=" + after, { headers: credential() });
    if (now !== visit) return;
    if (answer.status === 401 && key) return signOut(await reason(answer));
    if (!answer.ok) return;
    const page = await answer.json();
    found.push(...page.sources);
    after = page.next;
  }
  if (now !== visit) return;
  sources = found;
  const names = new Set(sources.map((source) => source.name));
  for (const [name, cells] of rows) {
    if (names.has(name)) continue;
    cells[0].parentElement.remove();
    rows.delete(name);
  }
  for (const source of sources) {
    const cells = row(source.name);
    setState(source.name, source.state, source.last_error?.message);
    cells[2].textContent = source.interval ?? "pushed";
    cells[2].title = source.interval_reason;
    cells[3].textContent = source.polls;
    cells[4].textContent = share(source.not_modified, source.polls);
    cells[5].textContent = source.changes;
    cells[6].textContent = source.subscribers;
  }
  element("none").hidden = sources.length > 0;
  showDetail();
}

// The chosen source

function choose(name) {
  chosen = chosen === name ? "" : name;
  element("outcome").textContent = "";
  history.replaceState(null, "", chosen ? "#" + encodeURIComponent(chosen) : location.pathname);
  showDetail();
}

function showDetail() {
  const source = sources.find((one) => one.name === chosen);
  for (const [name, cells] of rows) cells[0].parentElement.classList.toggle("chosen", name === chosen);
  element("detail").hidden = !source;
  if (!source) return;
  element("name").textContent = source.name;
  const next = source.next_poll_at ? Math.max(0, (new Date(source.next_poll_at) - Date.now()) / 1000) : null;
  const when = next === null ? "" : `next poll in ${next < 10 ? next.toFixed(1) : Math.round(next)} s: `;
  element("reason").textContent = when + source.interval_reason;
  const notes = source.warnings.map((warning) => make("li", warning.message, "warning"));
  if (source.last_error && source.state !== "ok") {
    notes.unshift(make("li", `${source.last_error.kind}: ${source.last_error.message}`, "error"));
  }
  if (source.collection) {
    const { items, key, origin } = source.collection;
    notes.push(make("li", `items at ${items || "the root"}${key ? ", told apart by " + key : ""} (${origin})`));
  }
  element("notes").replaceChildren(...notes);
  const base = location.origin;
  const header = key ? '-H "Authorization: Bearer $KEY" ' : "";
  element("commands").textContent =
    `curl -N ${header}${base}/v1/streams/${source.name}\n` +
    `curl ${header}${base}/v1/values/${source.name}\n` +
    `new EventSource("${base}/v1/streams/${source.name}${key ? "?ticket=" : ""}"${key ? " + ticket" : ""})`;
  element("actions").hidden = !mayAdminister;
  element("pause").textContent = source.state === "paused" ? "Resume" : "Pause";
  showValue();
}

async function administer(action) {
  element("outcome").textContent = "";
  const path = `/v1/admin/sources/${encodeURIComponent(chosen)}/${action}`;
  const answer = await fetch(path, { method: "POST", headers: credential() }).catch(() => null);
  const body = await answer?.json().catch(() => null);
  element("outcome").textContent = answer?.ok ? body?.outcome ?? "" : body?.detail ?? "no answer";
  refresh();
}
element("poll").addEventListener("click", () => administer("poll"));
element("pause").addEventListener("click", () => administer(element("pause").textContent.toLowerCase()));

const maxShownBytes = 20000;

function showValue() {
  if (!chosen || element("detail").hidden) return;
  const text = values.has(chosen) ? JSON.stringify(values.get(chosen), null, 2) : "not yet";
  element("value").textContent = text.length > maxShownBytes ? text.slice(0, maxShownBytes) + "\n…" : text;
}

// Changes

const maxOperations = 6;
const maxChanges = 60;
const brief = (value) => {
  const text = JSON.stringify(value);
  return text.length > 160 ? text.slice(0, 160) + "…" : text;
};

function operation(one) {
  const line = make("div", undefined, "op " + one.op);
  line.append(make("b", one.op), " ", make("i", one.path || "/"));
  if ("from" in one) line.append(" from ", make("i", one.from));
  if ("old" in one) line.append(" ", make("s", brief(one.old)));
  if ("value" in one) line.append(" ", make("span", brief(one.value)));
  return line;
}

const isContainer = (value) => value !== null && typeof value === "object";

function isEqual(a, b) {
  if (!isContainer(a) || !isContainer(b)) return a === b;
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  const names = Object.keys(a);
  return names.length === Object.keys(b).length
    && names.every((name) => Object.hasOwn(b, name) && isEqual(a[name], b[name]));
}

// What differs between two values. The paths of a list are those of its old elements, but for what was added.
function differences(old, now, path = "", found = []) {
  if (isEqual(old, now)) return found;
  if (!isContainer(old) || !isContainer(now) || Array.isArray(old) !== Array.isArray(now)) {
    found.push({ op: "replace", path, old, value: now });
  } else if (Array.isArray(old)) {
    listDifferences(old, now, path, found);
  } else {
    for (const name of Object.keys(old)) {
      const below = path + "/" + name.replaceAll("~", "~0").replaceAll("/", "~1");
      if (Object.hasOwn(now, name)) differences(old[name], now[name], below, found);
      else found.push({ op: "remove", path: below, old: old[name] });
    }
    for (const name of Object.keys(now)) {
      if (Object.hasOwn(old, name)) continue;
      const below = path + "/" + name.replaceAll("~", "~0").replaceAll("/", "~1");
      found.push({ op: "add", path: below, value: now[name] });
    }
  }
  return found;
}

// What both ends have in common aside, elements are paired by their place.
function listDifferences(old, now, path, found) {
  let start = 0;
  while (start < old.length && start < now.length && isEqual(old[start], now[start])) start += 1;
  let rest = Math.min(old.length, now.length) - start;
  let end = 0;
  while (end < rest && isEqual(old[old.length - 1 - end], now[now.length - 1 - end])) end += 1;
  rest -= end;
  for (let index = start; index < start + rest; index += 1) {
    differences(old[index], now[index], path + "/" + index, found);
  }
  for (let index = start + rest; index < old.length - end; index += 1) {
    found.push({ op: "remove", path: path + "/" + index, old: old[index] });
  }
  for (let index = start + rest; index < now.length - end; index += 1) {
    found.push({ op: "add", path: path + "/" + index, value: now[index] });
  }
}

// `before`: the value that a snapshot takes the place of, if there was one.
function show(kind, data, before) {
  const item = document.createElement("li");
  const time = make("time", new Date(data.at).toLocaleTimeString());
  time.dateTime = data.at;
  item.append(time, " ", make("strong", data.source), " ", make("em", kind));
  const changes = kind === "patch" ? data.patch : before ? differences(before.value, data.value) : [];
  if (changes.length > 0) {
    item.append(...changes.slice(0, maxOperations).map(operation));
    const more = changes.length - maxOperations;
    if (more > 0) item.append(make("div", `and ${more} more`, "op"));
  } else {
    item.append(make("div", brief(data.value), "op"));
  }
  const list = element("changes");
  list.prepend(item);
  while (list.childElementCount > maxChanges) list.lastElementChild.remove();
}

function connected(text) {
  element("connection").textContent = text;
  element("connection").className = text;
}

// Who looks

async function reason(answer) {
  return (await answer.json().catch(() => null))?.detail ?? "The gateway does not answer.";
}

let stop = () => {};

function clear() {
  stop();
  stop = () => {};
  visit += 1;
  sources = [];
  values.clear();
  rows.clear();
  for (const id of ["sources", "changes"]) element(id).replaceChildren();
  element("none").hidden = true;
  showDetail();
}

function signOut(text) {
  key = "";
  enter(text);
}

// Asks who the visitor is, and shows what it may read.
async function enter(refusal = "") {
  clear();
  const now = visit;
  const answer = await fetch("/v1/me", { headers: credential() }).catch(() => null);
  if (now !== visit) return;
  if (!answer) {
    connected("reconnecting");
    setTimeout(() => { if (now === visit) enter(refusal); }, 2000);
    return;
  }
  if (!answer.ok && key) return signOut(await reason(answer));
  const me = answer.ok ? await answer.json() : { kind: "anonymous", read: [], admin: false };
  if (now !== visit) return;
  mayAdminister = me.admin;
  const mayRead = me.read.length > 0;
  element("caller").textContent = key ? me.id : "";
  element("caller").hidden = !key;
  element("session").textContent = key ? "Sign out" : "Sign in";
  element("session").hidden = !key && !mayRead;
  element("refusal").textContent = refusal;
  element("signin").hidden = mayRead && !refusal;
  if (!mayRead) return connected("signed out");
  open();
  refresh();
}

element("session").addEventListener("click", () => {
  if (key) return signOut();
  element("signin").hidden = !element("signin").hidden;
  element("credential").focus();
});

element("signin").addEventListener("submit", (event) => {
  event.preventDefault();
  key = element("credential").value.trim();
  element("credential").value = "";
  enter();
});

// An EventSource sends no key: the stream's URL has a ticket, which is worth nothing once the stream is open.
async function streamURL() {
  if (!key) return "/v1/streams/*";
  const body = JSON.stringify({ sources: "*" });
  const answer = await fetch("/v1/tickets", { method: "POST", headers: credential(), body });
  if (answer.ok) return "/v1/streams/*?ticket=" + encodeURIComponent((await answer.json()).ticket);
  const problem = await answer.json().catch(() => null);
  // Without `auth` no ticket is needed.
  if (problem?.code === "no_tickets") return "/v1/streams/*";
  throw problem;
}

async function open() {
  const now = visit;
  const again = () => setTimeout(() => { if (now === visit) open(); }, 2000);
  const url = await streamURL().catch(() => "");
  if (now !== visit) return;
  if (!url) {
    connected("reconnecting");
    return again();
  }
  // The page shows events, of sources that come and go, where a program would have values by the client: so it reads the
  // stream itself. The browser reconnects by itself, and the gateway sends what was missed, or snapshots.
  const stream = new EventSource(url);
  stop = () => stream.close();
  const on = (name, action) => stream.addEventListener(name, (event) => action(JSON.parse(event.data)));
  on("snapshot", (data) => changed("snapshot", data, data.value));
  on("patch", (data) => {
    if (values.has(data.source)) changed("patch", data, applyPatch(values.get(data.source), data.patch));
  });
  on("status", (status) => setState(status.source, status.state, status.error?.message));
  stream.onopen = () => { connected("live"); refresh(); };
  stream.onerror = () => {
    connected("reconnecting");
    // Given up by the browser: the credential has ended, or the answer was none of a stream.
    if (stream.readyState === EventSource.CLOSED) again();
  };
}

function changed(kind, data, value) {
  const before = values.has(data.source) ? { value: values.get(data.source) } : undefined;
  values.set(data.source, value);
  // A stream that is opened anew begins with what is known.
  if (kind !== "snapshot" || !before || !isEqual(before.value, value)) show(kind, data, before);
  if (data.source === chosen) showValue();
}

enter();
setInterval(() => { if (element("signin").hidden || sources.length > 0) refresh(); }, 2000);
