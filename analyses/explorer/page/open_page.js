import { $ } from "./drawing.js";
import { unpack } from "./unpack.js";

/**
 * Open a page with the data inside it, or say that it could not start.
 *
 * @param {(about: object, arrays: object) => object} open gives the explorer, or a promise of it
 */
export async function openPage(open) {
  try {
    const about = JSON.parse($("data").textContent);
    const arrays = await unpack($("arrays").textContent, about.manifest);
    window.explorer = await open(about, arrays); // for the browser's console
  } catch (error) {
    $("problem").hidden = false;
    $("problem").textContent =
      `The page could not start (${error.message}). It needs a browser of 2023 or later.`;
  }
}
