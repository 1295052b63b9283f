import { axes, rgb, scale, sequential, svg } from "./drawing.js";

const LEAST_DRAG = 5; // pixels; a shorter movement is a click

/** Every unit as a point: two scores as axes, colour by frequency, hollow if it is off. */
export class Scatter {
  /**
   * @param {SVGElement} root
   * @param {object} hears
   * @param {(unit: number) => void} hears.open
   * @param {(units: number[]) => void} hears.lasso
   * @param {(unit: number) => void} hears.toggle
   * @param {(unit: number | null, event?: PointerEvent) => void} hears.hover
   */
  constructor(root, hears) {
    this.root = root;
    this.hears = hears;
    this.places = [];
    this.drag = null;
    this.axes = svg("g");
    this.points = svg("g");
    this.front = svg("g", { class: "front" });
    root.append(this.axes, this.points, this.front);
    root.addEventListener("pointerdown", (event) => this.#down(event));
    root.addEventListener("pointermove", (event) => this.#move(event));
    root.addEventListener("pointerup", (event) => this.#up(event));
    root.addEventListener("pointercancel", () => this.#end());
    root.addEventListener("pointerleave", () => hears.hover(null));
    root.addEventListener("keydown", (event) => this.#key(event));
  }

  /**
   * @param {object} shown
   * @param {Float32Array} shown.x value of each unit
   * @param {Float32Array} shown.y
   * @param {number[]} shown.xRange
   * @param {Float32Array} [shown.frequency] where units have one
   * @param {Uint8Array} shown.off
   * @param {number} shown.unit the unit that is open
   */
  draw(shown) {
    this.shown = shown;
    const width = this.root.clientWidth || 560;
    const height = Math.max(280, Math.min(430, width * 0.75));
    const area = { left: 50, right: width - 14, top: 26, bottom: height - 42 };
    const x = scale(shown.xRange, [area.left, area.right]);
    const y = scale(shown.yRange, [area.bottom, area.top]);
    this.root.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.axes.replaceChildren(axes(area, {
      x, y, xRange: shown.xRange, yRange: shown.yRange, xTitle: shown.xTitle, yTitle: shown.yTitle,
    }));
    this.places = Array.from(shown.x, (value, unit) => [
      Number.isFinite(value) ? x(value) : area.left, // a dead unit has no score: at the edge
      Number.isFinite(shown.y[unit]) ? y(shown.y[unit]) : area.bottom,
    ]);
    while (this.points.childElementCount < this.places.length) this.points.append(svg("circle", { r: 4 }));
    while (this.points.childElementCount > this.places.length) this.points.lastChild.remove();
    this.places.forEach(([cx, cy], unit) => {
      const point = this.points.children[unit];
      point.setAttribute("cx", cx.toFixed(1));
      point.setAttribute("cy", cy.toFixed(1));
      point.style.setProperty("--colour", this.#colour(unit));
    });
    this.update(shown);
  }

  /** Only what changes when units are switched or opened. */
  update({ off, unit }) {
    Object.assign(this.shown, { off, unit });
    for (let n = 0; n < this.places.length; n++) {
      this.points.children[n].classList.toggle("off", off[n] === 1);
    }
    const [cx, cy] = this.places[unit];
    this.front.replaceChildren(svg("circle", { cx, cy, r: 8, class: "open" }));
  }

  #colour(unit) {
    const { frequency, most } = this.shown;
    return Number.isFinite(frequency?.[unit]) ? rgb(sequential(frequency[unit] / most)) : "#999";
  }

  #at(event) {
    const box = this.root.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  #nearest([x, y], within) {
    let best = null;
    let least = within * within;
    this.places.forEach(([cx, cy], unit) => {
      const distance = (cx - x) ** 2 + (cy - y) ** 2;
      if (distance < least) [best, least] = [unit, distance];
    });
    return best;
  }

  #down(event) {
    if (event.button !== 0) return;
    this.drag = [this.#at(event)];
    this.root.setPointerCapture(event.pointerId);
  }

  #move(event) {
    const at = this.#at(event);
    if (!this.drag) {
      this.hears.hover(this.#nearest(at, 14), event);
      return;
    }
    this.drag.push(at);
    const d = `M${this.drag.map(([x, y]) => `${x.toFixed(1)} ${y.toFixed(1)}`).join("L")}Z`;
    this.front.querySelector(".lasso")?.remove();
    this.front.append(svg("path", { d, class: "lasso" }));
  }

  /** Stop drawing a loop; its points, if there was one. */
  #end() {
    const path = this.drag;
    this.drag = null;
    this.front.querySelector(".lasso")?.remove();
    return path;
  }

  #up(event) {
    const path = this.#end();
    if (!path) return;
    const [[x0, y0]] = path;
    const moved = Math.max(...path.map(([x, y]) => Math.hypot(x - x0, y - y0)));
    if (moved < LEAST_DRAG) {
      const unit = this.#nearest(this.#at(event), 14);
      if (unit !== null) this.hears.open(unit);
      return;
    }
    const inside = this.places.flatMap((place, unit) => (contains(path, place) ? [unit] : []));
    if (inside.length) this.hears.lasso(inside);
  }

  #key(event) {
    const { unit } = this.shown;
    const direction = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1 }[event.key];
    if (direction) {
      const byPlace = this.places.map((_, n) => n).sort((m, n) =>
        this.places[m][0] - this.places[n][0] || m - n);
      const next = byPlace[byPlace.indexOf(unit) + direction];
      if (next !== undefined) this.hears.open(next);
    } else if (event.key === " ") {
      this.hears.toggle(unit);
    } else return;
    event.preventDefault();
  }
}

/** Whether a closed path goes around a place. */
function contains(path, [x, y]) {
  let inside = false;
  path.forEach(([x1, y1], i) => {
    const [x2, y2] = path[(i + 1) % path.length];
    if (y1 > y !== y2 > y && x < x1 + ((y - y1) / (y2 - y1)) * (x2 - x1)) inside = !inside;
  });
  return inside;
}
