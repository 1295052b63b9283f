import { connect } from "./controls.js";
import { SUBSETS, Ruler, accuracies, curvePoints, drawCurve } from "./curves.js";
import { $, short } from "./drawing.js";
import { Network } from "./network.js";
import { ANSWERS, Table, decidingRows, decidingUnits, drawLogits, kindOfAnswer, splitLogits } from "./pair.js";
import { Pool } from "./pool.js";
import { Scatter } from "./scatter.js";
import { fromFragment, offUnits, rankOrder, toFragment } from "./state.js";
import { Stored } from "./stored.js";
import { drawActivation, drawUnit } from "./unit.js";
import { unpack } from "./unpack.js";

const NOTHING = [NaN, NaN, NaN]; // accuracies that are not known yet

/** The page: state in, pictures out. Every change goes through `set`. */
class Explorer {
  /**
   * @param {Stored} stored
   * @param {Pool} pool
   */
  constructor(stored, pool) {
    Object.assign(this, { stored, pool });
    const { about } = stored;
    this.points = curvePoints(about.width);
    this.curves = new Map(); // by network and score
    this.drawn = {}; // what each picture shows
    this.loaded = null; // place of the network that the workers have
    this.whole = NOTHING;
    this.busy = false;
    this.turns = 0; // in which answers were asked for
    this.scatter = new Scatter($("scatter"), {
      open: (unit) => this.set({ unit }),
      toggle: (unit) => this.toggle([unit]),
      lasso: (units) => this.switchUnits(units, $("lasso-off").checked),
      hover: (unit, event) => tip(unit === null ? "" : this.#unit(unit), event),
    });
    this.table = new Table(
      $("table"), about.p, (pair) => this.set({ pair }), (pair, event) => tip(this.#words(pair), event),
    );
    this.ruler = new Ruler($("ruler"), about, (step) => {
      const distance = about.steps.map((kept) => Math.abs(kept - step));
      this.set({ at: distance.indexOf(Math.min(...distance)) });
    });
    connect(this);
    this.read();
  }

  // --- changes --------------------------------------------------------------------------------

  /** Change the state, the URL and the pictures. */
  set(changes) {
    Object.assign(this.state, changes);
    history.replaceState(null, "", `#${toFragment(this.state, this.stored.about)}`);
    this.show();
  }

  /** Take the state from the URL. */
  read() {
    this.state = fromFragment(location.hash.slice(1), this.stored.about);
    this.show();
  }

  /** Switch some units off or on by hand. */
  switchUnits(units, isOff) {
    const off = new Set(this.state.off);
    const on = new Set(this.state.on);
    for (const unit of units) {
      (isOff ? off : on).add(unit);
      (isOff ? on : off).delete(unit);
    }
    this.set({ off, on });
  }

  /** Switch units off, or on if all of them are off. */
  toggle(units) {
    this.switchUnits(units, !units.every((unit) => this.off[unit]));
  }

  /** Units with the same frequency as the one that is shown. */
  sameFrequency() {
    const { frequency } = this.now;
    const units = Array.from(frequency, (_, unit) => unit);
    return units.filter((unit) => frequency[unit] === frequency[this.state.unit]);
  }

  /** Choose the next pair whose answer is of a kind. */
  nextPair(kind) {
    if (!this.kinds) return;
    const { p } = this.stored.about;
    const [a, b] = this.state.pair;
    const later = this.kinds.indexOf(kind, a * p + b + 1);
    const found = later >= 0 ? later : this.kinds.indexOf(kind);
    if (found >= 0) this.set({ pair: [Math.floor(found / p), found % p] });
  }

  /** Draw what needs no answers of the network, and ask for these. */
  show() {
    const { state, stored } = this;
    this.now = stored.scores(state.at);
    if (this.network?.at !== state.at) {
      this.network = new Network(stored.weights(state.at));
      this.network.at = state.at;
      this.classes = null;
    }
    this.order = rankOrder(this.now[state.by]);
    this.off = offUnits(state, this.order);
    this.#showControls();
    this.#showUnits();
    if (this.#differs("ruler", state.at)) this.ruler.draw(stored.about.steps[state.at]);
    if (this.#differs("unit", state.at, state.unit)) {
      drawUnit(this.network, state.unit, this.now.frequency[state.unit], stored.about.order);
    }
    if (!stored.about.runs) {
      document.body.dataset.ready = "yes"; // what follows is not in the page
      return;
    }
    this.#showPair();
    this.#showCurves();
    document.body.classList.toggle("stale", !this.classes);
    document.body.dataset.ready = "no";
    this.#ask();
  }

  /** Whether what a picture shows, or the page's width, differs from the last time. */
  #differs(picture, ...values) {
    const key = [...values, window.innerWidth].join(" ");
    const differs = this.drawn[picture] !== key;
    this.drawn[picture] = key;
    return differs;
  }

  /** Ask for the answers of the network as it is now; after a change meanwhile once more. */
  async #ask() {
    this.again = true;
    if (this.busy) return;
    this.busy = true;
    while (this.again) {
      this.again = false;
      await this.#answer();
    }
    this.busy = false;
    const turn = ++this.turns;
    await this.#askCurve();
    if (turn === this.turns && !this.busy) document.body.dataset.ready = "yes";
  }

  async #answer() {
    const { off } = this;
    const { at } = this.state;
    const { stored, pool } = this;
    const began = performance.now();
    if (this.loaded !== at) {
      const classes = await pool.load(stored.weights(at));
      this.loaded = at;
      this.coming = null; // ended by the other network
      this.whole = accuracies(classes, stored.labels, stored.subsets);
    }
    const classes = await pool.remove(off);
    if (at !== this.state.at) return;
    this.classes = classes;
    this.#showCurves();
    this.#showAnswers();
    await new Promise(requestAnimationFrame); // the picture is there
    const took = Math.round(performance.now() - began);
    const pairs = stored.about.p ** 2;
    $("status").textContent =
      `All ${pairs.toLocaleString("en")} pairs answered with ${count(off)} of ${off.length} units off in ${took} ms.`;
    const { unit } = this.state;
    const plane = this.#differs("activation", at, unit) && (await pool.activation(unit));
    if (plane) drawActivation(plane, stored.about.p, stored.about.order);
  }

  /** The curves by rank of this network and score; one computation is enough for each. */
  #askCurve() {
    const key = `${this.state.at} ${this.state.by}`;
    if (this.curves.has(key)) return undefined;
    if (this.coming?.key !== key) this.coming = { key, done: this.#computeCurve(key) };
    return this.coming.done;
  }

  async #computeCurve(key) {
    const { stored } = this;
    const sums = await this.pool.curve(this.order, this.points);
    if (this.coming?.key === key) this.coming = null;
    if (!sums) return; // another network came in between
    const sizes = SUBSETS.map((_, code) => stored.subsets.filter((own) => own === code).length);
    const lines = (end) =>
      SUBSETS.map((_, s) => this.points.map((_, i) => sums[end][i * 3 + s] / sizes[s]));
    this.curves.set(key, { low: lines("low"), high: lines("high") });
    this.#showCurves();
  }

  // --- pictures -------------------------------------------------------------------------------

  #showControls() {
    const { state, stored } = this;
    const step = stored.about.steps[state.at].toLocaleString("en");
    $("off-count").textContent = `${count(this.off)} of ${stored.about.width} units off`;
    for (const end of ["low", "high"]) {
      $(end).value = state[end];
      $(`${end}-value`).textContent = state[end];
    }
    for (const name of ["x", "y", "by", "split", "threshold", "unit"]) $(name).value = state[name];
    $("threshold-value").textContent = state.threshold.toFixed(2);
    $("by-periodicity").hidden = state.split === "off";
    for (const [kind, key] of [["by-name", state.by], ["periodicity-name", "periodicity"]]) {
      for (const name of document.getElementsByClassName(kind)) name.textContent = stored.label(key);
    }
    if (!$("time")) return; // there is one network only
    $("time").value = state.at;
    $("time").setAttribute("aria-valuetext", `step ${step}`);
    $("step").textContent = `step ${step}`;
  }

  #showUnits() {
    const { state, stored, now, off } = this;
    const shown = {
      x: now[state.x], y: now[state.y],
      xTitle: stored.label(state.x), yTitle: stored.label(state.y),
      xRange: stored.range(state.x), yRange: stored.range(state.y),
      frequency: now.frequency, most: Math.floor(stored.about.order.length / 2), off, unit: state.unit,
    };
    if (this.#differs("units", state.at, state.x, state.y)) this.scatter.draw(shown);
    else this.scatter.update(shown);
    const same = this.sameFrequency();
    const verb = (units) => (units.every((unit) => off[unit]) ? "Switch on" : "Switch off");
    $("unit-words").textContent = this.#unit(state.unit);
    $("toggle").textContent = verb([state.unit]);
    $("toggle-frequency").hidden = !stored.about.runs || !same.length; // a dead unit has none
    $("toggle-frequency").textContent =
      `${verb(same)} all ${same.length} of frequency ${short(now.frequency[state.unit])}`;
  }

  #showCurves() {
    const { state, stored, classes } = this;
    const now = classes ? accuracies(classes, stored.labels, stored.subsets) : NOTHING;
    const whole = this.loaded === state.at ? this.whole : NOTHING;
    SUBSETS.forEach((subset, i) => {
      $(`whole-${subset}`).textContent = percent(whole[i]);
      $(`now-${subset}`).textContent = percent(now[i]);
      $(`meter-${subset}`).style.setProperty("--share", now[i] || 0);
    });
    const curves = this.curves.get(`${state.at} ${state.by}`);
    for (const [end, other] of [["low", "high"], ["high", "low"]]) {
      const isHere = state[end] > 0 || state[other] === 0; // not if only the other end is off
      drawCurve($(`curve-${end}`), {
        points: this.points, lines: curves?.[end] ?? null, removed: state[end],
        now: isHere ? now : NOTHING,
        title: `units removed, ${end}est ${stored.label(state.by)} first`,
      });
    }
  }

  #showAnswers() {
    const { stored, classes } = this;
    document.body.classList.remove("stale");
    this.kinds = Array.from(classes, (answer, i) =>
      kindOfAnswer(answer, stored.labels[i], stored.clean[i]));
    this.table.draw(this.kinds);
    const counts = Object.fromEntries(ANSWERS.map((kind) => [kind, 0]));
    for (const kind of this.kinds) counts[kind]++;
    for (const kind of ANSWERS) $(`count-${kind}`).textContent = counts[kind].toLocaleString("en");
  }

  #showPair() {
    const { state, stored, off, now, network } = this;
    const isByOff = state.split === "off";
    const isPeriodic = (unit) => Number(now.periodicity[unit] >= state.threshold);
    const { groups, active } = splitLogits(network, state.pair, (unit) => {
      if (isByOff) return 1 - off[unit];
      return off[unit] ? null : isPeriodic(unit);
    });
    const bias = network.b_U;
    const sum = groups[0].map((value, c) => value + groups[1][c] + bias[c]);
    const answers = isByOff ? groups[1].map((value, c) => value + bias[c]) : sum;
    const found = decidingUnits(network, answers, active, off);
    const measure = stored.label("periodicity");
    const level = short(state.threshold);
    const added = bias.some((value) => value) ? ", with the bias" : "";
    const titles = isByOff
      ? ["units that are off would write", "units that are on write", `all units together${added}`]
      : [`units with ${measure} below ${level} write`, `units with ${measure} from ${level} on write`, `both${added}: the answer`];
    const all = [...groups[0], ...groups[1], ...sum, 0];
    const range = [Math.min(...all), Math.max(...all)];
    const { label, clean } = this.#pair(state.pair);
    [...groups, sum].forEach((values, i) => {
      const kind = ["first", "second", "sum"][i];
      drawLogits($(`logits-${kind}`), values, { range, title: titles[i], label, clean, kind });
    });
    this.table.mark(state.pair);
    $("pair-words").textContent = this.#words(state.pair, found.answer);
    $("deciding").replaceChildren(...decidingRows(found, now, (unit) => this.set({ unit })));
    $("deciding-words").textContent =
      `Units that write most to the logit of ${found.answer} above that of ${found.rival}, the runner-up:`;
  }

  #unit(unit) {
    const { now, off, stored } = this;
    return `unit ${unit}: frequency ${short(now.frequency[unit])}, `
      + `${stored.label("periodicity")} ${short(now.periodicity[unit])}, `
      + `norm ${short(now.norm[unit])}${off[unit] ? ", off" : ""}`;
  }

  #pair([a, b]) {
    const index = a * this.stored.about.p + b;
    const [label, clean] = [this.stored.labels[index], this.stored.clean[index]];
    return { index, label, clean, subset: SUBSETS[this.stored.subsets[index]] };
  }

  #words(pair, answer) {
    if (!pair) return "";
    const { index, label, clean, subset } = this.#pair(pair);
    const told = {
      test: `not in training; the rule gives ${clean}`,
      changed: `labelled ${label} in training, but the rule gives ${clean}`,
      unchanged: `labelled ${label} in training, as the rule gives`,
    }[subset];
    const given = answer ?? this.classes?.[index];
    return `(${pair.join(", ")}): ${told}; the network answers ${given ?? "…"}`;
  }
}

function count(off) {
  return off.reduce((sum, value) => sum + value, 0);
}

function percent(share) {
  return Number.isFinite(share) ? `${(100 * share).toFixed(1)} %` : "–";
}

/** A note at the pointer, or none. */
function tip(text, event) {
  const box = $("tip");
  box.hidden = !text;
  if (!text) return;
  box.textContent = text;
  box.style.left = `${Math.min(event.clientX + 12, window.innerWidth - box.offsetWidth - 8)}px`;
  box.style.top = `${event.clientY + 14}px`;
}

async function start() {
  const about = JSON.parse($("data").textContent);
  const stored = new Stored(about, await unpack($("arrays").textContent, about.manifest));
  const pool = await Pool.start($("engine").textContent, stored);
  window.explorer = new Explorer(stored, pool); // for the browser's console
}

start().catch((error) => {
  $("problem").hidden = false;
  $("problem").textContent =
    `The page could not start (${error.message}). It needs a browser of 2023 or later.`;
});
