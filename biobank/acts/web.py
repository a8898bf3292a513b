"""The dependencies of every route: `Performing` for acts, `Reading` for questions.

A POST goes route → use case → `ledger.append`; the route hands its use case to `performing(use_case, …)`, which

1. proves the caller (token signature, from the cache when seen before) before the body is looked at;
2. in **one** transaction and one `run_sync`: reads the actor and an earlier answer under the same `Idempotency-Key`, runs
   the use case, keeps the answer, and COMMITs;
3. on a refusal: rolls back and writes the attempt in a second transaction. A refusal that is evidence is returned by the
   use case as `Refused`: it commits, then it is sent.

A GET goes route → queries through `reading(query, …)`: the same proof, an AUTOCOMMIT connection, no idempotency. A caller who
may not (403) is kept as an attempt.
"""

import hashlib
import json
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from typing import Annotated, Any, Concatenate, ParamSpec, TypeVar

import orjson
from fastapi import Depends, Header, Path, Request
from fastapi.security import OAuth2PasswordBearer
from pydantic import BaseModel
from sqlalchemy.exc import IntegrityError, OperationalError
from sqlmodel import Session

from biobank.acts import answers_and_attempts
from biobank.acts.act import Act, act_hash
from biobank.acts.bank import Bank
from biobank.auth.actor import Actor
from biobank.auth.client_keys import BEGINS as CLIENT_KEY
from biobank.auth.identity import load_actor
from biobank.auth.throttle import DEVICE_COOKIES, marks_of
from biobank.auth.tokens import Claims
from biobank.foundation.errors import Conflict, MissingIdempotencyKey, NotPermitted, NotSignedIn, Refusal, Refused, Unavailable
from biobank.foundation.listed import require_listed

P = ParamSpec("P")
T = TypeVar("T")

KEY_LIMIT = 200
_scheme = OAuth2PasswordBearer(tokenUrl="/api/v1/auth/token", auto_error=False)


def bank_of(request: Request) -> Bank:
    """Return the bank this application serves."""
    bank: Bank = request.app.state.bank
    return bank


async def _bank(request: Request) -> Bank:
    """The same as a dependency: one that is no coroutine is run in another thread, for every request."""
    return bank_of(request)


BankDep = Annotated[Bank, Depends(_bank)]
CodePath = Annotated[str, Path(min_length=3, max_length=20, pattern=r"^[A-Za-z0-9-]+$")]
"""A code in an address, as somebody may type it; what it names decides whether there is such a thing."""


async def proven_claims(request: Request, token: Annotated[str | None, Depends(_scheme)]) -> Claims:
    """Prove the bearer token, a person's or an API client's key; raise NotSignedIn (401) before anything else is looked at."""
    if token is None:
        raise NotSignedIn("Sign in first: send `Authorization: Bearer …` from POST /api/v1/auth/token.")
    bank = bank_of(request)
    if token.startswith(CLIENT_KEY):
        return await bank.client_keys.prove(token, None if request.client is None else request.client.host)
    return bank.tokens.verify(token)


ClaimsDep = Annotated[Claims, Depends(proven_claims)]


async def missing_proof(request: Request) -> NotSignedIn | None:
    """Return why the caller of a route that asks for a token is not proven, or None.

    The framework reads the body before it runs dependencies, so a body it cannot read would be complained about to a stranger.
    The error handlers ask this first: 401 comes before 422.
    """
    dependant = getattr(request.scope.get("route"), "dependant", None)
    for call in () if dependant is None else _calls(dependant):
        if call in PROOFS:
            try:
                await PROOFS[call](request)
            except NotSignedIn as refusal:
                return refusal
    return None


def _calls(dependant: Any) -> Iterator[Any]:
    yield dependant.call
    for inner in dependant.dependencies:
        yield from _calls(inner)


async def _prove_token(request: Request) -> None:
    await proven_claims(request, await _scheme(request))


PROOFS: dict[Any, Callable[[Request], Awaitable[None]]] = {proven_claims: _prove_token}
"""The dependencies that prove a caller, each with what proves it again from the request alone and raises NotSignedIn."""


def json_answer(answer: Any) -> str:
    """Serialise what a use case returned, as the route would."""
    if isinstance(answer, BaseModel):
        return answer.model_dump_json(by_alias=True)
    return orjson.dumps(answer, default=_plain, option=orjson.OPT_UTC_Z).decode()


def _plain(value: Any) -> Any:
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", by_alias=True)
    raise TypeError(type(value).__name__)


def conflict_of(error: IntegrityError) -> Refusal:
    """Name a database refusal by its constraint: the last net under a rule that a use case should have stated itself."""
    name = getattr(getattr(error.orig, "diag", None), "constraint_name", None) or "unknown"
    return Conflict(
        "The database refused this: it "
        f"would break the rule '{name.replace('_', ' ')}'. Look at the present state, then decide again.",
        constraint=name,
    )


class Runner:
    """Runs use cases as one act for one request; who acts, `actor` says. See the module docstring."""

    def __init__(self, request: Request, act: Act) -> None:
        self._request = request
        self._act = act

    def actor(self, session: Session) -> Actor:
        """Read who acts, in the act's own transaction; raise NotSignedIn."""
        raise NotImplementedError

    @property
    def bank(self) -> Bank:
        """The bank this request talks to."""
        return self._act.bank

    @property
    def status(self) -> int:
        """The success status the route declares."""
        return getattr(self._request.scope.get("route"), "status_code", None) or 200

    async def __call__(
        self, use_case: Callable[Concatenate[Session, Act, P], T | Refused], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run `use_case(session, act, …)` as one act and return its answer."""
        bound = self._act

        def unit(session: Session) -> T | Refused | answers_and_attempts.Replayed:
            nonlocal bound
            bound = replace(self._act, actor=self.actor(session))
            require_own_password(bound.actor)
            replay = answers_and_attempts.find_replay(session, bound)
            if replay is not None:
                return replay
            require_listed(session, [*args, *kwargs.values()])
            answer = use_case(session, bound, *args, **kwargs)
            if isinstance(answer, Refused):
                answers_and_attempts.keep_attempt(session, bound, answer.refusal, evidence=True)
                answers_and_attempts.keep_answer(session, bound, answer.refusal.status, json.dumps(answer.refusal.problem()))
            else:
                answers_and_attempts.keep_answer(session, bound, self.status, json_answer(answer))
            return answer

        try:
            answer = await self.bank.database.write(unit)
        except IntegrityError as error:
            refusal: Refusal = conflict_of(error)
            await self.refuse(bound, refusal)
            raise refusal from error
        except OperationalError as error:
            raise Unavailable("The database did not answer. Send it again with the same key: it is recorded once.") from error
        except Unavailable:
            raise  # no rule said no, and a database that does not answer keeps no attempt
        except Refusal as refusal:
            await self.refuse(bound, refusal)
            raise
        if isinstance(answer, Refused):
            raise answer.refusal
        if isinstance(answer, answers_and_attempts.Replayed):
            raise answer
        return answer

    async def refuse(self, bound: Act, refusal: Refusal) -> None:
        """Answer a lost race with the winner's answer, else keep the attempt in a transaction of its own."""
        if refusal.status in (401, 422, 503) and bound.actor.code == kept_nobody.code:
            return

        def unit(session: Session) -> answers_and_attempts.Replayed | None:
            replay = None if isinstance(refusal, NotSignedIn) else answers_and_attempts.find_replay(session, bound)
            if replay is None:
                answers_and_attempts.keep_attempt(session, bound, refusal, evidence=False)
            return replay

        replay = await self.bank.database.write(unit)
        if replay is not None:
            raise replay


class Performer(Runner):
    """Runs use cases for the holder of a token."""

    def __init__(self, request: Request, claims: Claims, act: Act) -> None:
        super().__init__(request, act)
        self._claims = claims

    @property
    def claims(self) -> Claims:
        """The proven token."""
        return self._claims

    @property
    def unbound_act(self) -> Act:
        """The act before its actor was read; the scan path reads the actor in its own first statement."""
        return self._act

    def actor(self, session: Session) -> Actor:
        """Read who signed in."""
        return load_actor(session, self._claims.session_id)

    async def unkept(self, use_case: Callable[Concatenate[Session, Act, P], T | Refused], *args: P.args, **kwargs: P.kwargs) -> T:
        """Do the same without an idempotency key: the answer is a credential or personal data, and is kept by nobody."""
        quiet = replace(self._act, idempotency_key=None)
        return await Performer(self._request, self._claims, quiet)(use_case, *args, **kwargs)


kept_nobody = Actor(code="NOBODY", grants=frozenset())
"""The actor of an act whose caller has not been read yet."""


class PersonNeeded(NotPermitted):
    """This is a person's to do: an API client signs nothing, and has no password, passkey or sign-ins."""

    code = "person_needed"
    title = "A person does this"


def require_person(actor: Actor) -> None:
    """Raise PersonNeeded when a program acts."""
    if actor.is_client:
        raise PersonNeeded("An API client does not do this: it is a person's, with a sign-in of their own.")


def require_own_password(actor: Actor) -> None:
    """Raise NotPermitted while a first-login password is still in use."""
    if actor.must_change_password:
        raise NotPermitted(
            "Choose a password of your own first: POST /api/v1/auth/password.",
            reason="first_login_change_required",
        )


async def performer(
    request: Request,
    claims: ClaimsDep,
    idempotency_key: Annotated[
        str | None,
        Header(
            min_length=1,
            max_length=KEY_LIMIT,
            pattern=r"^[\x21-\x7e]+$",
            description="Names this request. A retry with the same key gets the first answer. Required on every POST.",
        ),
    ] = None,
) -> Performer:
    """Build the performer of a request that changes something."""
    if idempotency_key is None and request.method == "POST":
        raise MissingIdempotencyKey(
            "Send an Idempotency-Key header: any new unique text, the same one when you repeat this request."
        )
    raw = await request.body()
    try:
        body = orjson.loads(raw) if raw else None
    except orjson.JSONDecodeError:
        # An upload, or something the framework's more lenient parser may still read: it is named by its bytes, else two
        # different requests would share a hash and a signature would bind nothing.
        body = {"sha256": hashlib.sha256(raw).hexdigest()}
    bank = bank_of(request)
    act = Act(
        actor=kept_nobody,
        bank=bank,
        keystore=bank.keystore,
        method=request.method,
        path=request.url.path,
        browser=browser_of(request, bank),
        request_hash=act_hash(request.method, request.url.path, body),
        idempotency_key=idempotency_key,
    )
    return Performer(request, claims, act)


def browser_of(request: Request, bank: Bank) -> tuple[str, ...]:
    """Return by what the browser of a request is known."""
    return marks_of(request.cookies.get(DEVICE_COOKIES[0 if bank.settings.secure_cookies else 1]))


Performing = Annotated[Performer, Depends(performer)]


async def disclosing(request: Request, claims: ClaimsDep, bank: BankDep) -> Performer:
    """Build the performer of a GET that writes down that it was asked and answers personal data.

    It never has an idempotency key: a kept answer would be personal data outside the vault.
    """
    act = Act(actor=kept_nobody, bank=bank, keystore=bank.keystore, method=request.method, path=request.url.path)
    return Performer(request, claims, act)


Disclosing = Annotated[Performer, Depends(disclosing)]


class Reader:
    """Answers questions for one request."""

    def __init__(self, bank: Bank, claims: Claims, request: Request, actor: Actor | None = None) -> None:
        """`actor`: who asks, where this request has read it already and nothing was waited for since."""
        self.bank = bank
        self._claims = claims
        self._request = request
        self._actor = actor

    async def __call__(self, query: Callable[Concatenate[Session, Actor, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `query(session, actor, …)`; each statement sees the latest committed state.

        That the caller may not is kept as an attempt, as the refusal of an act is; that there is nothing to be seen is not.
        """
        try:
            return await self.bank.database.read(self._unit(query, *args, **kwargs))
        except NotPermitted as refusal:
            await self._keep_unless_a_form(refusal)
            raise

    async def agreeing(self, query: Callable[Concatenate[Session, Actor, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `query(session, actor, …)` whose statements must agree with each other (REPEATABLE READ)."""
        try:
            return await self.bank.database.read_snapshot(self._unit(query, *args, **kwargs))
        except NotPermitted as refusal:
            await self._keep_unless_a_form(refusal)
            raise

    async def keeping(self, query: Callable[Concatenate[Session, Actor, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `query(session, actor, …)`; every refusal of it is kept as an attempt, as that of an act would be."""
        try:
            return await self(query, *args, **kwargs)
        except (NotSignedIn, NotPermitted):
            raise
        except Refusal as refusal:
            await self.keep([refusal])
            raise

    async def _keep_unless_a_form(self, refusal: Refusal) -> None:
        """Keep a refusal; that of a posted form its page keeps itself, however far it came."""
        if self._request.method in ("GET", "HEAD") or self._request.url.path.startswith("/api/"):
            await self.keep([refusal])

    async def keep(self, refusals: Sequence[Refusal]) -> None:
        """Keep refusals that this question met as attempts of who asked."""
        asked = Act(
            actor=kept_nobody,
            bank=self.bank,
            keystore=self.bank.keystore,
            method=self._request.method,
            path=self._request.url.path,
            request_hash=b"",
            idempotency_key=None,
        )

        def unit(session: Session) -> None:
            act = replace(asked, actor=load_actor(session, self._claims.session_id))
            for refusal in refusals:
                answers_and_attempts.keep_attempt(session, act, refusal, evidence=False)

        if refusals:
            await self.bank.database.write(unit)

    def _unit(
        self, query: Callable[Concatenate[Session, Actor, P], T], *args: P.args, **kwargs: P.kwargs
    ) -> Callable[[Session], T]:
        def unit(session: Session) -> T:
            actor = self._actor or load_actor(session, self._claims.session_id)
            require_own_password(actor)
            return query(session, actor, *args, **kwargs)

        return unit


async def reader(request: Request, claims: ClaimsDep) -> Reader:
    """Build the reader of a question."""
    return Reader(bank_of(request), claims, request)


Reading = Annotated[Reader, Depends(reader)]
