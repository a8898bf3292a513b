"""The page session: who looks at a page, and the dependencies of page routes.

| dependency | for | gives |
|---|---|---|
| `Visiting` | every page of someone signed in | the `PageSession`; `request.state` filled for the templates |
| `PageReading` | GET | `await reading(query, …)`, as the API's `Reading` |
| `PagePerforming` | POST | the form, checked for its token, and `await performing(use_case, …)`, as the API's `Performing` |

Pages and API run the same use cases in the same transactions; only the proof differs: a cookie instead of a bearer token. The
cookie is HttpOnly and SameSite=Lax; where it is sent over TLS only (`secure_cookies`) its name starts with `__Host-`, so that
no other host of the domain can set it. Every form carries the session's token and an idempotency key: a press that is sent
twice is one act.
"""

import hmac
import json
import secrets
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Annotated, Any, Concatenate, ParamSpec
from urllib.parse import quote, urlsplit
from zoneinfo import ZoneInfo

from fastapi import Depends, Request
from fastapi.responses import RedirectResponse, Response
from fastapi.routing import APIRoute
from sqlalchemy import update
from sqlalchemy.exc import SQLAlchemyError
from sqlmodel import Session

from biobank.acts import answers_and_attempts
from biobank.acts.act import Act, act_hash
from biobank.acts.bank import Bank
from biobank.acts.proving import act_of, actor_of_session, sign_act
from biobank.acts.signing import Meaning
from biobank.acts.strict import UnknownParameter, contract_of, given_twice, unknown_parameter
from biobank.acts.web import BankDep, Performer, Reader, bank_of, browser_of, json_answer, kept_nobody
from biobank.auth.badges import FullSignInNeeded
from biobank.auth.models import login_session as _session
from biobank.auth.sessions import PageSession, SessionIdle, WrongFormToken, resolve_page_session
from biobank.auth.stations import COOKIES as STATION_COOKIES
from biobank.auth.tokens import Claims
from biobank.foundation import clock
from biobank.foundation.config import Settings
from biobank.foundation.errors import MalformedRequest, NotPermitted, NotSignedIn, Refusal, Unavailable, raise_first
from biobank.pages.ui.parts import Flash
from biobank.pages.ui.posted import SECOND, Form, read_form
from biobank.pages.ui.templating import UTC_ZONE, Again, render, render_problem

P = ParamSpec("P")

FIRST_LOGIN = "/first-login"
LOCKED = "/locked"
STATION = "/station"
KEY_LIMIT = 200


class ChooseOwnPassword(NotPermitted):
    """A password somebody else knows signs nothing: the only page it opens is the one that changes it."""


class AnsweredBefore(Refusal):
    """The same form was sent before and refused: here is that refusal again."""

    def __init__(self, problem: Mapping[str, Any]) -> None:
        members = {k: v for k, v in problem.items() if k not in ("type", "title", "status", "code", "detail", "where_now")}
        super().__init__(problem["detail"], where_now=problem.get("where_now"), **members)
        self.__dict__.update(status=problem["status"], code=problem["code"], title=problem["title"])


def cookie_name(settings: Settings) -> str:
    """Return the name of the session cookie."""
    return "__Host-session" if settings.secure_cookies else "session"


SIGN_IN_COOKIE = "sign_in"
"""Carries the token of a form that signs in, which has no session yet: another site cannot sign a browser in as somebody else."""
SIGN_IN_S = 3600


def sign_in_cookie(settings: Settings) -> str:
    """Return the name of that cookie."""
    return f"__Host-{SIGN_IN_COOKIE}" if settings.secure_cookies else SIGN_IN_COOKIE


def station_cookie_name(settings: Settings) -> str:
    """Return the name of the cookie by which a station is known."""
    return STATION_COOKIES[0 if settings.secure_cookies else 1]


def station_cookie_of(request: Request, settings: Settings) -> str | None:
    """Return the cookie by which the browser of a request is known as a station."""
    return request.cookies.get(station_cookie_name(settings))


def set_cookie(response: Response, settings: Settings, name: str, value: str, lifetime_s: int) -> None:
    """Set a cookie that only this host reads, never a script."""
    response.set_cookie(name, value, max_age=lifetime_s, path="/", secure=settings.secure_cookies, httponly=True, samesite="lax")


def signing_in(request: Request, settings: Settings, template: str, refusal: Refusal | None = None, **shown: Any) -> Response:
    """Draw a page that signs in: its form's token is a cookie of its own, as there is no session yet."""
    token = request.cookies.get(sign_in_cookie(settings)) or secrets.token_urlsafe(24)
    status = 200 if refusal is None else refusal.status
    told = None if refusal is None else refusal.problem()
    response = render(request, template, status, csrf_token=token, refusal=told, **shown)
    set_cookie(response, settings, sign_in_cookie(settings), token, SIGN_IN_S)
    return response


def signing_in_from(request: Request, settings: Settings, form: Form) -> bool:
    """Say whether a form that signs in came from a page of ours in this browser."""
    return same_secret(form.get("csrf_token"), request.cookies.get(sign_in_cookie(settings)))


def local_path(text: str | None) -> str:
    """Return `text` when it is an address of our own, else the start page: nobody is sent elsewhere after signing in."""
    if not text or len(text) > 500 or not text.isprintable() or "\\" in text:
        return "/"
    parts = urlsplit(text)
    own = not parts.scheme and not parts.netloc and text.startswith("/") and not text.startswith("//")
    return text if own and not parts.path.startswith(("/login", "/logout", LOCKED)) and parts.path != STATION else "/"


def see(location: str) -> RedirectResponse:
    """Send the browser to another page after an act (303)."""
    return RedirectResponse(location, 303)


def _take_flashes(session: Session, page: PageSession) -> list[Flash]:
    if page.flashes is None:
        return []
    session.execute(update(_session).where(_session.c.id == page.id).values(flashes=None))
    return [Flash(**flash) for flash in json.loads(page.flashes)]


async def identify(request: Request, bank: Bank) -> PageSession:
    """Find the session behind the request's cookie and fill `request.state` for the templates; raise NotSignedIn."""
    cookie = request.cookies.get(cookie_name(bank.settings))
    if cookie is None:
        raise NotSignedIn("Log in to see this page.")

    def unit(session: Session) -> tuple[PageSession, list[Flash]]:
        here, idle_s = station_cookie_of(request, bank.settings), bank.settings.badge_idle_s
        page = resolve_page_session(session, cookie, bank.settings.idle_lock_s, badge_idle_s=idle_s, station_cookie=here)
        return page, _take_flashes(session, page) if request.method == "GET" else []

    page, flashes = await bank.database.write(unit)
    state = request.state
    state.actor, state.csrf_token, state.flashes = page.actor, page.csrf, flashes
    state.second_factor = page.second_factor
    state.zone = ZoneInfo(page.zone) if page.zone else UTC_ZONE
    state.site_zone = ZoneInfo(page.site_zone) if page.site_zone else UTC_ZONE
    state.language = page.language
    state.label_hosts = (bank.settings.host_name, *bank.settings.former_hosts)
    state.idle_lock_s = bank.settings.idle_lock_s if page.station is None else bank.settings.badge_idle_s
    state.station = page.station
    return page


_asked_of: dict[Any, frozenset[str] | None] = {}
"""What the handlers of pages read of an address beside the parameters that they declare; None: anything may stand in it."""
_once_of: dict[Any, frozenset[str]] = {}
"""Which of these stand in it once."""


def asks(handler: Any, names: Iterable[str] | None, once: Iterable[str] = ()) -> None:
    """Say what a page's handler reads of its address by itself; None: the address on a label, whatever stands behind it.

    `once`: those of them that are no list. A page that acts says it by what it asks its `Form` for.
    """
    _asked_of[handler] = None if names is None else frozenset(names)
    _once_of[handler] = frozenset(once)


def known_in_address(route: APIRoute) -> set[str] | None:
    """Return every parameter that a page reads of its address; None: whatever stands there is let be."""
    asked = _asked_of.get(route.endpoint, frozenset())
    return None if asked is None else {*contract_of(route).query, *asked}


def refuse_unknown(request: Request) -> None:
    """Raise UnknownParameter for what the page does not read, DuplicateMember for what it would read one value of: it would
    answer another question than was asked.
    """
    route = request.scope.get("route")
    if not isinstance(route, APIRoute) or (known := known_in_address(route)) is None:
        return
    given = request.query_params
    once: dict[str, Mapping[str, Any]] = {name: {} for name in _once_of.get(route.endpoint, ())} | dict(contract_of(route).query)
    found = [unknown_parameter(given, known), *(given_twice(given, name, once) for name in given if name in once)]
    raise_first([one for one in found if one is not None])


async def visiting(request: Request, bank: BankDep) -> PageSession:
    """Require a page session with a password of its own, and an address that says nothing that the page does not read."""
    page = await identify(request, bank)
    if page.actor.must_change_password and request.url.path != FIRST_LOGIN:
        raise ChooseOwnPassword("Choose a password of your own first.")
    refuse_unknown(request)
    return page


Visiting = Annotated[PageSession, Depends(visiting)]


def claims_of(page: PageSession) -> Claims:
    """Return what a token of this session would say: the session is the proof, and the actor is read again with each act."""
    return Claims(page.actor.code, page.id, clock.now())


async def page_reader(request: Request, page: Visiting, bank: BankDep) -> Reader:
    """Build the reader of a page. What is only looked at has read its actor a moment ago; a form may be long on its way."""
    return Reader(bank, claims_of(page), request, page.actor if request.method == "GET" else None)


PageReading = Annotated[Reader, Depends(page_reader)]


def same_secret(given: str | None, expected: str | None) -> bool:
    """Compare two random texts without telling by the time how much of them agrees; False when one is missing."""
    if not given or not expected:
        return False
    return hmac.compare_digest(given.encode(errors="replace"), expected.encode(errors="replace"))


class PagePerformer:
    """Runs use cases for one posted form. `form` holds its fields; `acted` says whether one was run."""

    def __init__(self, request: Request, page: PageSession, form: Form, bank: Bank) -> None:
        self.page = page
        self.acted = False
        self.form = form
        self.bank = bank
        said = [(k, v) for k, v in form.pairs if k not in ("csrf_token", "idempotency_key") and "password" not in k]
        act = Act(
            actor=kept_nobody,
            bank=bank,
            keystore=bank.keystore,
            method=request.method,
            path=request.url.path,
            browser=browser_of(request, bank),
            request_hash=act_hash(request.method, request.url.path, [list(pair) for pair in said]),
            idempotency_key=form.get("idempotency_key"),
        )
        self._performer = Performer(request, claims_of(page), act)

    async def __call__(
        self, use_case: Callable[Concatenate[Session, Act, P], Any], *args: P.args, **kwargs: P.kwargs
    ) -> dict[str, Any]:
        """Run `use_case(session, act, …)` as one act and return its answer as JSON, also when the form was sent before.

        Raises UnknownField or DuplicateMember for what was posted and is no part of what the page read of its form.
        """
        self.form.require_read()
        self.acted = True
        try:
            answer = json_answer(await self._performer(use_case, *args, **kwargs))
        except answers_and_attempts.Replayed as earlier:
            if earlier.status >= 400:
                raise AnsweredBefore(json.loads(earlier.answer)) from None
            answer = earlier.answer
        document: dict[str, Any] = json.loads(answer)
        return document

    async def disclose(self, use_case: Callable[Concatenate[Session, Act, P], Any], *args: P.args, **kwargs: P.kwargs) -> Any:
        """Run a use case whose answer is personal data or a credential: its answer is never kept."""
        self.form.require_read()
        self.acted = True
        return await self._performer.unkept(use_case, *args, **kwargs)

    async def sign(self, meaning: Meaning) -> str:
        """Sign this very form with the password in it and return the signature's token; raise WrongPassword and others."""
        self.form.require_read()
        actor, username = await actor_of_session(self.bank, self.page.id)
        unbound = self._performer.unbound_act
        act = act_of(unbound, actor)
        password = self.form.get("password", "")
        try:
            if not 0 < len(password) <= 256:
                raise MalformedRequest("Enter your password: it is your signature.")
            proof = (username, password, meaning, unbound.request_hash, self.form.get(SECOND))
            token = await sign_act(self.bank, act, self.page.id, *proof)
        except Refusal as refusal:
            await self._performer.refuse(act, refusal)
            raise
        return token.signature

    async def refused(self, refusal: Refusal) -> None:
        """Keep a refusal that came before any use case ran, as a use case's own is kept."""
        if refusal.status == 422:
            return
        actor, _ = await actor_of_session(self.bank, self.page.id)
        with suppress(answers_and_attempts.Replayed):
            await self._performer.refuse(act_of(self._performer.unbound_act, actor), refusal)

    async def done(self, location: str, title: str, text: str = "", kind: str = "ok") -> RedirectResponse:
        """Leave a message for the next page and send the browser there."""
        flashes = json.dumps([{"kind": kind, "title": title, "text": text}])
        statement = update(_session).where(_session.c.id == self.page.id).values(flashes=flashes)
        await self.bank.database.write(lambda session: session.execute(statement))
        return see(location)


async def posted_form(request: Request, page: PageSession, *names: str) -> Form:
    """Return the form that one of our pages posted, of the fields `names`; raises what `require_csrf` raises for that of anybody
    else, UnknownField for another field, DuplicateMember for one that is sent twice and is no list (`"name*"`).
    """
    form = await read_form(request)
    page.require_csrf(form.get("csrf_token"))
    form.require_fields(*names)
    return form


async def page_performer(request: Request, page: Visiting, bank: BankDep) -> PagePerformer:
    """Build the performer of the form."""
    form = await read_form(request)
    page.require_csrf(form.get("csrf_token"))
    key = form.get("idempotency_key", "")
    if not 0 < len(key) <= KEY_LIMIT or not key.isascii() or not key.isprintable() or " " in key:
        raise WrongFormToken("This form is not whole. Load the page again and repeat what you did.")
    return PagePerformer(request, page, form, bank)


PagePerforming = Annotated[PagePerformer, Depends(page_performer)]


async def refusal_page(request: Request, refusal: Refusal) -> Response:
    """Show a refusal to a person: the sign-in page when nobody is signed in, else a page that says what to do now."""
    if isinstance(refusal, ChooseOwnPassword):
        return see(FIRST_LOGIN)
    if isinstance(refusal, SessionIdle):
        return see(f"{LOCKED}?next={quote(_came_from(request), safe='')}")
    if isinstance(refusal, NotSignedIn) and station_cookie_of(request, bank_of(request).settings) is not None:
        return see(f"{STATION}?next={quote(_came_from(request), safe='')}")
    if isinstance(refusal, NotSignedIn):
        return see(f"/login?next={quote(_came_from(request), safe='')}")
    if getattr(request.state, "actor", None) is None:
        try:
            await identify(request, bank_of(request))
        except (Refusal, SQLAlchemyError):
            # A stranger sees the same page without a menu; so does everybody while the database is away.
            request.state.actor = None
    if isinstance(refusal, MalformedRequest) and "errors" in refusal.members:
        refusal = MalformedRequest("This address is not one of ours. Open the page from the one that leads to it.")
    if isinstance(refusal, UnknownParameter):
        refusal = UnknownParameter("The address asks for something that this page does not know. Open it from the menu.")
    if isinstance(refusal, FullSignInNeeded):
        return render_problem(request, refusal.problem(), sign_in_for=_came_from(request))
    again = await _to_send_again(request) if refusal.status == Unavailable.status and request.method == "POST" else None
    return render_problem(request, refusal.problem(), again=again)


async def page_for_nobody(request: Request, refusal: Refusal) -> Response:
    """Show a refusal without asking the database who is there."""
    request.state.actor = None
    return render_problem(request, refusal.problem())


async def _to_send_again(request: Request) -> Again | None:
    """Return the form that was not taken; None for files, new passwords, and bodies that are no form."""
    if not request.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        return None
    try:
        form = await read_form(request)
    except (Refusal, RuntimeError):
        return None  # no form of ours, or read by somebody else
    secret = {name for name, _ in form.pairs if "password" in name}
    if not form.get("idempotency_key") or not secret <= {"password", SECOND}:
        return None
    address = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return Again(address, [pair for pair in form.pairs if pair[0] not in secret], "password" in secret, SECOND in secret)


def _came_from(request: Request) -> str:
    """The page to come back to: this one, or for a form the one it stood on."""
    if request.method == "GET":
        query = f"?{request.url.query}" if request.url.query else ""
        return local_path(request.url.path + query)
    came = urlsplit(request.headers.get("referer", ""))
    return local_path(came.path) if came.netloc == request.headers.get("host") else "/"
