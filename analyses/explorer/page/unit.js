import { $, axes, diverging, extent, intensity, linePath, paint, scale, svg } from "./drawing.js";
import { planeSpectrum, powerShares } from "./fourier.js";

const TALLEST = 230; // pixels

/**
 * A unit's weights, their spectrum, and what it writes; figures of vectors that it lacks are hidden.
 *
 * @param {{U?: number[], V?: number[], W?: number[]}} vectors by residue: weights of a, of b, and to
 *   the classes
 * @param {number} frequency its strongest one
 * @param {number[]} order of the residues
 */
export function drawUnit(vectors, frequency, order) {
  const names = Object.keys(vectors);
  for (const name of ["U", "V", "W"]) $(`about-${name}`).hidden = !names.includes(name);
  $("about-weights").hidden = !names.length;
  figure("circle").hidden = figure("spectrum").hidden = !names.length;
  figure("writes").hidden = !vectors.W;
  if (!names.length) return;
  const ordered = Object.fromEntries(
    names.map((name) => [name, Float64Array.from(order, (residue) => vectors[name][residue])]));
  drawCircle($("circle"), ordered, order.length, frequency || 1);
  drawSpectrum($("spectrum"), ordered, order.length);
  if (vectors.W) drawWrites($("writes"), vectors.W, vectors.W.length);
}

/**
 * A unit's activation over the pairs, and its two-dimensional Fourier transform.
 *
 * @param {Float64Array | null} activation [a, b]; null if it is not in the page
 * @param {number} residues how many there are
 * @param {number[]} order of those that are shown
 */
export function drawActivation(activation, residues, order) {
  figure("activation").hidden = figure("transform").hidden = !activation;
  if (!activation) return;
  const p = order.length;
  const plane = Float64Array.from({ length: p * p }, (_, i) =>
    activation[order[Math.floor(i / p)] * residues + order[i % p]]);
  const [low, high] = extent(plane);
  const most = Math.max(Math.abs(low), Math.abs(high)) || 1;
  const colour = low < 0 ? diverging : intensity;
  paint($("activation"), p, p, (i) => colour(plane[i] / most));
  const mean = plane.reduce((sum, value) => sum + value, 0) / plane.length;
  const size = planeSpectrum(plane.map((value) => value - mean), p);
  const largest = size.reduce((a, b) => Math.max(a, b), 0) || 1;
  const half = Math.floor(p / 2);
  paint($("transform"), p, p, (i) => {
    const f = (Math.floor(i / p) - half + p) % p; // the middle of the picture is frequency 0
    const k = ((i % p) - half + p) % p;
    return intensity(size[f * p + k] / largest);
  });
}

function figure(id) {
  return $(id).closest("figure");
}

function sizeOf(root) {
  return root.clientWidth || TALLEST;
}

/** Place r at the angle of frequency k; distance from the ring: its weight. */
function drawCircle(root, vectors, p, k) {
  const size = sizeOf(root);
  const middle = size / 2;
  const ring = size * 0.27;
  const parts = [svg("circle", { cx: middle, cy: middle, r: ring, class: "ring" })];
  for (const [name, values] of Object.entries(vectors)) {
    const [low, high] = extent(values);
    const most = Math.max(Math.abs(low), Math.abs(high)) || 1;
    const at = Array.from(values, (value, r) => {
      const turn = ((k * r) % p) / p;
      const distance = ring + (0.2 * size * value) / most;
      return {
        turn,
        x: middle + distance * Math.sin(2 * Math.PI * turn),
        y: middle - distance * Math.cos(2 * Math.PI * turn),
      };
    }).sort((one, other) => one.turn - other.turn);
    const d = `M${at.map(({ x, y }) => `${x.toFixed(1)} ${y.toFixed(1)}`).join("L")}Z`;
    parts.push(svg("path", { d, class: `vector ${name}` }));
  }
  root.setAttribute("viewBox", `0 0 ${size} ${size}`);
  root.replaceChildren(...parts);
}

function drawSpectrum(root, vectors, p) {
  const width = sizeOf(root);
  const height = Math.min(width, TALLEST);
  const area = { left: 36, right: width - 6, top: 24, bottom: height - 42 };
  const frequencies = Array.from({ length: Math.floor(p / 2) + 1 }, (_, k) => k);
  const shares = Object.entries(vectors).map(([name, values]) => [name, powerShares(values)]);
  const most = Math.max(0.05, ...shares.flatMap(([, share]) => share.filter(Number.isFinite)));
  const x = scale([0, frequencies.at(-1)], [area.left, area.right]);
  const y = scale([0, most], [area.bottom, area.top]);
  const parts = [axes(area, {
    x, y, xRange: [0, frequencies.at(-1)], yRange: [0, most],
    xTitle: `frequency, cycles per ${p}`, yTitle: "share of power",
  })];
  for (const [name, share] of shares) {
    parts.push(svg("path", { d: linePath(frequencies, share, x, y), class: `vector ${name}` }));
  }
  root.setAttribute("viewBox", `0 0 ${width} ${height}`);
  root.replaceChildren(...parts);
}

function drawWrites(root, values, p) {
  const width = sizeOf(root);
  const height = Math.min(width, TALLEST);
  const area = { left: 36, right: width - 6, top: 24, bottom: height - 42 };
  const [low, high] = extent([0, ...values]);
  const x = scale([-0.5, p - 0.5], [area.left, area.right]);
  const y = scale([low, high], [area.bottom, area.top]);
  const bar = Math.max(0.6, ((area.right - area.left) / p) * 0.8);
  const parts = [axes(area, {
    x, y, xRange: [0, p - 1], yRange: [low, high], xTitle: "class", yTitle: "output weight",
  })];
  values.forEach((value, c) => {
    const top = Math.min(y(value), y(0));
    parts.push(svg("rect", {
      x: x(c) - bar / 2, y: top, width: bar, height: Math.abs(y(value) - y(0)), class: "bar W",
    }));
  });
  root.setAttribute("viewBox", `0 0 ${width} ${height}`);
  root.replaceChildren(...parts);
}
