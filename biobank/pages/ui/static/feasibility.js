// The second step of a request follows what is typed in the first. Without this file the button of the first step shows it.

const PAUSE_MS = 300;
const form = document.querySelector("[data-feasibility]");
const place = document.getElementById("feasibility");
let timer = 0;
let asked = 0;

// What was already typed in the second step survives its being drawn again.
function typed() {
  return [...place.querySelectorAll("input:not([type=hidden]), textarea")].map((field) => ({
    name: field.name, value: field.value, checked: field.checked, choice: field.type === "checkbox",
  }));
}

function putBack(kept) {
  for (const { name, value, checked, choice } of kept) {
    const fields = [...place.querySelectorAll("input:not([type=hidden]), textarea")].filter((field) => field.name === name);
    if (choice) fields.filter((field) => field.value === value && !field.disabled).forEach((field) => { field.checked = checked; });
    else if (fields[0]) fields[0].value = value;
  }
}

async function show() {
  const mine = ++asked;
  const query = new URLSearchParams([...new FormData(form)]);
  try {
    const answer = await fetch(`${form.dataset.feasibility}?${query}`);
    if (!answer.ok || answer.redirected || mine !== asked) return;
    const kept = typed();
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    if (mine !== asked) return;
    place.replaceChildren(...page.body.childNodes);
    putBack(kept);
    history.replaceState(null, "", `${location.pathname}?${query}`);
  } catch {
    // No network: the button still works once there is one.
  }
}

form?.addEventListener("input", () => {
  clearTimeout(timer);
  timer = setTimeout(show, PAUSE_MS);
});
form?.addEventListener("submit", (event) => {
  event.preventDefault();
  clearTimeout(timer);
  show();
});
