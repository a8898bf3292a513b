"""What of a bank is set up, read from what is there: nothing is ticked off by hand, so the page is true on any later day too."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Select, exists, func, or_, select
from sqlalchemy.dialects.postgresql import distinct_on
from sqlmodel import Session

from biobank.auth.actor import Actor
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

    `needs`: who makes it; None where it is not made on a page. `by` and `at`: who recorded the first of its kind, and when.
    """

    what: str
    done: bool
    said: str
    href: str | None = None
    act: str = ""
    needs: Permission | None = None
    by: str | None = None
    at: datetime | None = None


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
)
FIRSTS: Mapping[str, str] = {
    "site": "system.site_created",
    "place": "container.added",
    "kit": "system.kit_prepared",
    "role": "user.role_granted",
}


def _has(condition: ColumnElement[bool]) -> ColumnElement[bool]:
    return exists().where(storage_container.c.site_code == site.c.code, condition)


_HERE = (
    select(
        site.c.code,
        site.c.name,
        site.c.kind,
        _has(storage_container.c.purpose == "quarantine").label("quarantine"),
        _has(storage_container.c.rows.is_not(None)).label("boxes"),
        select(func.min(storage_container.c.code))
        .where(storage_container.c.site_code == site.c.code, storage_container.c.rows.is_not(None))
        .scalar_subquery()
        .label("box"),
        _has(storage_container.c.temperature_class.is_not(None)).label("cold"),
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
_ENTRIES = (
    select(register_entry.c.kind, register_entry.c.recorded_by.label("by"), register_entry.c.recorded_at.label("at"))
    .ext(distinct_on(register_entry.c.kind))
    .where(register_entry.c.retired_at.is_(None), register_entry.c.kind != "reason")
    .order_by(register_entry.c.kind, register_entry.c.recorded_at)
)
_PRINTS = (
    select(prints.c.code, prints.c.printed_by, prints.c.printed_at, prints.c.verified_by, prints.c.verified_at)
    .order_by(prints.c.verified_at, prints.c.serial)
    .limit(1)
)


def _first_of(kind: str) -> Select[Any]:
    """The first event of a kind."""
    found = select(event.c.kind, event.c.recorded_by.label("by"), event.c.recorded_at.label("at"))
    return found.where(event.c.kind == kind).order_by(event.c.recorded_at).limit(1)


def read_set_up(session: Session, actor: Actor, printers: Sequence[str]) -> list[SetUpStep]:
    """Return the steps in their order. `printers`: the names of those that the service may send labels to.

    Raises NotPermitted for who sets nothing up. Eight statements.
    """
    if not any(actor.may(one, at=ANYWHERE) for one in SETS_UP):
        actor.require(P.SITE_MANAGE, at=ANYWHERE)
    first = {kind: row for kind in FIRSTS.values() if (row := session.execute(_first_of(kind)).first()) is not None}
    sites = [dict(row._mapping) for row in session.execute(_HERE)]
    logins = {row.role: row for row in session.execute(_LOGINS)}
    entries = {row.kind: row for row in session.execute(_ENTRIES)}
    label = session.execute(_PRINTS).first()
    return [
        _sites(sites, first),
        _people(logins, first),
        _places([one for one in sites if one["kind"] == "bank"], first),
        _labels(label, printers, next((one["box"] for one in sites if one["box"]), None)),
        _registers(entries),
        _kit(first),
    ]


def _who(first: Mapping[str, Any], what: str) -> dict[str, Any]:
    row = first.get(FIRSTS[what])
    return {} if row is None else {"by": row.by, "at": row.at}


def _sites(sites: Sequence[Mapping[str, Any]], first: Mapping[str, Any]) -> SetUpStep:
    checks = []
    for kind, what in (("bank", "A bank, which keeps specimens"), ("clinic", "A clinic, which sees donors")):
        found = [f"{one['code']}, {one['name']}" for one in sites if one["kind"] == kind]
        who = _who(first, "site") if found else {}
        checks.append(Check(what, bool(found), "; ".join(found), "/sites/new", "Add a site", P.SITE_MANAGE, **who))
    return SetUpStep("Sites", "Where the bank works. Everything else belongs to a site.", checks, "users-and-sites")


def _people(logins: Mapping[str, Any], first: Mapping[str, Any]) -> SetUpStep:
    checks = []
    for role, (least, why) in NEEDED_TO_BEGIN.items():
        row = logins.get(role.value)
        people = row.people if row is not None else 0
        waits = f", {row.waiting} not signed in yet" if row is not None and row.waiting else ""
        said = f"{counted(people, 'open login')} of {least}{waits}. {why}"
        who = _who(first, "role") if people else {}
        checks.append(Check(words(role), people >= least, said, "/users/new", "Make a login", P.USER_MANAGE, **who))
    lead = "Who works there. An administrator proposes each role and quality signs it; nobody appoints quality alone."
    return SetUpStep("People", lead, checks, "users-and-sites")


def _places(banks: Sequence[Mapping[str, Any]], first: Mapping[str, Any]) -> SetUpStep:
    checks = []
    for what, column in (
        ("Boxes with places for tubes", "boxes"),
        ("A cold place, of which is known how cold", "cold"),
        ("A quarantine place, which takes anything", "quarantine"),
    ):
        there = [one["code"] for one in banks if one[column]]
        missing = [one["code"] for one in banks if not one[column]]
        at = f"At {', '.join(there)}." if there else ""
        lacks = f" Not yet at {', '.join(missing)}." if missing and there else ""
        who = _who(first, "place") if there else {}
        done = bool(there) and not missing
        checks.append(Check(what, done, at + lacks, "/storage/new", "Lay out storage", P.STORAGE_MANAGE, **who))
    lead = "Rooms, tanks, racks and boxes as they really stand, with names as people call them."
    return SetUpStep("Places", lead, checks, "places")


def _labels(printed: Any, printers: Sequence[str], box: str | None) -> SetUpStep:
    known = f"{', '.join(printers)}." if printers else "None: labels come as a file, for an office printer."
    printer = Check("A printer for labels, if there is one", True, known)
    test = Check(
        "A label that was printed",
        printed is not None,
        "Print one of a box, as a test." if box else "Lay out a box first; its label is the test.",
        f"/labels/{box}" if box else None,
        "Print a label",
        P.SITE_MANAGE,
        **({} if printed is None else {"by": printed.printed_by, "at": printed.printed_at}),
    )
    good = printed is not None and printed.verified_at is not None
    back = Check(
        "A label that was scanned back",
        good,
        "Scan the test label on the page of its labels: then it is known that the scanner reads what the printer prints.",
        f"/labels/{printed.code}" if printed is not None else None,
        "Scan it back",
        P.SITE_MANAGE,
        **({"by": printed.verified_by, "at": printed.verified_at} if good else {}),
    )
    return SetUpStep("Labels", "What is printed must be read again by the scanners of the bank.", [printer, test, back], "labels")


def _registers(entries: Mapping[str, Any]) -> SetUpStep:
    checks = []
    for kind, what, needs in REGISTERS:
        row = entries.get(kind)
        who = {} if row is None else {"by": row.by, "at": row.at}
        checks.append(Check(what, row is not None, "", f"/registers/new?kind={kind}", "Enter it", needs, **who))
    lead = "What runs, kits and tests may name. Reasons stand there already; quality adds the bank's own."
    return SetUpStep("Registers", lead, checks, "registers")


def _kit(first: Mapping[str, Any]) -> SetUpStep:
    who = _who(first, "kit")
    check = Check("A kit", bool(who), "", "/kits/new", "Prepare a kit", P.KIT_MANAGE, **who)
    return SetUpStep("First kit", "Labelled empty containers for one harvest. With it the bank can begin.", [check], "kits")
