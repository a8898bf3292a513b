// What lets the scan page open without network. It answers two things and no others: the scan page itself, when the bank does
// not, and the files of its own release. It holds the key of what the device keeps, in memory only: a reload finds it again, a
// closed browser does not. A new release registers a worker of its own address; the files of two releases never mix.

const VERSION = new URL(".", location.href).pathname;
const CACHE = `scan ${VERSION}`;
const SHELL = "/scan/offline";
const COPY = "/scan/copy"; // the page as last drawn, encrypted by the page; an address that only this cache knows
const FILES = ["app.css", "camera.js", "codes.js", "favicon.svg", "feedback.js", "forms.js", "held.js", "icons.svg", "kept.js", "keptbar.js",
  "list.js", "lock.js", "offline.js", "remembered.js", "scan.js", "selftest.svg", "without.js", "words.js"];
const LONGEST_MS = 10_000;

let held = null; // {key, owner, of}

async function install() {
  const cache = await caches.open(CACHE);
  const shell = await fetch(SHELL, { cache: "no-store" });
  if (!shell.ok || !(await shell.clone().text()).includes(VERSION)) throw new Error("this is the worker of another release");
  await cache.addAll(FILES.map((name) => VERSION + name));
  await cache.put(SHELL, shell);
  await self.skipWaiting();
}

async function activate() {
  for (const name of await caches.keys()) if (name.startsWith("scan ") && name !== CACHE) await caches.delete(name);
  await self.clients.claim();
}

async function page(request) {
  try {
    const answer = await fetch(request, { signal: AbortSignal.timeout(LONGEST_MS) });
    if (![502, 504].includes(answer.status)) return answer;
  } catch {
    // no network: what was kept is shown
  }
  const cache = await caches.open(CACHE);
  const shell = await cache.match(SHELL);
  return (await opened(cache, shell)) ?? shell ?? Response.error();
}

async function opened(cache, shell) {
  const copy = await cache.match(COPY);
  if (!held || !copy || copy.headers.get("x-of") !== held.of) return null;
  try {
    const data = new Uint8Array(await copy.arrayBuffer());
    const html = await crypto.subtle.decrypt({ name: "AES-GCM", iv: data.slice(0, 12) }, held.key, data.slice(12));
    return new Response(html, { headers: shell.headers });
  } catch {
    return null; // written under another key
  }
}

const file = async (request) => (await (await caches.open(CACHE)).match(request)) ?? fetch(request);

self.addEventListener("install", (event) => event.waitUntil(install()));
self.addEventListener("activate", (event) => event.waitUntil(activate()));
self.addEventListener("fetch", (event) => {
  const { request } = event;
  const { origin, pathname } = new URL(request.url);
  if (request.method !== "GET" || origin !== location.origin) return;
  if (request.mode === "navigate") {
    if (pathname === "/scan") event.respondWith(page(request));
  } else if (pathname.startsWith(VERSION)) event.respondWith(file(request));
});
self.addEventListener("message", (event) => {
  const { hold, lock, forget, ask } = event.data;
  if (hold) held = hold;
  if (lock || forget) held = null;
  if (forget) event.waitUntil(caches.open(CACHE).then((cache) => cache.delete(COPY)));
  if (ask) event.ports[0].postMessage(held);
});
