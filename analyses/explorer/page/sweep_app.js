import { openPage } from "./open_page.js";
import { SUBSETS, drawAcross, drawHistogram, drawSeeds, drawStored } from "./cell.js";
import { $, channels, extent, html, mixed, paint, rgb, short } from "./drawing.js";
import { Plane, drawLegend, drawTable } from "./plane.js";
import { Sweep } from "./sweep.js";
import { choose, sweepFragment, sweepStateOf } from "./sweep_state.js";

const MOST_PANELS = 12; // small planes of the next axis

/** The page of a sweep: state in, pictures out. Every change goes through `set`. */
class SweepExplorer {
  constructor(sweep) {
    this.sweep = sweep;
    const { about } = sweep;
    this.scale = about.scale.map(channels);
    this.plane = new Plane($("plane"), {
      open: (i, j) => this.set({ cell: this.#cell(i, j) }),
      turn: (change) => this.#turn(change),
    });
    this.named = about.axes.map((_, i) => i).filter((i) => about.axes[i].name);
    for (const way of ["x", "y"]) {
      $(way).append(...this.named.map((i) => html("option", { value: i, textContent: about.axes[i].label })));
      $(way).addEventListener("change", (event) => {
        choose(this.state, way, Number(event.target.value));
        this.set({});
      });
    }
    $("axes").hidden = this.named.length < 2;
    $("by").append(html("option", { value: "phase", textContent: about.by }),
      ...about.measures.map(({ key, label, about: title }) => html("option", { value: key, textContent: label, title })));
    $("by").addEventListener("change", (event) => this.set({ by: event.target.value }));
    $("numbers").addEventListener("toggle", () => this.show());
    window.addEventListener("hashchange", () => this.read());
    window.addEventListener("resize", () => this.show());
    this.read();
  }

  // --- changes --------------------------------------------------------------------------------

  set(changes) {
    Object.assign(this.state, changes);
    history.replaceState(null, "", `#${sweepFragment(this.state, this.sweep.about)}`);
    this.show();
  }

  read() {
    this.state = sweepStateOf(location.hash.slice(1), this.sweep.about);
    this.show();
  }

  /** The open cell moved to places on the plane's axes, or on another axis. */
  #cell(i, j) {
    const { x, y, cell } = this.state;
    return cell.map((own, axis) => (axis === x ? i : axis === y ? j : own));
  }

  #turn(change) {
    const [axis] = this.#others();
    if (axis === undefined) return;
    const most = this.sweep.lengths[axis] - 1;
    this.set({ cell: this.state.cell.with(axis, Math.max(0, Math.min(most, this.state.cell[axis] + change))) });
  }

  /** Axes that the plane does not show, and that have several values. */
  #others() {
    return this.named.filter((i) => i !== this.state.x && i !== this.state.y && this.sweep.lengths[i] > 1);
  }

  // --- pictures -------------------------------------------------------------------------------

  show() {
    const { state, sweep } = this;
    for (const name of ["x", "y", "by"]) $(name).value = state[name];
    this.#showOthers();
    this.#showPlane();
    this.#showCell();
    document.body.dataset.ready = "yes";
  }

  /** A menu for each further axis, and small planes for the values of the first of them. */
  #showOthers() {
    const { state, sweep } = this;
    const others = this.#others();
    const to = (axis, place) => this.set({ cell: state.cell.with(axis, place) });
    $("others").replaceChildren(...others.map((axis) => {
      const { label, values } = sweep.about.axes[axis];
      const menu = html("select", { id: `axis-${axis}` },
        ...values.map((value, i) => html("option", { value: i, textContent: value })));
      menu.value = state.cell[axis];
      menu.addEventListener("change", () => to(axis, Number(menu.value)));
      return html("label", {}, `${label} `, menu);
    }));
    const [first] = others;
    const fits = first !== undefined && sweep.lengths[first] <= MOST_PANELS;
    $("panels").hidden = !fits;
    $("panels").replaceChildren(...(fits ? sweep.about.axes[first].values : []).map((value, place) => {
      const canvas = html("canvas");
      canvas.setAttribute("aria-hidden", "true");
      const [columns, rows] = [sweep.lengths[state.x], sweep.lengths[state.y]];
      paint(canvas, rows, columns, (n) => {
        const cell = this.#cell(n % columns, rows - 1 - Math.floor(n / columns)).with(first, place);
        return this.#colour(sweep.at(cell));
      });
      const button = html("button", { type: "button", onclick: () => to(first, place) }, canvas, value);
      button.setAttribute("aria-label", `${sweep.about.axes[first].label} ${value}`);
      button.setAttribute("aria-pressed", String(place === state.cell[first]));
      return button;
    }));
  }

  #showPlane() {
    const { state, sweep } = this;
    const [x, y] = [sweep.about.axes[state.x], sweep.about.axes[state.y]];
    const open = [state.cell[state.x], state.cell[state.y]];
    const measure = state.by === "phase" ? null : sweep.measure(state.by);
    const looks = [];
    const look = (i, j) => {
      const cell = this.#cell(i, j);
      const at = sweep.at(cell);
      const found = { fill: this.#fill(at), mark: this.#mark(at), dot: sweep.isInferred(at), words: `${sweep.place(cell)}: ${this.#words(at)}` };
      looks.push({ ...found, phase: sweep.phase(at) });
      return found;
    };
    this.plane.draw({ x, y, open, look });
    const isShown = ({ name }) => looks.some(({ phase }) => phase.name === name);
    const marks = [];
    if (looks.some(({ mark }) => mark)) {
      marks.push(`n/m, or a cross: n of m trained seeds agree, where not all ${sweep.seeds} do`);
    }
    if (looks.some(({ dot }) => dot)) marks.push("dot: inferred, not trained");
    const phases = sweep.about.phases.filter((phase) => isShown(phase) && (!measure || phase.name === ""));
    drawLegend($("legend"), { phases, marks, measure, colour: (share) => rgb(mixed(this.scale, share)) });
    if (!$("numbers").open) return;
    const words = (i, j) => {
      const at = sweep.at(this.#cell(i, j));
      return measure ? short(sweep.mean(state.by, at), 4) : `${sweep.phase(at).label} ${this.#mark(at)}`.trim();
    };
    drawTable($("table"), { x, y, open, words });
  }

  #showCell() {
    const { state, sweep } = this;
    const { about } = sweep;
    const at = sweep.at(state.cell);
    const wanted = about.columns.includes(state.by) || state.by === "phase" ? [] : [state.by];
    $("cell-place").textContent = sweep.place(state.cell) || "the only cell";
    $("cell-words").textContent = this.#words(at);
    drawSeeds($("seeds"), {
      sweep, at, seed: state.seed, columns: [...about.columns, ...wanted], choose: (seed) => this.set({ seed }),
    });
    const accuracies = SUBSETS.map(({ key }) => key);
    const isPhase = state.by === "phase" && accuracies.every((key) => sweep.measure(key));
    const keys = isPhase ? accuracies : [state.by === "phase" ? about.measures[0]?.key : state.by].filter(Boolean);
    const range = isPhase ? [0, 1] : this.#range(keys[0]);
    $("lines").hidden = !isPhase;
    for (const way of ["x", "y"]) {
      const isDrawn = keys.length > 0 && sweep.lengths[state[way]] > 1;
      $(`across-${way}`).closest("figure").hidden = !isDrawn;
      if (isDrawn) drawAcross($(`across-${way}`), { sweep, axis: state[way], cell: state.cell, keys, range });
    }
    if (about.histogram) {
      const isMeasured = drawHistogram($("histogram"), { sweep, at, seed: state.seed });
      $("histogram").style.display = isMeasured ? "" : "none";
      $("no-neurons").hidden = isMeasured;
      const which = state.seed < 0 ? "all seeds" : `seed ${about.seeds[state.seed]}`;
      $("histogram-words").textContent = `IPR of the neurons, ${which}`;
    }
    about.curves.forEach(({ key, along }, i) =>
      drawStored($(`stored-${i}`), { sweep, at, seed: state.seed, key, along }));
    this.#showCommand();
  }

  #showCommand() {
    const { state, sweep } = this;
    const { train, seeds } = sweep.about;
    $("by-hand").hidden = Boolean(train);
    $("command").hidden = !train;
    if (!train) return;
    const seed = Math.max(0, state.seed);
    const parts = [train.base, ...train.axes.map((texts, axis) => texts[state.cell[axis]]), train.seeds[seed]];
    $("command-seed").textContent = seeds[seed];
    $("command-text").textContent = `grokinterp train RUN ${parts.filter(Boolean).join(" ")} --checkpoints 30`;
  }

  /** Phase, seeds and accuracies of a cell, and what the colours show. */
  #words(at) {
    const { sweep } = this;
    const { by } = this.state;
    const known = SUBSETS.filter(({ key }) => sweep.measure(key) && Number.isFinite(sweep.mean(key, at)));
    const told = [sweep.verdict(at)];
    if (known.length) {
      told.push(`accuracy: ${known.map(({ key, words }) => `${words} ${short(sweep.mean(key, at))}`).join(", ")}`);
    }
    if (by !== "phase" && !known.some(({ key }) => key === by)) {
      told.push(`${sweep.measure(by).label} ${short(sweep.mean(by, at))}`);
    }
    return told.join("; ");
  }

  /** How many of its trained seeds agree, where not all seeds do. */
  #mark(at) {
    const { counted, agree, trained } = this.sweep.counts(at);
    return counted && (agree < counted || trained < this.sweep.seeds) ? `${agree}/${counted}` : "";
  }

  #fill(at) {
    const { name, color, pattern } = this.sweep.phase(at);
    if (this.state.by === "phase") return pattern ? `url(#${pattern})` : color;
    if (name === "" || !Number.isFinite(this.#share(at))) return "url(#dotted)";
    return rgb(this.#colour(at));
  }

  /** Red, green and blue of a cell; white where there is no number. */
  #colour(at) {
    if (this.state.by === "phase") return channels(this.sweep.phase(at).color);
    const share = this.#share(at);
    return Number.isFinite(share) ? mixed(this.scale, share) : [255, 255, 255];
  }

  /** Where a cell's mean is between the smallest and the largest number of the sweep. */
  #share(at) {
    const { range, log } = this.sweep.measure(this.state.by);
    const place = log ? Math.log : (value) => value;
    const [low, high] = range.map(place);
    return (place(this.sweep.mean(this.state.by, at)) - low) / (high - low || 1);
  }

  #range(key) {
    const range = this.sweep.measure(key)?.range ?? [0, 1];
    return range[0] === 0 && range[1] === 1 ? range : extent(range, 0.04);
  }
}

openPage((about, arrays) => new SweepExplorer(new Sweep(about, arrays)));
