// Elements of the page. Whatever comes from a source, an upstream or a configuration becomes a text node, never markup.

import { count, literal, plain, plural, stateWord } from "./words.js";

export const element = (id) => document.getElementById(id);

/** A copy of a template, and those of its elements that have a `data-field`, by that name. */
export function stamp(id) {
  const root = element(id).content.cloneNode(true);
  const fields = {};
  for (const node of root.querySelectorAll("[data-field]")) fields[node.dataset.field] = node;
  return { root, fields };
}

/** An element; strings among the children become text nodes. */
export function make(tag, className, ...children) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

export function link(href, text, className) {
  const made = make("a", className, text);
  made.href = href;
  return made;
}

export function drawing(tag, attributes, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/** Sets text only where it differs, so that selections stay and screen readers hear no repetition. */
export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

const clocks = new Map();
/** Text that depends on the time, kept right while the node is on the page. */
export function setClock(node, text) {
  clocks.set(node, text);
  setText(node, text());
  return node;
}
setInterval(() => {
  for (const [node, text] of clocks) node.isConnected ? setText(node, text()) : clocks.delete(node);
}, 1000);

export function setState(node, state) {
  node.className = `state ${state}`;
  setText(node, stateWord(state));
}

/** Changes an hour as bars, the newest on the right; red below where polls failed. */
function sparkline(changes, failures = []) {
  const sum = (numbers) => numbers.reduce((total, number) => total + number, 0);
  const most = Math.max(1, ...changes);
  const failed = sum(failures) ? `; ${plural(sum(failures), "failed poll")}` : "";
  const label = `${plural(sum(changes), "change")} in 24 hours, at most ${count(most)} in one${failed}`;
  const bars = changes.map((number, hour) => {
    const height = number ? Math.max(2, (22 * number) / most) : 1;
    return drawing("rect", { x: hour * 5, y: 23 - height, width: 4, height, class: number ? "some" : "none" });
  });
  const marks = failures.flatMap((number, hour) =>
    number ? [drawing("rect", { x: hour * 5, y: 24, width: 4, height: 3, class: "failed" })] : []);
  return drawing("svg", { viewBox: "0 0 119 27", class: "spark", role: "img", "aria-label": label }, ...bars, ...marks);
}

/** Redraws only where the numbers differ: a thousand rows have a thousand of them. */
export function setSparkline(node, changes, failures) {
  const shown = `${changes} ${failures ?? ""}`;
  if (node.dataset.shown === shown) return;
  node.dataset.shown = shown;
  node.replaceChildren(sparkline(changes, failures));
}

/** One value before and after. */
export function leaf({ key, old, new: now }) {
  const side = (tag, word, value) => make(tag, "data", make("span", "unseen", `${word} `), literal(value));
  const node = make("span", "leaf");
  if (key) node.append(make("span", "key data", plain(key)), " ");
  if (old !== undefined) node.append(side("del", "was", old));
  if (old !== undefined && now !== undefined) node.append(make("span", "arrow", " → "));
  if (now !== undefined) node.append(side("ins", "now", now));
  return node;
}

/** Puts text on the clipboard, or selects it where the browser allows no more (plain HTTP from another machine). */
export async function copy(node, button) {
  const word = button.textContent;
  try {
    await navigator.clipboard.writeText(node.textContent);
    setText(button, "Copied");
  } catch {
    getSelection().selectAllChildren(node);
    setText(button, "Selected");
  }
  setTimeout(() => setText(button, word), 1500);
}

export function copyButton(node) {
  const button = make("button", "quiet", "Copy");
  button.type = "button";
  button.addEventListener("click", () => copy(node, button));
  return button;
}

/** Says what an action will do and asks whether to do it; without `yes` it only says. */
export function ask(question, effects, yes) {
  const dialog = element("confirm");
  const [no, confirm] = dialog.querySelectorAll("button");
  setText(element("confirm-title"), question);
  element("confirm-effects").replaceChildren(...effects.map((effect) => make("li", "", effect)));
  setText(no, yes ? "Cancel" : "Close");
  setText(confirm, yes ?? "");
  confirm.hidden = !yes;
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((answer) => {
    dialog.addEventListener("close", () => answer(dialog.returnValue === "yes"), { once: true });
  });
}
