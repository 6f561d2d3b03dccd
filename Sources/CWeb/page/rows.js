// The rows of the sources: a few as they are, of very many only those that can be seen.

import { make, stamp } from "./elements.js";

/** So many rows are made whole. */
const few = 60;
/** Rows above and below what can be seen. */
const margin = 8;

/** Shows sources as rows of `fields.rows`; `fill(cells, source)` writes one. */
export function rowList(fields, fill) {
  const made = new Map();
  const [above, below] = [0, 1].map(() => {
    const line = make("tr", "spacer", make("td"));
    line.setAttribute("role", "presentation");
    return line;
  });
  let sources = [];
  let height = 0;
  let isWaiting = false;

  const isMany = () => sources.length > few;

  function line(source, index) {
    if (!made.has(source.name)) {
      const { root, fields: cells } = stamp("row");
      made.set(source.name, { cells: { ...cells, line: root.firstElementChild } });
    }
    const known = made.get(source.name);
    if (known.source !== source) {
      known.source = source;
      fill(known.cells, source);
    }
    known.cells.line.setAttribute("aria-rowindex", index + 2);
    return known.cells.line;
  }

  /** Which rows can be seen, with a few around them. */
  function range() {
    if (!isMany() || !height) return [0, Math.min(sources.length, few)];
    const top = -fields.rows.getBoundingClientRect().top;
    const first = Math.max(0, Math.floor(top / height) - margin);
    const last = Math.min(sources.length, Math.ceil((top + innerHeight) / height) + margin);
    return [Math.min(first, sources.length), Math.max(last, first)];
  }

  function draw() {
    isWaiting = false;
    fields.table.classList.toggle("many", isMany());
    fields.table.setAttribute("aria-rowcount", sources.length + 1);
    let [first, last] = range();
    const held = focusedIndex();
    const shown = sources.slice(first, last).map((source, index) => line(source, first + index));
    // What has the focus stays, wherever it is.
    if (held >= 0 && (held < first || held >= last)) shown[held < first ? "unshift" : "push"](line(sources[held], held));
    const lines = isMany() ? [above, ...shown, below] : shown;
    const { children } = fields.rows;
    const isSame = lines.length === children.length && lines.every((one, index) => children[index] === one);
    if (!isSame) replace(lines);
    if (!isMany()) return;
    if (!height) {
      height = shown[0]?.getBoundingClientRect().height ?? 0;
      if (height) return draw();
    }
    const spaced = (node, rows) => node.firstElementChild.setAttribute("height", Math.max(0, Math.round(rows * height)));
    spaced(above, first - (held >= 0 && held < first ? 1 : 0));
    spaced(below, sources.length - last - (held >= last ? 1 : 0));
    if (made.size > 4 * few) forget(new Set(sources.slice(first, last).map(({ name }) => name)));
  }

  /** Puts the rows in place; one that stays is not moved, so that it keeps the focus. */
  function replace(lines) {
    const kept = new Set(lines);
    for (const child of [...fields.rows.children]) if (!kept.has(child)) child.remove();
    lines.forEach((one, index) => {
      if (fields.rows.children[index] !== one) fields.rows.insertBefore(one, fields.rows.children[index] ?? null);
    });
  }

  function forget(names) {
    for (const [name, { cells }] of made) if (!names.has(name) && !cells.line.isConnected) made.delete(name);
  }

  function focusedIndex() {
    const row = document.activeElement?.closest?.("tbody tr");
    if (!row || row.parentElement !== fields.rows) return -1;
    return sources.findIndex(({ name }) => made.get(name)?.cells.line === row);
  }

  function look() {
    if (isWaiting || !isMany()) return;
    isWaiting = true;
    requestAnimationFrame(draw);
  }

  function resized() {
    height = 0;
    look();
  }

  return {
    show(next) {
      sources = next;
      draw();
    },
    step(by) {
      if (!sources.length) return;
      const index = (focusedIndex() + by + (by < 0 && focusedIndex() < 0 ? 1 : 0) + sources.length) % sources.length;
      if (isMany() && height) {
        const top = fields.rows.getBoundingClientRect().top + scrollY + index * height;
        if (top < scrollY || top + height > scrollY + innerHeight) scrollTo(0, top - innerHeight / 2);
        draw();
      }
      line(sources[index], index).querySelector("a")?.focus({ preventScroll: isMany() });
    },
    toTop() {
      if (isMany() && fields.table.getBoundingClientRect().top < 0) fields.table.scrollIntoView();
    },
    entered() {
      addEventListener("scroll", look, { passive: true });
      addEventListener("resize", resized);
    },
    left() {
      removeEventListener("scroll", look);
      removeEventListener("resize", resized);
    },
  };
}
