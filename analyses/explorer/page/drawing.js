/** Small helpers for figures: elements, scales, ticks, colours. */

const SVG = "http://www.w3.org/2000/svg";

/** The page's element of an id. */
export const $ = (id) => document.getElementById(id);

/** An SVG element with attributes and children. */
export function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

/** An HTML element with properties and children; text is never read as HTML. */
export function html(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

/** A linear scale; a range of no width is widened. */
export function scale([low, high], [from, to]) {
  const width = high - low || 1;
  const map = (value) => from + ((value - low) / width) * (to - from);
  map.inverse = (place) => low + ((place - from) / (to - from)) * width;
  return map;
}

/** Smallest and largest finite value, with a margin. */
export function extent(values, margin = 0) {
  const finite = Array.from(values).filter(Number.isFinite);
  if (!finite.length) return [0, 1];
  const low = finite.reduce((a, b) => Math.min(a, b));
  const high = finite.reduce((a, b) => Math.max(a, b));
  const more = margin * (high - low || Math.abs(high) || 1);
  return [low - more, high + more];
}

/** About `count` round numbers in a range. */
export function ticks([low, high], count = 5) {
  const rough = (high - low) / count || 1;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough);
  const found = [];
  for (let i = Math.ceil(low / step); i * step <= high + 1e-9 * step; i++) {
    found.push(Number((i * step).toPrecision(12)));
  }
  return found;
}

/** A number in few digits. */
export function short(value, digits = 3) {
  if (!Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  if (size >= 1000) return Math.round(value).toLocaleString("en");
  return String(Number(value.toPrecision(digits))).replace("-", "−");
}

/**
 * Axes with ticks and titles for a plot area.
 *
 * @param {{left: number, right: number, top: number, bottom: number}} area
 */
export function axes(area, { x, y, xRange, yRange, xTitle, yTitle, xTicks, yTicks }) {
  const group = svg("g", { class: "axes" });
  for (const value of xTicks ?? ticks(xRange, 5)) {
    const at = x(value);
    group.append(
      svg("line", { x1: at, x2: at, y1: area.top, y2: area.bottom, class: "grid" }),
      svg("text", { x: at, y: area.bottom + 16, "text-anchor": "middle" }, short(value)),
    );
  }
  for (const value of yTicks ?? ticks(yRange, 4)) {
    const at = y(value);
    group.append(
      svg("line", { x1: area.left, x2: area.right, y1: at, y2: at, class: "grid" }),
      svg("text", { x: area.left - 6, y: at + 4, "text-anchor": "end" }, short(value)),
    );
  }
  if (xTitle) {
    const middle = (area.left + area.right) / 2;
    group.append(
      svg("text", { x: middle, y: area.bottom + 34, "text-anchor": "middle", class: "title" }, xTitle),
    );
  }
  if (yTitle) {
    group.append(svg("text", { x: area.left, y: area.top - 8, class: "title" }, yTitle));
  }
  return group;
}

/** A line through points; a value that is no number interrupts it. */
export function linePath(xs, ys, x, y) {
  let path = "";
  let pen = "M";
  xs.forEach((value, i) => {
    if (ys[i] === null || !Number.isFinite(ys[i])) {
      pen = "M";
      return;
    }
    path += `${pen}${x(value).toFixed(1)} ${y(ys[i]).toFixed(1)}`;
    pen = "L";
  });
  return path;
}

// viridis (CC0, matplotlib), without its palest end, which is too faint on white.
const VIRIDIS = [
  "#440154", "#482878", "#3e4989", "#31688e", "#26828e", "#1f9e89", "#35b779", "#6ece58", "#b5de2b",
].map(channels);
const BLUE_TO_RED = ["#0072b2", "#ffffff", "#d55e00"].map(channels);
const WHITE_TO_BLUE = ["#ffffff", "#9ecae1", "#3182bd", "#08306b"].map(channels);

/** A colour for a share between 0 and 1 of a range. */
export function sequential(share) {
  return mixed(VIRIDIS, share);
}

/** Blue below, white at, orange-red above the middle of -1 .. 1. */
export function diverging(value) {
  return mixed(BLUE_TO_RED, (value + 1) / 2);
}

/** White to dark blue for 0 .. 1. */
export function intensity(share) {
  return mixed(WHITE_TO_BLUE, share);
}

/** A colour for a share between 0 and 1 of the way through some colours. */
export function mixed(colours, share) {
  const place = Math.max(0, Math.min(1, share)) * (colours.length - 1);
  const first = Math.min(Math.floor(place), colours.length - 2);
  const [one, two] = [colours[first], colours[first + 1]];
  return one.map((c, i) => Math.round(c + (place - first) * (two[i] - c)));
}

/** Red, green and blue of a colour such as "#0072b2". */
export function channels(hex) {
  return [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
}

export const rgb = (colour) => `rgb(${colour.join(",")})`;

/**
 * Paint a plane [row, column] into a canvas, a pixel per value; the style enlarges it.
 *
 * @param {(index: number) => number[]} colour red, green and blue, 0 .. 255
 */
export function paint(canvas, rows, columns, colour) {
  canvas.width = columns;
  canvas.height = rows;
  const context = canvas.getContext("2d");
  const image = context.createImageData(columns, rows);
  for (let i = 0; i < rows * columns; i++) {
    const shade = colour(i);
    for (let k = 0; k < 3; k++) image.data[4 * i + k] = shade[k];
    image.data[4 * i + 3] = 255;
  }
  context.putImageData(image, 0, 0);
}
