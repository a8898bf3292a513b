// Scans kept on this device while there is no network: encrypted under a key that the bank gives to this session, in the order
// in which they were made, until the bank has answered each of them.
//
// In clear stand only whose a scan is (the badge) and under the key of which session. Keys are in memory, here and in the page's
// worker, and are never written down. Each scan has its own key of idempotency from the start: sent twice, it is recorded once.

const VERSION = new URL(".", import.meta.url).pathname;
const COPY = "/scan/copy";
const CLOCK = "bank-clock"; // how far this device's clock was from the bank's when they last spoke
const TOO_SLOW_MS = 20_000; // an answer that took longer measures no clock

const SENDING = "kept-scans"; // only one tab sends
const CHANGING = "kept-scan-rows"; // and only one changes what is kept, for a moment

let me = null; // {owner, csrf}
let current = null; // the session whose key new scans get
const keys = new Map();

export const possible = Boolean(globalThis.crypto?.subtle && globalThis.indexedDB && navigator.serviceWorker);

const [told, heard] = [1, 2].map(() => new BroadcastChannel("kept-scans")); // two, as none hears itself

/** Call `act` when this or another tab changed what is kept, or its person signed out, which drops the keys here too. */
export function listen(act) {
  heard.addEventListener("message", ({ data }) => (data === "signed out" ? lock().then(act) : act()));
}

// ---------- the key ----------

const worker = async () => (await navigator.serviceWorker.getRegistration("/scan"))?.active ?? null;

async function fetchKey(of = null) {
  const sent = Date.now();
  const body = new URLSearchParams({ csrf_token: me.csrf, ...(of && { of }) });
  const answer = await fetch("/scan/kept/key", { method: "POST", body, headers: { Accept: "application/json" } });
  if (!answer.ok) throw new Error("no key");
  const said = await answer.json();
  const trip = Date.now() - sent;
  if (trip < TOO_SLOW_MS) {
    const offset = Math.round(Date.parse(said.now) - (sent + trip / 2));
    localStorage.setItem(CLOCK, JSON.stringify({ offset_ms: offset, uncertain_ms: Math.ceil(trip / 2) }));
  }
  const raw = Uint8Array.from(atob(said.key), (one) => one.charCodeAt(0));
  keys.set(said.of, await crypto.subtle.importKey("raw", raw, "AES-GCM", false, ["encrypt", "decrypt"]));
  return said.of;
}

async function keyOf(of) {
  if (!keys.has(of)) await fetchKey(of);
  return keys.get(of);
}

async function hold() {
  if (current) (await worker())?.postMessage({ hold: { key: keys.get(current), owner: me.owner, of: current } });
}

/** Get the key of this session: "bank", or without network "worker", where the page's worker has it; null: what is kept is locked. */
export async function unlock(owner, csrf) {
  me = { owner, csrf };
  try {
    current = await fetchKey();
    hold();
    return "bank";
  } catch {
    const held = await askWorker();
    if (held?.owner !== owner) return null;
    keys.set(held.of, held.key);
    current = held.of;
    return "worker";
  }
}

async function askWorker() {
  const active = await worker();
  if (!active) return null;
  const { port1, port2 } = new MessageChannel();
  const answer = new Promise((resolve) => { port1.onmessage = (event) => resolve(event.data); setTimeout(() => resolve(null), 2000); });
  active.postMessage({ ask: true }, [port2]);
  return answer;
}

/** Throw the keys away: what is kept stays, and only the bank opens it again. */
export async function lock() {
  keys.clear();
  current = null;
  (await worker())?.postMessage({ lock: true });
}

export const isUnlocked = () => current !== null && localStorage.getItem(CLOCK) !== null;

/** Let the page open without network, and hold the key over a reload of it. */
export async function settle() {
  await navigator.serviceWorker.register(`${VERSION}scan-worker.js`, { scope: "/scan" });
  await navigator.serviceWorker.ready;
  await hold();
  navigator.serviceWorker.addEventListener("controllerchange", hold);
  setInterval(async () => (await worker())?.postMessage({ alive: true }), 20_000); // else the browser ends it, and the key with it
}

// ---------- encrypting ----------

async function sealed(text, key) {
  const iv = crypto.getRandomValues(new Uint8Array(12));
  const data = new Uint8Array(await crypto.subtle.encrypt({ name: "AES-GCM", iv }, key, new TextEncoder().encode(text)));
  const whole = new Uint8Array(iv.length + data.length);
  whole.set(iv);
  whole.set(data, iv.length);
  return whole;
}

async function opened(whole, key) {
  return new TextDecoder().decode(await crypto.subtle.decrypt({ name: "AES-GCM", iv: whole.slice(0, 12) }, key, whole.slice(12)));
}

/** Keep the page as it is drawn, encrypted, for a reload without network. */
export async function keepPage(html) {
  if (!current) return;
  const [of, key] = [current, keys.get(current)];
  const cache = await caches.open(`scan ${VERSION}`);
  await cache.put(COPY, new Response(await sealed(html, key), { headers: { "x-of": of } }));
}

// ---------- the store ----------

const promised = (request) => new Promise((resolve, reject) => {
  request.onsuccess = () => resolve(request.result);
  request.onerror = () => reject(request.error);
});

async function store(mode) {
  const request = indexedDB.open("kept-scans", 1);
  request.onupgradeneeded = () => request.result.createObjectStore("scans", { keyPath: "id", autoIncrement: true });
  const database = await promised(request);
  const transaction = database.transaction("scans", mode, { durability: "strict" });
  transaction.oncomplete = transaction.onabort = () => database.close();
  return transaction.objectStore("scans");
}

const rows = async () => promised((await store("readonly")).getAll());

/** How many scans wait here for this person and for others. Needs no key. */
export async function counts(owner) {
  const all = await rows();
  const mine = all.filter((row) => row.owner === owner).length;
  return { mine, others: all.length - mine };
}

async function entryOf({ id, of, data }) {
  try {
    return { id, scan: JSON.parse(await opened(data, await keyOf(of))) };
  } catch {
    return { id, scan: null };
  }
}

/** Every scan of this person, in order; `scan` is null where its key is not to be had now. */
export const read = async () => Promise.all((await rows()).filter((row) => row.owner === me.owner).map(entryOf));

async function scanOf(id) {
  const row = await promised((await store("readonly")).get(id));
  return row ? (await entryOf(row)).scan : null;
}

async function write(scan, id = null) {
  const [of, owner] = [current, me.owner];
  const data = await sealed(JSON.stringify(scan), keys.get(of));
  await promised((await store("readwrite")).put({ ...(id && { id }), owner, of, data }));
  told.postMessage("changed");
}

/** Do something to what is kept while no other scan or tab does; one after the other, as they were asked for. */
export const alone = (act) => navigator.locks.request(CHANGING, act);

/** Keep one scan, made now; only within `alone`. */
export async function keep(scan) {
  navigator.storage?.persist?.();
  const clock = JSON.parse(localStorage.getItem(CLOCK));
  await write({ key: crypto.randomUUID(), ...clock, ...scan });
}

/** Make `next(scan)` of a kept scan; returns it, or null where it is gone, cannot be read, or `next` answers null. */
export const change = (id, next) => alone(async () => {
  const scan = await scanOf(id);
  const changed = scan ? next(scan) : null;
  if (changed) await write(changed, id);
  return changed;
});

async function remove(id) {
  await promised((await store("readwrite")).delete(id));
  told.postMessage("changed");
}

/** Take a scan off, unless it is being sent: then only the bank knows whether it was recorded. Returns whether it is off. */
export const drop = (id) => alone(async () => {
  const scan = await scanOf(id);
  if (scan?.tried) return false;
  await remove(id);
  return true;
});

// ---------- sending ----------

const FIELDS = ["action", "text", "place", "purpose", "site", "well", "scanned_at", "offset_ms", "uncertain_ms", "instead_of"];

/** Send what waits, in order; a tube whose earlier scan was refused waits for the person. `post(path, data, headers)` throws an
 * error with `problem` for a refusal, any other for no answer. A scan counts as sent from here on only when the bank answered just
 * before: `reached()` asks. Returns how many were recorded; throws when the bank fell silent. */
export async function send(post, reached) {
  let sent = 0;
  if (!current) current = await fetchKey();
  await navigator.locks.request(SENDING, async () => {
    const waiting = new Set();
    let answered = false;
    for (const { id, scan } of await read()) {
      if (!scan) continue;
      if (scan.problem || waiting.has(scan.code)) {
        waiting.add(scan.code);
        continue;
      }
      if (!answered && !(await reached())) throw new Error("no answer");
      const begun = await change(id, (now) => (now.problem ? null : { ...now, tried: true }));
      if (!begun) continue; // taken off meanwhile, in another tab
      const data = new URLSearchParams({ csrf_token: me.csrf, idempotency_key: begun.key });
      for (const name of FIELDS) if (begun[name] !== undefined && begun[name] !== "") data.set(name, begun[name]);
      try {
        await post("/scan/kept", data, { "X-Device-Clock": new Date().toISOString() });
        await remove(id);
        sent += 1;
      } catch (error) {
        if (!error.problem || error.problem.status >= 500 || error.problem.status === 429) throw error;
        if (error.problem.code === "wrong_form_token") throw error; // somebody else signed in meanwhile: nothing is sent as theirs
        const { title, detail, where_now } = error.problem;
        await change(id, (now) => ({ ...now, tried: false, problem: { title, detail, where_now } }));
        waiting.add(scan.code);
      }
      answered = true;
    }
  });
  return sent;
}
