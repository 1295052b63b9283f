/**
 * What is looked at. All of it is in the URL's fragment, so that a view can be shared.
 *
 * @typedef {object} State
 * @property {string} of name of the kind of units, such as "heads.0"
 * @property {number} at place of the network among the stored ones
 * @property {string} x score on the scatter's horizontal axis
 * @property {string} y score on its vertical axis
 * @property {string} by score by whose rank units are switched off
 * @property {number} low how many of the lowest rank are off
 * @property {number} high how many of the highest rank are off
 * @property {Set<number>} off further units, switched off by hand
 * @property {Set<number>} on units of these ranks that were switched on by hand
 * @property {number} unit the unit that is shown
 * @property {number[]} pair the pair (a, b) that is shown
 * @property {string} split how its logits are split: by "periodicity", or by which units are "off"
 * @property {number} threshold periodicity from which on a unit belongs to the periodic ones
 * @property {number} circle frequency at which the embedding is shown
 * @property {number} layer whose attention is shown
 * @property {number} from position from which it looks
 */

/** A kind of units by its name, or the one that is shown first. */
export function kindOf(about, name) {
  return about.units.find((kind) => kind.name === name) ?? about.units.find((kind) => kind.name === about.first);
}

/** Keys of the scores by whose rank units of a kind can be switched off. */
export function rankings(kind) {
  if (kind.source === "stored") return kind.by;
  return kind.scores.map((score) => score.key).filter((key) => key !== "frequency");
}

/** @returns {State} of a kind of units, the first one unless it is named */
export function initialState(about, of = about.first) {
  const kind = kindOf(about, of);
  const keys = kind.scores.map((score) => score.key);
  return {
    of: kind.name,
    at: about.steps.length - 1,
    x: keys[0],
    y: ["writes_test", "effect_test"].find((key) => keys.includes(key)) ?? keys.at(-1),
    by: rankings(kind)[0] ?? "",
    low: 0,
    high: 0,
    off: new Set(),
    on: new Set(),
    unit: kind.name === "frequencies" && about.circle ? about.circle - 1 : 0,
    pair: [0, 0],
    split: keys[0] === "periodicity" ? "periodicity" : "off",
    threshold: about.threshold,
    circle: about.circle,
    layer: 0,
    from: (about.attention?.positions.length ?? 1) - 1,
  };
}

/** The fragment of a state: what differs from the initial one. */
export function toFragment(state, about) {
  const initial = { ...initialState(about, state.of), of: about.first };
  const words = Object.keys(initial).map((name) => [name, asText(state[name])]);
  const changed = words.filter(([name, word]) => word !== asText(initial[name]));
  return changed.map(([name, word]) => `${name}=${word}`).join("&");
}

/** The inverse of toFragment; what cannot be read keeps its initial value. */
export function fromFragment(fragment, about) {
  const given = new URLSearchParams(fragment);
  const kind = kindOf(about, given.get("of"));
  const state = initialState(about, kind.name);
  const scores = kind.scores.map((score) => score.key);
  const whole = (name, most, least = 0) => {
    const value = Number(given.get(name));
    if (given.has(name) && Number.isInteger(value) && value >= least && value <= most) {
      state[name] = value;
    }
  };
  const choice = (name, names) => {
    if (names.includes(given.get(name))) state[name] = given.get(name);
  };
  whole("at", about.steps.length - 1);
  whole("low", kind.count);
  whole("high", kind.count - state.low);
  whole("unit", kind.count - 1);
  whole("circle", about.embedding?.frequencies.at(-1) ?? 0, 1);
  whole("layer", (about.attention?.layers.length ?? 1) - 1);
  whole("from", (about.attention?.positions.length ?? 1) - 1);
  for (const name of ["x", "y"]) choice(name, scores);
  choice("by", rankings(kind));
  if (scores.includes("periodicity")) choice("split", ["periodicity", "off"]);
  const threshold = Number(given.get("threshold") ?? NaN);
  if (threshold >= 0 && threshold <= 1) state.threshold = threshold;
  for (const name of ["off", "on"]) state[name] = units(given.get(name) ?? "", kind.count);
  const pair = (given.get("pair") ?? "").split(",").map(Number);
  if (pair.length === 2 && pair.every((r) => Number.isInteger(r) && r >= 0 && r < about.p)) {
    state.pair = pair;
  }
  return kind.source === "stored" ? snapped(state, kind) : state;
}

/** A state of units whose removals are stored: from one end of the rank, at a stored number. */
export function snapped(state, kind) {
  const nearest = (n) => kind.points.reduce((best, m) => (Math.abs(m - n) < Math.abs(best - n) ? m : best));
  const low = nearest(state.low);
  return { ...state, low, high: low ? 0 : nearest(state.high), off: new Set(), on: new Set() };
}

/** Which units are off: 1 for each that is. */
export function offUnits(state, order) {
  const off = new Uint8Array(order.length);
  order.forEach((unit, rank) => {
    if (rank < state.low || rank >= order.length - state.high) off[unit] = 1;
  });
  for (const unit of state.on) off[unit] = 0;
  for (const unit of state.off) off[unit] = 1;
  return off;
}

/** Units from the lowest to the highest score; those without one come first. */
export function rankOrder(scores) {
  const value = (unit) => (Number.isNaN(scores[unit]) ? -Infinity : scores[unit]);
  const units = Array.from(scores, (_, unit) => unit);
  return Uint32Array.from(units.sort((u, v) => value(u) - value(v) || u - v));
}

function asText(value) {
  if (!(value instanceof Set)) return String(value);
  const parts = [];
  for (const unit of [...value].sort((u, v) => u - v)) {
    const last = parts.at(-1);
    if (last?.[1] === unit - 1) last[1] = unit;
    else parts.push([unit, unit]);
  }
  return parts.map(([from, to]) => (from === to ? from : `${from}-${to}`)).join(",");
}

function units(text, width) {
  const found = new Set();
  for (const part of text.split(",")) {
    const [, from, to] = part.match(/^(\d+)(?:-(\d+))?$/) ?? [];
    for (let unit = Number(from); unit <= Number(to ?? from) && unit < width; unit++) {
      found.add(unit);
    }
  }
  return found;
}
