"""Every page, as every role that has it: clean for axe in both schemes, within the policy, usable by keyboard, and cheap."""

import re
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from html import unescape
from urllib.parse import parse_qsl, urlsplit

import pytest
from fastapi.routing import APIRoute
from playwright.sync_api import Browser, Page, expect
from starlette.routing import Match

from biobank.pages.ui.session import known_in_address
from biobank.pages.ui.styleguide import router as style_guide
from biobank.registries.routes import PAGES
from tests.browser.axe import contrast_violations, violations
from tests.browser.conftest import Tabs, open_signed_in
from tests.browser.furnished import Furnished
from tests.browser.walk import NOT_PAGES, STOPS, Stop
from tests.browser.watching import Watch
from tests.conftest import serve_now
from tests.pages.visitor import BROWSER, Visitor
from tests.statements import count_statements

pytestmark = pytest.mark.browser

ROLES = sorted({role for stop in STOPS for role in stop.roles})
VISITS = [pytest.param(role, stop, id=f"{role or 'stranger'}:{stop.name}") for stop in STOPS for role in stop.roles or (None,)]


def test_every_page_of_the_application_is_walked() -> None:
    routes = [route for router in (PAGES, style_guide) for route in router.routes if isinstance(route, APIRoute)]
    pages = {route.path for route in routes if "GET" in (route.methods or ())} - NOT_PAGES
    assert {stop.route for stop in STOPS} == pages


# A control that takes the focus without showing it, or never takes it, is out of reach for whoever has no mouse.
UNREACHABLE = """() => [...document.querySelectorAll('a[href], button, input:not([type=hidden]), select, textarea, summary')]
  .filter((e) => e.checkVisibility({ visibilityProperty: true }) && !e.disabled && !e.closest('[inert]'))
  .filter((e) => { e.focus({ preventScroll: true }); return document.activeElement !== e || e.tabIndex < 0; })
  .filter((e) => e.type !== 'radio')
  .map((e) => e.outerHTML.slice(0, 120))"""
# Another site could send a form that carries no token of its session.
UNPROTECTED = """() => [...document.forms].filter((f) => f.method === 'post' && !f.querySelector('[name=csrf_token]'))
  .map((f) => f.outerHTML.slice(0, 120))"""

# Files are chosen: nobody sees, or types, 64 digits of a hash in a form.
HASHES = """() => [...document.querySelectorAll('input:not([type=hidden]), textarea')]
  .filter((e) => e.checkVisibility({ visibilityProperty: true }))
  .filter((e) => e.pattern?.includes('{64}') || /^[0-9a-f]{64}$/m.test(e.value)
    || /sha-?256|hash/i.test([...(e.labels ?? [])].map((one) => one.textContent).join(' ')))
  .map((e) => e.outerHTML.slice(0, 120))"""

# A field inside a frame may let its frame show the focus.
FOCUS = """() => { const e = document.activeElement;
  const shows = (x) => { const s = getComputedStyle(x); return s.outlineStyle !== 'none' || s.boxShadow !== 'none'; };
  const framed = [e, e.parentElement, e.closest('.input-row, .find')];
  return [e.tagName, e.matches(':focus-visible') && framed.some((x) => x && shows(x))]; }"""


def unknown_in(address: str) -> set[str]:
    """What a link or form of ours says that the page it leads to does not read."""
    route = route_of(address)
    known = known_in_address(route) if route is not None else set()
    return set() if known is None else {name for name, _ in parse_qsl(urlsplit(address).query)} - known


def route_of(address: str) -> APIRoute | None:
    """The page that answers an address of ours; None where no page does."""
    scope = {"type": "http", "method": "GET", "path": urlsplit(address).path}
    route = next((one for one in PAGES.routes if one.matches(scope)[0] is Match.FULL), None)
    return route if isinstance(route, APIRoute) else None


Drawn = dict[tuple[str, Stop], str]


@pytest.fixture(scope="module")
def drawn(furnished_bank: Furnished) -> Drawn:
    """Every page that stands, as each role gets it."""
    found: Drawn = {}
    serve_now(furnished_bank.bank)
    for role in ROLES:
        with visiting(furnished_bank, role) as visitor:
            wanted = [stop for stop in STOPS if role in stop.roles and stop.status == 200]
            found |= {(role, stop): visitor.get_page(stop.path.format(**furnished_bank.things)) for stop in wanted}
    return found


@contextmanager
def visiting(furnished: Furnished, role: str) -> Iterator[Visitor]:
    """A signed-in browser without scripts."""
    with Visitor(base_url=furnished.url, headers=BROWSER, follow_redirects=True, timeout=60) as visitor:
        visitor.log_in(role)
        yield visitor


def test_no_link_and_no_search_of_ours_says_what_its_page_does_not_read(drawn: Drawn) -> None:
    wrong: dict[tuple[str, str], set[str]] = {}
    for (_, stop), text in drawn.items():
        said = re.findall(r'href="(/[^"]*\?[^"]*)"', text)
        for action, form in re.findall(r'<form[^>]*method="get"[^>]*action="([^"]*)"[^>]*>(.*?)</form>', text, re.S):
            names = re.findall(r' name="([^"]+)"', form)
            said.append(action + "?" + "&".join(f"{name}=x" for name in names))
        wrong |= {(stop.path, one): unknown for one in said if (unknown := unknown_in(unescape(one)))}
    assert wrong == {}


TRIED = 2
"""So many links to pages of one kind are followed for a role, each from another page: one pays for what all of them ask."""


def test_no_link_of_ours_leads_its_reader_to_a_refusal(furnished: Furnished, drawn: Drawn) -> None:
    refused: dict[tuple[str, str, str], int] = {}
    for role in ROLES:
        opened: dict[str, set[str]] = defaultdict(set)
        stood = {stop.path.format(**furnished.things) for who, stop in drawn if who == role}
        with visiting(furnished, role) as visitor:
            for (who, stop), text in drawn.items():
                for link in re.findall(r'<a [^>]*href="(/[^"#]*)', text) if who == role else ():
                    address = unescape(link)
                    route = route_of(address)
                    if route is None or stop.route in opened[route.path] or len(opened[route.path]) == TRIED:
                        continue
                    opened[route.path].add(stop.route)
                    if address not in stood and (status := visitor.get(address).status_code) != 200:
                        refused[role, stop.path, address] = status
    assert refused == {}, "\n".join(map(str, refused.items()))


def assert_reachable_by_keyboard(page: Page) -> None:
    """Every control takes the focus; the first stops of the Tab key show where they are."""
    assert page.evaluate(UNREACHABLE) == []
    stops = page.locator("a[href], button, input:not([type=hidden])").filter(visible=True)
    stops.first.focus()
    for _ in range(min(4, stops.count() - 1)):
        page.keyboard.press("Tab")
        tag, shown = page.evaluate(FOCUS)
        assert tag != "BODY" and shown, f"focus is not shown on {tag}"


@contextmanager
def weighed(page: Page) -> Iterator[dict[str, int]]:
    """Weigh what the page fetches while nothing of it is in a cache: bytes on the wire by request, heads included."""
    found: dict[str, int] = {}
    devtools = page.context.new_cdp_session(page)
    devtools.send("Network.enable")
    devtools.send("Network.setCacheDisabled", {"cacheDisabled": True})
    devtools.on("Network.loadingFinished", lambda one: found.__setitem__(one["requestId"], int(one["encodedDataLength"])))
    yield found
    devtools.detach()


class Rounds:
    """One tab for each role, which goes from page to page: opening one takes longer than looking at a page does.

    What a page kept in the browser is taken away before the next.
    """

    def __init__(self, furnished: Furnished, browser: Browser) -> None:
        self._watches: dict[str | None, Watch] = defaultdict(Watch)
        self._tabs: dict[str | None, tuple[Tabs, Page]] = {}
        self._furnished, self._browser = furnished, browser

    @contextmanager
    def on(self, role: str | None) -> Iterator[Page]:
        """Lend the tab of a role, as wide and as bright as a new one; faults fail the test, and the tab is not used again."""
        watch = self._watches[role]
        if role not in self._tabs:
            tabs = Tabs(self._browser, self._furnished.bank, self._furnished.url, watch)
            self._tabs[role] = tabs, tabs.open(None, path=None)
        tabs, page = self._tabs[role]
        try:
            if role is not None:  # anew for each page: a session that is a minute old says so in a statement of its own
                open_signed_in(self._furnished.bank, self._furnished.url, page.context, role)
            page.set_viewport_size({"width": 1280, "height": 720})
            page.emulate_media(color_scheme="light")
            yield page
            page.evaluate("sessionStorage.clear()")
            page.goto("about:blank")
            session = page.context.new_cdp_session(page)
            session.send("Storage.clearDataForOrigin", {"origin": self._furnished.url, "storageTypes": KEPT})
            session.detach()
            assert watch.faults == []
        except BaseException:
            watch.faults.clear()
            del self._tabs[role]
            tabs.close()
            raise

    def close(self) -> None:
        """Close every tab."""
        for tabs, _ in self._tabs.values():
            tabs.close()


KEPT = "local_storage,indexeddb,cache_storage,service_workers,file_systems"
"""What a page may leave in the browser beside cookies."""


@pytest.fixture(scope="module")
def rounds(furnished_bank: Furnished, browser: Browser) -> Iterator[Rounds]:
    """The tabs of the walk."""
    rounds = Rounds(furnished_bank, browser)
    yield rounds
    rounds.close()


@pytest.mark.parametrize(("role", "stop"), VISITS)
def test_a_page_is_clean_reachable_and_cheap(rounds: Rounds, furnished: Furnished, role: str | None, stop: Stop) -> None:
    with rounds.on(role) as page:
        look_at(page, furnished, stop)


def look_at(page: Page, furnished: Furnished, stop: Stop) -> None:
    path = stop.path.format(**furnished.things)
    database = furnished.bank.bank.database
    seen: list[str] = []
    stops = [count_statements(engine.sync_engine, seen, of=urlsplit(path).path) for engine in (database.writer, database.reader)]
    with weighed(page) as weights:
        answer = page.goto(path)
        for end in stops:
            end()
        expect(page.locator("[aria-busy=true]")).to_have_count(0, timeout=60_000)
    assert answer is not None
    assert answer.status == stop.status, answer.status
    assert sum(weights.values()) <= stop.heaviest, f"{sum(weights.values())} bytes in {len(weights)} answers"
    assert seen or not stop.roles, "whoever is signed in was looked up"
    assert len(seen) <= stop.statements, f"{len(seen)} statements: " + "\n".join(seen)

    assert "<span" not in page.inner_text("body"), "markup is shown as text"
    assert page.evaluate(UNPROTECTED) == []
    assert page.evaluate(HASHES) == []
    assert violations(page) == []
    page.emulate_media(color_scheme="dark")
    assert contrast_violations(page) == []
    assert_reachable_by_keyboard(page)
    page.set_viewport_size({"width": 360, "height": 780})
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert page.evaluate("document.querySelector('header.band')?.offsetHeight ?? 0") <= 111, "15 % of a small telephone's screen"
