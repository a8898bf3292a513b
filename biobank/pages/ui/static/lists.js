// Lists that a gun fills: every scan of a fitting code becomes a line. A code that stands there already is said, not added.

import { isOurs, readLabel } from "./codes.js";
import { say } from "./scan.js";

const lists = [...document.querySelectorAll("[data-scan-list]")];
// A list without prefixes takes whatever is scanned: in an emergency nothing is turned away.
const takes = (list, prefix) => !list.dataset.scanList || list.dataset.scanList.split(" ").includes(prefix || "AD");
// An identifier that somebody else gave may hold blanks and commas: a line is one, unless it is nothing but codes of ours.
const parts = (line) => (line.split(/[\s,;]+/).every((one) => readLabel(one)) ? line.split(/[\s,;]+/) : [line]);
const lines = (list) => list.value.split("\n").map((line) => line.trim()).filter(Boolean).flatMap(parts);

function count(list) {
  const n = lines(list).length;
  const place = list.closest(".field").querySelector("[data-scan-count]");
  place.textContent = n === 0 ? "" : n === 1 ? "1 in the list" : `${n} in the list`;
}

document.addEventListener("code-scanned", (event) => {
  const { code, prefix, text, label = code } = event.detail;
  const fitting = lists.filter((list) => list.checkVisibility() && takes(list, prefix));
  const list = fitting.find((one) => one === document.activeElement) ?? fitting[0];
  if (!list) return;
  event.preventDefault();
  const line = isOurs(text) ? label : text;
  const plain = (one) => readLabel(one)?.code ?? one.toUpperCase(); // two labels of one tube are one tube
  if (lines(list).some((one) => plain(one) === plain(line))) {
    say("care", `${code} is in the list already`);
    return;
  }
  list.value = [...lines(list), line].join("\n");
  list.dispatchEvent(new Event("input", { bubbles: true }));
  list.scrollTop = list.scrollHeight;
  say("note", `Scanned ${code}`);
});

for (const list of lists) {
  list.addEventListener("input", () => count(list));
  count(list);
}
