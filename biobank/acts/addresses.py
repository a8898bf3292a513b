"""One way to write a code in an address: as it is printed.

People and programs write codes in small letters, with other hyphens, with an O for a 0. `foundation/codes.py` says which of that
names the same thing; here it is written as printed before anything else reads the address, so that every call, page, lock, kept
answer and log knows one address of a thing. What reads as no code, a wrong check character included, is left as it came.
"""

import re
from functools import lru_cache
from typing import Final
from urllib.parse import parse_qsl, quote, urlencode

from starlette.types import ASGIApp, Receive, Scope, Send

from biobank.foundation.codes import MalformedCode, parse_code

_PRINTED: Final = re.compile(r"[A-Z]{2}(?:[0-9]{2})?-[0-9A-HJKMNP-TV-Z]{6}[0-9A-Z]", re.ASCII)
SHORTEST: Final = 9
"""Characters of a code without year and hyphen."""
LONGEST: Final = 60
"""What is longer is no code with a few blanks and hyphens in it."""


def as_printed(text: str) -> str:
    """Return a code as it is printed, and any other text as it is. Pure."""
    if not SHORTEST <= len(text) <= LONGEST or _PRINTED.fullmatch(text):
        return text
    try:
        return parse_code(text).text
    except MalformedCode:
        return text


@lru_cache(maxsize=1024)
def _part_as_printed(text: str) -> str:
    """Remember of the parts of addresses, mostly our own words, that they are no codes. No person is named in an address."""
    return as_printed(text)


def path_as_printed(path: str) -> str:
    """Return a path with every code in it as it is printed. Pure."""
    return "/".join(map(_part_as_printed, path.split("/")))


def query_as_printed(query: bytes) -> bytes:
    """Return a query with every value that is a code as it is printed; without one, byte for byte as it came. Pure."""
    pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    printed = [(name, as_printed(value)) for name, value in pairs]
    return query if printed == pairs else urlencode(printed).encode("ascii")


class CodesAsPrinted:
    """ASGI middleware: hands a request on with the codes of its address as they are printed."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Rewrite the address in place: what is learnt of a request on its way in is told outside by its scope."""
        if scope["type"] == "http":
            path = path_as_printed(scope["path"])
            if path != scope["path"]:
                scope["path"], scope["raw_path"] = path, quote(path).encode("ascii")
            if scope["query_string"]:
                scope["query_string"] = query_as_printed(scope["query_string"])
        await self.app(scope, receive, send)
