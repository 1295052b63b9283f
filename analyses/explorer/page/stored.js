import { extent } from "./drawing.js";

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
  }

  /**
   * @param {number} at place among the networks
   * @returns {import("./network.js").Weights}
   */
  weights(at) {
    const { p, act, layers, steps } = this.about;
    const table = (name) => {
      if (at === steps.length - 1) return this.arrays[name].values;
      const { values } = this.arrays[`earlier_${name}`];
      const each = values.length / (steps.length - 1);
      return values.subarray(at * each, (at + 1) * each);
    };
    const hidden = Array.from({ length: layers - 1 }, (_, i) =>
      ({ W: table(`W_in${i + 1}`), b: table(`b_in${i + 1}`) }));
    return { p, act, W_E: table("W_E"), hidden, W_U: table("W_U"), b_U: table("b_U") };
  }

  /** Scores of a network's units, by name. */
  scores(at) {
    const { width, scores } = this.about;
    return Object.fromEntries(scores.map(({ key }, i) => {
      const from = (at * scores.length + i) * width;
      return [key, this.arrays.scores.values.subarray(from, from + width)];
    }));
  }

  /** Name of a score in words. */
  label(key) {
    return this.about.scores.find((score) => score.key === key).label;
  }

  /** Range of a score over all networks: so a point moves, and not the axis under it. */
  range(key) {
    const all = () => this.about.steps.flatMap((_, at) => Array.from(this.scores(at)[key]));
    this.ranges[key] ??= extent(all(), 0.04);
    return this.ranges[key];
  }
}
