// A write that was refused: both sides, and what can be done.

const same = (one, other) => JSON.stringify(one) === JSON.stringify(other);
const text = (value) => (value === undefined || value === "" ? "–" : String(value));

/** A field for the value that both agree on. It begins with both texts, one after the other. */
function fieldFor(name, theirs, mine, statuses) {
  if (name === "status") {
    const select = document.createElement("select");
    select.append(...statuses.map((status) => new Option(status, status, false, status === mine)));
    return select;
  }
  const field = document.createElement("input");
  field.className = "field";
  field.maxLength = 200;
  field.value = [theirs, mine].filter((part) => part !== undefined && part !== "").join(", ");
  return field;
}

/**
 * Fills a panel. Of the three choices `keepMine`, `keepTheirs` and `merge(value)`, those that are missing are not offered. An
 * `undefined` side stands for an order that does not exist.
 */
export function showDecision(panel, { title, why, base, theirs, mine, statuses, keepMine, keepTheirs, merge }) {
  const part = (name) => panel.querySelector(name);
  const isConflict = theirs !== undefined || mine !== undefined;
  part(".title").textContent = title;
  part(".why").textContent = why;
  const names = Object.keys({ ...base, ...theirs, ...mine }).filter((name) => !same(theirs?.[name], mine?.[name]));
  const both = names.filter((name) => !same(base?.[name], mine?.[name]) && !same(base?.[name], theirs?.[name]));
  const isWhole = theirs === undefined || mine === undefined;
  const shown = isWhole || !both.length ? names : both;
  const fields = new Map();
  const row = (name, cells) => {
    const line = part("tbody").insertRow();
    const head = document.createElement("th");
    head.scope = "row";
    head.textContent = name;
    line.append(head);
    cells.forEach((value, index) => {
      const cell = line.insertCell();
      const shownText = document.createElement("span");
      cell.dataset.label = ["Before", "Theirs", "Mine"][index];
      shownText.textContent = value;
      cell.append(shownText);
    });
    return line;
  };
  const side = (value, name) => (value === undefined ? "removed" : text(value[name]));
  for (const name of isConflict ? shown : []) {
    const line = row(name, [base ? text(base[name]) : "–", side(theirs, name), side(mine, name)]);
    if (!merge || isWhole) continue;
    const field = fieldFor(name, theirs[name], mine[name], statuses);
    field.ariaLabel = `Together: ${name}`;
    fields.set(name, field);
    const cell = line.insertCell();
    cell.dataset.label = "Together";
    cell.append(field);
  }
  if (!isConflict || !shown.length) part("table").remove();
  if (!fields.size) {
    part(".together")?.remove();
    part(".merge").remove();
  }
  const offer = (name, words, action) => {
    const button = part(name);
    if (!button) return;
    button.hidden = !action;
    button.textContent = words;
    button.addEventListener("click", () => action());
  };
  offer(".mine", isConflict ? "Keep mine" : "Try again", keepMine);
  offer(".theirs", isConflict ? "Take theirs" : "Give it up", keepTheirs);
  offer(".merge", "Save together", fields.size && (() => {
    // A member that one side alone changed keeps that change.
    const ours = Object.keys(mine).filter((name) => !same(base?.[name], mine[name])).map((name) => [name, mine[name]]);
    const agreed = [...fields].map(([name, field]) => [name, field.value]);
    merge({ ...theirs, ...Object.fromEntries([...ours, ...agreed]) });
  }));
  return panel;
}
