// The box of every page while somebody types: things whose code or name begins so, and on an empty box what was looked at last.
// A scan goes past it: scan.js reads the label, Enter opens it. What is typed is sent in the body of a form, never in an address; a
// person is looked for by a button of its own, since that is recorded.

import { ask, remember, remembered } from "./remembered.js";
import { t } from "./words.js";

const AFTER_MS = 250; // a gun has ended by then
const KEPT = 8;
const frame = document.querySelector(".find-frame");
const input = frame?.querySelector("[data-find]");
const list = frame?.querySelector("[data-find-list]");
const said = frame?.querySelector("[data-find-said]");
const person = frame?.querySelector("form[data-person]");

// What this tab looked at, by code only; it ends with the tab and with the session that saw it.
const THING = /^\/[a-z-]+\/([A-Z]{2}(?:[0-9]{2})?-[0-9A-Z]{7})$/;

const recent = () => remembered("recent") ?? [];

function lookedAt() {
  const code = THING.exec(location.pathname)?.[1];
  if (!code) return;
  const kind = document.querySelector(".heading-kind")?.textContent.trim() ?? "";
  const items = [{ kind, name: code, detail: "", href: location.pathname }, ...recent().filter((one) => one.name !== code)];
  remember("recent", items.slice(0, KEPT));
}

function line(item) {
  const link = document.createElement("a");
  link.href = item.href;
  for (const [name, text] of [["kind small", item.kind], ["code", item.name], ["soft small", item.detail]]) {
    if (!text) continue;
    const part = document.createElement("span");
    part.className = name;
    part.textContent = text;
    link.append(part);
  }
  const row = document.createElement("li");
  row.append(link);
  return row;
}

function show(items, heading) {
  list.querySelector("ul").replaceChildren(...items.map(line));
  const named = person && /^[^0-9]{3,}$/.test(input.value.trim());
  if (person) person.hidden = !named;
  said.textContent = heading;
  list.hidden = !items.length && !named && !input.value.trim();
}

let asked = 0;
async function suggest() {
  const typed = input.value.trim();
  const number = ++asked;
  if (!typed) return recent().length ? show(recent(), t("Looked at last")) : close();
  if (typed.length < 2) return close();
  const answer = await ask("/find/now", [["q", typed]]);
  if (number !== asked || document.activeElement !== input) return;
  if (!answer) return close(); // Enter still says what is wrong
  const { items } = answer;
  show(items, items.length ? t("%(n)s found", { n: items.length }) : t("Nothing begins so. Enter looks further."));
}

function close() {
  list.hidden = true;
}

if (input && list) {
  lookedAt();
  let timer;
  input.addEventListener("input", () => {
    clearTimeout(timer);
    timer = setTimeout(suggest, AFTER_MS);
  });
  input.addEventListener("click", suggest);
  frame.addEventListener("focusout", (event) => {
    if (!frame.contains(event.relatedTarget)) close();
  });
  frame.addEventListener("keydown", (event) => {
    if (event.key === "Escape") {
      close();
      input.focus();
    }
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step || list.hidden) return;
    event.preventDefault();
    const stops = [input, ...list.querySelectorAll("a, button")].filter((one) => one.checkVisibility());
    stops[(stops.indexOf(document.activeElement) + step + stops.length) % stops.length].focus();
  });
  person?.addEventListener("submit", () => {
    person.elements.name.value = input.value.trim();
  });
}
