"""Use cases of the registers: entering, changing, authorising people, and what a site does about a problem."""

from datetime import date, timedelta
from typing import Any
from uuid import uuid4

from pydantic import ValidationError
from sqlalchemy import select, update
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.codes import new_code
from biobank.auth.actor import Actor
from biobank.auth.models import user
from biobank.auth.permissions import Permission
from biobank.auth.stations import end_sessions_at_workstation
from biobank.custody.event import Event
from biobank.custody.ledger import Appended, Fact, append
from biobank.custody.recording import Circumstances, acknowledge, head_of, plausible_time
from biobank.custody.states import StreamKind
from biobank.foundation.errors import Conflict, NotFound
from biobank.foundation.terms import words
from biobank.people.queries import get_site
from biobank.registers.dates import FARTHEST, RegisterDate, expiry_refusal, require_begun, since_refusal, term_refusal
from biobank.registers.events import RegisterAuthorised, RegisterChanged, RegisterEntered, RegisterRuleSet
from biobank.registers.fitness import FIXED
from biobank.registers.models import register_authorisation, register_entry, register_rule
from biobank.registers.packages import PackageSaysOtherwise, PackageUnread, read_package
from biobank.registers.queries import members_of, row_of
from biobank.registers.schemas import (
    PREFIXES,
    Authorise,
    ChangeRegister,
    EnterRegister,
    RegisterKind,
    RegisterPublic,
    RegisterRecorded,
    RegisterRuleRecorded,
    SetRegisterRule,
)

STOPS = frozenset({"opened", "recalled", "retired"})
"""Changes that only narrow the use of a thing: the bench may record them, as well as quality."""


class InRegister(Conflict):
    """This name is in the register already."""

    code = "in_register"
    title = "In the register already"


class RegisterSaysSo(Conflict):
    """The register says that already; a second opening would make a reagent last longer than it does."""

    code = "register_says_so"
    title = "The register says so already"


class NotAProcedure(Conflict):
    """People are authorised for procedures."""

    code = "not_a_procedure"
    title = "Not a procedure"


class SameEverywhere(Conflict):
    """Every site answers this problem alike."""

    code = "same_at_every_site"
    title = "The same at every site"


def by_the_bench(actor: Actor, kind: RegisterKind, site: str | None) -> bool:
    """Say whether the actor works at the bench of a site (None: of all), which enters and stops what is scanned there.

    All else is quality's. The acts and the pages that offer them ask this.
    """
    return kind in PREFIXES and actor.may(Permission.KIT_MANAGE, at=site)


def with_package(request: EnterRegister) -> EnterRegister:
    """Return the request with what its package says. Raises PackageUnread, PackageSaysOtherwise."""
    if request.package is None:
        return request
    read = read_package(request.package)
    said = {name: value for name, value in vars(read).items() if value is not None}
    for name, value in said.items():
        if getattr(request, name) not in (None, value):
            raise PackageSaysOtherwise(
                f"The package says {value}. Leave that field empty, or scan the package that you have.", field=name
            )
    typed = request.model_dump(exclude={"package"}, exclude_unset=True)
    try:
        return EnterRegister.model_validate(typed | said)
    except ValidationError:
        raise PackageUnread("The lot on the package has signs that a lot here cannot have. Type it.") from None


def enter(session: Session, act: Act, request: EnterRegister) -> RegisterRecorded:
    """Enter a thing. Raises NotPermitted, NotFound (site), InRegister, PackageUnread, PackageSaysOtherwise."""
    request = with_package(request)
    if not by_the_bench(act.actor, request.kind, request.site):
        act.require(Permission.QUALITY_DECIDE, at=request.site)
    if request.site is not None:
        get_site(session, request.site)
    today = act.at.date()
    _raise(expiry_refusal(request.name, request.expires_on, today))
    _raise(expiry_refusal(request.name, request.calibration_due_on, today))
    prefix = PREFIXES.get(request.kind)
    key = str(uuid4()) if prefix is None else new_code(session, prefix)
    values = request.model_dump(exclude=set(Circumstances.model_fields) | {"site", "package"})
    values |= {"contains": [substance.value for substance in request.contains], "site_code": request.site, "key": key}
    known = insert(register_entry).values(**values, recorded_at=act.at, recorded_by=act.actor.code).on_conflict_do_nothing()
    if session.execute(known.returning(register_entry.c.key)).first() is None:
        raise InRegister(f"{request.name} is in the register already. Look it up in the list.")
    told = request.model_dump(mode="json", exclude={"kind", "package", *Circumstances.model_fields})
    done = _append(session, act, request, key, RegisterEntered(entry_kind=request.kind, **told), request.site)
    return _recorded(session, act, key, done)


def change(session: Session, act: Act, key: str, request: ChangeRegister) -> RegisterRecorded:
    """Record that it was opened, qualified, calibrated, recalled or taken out of use.

    Raises NotFound, NotPermitted, RegisterSaysSo (opened, recalled and retired happen once).
    """
    row = row_of(session, key, lock=True)
    if not (request.change in STOPS and by_the_bench(act.actor, row.kind, row.site_code)):
        act.require(Permission.QUALITY_DECIDE, at=row.site_code)
    if request.change in STOPS and getattr(row, f"{request.change}_at") is not None:
        raise RegisterSaysSo(f"{row.name} was recorded as {request.change} already.")
    at = request.occurred_at or act.at
    require_begun(session, key, request.occurred_at)
    plausible_time(act.at, request.occurred_at, None, request)
    _raise(term_refusal(row.name, request.calibration_due_on, at.date() + timedelta(days=1)))
    due = None if request.calibration_due_on is None else request.calibration_due_on.isoformat()
    event = RegisterChanged(change=request.change, calibration_due_on=due, reason=request.reason)
    done = _append(session, act, request, key, event, row.site_code)
    columns: dict[str, Any] = {f"{request.change}_at": at}
    if request.change == "calibrated":
        columns = {"calibration_due_on": request.calibration_due_on}
    session.execute(update(register_entry).where(register_entry.c.key == key).values(**columns))
    if request.change == "retired":
        end_sessions_at_workstation(session, key, act.at)
    return _recorded(session, act, key, done)


def authorise(session: Session, act: Act, key: str, request: Authorise) -> RegisterRecorded:
    """Say that a person may work by a procedure from one day to another. Raises NotFound, NotPermitted, NotAProcedure."""
    row = row_of(session, key, lock=True)
    act.require(Permission.QUALITY_DECIDE, at=row.site_code)
    if row.kind != "procedure":
        raise NotAProcedure(f"People are authorised for procedures, and {row.name} is none.", subject=key)
    if session.execute(select(user.c.code).where(user.c.code == request.person)).first() is None:
        raise NotFound(f"Nobody here has the badge {request.person}.", subject=request.person)
    since = request.since or _began(session, key, request.person) or act.at.date()
    _raise(since_refusal(row.name, since, act.at.date()))
    require_begun(session, key, request.occurred_at)
    plausible_time(act.at, request.occurred_at, None, request)
    # A day gone by takes it away: yesterday, for who was authorised today.
    past = max(act.at.date() - since, timedelta(0))
    _raise(term_refusal(row.name, request.until, since - timedelta(days=1), farthest=FARTHEST + past))
    event = RegisterAuthorised(person=request.person, since=since.isoformat(), until=request.until.isoformat())
    done = _append(session, act, request, key, event, row.site_code)
    values = {"since": since, "until": request.until, "recorded_at": act.at, "recorded_by": act.actor.code}
    session.execute(
        insert(register_authorisation)
        .values(entry_key=key, user_code=request.person, **values)
        .on_conflict_do_update(index_elements=["entry_key", "user_code"], set_=values)
    )
    return _recorded(session, act, key, done)


def _began(session: Session, key: str, person: str) -> date | None:
    a = register_authorisation.c
    return session.execute(select(a.since).where(a.entry_key == key, a.user_code == person)).scalar()


def set_register_rule(session: Session, act: Act, request: SetRegisterRule) -> RegisterRuleRecorded:
    """Say whether a site refuses a problem or warns of it. Raises NotPermitted, NotFound, SameEverywhere."""
    act.require(Permission.QUALITY_DECIDE, at=request.site)
    get_site(session, request.site)
    if request.problem in FIXED:
        raise SameEverywhere(f"{words(request.problem)}: every site answers this alike.")
    event = RegisterRuleSet(site=request.site, problem=request.problem.value, answer=request.answer)
    done = _append(session, act, request, request.site, event, request.site)
    values = {"answer": request.answer, "set_by": act.actor.code}
    session.execute(
        insert(register_rule)
        .values(site_code=request.site, problem=request.problem.value, **values)
        .on_conflict_do_update(index_elements=["site_code", "problem"], set_=values)
    )
    return RegisterRuleRecorded(site=request.site, problem=request.problem, answer=request.answer, receipt=acknowledge(act, done))


def _raise(refusal: RegisterDate | None) -> None:
    if refusal is not None:
        raise refusal


def _append(session: Session, act: Act, request: Circumstances, stream: str, event: Event, site: str | None) -> list[Appended]:
    return append(session, [Fact(StreamKind.SYSTEM, stream, event, head_of(session, act, request, subject=None, site=site))])


def _recorded(session: Session, act: Act, key: str, done: list[Appended]) -> RegisterRecorded:
    entry = RegisterPublic(**members_of(row_of(session, key), act.at))
    return RegisterRecorded(entry=entry, receipt=acknowledge(act, done))
