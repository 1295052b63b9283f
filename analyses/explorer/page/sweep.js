/** What the page holds of a sweep: its axes, the phases of its cells, the numbers of every run. */
export class Sweep {
  /**
   * @param {object} about what analyses.explorer.sweep_payload tells
   * @param {Object<string, {shape: number[], values: ArrayLike<number>}>} arrays
   */
  constructor(about, arrays) {
    this.about = about;
    this.arrays = arrays;
    this.lengths = about.axes.map(({ values }) => values.length);
    this.size = this.lengths.reduce((product, n) => product * n, 1);
    this.seeds = about.seeds.length;
  }

  /** Number of the cell with this place on each axis. */
  at(cell) {
    return cell.reduce((sum, place, i) => sum * this.lengths[i] + place, 0);
  }

  measure(key) {
    return this.about.measures.find((measure) => measure.key === key);
  }

  /** A number of one run; NaN where there is none. */
  value(key, at, seed) {
    const m = this.about.measures.findIndex((measure) => measure.key === key);
    return this.arrays.runs.values[(m * this.size + at) * this.seeds + seed];
  }

  /** Mean over the seeds that were trained and did not diverge. */
  mean(key, at) {
    const values = this.about.seeds.map((_, seed) => (this.isCounted(at, seed) ? this.value(key, at, seed) : NaN));
    const known = values.filter((value) => !Number.isNaN(value));
    return known.reduce((sum, value) => sum + value, 0) / known.length;
  }

  isCounted(at, seed) {
    return this.arrays.counted.values[at * this.seeds + seed] === 1;
  }

  isBorderline(at, seed) {
    return this.arrays.borderline.values[at * this.seeds + seed] === 1;
  }

  isInferred(at) {
    return this.arrays.inferred.values[at] === 1;
  }

  /** Phase of a cell: that of most of its seeds. */
  phase(at) {
    return this.about.phases[this.arrays.majority.values[at]];
  }

  /** Phase of a run. */
  phaseOf(at, seed) {
    return this.about.phases[this.arrays.phase.values[at * this.seeds + seed]];
  }

  /** How many seeds count, agree on the phase, diverged, and are trained. */
  counts(at) {
    const seeds = this.about.seeds.map((_, seed) => seed);
    const names = seeds.map((seed) => this.phaseOf(at, seed).name);
    return {
      counted: seeds.filter((seed) => this.isCounted(at, seed)).length,
      agree: this.arrays.agree.values[at],
      diverged: names.filter((name) => name === "diverged").length,
      trained: names.filter((name) => name !== "").length,
    };
  }

  /** Where a cell is, in words. */
  place(cell) {
    const { axes } = this.about;
    return axes.flatMap(({ name, label, values }, i) => (name ? [`${label} ${values[cell[i]]}`] : [])).join(", ");
  }

  /** Phase of a cell and what it stands on, in words. */
  verdict(at) {
    const { counted, agree, diverged, trained } = this.counts(at);
    const told = [this.phase(at).label];
    if (this.isInferred(at)) told.push("inferred from the cells around it");
    if (this.about.by === "phase" && counted) {
      told.push(counted === 1 ? "one seed" : `${agree} of ${counted} seeds agree`);
    }
    if (diverged) told.push(`${diverged} diverged`);
    if (trained && trained < this.seeds) told.push(`${trained} of ${this.seeds} seeds trained`);
    return told.join(", ");
  }
}
