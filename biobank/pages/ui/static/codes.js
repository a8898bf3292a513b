// Codes as the page sees them: the check character, and a code at the end of what was typed.
// Pure functions; `biobank/foundation/codes.py` is the authority, and a browser test holds the two together.

const CHECK_ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
const DATED = ["HF", "AD", "UN", "WD"];
const UNDATED = ["KT", "LT", "DN", "WB", "PS", "BX", "SH", "DV", "EX", "AL", "BS", "SE", "WH", "AC", "RG", "EQ", "US", "CM"];
const ALIASES = { I: "1", L: "1", O: "0" };

// Head, body, check character; hyphens and spaces are for the eye only. A label may say after them which print of the code it is.
const PRINT = "(?:[-\\s]([0-9A-TV-Z]{2}))?$";
const SHAPES = [
  new RegExp(`((?:${DATED.join("|")})[0-9]{2})[-\\s]?([0-9A-TV-Z]{6})([0-9A-Z])${PRINT}`),
  new RegExp(`(${UNDATED.join("|")})[-\\s]?([0-9A-TV-Z]{6})([0-9A-Z])${PRINT}`),
];
// What a gun may put before a code: an AIM symbology identifier, and the address on the label.
const BEFORE = /(?:\][A-Z][0-9A-Z])?(?:HTTPS?:\/\/[^\s/]{1,253}\/S\/)?$/;
const AIM = /^\][A-Za-z][0-9A-Za-z]/;
const AROUND = /^["'<\u201c\u201e\u2018]+|["'>\u201c\u201d\u2019]+$/g;
const UNSEEN = /[\u0000-\u0008\u000e-\u001f\u007f\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff]/g;
const SEPARATORS = /[\s\u00ad\u2010-\u2015\u2212]+/g;

/** Return the ISO 7064 MOD 37,36 check character of upper-case letters and digits. */
export function checkCharacter(text) {
  let check = 18;
  for (const character of text) {
    check = (((check || 36) * 2) % 37 + CHECK_ALPHABET.indexOf(character)) % 36;
  }
  return CHECK_ALPHABET[(37 - (((check || 36) * 2) % 37)) % 36];
}

/**
 * Find a label at the end of `typed`.
 * Returns null when nothing there has the shape of a code; otherwise
 * `{code, label, prefix, valid, text, start}`: the printed form, the same with the number of its print when the label says it, whether
 * its check character agrees, and the whole label text (with its address, when it has one) and where it starts in `typed`.
 */
export function trailingScan(typed) {
  const upper = typed.toUpperCase();
  if (upper.length !== typed.length) return null; // a letter that grows in upper case is not on our labels
  let misread = null;
  for (const shape of SHAPES) {
    const match = shape.exec(upper);
    if (!match) continue;
    // Two characters behind a blank or nothing are a well or a slip, where the code itself has its hyphen.
    if (match[4] && /-[0-9A-Z]{7}\s?..$/.test(match[0])) continue;
    const plain = (text) => [...text].map((character) => ALIASES[character] ?? character).join("");
    const body = plain(match[2]);
    const code = `${match[1]}-${body}${match[3]}`;
    const start = BEFORE.exec(upper.slice(0, match.index)).index;
    const scan = {
      code,
      label: match[4] ? `${code}-${plain(match[4])}` : code,
      prefix: match[1].slice(0, 2),
      valid: checkCharacter(match[1] + body) === match[3],
      text: typed.slice(start).replace(/^\][A-Za-z][0-9A-Za-z]/, ""),
      start,
    };
    if (scan.valid) return scan;
    misread ??= scan;
  }
  return misread;
}

/**
 * Find every label at the end of `typed`, one after another: a gun may send two before one Enter.
 * Returns `{scans, rest}`: the labels in order, and what stands before them. Characters that show nothing (\u0000 stands for a
 * control or function key) may follow a label and stand between two.
 */
export function trailingScans(typed) {
  const scans = [];
  let rest = typed.replace(/[\u0000\s]+$/, "");
  while (rest) {
    const scan = trailingScan(rest);
    if (!scan || (!scan.valid && scans.length)) break;
    scans.unshift(scan);
    rest = rest.slice(0, scan.start).replace(/[\u0000\s]+$/, "");
    if (!scan.valid) break;
  }
  return { scans, rest };
}

/** Whether a text begins as our codes do: then it is one of ours that was misread, unless the bank knows it as somebody else's. */
export const beginsAsOurs = (text) => new RegExp(`^(?:(?:${DATED.join("|")})[0-9]{2}|(?:${UNDATED.join("|")})[-\\s])`, "i").test(text);

/** Whether a text begins an address: a code at the end of one that is no label address of ours may be another bank's. */
export const holdsAddress = (text) => /:\/\/|%3A%2F%2F|^www\./i.test(text);

/** Read a text that should be one label and nothing else; null unless it is a valid code or label address. */
export function readLabel(text) {
  const seen = text.replace(UNSEEN, "").trim().replace(AROUND, "").replace(AIM, "");
  const tidy = seen.replace(SEPARATORS, seen.includes("://") ? "" : "-").replace(/^-+|-+$/g, "");
  const scan = trailingScan(tidy);
  return scan && scan.valid && scan.start === 0 ? scan : null;
}

/** Return the host of a label address, upper case, or null for a bare code. */
function labelHost(text) {
  return /^HTTPS?:\/\/([^/]+)\/S\//i.exec(text)?.[1].toUpperCase() ?? null;
}

/** Whether a text that `readLabel` reads is a bare code, or stands on one of this bank's hosts. */
export function isOurs(text) {
  const host = labelHost(text);
  const known = document.querySelector('meta[name="label-hosts"]')?.content.toUpperCase().split(" ") ?? [];
  return host === null || known.includes(host);
}
