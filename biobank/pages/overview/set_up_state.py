"""What of a bank is set up, read from what is there: nothing is ticked off by hand, so the page is true on any later day too."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, exists, func, or_, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlmodel import Session

from biobank.acts.models import pending_act as _pending
from biobank.auth.actor import SYSTEM_CODE, Actor
from biobank.auth.models import site, user, user_role
from biobank.auth.permissions import NEEDED_TO_BEGIN, Permission
from biobank.auth.scope import ANYWHERE
from biobank.foundation.terms import counted, words
from biobank.labels.files import prints
from biobank.pages.ui.nav import SETS_UP
from biobank.registers.models import register_entry
from biobank.storage.models import storage_container
from biobank.transparency.models import event

P = Permission


@dataclass(frozen=True)
class Check:
    """One thing that a bank needs: whether it is there, what is there, and the page on which it is made.

    `needs`: who makes it; None where it is not made on a page. `by` and `at`: who recorded the first of it, and when.
    `seen_at`: where all that is there of it stands.
    """

    what: str
    done: bool
    said: str
    href: str | None = None
    act: str = ""
    needs: Permission | None = None
    by: str | None = None
    at: datetime | None = None
    seen_at: str | None = None


@dataclass(frozen=True)
class SetUpStep:
    """A step: what it is for, its checks, and the job of `docs/help` that explains it."""

    title: str
    lead: str
    checks: Sequence[Check]
    job: str

    @property
    def done(self) -> bool:
        """Whether all of it is there."""
        return all(one.done for one in self.checks)


REGISTERS: Sequence[tuple[str, str, Permission]] = (
    ("procedure", "A procedure", P.QUALITY_DECIDE),
    ("laboratory", "A laboratory that tests", P.QUALITY_DECIDE),
    ("test_method", "A test method", P.QUALITY_DECIDE),
    ("workstation", "A workstation", P.QUALITY_DECIDE),
    ("medium", "A medium", P.KIT_MANAGE),
    ("reagent_lot", "A reagent lot", P.KIT_MANAGE),
    ("equipment", "Equipment, such as a freezer or an incubator", P.KIT_MANAGE),
)
_PLACES: Sequence[tuple[str, str, ColumnElement[bool]]] = (
    ("boxes", "Boxes with places for tubes", storage_container.c.rows.is_not(None)),
    ("cold", "A cold place, of which is known how cold", storage_container.c.temperature_class.is_not(None)),
    ("quarantine", "A quarantine place, which takes anything", storage_container.c.purpose == "quarantine"),
)


def _has(condition: ColumnElement[bool]) -> ColumnElement[bool]:
    return exists().where(storage_container.c.site_code == site.c.code, condition)


_HERE = (
    select(
        site.c.code,
        site.c.name,
        site.c.kind,
        site.c.jurisdiction,
        *(_has(holds).label(name) for name, _, holds in _PLACES),
        select(func.min(storage_container.c.code))
        .where(storage_container.c.site_code == site.c.code, storage_container.c.rows.is_not(None))
        .scalar_subquery()
        .label("box"),
    )
    .where(site.c.active)
    .order_by(site.c.code)
)
_LOGINS = (
    select(
        user_role.c.role,
        func.count(user.c.code.distinct()).label("people"),
        func.count(user.c.code.distinct())
        .filter(or_(user.c.password_hash.is_(None), user.c.must_change_password))
        .label("waiting"),
    )
    .join(user, user.c.code == user_role.c.user_code)
    .where(user.c.active)
    .group_by(user_role.c.role)
)
_FIRST_IN_ROLE = (
    select(user_role.c.role, user_role.c.granted_by.label("by"), user_role.c.granted_at.label("at"))
    .ext(distinct_on(user_role.c.role))
    .join(user, user.c.code == user_role.c.user_code)
    .where(user.c.active)
    .order_by(user_role.c.role, user_role.c.granted_at)
)
_ENTRIES = (
    select(register_entry.c.kind, register_entry.c.recorded_by.label("by"), register_entry.c.recorded_at.label("at"))
    .ext(distinct_on(register_entry.c.kind))
    .where(register_entry.c.retired_at.is_(None), register_entry.c.kind != "reason")
    .order_by(register_entry.c.kind, register_entry.c.recorded_at)
)
_PRINTED = select(prints.c.printed_by.label("by"), prints.c.printed_at.label("at")).order_by(prints.c.serial).limit(1)
_READ_BACK = (
    select(prints.c.code, prints.c.verified_by.label("by"), prints.c.verified_at.label("at"))
    .order_by(prints.c.verified_at, prints.c.serial)
    .limit(1)
)
_PROPOSED = (
    select(_pending.c.body["role"].astext.label("role"), func.count().label("proposed"))
    .where(
        _pending.c.act == "user.grant_role",
        _pending.c.completed_at.is_(None),
        _pending.c.cancelled_at.is_(None),
        _pending.c.expires_at > func.now(),
    )
    .group_by("role")
)
_WITHOUT_ROLE = (
    select(user.c.code)
    .where(user.c.active, ~exists().where(user_role.c.user_code == user.c.code), user.c.code != SYSTEM_CODE)
    .order_by(user.c.created_at)
    .limit(10)
)


def _first_of(kind: str, *conditions: ColumnElement[bool]) -> Select[Any]:
    """Who recorded the first event of a kind, and when."""
    found = select(event.c.recorded_by.label("by"), event.c.recorded_at.label("at"))
    return found.where(event.c.kind == kind, *conditions).order_by(event.c.recorded_at).limit(1)


def _first_site(kind: str) -> Select[Any]:
    ours = exists().where(site.c.code == event.c.site_code, site.c.kind == kind, site.c.active)
    return _first_of("system.site_created", ours)


def _first_place(holds: ColumnElement[bool]) -> Select[Any]:
    ours = exists().where(storage_container.c.code == event.c.stream_id, holds)
    return _first_of("container.added", ours)


def read_set_up(session: Session, actor: Actor, printers: Sequence[str]) -> list[SetUpStep]:
    """Return the steps in their order. `printers`: the names of those that the service may send labels to.

    Raises NotPermitted for who sets nothing up. At most sixteen statements.
    """
    if not any(actor.may(one, at=ANYWHERE) for one in SETS_UP):
        actor.require(P.SITE_MANAGE, at=ANYWHERE)
    sites = [dict(row._mapping) for row in session.execute(_HERE)]
    box = next((one["box"] for one in sites if one["box"]), None)
    return [
        _sites(session, sites),
        _people(session),
        _places(session, [one for one in sites if one["kind"] == "bank"]),
        _labels(session, printers, box),
        _registers({row.kind: row for row in session.execute(_ENTRIES)}),
        _beginning(session),
    ]


def _who(session: Session, question: Select[Any], there: bool) -> dict[str, Any]:
    """Who recorded the first of it, and when; nothing where it is not there."""
    row = session.execute(question).first() if there else None
    return {} if row is None else {"by": row.by, "at": row.at}


def _sites(session: Session, sites: Sequence[Mapping[str, Any]]) -> SetUpStep:
    checks = []
    for kind, what in (("bank", "A bank, which keeps specimens"), ("clinic", "A clinic, which sees donors")):
        found = [f"{one['code']}, {one['name']}" for one in sites if one["kind"] == kind]
        who = _who(session, _first_site(kind), bool(found))
        there, said = f"/sites?kind={kind}", "; ".join(found)
        checks.append(Check(what, bool(found), said, "/sites/new", "Add a site", P.SITE_MANAGE, seen_at=there, **who))
    silent = [one["code"] for one in sites if one["jurisdiction"] is None]
    said = f"Not stated of {', '.join(silent)}: no legal basis is compared with the law there." if silent else ""
    law = Check("Under whose law each site works", not silent, said, "/jurisdictions", "State it", P.QUALITY_DECIDE)
    checks.append(law)
    return SetUpStep("Sites", "Where the bank works. Everything else belongs to a site.", checks, "users-and-sites")


def _people(session: Session) -> SetUpStep:
    logins = {row.role: row for row in session.execute(_LOGINS)}
    proposed = {row.role: row.proposed for row in session.execute(_PROPOSED)}
    first = {row.role: row for row in session.execute(_FIRST_IN_ROLE)}
    checks = []
    for role, (least, why) in NEEDED_TO_BEGIN.items():
        row = logins.get(role.value)
        people = row.people if row is not None else 0
        said = f"{counted(people, 'login')}; at least {least} {'is' if least == 1 else 'are'} needed. {why}"
        if row is not None and row.waiting:
            said += f" Not signed in yet: {row.waiting}; a login opens with the slip that quality draws."
        if role.value in proposed:
            said += f" Waits for quality to sign: {proposed[role.value]}."
        who = {"by": first[role.value].by, "at": first[role.value].at} if role.value in first else {}
        there = f"/users?role={role.value}"
        checks.append(
            Check(words(role), people >= least, said, "/users/new", "Make a login", P.USER_MANAGE, seen_at=there, **who)
        )
    for code in session.execute(_WITHOUT_ROLE).scalars():
        said = "It was made and opens nothing yet."
        checks.append(Check(f"{code} has no role", False, said, f"/users/{code}/roles/give", "Give it a role", P.USER_MANAGE))
    lead = "Who works there. An administrator proposes each role and quality signs it; nobody appoints quality alone."
    return SetUpStep("People", lead, checks, "users-and-sites")


def _places(session: Session, banks: Sequence[Mapping[str, Any]]) -> SetUpStep:
    checks = []
    for column, what, holds in _PLACES:
        there = [one["code"] for one in banks if one[column]]
        missing = [one["code"] for one in banks if not one[column]]
        at = f"At {', '.join(there)}." if there else ""
        lacks = f" Not yet at {', '.join(missing)}." if missing and there else ""
        who = _who(session, _first_place(holds), bool(there))
        done = bool(there) and not missing
        checks.append(
            Check(what, done, at + lacks, "/storage/new", "Lay out storage", P.STORAGE_MANAGE, seen_at="/storage/places", **who)
        )
    lead = "Rooms, tanks, racks and boxes as they really stand, with names as people call them."
    return SetUpStep("Places", lead, checks, "places")


def _labels(session: Session, printers: Sequence[str], box: str | None) -> SetUpStep:
    printed, read = session.execute(_PRINTED).first(), session.execute(_READ_BACK).first()
    known = f"{', '.join(printers)}." if printers else "None: labels come as a file, for an office printer."
    printer = Check("A printer for labels, if there is one", True, known)
    test = Check(
        "A label that was printed",
        printed is not None,
        "Print one of a box, as a test." if box else "Lay out a box first; its label is the test.",
        f"/labels/{box}" if box else None,
        "Print a label",
        P.SITE_MANAGE,
        seen_at="/labels/prints",
        **({} if printed is None else {"by": printed.by, "at": printed.at}),
    )
    good = read is not None and read.at is not None
    back = Check(
        "A label that was scanned back",
        good,
        "Scan the test label on the page of its labels: then it is known that the scanner reads what the printer prints.",
        f"/labels/{read.code}" if read is not None else None,
        "Scan it back",
        P.SITE_MANAGE,
        seen_at="/labels/prints?standing=verified",
        **({"by": read.by, "at": read.at} if read is not None and good else {}),
    )
    return SetUpStep("Labels", "What is printed must be read again by the scanners of the bank.", [printer, test, back], "labels")


def _registers(entries: Mapping[str, Any]) -> SetUpStep:
    checks = []
    for kind, what, needs in REGISTERS:
        row = entries.get(kind)
        who = {} if row is None else {"by": row.by, "at": row.at}
        here = f"/registers?kind={kind}"
        checks.append(Check(what, row is not None, "", f"/registers/new?kind={kind}", "Enter it", needs, seen_at=here, **who))
    lead = (
        "What runs, kits and tests may name. Reasons stand there already; quality adds the bank's own. On the page of a "
        "procedure quality authorises who works by it."
    )
    return SetUpStep("Registers", lead, checks, "registers")


def _beginning(session: Session) -> SetUpStep:
    """What is done for the first time, until one tube stands in its place."""
    checks = [
        Check(what, bool(who), said, href, act, needs, seen_at=there, **who)
        for what, kind, said, href, act, needs, there in (
            ("A kit", "system.kit_prepared", "Labelled empty containers.", "/kits/new", "Prepare a kit", P.KIT_MANAGE, "/kits"),
            (
                *("A harvest", "specimen.collected", "A donor who consented, identified by two people, and a kit."),
                *("/donors", "Choose the donor", P.HARVEST_RECORD, "/harvests"),
            ),
            (
                *("A tube in its place", "specimen.stored", "Received from the clinic, and scanned into a place."),
                *("/scan", "Scan tubes", P.STORAGE_RECORD, "/specimens?state=stored"),
            ),
        )
        for who in [_who(session, _first_of(kind), True)]
    ]
    return SetUpStep("First tube", "From an empty container to the first tube that stands in its place.", checks, "kits")
