// What a scan sounds and feels like. Never the only channel: the same is on the screen in words, icon and colour.

const TONES = {
  ok: { notes: [[880, 0.09]], shake: [40] }, // short and high
  again: { notes: [[520, 0.08], [520, 0.08]], shake: [40, 60, 40] }, // twice, in the middle
  stop: { notes: [[170, 0.18], [170, 0.28]], shake: [200, 80, 200] }, // a long low buzz
};

let audio = null;
let muted = localStorage.getItem("scan-muted") === "1";

// A browser lets a page sound only after somebody touched it.
function unlock() {
  audio ??= new AudioContext();
  if (audio.state === "suspended") audio.resume();
}
for (const kind of ["pointerdown", "keydown"]) addEventListener(kind, unlock, { passive: true, capture: true });

/** Sound and shake: "ok", "again" or "stop". */
export function tell(kind) {
  // Before the first touch a browser lets no page shake, and says so as a fault.
  if (navigator.userActivation?.hasBeenActive) navigator.vibrate?.(TONES[kind].shake);
  if (muted || audio?.state !== "running") return;
  let at = audio.currentTime;
  for (const [pitch, length] of TONES[kind].notes) {
    const tone = new OscillatorNode(audio, { frequency: pitch, type: kind === "stop" ? "square" : "sine" });
    const volume = new GainNode(audio, { gain: 0.25 });
    tone.connect(volume).connect(audio.destination);
    tone.start(at);
    tone.stop(at + length);
    at += length + 0.05;
  }
}

/** Turn the sound on or off on this device; returns whether it is on. */
export function toggleSound() {
  muted = !muted;
  localStorage.setItem("scan-muted", muted ? "1" : "0");
  return !muted;
}

export const isSoundOn = () => !muted;
