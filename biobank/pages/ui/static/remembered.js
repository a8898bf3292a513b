// What a tab remembers for the sign-in that learnt it, and questions that a script asks with that sign-in's token. Nothing here is
// told to another sign-in; forms.js lets all of it go when one ends.

export const token = document.querySelector("meta[name=csrf-token]")?.content;
const session = token?.slice(0, 12); // which sign-in it was, without what could be used of it
const MARK = "remembered:";

/** Return what this sign-in put under `name`, or null; what another left there goes. */
export function remembered(name) {
  const kept = JSON.parse(sessionStorage.getItem(MARK + name) ?? "null");
  if (kept && kept.session !== session) sessionStorage.removeItem(MARK + name);
  return kept?.session === session ? kept.value : null;
}

export function remember(name, value) {
  sessionStorage.setItem(MARK + name, JSON.stringify({ session, value }));
}

export function forgetRemembered() {
  for (const key of Object.keys(sessionStorage)) if (key.startsWith(MARK)) sessionStorage.removeItem(key);
}

/** Ask the bank with a form's `pairs`; null where it gives no answer. */
export async function ask(path, pairs) {
  try {
    const answer = await fetch(path, { method: "POST", body: new URLSearchParams([["csrf_token", token], ...pairs]) });
    return answer.ok && !answer.redirected ? await answer.json() : null;
  } catch {
    return null;
  }
}
