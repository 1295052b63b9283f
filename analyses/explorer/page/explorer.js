import { Kept, Running } from "./answers.js";
import { Attention } from "./attention.js";
import { Circles } from "./circles.js";
import { connect, offer } from "./controls.js";
import { Ruler } from "./curves.js";
import { $ } from "./drawing.js";
import { Table } from "./pair.js";
import {
  pairWords, showAnswers, showControls, showCurves, showPair, showStatus, showUnits, tip, unitWords,
} from "./panels.js";
import { Scatter } from "./scatter.js";
import { fromFragment, initialState, kindOf, offUnits, rankOrder, snapped, toFragment } from "./state.js";
import { drawActivation, drawUnit } from "./unit.js";

/** The page: state in, pictures out. Every change goes through `set`. */
export class Explorer {
  /**
   * @param {import("./stored.js").Stored} stored
   * @param {import("./pool.js").Pool} pool
   */
  constructor(stored, pool) {
    Object.assign(this, { stored, pool });
    const { about } = stored;
    this.curves = new Map(); // by kind of units, network and score
    this.drawn = {}; // what each picture shows
    this.busy = false;
    this.turns = 0; // in which answers were asked for
    this.scatter = new Scatter($("scatter"), {
      open: (unit) => this.set({ unit }),
      toggle: (unit) => this.toggle([unit]),
      lasso: (units) => this.switchUnits(units, $("lasso-off").checked),
      hover: (unit, event) => tip(unit === null ? "" : unitWords(this, unit), event),
    });
    this.table = new Table(
      $("table"), about.p, (pair) => this.set({ pair }),
      (pair, event) => tip(pair && pairWords(this, pair), event),
    );
    this.ruler = new Ruler($("ruler"), about, (step) => {
      const distance = about.steps.map((kept) => Math.abs(kept - step));
      this.set({ at: distance.indexOf(Math.min(...distance)) });
    });
    this.circles = about.embedding && new Circles(stored);
    this.attention = about.attention && new Attention(stored);
    connect(this);
    this.read();
  }

  // --- changes --------------------------------------------------------------------------------

  /** Change the state, the URL and the pictures. */
  set(changes) {
    const { about } = this.stored;
    if (changes.of && changes.of !== this.state.of) {
      const { at, pair, circle, layer, from } = this.state; // what is no matter of units stays
      this.state = { ...initialState(about, changes.of), at, pair, circle, layer, from };
    }
    Object.assign(this.state, changes);
    if (this.kind.source === "stored") this.state = snapped(this.state, this.kind);
    if (this.state.of === "frequencies" && "unit" in changes) this.state.circle = changes.unit + 1;
    history.replaceState(null, "", `#${toFragment(this.state, about)}`);
    this.show();
  }

  /** Take the state from the URL. */
  read() {
    this.state = fromFragment(location.hash.slice(1), this.stored.about);
    this.show();
  }

  /** Switch some units off or on by hand. */
  switchUnits(units, isOff) {
    if (this.answers.removes !== "any") return;
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
    const { frequency = [] } = this.now;
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

  // --- the order of drawing -------------------------------------------------------------------

  /** The kind of units that is shown. */
  get kind() {
    return kindOf(this.stored.about, this.state.of);
  }

  /** Name of a score in words. */
  label(key) {
    return this.kind.scores.find((score) => score.key === key)?.label ?? "";
  }

  /** Draw what needs no answers of the network, and ask for these. */
  show() {
    const { state, stored, kind } = this;
    const isOther = this.differs("kind", state.of);
    if (isOther) offer(this);
    if (this.answers?.kind !== kind || this.answers.at !== state.at) {
      this.network = stored.network(kind, state.at);
      this.answers = this.network
        ? new Running(stored, this.pool, kind, state.at)
        : new Kept(stored, kind, state.at);
      this.classes = this.whole = this.coming = null;
    }
    this.now = stored.scores(kind, state.at);
    const { removes } = this.answers;
    document.body.dataset.removes = removes;
    this.order = rankOrder(this.now[state.by] ?? new Float32Array(kind.count));
    this.off = removes === "none" ? new Uint8Array(kind.count) : offUnits(state, this.order);
    showControls(this);
    showUnits(this, isOther);
    if (this.differs("ruler", state.at)) this.ruler.draw(stored.about.steps[state.at]);
    if (this.differs("unit", state.of, state.at, state.unit)) {
      drawUnit(stored.vectors(kind, state.at, state.unit), this.now.frequency?.[state.unit], stored.about.order);
    }
    if (this.circles && this.differs("circles", state.at, state.circle)) this.circles.draw(state);
    if (this.attention && this.differs("attention", state.at, state.layer, state.from)) {
      this.attention.draw(state);
    }
    showPair(this);
    showCurves(this);
    document.body.classList.toggle("stale", !this.classes);
    document.body.dataset.ready = "no";
    this.#ask();
  }

  /** Whether what a picture shows, or the page's width, differs from the last time. */
  differs(picture, ...values) {
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
    const { off, answers, stored, state } = this;
    const { of, at, unit } = state;
    const began = performance.now();
    const { whole, classes } = await answers.answer(state, off);
    if (answers !== this.answers) return;
    Object.assign(this, { whole, classes });
    showCurves(this);
    showAnswers(this);
    await new Promise(requestAnimationFrame); // the picture is there
    showStatus(this, off, Math.round(performance.now() - began));
    if (!this.differs("activation", of, at, unit)) return;
    drawActivation(await answers.activation(unit), stored.about.p, stored.about.order);
  }

  /** Name of the curves by rank that are shown; one computation is enough for each. */
  get curve() {
    return `${this.state.of} ${this.state.at} ${this.state.by}`;
  }

  #askCurve() {
    if (this.curves.has(this.curve)) return undefined;
    if (this.coming?.key !== this.curve) {
      this.coming = { key: this.curve, done: this.#computeCurve(this.curve) };
    }
    return this.coming.done;
  }

  async #computeCurve(key) {
    const lines = await this.answers.curve(this.state.by, this.order);
    if (this.coming?.key === key) this.coming = null;
    if (!lines) return;
    this.curves.set(key, lines);
    showCurves(this);
  }
}
