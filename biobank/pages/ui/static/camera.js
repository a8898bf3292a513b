// Reading a label with the device's camera: the browser's own detector where it truly works, otherwise small frames are
// sent to the bank's decoder. No library is loaded. Frames are not stored anywhere.

import { isOurs, readLabel } from "./codes.js";
import { t } from "./words.js";

const DECODE = "/scans/decode";
const CROP_PX = 480;
const JPEG_QUALITY = 0.5; // 17-25 kB a frame, measured to read as well as larger ones
const FRAME_MS = 280; // at most three to four frames a second, one in flight

// Present is not working: some systems offer the detector and never find anything. It must read a symbol we know first.
async function nativeDetector() {
  if (!("BarcodeDetector" in window)) return null;
  try {
    const detector = new window.BarcodeDetector({ formats: ["qr_code"] });
    const sample = new Image();
    sample.src = new URL("./selftest.svg", import.meta.url).href;
    await sample.decode();
    const [found] = await detector.detect(await createImageBitmap(sample, { resizeWidth: 240, resizeHeight: 240 }));
    return found?.rawValue === "BIOBANK" ? detector : null;
  } catch {
    return null; // a detector that throws is one that does not work; the server reads instead
  }
}

function drawCrop(video, canvas) {
  const side = Math.min(video.videoWidth, video.videoHeight) * 0.8;
  canvas.width = canvas.height = Math.min(CROP_PX, Math.round(side));
  canvas.getContext("2d").drawImage(video, (video.videoWidth - side) / 2, (video.videoHeight - side) / 2, side, side,
    0, 0, canvas.width, canvas.height);
}

// Null without network: nobody else reads the frame then.
async function decodeOnServer(canvas) {
  const frame = await new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", JPEG_QUALITY));
  let answer;
  try {
    answer = await fetch(DECODE, {
      method: "POST",
      headers: {
        "Content-Type": "image/jpeg",
        "Idempotency-Key": crypto.randomUUID(),
        "X-CSRF-Token": document.querySelector('meta[name="csrf-token"]')?.content ?? "",
      },
      body: frame,
    });
  } catch {
    return null;
  }
  if (answer.status === 401) throw new Error(t("You are no longer logged in. Log in again, then scan."));
  if (!answer.ok) return { text: null }; // the next frame may do better; a lasting fault shows as "still looking"
  return answer.json();
}

const FRAMES_HERE = 4; // so many without a label, and the bank looks at one: it reads other symbols, and says when it is too dark
const EQUALLY_NEAR = 0.1; // of the picture's side, as on the server

// The browser's own detector finds every symbol; ours nearest to the middle is meant, and of two equally near nobody knows which.
// Where it sees anything that is not ours the bank judges (`ask`): it knows identifiers of others, and which hosts are its own.
async function decodeHere(detector, canvas) {
  const near = (await detector.detect(canvas)).map(({ rawValue, boundingBox: b }) => ({ text: rawValue, b,
    off: Math.hypot(b.x + b.width / 2 - canvas.width / 2, b.y + b.height / 2 - canvas.height / 2) / canvas.width,
  })).sort((one, other) => one.off - other.off);
  const found = near.filter(({ text }) => readLabel(text) && isOurs(text));
  const ask = found.length < near.length;
  const next = found.find(({ text }) => text !== found[0].text);
  if (next && next.off - found[0].off < EQUALLY_NEAR) {
    return { text: null, ask, advice: t("Two labels: come closer, until only one is in the middle.") };
  }
  if (!found.length) return { text: null, ask };
  const { x, y, width, height } = found[0].b;
  return { text: found[0].text, ask, box_permille: [x, y, width, height].map((part) => part * 1000 / canvas.width) };
}

// Mark the label that was read in the crop's square, as wide as the picture's middle.
function mark(frame, box) {
  frame.hidden = !box;
  if (!box) return;
  const [left, top, width, height] = box.map((part) => part / 10);
  Object.assign(frame.style, { left: `${left}%`, top: `${top}%`, width: `${width}%`, height: `${height}%` });
}

function makeDialog() {
  const dialog = document.createElement("dialog");
  dialog.className = "dialog camera-dialog";
  dialog.setAttribute("aria-label", t("Scan with the camera"));
  const video = document.createElement("video");
  Object.assign(video, { muted: true, playsInline: true });
  const words = document.createElement("p");
  words.setAttribute("role", "status");
  words.textContent = t("Starting the camera …");
  const buttons = document.createElement("div");
  buttons.className = "buttons";
  const close = document.createElement("button");
  Object.assign(close, { className: "button", type: "button", textContent: t("Close") });
  close.addEventListener("click", () => dialog.close());
  const torch = document.createElement("button");
  Object.assign(torch, { className: "button", type: "button", textContent: t("Light"), hidden: true });
  buttons.append(close, torch);
  const sight = document.createElement("div");
  sight.className = "camera-sight";
  const square = document.createElement("div");
  square.className = "camera-square";
  const frame = document.createElement("div");
  frame.className = "camera-mark";
  frame.hidden = true;
  square.append(frame);
  sight.append(video, square);
  dialog.append(sight, words, buttons);
  return { dialog, video, words, torch, frame };
}

function offerTorch(button, track) {
  if (!track.getCapabilities?.().torch) return;
  let lit = false;
  button.hidden = false;
  button.addEventListener("click", async () => {
    lit = !lit;
    await track.applyConstraints({ advanced: [{ torch: lit }] });
    button.setAttribute("aria-pressed", String(lit));
  });
}

const NO_NETWORK = t("No network: this camera reads nothing without it. Use a barcode gun, or type the code.");
const WHY = {
  NotAllowedError: t("The browser was not allowed to use the camera. Allow it in the address bar, or type the code."),
  NotFoundError: t("This device has no camera. Use a barcode gun, or type the code."),
  NotReadableError: t("Another program is using the camera. Close it, then try again."),
};

const AGAIN_MS = 2000; // a label that stays in the picture is one scan

/**
 * Open the camera until a label is read or the person closes it; the label's text, or null.
 * With `each` it stays open: `each(text)` is called with every label and returns what to say about it.
 */
export async function readWithCamera(each = null) {
  const { dialog, video, words, torch, frame } = makeDialog();
  document.body.append(dialog);
  dialog.showModal();
  let open = true;
  const closed = new Promise((resolve) => dialog.addEventListener("close", () => { open = false; resolve(null); }, { once: true }));
  let stream = null;
  const look = async () => {
    stream = await navigator.mediaDevices.getUserMedia({
      video: { facingMode: "environment", width: { ideal: 1920 }, height: { ideal: 1080 } } });
    video.srcObject = stream;
    await video.play();
    offerTorch(torch, stream.getVideoTracks()[0]);
    let detector = await nativeDetector();
    const canvas = document.createElement("canvas");
    let last = { text: null, at: 0 };
    let misses = 0;
    words.textContent = t("Hold the label in the middle of the picture.");
    while (open) {
      const started = performance.now();
      drawCrop(video, canvas);
      const here = detector && await decodeHere(detector, canvas).catch(() => null);
      if (!here) detector = null; // it stopped working: from now on the bank reads
      const asked = !here || here.ask || misses >= FRAMES_HERE;
      const seen = (asked && await decodeOnServer(canvas)) || here || { text: null, advice: NO_NETWORK };
      misses = asked || seen.text ? 0 : misses + 1;
      const text = seen.text ?? null;
      mark(frame, seen.box_permille);
      if (!text && seen.advice) words.textContent = seen.advice;
      if (text && !each) return text;
      if (text && (text !== last.text || started - last.at > AGAIN_MS)) words.textContent = await each(text);
      if (text) last = { text, at: performance.now() };
      await new Promise((resolve) => setTimeout(resolve, Math.max(0, FRAME_MS - (performance.now() - started))));
    }
    return null;
  };
  try {
    return await Promise.race([closed, look().catch((error) => {
      words.setAttribute("role", "alert");
      words.textContent = WHY[error.name] ?? error.message;
      return closed;
    })]);
  } finally {
    open = false;
    stream?.getTracks().forEach((track) => track.stop());
    dialog.remove();
  }
}
