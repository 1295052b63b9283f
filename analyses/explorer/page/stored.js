import { extent } from "./drawing.js";
import { networkOf } from "./network.js";

/** What the page holds of a run: networks over training, scores of their units, the data set. */
export class Stored {
  /**
   * @param {object} about what analyses.explorer.payload tells of the run
   * @param {Object<string, {shape: number[], values: ArrayLike<number>}>} arrays
   */
  constructor(about, arrays) {
    this.about = about;
    this.arrays = arrays;
    this.labels = arrays.labels.values; // given in training
    this.clean = arrays.clean_labels.values;
    this.subsets = arrays.subsets.values;
    this.ranges = {};
    this.networks = new Map(); // by kind and place
  }

  isLast(at) {
    return at === this.about.steps.length - 1;
  }

  /**
   * The network that runs in the page and has these units as its last ones; null if none does.
   *
   * @param {number} at place among the networks
   * @returns {import("./network.js").Network | import("./recorded.js").Recorded | null}
   */
  network(kind, at) {
    const key = `${kind.name} ${at}`;
    if (!this.networks.has(key)) {
      const weights = this.weights(kind, at);
      this.networks.clear(); // one is enough
      this.networks.set(key, weights && networkOf(weights));
    }
    return this.networks.get(key);
  }

  /** What such a network is made of, see there. */
  weights(kind, at) {
    const { p } = this.about;
    if (kind.source === "weights") return this.#weights(kind, at);
    if (kind.source !== "activations" || !(kind.earlier || this.isLast(at))) return null;
    const [activations, W_U, rest] = ["activations", "W", "rest"].map((name) => this.#at(kind, name, at));
    return { p, activations, W_U, rest, start: 0 };
  }

  #weights({ act, layers }, at) {
    const table = (name) => this.#arrayAt(name, `earlier_${name}`, at);
    const hidden = Array.from({ length: layers - 1 }, (_, i) =>
      ({ W: table(`W_in${i + 1}`), b: table(`b_in${i + 1}`) }));
    const [W_E, b_E, W_U, b_U] = ["W_E", "b_E", "W_U", "b_U"].map(table);
    return { p: this.about.p, act, W_E, b_E, hidden, W_U, b_U };
  }

  /** Scores of a network's units, by name. */
  scores({ name, count, scores }, at) {
    const all = this.arrays[`${name}/scores`].values;
    return Object.fromEntries(scores.map(({ key }, i) => {
      const from = (at * scores.length + i) * count;
      return [key, all.subarray(from, from + count)];
    }));
  }

  /** Range of a score over all networks: so a point moves, and not the axis under it. */
  range(kind, key) {
    const all = () => this.about.steps.flatMap((_, at) => Array.from(this.scores(kind, at)[key]));
    this.ranges[`${kind.name} ${key}`] ??= extent(all(), 0.04);
    return this.ranges[`${kind.name} ${key}`];
  }

  /**
   * The vectors with which a unit reads a ("U") and b ("V") and writes to the classes ("W"), those
   * that it has and that are here.
   */
  vectors(kind, at, unit) {
    const { p } = this.about;
    const row = (table) => table.subarray(unit * p, (unit + 1) * p);
    if (kind.source === "weights") {
      const network = this.network(kind, at);
      const outer = { W: row(network.W_U) };
      return network.isDeep ? outer : { U: row(network.first), V: row(network.second), ...outer };
    }
    const names = ["U", "V", "W"].filter((name) => this.#at(kind, name, at));
    return Object.fromEntries(names.map((name) => [name, row(this.#at(kind, name, at))]));
  }

  /** A unit's activation for all pairs, of units whose network does not run; null if it is not here. */
  activation(kind, at, unit) {
    const values = this.#at(kind, "activations", at);
    if (!values) return null;
    return Float64Array.from({ length: this.labels.length }, (_, i) => values[i * kind.count + unit]);
  }

  /** By how much the accuracy on each subset changes if a unit alone is removed; null if unknown. */
  alone(kind, at, unit) {
    const values = this.#at(kind, "alone", at);
    return values ? values.subarray(3 * unit, 3 * unit + 3) : null;
  }

  /** The class that the whole network answers for each pair; null if it is not here. */
  answers(at) {
    const all = this.arrays.answers?.values;
    return all ? this.#atPlace(all, at, this.about.steps.length) : null;
  }

  /** Such answers of the last network without the units of `point` removals from an end of a rank. */
  removal(kind, by, end, point) {
    const ends = this.#of(kind, "answers");
    const place = (kind.by.indexOf(by) * 2 + (end === "low" ? 0 : 1)) * kind.points.length + point;
    return this.#atPlace(ends, place, kind.by.length * 2 * kind.points.length);
  }

  /** The whole network's logits of a pair; null if they are not here. */
  logits(at, [a, b]) {
    const { p, units } = this.about;
    const pair = a * p + b;
    if (this.arrays.logits) {
      const all = this.#arrayAt("logits", "earlier_logits", at);
      return all ? Float64Array.from(all.subarray(pair * p, (pair + 1) * p)) : null;
    }
    const runs = units.find((kind) => kind.source !== "stored");
    const network = runs ? this.network(runs, at) : null;
    if (!network) return null;
    const active = network.activations(a, b);
    return Float64Array.from(network.rest(pair), (rest, c) =>
      active.reduce((sum, value, unit) => sum + value * network.W_U[unit * p + c], rest));
  }

  /** An array of a kind of units at a step, if it is here. */
  #at({ name: of }, name, at) {
    return this.#arrayAt(`${of}/${name}`, `${of}/earlier_${name}`, at);
  }

  #arrayAt(last, earlier, at) {
    if (this.isLast(at)) return this.arrays[last]?.values;
    const all = this.arrays[earlier]?.values;
    return all && this.#atPlace(all, at, this.about.steps.length - 1);
  }

  #of(kind, name) {
    return this.arrays[`${kind.name}/${name}`]?.values;
  }

  #atPlace(values, at, count) {
    const each = values.length / count;
    return values.subarray(at * each, (at + 1) * each);
  }
}
