// What scripts say, in the reader's language. The page carries the sentences of its language; without them the English stands.

const catalogue = JSON.parse(document.querySelector('meta[name="script-words"]')?.content ?? "{}");

/** Return `message` in the reader's language with `%(name)s` filled in from `values`. */
export function t(message, values = {}) {
  return (catalogue[message] ?? message).replace(/%\((\w+)\)s/g, (_, name) => values[name] ?? "");
}
