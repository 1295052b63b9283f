import { ACTIVATIONS } from "./activations.js";

/**
 * Weights of an MLP on one-hot pairs, row-major, as analyses.explorer.layers writes
 * them.
 *
 * @typedef {object} Weights
 * @property {number} p modulus: number of residues and of classes
 * @property {string} act square, relu or gelu
 * @property {Float32Array} W_E [2, p, width]
 * @property {{W: Float32Array, b: Float32Array}[]} hidden [width, width] and [width] of each hidden
 *   layer after the first
 * @property {Float32Array} W_U [width, p]
 * @property {Float32Array} b_U [p]
 */

/** A network ready to be asked for the activations of its last hidden layer. */
export class Network {
  /** @param {Weights} weights */
  constructor(weights) {
    const { p } = weights;
    const width = weights.W_U.length / p;
    this.p = p;
    this.width = width;
    this.hidden = weights.hidden;
    this.b_U = Float64Array.from(weights.b_U);
    this.act = ACTIVATIONS[weights.act];
    this.W_U = Float64Array.from(weights.W_U); // sums of many terms: float64 loses nothing
    this.first = columns(weights.W_E, 0, p, width); // [neuron, a]
    this.second = columns(weights.W_E, p * width, p, width); // [neuron, b]
  }

  get isDeep() {
    return this.hidden.length > 0;
  }

  /** Activations of all neurons of the last hidden layer for one pair. */
  activations(a, b) {
    const { width, p, act } = this;
    let now = new Float64Array(width);
    for (let n = 0; n < width; n++) now[n] = act(this.first[n * p + a] + this.second[n * p + b]);
    for (const { W, b } of this.hidden) {
      const next = Float64Array.from(b);
      for (let m = 0; m < width; m++) {
        if (now[m] === 0) continue;
        for (let n = 0; n < width; n++) next[n] += now[m] * W[m * width + n];
      }
      now = next.map(act);
    }
    return now;
  }

  /**
   * Activations of some neurons of the last hidden layer for consecutive pairs.
   *
   * @param {number} start first pair, a * p + b
   * @param {number} stop one past the last pair
   * @returns {(unit: number, into: Float64Array) => void} writes one neuron's activations
   */
  reader(start, stop) {
    const { p, act } = this;
    if (!this.isDeep) {
      return (unit, into) => {
        const row = unit * p;
        let a = Math.floor(start / p);
        let b = start - a * p;
        for (let i = 0; i < stop - start; i++) {
          into[i] = act(this.first[row + a] + this.second[row + b]);
          if (++b === p) {
            b = 0;
            a++;
          }
        }
      };
    }
    const stored = [];
    for (let pair = start; pair < stop; pair++) {
      stored.push(Float32Array.from(this.activations(Math.floor(pair / p), pair % p)));
    }
    return (unit, into) => {
      for (let i = 0; i < stored.length; i++) into[i] = stored[i][unit];
    };
  }
}

function columns(W_E, from, p, width) {
  const out = new Float64Array(p * width);
  for (let a = 0; a < p; a++) {
    for (let n = 0; n < width; n++) out[n * p + a] = W_E[from + a * width + n];
  }
  return out;
}
