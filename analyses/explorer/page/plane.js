import { html, short, svg } from "./drawing.js";

const PATTERNS = {
  hatched: ["path", { d: "M-1 7L7 -1M-1 1L1 -1M5 7L7 5" }],
  dotted: ["circle", { cx: 3, cy: 3, r: 0.9 }],
};

/** The cells of a sweep on two of its axes. */
export class Plane {
  /**
   * @param {SVGElement} root
   * @param {object} hears
   * @param {(i: number, j: number) => void} hears.open a cell, by its places on the two axes
   * @param {(change: number) => void} hears.turn to the next plane or the one before
   */
  constructor(root, hears) {
    this.root = root;
    this.hears = hears;
    root.addEventListener("click", (event) => {
      const place = event.target.closest("[data-cell]")?.dataset.cell.split(",").map(Number);
      if (place) hears.open(...place);
    });
    root.addEventListener("keydown", (event) => this.#key(event));
  }

  /**
   * @param {object} shown
   * @param {{label: string, values: string[]}} shown.x axis to the right
   * @param {{label: string, values: string[]}} shown.y axis upward
   * @param {number[]} shown.open places of the open cell
   * @param {(i: number, j: number) => {fill: string, mark: string, dot: boolean, words: string}} shown.look
   */
  draw(shown) {
    this.shown = shown;
    const { x, y, open, look } = shown;
    const width = this.root.clientWidth || 560;
    const longest = (values) => Math.max(...values.map((value) => value.length)) * 6.6;
    const left = Math.min(130, longest(y.values)) + (y.label ? 12 : 4);
    const across = (width - left - 10) / x.values.length;
    const up = Math.max(4, Math.min(420 / y.values.length, 52));
    const top = y.label ? 24 : 4;
    const bottom = top + up * y.values.length;
    const height = bottom + (x.label ? 44 : 8);
    const cells = svg("g", { class: "cells" });
    const marks = svg("g", { class: "marks" });
    x.values.forEach((_, i) => y.values.forEach((__, j) => {
      const { fill, mark, dot, words } = look(i, j);
      const [at, from] = [left + i * across, bottom - (j + 1) * up];
      cells.append(svg("rect", {
        x: at, y: from, width: across, height: up, fill, "data-cell": `${i},${j}`,
      }, svg("title", {}, words)));
      const middle = { x: at + across / 2, y: from + up / 2 };
      if (mark && (across < 22 || up < 14)) marks.append(cross(middle, Math.min(across, up)));
      else if (mark) marks.append(svg("text", { ...middle, dy: "0.35em" }, mark));
      if (dot) marks.append(svg("circle", { cx: middle.x, cy: middle.y, r: 1.6 }));
    }));
    const [i, j] = open;
    const mark = { x: left + i * across, y: bottom - (j + 1) * up, width: across, height: up };
    const around = { x: mark.x - 1, y: mark.y - 1, width: across + 2, height: up + 2 };
    this.root.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.root.replaceChildren(
      patterns(), cells, marks,
      svg("rect", { ...around, class: "halo" }), svg("rect", { ...mark, class: "open" }),
      this.#ticks(left, bottom, across, up, longest), ...this.#titles(left, width, bottom),
    );
  }

  #ticks(left, bottom, across, up, longest) {
    const { x, y } = this.shown;
    const group = svg("g", { class: "axes" });
    const every = (room, size) => Math.max(1, Math.ceil(size / room));
    const [stepX, stepY] = [every(across, longest(x.values) + 8), every(up, 15)];
    const most = Math.max(3, Math.floor((stepX * across) / 6.6));
    x.values.forEach((value, i) => {
      if (i % stepX || !x.label) return;
      const text = { x: left + (i + 0.5) * across, y: bottom + 16, "text-anchor": "middle" };
      group.append(svg("text", text, clipped(value, most)));
    });
    y.values.forEach((value, j) => {
      if (j % stepY || !y.label) return;
      const text = { x: left - 6, y: bottom - (j + 0.5) * up + 4, "text-anchor": "end" };
      group.append(svg("text", text, clipped(value, 19)));
    });
    return group;
  }

  #titles(left, width, bottom) {
    const { x, y } = this.shown;
    const middle = { x: (left + width - 10) / 2, y: bottom + 36, "text-anchor": "middle", class: "title" };
    return [svg("text", middle, x.label), svg("text", { x: 2, y: 13, class: "title" }, y.label)];
  }

  #key(event) {
    const { x, y, open: [i, j] } = this.shown;
    const [right, top] = [x.values.length - 1, y.values.length - 1];
    const to = {
      ArrowRight: [i + 1, j], ArrowLeft: [i - 1, j], ArrowUp: [i, j + 1], ArrowDown: [i, j - 1],
      Home: [0, j], End: [right, j],
    }[event.key];
    const turn = { PageUp: 1, PageDown: -1 }[event.key];
    if (turn) this.hears.turn(turn);
    else if (to) this.hears.open(Math.max(0, Math.min(right, to[0])), Math.max(0, Math.min(top, to[1])));
    else return;
    event.preventDefault();
  }
}

/** The plane as a table: rows from top to bottom as in the figure. */
export function drawTable(root, { x, y, open, words }) {
  const head = html("tr", {}, html("th", { scope: "col", textContent: `${y.label} \\ ${x.label}` }),
    ...x.values.map((value) => html("th", { scope: "col", textContent: value })));
  const rows = y.values.map((value, j) => html("tr", {}, html("th", { scope: "row", textContent: value }),
    ...x.values.map((_, i) => {
      const cell = html("td", { textContent: words(i, j) });
      if (i === open[0] && j === open[1]) cell.setAttribute("aria-current", "true");
      return cell;
    }))).reverse();
  root.replaceChildren(html("thead", {}, head), html("tbody", {}, ...rows));
}

/** What the colours mean. */
export function drawLegend(root, { phases, marks, measure, colour }) {
  const parts = phases.map(({ label, color, pattern }) => {
    const swatch = html("span", { className: `swatch ${pattern || "plain"}` });
    swatch.style.setProperty("--swatch", color);
    return html("li", {}, swatch, label);
  });
  if (measure) {
    const bar = html("span", { className: "scale" });
    const stops = Array.from({ length: 9 }, (_, i) => colour(i / 8));
    bar.style.background = `linear-gradient(to right, ${stops.join(",")})`;
    const [low, high] = measure.range.map((value) => short(value));
    parts.unshift(html("li", {}, `${measure.label} ${low} `, bar, ` ${high}${measure.log ? ", logarithmic" : ""}`));
  }
  root.replaceChildren(...parts, ...marks.map((text) => html("li", { textContent: text })));
}

function cross({ x, y }, size) {
  const r = Math.min(4, size / 3);
  return svg("path", { d: `M${x - r} ${y - r}l${2 * r} ${2 * r}m0 ${-2 * r}l${-2 * r} ${2 * r}`, class: "cross" });
}

function patterns() {
  const found = Object.entries(PATTERNS).map(([id, [tag, attributes]]) =>
    svg("pattern", { id, width: 6, height: 6, patternUnits: "userSpaceOnUse" },
      svg("rect", { width: 6, height: 6, fill: "#fff" }), svg(tag, { ...attributes, class: `pattern ${id}` })));
  return svg("defs", {}, ...found);
}

function clipped(text, most) {
  return text.length > most ? `${text.slice(0, most - 1)}…` : text;
}
