// Files in a form: each is kept the moment it is chosen, and the form carries its hash. Without this file the form leads to the
// page that keeps files and back.

import { newKey } from "./forms.js";
import { t } from "./words.js";

class NotKept extends Error {}

async function keep(address, form, file) {
  const body = new FormData();
  for (const name of ["donor", "site"]) {
    const value = address.searchParams.get(name) || form.elements[name]?.value;
    if (value) body.set(name, value);
  }
  body.set("csrf_token", form.elements.csrf_token.value);
  body.set("idempotency_key", newKey());
  body.set("file", file);
  const answer = await fetch(address.pathname, { method: "POST", body, headers: { Accept: "application/json" } });
  const text = await answer.text();
  if (answer.ok && answer.headers.get("Content-Type")?.startsWith("application/json")) return JSON.parse(text).sha256;
  const page = new DOMParser().parseFromString(text, "text/html");
  const said = page.querySelector("#error-summary li") ?? page.querySelector(".banner.stop");
  throw new NotKept(said?.textContent.trim() || t("Sign in again, then choose it once more."));
}

function listen(part) {
  const address = new URL(part.dataset.keeps, location.href);
  const hash = part.querySelector("input[type=hidden]");
  const chosen = part.querySelector("input[type=file]");
  const status = part.querySelector("[role=status]");
  const elsewhere = part.querySelector("[data-elsewhere]");
  const needed = "needed" in chosen.dataset;
  // What the summary of faults links to is what is seen.
  const seen = elsewhere.querySelector("[id]");
  chosen.id = seen.id;
  seen.removeAttribute("id");
  part.querySelector("[data-chosen] label").htmlFor = chosen.id;
  chosen.required = needed && !hash.value;
  elsewhere.hidden = true;
  part.querySelector("[data-chosen]").hidden = false;
  if (hash.value) status.textContent = t("A file is attached. Choose another to take its place.");

  chosen.addEventListener("change", async () => {
    const files = [...chosen.files];
    if (!files.length) return;
    const hashes = [], names = [];
    hash.value = "";
    chosen.setCustomValidity(t("Wait until the file is kept."));
    try {
      for (const file of files) {
        status.textContent = t("%(name)s is being kept …", { name: file.name });
        hashes.push(await keep(address, hash.form, file));
        names.push(file.name);
      }
      status.textContent = t("Kept: %(names)s.", { names: names.join(", ") });
    } catch (fault) {
      const why = fault instanceof NotKept ? fault.message : t("The service did not answer. Choose it again in a moment.");
      status.textContent = t("%(name)s was not kept. %(why)s", { name: files[names.length].name, why });
      chosen.value = "";
      chosen.required = needed;
    }
    chosen.setCustomValidity("");
    hash.value = hashes.join("\n");
    hash.dispatchEvent(new Event("input", { bubbles: true }));
  });
}

for (const part of document.querySelectorAll("[data-keeps]")) listen(part);
