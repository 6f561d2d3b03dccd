// A board of orders that is read and written in several windows, with and without network: what the client is for.

import { connect } from "/client/offline.js";

const statuses = ["open", "packed", "sent"];
const find = (id) => document.getElementById(id);
const text = (value) => (value === undefined || value === "" ? "–" : String(value));

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

for (const status of statuses) {
  const column = document.createElement("section");
  const heading = document.createElement("h2");
  heading.textContent = status;
  column.id = status;
  column.append(heading);
  find("board").append(column);
}

// What was refused: panels by write, and the writes that this window made.
const panels = new Map();
const own = new Set();

/** Does a write, marks its card until it is settled, and shows what collided. */
async function write(key, title, made) {
  const count = (step) => {
    pending.set(key, (pending.get(key) ?? 0) + step);
    cards.get(key)?.classList.toggle("pending", pending.get(key) > 0);
  };
  own.add(made.id);
  count(1);
  try {
    await made;
  } catch ({ conflict, message }) {
    const why = conflict ? "Somebody else changed this order meanwhile." : message;
    showRefused(made.id, title, why, conflict, () => {
      const again = conflict.keepMine();
      write(again.key, title, again);
    });
  } finally {
    count(-1);
  }
}

/** Shows a write that was refused, until somebody decides. `again`, if there is one, does it on top of what is there. */
function showRefused(id, title, why, { base, theirs, mine } = {}, again = undefined) {
  const panel = find("conflict").content.firstElementChild.cloneNode(true);
  panel.querySelector("h3").textContent = title;
  panel.querySelector(".why").textContent = why;
  const fields = Object.keys({ ...base, ...theirs, ...mine }).filter((name) => theirs?.[name] !== mine?.[name]);
  for (const name of fields) {
    const row = panel.querySelector("tbody").insertRow();
    for (const value of [name, base?.[name], theirs?.[name], mine?.[name]]) row.insertCell().textContent = text(value);
  }
  if (!fields.length) panel.querySelector("table").remove();
  // The queue keeps what was refused until then, for all windows.
  const close = () => gateway.parked.find((one) => one.id === id)?.discard();
  panel.querySelector(".theirs").addEventListener("click", close);
  panel.querySelector(".mine").addEventListener("click", () => {
    close();
    again();
  });
  panels.set(id, panel);
  find("conflicts").append(panel);
}

function makeCard(key) {
  const card = find("card").content.firstElementChild.cloneNode(true);
  const item = orders.item(key);
  const change = (patch) => write(key, item.value?.title ?? key, item.patch(patch));
  const move = (step) => change({ status: statuses[statuses.indexOf(item.value.status) + step] });
  const on = (name, type, action) => card.querySelector(name).addEventListener(type, action);
  on(".back", "click", () => move(-1));
  on(".on", "click", () => move(1));
  on(".remove", "click", () => write(key, item.value?.title ?? key, item.remove()));
  on(".note", "change", (event) => change({ note: event.target.value }));
  card.dataset.key = key;
  cards.set(key, card);
  return card;
}

orders.subscribe((value) => {
  for (const [key, card] of cards) {
    if (value?.has(key)) continue;
    card.remove();
    cards.delete(key);
  }
  for (const [key, order] of value ?? []) {
    const card = cards.get(key) ?? makeCard(key);
    const place = statuses.indexOf(order.status);
    const column = find(statuses[place] ?? statuses[0]);
    if (card.parentNode !== column) column.append(card);
    card.querySelector("h3").textContent = text(order.title);
    card.querySelector(".back").disabled = place < 1;
    card.querySelector(".on").disabled = place === statuses.length - 1;
    card.classList.toggle("pending", pending.get(key) > 0);
    const note = card.querySelector(".note");
    // Nobody's typing is overwritten.
    if (document.activeElement !== note) note.value = order.note ?? "";
  }
});

orders.onState(({ state, reason }) => {
  const { asOf } = orders;
  const age = state === "offline" && asOf ? `, as of ${asOf.toLocaleTimeString()}` : "";
  find("state").className = state;
  find("state").textContent = state + age;
  find("state").title = reason;
});

find("create").addEventListener("submit", (event) => {
  event.preventDefault();
  const title = find("title").value;
  find("title").value = "";
  const made = orders.create({ title, note: "", status: statuses[0] });
  write(made.key, title, made);
});

find("cut").addEventListener("change", () => gateway.retry());

// What was refused in an earlier life of this window, or in another.
gateway.onParked((parked) => {
  for (const [id, panel] of panels) {
    if (parked.some((one) => one.id === id)) continue;
    panel.remove();
    panels.delete(id);
  }
  for (const one of parked) {
    if (own.has(one.id) || panels.has(one.id)) continue;
    const title = orders.item(one.key).value?.title ?? one.key;
    const { detail, code } = one.problem;
    showRefused(one.id, title, detail ?? code, { mine: one.value }, () => write(one.key, title, one.retry()));
  }
});

globalThis.example = { gateway, orders };
