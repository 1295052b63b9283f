import { $, html, intensity, paint, short } from "./drawing.js";

/** Where every head of a layer looks from one position: a heat map over (a, b) for each source. */
export class Attention {
  /** @param {import("./stored.js").Stored} stored */
  constructor(stored) {
    this.stored = stored;
    const { positions, layers } = stored.about.attention;
    const option = (value, textContent) => html("option", { value, textContent });
    $("attention-layer").append(...layers.map(({ layer }, i) => option(i, layer)));
    $("attention-from").append(...positions.map((word, i) => option(i, `${word} (${i})`)));
    $("attention-layer").parentElement.hidden = layers.length === 1;
  }

  /** The pattern of a head from one position to another for all pairs; null if it is not here. */
  values({ at, layer, from }, head, to) {
    const { p, attention } = this.stored.about;
    const count = attention.positions.length;
    const { layer: name, heads, earlier } = attention.layers[layer];
    const isLast = this.stored.isLast(at);
    if (!isLast && !earlier) return null;
    const { values } = this.stored.arrays[isLast ? `attention/${name}` : `attention/${name}/earlier`];
    const place = (((isLast ? 0 : at) * heads + head) * count + from) * count + to;
    return values.subarray(place * p * p, (place + 1) * p * p);
  }

  draw(state) {
    const { p, attention } = this.stored.about;
    const isHere = this.values(state, 0, 0) !== null;
    $("attention-layer").value = state.layer;
    $("attention-from").value = state.from;
    $("attention-words").textContent = isHere ? "" : "Attention is stored for the last step only.";
    const maps = [];
    for (let head = 0; isHere && head < attention.layers[state.layer].heads; head++) {
      attention.positions.forEach((word, to) => {
        const values = this.values(state, head, to);
        if (values.every((value) => value === 0)) return; // later positions are not seen
        const mean = values.reduce((sum, value) => sum + value, 0) / values.length;
        const words = `head ${head} to ${word} (${to}): mean ${short(mean)}`;
        const canvas = html("canvas");
        canvas.setAttribute("role", "img");
        canvas.setAttribute("aria-label", `Attention over all pairs, ${words}`);
        paint(canvas, p, p, (i) => intensity(values[i]));
        maps.push(html("figure", {}, html("figcaption", { textContent: words }), canvas));
      });
    }
    $("attention-maps").replaceChildren(...maps);
    $("attention-maps").style.setProperty("--columns", Math.max(1, state.from + 1));
  }
}
