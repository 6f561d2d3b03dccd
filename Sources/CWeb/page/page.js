// The page at `/`: which view is shown, whether the gateway answers, who reads it, and the keyboard.

import { copyButton, element, setClock, setText, stamp } from "./elements.js";
import { gateway } from "./gateway.js";
import { addressOf, forgetChanges, noteChange, overview, sorted } from "./overview.js";
import { sourcePage } from "./source.js";
import { clockTime, plain, until } from "./words.js";

/** `needsKey`: this gateway answers only callers that it knows. */
const page = { gateway, whole: {}, rows: new Map(), sources: [], needsKey: false };
const wholeMilliseconds = 5000;
const drawMilliseconds = 250;
let view = null;
let shownState = "";
/** How many rows the stream said there are; undefined until it has begun. */
let expected;

// Views

function enter(made, key, takesFocus) {
  view?.left?.();
  view = made;
  shownState = key;
  element("main").replaceChildren(made.root);
  made.entered?.();
  made.update?.();
  for (const block of element("main").querySelectorAll("[data-copy]")) {
    const button = copyButton(block);
    const frame = document.createElement("div");
    frame.className = "copyable";
    block.replaceWith(frame);
    frame.append(block, button);
  }
  if (takesFocus) element("main").querySelector("h1").focus();
  scrollTo(0, 0);
}

const isWhole = () => expected !== undefined && page.rows.size >= expected;

/** The parts of the address behind `#`: `#/`, `#/sources/NAME`, `…/at/CURSOR`, `…/SECTION`; a name alone is a source. */
function address() {
  const parts = location.hash.slice(1).split("/").map((part) => {
    try { return decodeURIComponent(part); } catch { return part; }
  });
  return parts.length === 1 && page.rows.has(parts[0]) ? ["", "sources", parts[0]] : parts;
}

function route(takesFocus = true) {
  const [, kind, name = "", token, cursor] = address();
  if (["sign-in", "unreachable"].includes(shownState) && expected === undefined) return;
  if (expected === undefined) return;
  if (kind === "sources" && page.rows.has(name)) {
    if (shownState !== `source ${name}`) enter(sourcePage(page, name), `source ${name}`, takesFocus);
    if (token) view.go(token, cursor);
    return;
  }
  if (!isWhole()) return;
  if (kind === "sources" && page.sources.length) {
    return show("unknown", takesFocus, (fields) => setText(fields.name, plain(name)), ` ${name}`);
  }
  if (page.sources.length === 0) return show("no-source", takesFocus);
  if (shownState !== "overview") enter(overview(page), "overview", takesFocus);
}

/** A view that is only a template. */
function show(id, takesFocus, fill, suffix = "") {
  if (shownState === id + suffix) return;
  const { root, fields } = stamp(id);
  fill?.(fields);
  enter({ root }, id + suffix, takesFocus);
}

function showUnreachable(fields) {
  setText(fields.address, gateway.address);
  setText(fields.live, `${gateway.address}/livez`);
  fields.retry.addEventListener("click", () => { start(); });
}

function showSignIn(fields) {
  setText(fields.refusal, refusal);
  fields.key.form.addEventListener("submit", (event) => {
    event.preventDefault();
    gateway.signIn(fields.key.value);
    start(true);
  });
}

// Who reads

let refusal = "";

/** Shows the form; `problem` says why. */
function signIn(problem) {
  refusal = gateway.hasKey ? problem.detail ?? "The gateway does not know this key, or the key has expired." : "";
  gateway.signOut();
  page.needsKey = true;
  stopFollowing();
  connected("Signed out", "");
  shownState = "";
  show("sign-in", false, showSignIn);
  showCaller();
  if (refusal) element("key")?.focus();
}

function showCaller() {
  const { caller } = page.whole;
  setText(element("caller"), gateway.hasKey && caller ? plain(caller.id) : "");
  element("caller").hidden = !gateway.hasKey || !caller;
  setText(element("session"), gateway.hasKey ? "Sign out" : "Sign in");
  element("session").hidden = shownState === "sign-in" || (!gateway.hasKey && caller?.admin === true);
}

/** Forgets what one reader was shown before another reads. */
function forget() {
  stopFollowing();
  page.rows.clear();
  page.sources = [];
  page.whole = {};
  forgetChanges();
  expected = undefined;
}

element("session").addEventListener("click", () => {
  const wasIn = gateway.hasKey;
  gateway.signOut();
  forget();
  if (wasIn) return void start();
  shownState = "";
  show("sign-in", true, showSignIn);
  connected("Signed out", "");
  element("session").hidden = true;
});

/** Asks who the reader is, and follows what it may read. */
async function start(takesFocus = false) {
  forget();
  try {
    page.whole = await gateway.whole();
  } catch (problem) {
    if (problem.status === 401 || problem.status === 403) return signIn(problem.problem);
    connected("No answer", "lost");
    show("unreachable", false, showUnreachable);
    setTimeout(() => { if (shownState === "unreachable") start(); }, 2000);
    return;
  }
  if (page.whole.caller.read?.length === 0 && !page.whole.caller.admin) {
    const mayNothing = { detail: "This key may read no source." };
    return signIn(gateway.hasKey ? mayNothing : {});
  }
  page.needsKey ||= gateway.hasKey && page.whole.caller.kind !== "administrator";
  if (["sign-in", "unreachable"].includes(shownState)) shownState = "";
  setText(element("version"), page.whole.version ? `Freshet ${page.whole.version}` : "");
  showCaller();
  followRows(takesFocus);
}

// The gateway

function connected(word, state) {
  setText(element("connection"), word);
  element("connection").className = `connection ${state}`;
}

let following = new AbortController();
let isDue = false;

function stopFollowing() {
  following.abort();
  following = new AbortController();
  element("banner").hidden = true;
  document.body.classList.remove("out-of-date");
}

/** Draws soon, once for all rows that come together. */
function draw(takesFocus = false) {
  if (isDue) return;
  isDue = true;
  setTimeout(() => {
    isDue = false;
    page.sources = [...page.rows.values()];
    if (view?.update && expected !== undefined) view.update();
    route(takesFocus);
  }, shownState ? drawMilliseconds : 20);
}

function followRows(takesFocus) {
  gateway.rows({
    signal: following.signal,
    opened() {
      connected("Live", "live");
      element("banner").hidden = true;
      document.body.classList.remove("out-of-date");
      view?.opened?.();
    },
    on({ type, data }) {
      if (type === "hello") {
        if (!data.resumed) page.rows.clear();
        expected = data.sources;
        // A source that was removed in this very moment is not waited for.
        setTimeout(() => {
          if (isWhole() || expected === undefined) return;
          expected = page.rows.size;
          draw();
        }, 5000);
      } else if (type === "row") {
        page.rows.set(data.name, data);
        noteChange(data);
        view?.changed?.(data);
      } else if (type === "removed") {
        page.rows.delete(data.name);
        expected = Math.min(expected, page.rows.size);
      }
      // A row of a source that came later is beyond what was said at the start.
      if (isWhole() || type === "removed") draw(takesFocus);
    },
    lost({ error, retryAt }) {
      if (error?.status === 401 || error?.status === 403) return signIn(error.problem);
      connected("Reconnecting", "lost");
      const countdown = document.createElement("span");
      countdown.ariaHidden = "true";
      setClock(countdown, () => ` Trying again in ${until(retryAt)}.`);
      const lost = `The connection to the gateway is lost. What you see is as of ${clockTime(Date.now())}.`;
      element("banner").replaceChildren(lost, countdown);
      element("banner").hidden = false;
      document.body.classList.add("out-of-date");
    },
  });
}

async function refresh() {
  if (document.hidden || expected === undefined) return;
  const now = following;
  const whole = await gateway.whole().catch(() => null);
  if (!whole || now !== following) return;
  page.whole = whole;
  showCaller();
  view?.update?.();
}

// The keyboard

const storage = {
  get: () => { try { return localStorage.getItem("shortcuts"); } catch { return null; } },
  set: (value) => { try { localStorage.setItem("shortcuts", value); } catch { /* Holds until the page is closed. */ } },
};
let areShortcutsOn = storage.get() !== "off";

function neighbour(by) {
  if (!view?.name) return view?.step?.(by);
  const order = sorted(page.sources).map(({ name }) => name);
  location.hash = addressOf(order.at((order.indexOf(view.name) + by) % order.length));
}

const shortcuts = {
  "/": () => view?.filter?.focus(),
  "?": () => element("shortcuts").showModal(),
  j: () => neighbour(1),
  k: () => neighbour(-1),
  u: () => { location.hash = "#/"; },
  "[": () => view?.name && view.step?.(-1),
  "]": () => view?.name && view.step?.(1),
};

document.addEventListener("keydown", (event) => {
  const isTyping = event.target.matches?.("input:not([type=range], [type=checkbox])");
  if (event.key === "Escape" && event.target === view?.filter) event.target.blur();
  if (isTyping || event.ctrlKey || event.metaKey || event.altKey || document.querySelector("dialog[open]")) return;
  if (!areShortcutsOn || !Object.hasOwn(shortcuts, event.key)) return;
  event.preventDefault();
  shortcuts[event.key]();
});

element("keys").addEventListener("click", shortcuts["?"]);
element("shortcuts-on").checked = areShortcutsOn;
element("shortcuts-on").addEventListener("change", ({ target }) => {
  areShortcutsOn = target.checked;
  storage.set(target.checked ? "on" : "off");
});
element("skip").addEventListener("click", (event) => { event.preventDefault(); element("main").focus(); });
for (const dialog of document.querySelectorAll("dialog")) {
  dialog.addEventListener("click", ({ target }) => { if (target.value) dialog.close(target.value); });
}

setText(element("host"), location.host);
addEventListener("hashchange", () => { takeKey() ? start() : route(); });

/** `#key=KEY`, as the program prints it at its start: the key leaves the address at once. */
function takeKey() {
  if (!location.hash.startsWith("#key=")) return false;
  try { gateway.signIn(decodeURIComponent(location.hash.slice(5))); } catch { /* No key is written so. */ }
  history.replaceState(null, "", location.pathname + location.search);
  return true;
}

setInterval(refresh, wholeMilliseconds);
document.addEventListener("visibilitychange", refresh);
takeKey();
start();
// The page opens where its gateway is down; elsewhere than on localhost and under TLS browsers have no such thing.
navigator.serviceWorker?.register("/page.worker.js").catch(() => {});
