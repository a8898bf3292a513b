// The scan page: every scan is checked at once by the server, the list is kept on this device until it is recorded.
//
// The form is the state: the server draws the list into it with its hidden fields, and the same form works without this file.
// A scan that comes while another is being checked waits its turn; what was scanned is written down here before anything is
// sent, so a reload, a lost network or a locked session loses nothing. Only codes are kept, under the badge that scanned them.
// Without network the page goes on (kept.js): what is scanned then is kept, encrypted, and sent when the network is back.

import { readLabel } from "./codes.js";
import { isSoundOn, tell, toggleSound } from "./feedback.js";
import { askPassword } from "./lock.js";
import { say } from "./scan.js";
import { t, told } from "./words.js";
import { begin, copy, isOffline, keepReady, keepScans, lost, placeKept, takeBack } from "./without.js";

const form = document.getElementById("scan-form");
const list = document.getElementById("scan-list");
const verdict = document.getElementById("verdict");
const result = document.getElementById("scan-result");
const one = document.getElementById("scan-one");
const place = document.getElementById("scan-place");
const DRAFT = `scan-draft:${form.dataset.owner}`;
const TUBES = ["HF", "AD", "UN"];

let waiting = []; // lines scanned and not yet checked
let untold = 0; // tubes at the end of the list whose verdict nobody has heard yet
let busy = false;
let stale = false; // something of the form changed since it was last sent
let recorded = null; // the last recorded list: {words, items, undo}
let attempted = null; // the key of a list that was sent and not answered
const made = new Set(); // lines scanned since the page was opened

const lines = () => [...list.querySelectorAll("input[name=line]")].map((input) => input.value);
const chosen = () => form.querySelector("input[name=action]:checked");
const isListed = (code) => [...list.querySelectorAll("[data-code]")].some((row) => row.dataset.code === code)
  || waiting.some((line) => line.endsWith(`|${code}`));

// ---------- what is kept on this device ----------

function keep() {
  const choice = Object.fromEntries(["place", "site", "purpose"].map((name) => [name, form.elements[name]?.value ?? ""]));
  const draft = { ...choice, action: chosen()?.value ?? "", lines: [...lines(), ...waiting], recorded };
  localStorage.setItem(DRAFT, JSON.stringify(draft));
}

function restore() {
  let draft = null;
  try {
    draft = JSON.parse(localStorage.getItem(DRAFT) ?? "null");
  } catch {
    localStorage.removeItem(DRAFT); // written by another release; there is nothing to read in it
  }
  if (!draft) return;
  recorded = draft.recorded ?? null;
  if (recorded) showRecorded();
  if (!draft.lines?.length && new URLSearchParams(location.search).has("do")) return; // the address says what is wanted
  for (const name of ["place", "site", "purpose"]) if (form.elements[name] && draft[name]) form.elements[name].value = draft[name];
  const action = form.querySelector(`input[name=action][value="${CSS.escape(draft.action)}"]`);
  if (action) action.checked = true;
  const drawn = new Set(lines());
  waiting = (draft.lines ?? []).filter((line) => !drawn.has(line));
}

// ---------- talking to the server ----------

async function post(path, data, headers = {}) {
  const body = data instanceof FormData ? new URLSearchParams(data) : data;
  const answer = await fetch(path, { method: "POST", body, headers: { Accept: "application/json", ...headers } });
  if (answer.status === 401) {
    if (await askPassword()) return post(path, data, headers);
    throw new Error("locked");
  }
  if ([502, 504].includes(answer.status)) throw new Error("no answer"); // a proxy before a bank that is away
  const said = await answer.json().catch(() => ({}));
  if (!answer.ok) throw Object.assign(new Error(said.title ?? t("Not done")), { problem: { ...said, status: answer.status } });
  return said;
}

const NO_ANSWER = t("No answer from the bank. The list is kept; it is looked at again when the network is back.");

// Judge the list as the form has it, with whatever waits.
async function check() {
  keep();
  stale = true; // a place that is scanned while the list is being looked at is asked about afterwards
  if (busy || isOffline()) return;
  busy = true;
  try {
    do {
      stale = false;
      const sent = waiting;
      const data = new FormData(form);
      for (const name of ["codes", "one"]) data.delete(name);
      for (const line of sent) data.append("line", line);
      data.set("fresh", String(sent.length));
      waiting = [];
      list.setAttribute("aria-busy", "true");
      try {
        draw(await post("/scan/list", data));
      } catch (error) {
        waiting = [...sent, ...waiting];
        if (!(await lost(error))) refuse(error);
        return;
      }
    } while (waiting.length || stale);
  } finally {
    busy = false;
    list.removeAttribute("aria-busy");
    keep();
  }
}

function draw(said) {
  list.innerHTML = said.html;
  document.getElementById("scan-place-name").textContent = said.place ?? "";
  if (said.place_code && !place.value) place.value = said.place_code;
  // Scans that came while this list was checked are told with the next one.
  const heard = said.rows.slice(Math.max(0, said.rows.length - Math.max(0, untold - waiting.length)));
  if (untold > waiting.length) {
    untold = waiting.length;
    announce(heard);
  }
  if (unread !== null) notRead(unread);
  unread = null;
  list.dataset.asOf = new Date().toISOString();
  copy();
}

const VERDICTS = {
  ready: ["ok", t("Ready")],
  again: ["again", t("Already there")],
  unknown: ["stop", t("Unknown")],
  blocked: ["stop", t("Blocked")],
};
const WORST = ["blocked", "unknown", "again", "ready"];

// The worst of what was just scanned is what must be heard: a good tube after it does not make it better.
function announce(tubes) {
  if (!tubes.length) return;
  const tube = [...tubes].sort((a, b) => WORST.indexOf(a.verdict) - WORST.indexOf(b.verdict))[0];
  const alike = tubes.filter((one) => one.verdict === tube.verdict).length;
  const [tone, word] = VERDICTS[tube.verdict];
  tell(tone);
  const head = alike > 1 ? t("%(word)s: %(alike)s of %(all)s", { word, alike, all: tubes.length }) : tube.slot ? `${word} → ${tube.slot}` : word;
  big(tube.verdict, tube.code ?? tube.text, head, tube.why, tube.verdict === "ready" ? null : tube.where_now);
}

function big(look, code, word, why = null, where = null) {
  verdict.className = `verdict ${look}`;
  const parts = [["verdict-word", word], ["verdict-code code", code], ["verdict-why", why && told(why)], ["verdict-where", where && `❄ ${where}`]];
  verdict.replaceChildren(...parts.filter(([, text]) => text).map(([name, text]) => {
    const line = document.createElement("p");
    line.className = name;
    line.textContent = text;
    return line;
  }));
}

function refuse(error) {
  tell("stop");
  if (error.message === "locked") say("care", t("Locked."), t("The list is kept. Enter your password to go on."));
  else if (error.problem) say("stop", error.problem.title ?? t("Not done"), error.problem.detail ? told(error.problem.detail) : t("Nothing was recorded."));
  else say("stop", t("Not sent."), NO_ANSWER);
}

// ---------- scans ----------

function add(line, code) {
  if (isOffline()) return void keepScans([line]);
  made.add(line);
  if (isListed(code)) {
    tell("again");
    big("again", code, t("Already in the list"));
    return;
  }
  waiting.push(line);
  untold += 1;
  big("checking", code, t("Checking …"));
  check();
}

function command(code) {
  const control = document.querySelector(`[data-command="${CSS.escape(code)}"]`);
  if (!control || control.disabled) {
    tell("stop");
    say("care", t("This command does nothing now."), document.getElementById("scan-fault")?.textContent ?? "");
    return;
  }
  tell("ok");
  control.click();
}

function goTo(code, label) {
  place.value = label; // the bank must see which print of the label it is
  tell("ok");
  say("note", t("Place: %(code)s", { code }));
  check();
}

function choose(value) {
  const action = form.querySelector(`input[name=action][value=${value}]`);
  if (action) action.checked = true;
  showFields();
}

// A position after a tube says where that tube goes; before any tube, and for boxes, it says where everything goes.
function placeScanned(prefix, code, label) {
  const action = chosen()?.value;
  if (prefix === "PS" && action === "store" && place.value) {
    const inputs = [...list.querySelectorAll("input[name=line]")];
    const last = inputs.at(-1);
    if (last && last.value.startsWith("|")) {
      last.value = label + last.value;
      untold = Math.max(untold, 1);
      check();
      return;
    }
  }
  if (prefix === "PS" && isOffline()) return void placeKept(label, () => { choose("store"); goTo(code, label); });
  if (action !== "store" && lines().length && !isOffline()) {
    tell("stop");
    say("care", t("Scanned %(code)s.", { code }), t("These tubes are not being stored. Choose Store first, or record this list."));
    return;
  }
  choose("store");
  goTo(code, label);
}

document.addEventListener("code-scanned", (event) => {
  const { code, prefix, text, label = code } = event.detail;
  if (document.querySelector("dialog:modal:not(.camera-dialog)")) return;
  event.preventDefault();
  document.getElementById("scan-status").replaceChildren();
  one.value = "";
  if (event.target !== place) one.focus({ preventScroll: true });
  if (TUBES.includes(prefix) || !prefix) add(`|${text}`, code);
  else if (prefix === "CM") command(code);
  else if (prefix === "BX" || prefix === "PS") placeScanned(prefix, code, label);
  else if (prefix === "US" && (chosen()?.value === "hand_over" || !lines().length)) {
    choose("hand_over");
    goTo(code, label);
  } else if (prefix === "EQ" && (chosen()?.value === "bench" || !lines().length)) {
    choose("bench");
    goTo(code, label);
  } else {
    tell("stop");
    big("blocked", code, t("Not a tube"), t("Nothing was added. Open it with the box at the top of the page."));
  }
});
// What the tube before was must not stand there as if it were this one, nor come there when its answer is late.
let unread = null;

function notRead(code) {
  big("blocked", code, t("Not read"), t("Nothing was added. Scan it again."));
}

document.addEventListener("code-misread", (event) => {
  tell("stop");
  notRead(event.detail.code);
  if (busy) unread = event.detail.code;
});

// ---------- recording and undoing ----------

async function commit() {
  if (busy) return;
  if (isOffline()) return void keepReady(attempted);
  busy = true;
  const data = new FormData(form);
  try {
    recorded = await post("/scan/commit", data);
    attempted = null;
    const done = new Set(data.getAll("tube").map((tube) => JSON.parse(tube).text));
    for (const input of list.querySelectorAll("input[name=line]")) {
      if (done.has(input.value.slice(input.value.indexOf("|") + 1))) input.remove();
    }
    tell("ok");
    verdict.replaceChildren();
    verdict.className = "verdict";
    showRecorded();
    result.scrollIntoView({ block: "nearest" });
  } catch (error) {
    attempted = error.problem ? null : data.get("idempotency_key");
    if (await lost(error)) return void keepReady(attempted);
    refuse(error);
    if (!error.problem) return; // the answer was lost: the same key, pressed again, records it once
  } finally {
    busy = false;
  }
  await check();
}

function showRecorded() {
  result.hidden = false;
  result.querySelector(".banner-title").textContent = recorded.words;
  result.querySelector("input[name=recorded]").value = recorded.undo ? JSON.stringify(recorded.undo) : "";
  result.querySelector("form").hidden = !recorded.undo;
  result.querySelector(".recorded").replaceChildren(...(recorded.items ?? []).map((item) => {
    const row = document.createElement("li");
    const link = document.createElement("a");
    link.href = `/specimens/${item.specimen}`;
    link.className = "code";
    link.textContent = item.specimen;
    row.append(link, ` ${item.place ?? ""}`);
    return row;
  }));
}

async function undo(event) {
  event.preventDefault();
  const data = new FormData(event.target);
  try {
    const said = await post("/scan/undo", data);
    recorded = { words: `${said.words} ${t("Put each tube back where it was before.")}`, items: [], undo: null };
    tell("again");
    showRecorded();
    event.target.elements.idempotency_key.value = newKey();
  } catch (error) {
    refuse(error);
    if (error.problem) event.target.elements.idempotency_key.value = newKey();
  }
  keep();
}

const newKey = () => list.querySelector("input[name=idempotency_key]").value + Math.random().toString(36).slice(2);

// ---------- the form ----------

form.addEventListener("submit", (event) => {
  event.preventDefault();
  const button = event.submitter;
  if (button?.name === "commit") return void commit();
  if (button?.name === "drop") {
    list.querySelectorAll("input[name=line]")[Number(button.value)]?.remove();
    return void check();
  }
  const typed = [one.value, form.elements.codes.value].join("\n").split("\n").map((text) => text.trim()).filter(Boolean);
  one.value = form.elements.codes.value = "";
  if (typed.length) addMany(typed);
});

// Pasted lines are read by the server, which knows the dialects of rack scanners; the list only carries them there.
async function addMany(typed) {
  keep();
  const data = new FormData(form);
  data.set("codes", typed.join("\n"));
  untold = typed.length;
  try {
    draw(await post("/scan/list", data));
  } catch (error) {
    form.elements.codes.value = typed.join("\n");
    refuse(error);
  }
  keep();
}

result.querySelector("form").addEventListener("submit", undo);

form.addEventListener("change", (event) => {
  if (event.target.matches("[name=action], [name=place], [name=site], [name=purpose]")) {
    showFields();
    check();
  }
});

// A file is read by the server, whatever its encoding and its maker; its lines come back as the list carries them.
async function loadFile(file) {
  try {
    const headers = { "X-CSRF-Token": form.elements.csrf_token.value, "Content-Type": "application/octet-stream" };
    const said = await post("/scan/file", file, headers);
    if (!said.lines.length) {
      tell("stop");
      say("care", t("No tube in this file."), t("Nothing was added. Look at the file, or scan the tubes one by one."));
      return;
    }
    waiting.push(...said.lines);
    untold += said.lines.length;
    if (said.place && !place.value) place.value = said.place;
    else if (said.place && said.place !== (readLabel(place.value)?.code ?? place.value)) {
      say("care", t("The file names %(code)s, another place than the one chosen.", { code: said.place }), t("Look which rack this is."));
    }
    await check();
  } catch (error) {
    refuse(error);
  }
}

document.getElementById("scan-file").addEventListener("change", (event) => {
  const [file] = event.target.files;
  if (file) loadFile(file);
  event.target.value = "";
});

const TOOLS = {
  async remove_last() {
    if (await takeBack()) return void verdict.replaceChildren();
    const last = waiting.pop() ?? [...list.querySelectorAll("input[name=line]")].at(-1);
    if (last instanceof Element) last.remove();
    verdict.replaceChildren();
    check();
  },
  new_list() {
    waiting = [];
    for (const input of list.querySelectorAll("input[name=line]")) input.remove();
    recorded = null;
    result.hidden = true;
    verdict.replaceChildren();
    check();
  },
  sound(button) {
    button.setAttribute("aria-pressed", String(toggleSound()));
  },
};
for (const button of form.querySelectorAll("[data-do]")) button.addEventListener("click", () => TOOLS[button.dataset.do](button));

function showFields() {
  const action = chosen();
  document.getElementById("scan-hint").textContent = action?.dataset.hint ?? "";
  for (const field of form.querySelectorAll("[data-for-action]")) {
    field.hidden = !field.dataset.forAction.split(" ").includes(action?.value);
  }
}

// The screen stays awake while tubes are in the open.
async function stayAwake() {
  if (document.visibilityState === "visible") await navigator.wakeLock?.request("screen").catch(() => null);
}

document.addEventListener("visibilitychange", () => { stayAwake(); if (document.visibilityState === "visible" && waiting.length) check(); });

form.querySelector(".scan-many").open = false;
form.querySelector(".scan-tools").hidden = false;
form.querySelector(".file-button").hidden = false;
form.querySelector("[data-do=sound]").setAttribute("aria-pressed", String(isSoundOn()));
restore();
showFields();
stayAwake();
begin({
  lines, chosen, keep, post, check, big,
  // Lines that were scanned since the page opened and that nobody judged: the only ones known to be scans of now.
  takeFresh() {
    const fresh = waiting.filter((line) => made.has(line));
    waiting = waiting.filter((line) => !made.has(line));
    untold = 0;
    return fresh;
  },
  putBack(back) { waiting.push(...back.filter((line) => !waiting.includes(line) && !lines().includes(line))); },
  hasWaiting: () => waiting.length > 0,
});
one.focus({ preventScroll: true });
document.documentElement.dataset.listReady = "";
