import { SUBSETS, Ruler, accuracies, curvePoints, drawCurve } from "./curves.js";
import { html, rgb, sequential, short } from "./drawing.js";
import { Network } from "./network.js";
import { ANSWERS, Table, decidingRows, decidingUnits, drawLogits, kindOfAnswer, splitLogits } from "./pair.js";
import { Pool } from "./pool.js";
import { Scatter, inWords, scoreRange } from "./scatter.js";
import { fromFragment, offUnits, rankOrder, toFragment } from "./state.js";
import { drawUnit } from "./unit.js";
import { unpack } from "./unpack.js";

const $ = (id) => document.getElementById(id);

/** The page: state in, pictures out. Whatever changes goes through `set`. */
class Explorer {
  constructor(about, arrays, pool) {
    Object.assign(this, { about, arrays, pool });
    this.labels = arrays.labels.values;
    this.clean = arrays.clean_labels.values;
    this.subsets = arrays.subsets.values;
    this.points = curvePoints(about.width);
    this.curves = new Map();
    this.state = fromFragment(location.hash.slice(1), about);
    this.classes = null;
    this.loaded = null; // place of the network that the workers have
    this.busy = false;
    this.whole = [NaN, NaN, NaN];
    this.#controls();
  }

  // --- what is stored -------------------------------------------------------------------------

  /** Weights of a stored network, by its place among them. */
  weights(at) {
    const { p, width, act, steps } = this.about;
    const table = (name) => {
      if (at === steps.length - 1) return this.arrays[name].values;
      const { values } = this.arrays[`earlier_${name}`];
      const each = values.length / (steps.length - 1);
      return values.subarray(at * each, (at + 1) * each);
    };
    return { p, width, act, W_E: table("W_E"), W_in: [], W_U: table("W_U") };
  }

  /** Scores of the units of a stored network, by name. */
  scores(at) {
    const { width, scores } = this.about;
    return Object.fromEntries(scores.map(({ key }, i) => {
      const from = (at * scores.length + i) * width;
      return [key, this.arrays.scores.values.subarray(from, from + width)];
    }));
  }

  /** Smallest and largest value of a score over all networks. */
  range(key) {
    const all = this.about.steps.flatMap((_, at) => Array.from(this.scores(at)[key]));
    return scoreRange(all);
  }

  // --- changes --------------------------------------------------------------------------------

  /** Change the state, the URL and the pictures. */
  set(changes) {
    Object.assign(this.state, changes);
    const { width } = this.about;
    this.state.high = Math.min(this.state.high, width - this.state.low);
    history.replaceState(null, "", `#${toFragment(this.state, this.about)}`);
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

  /** Draw what needs no answers of the network, and ask for these. */
  show() {
    const { state, about } = this;
    this.now = this.scores(state.at);
    if (this.network?.at !== state.at) {
      this.network = new Network(this.weights(state.at));
      this.network.at = state.at;
      this.classes = null;
    }
    this.order = rankOrder(this.now[state.by]);
    this.off = offUnits(state, this.order);
    this.#showControls();
    this.#showUnits();
    this.ruler.draw(about.steps[state.at]);
    drawUnit(this.unitRoots, this.network, state.unit, this.now.frequency[state.unit]);
    this.#showPair();
    this.#showAnswers();
    this.#ask();
  }

  /** Ask for the answers of the network as it is now; a change meanwhile asks once more. */
  async #ask() {
    if (this.busy) {
      this.again = true;
      return;
    }
    this.busy = true;
    do {
      this.again = false;
      const began = performance.now();
      const { at } = this.state;
      if (this.loaded !== at) {
        const classes = await this.pool.load(this.weights(at));
        this.loaded = at;
        this.whole = accuracies(classes, this.labels, this.subsets);
      }
      const off = this.off;
      const classes = await this.pool.remove(off);
      if (at === this.state.at) {
        this.classes = classes;
        this.#showAnswers();
        const took = Math.round(performance.now() - began);
        $("status").textContent = `${inSentence(off)} in ${took} ms`;
        document.body.dataset.milliseconds = String(took);
      }
    } while (this.again);
    this.busy = false;
    await this.#askCurve();
    document.body.dataset.ready = "yes";
  }

  async #askCurve() {
    const key = `${this.state.at} ${this.state.by}`;
    if (this.curves.has(key)) return;
    const sums = await this.pool.curve(this.order, this.points);
    if (!sums) return;
    const count = [0, 0, 0];
    for (const subset of this.subsets) count[subset]++;
    const lines = (end) =>
      SUBSETS.map((_, s) => this.points.map((_, i) => sums[end][i * 3 + s] / count[s]));
    this.curves.set(key, { low: lines("low"), high: lines("high") });
    this.#showAnswers();
  }

  // --- pictures -------------------------------------------------------------------------------

  #showUnits() {
    const { state, about } = this;
    const title = (key) => about.scores.find((score) => score.key === key).label;
    this.scatter.draw({
      x: this.now[state.x], y: this.now[state.y], xTitle: title(state.x), yTitle: title(state.y),
      xRange: this.range(state.x), yRange: this.range(state.y),
      frequency: this.now.frequency, most: Math.floor(about.p / 2), off: this.off, unit: state.unit,
    });
    $("unit-words").textContent = inWords(state.unit, this.now, this.off);
    $("toggle").textContent = this.off[state.unit] ? "Switch on" : "Switch off";
  }

  #showAnswers() {
    const { state, about, classes } = this;
    document.body.classList.toggle("stale", !classes);
    const now = classes ? accuracies(classes, this.labels, this.subsets) : [NaN, NaN, NaN];
    SUBSETS.forEach((subset, i) => {
      $(`whole-${subset}`).textContent = percent(this.loaded === state.at ? this.whole[i] : NaN);
      $(`now-${subset}`).textContent = percent(now[i]);
      $(`meter-${subset}`).style.setProperty("--share", Number.isFinite(now[i]) ? now[i] : 0);
    });
    const curves = this.curves.get(`${state.at} ${state.by}`);
    const { label } = about.scores.find((score) => score.key === state.by);
    for (const end of ["low", "high"]) {
      drawCurve($(`curve-${end}`), {
        points: this.points, lines: curves?.[end] ?? null, removed: state[end], now,
        title: `units removed, ${end === "low" ? "lowest" : "highest"} ${label} first`,
      });
    }
    if (!classes) return;
    const kinds = Array.from(classes, (answer, i) => kindOfAnswer(answer, this.labels[i], this.clean[i]));
    this.table.draw(kinds, state.pair);
    for (const kind of ANSWERS) {
      $(`count-${kind}`).textContent = kinds.filter((found) => found === kind).length.toLocaleString("en");
    }
  }

  #showPair() {
    const { state, about, off } = this;
    const [a, b] = state.pair;
    const index = a * about.p + b;
    const [label, clean] = [this.labels[index], this.clean[index]];
    const isByOff = state.split === "off";
    const isPeriodic = (unit) => Number(this.now.ipr[unit] >= state.threshold);
    const group = isByOff ? (unit) => 1 - off[unit] : (unit) => (off[unit] ? null : isPeriodic(unit));
    const { groups, sum, active } = splitLogits(this.network, state.pair, group);
    const logits = isByOff ? groups[1] : sum;
    const found = decidingUnits(this.network, logits, active, off);
    const subset = SUBSETS[this.subsets[index]];
    const told = subset === "changed" ? `labelled ${label} in training, the rule gives ${clean}`
      : subset === "test" ? `not in training, the rule gives ${clean}` : `labelled ${label} in training`;
    $("pair-words").textContent = `(${a}, ${b}): ${told}; answer ${found.answer}`;
    const all = [...groups[0], ...groups[1], ...sum, 0];
    const range = [Math.min(...all), Math.max(...all)];
    const titles = isByOff
      ? ["switched-off units write", "units that are on write: the answer", "all units write"]
      : [`units with IPR below ${short(state.threshold)} write`, `units with IPR from ${short(state.threshold)} on write`, "both write: the answer"];
    [groups[0], groups[1], sum].forEach((values, i) => {
      const kind = ["first", "second", "sum"][i];
      drawLogits($(`logits-${kind}`), values, { range, title: titles[i], label, clean, kind });
    });
    $("deciding").replaceChildren(...decidingRows(found, this.now, (unit) => this.set({ unit })));
    $("deciding-words").textContent = `Units that write most to the difference between the logits of ${found.answer} and ${found.rival}:`;
  }

  #showControls() {
    const { state, about } = this;
    const count = this.off.reduce((sum, value) => sum + value, 0);
    $("off-count").textContent = `${count} of ${about.width} units off`;
    for (const end of ["low", "high"]) {
      $(end).value = state[end];
      $(`${end}-value`).textContent = state[end];
    }
    for (const name of ["x", "y", "by", "split"]) $(name).value = state[name];
    $("threshold").value = state.threshold;
    $("unit").value = state.unit;
    $("time").value = state.at;
    $("time").setAttribute("aria-valuetext", `step ${about.steps[state.at]}`);
    $("step").textContent = `step ${about.steps[state.at].toLocaleString("en")}`;
    const { label } = about.scores.find((score) => score.key === state.by);
    for (const name of document.querySelectorAll(".by-name")) name.textContent = label;
  }

  // --- controls -------------------------------------------------------------------------------

  #controls() {
    const { about } = this;
    const { steps, width, scores } = about;
    this.unitRoots = Object.fromEntries(
      ["circle", "spectrum", "activation", "transform", "writes"].map((name) => [name, $(name)]),
    );
    this.scatter = new Scatter($("scatter"), {
      open: (unit) => this.set({ unit }),
      toggle: (unit) => this.switchUnits([unit], !this.off[unit]),
      lasso: (units) => this.switchUnits(units, $("lasso-off").checked),
      hover: (unit, event) => tip(unit === null ? null : inWords(unit, this.now, this.off), event),
    });
    this.table = new Table($("table"), about.p, (pair) => this.set({ pair }), (pair, event) => {
      const index = pair && pair[0] * about.p + pair[1];
      tip(pair && this.classes && `(${pair.join(", ")}): answer ${this.classes[index]}, label ${this.labels[index]}, rule ${this.clean[index]}`, event);
    });
    this.ruler = new Ruler($("ruler"), about, (step) => {
      const distance = steps.map((stored) => Math.abs(stored - step));
      this.set({ at: distance.indexOf(Math.min(...distance)) });
    });
    for (const name of ["x", "y", "by"]) {
      const wanted = scores.filter((score) => name !== "by" || score.key !== "frequency");
      $(name).append(...wanted.map(({ key, label, about: title }) =>
        html("option", { value: key, textContent: label, title })));
      $(name).addEventListener("change", (event) => this.set({ [name]: event.target.value }));
    }
    for (const end of ["low", "high"]) {
      $(end).max = width;
      $(end).addEventListener("input", (event) => {
        const other = end === "low" ? "high" : "low";
        const value = Number(event.target.value);
        this.set({ [end]: value, [other]: Math.min(this.state[other], width - value) });
      });
    }
    $("all-on").addEventListener("click", () => this.set({ low: 0, high: 0, off: new Set(), on: new Set() }));
    $("toggle").addEventListener("click", () =>
      this.switchUnits([this.state.unit], !this.off[this.state.unit]));
    $("unit").max = width - 1;
    $("unit").addEventListener("change", (event) => {
      const unit = Number(event.target.value);
      if (Number.isInteger(unit) && unit >= 0 && unit < width) this.set({ unit });
    });
    $("split").addEventListener("change", (event) => this.set({ split: event.target.value }));
    $("threshold").addEventListener("input", (event) => this.set({ threshold: Number(event.target.value) }));
    $("time").max = steps.length - 1;
    $("time").addEventListener("input", (event) => this.set({ at: Number(event.target.value) }));
    $("play").addEventListener("click", () => this.#play());
    window.addEventListener("hashchange", () => {
      this.state = fromFragment(location.hash.slice(1), about);
      this.show();
    });
    window.addEventListener("resize", () => this.show());
    const bar = Array.from({ length: 12 }, (_, i) => rgb(sequential(i / 11)));
    $("frequencies").style.background = `linear-gradient(to right, ${bar.join(",")})`;
    $("most-frequency").textContent = Math.floor(about.p / 2);
  }

  async #play() {
    this.playing = !this.playing;
    $("play").textContent = this.playing ? "Pause" : "Play";
    if (!this.playing) return;
    const last = this.about.steps.length - 1;
    if (this.state.at === last) this.set({ at: 0 });
    while (this.playing && this.state.at < last) {
      await new Promise((resolve) => setTimeout(resolve, 300));
      while (this.playing && this.busy) await new Promise((resolve) => setTimeout(resolve, 30));
      if (this.playing) this.set({ at: this.state.at + 1 });
    }
    this.playing = false;
    $("play").textContent = "Play";
  }
}

function percent(share) {
  return Number.isFinite(share) ? `${(100 * share).toFixed(1)} %` : "–";
}

function inSentence(off) {
  const count = off.reduce((sum, value) => sum + value, 0);
  return `Answers to all pairs with ${count} of ${off.length} units off`;
}

function tip(text, event) {
  const box = $("tip");
  box.hidden = !text;
  if (!text) return;
  box.textContent = text;
  const left = Math.min(event.clientX + 12, window.innerWidth - box.offsetWidth - 8);
  box.style.left = `${left}px`;
  box.style.top = `${event.clientY + 14}px`;
}

async function start() {
  const about = JSON.parse($("data").textContent);
  const arrays = await unpack($("arrays").textContent, about.manifest);
  const task = { labels: arrays.labels.values, subsets: arrays.subsets.values };
  const pool = await Pool.start($("engine").textContent, task);
  window.explorer = new Explorer(about, arrays, pool); // for the console, and for tests
  window.explorer.show();
}

start();
