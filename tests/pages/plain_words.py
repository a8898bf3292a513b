"""What a page says to people, as they read it, and the signs of the program that may not stand in it."""

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from typing import Final

BLOCKS: Final = frozenset(
    re.findall(
        r"\w+",
        "p li td th div h1 h2 h3 dt dd option label tr br button section summary legend a nav form pre title caption",
    )
)
READ_OUT: Final = ("placeholder", "aria-label", "alt", "data-confirm")
SIGNS: Final = {
    "a member or word of the program": re.compile(r"(?<![\w./@-])[a-z0-9]+(?:_[a-z0-9]+)+(?![\w.@-])"),
    "a sign of the program": re.compile(r"`|\\|\^|[{}]|\bm°C\b"),
    "a thing of the program": re.compile(r"\b0x[0-9a-f]{6,}|\bobject at\b"),
    "a route": re.compile(r"\b(?:GET|POST|PUT|PATCH|DELETE)\b|/api/v\d"),
    "a value of the program": re.compile(r"\b(?:until|to|from|by) None\b|\bNone (?:to|until)|\b[Nn]ull\b|\bTrue\b|\b[Ff]alse\b"),
    "an instant as programs write it": re.compile(r"\d{4}-\d\d-\d\dT\d\d"),
    "a day as programs write it": re.compile(r"(?<![\w-])\d{4}-\d\d-\d\d(?![\w-])(?! \d\d:\d\d:\d\d)"),
    "one of many": re.compile(
        r"(?<![\d.,#-])\b1 (?:specimens|tubes|units|people|days|places|rows|labels|events|vessels|minutes|hours|lines|entries|"
        r"holds|sites|files|boxes|results|tests|donors|requests|vials|kits|tasks)\b"
    ),
    "a label for an answer": re.compile(r"\bDone: "),
    "a word of the program": re.compile(r"\bmalformed\b|\bJSON\b|\benum\b|\bschema\b|\bpattern\b|SHA-?256|\(s\)", re.IGNORECASE),
}


class _Reader(HTMLParser):
    """Collects what is read of a page: text and what is read out; no script, style or `<code>`."""

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self._unread: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Begin an element."""
        known = dict(attrs)
        classes = (known.get("class") or "").split()
        if tag in ("script", "style", "template", "code") or "print-only" in classes or self._unread:
            if tag not in ("br", "input", "img", "meta", "link", "hr", "use", "path"):
                self._unread.append(tag)
            return
        self.parts += [f"\n{known[name]}\n" for name in READ_OUT if known.get(name)]
        if tag in BLOCKS:
            self.parts.append("\n")

    def handle_endtag(self, tag: str) -> None:
        """End an element."""
        if self._unread:
            if self._unread[-1] == tag:
                self._unread.pop()
        elif tag in BLOCKS:
            self.parts.append("\n")

    def handle_data(self, data: str) -> None:
        """Read a text."""
        if not self._unread:
            self.parts.append(data)


def lines_of(page: str) -> list[str]:
    """Return what is read of a page, one block a line."""
    reader = _Reader()
    reader.feed(page)
    return [line for text in "".join(reader.parts).split("\n") if (line := " ".join(text.split()))]


def signs_in(line: str, *known: str) -> Iterator[str]:
    """Yield what of the program stands in a line; `known` are names that stand there as people gave them."""
    for name in known:
        line = line.replace(name, "")
    for what, sign in SIGNS.items():
        if found := sign.search(line):
            yield f"{what}: {found[0]!r} in {line[:160]!r}"


def refusals_of(page: str) -> list[str]:
    """Return the sentences by which a page says no: banners of a stop, faults at fields, the page of a problem."""
    blocks = re.findall(
        r'<div class="banner stop".*?</div>\s*</div>|<p class="(?:field-error|problem-detail|verdict-text)".*?</p>',
        page,
        re.DOTALL,
    )
    return [line for block in blocks for line in lines_of(block)]
