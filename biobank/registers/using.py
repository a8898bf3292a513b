"""May this be used here, now, by these people? What every run, kit and count asks, and what a warning leaves behind."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final
from uuid import uuid4

from sqlalchemy import ColumnElement, Row, and_, false, insert, or_, select
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.custody.ledger import Fact, append
from biobank.custody.locks import locked
from biobank.custody.recording import Circumstances, head_of
from biobank.custody.states import StreamKind
from biobank.foundation.errors import Conflict
from biobank.foundation.terms import words
from biobank.registers.events import UsedDespiteWarning
from biobank.registers.fitness import Answer, Finding, Problem, answer_to, fitness, has_code
from biobank.registers.models import register_authorisation, register_entry, register_rule, register_warning
from biobank.registers.queries import at_site, entry_of
from biobank.registers.schemas import RegisterKind

DEVICES: Final = frozenset({"equipment", "workstation"})
"""Kinds that may be named as a device of a run: a workstation as well, by whose session it is judged then."""


class NotInRegister(Conflict):
    """Something is named that no register of the site knows."""

    code = "not_in_register"
    title = "Not in the register"


class NotFitForUse(Conflict):
    """What is named may not be used here now, by the site's rules."""

    code = "not_fit_for_use"
    title = "Not fit for use"


@dataclass(frozen=True)
class Use:
    """What an act names: things by `codes`, others by kind and name; who works, where and when.

    `keeping`: the act keeps living material, so nothing is refused but what is in no register.
    """

    site: str
    used_at: datetime
    people: Collection[str]
    codes: Collection[str] = ()
    """Keys of things: what has a code goes by it."""
    named: Mapping[RegisterKind, str] = field(default_factory=dict)
    devices: Collection[str] = ()
    """Keys of things that are named as a device: of `codes`, those that the register knows as something else are refused."""
    keeping: bool = False
    unbound: Callable[[Session], bool] | None = None
    """Says, once what is named is locked, whether no bench session is open for it, and raises what stops it."""
    alone: bool = False
    """One person clears a line."""


def in_force(at: datetime) -> "ColumnElement[bool]":
    """Select the authorisations that hold at an instant: from the beginning of their first day to the end of their last, UTC."""
    a = register_authorisation.c
    return and_(a.since <= at.date(), a.until >= at.date())


def findings_of(session: Session, use: Use, *, now: datetime, lock: bool = False) -> list[Finding]:
    """Return what stands against a use, for the form, the preview and the act. Raises NotInRegister. Three statements."""
    rows = _rows(session, use, lock=lock)
    for row in rows:
        if row.key in use.devices and row.kind not in DEVICES:
            raise NotInRegister(
                f"{row.key} ({row.name}) is entered as {words(row.kind).lower()} and as no device. Scan the label of the device.",
                subject=row.key,
            )
    unbound = use.unbound is not None and use.unbound(session)
    own = session.execute(select(register_rule.c.problem, register_rule.c.answer).where(register_rule.c.site_code == use.site))
    a = register_authorisation.c
    procedures = a.entry_key.in_([row.key for row in rows if row.kind == "procedure"])
    authorised = session.execute(select(a.entry_key, a.user_code).where(procedures, in_force(use.used_at)))
    return fitness(
        [entry_of(row) for row in rows],
        people=use.people,
        authorised={(one.entry_key, one.user_code) for one in authorised},
        own={one.problem: one.answer for one in own},
        used_at=use.used_at,
        now=now,
        keeping=use.keeping,
        unbound=unbound,
        alone=use.alone,
    )


def answer_at(session: Session, site: str, problem: Problem) -> Answer:
    """Return what a site does about a problem."""
    r = register_rule.c
    own = session.execute(select(r.answer).where(r.site_code == site, r.problem == problem.value)).scalar()
    return answer_to(problem, {} if own is None else {problem.value: own})


def require_fit(session: Session, act: Act, use: Use) -> list[Finding]:
    """Return what to warn of. Raises NotInRegister, NotFitForUse with every reason."""
    found = findings_of(session, use, now=act.at, lock=True)
    refused = [one for one in found if one.answer == "refuse"]
    if refused:
        raise NotFitForUse(" ".join(one.sentence for one in refused), subject=refused[0].entry.key)
    return found


def keep_warnings(session: Session, act: Act, found: Sequence[Finding], given: Circumstances, *, used_in: str, site: str) -> None:
    """Record what was used despite a warning, on each thing's own stream and in one statement for the table."""
    if not found:
        return
    head = head_of(session, act, given, subject=None, site=site)
    facts = [
        Fact(
            StreamKind.SYSTEM,
            one.entry.key,
            UsedDespiteWarning(problem=one.problem.value, person=one.person, used_in=used_in),
            head,
        )
        for one in found
    ]
    append(session, facts)
    session.execute(
        insert(register_warning),
        [
            {
                "id": uuid4(),
                "entry_key": one.entry.key,
                "problem": one.problem.value,
                "person": one.person,
                "used_in": used_in,
                "sentence": one.sentence,
                "recorded_at": act.at,
                "recorded_by": act.actor.code,
            }
            for one in found
        ],
    )


def choices_of(
    session: Session, kinds: Sequence[RegisterKind], *, sites: Collection[str], person: str, now: datetime
) -> dict[str, list[tuple[str, str]]]:
    """Return what forms choose from, by kind: the name, and the name with what stands against its use by `person` now.

    What a site decided is counted in when there is one site. Three statements.
    """
    e, a, r = register_entry.c, register_authorisation.c, register_rule.c
    here = or_(e.site_code.is_(None), e.site_code.in_(sorted(sites)))
    usable = (e.retired_at.is_(None), e.recalled_at.is_(None))
    rows = list(session.execute(select(register_entry).where(e.kind.in_(kinds), here, *usable).order_by(e.name)))
    own = session.execute(select(r.problem, r.answer).where(r.site_code.in_(sorted(sites) if len(sites) == 1 else [])))
    authorised = session.execute(select(a.entry_key, a.user_code).where(a.user_code == person, in_force(now)))
    rules, pairs = {one.problem: one.answer for one in own}, {(one.entry_key, one.user_code) for one in authorised}
    found: dict[str, dict[str, str]] = {kind: {} for kind in kinds}
    for row in rows:
        against = fitness([entry_of(row)], people=[person], authorised=pairs, own=rules, used_at=now, now=now)
        said = [f"{words(one.problem).lower()}: {'refused' if one.answer == 'refuse' else 'warned of'}" for one in against]
        found[row.kind].setdefault(row.name, " · ".join([row.name, *said]))
    return {kind: list(names.items()) for kind, names in found.items()}


def _rows(session: Session, use: Use, *, lock: bool) -> "list[Row[Any]]":
    e = register_entry.c
    named = [and_(e.kind == kind, e.name == name) for kind, name in use.named.items()]
    # What has a code is found by it wherever it is: what is another site's is said to be so.
    asked = select(register_entry).where(at_site(use.site), or_(e.key.in_(sorted(set(use.codes))), *named, false()))
    asked = asked.order_by(e.key)
    rows = list(session.execute(locked(asked, register_entry, shared=True) if lock else asked))
    # A site's own procedure of a name stands before the one of every site.
    own = {(row.kind, row.name) for row in rows if row.site_code is not None and not has_code(row.key)}
    rows = [row for row in rows if has_code(row.key) or row.site_code is not None or (row.kind, row.name) not in own]
    keys, names = {row.key for row in rows}, {(row.kind, row.name) for row in rows}
    unknown = [f"{code}" for code in sorted(set(use.codes)) if code not in keys]
    unknown += [f"{words(kind).lower()} “{name}”" for kind, name in use.named.items() if (kind, name) not in names]
    if unknown:
        raise NotInRegister(
            f"{', '.join(unknown)}: in no register of {use.site}. Scan the label that the bank printed, or choose from the list; "
            "what is missing is entered under “Registers” first."
        )
    return rows
