// A list that a gun fills: every scan becomes a line of the textarea marked `data-scan-list`, once each.
//
// Without this file the list still works: a gun types into the focused textarea, and a person can paste a file into it.

import { say } from "./scan.js";

const list = document.querySelector("textarea[data-scan-list]");

function lines() {
  return list.value.split(/[\s,]+/).filter(Boolean);
}

function showCount() {
  const counter = document.querySelector("[data-scan-count]");
  if (counter) counter.textContent = String(lines().length);
}

if (list) {
  document.addEventListener("code-scanned", (event) => {
    event.preventDefault();
    const { code, text } = event.detail;
    // Whatever is not one of ours is kept as it was read: the server says what it is.
    const known = lines().map((line) => line.toUpperCase());
    if (known.includes(code) || known.includes(text.toUpperCase())) {
      say("note", `${code} is in the list already.`);
      return;
    }
    list.value = [...lines(), /:\/\//.test(text) ? text : code].join("\n") + "\n";
    list.dispatchEvent(new Event("input", { bubbles: true }));
    list.scrollTop = list.scrollHeight;
    say("ok", `${code}: number ${lines().length}.`);
  });
  list.addEventListener("input", showCount);
  showCount();
}
