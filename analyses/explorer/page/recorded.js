/**
 * A network whose logits are a sum over some units, with the units' activations for all pairs
 * instead of the weights in front of them; it answers what Network does.
 *
 * @typedef {object} Records
 * @property {number} p modulus: number of residues and of classes
 * @property {Float32Array} activations [pair, width]
 * @property {Float32Array} W_U [width, p] what each unit adds to the logits
 * @property {Float32Array} rest [pair, p], or [1, p] for all pairs: the logits without any unit
 * @property {number} start the first pair that is here
 */
export class Recorded {
  /** @param {Records} records */
  constructor({ p, activations, W_U, rest, start }) {
    Object.assign(this, { p, start });
    this.width = W_U.length / p;
    this.values = activations;
    this.rows = rest;
    this.W_U = Float64Array.from(W_U);
  }

  /** Activations of all units for one pair. */
  activations(a, b) {
    const at = (a * this.p + b - this.start) * this.width;
    return Float64Array.from(this.values.subarray(at, at + this.width));
  }

  /** The logits of a pair without any unit. */
  rest(pair) {
    const at = this.rows.length === this.p ? 0 : (pair - this.start) * this.p;
    return this.rows.subarray(at, at + this.p);
  }

  /** As Network.reader. */
  reader(start, stop) {
    const { width, values } = this;
    const from = (start - this.start) * width;
    return (unit, into) => {
      for (let i = 0, at = from + unit; i < stop - start; i++, at += width) into[i] = values[at];
    };
  }
}

/** The records of the pairs from start to stop, as one worker needs them. */
export function shareOf(records, start, stop) {
  const { p, activations, rest, W_U } = records;
  const width = W_U.length / p;
  return {
    ...records, start,
    activations: activations.slice(start * width, stop * width),
    rest: rest.length === p ? rest : rest.slice(start * p, stop * p),
  };
}
