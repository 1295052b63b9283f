import { SUBSETS, accuracies, curvePoints } from "./curves.js";

/**
 * What a network answers while units are off. There are two kinds of answers, with the same
 * methods: of a network that runs in the workers, and of removals that the page holds.
 *
 * `removes` is "any" if any units can be off, "rank" if only those at one end of a rank, at some
 * numbers, and "none".
 */

/** A network runs: any of its last units can be off. */
export class Running {
  constructor(stored, pool, kind, at) {
    Object.assign(this, { stored, pool, kind, at, removes: "any" });
    this.points = curvePoints(kind.count);
  }

  /** @returns {Promise<{whole: Uint16Array, classes: Uint16Array}>} with all units, and some off */
  async answer(state, off) {
    const { pool, stored, kind, at } = this;
    if (pool.loaded !== this) {
      this.whole = await pool.load(stored.weights(kind, at));
      pool.loaded = this;
    }
    return { whole: this.whole, classes: await pool.remove(off) };
  }

  /** @returns {Promise<{low: number[][], high: number[][]} | null>} accuracy [subset][point] */
  async curve(by, order) {
    const sums = await this.pool.curve(order, this.points);
    if (!sums) return null; // another network came in between
    const sizes = SUBSETS.map((_, code) => this.stored.subsets.filter((own) => own === code).length);
    const lines = (end) =>
      SUBSETS.map((_, s) => this.points.map((_, i) => sums[end][i * 3 + s] / sizes[s]));
    return { low: lines("low"), high: lines("high") };
  }

  /** A unit's activation for all pairs. */
  activation(unit) {
    return this.pool.activation(unit);
  }
}

/** Answers are stored: of the whole network, and of the last one after some removals. */
export class Kept {
  constructor(stored, kind, at) {
    Object.assign(this, { stored, kind, at });
    const hasRemovals = stored.isLast(at) && kind.by?.length > 0;
    this.removes = hasRemovals ? "rank" : "none";
    this.points = hasRemovals ? kind.points : [0];
  }

  async answer(state) {
    const whole = this.stored.answers(this.at);
    const end = state.low ? "low" : "high";
    if (this.removes === "none" || !state[end]) return { whole, classes: whole };
    const point = this.points.indexOf(state[end]);
    return { whole, classes: this.stored.removal(this.kind, state.by, end, point) };
  }

  async curve(by) {
    if (this.removes === "none") return null;
    const { stored, kind } = this;
    const lines = (end) => {
      const rows = this.points.map((_, point) =>
        accuracies(stored.removal(kind, by, end, point), stored.labels, stored.subsets));
      return SUBSETS.map((_, s) => rows.map((row) => row[s]));
    };
    return { low: lines("low"), high: lines("high") };
  }

  async activation(unit) {
    return this.stored.activation(this.kind, this.at, unit);
  }
}
