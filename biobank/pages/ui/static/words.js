// What scripts say, in the reader's language. The page carries the sentences of its language; without them the English stands.

const catalogue = JSON.parse(document.querySelector('meta[name="script-words"]')?.content ?? "{}");

/** Return `message` in the reader's language with `%(name)s` filled in from `values`. */
export function t(message, values = {}) {
  return (catalogue[message] ?? message).replace(/%\((\w+)\)s/g, (_, name) => values[name] ?? "");
}

const INSTANT = /\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)/g;
const DAY = /(?<![\w-])(\d{4})-(\d\d)-(\d\d)(?![\w-])/g;
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const CLOCK = new Intl.DateTimeFormat("en-US", { timeZone: document.documentElement.dataset.zone ?? "UTC", hourCycle: "h23",
  year: "numeric", month: "numeric", day: "numeric", hour: "2-digit", minute: "2-digit" });

const dayOf = (day, month, year) => [Number(day), t(MONTHS[month - 1]), year].join("\u202f");

function atPlace(instant) {
  const part = Object.fromEntries(CLOCK.formatToParts(new Date(instant)).map(({ type, value }) => [type, value]));
  return `${dayOf(part.day, part.month, part.year)}, ${part.hour}:${part.minute}`;
}

/** Write the instants and days of a sentence as pages do: a refusal carries them exactly, and knows no reader's zone. */
export function told(sentence) {
  return String(sentence ?? "").replace(INSTANT, atPlace)
    .replace(DAY, (_, year, month, day) => dayOf(day, month, year));
}
