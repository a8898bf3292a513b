// What a gun sends for a text that is known: prefix, suffix, keyboard, letter case, pace; and what to set, in words.
// `judge` is pure. Keys that come to the field go no further, so that a gun nobody has set up yet presses nothing.

import { trailingScan } from "./codes.js";
import { t } from "./words.js";

const GAP_MS = 1000; // a longer pause ends a scan, as on every page (scan.js)
const HAND_MS = 120; // slower, and a scan cannot be told from typing
const NONE = "\u0000";
const AIM = /^\][A-Za-z][0-9A-Za-z]$/;
const US = { Minus: "-_", Slash: "/?", Period: ".>", Semicolon: ";:", Comma: ",<", Space: "  ", BracketRight: "]}",
  NumpadSubtract: "--", NumpadDivide: "//", NumpadDecimal: ".." };

function usKey({ code, shift }) {
  if (/^Key[A-Z]$/.test(code)) return shift ? code[3] : code[3].toLowerCase();
  if (/^(Digit|Numpad)[0-9]$/.test(code)) return code.at(-1);
  return US[code]?.[shift ? 1 : 0] ?? NONE;
}

function alike(one, other) {
  let row = new Array(other.length + 1).fill(0);
  for (const a of one) {
    const next = [0];
    for (let i = 0; i < other.length; i += 1) next.push(a === other[i] ? row[i] + 1 : Math.max(row[i + 1], next[i]));
    row = next;
  }
  return row.at(-1);
}

function locate(keys, text) {
  const typed = keys.map((k) => (k.key.length === 1 ? k.key : NONE)).join("");
  const pressed = keys.map(usKey).join("");
  const readings = [
    [typed.indexOf(text), {}],
    [typed.toLowerCase().indexOf(text.toLowerCase()), {}],
    [pressed.toLowerCase().indexOf(text.toLowerCase()), { layout: true }],
  ];
  const [start, how] = readings.find(([at]) => at >= 0) ?? [-1, {}];
  return { start, typed, pressed, ...how };
}

function named(keys) {
  return keys.map(({ key }) => ({ Enter: t("Enter"), Tab: t("Tab") })[key] ?? (key.length === 1 ? key : t("a control key"))).join(" ");
}

/**
 * Say what `keys` ({key, code, shift, at}, in order) tell of the gun that was pointed at the symbol of `text`.
 * Returns [{part, ok, said}]; `part` is text · prefix · suffix · keyboard · case · pace.
 */
export function judge(keys, text) {
  const { start, typed, pressed, layout } = locate(keys, text);
  if (start < 0) {
    const came = Math.max(alike(typed.toLowerCase(), text.toLowerCase()), alike(pressed.toLowerCase(), text.toLowerCase()));
    const said = came * 2 > text.length
      ? t("Only %(n)s of %(of)s characters arrived. Scan again; if it happens again, set a short delay between characters.", { n: came, of: text.length })
      : t("This is not the first symbol. Scan that one.");
    return [{ part: "text", ok: false, said }];
  }
  const body = keys.slice(start, start + text.length);
  return [prefix(keys.slice(0, start)), keyboard(body, text, layout), letters(body),
    suffix(keys.slice(start + text.length)), pace(body)];
}

function prefix(before) {
  const typed = before.map(({ key }) => key).join("");
  if (!before.length) return { part: "prefix", ok: true, said: t("It sends nothing before a code.") };
  if (AIM.test(typed)) {
    return { part: "prefix", ok: true, said: t("It sends %(sent)s before each code, which names the kind of symbol. That is left out here and may stay.", { sent: typed }) };
  }
  return { part: "prefix", ok: false, said: t("It sends %(sent)s before each code. Set its prefix to none, then scan this symbol again.", { sent: named(before) }) };
}

function suffix(after) {
  const names = after.map(({ key }) => key);
  if (names.length === 1 && names[0] === "Enter") return { part: "suffix", ok: true, said: t("It ends each code with Enter.") };
  if (!names.length) {
    return { part: "suffix", ok: false, said: t("It sends nothing after a code, so that every page has to wait. Set its suffix to Enter (CR), then scan this symbol again.") };
  }
  return { part: "suffix", ok: false, said: t("It sends %(sent)s after each code. Set its suffix to Enter (CR) alone, then scan this symbol again.", { sent: named(after) }) };
}

function keyboard(body, text, layout) {
  if (!layout) return { part: "keyboard", ok: true, said: t("It types like the keyboard of this computer.") };
  const made = body.map(({ key }, i) => [text[i], key]).filter(([wanted, came]) => wanted.toLowerCase() !== came.toLowerCase());
  const pairs = made.slice(0, 4).map(([wanted, came]) => t("%(came)s for %(wanted)s", { came, wanted })).join(", ");
  return { part: "keyboard", ok: false, said: t("It types like the keyboard of another country: %(pairs)s arrived. Codes of this bank are read all the same, old identifiers are not. Set its keyboard country to the one of this computer, then scan this symbol again.", { pairs }) };
}

function letters(body) {
  if (!body.some(({ key }) => /^[a-z]$/.test(key))) return { part: "case", ok: true, said: t("Capitals arrive as they are.") };
  return { part: "case", ok: false, said: t("Capitals arrive as small letters. Press Caps Lock on the keyboard; if they still do, switch Caps Lock and any change of case off in the scanner. Then scan this symbol again.") };
}

function pace(body) {
  const pauses = body.slice(1).map((key, i) => key.at - body[i].at).sort((a, b) => a - b);
  const middle = Math.round(pauses[pauses.length >> 1] ?? 0);
  if (middle < HAND_MS) return { part: "pace", ok: true, said: t("It is fast enough (%(n)s thousandths of a second a character).", { n: middle }) };
  return { part: "pace", ok: false, said: t("It is as slow as a hand (%(n)s thousandths of a second a character). Set its delay between characters to none, then scan this symbol again.", { n: middle }) };
}

const field = document.getElementById("scanner-test");
const found = document.getElementById("scanner-found");
let keys = [];
let idle = 0;
let alt = "";

function show(lines) {
  found.replaceChildren(...lines.map(({ ok, said, part }) => {
    const line = document.createElement("li");
    line.className = ok ? "is-fine" : "is-wrong";
    line.dataset.part = part;
    line.append(Object.assign(document.createElement("b"), { textContent: ok ? `${t("In order")}: ` : `${t("To change")}: ` }), said);
    return line;
  }));
}

function read() {
  const sent = keys;
  keys = [];
  if (!sent.length) return;
  const typed = sent.map(({ key }) => (key.length === 1 ? key : "")).join("");
  const label = trailingScan(typed) ?? trailingScan(sent.map(usKey).join("").replaceAll(NONE, ""));
  if (label) {
    const said = label.valid
      ? t("%(code)s was read like a label. This scanner works on every page.", label)
      : t("A label was read and its check character is wrong. Scan the first symbol again.");
    show([{ part: "label", ok: label.valid, said }]);
    return;
  }
  const lines = judge(sent, field.dataset.text);
  if (lines.every(({ ok }) => ok)) lines.push({ part: "next", ok: true, said: t("Nothing is to change. Scan the second symbol to see a label read.") });
  show(lines);
}

function add(key) {
  keys.push(key);
  if (keys.length > 640) keys.shift();
  clearTimeout(idle);
  // CR LF come as two keys: what follows at once belongs to the same scan.
  idle = setTimeout(read, key.key === "Enter" ? 150 : GAP_MS);
}

addEventListener("keydown", (event) => {
  if (event.target !== field) return;
  const alone = !keys.length;
  if (alone && (event.key === "Tab" || event.key === "Escape")) return; // a person leaves the field
  event.stopImmediatePropagation();
  event.preventDefault();
  if (["Shift", "CapsLock", "Control", "Alt", "AltGraph", "Meta", "Process", "Dead"].includes(event.key)) return;
  if (event.altKey && /^Numpad[0-9]$/.test(event.code)) {
    alt += event.code.at(-1);
    return;
  }
  const control = event.ctrlKey || event.metaKey || event.altKey;
  add({ key: control ? "Control" : event.key, code: control ? "" : event.code, shift: event.shiftKey, at: event.timeStamp });
}, { capture: true });

addEventListener("keyup", (event) => {
  if (event.key !== "Alt" || !alt) return;
  const character = String.fromCharCode(Number(alt) & 0xff);
  alt = "";
  add({ key: character === "\r" ? "Enter" : character, code: "", shift: false, at: event.timeStamp });
}, { capture: true });

document.addEventListener("code-scanned", (event) => {
  event.preventDefault();
  show([{ part: "text", ok: false, said: t("The field was not chosen. Click into it, then scan again.") }]);
});
document.documentElement.dataset.scannerReady = "";
field.focus();
