// Barcode guns on any page.
//
// A gun is a keyboard. Speed and shape together tell its burst from typing: keys that come faster than hands can type, or that
// form a code whose check character agrees, were a scan. While a burst runs nothing it sends reaches the page: no Enter, blank,
// control or function key presses a button or closes anything. What a burst holds goes to the page whole (one code, several, or an
// identifier that somebody else gave), with or without a suffix, or the page says that it was not read.
//
// Every scan is announced as a cancelable `code-scanned` event ({code, prefix, text}). A page that handles it calls
// preventDefault(). Otherwise the code goes into a waiting `data-scan-field`, or, on a page without one, to /find.

import { beginsAsOurs, holdsAddress, isOurs, readLabel, trailingScans } from "./codes.js";
import { drop, hold } from "./held.js";
import { t } from "./words.js";

// A longer pause ends a scan, with or without a suffix. Generous, because a busy computer stutters in the middle of one, and what is lost then is the
// label's host; a person's own typing before it does no harm, as only the end of the keys must form a code.
const GAP_MS = 1000;
const HAND_MS = 120; // nobody types random characters faster than this, taking the middle pause of all
const GUN_MS = 40; // and nobody types anything so fast
const SUFFIX_MS = 120; // CR LF, or Enter after Tab, belong to the scan before them
const REPEAT_MS = 2000; // the same label again within this time is the same pull of the trigger

// Guns press the keys of a US keyboard whatever layout the computer has; `event.code` names the key, not the letter.
const SHIFTED = { Semicolon: ":", Minus: "_", Slash: "?" };
const PLAIN = { Minus: "-", Slash: "/", Period: ".", Semicolon: ";", Space: " ", BracketRight: "]",
  NumpadSubtract: "-", NumpadDivide: "/", NumpadDecimal: "." };

let keys = [];
let swallowUntil = 0;
let idle = 0;
let altDigits = "";
let blockedSpace = false;
let last = { code: "", at: -Infinity };

function usKey(event) {
  const { code, shiftKey } = event;
  if (/^Key[A-Z]$/.test(code)) return code[3];
  if (/^(Digit|Numpad)[0-9]$/.test(code)) return code.at(-1);
  return (shiftKey && SHIFTED[code]) || PLAIN[code] || "\u0000";
}

function isEditable(element) {
  if (!(element instanceof HTMLElement)) return false;
  if (element instanceof HTMLTextAreaElement || element instanceof HTMLSelectElement) return true;
  if (element instanceof HTMLInputElement) {
    return !["button", "submit", "reset", "checkbox", "radio", "file", "image", "range", "color"].includes(element.type);
  }
  return element.isContentEditable;
}

const takesCodes = (element) => element instanceof HTMLElement && element.matches("[data-scan-field], [data-find]");

function remember(event) {
  swallowUntil = 0; // a new scan has begun, its own suffix counts
  const element = event.target;
  const before = isEditable(element) && "value" in element ? { element, value: element.value, start: selectionOf(element) } : null;
  push({ key: event.key.length === 1 ? event.key : "\u0000", us: usKey(event), at: event.timeStamp, before });
}

function push(key) {
  keys.push(key);
  if (keys.length > 640) keys.shift();
  clearTimeout(idle);
  const target = document.activeElement ?? document.body;
  idle = setTimeout(() => { if (rest(target)) keys = []; }, GAP_MS);
}

// A key that shows nothing, in the middle of a burst: it keeps its place and does nothing else.
const pushControl = (event) => push({ key: "\u0000", us: "\u0000", at: event.timeStamp, before: null });

// Whether a key that comes now belongs to what a gun is sending.
function inBurst(event) {
  if (!keys.length) return false;
  const pause = event.timeStamp - keys.at(-1).at;
  return pause < HAND_MS || (pause < GAP_MS && faster(0));
}

function selectionOf(element) {
  try {
    return element.selectionStart;
  } catch {
    return null; // number and date fields have no caret to put back
  }
}

// Put every field the gun typed into back to what it held before the scan's first key.
function takeBack(from) {
  const seen = new Set();
  for (const { before } of keys.slice(from)) {
    if (!before || seen.has(before.element)) continue;
    seen.add(before.element);
    before.element.value = before.value;
    if (before.start !== null && before.element === document.activeElement && "setSelectionRange" in before.element) {
      before.element.setSelectionRange(before.start, before.start);
    }
    before.element.dispatchEvent(new Event("input", { bubbles: true }));
  }
}

function faster(from, limit = HAND_MS) {
  const run = keys.slice(from);
  const pauses = run.slice(1).map((key, i) => key.at - run[i].at).sort((a, b) => a - b);
  return pauses.length > 2 && pauses[pauses.length >> 1] < limit;
}

// Whether what has the focus lets go of a text that only a gun can have typed: not a password, and not a text of several lines.
const letsGo = (target) => faster(0, GUN_MS) && target instanceof HTMLInputElement && target.type !== "password";

// What the keys say: read as the computer's layout has them, or, when that gives no code, as a US keyboard has.
function said() {
  const readings = [keys.map((k) => k.key).join(""), keys.map((k) => k.us).join("")].map(trailingScans);
  return readings.find(({ scans }) => scans[0]?.valid) ?? readings.find(({ scans }) => scans.length) ?? readings[0];
}

const shown = () => keys.map((k) => k.key).join("").replaceAll("\u0000", "").trim();

// Give everything that a burst said to the page; true when it was a burst.
function settle(target) {
  const { scans, rest: before } = said();
  const first = scans[0];
  const byGun = faster(first?.start ?? 0) || !isEditable(target);
  if (first && byGun && holdsAddress(before)) {
    const text = before + scans.map((scan) => scan.text).join("");
    takeBack(0);
    foreign(text.replaceAll("\u0000", ""), "", target); // whose address it is, the bank says
    return true;
  }
  if (first?.valid && (byGun || takesCodes(target))) {
    takeBack(first.start);
    for (const scan of scans) deliver(scan, target);
    if ((!isEditable(target) || letsGo(target)) && before.replace(/[^0-9A-Za-z]/g, "").length > 3) misread("");
    return true;
  }
  if (first && byGun) {
    takeBack(first.start);
    foreign(first.text, first.code, target);
    return true;
  }
  const text = shown();
  const hears = !isEditable(target) || target.matches?.("[data-scan-field]") || letsGo(target);
  if (!first && byGun && hears && text.length > 3) {
    if (isEditable(target) && !takesCodes(target)) {
      if (announced({ code: text, prefix: "", text }, target)) takeBack(0);
      return true; // else it stays where it was shot, and sends nothing
    }
    takeBack(0);
    foreign(text, "", target);
    return true;
  }
  return false;
}

// The keys stopped without a suffix: a burst is a scan all the same, what hands type is not.
function rest(target) {
  if (keys.length < 4 || !faster(0)) return false;
  const { scans } = said();
  return scans[0]?.valid || !isEditable(target) || letsGo(target) ? settle(target) : false;
}

// What is no code of ours: only the bank knows whether it names a tube. `code`: one of ours whose check character does not agree,
// which is asked for all the same, as somebody may have given it.
async function foreign(text, code, target) {
  if ((code || beginsAsOurs(text)) && !(await isKnown(text))) return void misread(code);
  const scan = { code: text, prefix: "", text };
  if (announced(scan, target)) return;
  if (/[0-9]/.test(text) || target?.matches?.("[data-find]") || (await isKnown(text))) place(scan, target);
  else misread("");
}

async function isKnown(text) {
  const token = document.querySelector('meta[name="csrf-token"]')?.content ?? "";
  const body = new URLSearchParams({ csrf_token: token, action: "look", line: `|${text}`, fresh: "1" });
  try {
    const answer = await fetch("/scan/list", { method: "POST", body, headers: { Accept: "application/json" } });
    return answer.ok && Boolean((await answer.json()).rows[0]?.code);
  } catch {
    return false; // no network: it is read again
  }
}

// Decide what the Enter or Tab that just came means; true when it belonged to a scan and must not reach the page.
function finish(event) {
  const target = event.target;
  if (keys.length && event.timeStamp - keys.at(-1).at > GAP_MS) keys = [];
  if (keys.length && settle(target)) return true;
  if (event.key === "Enter" && takesCodes(target)) {
    // Typed at a human pace, or by a gun whose keys carry no names: the field itself holds the label.
    const typed = readLabel(target.value);
    if (typed) {
      if (target.matches("[data-scan-field]")) target.value = "";
      deliver(typed, target);
      return true;
    }
  }
  if (!isEditable(target) && keys.length && (keys.length > 3 || inBurst(event)) && event.key === "Enter") {
    // Characters ran into a button and Enter follows: a broken scan, never a wish to press that button.
    misread("");
    return true;
  }
  return false;
}

function block(event) {
  event.preventDefault();
  event.stopImmediatePropagation();
}

function onKeydown(event) {
  if (event.isComposing || event.target.matches?.("[data-scanner-test]")) return; // the page that sets a gun up looks for itself
  if (event.key !== "Shift") drop();
  const isSuffix = event.key === "Enter" || event.key === "Tab";
  if (event.timeStamp < swallowUntil && (isSuffix || event.ctrlKey || /^F[0-9]+$/.test(event.key) || event.key === " ")) {
    if (event.key === " ") blockedSpace = true;
    block(event);
    return;
  }
  if (isSuffix && !event.shiftKey && !event.ctrlKey && !event.altKey && !event.metaKey) {
    clearTimeout(idle);
    if (finish(event)) {
      block(event);
      swallowUntil = event.timeStamp + SUFFIX_MS;
    } else if (event.key === "Enter" && !isEditable(event.target) && hold(event)) block(event);
    keys = [];
    return;
  }
  if (["Shift", "CapsLock", "NumLock", "Control", "Alt", "AltGraph", "Meta"].includes(event.key)) return;
  if (event.altKey && /^Numpad[0-9]$/.test(event.code)) {
    altDigits += event.code.at(-1); // ALT and digits of the number pad are one character, which comes when ALT is let go
    if (inBurst(event)) block(event);
    return;
  }
  if (event.ctrlKey || event.altKey || event.metaKey || (event.key.length !== 1 && usKey(event) === "\u0000")) {
    if (inBurst(event)) {
      block(event);
      pushControl(event);
    } else keys = [];
    return;
  }
  if (keys.length && event.timeStamp - keys.at(-1).at > GAP_MS) keys = [];
  const belongs = inBurst(event);
  if (event.key === " " && !belongs && !isEditable(event.target) && hold(event)) {
    keys = [];
    blockedSpace = true;
    block(event);
    return;
  }
  remember(event);
  if (isEditable(event.target)) return;
  // A blank presses the button that has the focus. Firefox opens its quick search on the other two when no field has it, and the
  // rest of an address would land there.
  if (event.key === " " && belongs) {
    blockedSpace = true;
    block(event);
  } else if (keys.length > 1 && (event.key === "/" || event.key === "'")) event.preventDefault();
}

function onKeyup(event) {
  if (event.key === " " && blockedSpace) {
    blockedSpace = false;
    block(event);
  }
  if (event.key !== "Alt" || !altDigits) return;
  const character = String.fromCharCode(Number(altDigits) & 0xff);
  altDigits = "";
  if (character === "\r" || character === "\n") {
    if (finish({ target: event.target, key: "Enter", timeStamp: event.timeStamp })) block(event);
    keys = [];
    return;
  }
  const before = isEditable(event.target) && "value" in event.target ? { element: event.target, value: event.target.value, start: selectionOf(event.target) } : null;
  const seen = character >= " " ? character : "\u0000";
  push({ key: seen, us: seen.toUpperCase(), at: event.timeStamp, before });
}

/** Show a message in the page's scan region; a link may follow it. */
export function say(kind, title, text = "", link = null) {
  const region = document.getElementById("scan-status");
  if (!region) return;
  const banner = document.createElement("div");
  banner.className = `banner ${kind}`;
  const words = document.createElement("div");
  const head = document.createElement("p");
  head.className = "banner-title";
  head.textContent = title;
  words.append(head);
  if (text || link) {
    const line = document.createElement("p");
    line.textContent = text ? `${text} ` : "";
    if (link) {
      const anchor = document.createElement("a");
      anchor.href = link.href;
      anchor.textContent = link.label;
      line.append(anchor);
    }
    words.append(line);
  }
  banner.append(words);
  region.replaceChildren(banner);
}

function misread(code) {
  document.dispatchEvent(new CustomEvent("code-misread", { detail: { code } }));
  say("stop", t("Not read properly. Scan it again."),
    t("Nothing was changed. If it keeps failing, type the characters under the symbol."));
}

const findHref = (text) => `/find?q=${encodeURIComponent(text)}`;

// Other issuers' identifiers, which have no prefix, stand on tubes.
const accepts = (field, prefix) => !field.dataset.scanField || field.dataset.scanField.split(" ").includes(prefix || "AD");

function fieldFor(scan, active, scope) {
  const fields = [...scope.querySelectorAll("[data-scan-field]")].filter((f) => f.checkVisibility() && !f.disabled);
  const fitting = fields.filter((field) => accepts(field, scan.prefix));
  const empty = fitting.filter((field) => !field.value);
  const field = (empty.includes(active) && active) || empty[0] || (fitting.includes(active) && active) || null;
  return { field, any: fields.length > 0 };
}

function fill(field, scan) {
  // An address of an unknown host is kept whole: the server must see that the label is not ours. Of ours it must see which print it is.
  field.value = isOurs(scan.text) ? scan.label ?? scan.code : scan.text;
  field.dispatchEvent(new Event("input", { bubbles: true }));
  field.dispatchEvent(new Event("change", { bubbles: true }));
  say("note", t("Scanned %(code)s", scan));
  if (!field.form) return;
  const rest = [...field.form.querySelectorAll("[data-scan-field]")].filter((f) => !f.value && f.checkVisibility());
  if (rest.length) rest[0].focus();
  else if ("scanSubmit" in field.dataset) field.form.requestSubmit();
  else field.focus();
}

// A half-filled form is somebody's work: a scan must not throw it away.
function isChanged(form) {
  return [...form.elements].some((element) => {
    if (element.matches("input[type=checkbox], input[type=radio]")) return element.checked !== element.defaultChecked;
    if (element.matches("input:not([type=hidden]), textarea")) return element.value !== element.defaultValue;
    if (element.matches("select")) return [...element.options].some((o) => o.selected !== o.defaultSelected && o.value);
    return false;
  });
}

/** Give a scan to the page; `active` is the element that had the focus. */
export function deliver(scan, active) {
  const now = performance.now();
  if (scan.code === last.code && now - last.at < REPEAT_MS) return;
  last = { code: scan.code, at: now };
  if (!announced(scan, active)) place(scan, active);
}

function announced({ code, prefix, text, label = code }, active) {
  const event = new CustomEvent("code-scanned", { bubbles: true, cancelable: true, detail: { code, prefix, text, label } });
  (active?.isConnected ? active : document).dispatchEvent(event);
  return event.defaultPrevented;
}

// Put a scan that no page took into the field that waits for it, or open what it names.
function place(scan, active) {
  const dialog = document.querySelector("dialog:modal");
  const { field, any } = fieldFor(scan, active, dialog ?? document);
  if (field) fill(field, scan);
  else if (dialog) say("stop", t("Scanned %(code)s, but a question is open.", scan), t("Nothing was done with it. Answer the question, then scan again."));
  else if (any || [...document.querySelectorAll("form[data-once]")].some(isChanged)) {
    say("care", t("Scanned %(code)s: it fits no field here.", scan), t("What you entered is kept."),
      { href: findHref(scan.text), label: t("Leave this page and open %(code)s", scan) });
  } else if (document.querySelector("[data-find]")) location.assign(findHref(scan.text));
}

async function openCamera(button) {
  const { readWithCamera } = await import("./camera.js");
  if (button.dataset.camera === "many") {
    await readWithCamera(async (text) => {
      const scan = readLabel(text) ?? ((await isKnown(text)) ? { code: text, prefix: "", text } : null);
      if (!scan) return t("This is no code of this bank. Type it into the field if it belongs here.");
      deliver(scan, document.getElementById(button.dataset.for));
      return t("Scanned %(code)s. Hold the next one in the middle, or close.", scan);
    });
    return;
  }
  const text = await readWithCamera();
  if (text === null) return;
  const scan = readLabel(text);
  const target = button.dataset.for ? document.getElementById(button.dataset.for) : button.form?.querySelector("[data-find]");
  if (scan) deliver(scan, target);
  else if (target?.matches("[data-scan-field]")) place({ code: text, prefix: "", text }, target);
  else location.assign(findHref(text));
}

addEventListener("keydown", onKeydown, { capture: true });
addEventListener("keyup", onKeyup, { capture: true });
addEventListener("pointerdown", () => { keys = []; }, { capture: true });

if (navigator.mediaDevices?.getUserMedia) {
  for (const button of document.querySelectorAll("[data-camera]")) {
    button.hidden = false;
    button.addEventListener("click", () => openCamera(button));
  }
}
document.documentElement.dataset.scanReady = "";
