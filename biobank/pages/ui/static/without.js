// The scan page without network: what is scanned then is kept on this device (kept.js) and sent when the network is back.

import { readLabel } from "./codes.js";
import { tell } from "./feedback.js";
import * as kept from "./kept.js";
import { drawRows, sayBar, sayOthers, show } from "./keptbar.js";
import { say } from "./scan.js";
import { t } from "./words.js";

const LOOK_MS = 3_000;
const form = document.getElementById("scan-form");
const list = document.getElementById("scan-list");

let page = null; // what the list offers: see `begin`
let offline = false;
let looking = 0;
let sending = false;
let draws = 0;
let sent = 0;

export const isOffline = () => offline;

/** Keep a copy of the page as it is drawn, for a reload without network. */
export function copy() {
  if (!kept.possible || !kept.isUnlocked()) return;
  const whole = document.documentElement.cloneNode(true);
  for (const one of ["data-list-ready", "data-scan-ready"]) whole.removeAttribute(one);
  for (const one of whole.querySelectorAll("#lock-dialog, main > .banner, #scan-status > *, #verdict > *, #kept-rows > *")) one.remove();
  kept.keepPage(`<!doctype html>${whole.outerHTML}`);
}

/** Whether a request failed because there is no network, and not on its own; then the page goes on without. */
export async function lost(error) {
  if (error.problem || error.message === "locked") return false;
  if (await isReached()) return false;
  goOffline();
  return true;
}

const isReached = () => fetch("/healthz", { cache: "no-store" }).then((answer) => answer.ok, () => false);

function goOffline() {
  offline = true;
  const asOf = document.getElementById("as-of");
  asOf.hidden = !page.lines().length;
  const at = list.dataset.asOf && new Date(list.dataset.asOf).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", hour12: false });
  asOf.textContent = at ? t("As of %(at)s, before the network went.", { at }) : t("Not looked at by the bank.");
  look();
  const fresh = kept.possible && kept.isUnlocked() ? page.takeFresh() : [];
  if (fresh.length) keepScans(fresh);
  else drawKept();
}

// Look every few seconds whether the bank answers again, as long as something waits for it.
function look() {
  clearTimeout(looking);
  looking = setTimeout(async () => {
    if (await isReached()) back();
    else look();
  }, LOOK_MS);
}

async function back() {
  clearTimeout(looking);
  if (document.documentElement.classList.contains("locked")) return; // `page-unlocked` comes here again
  offline = false;
  document.getElementById("as-of").hidden = true;
  await sendKept();
  await page.check();
}

async function sendKept() {
  if (!kept.possible) return;
  try {
    if (!kept.isUnlocked() && !(await kept.unlock(form.dataset.owner, form.elements.csrf_token.value))) await page.post("/scan/list", new FormData(form));
    const { mine } = await kept.counts(form.dataset.owner);
    if (mine) {
      sending = true;
      await drawKept();
      sent += await kept.send(page.post, isReached);
    }
  } catch (error) {
    if (error.problem?.code === "wrong_form_token") return void location.reload(); // another sign-in: another page
    if (!(await lost(error))) look();
  } finally {
    sending = false;
  }
  await drawKept();
}

async function drawKept() {
  if (!kept.possible) return;
  const turn = ++draws;
  const { mine, others } = await kept.counts(form.dataset.owner);
  const locked = !kept.isUnlocked();
  const entries = locked ? [] : await kept.read();
  if (turn !== draws) return; // a later look is under way
  const refused = entries.filter(({ scan }) => scan?.problem).length;
  sayBar({ offline, locked, sending, sent, refused, count: mine - refused });
  sayOthers(others);
  drawRows(entries, labelOf, { settle, again });
  show(offline || mine || others || sent);
  copy();
}

function labelOf(scan) {
  const action = form.querySelector(`input[name=action][value="${CSS.escape(scan.action)}"]`);
  const said = [action?.nextElementSibling.textContent ?? scan.action];
  if (scan.place) said.push(scan.place);
  if (scan.purpose) said.push(form.elements.purpose?.querySelector(`option[value="${CSS.escape(scan.purpose)}"]`)?.textContent ?? scan.purpose);
  return said.join(" · ");
}

async function settle(id) {
  await kept.drop(id);
  await drawKept();
  if (!offline) await sendKept(); // what waited behind it
}

async function again(id) {
  await kept.change(id, ({ problem, ...scan }) => scan);
  await (offline ? drawKept() : sendKept());
}

// Why a scan cannot be kept now; null when it can.
function notKept() {
  const action = page.chosen();
  const fields = form.elements;
  if (!kept.possible || !kept.isUnlocked()) return t("What is kept on this device is locked until the network is back. The list stays here.");
  if (!("offline" in action.dataset)) return t("%(what)s waits for the network.", { what: action.nextElementSibling.textContent });
  if (action.value === "store" && !fields.place.value) return t("Scan the box first.");
  if (action.value === "receive" && fields.site && !fields.site.value) return t("Say first where they arrived.");
  if (action.value !== "check_out") return null;
  if (!fields.purpose.value) return t("Say first what they are checked out for.");
  return "forUse" in fields.purpose.selectedOptions[0].dataset ? t("Nothing towards use is done without network.") : null;
}

// What is asked of each tube now, as the bank wants it when the network is back.
function asked(line) {
  const action = page.chosen().value;
  const [well, ...text] = line.split("|");
  const fields = form.elements;
  const more = { store: { place: fields.place.value, well }, check_out: { purpose: fields.purpose.value }, receive: { site: fields.site?.value } }[action];
  return { action, text: text.join("|"), code: readLabel(text.join("|"))?.code ?? text.join("|"), ...more };
}

/** Keep scans made now, or say why not; those stay on the list. */
export async function keepScans(fresh, more = {}) {
  const why = notKept();
  const codes = fresh.map((line) => asked(line).code);
  if (why) {
    page.putBack(fresh);
    page.keep();
    tell("stop");
    page.big("blocked", codes.at(-1), t("Not kept for sending"), why, null);
    return void drawKept();
  }
  const scans = fresh.map((line) => ({ scanned_at: new Date().toISOString(), ...asked(line), ...more }));
  await kept.alone(async () => {
    for (const scan of scans) {
      const last = (await kept.read()).findLast((one) => one.scan?.code === scan.code)?.scan;
      if (last && last.action === scan.action && last.place === scan.place && !last.problem) {
        tell("again");
        page.big("again", scan.code, t("Already kept"));
      } else {
        await kept.keep(scan);
        tell("ok");
        page.big("again", scan.code, t("Kept on this device"), t("The bank has not looked at it."));
      }
    }
  });
  page.keep();
  await drawKept();
}

/** Keep the tubes that were ready at last sight, as they stand on the list; `attempted` is the key of a list that was sent and
 * never answered. */
export async function keepReady(attempted) {
  const why = notKept();
  if (why) {
    tell("stop");
    return void say("care", t("Not recorded."), why);
  }
  const tubes = [...list.querySelectorAll("input[name=tube]")].map((input) => JSON.parse(input.value));
  for (const { text, well, slot } of tubes) {
    const place = page.chosen().value === "store" ? slot ?? well ?? "" : "";
    await keepScans([`${place}|${text}`], attempted ? { instead_of: attempted } : {});
    for (const input of list.querySelectorAll("input[name=line]")) if (input.value.endsWith(`|${text}`)) input.remove();
    for (const input of list.querySelectorAll("input[name=tube]")) if (JSON.parse(input.value).text === text) input.remove();
    for (const row of list.querySelectorAll("[data-code]")) if (row.dataset.code === text || row.dataset.code === asked(`|${text}`).code) row.remove();
  }
  for (const one of list.querySelectorAll(".scan-commit, .scan-counts")) one.hidden = true;
  page.keep();
  await drawKept();
}

/** Say of the tube kept last that it went to a position; else `otherwise()`. */
export async function placeKept(code, otherwise) {
  const last = kept.isUnlocked() ? (await kept.read()).at(-1) : null;
  const isOpen = (scan) => scan.action === "store" && !scan.well && !scan.tried;
  if (last?.scan && isOpen(last.scan) && (await kept.change(last.id, (scan) => (isOpen(scan) ? { ...scan, well: code } : null)))) {
    tell("ok");
    return void drawKept();
  }
  otherwise();
}

/** Take off the scan kept last; false when there is none that was not sent. */
export async function takeBack() {
  const last = offline && kept.isUnlocked() ? (await kept.read()).at(-1) : null;
  if (!last || last.scan?.tried || !(await kept.drop(last.id))) return false;
  await drawKept();
  return true;
}

/** Begin, over the list: its elements and acts. Sends what was kept before, if the bank is there. */
export async function begin(over) {
  page = over;
  if (kept.possible) {
    kept.listen(drawKept);
    const by = await kept.unlock(form.dataset.owner, form.elements.csrf_token.value);
    kept.settle().catch(() => null); // a browser that allows no worker: the page works, and does not open without network
    if (by === "bank") await sendKept();
    else if (!(await isReached())) goOffline();
    copy();
  }
  if (page.hasWaiting()) await page.check();
}

document.addEventListener("page-locked", () => kept.possible && kept.lock().then(() => drawKept()));
document.addEventListener("page-unlocked", () => back());
addEventListener("online", async () => { if (await isReached()) await back(); }); // a link is no bank yet
addEventListener("offline", async () => { if (!(await isReached())) goOffline(); });
