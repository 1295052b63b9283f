import { Engine } from "./engine.js";
import { networkOf } from "./network.js";

/**
 * Answers requests about one share of the pairs; the same in a worker and in the page itself.
 *
 * Requests are answered in turn, but for curves: they are worked on in small steps, between which
 * other requests are answered, and a newer curve or network ends an older curve.
 *
 * @param {(reply: object) => void} reply
 * @returns {(request: object) => void}
 */
export function service(reply) {
  let engine = null;
  let newest = 0; // the curve that is being worked on

  function work(request, job) {
    if (request.id !== newest) return reply({ id: request.id, ended: true });
    const until = performance.now() + 12;
    let step = job.next();
    while (!step.done && performance.now() < until) step = job.next();
    if (step.done) reply({ id: request.id, ...step.value });
    else setTimeout(work, 0, request, job);
  }

  return (request) => {
    const { id, kind } = request;
    switch (kind) {
      case "start":
        engine = new Engine(request.labels, request.subsets, request.start, request.stop);
        return reply({ id });
      case "load":
        newest = 0;
        engine.load(networkOf(request.weights));
        return reply({ id, classes: engine.predictions() });
      case "remove":
        engine.remove(request.off);
        return reply({ id, classes: engine.predictions() });
      case "curve":
        newest = id;
        return work(request, engine.curve(request.order, request.points));
      case "activation":
        return reply({ id, values: engine.activation(request.unit) });
      case "logits":
        return reply({ id, logits: engine.logits.slice() });
    }
  };
}

if (typeof document === "undefined" && typeof self !== "undefined") {
  const answer = service((reply) => self.postMessage(reply));
  self.onmessage = (event) => answer(event.data);
}
