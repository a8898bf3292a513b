// A page that shows work in progress looks again by itself, until the work is over. Without this file its link does the same.

const EVERY_MS = 1500;

async function lookAgain() {
  const here = document.getElementById("job");
  if (!here || here.dataset.live !== "yes") return;
  try {
    const answer = await fetch(location.href, { headers: { Accept: "text/html" } });
    if (answer.redirected) return location.reload(); // the sign-in ended
    const page = new DOMParser().parseFromString(await answer.text(), "text/html");
    const fresh = page.getElementById("job");
    if (!fresh) return;
    if (fresh.dataset.live !== "yes") return location.reload();
    const [bar, now] = [here, fresh].map((one) => one.querySelector(".progress"));
    if (bar && now) bar.replaceWith(now);
    const left = fresh.querySelector(".left");
    here.querySelector(".left")?.remove();
    if (left) here.querySelector(".progress")?.after(left);
  } catch {
    // The network is away; the next turn may find it again.
  }
  setTimeout(lookAgain, EVERY_MS);
}

setTimeout(lookAgain, EVERY_MS);
