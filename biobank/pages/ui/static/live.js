// Pages that wait for somebody else, and sums that a person would otherwise do in the head. Both are comforts: without this
// file the waiting page is loaded again by its own refresh, and the server does the sum.

import { tell } from "./feedback.js";

const LOOK_MS = 2000;
const LONGEST_MS = 10 * 60_000; // as long as a first scan waits; a page left alone must still lock itself

function typedSomething() {
  return [...document.querySelectorAll("main input:not([type=hidden]), main textarea")].some((field) => field.value !== field.defaultValue);
}

// What the page says hugely is also felt and heard, where the device lets a page do so.
const said = document.querySelector("[data-verdict]")?.dataset.verdict;
if (said === "no") tell("stop");
else if (said === "yes") tell("ok");

for (const place of document.querySelectorAll("[data-live]")) {
  const began = Date.now();
  const timer = setInterval(async () => {
    if (Date.now() - began > LONGEST_MS) return clearInterval(timer);
    if (document.hidden) return undefined;
    try {
      const answer = await fetch(place.dataset.live, { headers: { Accept: "application/json" } });
      if (answer.redirected || !answer.ok) return clearInterval(timer);
      const { mark, stop } = await answer.json();
      // A stop interrupts whatever is being typed; anything else waits until the fields are empty again.
      if (mark !== place.dataset.liveMark && (stop || !typedSomething())) location.replace(location.pathname);
    } catch {
      // No network for a moment: look again.
    }
    return undefined;
  }, LOOK_MS);
}

// What is left of a time for use, by the bank's clock and not the device's.
for (const place of document.querySelectorAll("[data-until]")) {
  const ahead = Date.parse(place.dataset.now) - Date.now();
  const left = place.querySelector("[data-left]");
  const say = () => {
    const minutes = Math.floor((Date.parse(place.dataset.until) - Date.now() - ahead) / 60_000);
    const hours = Math.floor(minutes / 60);
    left.textContent = minutes < 0 ? "Its time is over." : hours ? `${hours} h ${minutes % 60} min left` : `${minutes} min left`;
  };
  say();
  setInterval(say, 1000);
}

const AMOUNT = /^(\d*\.?\d*(?:e\d+)?)(k|M|G|million)?(?:mL|ml|cells|particles)?$/;
const MANY = { k: 1e3, M: 1e6, million: 1e6, G: 1e9 };
for (const box of document.querySelectorAll("[data-balance]")) {
  const whole = Number(box.dataset.balance);
  const per = Number(box.dataset.balancePer);
  const text = box.querySelector("[data-balance-text]");
  const parts = ["given", "residue", "loss"].map((name) => box.querySelector(`[name=${name}]`));
  // As the server reads it: 4.7 M, 1,5 mL, 200 000; what is not typed yet is nothing.
  const kept = (typed) => {
    const found = AMOUNT.exec(typed.replaceAll(",", ".").replace(/\s/g, ""));
    return found ? Math.round(Number(found[1] || "0") * (MANY[found[2]] ?? 1) * per) : NaN;
  };
  const said = (n) => {
    const [units, part] = String(n / per).split(".");
    return `${units.replace(/\B(?=(\d{3})+$)/g, "\u202f")}${part ? `.${part}` : ""} ${box.dataset.balanceUnit}`;
  };
  const say = () => {
    const rest = whole - parts.reduce((sum, part) => sum + kept(part.value), 0);
    if (Number.isNaN(rest)) return;
    text.textContent = rest === 0 ? "Everything in the tube is accounted for."
      : rest > 0 ? `Still to account for: ${said(rest)}.` : `${said(-rest)} more than was in the tube.`;
  };
  for (const part of parts) part.addEventListener("input", say);
}

// Two people at the bedside use two devices: each browser says which one it is, by a number it drew once.
const DEVICE = "device";
for (const field of document.querySelectorAll("[data-device]")) {
  let own = localStorage.getItem(DEVICE);
  if (own === null) {
    own = [...crypto.getRandomValues(new Uint8Array(12))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    localStorage.setItem(DEVICE, own);
  }
  field.value = own;
}
