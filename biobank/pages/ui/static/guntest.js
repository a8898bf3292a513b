// Shows what a gun sends: keys, their pace, and the code that was read. For setting a gun up.

import { t } from "./words.js";

const out = document.getElementById("gun-keys");
let keys = [];

addEventListener("keydown", (event) => {
  if (keys.length && event.timeStamp - keys.at(-1).at > 1500) keys = [];
  keys.push({ key: event.key, code: event.code, at: event.timeStamp });
  if (event.key !== "Enter" && event.key !== "Tab") return;
  const text = keys.slice(0, -1).map((k) => (k.key.length === 1 ? k.key : `<${k.key}>`)).join("");
  const pace = keys.length > 2 ? Math.round((keys.at(-1).at - keys[0].at) / (keys.length - 1)) : 0;
  out.textContent = `${text}\n${t("%(n)s keys, %(pace)s ms apart, ends with %(key)s", { n: keys.length - 1, pace, key: event.key })}\n`;
  keys = [];
}, { capture: true });

document.addEventListener("code-scanned", (event) => {
  event.preventDefault();
  out.textContent += t("Read: %(code)s. This gun is ready.", event.detail);
});
document.addEventListener("code-misread", () => { out.textContent += t("It looks like a code and its check character is wrong."); });
