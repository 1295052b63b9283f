import { openPage } from "./open_page.js";
import { $ } from "./drawing.js";
import { Explorer } from "./explorer.js";
import { Pool } from "./pool.js";
import { Stored } from "./stored.js";

openPage(async (about, arrays) => {
  const stored = new Stored(about, arrays);
  return new Explorer(stored, await Pool.start($("engine").textContent, stored));
});
