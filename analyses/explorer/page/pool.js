import { shareOf } from "./recorded.js";
import { service } from "./worker.js";

const MOST_WORKERS = 4;

/** The network on all pairs: each worker has a share of them. */
export class Pool {
  /**
   * Start workers, or work in the page where the browser allows none.
   *
   * @param {string} source of the engine, for the workers
   * @param {{labels: Uint16Array, subsets: Uint8Array}} task
   */
  static async start(source, task) {
    const wanted = Math.max(1, Math.min(MOST_WORKERS, navigator.hardwareConcurrency || 1));
    let shares = Array.from({ length: wanted + 1 }, (_, i) =>
      Math.round((i * task.labels.length) / wanted));
    let ports;
    let usesWorkers = true;
    try {
      const url = URL.createObjectURL(new Blob([source], { type: "text/javascript" }));
      ports = Array.from({ length: wanted }, () => workerPort(new Worker(url)));
      await begin(ports, shares, task);
    } catch {
      usesWorkers = false;
      ports = [localPort()];
      shares = [0, task.labels.length];
      await begin(ports, shares, task);
    }
    return new Pool(ports, shares, usesWorkers);
  }

  constructor(ports, shares, usesWorkers) {
    Object.assign(this, { ports, shares, usesWorkers });
  }

  /**
   * Take another network with all units on; the class it answers for each pair.
   *
   * @param {import("./network.js").Weights | import("./recorded.js").Records} weights
   */
  async load(weights) {
    const share = (i) =>
      weights.activations ? shareOf(weights, this.shares[i], this.shares[i + 1]) : weights;
    const replies = this.ports.map((port, i) => port({ kind: "load", weights: share(i) }));
    return joined(await Promise.all(replies), "classes");
  }

  /** Switch units off (1) and all others on; the class answered for each pair. */
  async remove(off) {
    return joined(await this.#all({ kind: "remove", off }), "classes");
  }

  /** Activations of one unit for all pairs. */
  async activation(unit) {
    return joined(await this.#all({ kind: "activation", unit }), "values");
  }

  /** Logits of all pairs as the units are switched now, [pair, class]. */
  async logits() {
    return joined(await this.#all({ kind: "logits" }), "logits");
  }

  /** As Engine.curve, of all pairs; null if a newer request has ended it. */
  async curve(order, points) {
    const replies = await this.#all({ kind: "curve", order, points });
    if (replies.some((reply) => reply.ended)) return null;
    const sum = (end) => replies[0][end].map((_, i) => replies.reduce((s, r) => s + r[end][i], 0));
    return { low: sum("low"), high: sum("high") };
  }

  #all(request) {
    return Promise.all(this.ports.map((port) => port(request)));
  }
}

function begin(ports, shares, { labels, subsets }) {
  return Promise.all(ports.map((port, i) =>
    port({ kind: "start", labels, subsets, start: shares[i], stop: shares[i + 1] })));
}

/** A function that sends a request to a worker and promises its reply. */
function workerPort(worker) {
  const { ask, take, fail } = waiting((request) => worker.postMessage(request));
  worker.onmessage = (event) => take(event.data);
  worker.onerror = (event) => {
    event.preventDefault();
    fail(new Error(event.message || "the worker did not start"));
  };
  return ask;
}

/** The same in the page; each request in a turn of its own, so that the page can draw before. */
function localPort() {
  const { ask, take } = waiting((request) => setTimeout(answer, 0, request));
  const answer = service(take);
  return ask;
}

function waiting(send) {
  const open = new Map();
  let last = 0;
  return {
    ask: (request) =>
      new Promise((resolve, reject) => {
        open.set(++last, { resolve, reject });
        send({ ...request, id: last });
      }),
    take: (reply) => {
      open.get(reply.id).resolve(reply);
      open.delete(reply.id);
    },
    fail: (error) => {
      for (const { reject } of open.values()) reject(error);
      open.clear();
    },
  };
}

function joined(replies, name) {
  const parts = replies.map((reply) => reply[name]);
  const whole = new parts[0].constructor(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
