// What is kept on this device, as a person sees it: a bar that says how many, and a row for each with what became of it.

import { t, told } from "./words.js";

const section = document.getElementById("kept");
const bar = document.getElementById("kept-bar");
const rows = document.getElementById("kept-rows");
const others = document.getElementById("kept-others");
const rule = document.getElementById("kept-rule");
const icon = (name) => section.querySelector(`template[data-icon="${name}"]`).content.cloneNode(true);

const scans = (n) => (n === 1 ? t("1 scan") : t("%(n)s scans", { n }));

/** Say how things stand: without network, sending, sent. */
export function sayBar({ offline, locked, count, refused, sent, sending }) {
  const kept = locked ? t("%(scans)s kept on this device, locked until the network is back.", { scans: scans(count) })
    : t("%(scans)s kept on this device.", { scans: scans(count) });
  let text = "";
  if (offline) text = `${t("No network.")} ${count ? kept : locked ? t("The list stays on this device.") : t("What you scan is kept on this device.")}`;
  else if (sending && count) text = t("Sending %(scans)s …", { scans: scans(count) });
  else {
    const said = [sent && t("%(n)s sent", { n: sent }), refused && t("%(n)s not recorded: see below", { n: refused })].filter(Boolean);
    text = said.length ? `${said.join(", ")}.` : count ? kept : "";
  }
  bar.className = `banner ${offline || refused ? "care" : "ok"}`;
  bar.querySelector(".banner-title").textContent = text;
  bar.hidden = !text;
  rule.hidden = !offline;
}

/** Say how many scans of other people wait here; they are nobody else's to read or to send. */
export function sayOthers(n) {
  others.textContent = n === 1 ? t("1 scan of another person waits on this device.") : t("%(n)s scans of another person wait on this device.", { n });
  others.hidden = n === 0;
}

function line(name, text) {
  const one = document.createElement("p");
  one.className = name;
  one.textContent = text;
  return one;
}

function button(words, act) {
  const one = document.createElement("button");
  one.type = "button";
  one.className = "button";
  one.textContent = words;
  one.addEventListener("click", act);
  return one;
}

const clockTime = (iso, offset) => new Date(Date.parse(iso) + offset).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hour12: false });

function rowOf({ id, scan }, label, acts) {
  const row = document.createElement("li");
  const body = document.createElement("div");
  body.className = "tube-body";
  row.dataset.kept = id;
  if (!scan) {
    row.className = "tube unknown";
    body.append(line("tube-words", t("A scan that this page cannot read.")),
      line("tube-why", t("It opens with the network and your own sign-in. If it stays shut, scan the tube again and take this off.")));
    row.append(body, button(t("Take off"), () => acts.settle(id)));
    return row;
  }
  const { problem, tried } = scan;
  row.className = `tube ${problem ? "blocked" : "ready"}`;
  const mark = document.createElement("span");
  mark.className = "tube-mark";
  mark.append(icon(problem ? "octagon" : "clock"));
  const head = line("tube-head", "");
  const code = Object.assign(document.createElement("span"), { className: "code tube-code", textContent: scan.code });
  head.append(code);
  if (scan.well) head.append(Object.assign(document.createElement("span"), { className: "tube-slot", textContent: `→ ${scan.well}` }));
  body.append(head, line("tube-words", t("%(what)s, scanned at %(time)s", { what: label(scan), time: clockTime(scan.scanned_at, scan.offset_ms) })));
  if (problem) {
    body.append(line("tube-why", `${problem.title}. ${told(problem.detail)}`));
    if (problem.where_now) body.append(line("tube-where", problem.where_now));
    body.append(line("small soft", t("It was not recorded. Look at the tube and its page; send it again, or record what is true now and take this off.")));
    const buttons = document.createElement("div");
    buttons.className = "buttons";
    const link = Object.assign(document.createElement("a"), { className: "button", href: `/find?q=${encodeURIComponent(scan.code)}`, textContent: t("Open its page") });
    buttons.append(link, button(t("Send it again"), () => acts.again(id)), button(t("I have dealt with it"), () => acts.settle(id)));
    body.append(buttons);
  } else if (tried) body.append(line("small soft", t("Sending was begun and not answered: it is sent again with the same key, and recorded once.")));
  row.append(mark, body);
  if (!problem && !tried) row.append(button(t("Take off"), () => acts.settle(id)));
  return row;
}

/** Draw each kept scan, newest first; `label` says what was done, `acts` are {settle(id), again(id)}. */
export function drawRows(entries, label, acts) {
  rows.replaceChildren(...entries.map((entry) => rowOf(entry, label, acts)).reverse());
  rows.hidden = !entries.length;
}

export const show = (on) => { section.hidden = !on; };
