import { axes, channels, html, paint, scale, short, svg } from "./drawing.js";

/** What an answer is, in the order of the legend. */
export const ANSWERS = ["right", "memorised", "corrected", "wrong"];

/**
 * Whether the answer to a pair is right, a memorised wrong label, the rule in spite of a wrong
 * label, or neither.
 */
export function kindOfAnswer(answer, label, clean) {
  if (answer === label) return label === clean ? "right" : "memorised";
  return answer === clean ? "corrected" : "wrong";
}

/** The table of all pairs: row a, column b. */
export class Table {
  constructor(canvas, p, onPair, onHover) {
    this.canvas = canvas;
    this.p = p;
    const style = getComputedStyle(canvas);
    this.colours = ANSWERS.map((kind) => channels(style.getPropertyValue(`--${kind}`).trim()));
    const at = (event) => {
      const box = canvas.getBoundingClientRect();
      const place = (offset, size) => Math.max(0, Math.min(p - 1, Math.floor((offset / size) * p)));
      return [place(event.clientY - box.top, box.height), place(event.clientX - box.left, box.width)];
    };
    canvas.addEventListener("click", (event) => onPair(at(event)));
    canvas.addEventListener("pointermove", (event) => onHover(at(event), event));
    canvas.addEventListener("pointerleave", () => onHover(null));
    canvas.addEventListener("keydown", (event) => {
      const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
      if (!step) return;
      event.preventDefault();
      onPair(this.pair.map((r, i) => (r + step[i] + p) % p));
    });
  }

  /** @param {string[]} kinds of all answers */
  draw(kinds) {
    const colour = Object.fromEntries(ANSWERS.map((kind, i) => [kind, this.colours[i]]));
    paint(this.canvas, this.p, this.p, (i) => colour[kinds[i]]);
  }

  /** Mark the pair that is shown. */
  mark(pair) {
    this.pair = pair;
    const mark = this.canvas.parentElement.querySelector(".mark");
    mark.style.setProperty("--row", pair[0] / this.p);
    mark.style.setProperty("--column", pair[1] / this.p);
    mark.style.setProperty("--cell", 1 / this.p);
  }
}

/**
 * The logits of one pair as a sum over two groups of units and the bias.
 *
 * @param {import("./network.js").Network} network
 * @param {number[]} pair
 * @param {(unit: number) => 0 | 1 | null} group of a unit; null: it is left out
 * @returns {{groups: Float64Array[], active: Float64Array}} active: activations
 */
export function splitLogits(network, [a, b], group) {
  const { p, width, W_U } = network;
  const active = network.activations(a, b);
  const groups = [new Float64Array(p), new Float64Array(p)];
  for (let unit = 0; unit < width; unit++) {
    const into = groups[group(unit)];
    if (!into) continue;
    for (let c = 0; c < p; c++) into[c] += active[unit] * W_U[unit * p + c];
  }
  return { groups, active };
}

/**
 * The units that are on and write most to the answer's logit above that of the runner-up.
 *
 * @returns {{unit: number, difference: number, without: number}[]} without: the answer if this unit
 *   alone were off as well
 */
export function decidingUnits(network, logits, active, off, most = 8) {
  const { p, width, W_U } = network;
  const answer = argmax(logits);
  const rival = argmax(logits.map((value, c) => (c === answer ? -Infinity : value)));
  const units = [];
  for (let unit = 0; unit < width; unit++) {
    if (off[unit]) continue;
    const write = (c) => active[unit] * W_U[unit * p + c];
    units.push({ unit, difference: write(answer) - write(rival) });
  }
  units.sort((one, other) => Math.abs(other.difference) - Math.abs(one.difference));
  const decisive = units.slice(0, most).map((found) => {
    const left = logits.map((value, c) => value - active[found.unit] * W_U[found.unit * p + c]);
    return { ...found, without: argmax(left) };
  });
  return { answer, rival, units: decisive };
}

export function argmax(values) {
  return values.reduce((best, value, i) => (value > values[best] ? i : best), 0);
}

/** Logits as bars by class; the label and the rule's answer are marked. */
export function drawLogits(root, values, { range, title, label, clean, kind }) {
  const width = root.clientWidth || 560;
  const height = 120;
  const p = values.length;
  const area = { left: 50, right: width - 8, top: 22, bottom: height - 20 };
  const x = scale([-0.5, p - 0.5], [area.left, area.right]);
  const y = scale(range, [area.bottom, area.top]);
  const bar = Math.max(0.6, ((area.right - area.left) / p) * 0.8);
  const parts = [axes(area, { x, y, xRange: [0, p - 1], yRange: range, yTitle: title })];
  const marks = label === clean ? [[clean, "clean"]] : [[clean, "clean"], [label, "label"]];
  for (const [c, name] of marks) {
    parts.push(svg("rect", {
      x: x(c - 0.5) - 1, y: area.top, width: x(1) - x(0) + 2, height: area.bottom - area.top, class: `at ${name}`,
    }));
  }
  values.forEach((value, c) => {
    parts.push(svg("rect", {
      x: x(c) - bar / 2, y: Math.min(y(value), y(0)), width: bar,
      height: Math.abs(y(value) - y(0)), class: `bar ${kind}`,
    }));
  });
  root.setAttribute("viewBox", `0 0 ${width} ${height}`);
  root.setAttribute("aria-label", `${title}; largest at class ${argmax(values)}`);
  root.replaceChildren(...parts);
}

/** The deciding units as rows of a table. */
export function decidingRows(found, scores, onOpen) {
  return found.units.map(({ unit, difference, without }) => {
    const open = html("button", { type: "button", textContent: `unit ${unit}`, onclick: () => onOpen(unit) });
    return html("tr", {},
      html("td", {}, open),
      html("td", { className: "number", textContent: short(difference) }),
      html("td", { className: "number", textContent: short(scores.frequency?.[unit]) }),
      html("td", { className: "number", textContent: short(scores.periodicity?.[unit]) }),
      html("td", { textContent: without === found.answer ? "" : `answer becomes ${without}` }));
  });
}
