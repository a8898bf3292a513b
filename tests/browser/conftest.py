"""A real Chromium over a real bank.

| fixture | gives |
|---|---|
| `signed_in` | `signed_in("lab_tech", **context)`: a tab of that role over the test's own bank; faults fail the test |
| `look` | the same over the furnished bank, which nobody changes: quicker, for tests that only look |
| `furnished` | the furnished bank, its codes by name in `furnished.things` |
| `tab`, `site` | a tab over a small site with the pages' own files, for what guns and cameras do to any page |
| `browser` | the Chromium; it is one per process |
"""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, expect, sync_playwright

from biobank.auth.sessions import create_page_session
from biobank.foundation import clock
from biobank.postgres.embedded import EmbeddedPostgres
from tests import seed
from tests.browser.bench_site import Site, running_site
from tests.browser.chromium import find_chromium, launch
from tests.browser.furnished import SENDS_TO, Furnished, furnish
from tests.browser.watching import Watch
from tests.conftest import Api, TestBank, drop_bank, open_bank, serve_now
from tests.sealing import seal

Open = Callable[..., Page]

expect.set_options(timeout=30_000)
"""How long a page may take to show what is waited for. Playwright's own five seconds are short on a busy machine."""


# While Playwright runs, its event loop occupies the thread and `asyncio.run` elsewhere would fail: it lives for this folder only.
@pytest.fixture(scope="package")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="package")
def chromium(playwright: Playwright) -> str:
    found = find_chromium(playwright)
    if found is None:
        pytest.skip("NO CHROMIUM FOUND: browser tests did not run. Install chromium or set BIOBANK_TEST_CHROMIUM.")
    return found


@pytest.fixture(scope="package")
def browser(playwright: Playwright, chromium: str) -> Iterator[Browser]:
    browser = launch(playwright, chromium)
    yield browser
    browser.close()


@pytest.fixture
def watch() -> Iterator[Watch]:
    """Collects faults; the test fails at its end if there was one."""
    watch = Watch()
    yield watch
    assert watch.faults == []


def open_signed_in(bank: TestBank, url: str, context: BrowserContext, user: str) -> None:
    """Give a context the cookie of a fresh page session, without the half second that proving a password takes."""
    code = seed.USERS[user].code
    cookie, _ = bank.write(lambda s: create_page_session(s, code, clock.now(), bank.bank.settings.session_s))
    context.add_cookies([{"name": "session", "value": cookie, "url": url, "httpOnly": True, "sameSite": "Lax"}])


class Tabs:
    """Opens tabs over one bank and closes them all."""

    def __init__(self, browser: Browser, bank: TestBank, url: str, watch: Watch) -> None:
        self._browser, self._bank, self._url, self._watch = browser, bank, url, watch
        self._contexts: list[BrowserContext] = []

    def open(self, user: str | None, path: str | None = "/", **options: Any) -> Page:
        """Open a tab at `path` (None: nowhere yet) as a seeded user, or a stranger; `options` are Playwright's of a context."""
        context = self._watch.over(self._browser.new_context(base_url=self._url, **({"reduced_motion": "reduce"} | options)))
        self._contexts.append(context)
        if user is not None:
            open_signed_in(self._bank, self._url, context, user)
        page = context.new_page()
        if path is not None:
            page.goto(path)
        return page

    def close(self) -> None:
        """Close every context."""
        for context in self._contexts:
            context.close()


@pytest.fixture
def signed_in(api: Api, browser: Browser, watch: Watch) -> Iterator[Open]:
    """A factory of tabs over the test's own bank, each with its own session."""
    tabs = Tabs(browser, api.test_bank, api.url, watch)
    yield tabs.open
    tabs.close()


@pytest.fixture(scope="package")
def furnished_bank(
    template: EmbeddedPostgres, secrets_dir: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Furnished]:
    bank = open_bank(template, secrets_dir, tmp_path_factory.mktemp("furnished"), **SENDS_TO)
    clock.set_offset(timedelta(0), test_mode=True)
    url = serve_now(bank)
    api = Api(url, bank)
    things = furnish(api)
    seal(bank)  # A file of the log, which pages offer, holds what is sealed.
    api.close()
    yield Furnished(bank, url, things)
    drop_bank(bank)


@pytest.fixture
def furnished(furnished_bank: Furnished) -> Furnished:
    """The furnished bank, served. Never change what is in it: other tests look at it too."""
    serve_now(furnished_bank.bank)
    return furnished_bank


@pytest.fixture
def look(furnished: Furnished, browser: Browser, watch: Watch) -> Iterator[Open]:
    """A factory of tabs over the furnished bank."""
    tabs = Tabs(browser, furnished.bank, furnished.url, watch)
    yield tabs.open
    tabs.close()


@pytest.fixture(scope="package")
def running() -> Iterator[Site]:
    with running_site() as site:
        yield site


@pytest.fixture
def site(running: Site) -> Site:
    running.posts.clear()
    running.hold_post_s = 0.0
    return running


@pytest.fixture
def tab(browser: Browser, site: Site) -> Iterator[Page]:
    """A fresh tab over the small site."""
    watch = Watch()
    context = watch.over(browser.new_context(base_url=site.url))
    yield context.new_page()
    context.close()
    # The small site's bench page is bare HTML without the headers; script errors and breaches count all the same.
    assert [fault for fault in watch.faults if not fault.startswith("no policy")] == []
