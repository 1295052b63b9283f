/**
 * Logits of a share of the pairs, while units are switched off and on.
 *
 * The logits are a sum over the last layer's neurons of activation times output weights, so a
 * change costs as much as the units that it concerns. All sums are float64: a neuron that is taken
 * out and put back a thousand times leaves an error below 1e-12.
 */

const BLOCK = 32; // pairs worked on at once: few enough for a core's cache
const TOGETHER = 8; // units added in one pass over a block of logits

export class Engine {
  /**
   * @param {Uint16Array} labels given in training, of all pairs
   * @param {Uint8Array} subsets of all pairs; see SUBSETS in curves.js
   * @param {number} start first pair of this share
   * @param {number} stop one past its last pair
   */
  constructor(labels, subsets, start, stop) {
    Object.assign(this, { labels, subsets, start, stop });
  }

  /** Take another network, with all units on. */
  load(network) {
    this.network = network;
    this.blocks = [];
    for (let from = this.start; from < this.stop; from += BLOCK) {
      const to = Math.min(from + BLOCK, this.stop);
      this.blocks.push({ from, to, read: network.reader(from, to) });
    }
    this.off = new Uint8Array(network.width);
    this.whole = this.#rest(this.start, this.stop);
    this.#add(this.whole, range(network.width), 1);
    this.logits = this.whole.slice();
  }

  /**
   * Switch units off; all others are on.
   *
   * It starts from whichever is nearest: the last choice, the whole network or none of it.
   *
   * @param {Uint8Array} off 1 for each unit that is off
   */
  remove(off) {
    const changed = range(off.length).filter((unit) => off[unit] !== this.off[unit]);
    const gone = range(off.length).filter((unit) => off[unit]);
    const kept = range(off.length).filter((unit) => !off[unit]);
    const least = Math.min(changed.length, gone.length, kept.length);
    if (least === kept.length) {
      this.logits = this.#rest(this.start, this.stop);
      this.#add(this.logits, kept, 1);
    } else if (least === gone.length) {
      this.logits.set(this.whole);
      this.#add(this.logits, gone, -1);
    } else {
      this.#add(this.logits, changed.filter((unit) => off[unit]), -1);
      this.#add(this.logits, changed.filter((unit) => !off[unit]), 1);
    }
    this.off = off.slice();
  }

  /** The class with the largest logit for each pair of the share; of equal ones the first. */
  predictions() {
    const { p } = this.network;
    const classes = new Uint16Array(this.stop - this.start);
    for (let i = 0; i < classes.length; i++) classes[i] = argmax(this.logits, i * p, p);
    return classes;
  }

  /** Activations of one unit for the pairs of the share. */
  activation(unit) {
    const values = new Float64Array(this.stop - this.start);
    for (const { from, to, read } of this.blocks) {
      read(unit, values.subarray(from - this.start, to - this.start));
    }
    return values;
  }

  /**
   * Correct answers by subset while units are taken out in an order, from either end of it.
   *
   * A generator: it pauses after each block of pairs, so that other requests are not kept waiting.
   *
   * @param {Uint32Array} order of all units
   * @param {number[]} points numbers of removed units, rising from 0 to all
   * @returns {{low: Float64Array, high: Float64Array}} [point, subset] when it is done; low: the
   *   first units of the order go first, high: the last ones
   */
  *curve(order, points) {
    const { p, width } = this.network;
    const low = new Float64Array(points.length * 3);
    const high = new Float64Array(points.length * 3);
    for (const block of this.blocks) {
      const at = (block.from - this.start) * p;
      const whole = this.whole.subarray(at, at + (block.to - block.from) * p);
      const without = this.#rest(block.from, block.to);
      const first = without.slice(); // with the first units of the order only
      const rest = new Float64Array(whole.length);
      let added = 0;
      const stops = new Set([...points, ...points.map((n) => width - n)]);
      for (const n of [...stops].sort((x, y) => x - y)) {
        addToBlock(this.network, block, first, order.subarray(added, n), 1);
        added = n;
        const removedLow = points.indexOf(n);
        const removedHigh = points.indexOf(width - n);
        if (removedHigh >= 0) this.#count(first, block, high, removedHigh);
        if (removedLow < 0) continue;
        // Without any unit these are the logits; a difference would miss them by its rounding.
        if (n === width) rest.set(without);
        else for (let i = 0; i < rest.length; i++) rest[i] = whole[i] - first[i] + without[i];
        this.#count(rest, block, low, removedLow);
      }
      yield;
    }
    return { low, high };
  }

  /** Logits of some pairs without any unit. */
  #rest(from, to) {
    const { p } = this.network;
    const logits = new Float64Array((to - from) * p);
    for (let pair = from; pair < to; pair++) logits.set(this.network.rest(pair), (pair - from) * p);
    return logits;
  }

  #count(logits, block, counts, point) {
    const { p } = this.network;
    for (let pair = block.from, at = 0; pair < block.to; pair++, at += p) {
      if (isLargest(logits, at, p, this.labels[pair])) counts[point * 3 + this.subsets[pair]]++;
    }
  }

  #add(logits, units, sign) {
    const { p } = this.network;
    for (const block of this.blocks) {
      const at = (block.from - this.start) * p;
      const own = logits.subarray(at, at + (block.to - block.from) * p);
      addToBlock(this.network, block, own, units, sign);
    }
  }
}

/** Add (sign 1) or take away (-1) what units write to the logits of a block of pairs. */
function addToBlock(network, block, logits, units, sign) {
  const { p, W_U } = network;
  const size = block.to - block.from;
  const active = Array.from({ length: TOGETHER }, () => new Float64Array(size));
  for (let first = 0; first < units.length; first += TOGETHER) {
    const rows = new Int32Array(TOGETHER);
    for (let k = 0; k < TOGETHER; k++) {
      const unit = units[first + k];
      if (unit === undefined) active[k].fill(0); // fewer are left: the others add 0
      else block.read(unit, active[k]);
      rows[k] = (unit ?? 0) * p;
    }
    const [h0, h1, h2, h3, h4, h5, h6, h7] = active;
    const [w0, w1, w2, w3, w4, w5, w6, w7] = rows;
    for (let i = 0, at = 0; i < size; i++, at += p) {
      const a0 = sign * h0[i], a1 = sign * h1[i], a2 = sign * h2[i], a3 = sign * h3[i];
      const a4 = sign * h4[i], a5 = sign * h5[i], a6 = sign * h6[i], a7 = sign * h7[i];
      for (let c = 0; c < p; c++) {
        logits[at + c] +=
          a0 * W_U[w0 + c] + a1 * W_U[w1 + c] + a2 * W_U[w2 + c] + a3 * W_U[w3 + c] +
          a4 * W_U[w4 + c] + a5 * W_U[w5 + c] + a6 * W_U[w6 + c] + a7 * W_U[w7 + c];
      }
    }
  }
}

function argmax(values, from, count) {
  let best = from;
  let largest = values[from];
  for (let i = from + 1; i < from + count; i++) {
    if (values[i] > largest) {
      largest = values[i];
      best = i;
    }
  }
  return best - from;
}

/** Whether argmax would give this class; quicker, as it can stop at the first larger value. */
function isLargest(values, from, count, chosen) {
  const own = values[from + chosen];
  for (let i = from; i < from + chosen; i++) if (!(values[i] < own)) return false;
  for (let i = from + chosen + 1; i < from + count; i++) if (!(values[i] <= own)) return false;
  return true;
}

function range(count) {
  return Array.from({ length: count }, (_, i) => i);
}
