// Printed names beside badge codes, and what places are called beside theirs where a sentence names one. All that
// stand on the page are asked for at once; a name once told is remembered by the tab until its session ends, that of a place for
// this page. A field that takes a badge offers colleagues by name and login while somebody types.

import { ask, remember, remembered, token } from "./remembered.js";

const BADGE = /US-[0-9A-Z]{7}/;
const PLACE = /(?:BX|PS)-[0-9A-Z]{7}/;
const SENTENCES = ".verdict, .banner, .field-error, .act-refused";
const AFTER_MS = 300;
const SKIPPED = "script, style, svg, textarea, input, option, datalist, [data-no-names]";
const names = new Map(remembered("names") ?? []);

// Text below `root` that holds such a code without a name beside it yet.
function holding(shape, root, mark) {
  const found = [];
  const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode;
    if (shape.test(text.data) && !text.parentElement.closest(SKIPPED) && !text.parentElement.dataset[mark]) found.push(text);
  }
  return found;
}

function beside(name) {
  const said = document.createElement("span");
  said.className = "who";
  said.textContent = ` ${name}`;
  return said;
}

function write(texts, shape, names, mark) {
  for (const text of texts) {
    const holder = text.parentElement;
    if (!holder) continue; // it was drawn anew while the names were fetched
    if (holder.matches(".code")) {
      const name = names.get(shape.exec(text.data)[0]);
      if (!name) continue;
      holder.dataset[mark] = "1";
      holder.after(beside(name));
      continue;
    }
    let rest = text;
    for (let match = shape.exec(rest.data); match; match = shape.exec(rest.data)) {
      const after = rest.splitText(match.index + match[0].length);
      const name = names.get(match[0]);
      if (name) rest.after(beside(name));
      rest = after;
    }
    holder.dataset[mark] = "1";
  }
}

const codesIn = (texts, shape) => [...new Set(texts.flatMap((text) => text.data.match(new RegExp(shape, "g"))))];

async function tellPlaces() {
  const texts = [...document.querySelectorAll(SENTENCES)].flatMap((part) => holding(PLACE, part, "placed"));
  const codes = codesIn(texts, PLACE).slice(0, 200);
  if (!codes.length) return;
  const answer = await ask("/place-names", codes.map((code) => ["code", code]));
  const called = Object.entries(answer?.names ?? {}).map(([code, name]) => [code, `(${name})`]);
  write(texts, PLACE, new Map(called), "placed");
}

async function tell() {
  const texts = holding(BADGE, document.body, "named");
  const codes = codesIn(texts, BADGE);
  const unknown = codes.filter((code) => !names.has(code)).slice(0, 200);
  if (unknown.length) {
    const answer = await ask("/names", unknown.map((code) => ["code", code]));
    for (const code of answer ? unknown : []) names.set(code, answer.names[code] ?? "");
    remember("names", [...names]);
  }
  write(texts, BADGE, names, "named");
  await tellPlaces();
}

// A field that takes a badge.
function offer(input) {
  const list = document.createElement("datalist");
  list.id = `${input.id}-colleagues`;
  input.after(list);
  input.setAttribute("list", list.id);
  let timer;
  let items = [];
  const who = beside("");
  list.after(who);
  const look = async (typed) => {
    items = (await ask("/colleagues", [["q", typed]]))?.items ?? [];
    list.replaceChildren(...items.map((one) => new Option(`${one.name} (${one.username})`, one.code)));
  };
  // A name or login typed whole, which only one colleague has, is that colleague's badge. The beginning of one is nobody's.
  const settle = () => {
    const typed = input.value.trim().toLowerCase();
    const found = items.filter((one) => [one.username, one.name].some((text) => text?.toLowerCase() === typed));
    if (found.length !== 1) return;
    input.value = found[0].code;
    who.textContent = ` ${found[0].name}`;
  };
  const isName = (typed) => typed.length > 1 && !BADGE.test(typed.toUpperCase());
  input.addEventListener("input", () => {
    clearTimeout(timer);
    who.textContent = "";
    const typed = input.value.trim();
    if (isName(typed)) timer = setTimeout(() => look(typed), 200);
  });
  input.addEventListener("change", async () => {
    const typed = input.value.trim();
    if (!isName(typed)) return;
    settle();
    if (input.value.trim() !== typed) return;
    await look(typed);
    if (input.value.trim() === typed) settle();
  });
  // Who presses the button at once has left the field no time to ask again; what was offered while they typed will do.
  input.form?.addEventListener("submit", settle, { capture: true });
}

if (token) {
  for (const input of document.querySelectorAll('input[data-scan-field="US"]')) offer(input);
  const start = () => setTimeout(tell, AFTER_MS); // the page itself comes first
  if (document.readyState === "complete") start();
  else addEventListener("load", start);
}
