// A list: tick all rows of the page, say how many are ticked, and copy the address of the view.

import { say } from "./scan.js";

for (const form of document.querySelectorAll("[data-ticked]")) {
  const boxes = [...form.querySelectorAll("input[name=row]")];
  const all = form.querySelector("[data-tick-all]");
  const place = form.querySelector("[data-tick-count]");
  const before = place.textContent;
  const count = () => {
    const n = boxes.filter((box) => box.checked).length;
    place.textContent = n === 0 ? before : n === 1 ? "1 row ticked:" : `${n} rows ticked:`;
    all.checked = n === boxes.length;
    all.indeterminate = n > 0 && n < boxes.length;
    for (const button of form.querySelectorAll("button[name=act]")) button.disabled = n === 0;
  };
  all.closest("label").hidden = false;
  all.addEventListener("change", () => {
    for (const box of boxes) box.checked = all.checked;
    count();
  });
  form.addEventListener("change", count);
  // Coming back with the browser's arrow keeps what was ticked.
  addEventListener("pageshow", count);
  count();
}

for (const button of document.querySelectorAll("[data-copy-view]")) {
  if (!navigator.clipboard) continue;
  button.hidden = false;
  button.addEventListener("click", async () => {
    const view = new URL(location.href);
    view.searchParams.delete("cursor");
    await navigator.clipboard.writeText(view.href);
    say("note", "The address of this view is copied.");
  });
}
