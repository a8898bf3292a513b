"""Every form of every page, sent empty and with rubbish in every field: refused in words, nothing typed lost or recorded."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from uuid import uuid4
from zlib import crc32

import httpx
import pytest
from fastapi.routing import APIRoute
from sqlalchemy import text
from starlette.routing import Match

from biobank.auth.sessions import create_page_session
from biobank.foundation import clock
from biobank.postgres.embedded import EmbeddedPostgres
from biobank.registries.routes import PAGES
from tests import seed
from tests.browser.furnished import SENDS_TO, Furnished
from tests.browser.posted_forms import Control, PostedForm, forms_of
from tests.browser.walk import STOPS
from tests.conftest import drop_bank, hang_up, open_bank, serve_now
from tests.pages.plain_words import refusals_of
from tests.pages.visitor import BROWSER, Visitor

pytestmark = pytest.mark.browser

BUTTON = "a button: its page says what it does, and there is nothing to fill in"
TAKES_EMPTY: dict[str, str] = {
    "/account/choices": "an empty choice is the usual one",
    "/account/messages": "nothing ticked: no messages",
    "/account/sessions/end": BUTTON,
    "/alarms/{code}/acknowledge": "what was seen may be said, or nothing",
    "/api-clients/{code}/draw": BUTTON,
    "/donors/{code}/band": "leads to the identification, which asks",
    "/donors/{code}/consents/{consent}/revoke": "it is revoked now; when and why may be said",
    "/donors/{code}/dossier": BUTTON,
    "/donors/{code}/identity": BUTTON,
    "/entries/{leaf}/words": BUTTON,
    "/handovers/{handover_id}/accept": BUTTON,
    "/jobs/{identity}/cancel": BUTTON,
    "/messages/failed/{message}/send": BUTTON,
    "/notices/{notice}": "that it was read; what was done may be said",
    "/pending/{pending}/cancel": BUTTON,
    "/scan/list": "asks about what was scanned and records nothing",
    "/sensors/{code}/draw": BUTTON,
    "/slips/{slip}": BUTTON,
    "/specimens/store-where-they-fit": "the button says that they stand where the page names",
    "/specimens/{code}/notification-plan": BUTTON,
    "/storage/{code}/lift": BUTTON,
    "/storage/{code}/put-back": BUTTON,
    "/users/{code}/day": "no day named: today",
    "/webhooks/{code}/resume": BUTTON,
    "/webhooks/{code}/secret": BUTTON,
    "/webhooks/{code}/send-again": BUTTON,
    "/webhooks/{code}/stop": BUTTON,
    "/webhooks/{code}/trial": BUTTON,
    "/webhooks/{code}/withdraw": BUTTON,
    "/withdrawals/{code}/indication": BUTTON,
    "/withdrawals/{code}/issue": "the tubes were scanned by two; what goes along may be said",
    "/withdrawals/{code}/paper": "prints the form that is filled in by hand",
    "/withdrawals/{code}/photographs/{sha256}": BUTTON,
}
"""Forms that are taken as they come, and why. They are sent last, for they change the bank."""
TAKES_ANY_TEXT: dict[str, str] = {
    "/storage/{code}/compare": "a label that nobody can read is found too, and compared",
    "/storage/{code}/count": "a label that nobody can read is found too, and counted",
    "/users/{code}/rename": "a printed name is any text of its length",
}
"""Forms that are refused only for what is too long."""
ONE_OF_TWO: dict[str, str] = {"/webhooks/{code}/leave-out": "a button beside that which sends again: one of them can be pressed"}
"""Forms that are not sent empty, and why."""
ASKS: dict[str, str] = {"/scan/list": "answers what each scan is, whatever was scanned"}
"""Forms that answer rubbish with a page, and record nothing."""
SENT_BY_SCRIPT: dict[str, str] = {"/scan/undo": "the page's script fills in what is undone"}
"""Forms that nobody sends empty; refused, they say where to go."""
EMPTIED: dict[str, str] = {
    "/donors/{code}/change": "who it is: the page may stay open in a room",
    "/donors/{code}/death": "who it is: the page may stay open in a room",
    "/donors/{code}/identify": "who it is: the page may stay open in a room",
    "/donors/{code}/identity-change": "who it is: the page may stay open in a room",
    "/withdrawals/{code}/confirm/label": "a label is read anew, not corrected until it fits",
    "/withdrawals/{code}/pick": "waits for the next scan",
    "/withdrawals/{code}/pick/label": "a label is read anew, not corrected until it fits",
}
"""Forms that come back without some of what was typed, and why."""
KEPT_THERE = ("occurred_at", "performed_by", "paper")
"""What a form about a person keeps all the same."""
FOLLOWS: dict[str, str] = {"/imports/{upload}": "what is asked about a column follows from what it is taken for"}
"""Forms whose fields depend on what is chosen in others."""

VISITS = [(stop, role) for stop in STOPS for role in stop.roles]
Rubbish = Callable[[Control], str]
DAY = re.compile(r"_at|_on$|_until|_by$|date|day|^until|^from$")
KINDS: Mapping[str, Rubbish] = {
    "too long": lambda _: "Long words " * 400,
    "markup": lambda _: "<script>alert(1)</script>",
    "negative": lambda _: "-1",
    "far": lambda one: "31 Dec 9999, 23:59" if DAY.search(one.name) else "9" * 25,
    "unknown code": lambda _: "AD26-0000000",
    "signs that are not seen": lambda _: "a\x07\u202eb",
}


@pytest.fixture(scope="module")
def copied(furnished_bank: Furnished, template: EmbeddedPostgres, secrets_dir: Path) -> Iterator[Furnished]:
    """A copy of the furnished bank, which may be changed."""
    hang_up(furnished_bank.bank)
    state_dir = furnished_bank.bank.bank.settings.state_dir
    bank = open_bank(template, secrets_dir, state_dir, copy_of=furnished_bank.bank.database, **SENDS_TO)
    yield Furnished(bank, serve_now(bank), furnished_bank.things)
    drop_bank(bank)


@dataclass(frozen=True)
class Found:
    """A form as somebody was shown it."""

    visitor: Visitor
    page: str
    route: str
    form: PostedForm


def events_of(furnished: Furnished) -> int:
    return int(furnished.bank.write(lambda s: s.execute(text("SELECT count(*) FROM event")).scalar()))


def signed_in(furnished: Furnished, role: str) -> Visitor:
    visitor = Visitor(base_url=furnished.url, headers=BROWSER, timeout=60)
    code, lasts = seed.USERS[role].code, furnished.bank.bank.settings.session_s
    cookie, _ = furnished.bank.write(lambda s: create_page_session(s, code, clock.now(), lasts))
    visitor.cookies.set("session", cookie)
    return visitor


def route_of(action: str) -> str:
    scope = {"type": "http", "method": "POST", "path": action.partition("?")[0]}
    (route, *_) = [one for one in PAGES.routes if isinstance(one, APIRoute) and one.matches(scope)[0] is Match.FULL]
    return route.path


def forms_found(furnished: Furnished) -> list[Found]:
    """Every form that somebody is shown, once for each set of fields; those that are taken as they come last, what ends a thing
    behind what is done with it.
    """
    found: dict[tuple[str, frozenset[str]], Found] = {}
    visitors = {role: signed_in(furnished, role) for role in sorted({role for _, role in VISITS})}
    for stop, role in VISITS:
        page = stop.path.format(**furnished.things)
        for form in forms_of(visitors[role].get(page).text):
            found.setdefault((form.action, form.asks), Found(visitors[role], page, route_of(form.action), form))
    return sorted(found.values(), key=lambda one: (one.route in TAKES_EMPTY, one.route.endswith(("/stop", "/withdraw"))))


def send(found: Found, typed: Mapping[str, str]) -> httpx.Response:
    """Send a form as its page would, with what was typed; nobody signs."""
    form = found.form
    sent = form.hidden | dict(typed) | {"idempotency_key": str(uuid4())}
    if not form.multipart:
        return found.visitor.post(form.action, data=sent, follow_redirects=False)
    file = ("old.csv", b"\x00\xff<b>", "text/csv") if typed else ("", b"", "text/csv")
    return found.visitor.post(form.action, data=sent, files={one.name: file for one in form.of("file")}, follow_redirects=False)


def rubbish_in(found: Found) -> dict[str, str]:
    """One kind of rubbish in each field, another in the next."""
    kinds = [KINDS["too long"]] if found.route in TAKES_ANY_TEXT else list(KINDS.values())
    fields = found.form.of("typed", "select")
    return {one.name: kinds[crc32(f"{found.route} {one.name}".encode()) % len(kinds)](one) for one in fields}


def faults_of(found: Found, typed: Mapping[str, str], answer: httpx.Response) -> Iterator[str]:
    """What is wrong with the answer to a form that has to be refused."""
    if not 400 <= answer.status_code < 500:
        yield f"answered with {answer.status_code}"
        return
    if not refusals_of(answer.text):
        yield "does not say why"
    again = {one.name: one.value for form in forms_of(answer.text) if form.action == found.form.action for one in form.controls}
    if found.route in SENT_BY_SCRIPT:
        return
    if not again:
        yield "the form is gone"
    summary = re.search(r'id="error-summary".*?</ul>', answer.text, re.DOTALL)
    for name in re.findall(r'href="#f-([^"]+)"', summary[0] if summary else ""):
        if f'id="f-{unescape(name)}"' not in answer.text:
            yield f"a fault leads to no field: {name}"
    for name, said in typed.items():
        emptied = (found.route in EMPTIED and name not in KEPT_THERE) or (found.route in FOLLOWS and name not in again)
        selects = {one.name for one in found.form.of("select")}
        if not emptied and name not in selects and unescape(again.get(name, "")).split() != said.split():
            yield f"what was typed is gone: {name}, {said[:20]!r}, {again.get(name, '')[:20]!r}"


def test_every_form_refuses_what_is_empty_or_rubbish_and_loses_nothing_typed(copied: Furnished) -> None:
    found = forms_found(copied)
    wrong: list[tuple[str, ...]] = []
    taken: set[str] = set()
    assert len(found) > 150
    for one in found:
        typed = rubbish_in(one)
        before = events_of(copied)
        if typed:
            answer = send(one, typed)
            if one.route not in ASKS:
                wrong += [(one.page, one.route, "rubbish", fault) for fault in faults_of(one, typed, answer)]
            elif answer.status_code != 200:
                wrong.append((one.page, one.route, "rubbish", str(answer.status_code)))
        if one.route not in TAKES_EMPTY | ONE_OF_TWO:
            wrong += [(one.page, one.route, "empty", fault) for fault in faults_of(one, {}, send(one, {}))]
        if events_of(copied) != before:
            wrong.append((one.page, one.route, "", "something was recorded"))
        if one.route in TAKES_EMPTY and send(one, {}).status_code in (200, 303):
            taken.add(one.route)
    assert wrong == [], "\n".join(map(str, wrong))
    assert taken == set(TAKES_EMPTY)
