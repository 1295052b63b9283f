/**
 * What is looked at in a sweep. All of it is in the URL's fragment.
 *
 * @typedef {object} SweepState
 * @property {number} x axis to the right
 * @property {number} y axis upward
 * @property {string} by what the colours show: the phase, or a measure's key
 * @property {number[]} cell the open cell: its place on each axis, so also the plane that is shown
 * @property {number} seed place of the seed that is shown; -1 for all
 */

/** @returns {SweepState} */
export function initialSweepState({ start, cell }) {
  return { x: start[0], y: start[1], by: "phase", cell, seed: -1 };
}

/** The fragment of a state: what differs from the initial one. */
export function sweepFragment(state, about) {
  const initial = initialSweepState(about);
  const words = ({ x, y, by, cell, seed }) =>
    ({ x: about.axes[x].name, y: about.axes[y].name, by, cell: cell.join(","), seed: about.seeds[seed] ?? "all" });
  const [now, then] = [words(state), words(initial)];
  const changed = Object.keys(now).filter((name) => now[name] !== then[name]);
  return changed.map((name) => `${name}=${encodeURIComponent(now[name]).replaceAll("%2C", ",")}`).join("&");
}

/** The inverse of sweepFragment; what cannot be read keeps its initial value. */
export function sweepStateOf(fragment, about) {
  const state = initialSweepState(about);
  const given = new URLSearchParams(fragment);
  const axis = (name) => about.axes.findIndex((one) => one.name !== "" && one.name === given.get(name));
  const [x, y] = [axis("x"), axis("y")];
  if (x >= 0) choose(state, "x", x);
  if (y >= 0) choose(state, "y", y);
  if (about.measures.some(({ key }) => key === given.get("by"))) state.by = given.get("by");
  const cell = (given.get("cell") ?? "").split(",").map(Number);
  const fits = (place, i) => Number.isInteger(place) && place >= 0 && place < about.axes[i].values.length;
  if (given.has("cell") && cell.length === about.axes.length && cell.every(fits)) state.cell = cell;
  const seed = about.seeds.findIndex((one) => String(one) === given.get("seed"));
  if (seed >= 0) state.seed = seed;
  return state;
}

/** Put an axis to the right (x) or upward (y); if it was the other one, the two change places. */
export function choose(state, way, axis) {
  const other = way === "x" ? "y" : "x";
  if (state[other] === axis) state[other] = state[way];
  state[way] = axis;
}
