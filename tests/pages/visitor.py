"""A browser without scripts."""

import re
from collections.abc import Callable
from html import unescape
from typing import Any

import httpx

from tests import seed
from tests.pages.plain_words import refusals_of, signs_in

BROWSER = {"Accept": "text/html"}


class Visitor(httpx.Client):
    """A browser without JavaScript: keeps cookies, follows redirects, fills in the token and key of a page's form."""

    def request(self, *args: Any, **kwargs: Any) -> httpx.Response:
        """Send it; no page may show tags where a person reads text, nor refuse in words of the program."""
        answer = super().request(*args, **kwargs)
        if answer.headers.get("content-type", "").startswith("text/html"):
            shown = re.search(r".{0,80}&lt;(span|sup|a|time|code)[ &>].{0,80}", answer.text)
            assert shown is None, f"markup is shown as text: {shown.group() if shown else ''}"
            told = [sign for line in refusals_of(answer.text) for sign in signs_in(line, *seed.USERS)]
            assert told == [], f"a refusal speaks of the program: {told}"
        return answer

    def get_page(self, path: str, status: int = 200) -> str:
        answer = self.get(path)
        assert answer.status_code == status, (path, answer.status_code, answer.text[:2000])
        return answer.text

    def submit(self, path: str, fields: dict[str, Any], *, draw: str | None = None, **kwargs: Any) -> httpx.Response:
        """Open the page `draw` (default `path`) and post its hidden fields with `fields` to `path`."""
        page = self.get_page(draw or path)
        form = next(part for part in page.split("<form")[1:] if f'action="{path}"' in part.split(">")[0])
        found = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', form.split("</form>")[0])
        hidden = {name: unescape(value) for name, value in found}
        return self.post(path, data=hidden | fields, **kwargs)

    def log_in(self, name: str, password: str = seed.PASSWORD) -> httpx.Response:
        return self.submit("/login", {"username": name, "password": password})


Visit = Callable[..., Visitor]
