// The page that the browser shows without network when nobody unlocked what it kept: it waits for the network.

import { counts, possible } from "./kept.js";
import { t } from "./words.js";

const LOOK_MS = 5_000;

if (possible) {
  const { others } = await counts("");
  if (others) {
    document.getElementById("kept-count").textContent = others === 1 ? t("1 scan is kept on this device, locked.")
      : t("%(n)s scans are kept on this device, locked.", { n: others });
  }
}
const again = () => fetch("/healthz", { cache: "no-store" }).then((answer) => { if (answer.status < 500) location.reload(); }, () => null);
if (location.pathname === "/scan") {
  addEventListener("online", again);
  setInterval(again, LOOK_MS);
}
