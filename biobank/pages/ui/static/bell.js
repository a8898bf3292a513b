// How many lines wait on Today, at the bell. It is asked when somebody opens a page, at most once in a minute and never by a
// timer of its own: a page that nobody uses must lock itself.

import { remember, remembered } from "./remembered.js";

const EVERY_MS = 60_000;
const AFTER_MS = 2_000; // the page itself comes first
const bell = document.querySelector("[data-bell]");

function show(waiting) {
  bell.hidden = waiting === 0;
  bell.textContent = waiting > 99 ? "99+" : String(waiting);
}

function keep(waiting) {
  remember("bell", { at: Date.now(), waiting });
  show(waiting);
}

async function ask() {
  try {
    const answer = await fetch("/tasks/now", { headers: { Accept: "application/json" } });
    if (answer.ok && !answer.redirected) keep((await answer.json()).waiting);
  } catch {
    bell.hidden = true; // without network nobody knows
  }
}

if (bell) {
  const here = document.querySelector("[data-waiting]");
  const kept = remembered("bell");
  const fresh = kept && Date.now() - kept.at < EVERY_MS;
  if (here) keep(Number(here.dataset.waiting));
  else if (fresh) show(kept.waiting);
  else setTimeout(ask, AFTER_MS);
}
