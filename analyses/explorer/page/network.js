import { ACTIVATIONS } from "./activations.js";
import { Recorded } from "./recorded.js";

/**
 * Weights of an MLP, row-major, as analyses.explorer.layers writes them.
 *
 * @typedef {object} Weights
 * @property {number} p modulus: number of residues and of classes
 * @property {string} act square, relu or gelu
 * @property {Float32Array} W_E [2, p, first width]
 * @property {Float32Array} b_E [first width]
 * @property {{W: Float32Array, b: Float32Array}[]} hidden [width before, width] and [width] of each
 *   hidden layer after the first
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
    const before = weights.b_E.length; // neurons of the first layer
    this.first = columns(weights.W_E, 0, p, before); // [neuron, a]
    this.second = columns(weights.W_E, p * before, p, before); // [neuron, b]
    this.bias = Float64Array.from(weights.b_E);
  }

  get isDeep() {
    return this.hidden.length > 0;
  }

  /** Activations of all neurons of the last hidden layer for one pair. */
  activations(a, b) {
    const { p, act, bias } = this;
    let now = bias.map((value, n) => act(this.first[n * p + a] + this.second[n * p + b] + value));
    for (const { W, b } of this.hidden) {
      const next = Float64Array.from(b);
      const width = next.length;
      for (let m = 0; m < now.length; m++) {
        if (now[m] === 0) continue;
        for (let n = 0; n < width; n++) next[n] += now[m] * W[m * width + n];
      }
      now = next.map(act);
    }
    return now;
  }

  /** The logits of a pair without any unit: the bias. */
  rest() {
    return this.b_U;
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
        const bias = this.bias[unit];
        let a = Math.floor(start / p);
        let b = start - a * p;
        for (let i = 0; i < stop - start; i++) {
          into[i] = act(this.first[row + a] + this.second[row + b] + bias);
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

/** @param {Weights | import("./recorded.js").Records} weights */
export function networkOf(weights) {
  return weights.activations ? new Recorded(weights) : new Network(weights);
}

function columns(W_E, from, p, width) {
  const out = new Float64Array(p * width);
  for (let a = 0; a < p; a++) {
    for (let n = 0; n < width; n++) out[n * p + a] = W_E[from + a * width + n];
  }
  return out;
}
