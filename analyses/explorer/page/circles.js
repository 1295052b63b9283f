import { $, axes, html, scale, short, svg } from "./drawing.js";

/** The embedding: residues in the plane of one frequency, and the frequencies' shares of variance. */
export class Circles {
  /** @param {import("./stored.js").Stored} stored */
  constructor(stored) {
    this.about = stored.about;
    this.positions = stored.arrays["embedding/circles"].values; // [step, table, frequency, place, 2]
    this.shares = stored.arrays["embedding/shares"].values; // [step, table, frequency]
    const { tables } = this.about.embedding;
    this.roots = tables.map((table) => {
      const circle = svg("svg", { role: "img" });
      const spectrum = svg("svg", { role: "img" });
      const title = (text) => html("figcaption", { textContent: tables.length > 1 ? `${table}: ${text}` : text });
      $("circles").append(
        html("figure", {}, title("Residues in the plane of this frequency"), circle),
        html("figure", { className: "broad" }, title("Share of the variance at each frequency"), spectrum),
      );
      return { circle, spectrum };
    });
  }

  /** Positions [place][2] and shares [frequency] of one table. */
  values(at, table, frequency) {
    const { tables, frequencies } = this.about.embedding;
    const places = this.about.order.length;
    const first = (at * tables.length + table) * frequencies.length;
    const from = (first + frequency - 1) * places * 2;
    return {
      places: Array.from({ length: places }, (_, i) => [this.positions[from + 2 * i], this.positions[from + 2 * i + 1]]),
      shares: Array.from(this.shares.subarray(first, first + frequencies.length)),
    };
  }

  draw({ at, circle }) {
    $("circle-frequency").value = circle;
    $("circle-value").textContent = circle;
    this.roots.forEach((roots, table) => {
      const { places, shares } = this.values(at, table, circle);
      this.#drawCircle(roots.circle, places, circle, this.#reach(table, circle));
      this.#drawSpectrum(roots.spectrum, shares, circle);
    });
  }

  /** Largest distance from the middle at any step: so points move, and not the scale. */
  #reach(table, frequency) {
    const all = this.about.steps.flatMap((_, at) => this.values(at, table, frequency).places.flat());
    return all.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-9);
  }

  #drawCircle(root, places, k, reach) {
    const size = root.clientWidth || 320;
    const p = places.length;
    const x = scale([-reach, reach], [14, size - 14]);
    const y = scale([reach, -reach], [14, size - 14]);
    // Neighbours on a perfect circle of this frequency are joined.
    const turns = places.map((_, i) => ((k * i) % p) / p);
    const around = places.map((_, i) => i).sort((i, j) => turns[i] - turns[j] || i - j);
    const d = `M${around.map((i) => `${x(places[i][0]).toFixed(1)} ${y(places[i][1]).toFixed(1)}`).join("L")}Z`;
    root.setAttribute("viewBox", `0 0 ${size} ${size}`);
    root.setAttribute("aria-label", `${p} residues in the plane of frequency ${k}`);
    root.replaceChildren(
      svg("path", { d: `M${x(0)} 14V${size - 14}M14 ${y(0)}H${size - 14}`, class: "grid" }),
      svg("path", { d, class: "around" }),
      ...places.map(([cos, sin], i) => svg("text", {
        x: x(cos).toFixed(1), y: (y(sin) + 4).toFixed(1), "text-anchor": "middle",
      }, String(this.about.order[i]))),
    );
  }

  #drawSpectrum(root, shares, k) {
    const width = root.clientWidth || 600;
    const height = 230;
    const area = { left: 46, right: width - 8, top: 22, bottom: height - 40 };
    const most = shares.reduce((a, b) => Math.max(a, b || 0), 0.05);
    const x = scale([0.5, shares.length + 0.5], [area.left, area.right]);
    const y = scale([0, most], [area.bottom, area.top]);
    const bar = Math.max(1, (x(1) - x(0)) * 0.8);
    const largest = shares.indexOf(Math.max(...shares)) + 1;
    root.setAttribute("viewBox", `0 0 ${width} ${height}`);
    root.setAttribute("aria-label",
      `Frequency ${k} has ${short(shares[k - 1])} of the variance; frequency ${largest} has most`);
    root.replaceChildren(
      axes(area, {
        x, y, xRange: [1, shares.length], yRange: [0, most], yTitle: "share of the variance",
        xTitle: `frequency, cycles per ${this.about.order.length}`,
      }),
      ...shares.map((share, i) => svg("rect", {
        x: x(i + 1) - bar / 2, y: y(share || 0), width: bar, height: area.bottom - y(share || 0),
        class: i + 1 === k ? "bar chosen" : "bar",
      })),
    );
  }
}
