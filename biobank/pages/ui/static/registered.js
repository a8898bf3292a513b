// Fields whose names stand in the registers offer them while somebody types: what every bank starts with is in the page, what this
// bank entered is asked for once, when somebody comes to the field. The names of time zones the browser knows by itself.

import { ask, token } from "./remembered.js";

for (const input of token ? document.querySelectorAll("input[data-listed]") : []) {
  input.addEventListener(
    "focus",
    async () => {
      const known = new Set([...input.list.options].map((one) => one.value));
      const kind = input.dataset.listed;
      const names = kind === "time_zone" ? Intl.supportedValuesOf("timeZone")
        : (await ask("/registers/names", [["kind", kind]]))?.names ?? [];
      input.list.append(...names.filter((name) => !known.has(name)).map((name) => new Option(name, name)));
    },
    { once: true },
  );
}
