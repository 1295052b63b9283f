import { axes, extent, html, linePath, scale, short, svg } from "./drawing.js";

/** Subsets whose accuracies decide the phase: style, key and words. */
export const SUBSETS = [
  { style: "test", key: "final_accuracy test", words: "test" },
  { style: "changed", key: "final_accuracy changed", words: "corrupted" },
  { style: "unchanged", key: "final_accuracy unchanged", words: "uncorrupted" },
];
const HEIGHT = 200; // of a figure, in pixels

/** A row for each seed of a cell, and one of means. */
export function drawSeeds(root, { sweep, at, columns, seed, choose }) {
  const { about } = sweep;
  const names = ["seed", about.by, ...columns.map((key) => sweep.measure(key).label)];
  const numbers = (value) => columns.map((key) =>
    html("td", { className: "number", textContent: short(value(key), 4) }));
  const rows = about.seeds.map((name, i) => {
    const { label, color, pattern } = sweep.phaseOf(at, i);
    const swatch = html("span", { className: `swatch ${pattern || "plain"}` });
    swatch.style.setProperty("--swatch", color);
    const button = html("button", { type: "button", textContent: name, onclick: () => choose(seed === i ? -1 : i) });
    button.setAttribute("aria-pressed", String(seed === i));
    const borderline = sweep.isBorderline(at, i) ? " (borderline)" : "";
    return html("tr", {}, html("th", { scope: "row" }, button),
      html("td", {}, swatch, label + borderline), ...numbers((key) => sweep.value(key, at, i)));
  });
  if (sweep.counts(at).counted > 1) {
    rows.push(html("tr", { className: "mean" }, html("th", { scope: "row", textContent: "mean" }), html("td"),
      ...numbers((key) => sweep.mean(key, at))));
  }
  const head = html("tr", {}, ...names.map((name) => html("th", { scope: "col", textContent: name })));
  root.replaceChildren(html("thead", {}, head), html("tbody", {}, ...rows));
}

/** Numbers along one axis through the open cell: means as lines, seeds as dots. */
export function drawAcross(root, { sweep, axis, cell, keys, range }) {
  const { label, values } = sweep.about.axes[axis];
  const cells = values.map((_, place) => sweep.at(cell.map((own, i) => (i === axis ? place : own))));
  const places = values.map((_, i) => i);
  const { area, x, y, parts } = frame(root, {
    xRange: [0, Math.max(1, values.length - 1)], yRange: range, xTitle: label,
    yTitle: keys.length > 1 ? "accuracy" : sweep.measure(keys[0])?.label ?? "",
    xNames: values,
  });
  keys.forEach((key, k) => {
    const name = keys.length > 1 ? SUBSETS[k].style : "single";
    const means = cells.map((at) => sweep.mean(key, at));
    parts.push(svg("path", { d: linePath(places, means, x, y), class: `line ${name}` }));
    cells.forEach((at, i) => sweep.about.seeds.forEach((_, seed) => {
      const value = sweep.value(key, at, seed);
      if (!sweep.isCounted(at, seed) || !Number.isFinite(value)) return;
      parts.push(svg("circle", { cx: x(i), cy: y(value), r: 2.5, class: `dot ${name}` }));
    }));
  });
  parts.push(svg("line", { x1: x(cell[axis]), x2: x(cell[axis]), y1: area.top, y2: area.bottom, class: "now" }));
  const here = keys.map((key) => `${sweep.measure(key).label} ${short(sweep.mean(key, cells[cell[axis]]))}`);
  root.setAttribute("aria-label", `Against ${label}, here: ${here.join(", ")}`);
  root.replaceChildren(...parts);
}

/** How many neurons have which IPR, of one seed or of all; false if none was measured. */
export function drawHistogram(root, { sweep, at, seed }) {
  const { shape, values } = sweep.arrays.histogram;
  const bins = shape[2];
  const seeds = sweep.about.seeds.map((_, i) => i).filter((i) => seed < 0 || i === seed);
  const counts = Array.from({ length: bins }, (_, bin) =>
    seeds.reduce((sum, i) => sum + values[(at * sweep.seeds + i) * bins + bin], 0));
  const total = counts.reduce((sum, count) => sum + count, 0);
  const { x, y, parts } = frame(root, {
    xRange: [0, 1], yRange: [0, Math.max(1, ...counts)], xTitle: "IPR of a neuron", yTitle: "neurons",
  });
  counts.forEach((count, bin) => {
    const box = { x: x(bin / bins) + 0.5, width: x(1 / bins) - x(0) - 1, y: y(count), height: y(0) - y(count) };
    if (count) parts.push(svg("rect", { ...box, class: "bar single" }));
  });
  root.setAttribute("aria-label", `Histogram of the IPR of ${total} living neurons`);
  root.replaceChildren(...parts);
  return total > 0;
}

/** What was stored over a further dimension, a line for each seed. */
export function drawStored(root, { sweep, at, seed, key, along }) {
  const { shape, values } = sweep.arrays[key];
  const length = shape[2];
  const lines = sweep.about.seeds.map((_, i) =>
    Array.from(values.slice((at * sweep.seeds + i) * length, (at * sweep.seeds + i + 1) * length)));
  const { x, y, parts } = frame(root, {
    xRange: [0, Math.max(1, length - 1)], yRange: extent(lines.flat(), 0.04), xTitle: along, yTitle: "",
  });
  const places = lines[0].map((_, i) => i);
  lines.forEach((line, i) => {
    if (seed < 0 || seed === i) parts.push(svg("path", { d: linePath(places, line, x, y), class: "line single" }));
  });
  root.setAttribute("aria-label", `Against ${along}, a line for each seed`);
  root.replaceChildren(...parts);
}

/** The axes of a figure; with `xNames`, places along the axis have names. */
function frame(root, { xRange, yRange, xTitle, yTitle, xNames }) {
  const width = root.clientWidth || 360;
  const area = { left: 46, right: width - 16, top: 26, bottom: HEIGHT - 40 };
  const x = scale(xRange, [area.left, area.right]);
  const y = scale(yRange, [area.bottom, area.top]);
  const parts = [axes(area, { x, y, xRange, yRange, xTitle, yTitle, xTicks: xNames ? [] : undefined })];
  const longest = Math.max(...(xNames ?? [""]).map((name) => name.length)) * 6.6 + 8;
  const every = Math.max(1, Math.ceil((longest * (xNames?.length ?? 1)) / (area.right - area.left)));
  (xNames ?? []).forEach((name, i) => {
    if (i % every) return;
    parts.push(svg("text", { x: x(i), y: area.bottom + 16, "text-anchor": "middle" }, name));
  });
  root.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
  return { area, x, y, parts };
}
