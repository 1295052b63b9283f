import { $, html, rgb, sequential } from "./drawing.js";
import { ANSWERS } from "./pair.js";
import { rankings } from "./state.js";

const PAUSE = 300; // milliseconds that a network is shown while time plays

/** Let the page's controls change the explorer's state. */
export function connect(explorer) {
  const { about } = explorer.stored;
  const { steps } = about;
  const hear = (id, event, heard) => $(id)?.addEventListener(event, heard);

  $("of").append(...about.units.map(({ name, words }) =>
    html("option", { value: name, textContent: words })));
  for (const name of ["of", "x", "y", "by"]) {
    hear(name, "change", (event) => explorer.set({ [name]: event.target.value }));
  }
  for (const end of ["low", "high"]) {
    const other = end === "low" ? "high" : "low";
    hear(end, "input", (event) => {
      const value = Number(event.target.value);
      const left = explorer.answers.removes === "any" ? explorer.kind.count - value : value ? 0 : Infinity;
      explorer.set({ [end]: value, [other]: Math.min(explorer.state[other], left) });
    });
  }
  hear("all-on", "click", () => explorer.set({ low: 0, high: 0, off: new Set(), on: new Set() }));
  hear("invert", "click", () => {
    const kept = Array.from(explorer.off, (_, unit) => unit).filter((unit) => !explorer.off[unit]);
    explorer.set({ low: 0, high: 0, off: new Set(kept), on: new Set() });
  });

  hear("unit", "change", (event) => {
    const unit = Number(event.target.value);
    if (Number.isInteger(unit) && unit >= 0 && unit < explorer.kind.count) explorer.set({ unit });
  });
  hear("toggle", "click", () => explorer.toggle([explorer.state.unit]));
  hear("toggle-frequency", "click", () => explorer.toggle(explorer.sameFrequency()));

  hear("split", "change", (event) => explorer.set({ split: event.target.value }));
  hear("threshold", "input", (event) => explorer.set({ threshold: Number(event.target.value) }));
  for (const kind of ANSWERS) hear(`next-${kind}`, "click", () => explorer.nextPair(kind));

  const embedding = about.embedding?.frequencies.length;
  if (embedding) $("circle-frequency").max = embedding;
  hear("circle-frequency", "input", (event) => explorer.set({ circle: Number(event.target.value) }));
  for (const name of ["layer", "from"]) {
    hear(`attention-${name}`, "change", (event) => explorer.set({ [name]: Number(event.target.value) }));
  }

  if ($("time")) $("time").max = steps.length - 1;
  hear("time", "input", (event) => explorer.set({ at: Number(event.target.value) }));
  hear("play", "click", player(explorer));

  window.addEventListener("hashchange", () => explorer.read());
  window.addEventListener("resize", () => explorer.show());

  const colours = Array.from({ length: 12 }, (_, i) => rgb(sequential(i / 11)));
  $("frequencies").style.background = `linear-gradient(to right, ${colours.join(",")})`;
  $("most-frequency").textContent = Math.floor(about.order.length / 2);
}

/** Fit the controls to the kind of units that is shown. */
export function offer(explorer) {
  const { kind } = explorer;
  for (const name of ["x", "y", "by"]) {
    const offered = kind.scores.filter(({ key }) => name !== "by" || rankings(kind).includes(key));
    $(name).replaceChildren(...offered.map(({ key, label, about: title }) =>
      html("option", { value: key, textContent: label, title })));
  }
  for (const end of ["low", "high"]) $(end).max = kind.count;
  $("unit").max = kind.count - 1;
}

/** What the button does that plays the training and pauses it. */
function player(explorer) {
  let playing = null; // the turn that plays now; an earlier one may still be waiting
  const last = explorer.stored.about.steps.length - 1;
  const wait = (time) => new Promise((resolve) => setTimeout(resolve, time));
  const set = (turn) => {
    playing = turn;
    $("play").textContent = playing ? "Pause" : "Play";
  };
  return async () => {
    const turn = playing ? null : {};
    set(turn);
    if (turn && explorer.state.at === last) explorer.set({ at: 0 });
    while (turn && playing === turn && explorer.state.at < last) {
      await wait(PAUSE);
      while (playing === turn && explorer.busy) await wait(PAUSE / 10);
      if (playing === turn) explorer.set({ at: Math.min(last, explorer.state.at + 1) });
    }
    if (playing === turn) set(null);
  };
}
