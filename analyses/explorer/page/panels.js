import { SUBSETS, accuracies, drawCurve } from "./curves.js";
import { $, short } from "./drawing.js";
import { ANSWERS, argmax, decidingRows, decidingUnits, drawLogits, kindOfAnswer, splitLogits } from "./pair.js";

/** What each panel says and shows of the explorer's state. */

const NOTHING = [NaN, NaN, NaN]; // accuracies that are not known yet
const KEYS = "Click to open a unit. Keys: arrows.";
const HINTS = {
  any: "Click to open a unit, drag a loop to switch units off. Keys: arrows, Space.",
  rank: `${KEYS} Not to be switched off by hand: answers are stored without the lowest or the highest ranks.`,
  earlier: `${KEYS} Answers without some of these units are stored for the last step only.`,
  none: `${KEYS} Answers without some of these units are not stored.`,
};

export function showControls(explorer) {
  const { state, stored, kind, off, answers } = explorer;
  const step = stored.about.steps[state.at].toLocaleString("en");
  $("off-count").textContent = `${count(off)} of ${kind.count} units off`;
  for (const end of ["low", "high"]) {
    $(end).value = state[end];
    $(end).disabled = answers.removes === "none";
    $(`${end}-value`).textContent = state[end];
  }
  for (const name of ["of", "x", "y", "by", "split", "threshold", "unit"]) $(name).value = state[name];
  $("threshold-value").textContent = state.threshold.toFixed(2);
  $("by-periodicity").hidden = state.split === "off";
  for (const [name, key] of [["by-name", state.by], ["periodicity-name", "periodicity"]]) {
    for (const element of document.getElementsByClassName(name)) element.textContent = explorer.label(key);
  }
  const isEarlier = answers.removes === "none" && kind.source !== "weights" && !stored.isLast(state.at);
  $("units-hint").textContent = HINTS[isEarlier ? "earlier" : answers.removes];
  if (!$("time")) return; // there is one network only
  $("time").value = state.at;
  $("time").setAttribute("aria-valuetext", `step ${step}`);
  $("step").textContent = `step ${step}`;
}

export function showUnits(explorer, isOther) {
  const { state, stored, kind, now, off } = explorer;
  const shown = {
    x: now[state.x], y: now[state.y],
    xTitle: explorer.label(state.x), yTitle: explorer.label(state.y),
    xRange: stored.range(kind, state.x), yRange: stored.range(kind, state.y),
    frequency: now.frequency, most: Math.floor(stored.about.order.length / 2), off, unit: state.unit,
  };
  if (explorer.differs("units", state.at, state.x, state.y) || isOther) explorer.scatter.draw(shown);
  else explorer.scatter.update(shown);
  const space = explorer.answers.removes === "any" ? ", Space switches it off or on" : "";
  $("scatter").setAttribute("aria-label",
    `${kind.count} ${kind.words} as points; arrow keys go from one to the next${space}`);
  const without = Array.from(shown.x).filter((x, unit) => !Number.isFinite(x + shown.y[unit])).length;
  $("no-value").textContent = without ? `${without} of ${kind.count} have no value here and are at the edge.` : "";
  const same = explorer.sameFrequency();
  const verb = (units) => (units.every((unit) => off[unit]) ? "Switch on" : "Switch off");
  $("unit-words").textContent = unitWords(explorer, state.unit);
  $("toggle").textContent = verb([state.unit]);
  $("toggle-frequency").hidden = !same.length; // a dead unit has none
  $("toggle-frequency").textContent =
    `${verb(same)} all ${same.length} of frequency ${short(now.frequency?.[state.unit])}`;
  const alone = stored.alone(kind, state.at, state.unit);
  const changes = alone && SUBSETS.map((subset, i) => `${stored.about.subsets[subset]} ${signed(alone[i])}`);
  $("alone").textContent = alone ? `Accuracy without it alone: ${changes.join(", ")}.` : "";
  $("activation-title").textContent = `${kind.activation} on (a, b): row a, column b`;
  const isMissing = explorer.answers.removes !== "any" && !stored.activation(kind, state.at, state.unit);
  const where = stored.isLast(state.at) ? "not stored" : "stored for the last step only";
  $("unit-missing").textContent = kind.name === "frequencies"
    ? "The residues in its plane are in the next panel."
    : isMissing ? `The activation of these units is ${where}.` : "";
}

export function showCurves(explorer) {
  const { state, stored, classes, whole, answers } = explorer;
  const measured = (of) => (of ? accuracies(of, stored.labels, stored.subsets) : NOTHING);
  const [now, all] = [measured(classes), measured(whole)];
  SUBSETS.forEach((subset, i) => {
    $(`whole-${subset}`).textContent = percent(all[i]);
    $(`now-${subset}`).textContent = percent(now[i]);
    $(`meter-${subset}`).style.setProperty("--share", now[i] || 0);
  });
  const curves = explorer.curves.get(explorer.curve);
  $("curves").hidden = $("curve-words").hidden = answers.removes === "none";
  for (const [end, other] of [["low", "high"], ["high", "low"]]) {
    const removed = answers.removes === "none" ? 0 : state[end];
    const isHere = removed > 0 || state[other] === 0; // not if only the other end is off
    drawCurve($(`curve-${end}`), {
      points: answers.points, lines: curves?.[end] ?? null, removed, now: isHere ? now : NOTHING,
      title: `units removed, ${end}est ${explorer.label(state.by)} first`,
    });
  }
}

export function showAnswers(explorer) {
  const { stored, classes } = explorer;
  document.body.classList.remove("stale");
  $("pairs").hidden = !classes;
  if (!classes) return;
  explorer.kinds = Array.from(classes, (answer, i) =>
    kindOfAnswer(answer, stored.labels[i], stored.clean[i]));
  explorer.table.draw(explorer.kinds);
  const counts = Object.fromEntries(ANSWERS.map((kind) => [kind, 0]));
  for (const kind of explorer.kinds) counts[kind]++;
  for (const kind of ANSWERS) $(`count-${kind}`).textContent = counts[kind].toLocaleString("en");
}

/** How many pairs were answered, and how long it took. */
export function showStatus({ stored, classes, answers }, off, took) {
  const pairs = (stored.about.p ** 2).toLocaleString("en");
  const time = answers.removes === "any" ? ` in ${took} ms` : "";
  $("status").textContent =
    classes ? `All ${pairs} pairs answered with ${count(off)} of ${off.length} units off${time}.` : "";
}

export function showPair(explorer) {
  const { state, stored, network } = explorer;
  explorer.table.mark(state.pair);
  const logits = network ? null : stored.logits(state.at, state.pair);
  for (const element of document.getElementsByClassName("split")) element.hidden = !network;
  for (const id of ["logits-sum", "pair-legend"]) $(id).toggleAttribute("hidden", !network && !logits);
  $("no-split").textContent = network ? "" : noSplit(explorer, logits);
  if (network) showSplit(explorer);
  else if (logits) showWhole(explorer, logits);
  else $("pair-words").textContent = pairWords(explorer, state.pair);
}

/** Why the logits are not split, or not shown. */
function noSplit({ stored, kind }, logits) {
  if (logits) {
    return `With all units on. The logits are not a sum of what the ${kind.words} write, so there is no exact split.`;
  }
  return stored.about.logits ? "Logits are stored for the last step only." : "Logits are left out, see above.";
}

function showWhole(explorer, logits) {
  const { state } = explorer;
  const { label, clean } = pairOf(explorer, state.pair);
  const range = [Math.min(0, ...logits), Math.max(0, ...logits)];
  drawLogits($("logits-sum"), logits, { range, title: "the network’s logits", label, clean, kind: "sum" });
  $("pair-words").textContent = pairWords(explorer, state.pair, argmax(logits));
}

function showSplit(explorer) {
  const { state, off, now, network } = explorer;
  const isByOff = state.split === "off";
  const isPeriodic = (unit) => Number(now.periodicity[unit] >= state.threshold);
  const { groups, active } = splitLogits(network, state.pair, (unit) => {
    if (isByOff) return 1 - off[unit];
    return off[unit] ? null : isPeriodic(unit);
  });
  const { index, label, clean } = pairOf(explorer, state.pair);
  const rest = network.rest(index);
  const sum = groups[0].map((value, c) => value + groups[1][c] + rest[c]);
  const answers = isByOff ? groups[1].map((value, c) => value + rest[c]) : sum;
  const found = decidingUnits(network, answers, active, off);
  const measure = explorer.label("periodicity");
  const level = short(state.threshold);
  const added = rest.some((value) => value) ? `, with ${explorer.kind.source === "weights" ? "the bias" : "the rest of the network"}` : "";
  const titles = isByOff
    ? ["units that are off would write", "units that are on write", `all units together${added}`]
    : [`units with ${measure} below ${level} write`, `units with ${measure} from ${level} on write`, `both${added}: the answer`];
  const all = [...groups[0], ...groups[1], ...sum, 0];
  const range = [Math.min(...all), Math.max(...all)];
  [...groups, sum].forEach((values, i) => {
    const kind = ["first", "second", "sum"][i];
    drawLogits($(`logits-${kind}`), values, { range, title: titles[i], label, clean, kind });
  });
  $("pair-words").textContent = pairWords(explorer, state.pair, found.answer);
  $("deciding").replaceChildren(...decidingRows(found, now, (unit) => explorer.set({ unit })));
  $("deciding-words").textContent =
    `Units that write most to the logit of ${found.answer} above that of ${found.rival}, the runner-up:`;
}

/** A unit in words. */
export function unitWords(explorer, unit) {
  const { now, off } = explorer;
  const known = ["frequency", "periodicity", "norm"].filter((key) => now[key]);
  const told = known.map((key) => `${explorer.label(key)} ${short(now[key][unit])}`);
  return `unit ${unit}: ${told.join(", ")}${off[unit] ? ", off" : ""}`;
}

/** A pair, its label and the network's answer in words. */
export function pairWords(explorer, pair, answer) {
  const { index, label, clean, subset } = pairOf(explorer, pair);
  const told = {
    test: `not in training; the rule gives ${clean}`,
    changed: `labelled ${label} in training, but the rule gives ${clean}`,
    unchanged: `labelled ${label} in training, as the rule gives`,
  }[subset];
  const given = answer ?? explorer.classes?.[index];
  return `(${pair.join(", ")}): ${told}; the network answers ${given ?? "…"}`;
}

function pairOf({ stored }, [a, b]) {
  const index = a * stored.about.p + b;
  const [label, clean] = [stored.labels[index], stored.clean[index]];
  return { index, label, clean, subset: SUBSETS[stored.subsets[index]] };
}

/** A note at the pointer, or none. */
export function tip(text, event) {
  const box = $("tip");
  box.hidden = !text;
  if (!text) return;
  box.textContent = text;
  box.style.left = `${Math.min(event.clientX + 12, window.innerWidth - box.offsetWidth - 8)}px`;
  box.style.top = `${event.clientY + 14}px`;
}

function count(off) {
  return off.reduce((sum, value) => sum + value, 0);
}

function percent(share) {
  return Number.isFinite(share) ? `${(100 * share).toFixed(1)} %` : "–";
}

function signed(share) {
  return Number.isFinite(share) ? `${share > 0 ? "+" : share < 0 ? "−" : "±"}${percent(Math.abs(share))}` : "–";
}
