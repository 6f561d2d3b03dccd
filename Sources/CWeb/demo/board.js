// A board of orders that is read and written in several windows, with and without network: what the client is for.

import { connect } from "/client/offline.js";
import { showDecision } from "/demo/decision.js";

// Each status, what leads to the next, and what the way back is called.
const statuses = ["open", "packed", "sent"];
const steps = { open: "Pack", packed: "Send" };
const states = { connecting: "Connecting", live: "Live", offline: "Offline", denied: "Signed out", gone: "No orders here" };

const find = (id) => document.getElementById(id);
const copy = (id) => find(id).content.firstElementChild.cloneNode(true);
const capital = (word = "") => word.slice(0, 1).toUpperCase() + word.slice(1);

const collided = "Another person changed this order meanwhile.";

// The switch is for those who have no other way to be without network.
const isCut = () => find("cut").checked;
const gateway = connect("/", {
  fetch: (url, init = {}) => {
    if (isCut()) return Promise.reject(new TypeError("The network is switched off."));
    const { signal } = init;
    const abort = new AbortController();
    find("cut").addEventListener("change", () => abort.abort(new TypeError("The network was switched off.")), { once: true });
    signal?.addEventListener("abort", () => abort.abort(signal.reason), { once: true });
    return fetch(url, { ...init, signal: abort.signal });
  },
});
const orders = gateway.source("orders", { mode: "items" });

// Cards by key, and how many writes of each are under way.
const cards = new Map();
const pending = new Map();

const columns = statuses.map((status) => {
  const column = copy("column");
  column.id = status;
  column.querySelector(".name").textContent = capital(status);
  find("board").append(column);
  return column;
});

// Writes that this window made, and panels of refused writes that need a decision.
const own = new Set();
const panels = new Map();

/** Does a write, marks its card until it is settled, and shows what collided. */
async function write(key, title, made) {
  const count = (step) => {
    pending.set(key, (pending.get(key) ?? 0) + step);
    mark(key);
    showState();
  };
  own.add(made.id);
  count(1);
  try {
    await made;
  } catch ({ conflict, message }) {
    if (conflict) decide(made.id, { title, ...conflict, why: collided });
    else decide(made.id, { title, why: message });
  } finally {
    count(-1);
  }
}

function mark(key) { cards.get(key)?.classList.toggle("pending", pending.get(key) > 0); }

/** Shows a write that was refused, until there is a decision. The queue keeps it until then, for all windows. */
function decide(id, { title, why, base, theirs, mine, keepMine, merge }) {
  const parked = gateway.parked.find((one) => one.id === id);
  const again = (action) => () => {
    gateway.parked.find((one) => one.id === id)?.discard();
    const made = action();
    write(made.key, title, made);
  };
  const panel = showDecision(copy("conflict"), {
    title, why, base, theirs, mine, statuses,
    keepMine: keepMine ? again(keepMine) : parked && (() => write(parked.key, title, parked.retry())),
    keepTheirs: () => {
      if (parked) parked.discard();
      else close(id);
    },
    merge: merge && ((value) => again(() => merge(value))()),
  });
  panels.set(id, panel);
  find("conflicts").append(panel);
}

function close(id) {
  panels.get(id)?.remove();
  panels.delete(id);
}

function makeCard(key) {
  const card = copy("card");
  const item = orders.item(key);
  const titled = (made) => write(key, item.value?.title ?? key, made);
  const move = (step) => titled(item.patch({ status: statuses[statuses.indexOf(item.value.status) + step] }));
  const on = (name, type, action) => card.querySelector(name).addEventListener(type, action);
  on(".back", "click", () => move(-1));
  on(".on", "click", () => move(1));
  on(".remove", "click", () => titled(item.remove()));
  on(".note", "change", (event) => titled(item.patch({ note: event.target.value })));
  // Shows what others wrote while the field had the focus.
  on(".note", "blur", (event) => { event.target.value = item.value?.note ?? ""; });
  card.dataset.key = key;
  card.querySelector(".number").textContent = key.startsWith("~") ? "new" : `№ ${key}`;
  cards.set(key, card);
  mark(key);
  return card;
}

function showCard(card, { title, note, status }) {
  const place = Math.max(0, statuses.indexOf(status));
  const name = String(title ?? "Order without a title");
  const [back, next] = [".back", ".on"].map((one) => card.querySelector(one));
  card.querySelector(".title").textContent = name;
  back.hidden = place === 0;
  back.textContent = capital(statuses[place - 1]);
  back.ariaLabel = `Back to ${statuses[place - 1]}: ${name}`;
  next.hidden = place === statuses.length - 1;
  next.textContent = steps[statuses[place]] ?? "";
  next.ariaLabel = `${next.textContent} ${name}`;
  card.querySelector(".remove").ariaLabel = `Remove ${name}`;
  const field = card.querySelector(".note");
  field.ariaLabel = `Note on ${name}`;
  // A field with the focus keeps its text.
  if (document.activeElement !== field) field.value = note ?? "";
  return columns[place];
}

orders.subscribe((value) => {
  const focused = document.activeElement;
  for (const [key, card] of cards) {
    if (value?.has(key)) continue;
    card.remove();
    cards.delete(key);
  }
  const wanted = new Map(columns.map((column) => [column, []]));
  for (const [key, order] of value ?? []) {
    const card = cards.get(key) ?? makeCard(key);
    wanted.get(showCard(card, order)).push(card);
  }
  for (const [column, list] of wanted) {
    let next = column.querySelector(".cards").firstElementChild;
    for (const card of list) {
      if (card === next) next = next.nextElementSibling;
      else column.querySelector(".cards").insertBefore(card, next);
    }
    column.querySelector(".count").textContent = list.length || "";
    if (value) column.querySelector(".nothing").textContent = "No order";
  }
  // A card that is moved loses the focus.
  const card = focused?.closest?.(".card");
  if (!card?.isConnected || document.activeElement === focused) return;
  (focused.hidden ? card.querySelector(".actions button:not([hidden])") : focused).focus();
});

function showState() {
  const { state, reason, asOf } = orders;
  const waiting = [...pending.values()].reduce((sum, count) => sum + count, 0);
  const age = state === "offline" && asOf ? `, as of ${asOf.toLocaleTimeString()}` : "";
  const writes = waiting && state !== "live" ? ` · ${waiting} ${waiting === 1 ? "change waits" : "changes wait"}` : "";
  find("state").className = state;
  find("state").textContent = states[state] + age + writes;
  find("state").title = reason;
}

orders.onState(showState);

find("create").addEventListener("submit", (event) => {
  event.preventDefault();
  const title = find("title").value;
  find("title").value = "";
  const made = orders.create({ title, note: "", status: statuses[0] });
  write(made.key, title, made);
});

find("cut").addEventListener("change", () => gateway.retry());

// Writes that were refused before this window was loaded, or in another window.
gateway.onParked((parked) => {
  for (const id of [...panels.keys()]) if (!parked.some((one) => one.id === id)) close(id);
  for (const one of parked) {
    if (own.has(one.id) || panels.has(one.id)) continue;
    const item = orders.item(one.key);
    const { detail, code, current, conflicts } = one.problem;
    // `null`: it is not there any more.
    const theirs = current === undefined ? item.value : current ?? undefined;
    const mine = one.method === "PATCH" ? { ...theirs, ...one.value } : one.value;
    const isConflict = conflicts || current !== undefined;
    const before = conflicts?.map(({ path, base }) => [path.slice(1), base]);
    decide(one.id, {
      title: theirs?.title ?? mine?.title ?? one.key, why: isConflict ? collided : detail ?? code,
      ...(isConflict && {
        base: before && { ...theirs, ...Object.fromEntries(before) },
        theirs, mine, keepMine: () => one.retry(), merge: (value) => item.put(value),
      }),
    });
  }
});

globalThis.example = { gateway, orders };
