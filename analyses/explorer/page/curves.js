import { axes, linePath, scale, short, svg } from "./drawing.js";

/** The parts of all pairs, in the order of their codes, with the class of their style. */
export const SUBSETS = ["test", "changed", "unchanged"];

/**
 * Share of right answers in each subset; NaN for an empty one.
 *
 * @param {Uint16Array} classes answered
 * @param {Uint16Array} labels given in training
 * @param {Uint8Array} subsets codes
 */
export function accuracies(classes, labels, subsets) {
  const right = [0, 0, 0];
  const count = [0, 0, 0];
  for (let pair = 0; pair < classes.length; pair++) {
    count[subsets[pair]]++;
    if (classes[pair] === labels[pair]) right[subsets[pair]]++;
  }
  return right.map((n, i) => n / count[i]);
}

/** Numbers of removed units at which a curve is computed, from 0 to all. */
export function curvePoints(width, most = 100) {
  const count = Math.min(width, most);
  return Array.from({ length: count + 1 }, (_, i) => Math.round((i * width) / count));
}

/** Accuracy against step, and the step that is shown. */
export class Ruler {
  constructor(root, about, onStep) {
    this.root = root;
    this.about = about;
    root.addEventListener("pointerdown", (event) => {
      if (!this.x) return;
      const box = root.getBoundingClientRect();
      onStep(this.x.inverse(event.clientX - box.left));
    });
  }

  draw(step) {
    const { history, steps } = this.about;
    const width = this.root.clientWidth || 900;
    const height = 130;
    const area = { left: 42, right: width - 12, top: 22, bottom: height - 24 };
    const last = Math.max(history.step.at(-1) ?? 0, steps.at(-1));
    const x = scale([0, last], [area.left, area.right]);
    const y = scale([0, 1], [area.bottom, area.top]);
    this.x = x;
    const parts = [axes(area, {
      x, y, xRange: [0, last], yTicks: [0, 0.5, 1], yTitle: "accuracy, all units on; against step",
    })];
    for (const subset of SUBSETS) {
      const d = linePath(history.step, history.accuracy[subset], x, y);
      parts.push(svg("path", { d, class: `line ${subset}` }));
    }
    for (const stored of steps) {
      parts.push(svg("line", {
        x1: x(stored), x2: x(stored), y1: area.bottom, y2: area.bottom + 5, class: "stored",
      }));
    }
    parts.push(
      svg("line", { x1: x(step), x2: x(step), y1: area.top, y2: area.bottom, class: "now" }),
    );
    this.root.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.root.replaceChildren(...parts);
  }
}

/**
 * Accuracy against the number of removed units, with the present choice as dots.
 *
 * @param {SVGElement} root
 * @param {object} shown
 * @param {number[]} shown.points numbers of removed units
 * @param {number[][] | null} shown.lines accuracy [subset][point]; null while it is computed
 * @param {number} shown.removed units that are off by this end of the rank
 * @param {number[]} shown.now accuracy by subset as the units are switched
 * @param {string} shown.title
 */
export function drawCurve(root, { points, lines, removed, now, title }) {
  const width = root.clientWidth || 360;
  const height = 210;
  const area = { left: 42, right: width - 14, top: 30, bottom: height - 40 };
  const most = points.at(-1);
  const x = scale([0, most], [area.left, area.right]);
  const y = scale([0, 1], [area.bottom, area.top]);
  const parts = [axes(area, {
    x, y, xRange: [0, most], yTicks: [0, 0.25, 0.5, 0.75, 1], xTitle: title, yTitle: "accuracy",
  })];
  (lines ?? []).forEach((line, i) => {
    parts.push(svg("path", { d: linePath(points, line, x, y), class: `line ${SUBSETS[i]}` }));
  });
  parts.push(svg("line", {
    x1: x(removed), x2: x(removed), y1: area.top, y2: area.bottom, class: "now",
  }));
  now.forEach((value, i) => {
    if (!Number.isFinite(value)) return;
    parts.push(svg("circle", { cx: x(removed), cy: y(value), r: 4.5, class: `dot ${SUBSETS[i]}` }));
  });
  root.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const values = SUBSETS.map((subset, i) => `${subset} ${short(now[i])}`);
  root.setAttribute("aria-label", `Accuracy against ${title}; at ${removed}: ${values.join(", ")}`);
  root.replaceChildren(...parts);
}
