import { $ } from "./drawing.js";
import { Explorer } from "./explorer.js";
import { Pool } from "./pool.js";
import { Stored } from "./stored.js";
import { unpack } from "./unpack.js";

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
