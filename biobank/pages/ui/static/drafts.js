// A draft of a long form, kept in this tab until the form is sent: a telephone call or a lost network costs no second scan.
// Only forms marked `data-draft` (with the badge of whoever types) have one, none of them holds personal data, and free text and
// passwords are never kept. forms.js throws every draft away at sign-out.

const MARK = "draft:";
const SENT = "draft:sent";
const form = document.querySelector("form[data-draft]");
// A form that was drawn again, refused or as a plan, goes on with the draft that it was sent with, whatever its address says now.
const key = (form) => form.dataset.draftKey ?? `${MARK}${form.dataset.draft}:${location.pathname}${location.search}`;
const kept = (form) => [...form.elements].filter((e) => e.name && !e.name.startsWith("rows-") && e.name !== "add" &&
  e.matches("select, input:not([type=hidden], [type=password], [type=file])"));

function save() {
  const values = kept(form).map((e) => [e.name, e.value, e.type === "checkbox" || e.type === "radio" ? e.checked : null]);
  sessionStorage.setItem(key(form), JSON.stringify(values));
}

function restore() {
  const values = JSON.parse(sessionStorage.getItem(key(form)) ?? "[]");
  let changed = false;
  for (const [name, value, checked] of values) {
    for (const e of kept(form).filter((e) => e.name === name && (checked === null || e.value === value))) {
      if (checked === null ? e.value === value : e.checked === checked) continue;
      if (checked === null) e.value = value;
      else e.checked = checked;
      changed = true;
    }
  }
  if (changed) offerFresh();
}

function offerFresh() {
  const line = document.createElement("p");
  line.className = "draft-note";
  line.setAttribute("role", "status");
  const button = document.createElement("button");
  button.type = "button";
  button.className = "button";
  button.textContent = "Start afresh";
  button.addEventListener("click", () => {
    sessionStorage.removeItem(key(form));
    form.reset();
    line.remove();
  });
  line.append("What you typed here before and did not send is back. ", button);
  form.prepend(line);
}

// Another login in this tab reads nothing of the one before.
for (const one of Object.keys(sessionStorage)) {
  if (one.startsWith(MARK) && one !== SENT && !one.startsWith(`${MARK}${form.dataset.draft}:`)) sessionStorage.removeItem(one);
}
if (!("typed" in form.dataset)) restore();
form.addEventListener("input", save);
form.addEventListener("change", save);
form.addEventListener("submit", () => sessionStorage.setItem(SENT, key(form)));
