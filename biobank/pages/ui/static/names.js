// Printed names beside badge codes. Every badge on the page is asked for at once; a name once told is remembered by the tab
// until its session ends. A field that takes a badge offers colleagues by name and login while somebody types.

import { ask, remember, remembered, token } from "./remembered.js";

const BADGE = /US-[0-9A-Z]{7}/;
const AFTER_MS = 300;
const SKIPPED = "script, style, svg, textarea, input, option, datalist, [data-no-names]";
const names = new Map(remembered("names") ?? []);

// Text that holds a badge without a name beside it yet.
function badges() {
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const text = walker.currentNode;
    if (BADGE.test(text.data) && !text.parentElement.closest(SKIPPED) && !text.parentElement.dataset.named) found.push(text);
  }
  return found;
}

function beside(name) {
  const said = document.createElement("span");
  said.className = "who";
  said.textContent = ` ${name}`;
  return said;
}

function write(texts) {
  for (const text of texts) {
    const holder = text.parentElement;
    if (holder.matches(".code")) {
      const name = names.get(BADGE.exec(text.data)[0]);
      if (!name) continue;
      holder.dataset.named = "1";
      holder.after(beside(name));
      continue;
    }
    let rest = text;
    for (let match = BADGE.exec(rest.data); match; match = BADGE.exec(rest.data)) {
      const after = rest.splitText(match.index + match[0].length);
      const name = names.get(match[0]);
      if (name) rest.after(beside(name));
      rest = after;
    }
    holder.dataset.named = "1";
  }
}

async function tell() {
  const texts = badges();
  const codes = [...new Set(texts.flatMap((text) => text.data.match(new RegExp(BADGE, "g"))))];
  const unknown = codes.filter((code) => !names.has(code)).slice(0, 200);
  if (unknown.length) {
    const answer = await ask("/names", unknown.map((code) => ["code", code]));
    for (const code of answer ? unknown : []) names.set(code, answer.names[code] ?? "");
    remember("names", [...names]);
  }
  write(texts);
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
