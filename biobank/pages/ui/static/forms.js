// Comforts of forms. Every page works without this file: keys, tokens and checks come from the server.

import { forgetRemembered } from "./remembered.js";

export function newKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16)); // randomUUID needs TLS; this does not
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return hex.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

// One press, one act. A second press while the first is on its way is dropped; the key makes it harmless anyway.
function markSent(form, sent) {
  form.toggleAttribute("data-sent", sent);
  for (const button of form.querySelectorAll("button:not([type=button])")) {
    if (sent) button.setAttribute("aria-disabled", "true");
    else button.removeAttribute("aria-disabled");
  }
}

// A form that comes back from the history is a new act: with the old key its new content would be refused.
function renew(form) {
  markSent(form, false);
  const key = form.querySelector("input[name=idempotency_key]");
  if (key) key.value = newKey();
}

function ask(form, submitter) {
  const dialog = document.getElementById("confirm-dialog");
  dialog.querySelector("#confirm-text").textContent = form.dataset.confirm;
  dialog.returnValue = "no"; // Escape answers no
  dialog.addEventListener("close", () => {
    if (dialog.returnValue !== "yes") return;
    form.dataset.confirmed = "";
    form.requestSubmit(submitter);
  }, { once: true });
  dialog.showModal();
}

document.addEventListener("submit", (event) => {
  const form = event.target;
  if (!form.matches("[data-once]")) return;
  if ("sent" in form.dataset) {
    event.preventDefault();
  } else if (form.dataset.confirm && !("confirmed" in form.dataset)) {
    event.preventDefault();
    ask(form, event.submitter);
  } else {
    delete form.dataset.confirmed;
    markSent(form, true);
    setTimeout(() => markSent(form, false), 15_000); // an answer that never came, or was a download
  }
});

addEventListener("pageshow", (event) => {
  if (event.persisted) document.querySelectorAll("form[data-once]").forEach(renew);
});

// Menus close on a click elsewhere and on Escape.
document.addEventListener("click", (event) => {
  for (const menu of document.querySelectorAll("details[data-menu][open]")) if (!menu.contains(event.target)) menu.open = false;
});
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  for (const menu of document.querySelectorAll("details[data-menu][open]")) {
    menu.open = false;
    menu.querySelector("summary").focus();
  }
});

// Arrow keys walk a box map; Tab still visits every place for those who do not know.
document.addEventListener("keydown", (event) => {
  const cell = event.target.closest?.("[data-grid] tbody td");
  const step = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] }[event.key];
  if (!cell || !step) return;
  const rows = [...cell.closest("tbody").rows];
  let [row, column] = [rows.indexOf(cell.parentElement), cell.cellIndex];
  for (;;) {
    [row, column] = [row + step[0], column + step[1]];
    const next = rows[row]?.cells[column];
    if (!next) return;
    const link = next.querySelector("a");
    if (link) {
      event.preventDefault();
      link.focus();
      return;
    }
  }
});

// A question mark opens the page of keys, unless it is typed into a field or shot by a scanner, whose keys come at once.
// A page may be younger than the pause that is asked for, and Shift goes down a moment before the mark that it makes.
let lastKey = -Infinity, opening;
document.addEventListener("keydown", (event) => {
  if (event.key === "Shift") return;
  const alone = event.timeStamp - lastKey > 300;
  lastKey = event.timeStamp;
  clearTimeout(opening);
  const typing = event.target.closest?.("input, textarea, select, [contenteditable]");
  const link = document.querySelector("[data-keys]");
  if (event.key === "?" && alone && link && !typing && !event.ctrlKey && !event.altKey && !event.metaKey)
    opening = setTimeout(() => location.assign(link.href), 300);
});

// The wish for large buttons is kept by this device, because gloves belong to a bench and not to a login.
for (const button of document.querySelectorAll("[data-gloves]")) {
  button.hidden = false;
  button.addEventListener("click", () => {
    const on = document.documentElement.classList.toggle("gloves");
    button.setAttribute("aria-pressed", String(on));
    const [name, more] = location.protocol === "https:" ? ["__Host-gloves", "; secure"] : ["gloves", ""];
    document.cookie = `${name}=${on ? 1 : 0}; path=/; max-age=31536000; samesite=strict${more}`;
  });
}

// What a page is about can be put on paper; the style for paper leaves the controls out.
for (const button of document.querySelectorAll("[data-print]")) {
  button.hidden = false;
  button.addEventListener("click", () => print());
}

// Drafts (drafts.js) end when their form was taken, that is when the answer is another page or tells what was done, and with the
// session.
const sent = sessionStorage.getItem("draft:sent");
if (sent) {
  sessionStorage.removeItem("draft:sent");
  const here = sent.replace(/\?.*/, "").endsWith(`:${location.pathname}`);
  const again = document.querySelector("form[data-draft][data-typed]");
  if (!here || document.querySelector("main[data-told]")) sessionStorage.removeItem(sent);
  else if (again) again.dataset.draftKey = sent;
}
// What a tab remembers of people and things, and the scan page's worker with its key and its encrypted copy of the page: none of it
// outlives the session, however that ended.
function forgetPage() {
  forgetRemembered();
  navigator.serviceWorker?.getRegistration("/scan").then((one) => one?.active?.postMessage({ forget: true }));
  new BroadcastChannel("kept-scans").postMessage("signed out"); // and other tabs drop theirs (kept.js)
}
if (location.pathname === "/login") forgetPage();
document.addEventListener("submit", (event) => {
  if (new URL(event.target.action, location.href).pathname !== "/logout") return;
  for (const key of Object.keys(sessionStorage)) if (key.startsWith("draft:")) sessionStorage.removeItem(key);
  forgetPage();
});

document.getElementById("error-summary")?.focus();

// On a telephone the lists of a section scroll sideways: begin with the open one in sight.
document.querySelector(".subnav [aria-current]")?.scrollIntoView({ inline: "center", block: "nearest" });

// A day or a time is typed in any style; what is picked from the calendar is written beside it, with the month as a word.
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
for (const picker of document.querySelectorAll("[data-picks]")) {
  picker.hidden = false;
  picker.addEventListener("change", () => {
    const [, year, month, day, clock] = picker.value.match(/^(\d{4})-(\d\d)-(\d\d)(?:T(\d\d:\d\d))?/) ?? [];
    if (!year) return;
    const field = document.getElementById(picker.dataset.picks);
    field.value = `${Number(day)} ${MONTHS[month - 1]} ${year}${clock ? `, ${clock}` : ""}`;
    field.dispatchEvent(new Event("input", { bubbles: true }));
  });
}
