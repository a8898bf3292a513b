// Fields whose names stand in the registers offer them while somebody types: what every bank starts with is in the page, what this
// bank entered is asked for once, when somebody comes to the field.

import { ask, token } from "./remembered.js";

for (const input of token ? document.querySelectorAll("input[data-listed]") : []) {
  input.addEventListener(
    "focus",
    async () => {
      const known = new Set([...input.list.options].map((one) => one.value));
      const answer = await ask("/registers/names", [["kind", input.dataset.listed]]);
      input.list.append(...(answer?.names ?? []).filter((name) => !known.has(name)).map((name) => new Option(name, name)));
    },
    { once: true },
  );
}
