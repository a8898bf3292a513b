// The idle lock in the page: after the time the server allows, or when it says that the session is locked, the page covers
// itself and asks for the password of the same login. Nothing on the page is lost.

import { t, told } from "./words.js";

const META = document.querySelector('meta[name="idle-lock"]');
const LIMIT_S = Number(META.content);
const STATION = META.dataset.station; // who is signed in by badge does not unlock: the next badge is scanned
const PING_MS = 60_000; // the server counts idleness by the minute
// A template until it is needed: a page has one password field at a time.
const dialog = document.getElementById("lock-template")?.content.firstElementChild.cloneNode(true);
const form = dialog?.querySelector("form");
const error = dialog?.querySelector("#lock-error");

const NO_NETWORK = t("No answer from the bank. Only the bank can check your password: this page stays locked until the network is back. "
  + "What was scanned is kept on this device.");

let usedAt = Date.now();
let pingedAt = Date.now();
let asking = null;

// Typing a long form sends nothing by itself: tell the server that somebody is there.
function used() {
  if (asking) return;
  usedAt = Date.now();
  if (usedAt - pingedAt < PING_MS) return;
  pingedAt = usedAt;
  fetch("/alive", { headers: { Accept: "application/json" } })
    .then((answer) => { if (answer.status === 401) askPassword(); })
    .catch(() => { /* no network: whatever is sent next will say so */ });
}

/** Cover the page and ask for the password until it is right; resolves true. */
export function askPassword() {
  if (STATION) {
    asking ??= new Promise(() => location.assign(`${STATION}?next=${encodeURIComponent(location.pathname + location.search)}`));
    return asking;
  }
  asking ??= new Promise((resolve) => {
    error.textContent = "";
    document.documentElement.classList.add("locked");
    document.dispatchEvent(new Event("page-locked"));
    fetch("/healthz", { cache: "no-store" }).catch(() => { error.textContent = NO_NETWORK; });
    for (const open of document.querySelectorAll("dialog:modal")) open.close();
    document.body.append(dialog);
    dialog.showModal();
    form.elements.password.value = "";
    form.elements.password.focus();
    dialog.addEventListener("close", () => {
      document.documentElement.classList.remove("locked");
      dialog.remove();
      asking = null;
      usedAt = pingedAt = Date.now();
      document.dispatchEvent(new Event("page-unlocked"));
      resolve(true);
    }, { once: true });
  });
  return asking;
}

async function tryPassword() {
  const answer = await fetch("/locked", { method: "POST", body: new URLSearchParams(new FormData(form)),
    headers: { Accept: "application/json" } });
  if (answer.ok) return dialog.close();
  if (answer.status === 401) return location.assign(`/login?next=${encodeURIComponent(location.pathname + location.search)}`);
  const said = await answer.json().catch(() => ({}));
  error.textContent = said.detail ? told(said.detail) : t("That did not work. Try again.");
  form.elements.password.select();
}

form?.addEventListener("submit", (event) => {
  event.preventDefault();
  tryPassword().catch(() => { error.textContent = NO_NETWORK; });
});
dialog?.addEventListener("cancel", (event) => event.preventDefault()); // Escape opens no lock

for (const kind of ["keydown", "pointerdown"]) addEventListener(kind, used, { passive: true, capture: true });
setInterval(() => { if (Date.now() - usedAt > LIMIT_S * 1000) askPassword(); }, 5_000);
