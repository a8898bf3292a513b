// A key that presses a button waits a moment: what comes right behind it was shot by a gun, which may send a blank or a return
// before a code too, and presses nothing.

const HOLD_MS = 60; // a gun's next key comes sooner; a hand does not notice
const TICKS = "input[type=checkbox], input[type=radio]";
const PRESSED = { " ": `button, summary, input[type=submit], input[type=button], ${TICKS}`,
  Enter: `button, summary, a[href], input[type=submit], input[type=button], ${TICKS}` };
const SUBMITS = "button:not([type=button]):not([type=reset]):not(:disabled), input[type=submit]:not(:disabled)";

let held = null; // {element, key, timer}

/** Hold a key that would press what has the focus; false when it presses nothing. */
export function hold({ target, key, repeat }) {
  if (!(target instanceof Element) || !PRESSED[key] || !target.matches(PRESSED[key])) return false;
  if (!repeat) {
    drop();
    held = { element: target, key, timer: setTimeout(press, HOLD_MS) };
  }
  return true;
}

/** Forget a key that is held: it was part of a scan. Returns whether there was one. */
export function drop() {
  const was = held !== null;
  clearTimeout(held?.timer);
  held = null;
  return was;
}

function press() {
  const { element, key } = held;
  held = null;
  if (!element.isConnected) return;
  // Enter on a tick sends its form, as by the form's first button.
  (key === "Enter" && element.matches(TICKS) ? element.form?.querySelector(SUBMITS) : element)?.click();
}
