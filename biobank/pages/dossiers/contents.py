"""What stands in each dossier, for one reader: what that reader may not know of is left out, or refused as a whole."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE, EVERYWHERE
from biobank.custody.queries import history_of
from biobank.custody.schemas import EventPublic
from biobank.donors.queries import describe_donor
from biobank.donors.schemas import DonorPublic
from biobank.exports.queries import search_log
from biobank.exports.selection import Selection
from biobank.foundation.clock import now
from biobank.foundation.errors import Conflict, NotFound, NotPermitted
from biobank.foundation.paging import Paging
from biobank.foundation.terms import words
from biobank.pages.ui.entries import said_of
from biobank.people.queries import get_user, names_for
from biobank.quality.look_back import reached
from biobank.quality.schemas import Criteria
from biobank.specimens.lots import describe_lot
from biobank.specimens.materials import amount_text
from biobank.specimens.preparations import preparation_facts
from biobank.specimens.processing_schemas import LotPublic
from biobank.specimens.queries import describe_specimen, list_specimens
from biobank.vault import Keystore
from biobank.withdrawals.models import withdrawal_item
from biobank.withdrawals.queries import history_of as history_of_withdrawal
from biobank.withdrawals.queries import list_withdrawals

MOST_LINES = 5000
AT_ONCE = 500

EVENT_COLUMNS = (("Happened", 92.0), ("What", 96.0), ("By", 62.0), ("Said", 170.0), ("Leaf hash", 76.0))
CONSENT_COLUMNS = (("Consent", 96.0), ("Form", 70.0), ("Given", 96.0), ("Until", 96.0), ("Revoked", 96.0))
TEST_COLUMNS = (("Test", 130.0), ("Result", 80.0), ("Sampled", 100.0), ("Recorded", 100.0), ("By", 80.0))
UNIT_COLUMNS = (("Specimen", 80.0), ("Donor", 70.0), ("State", 90.0), ("Quality", 100.0), ("Site", 60.0), ("Withdrawal", 80.0))
OWN_COLUMNS = (("Specimen", 80.0), ("Material", 110.0), ("State", 90.0), ("Quality", 100.0), ("Amount", 100.0))
REQUEST_COLUMNS = (("Withdrawal", 90.0), ("Material", 110.0), ("State", 90.0), ("Requested", 100.0), ("Tubes", 100.0))

BADGE: Final = re.compile(r"\bUS-[0-9A-Z]{7}\b")

Row = tuple[str | datetime | None, ...]
"""Cells; a time is written in the zone of whoever prints."""


class DossierTooLong(Conflict):
    """More events, specimens or withdrawals than are printed at once."""

    code = "dossier_too_long"
    title = "Too much for one dossier"


@dataclass(frozen=True)
class Part:
    """A table of a dossier; without rows it says `none`."""

    title: str
    columns: Sequence[tuple[str, float]]
    rows: Sequence[Row]
    none: str = "Nothing."


@dataclass(frozen=True)
class Dossier:
    """What is printed. `signers`: the badges that stand in it, each with its printed name if the reader is told it, else empty;
    `entries`: how many entries of the log it holds."""

    title: str
    facts: Sequence[tuple[str, str]]
    parts: Sequence[Part]
    read_by: str
    read_at: datetime
    signers: Sequence[tuple[str, str]] = ()
    entries: int = 0


def of_specimen(session: Session, actor: Actor, keystore: Keystore, code: str) -> Dossier:
    """A specimen's life: its donor's consents, its lot's tests, its own events and those of its withdrawals."""
    one = describe_specimen(session, actor, code)
    own = list(_all_of(lambda after: history_of(session, actor, code, int(after or 0), AT_ONCE)))
    its = withdrawal_item.c
    found = select(its.withdrawal_code).where(its.specimen_code == code).order_by(its.withdrawal_code)
    requests = session.execute(found).scalars().all() if actor.may(Permission.WITHDRAWAL_READ, at=ANYWHERE) else ()
    asked: list[EventPublic] = []
    for request in requests:
        asked += _of_withdrawal(session, actor, request)
        _require_short(len(asked))
    parts = [
        Part("Consents of its donor", CONSENT_COLUMNS, _consents(session, actor, one.donor), "None that you may see."),
        Part("Tests of its lot", TEST_COLUMNS, _tests(session, actor, one.lot), "None that you may see."),
        Part("Every event, oldest first", EVENT_COLUMNS, [_line(event) for event in own]),
        Part("Its withdrawals, with their approvals and signatures", EVENT_COLUMNS, [_line(event) for event in asked], "None."),
    ]
    facts = [
        ("Donor", one.donor or "none"),
        ("Material", one.title),
        ("Lot", one.lot or "none"),
        ("Legal basis", words(one.regulatory_basis)),
        ("State", words(one.custody.state)),
        ("Quality", words(one.custody.quality)),
        ("Amount", amount_text(one.custody.amount, one.unit)),
        ("Site", one.custody.site or "none"),
        *preparation_facts(one.preparations),
    ]
    return _of(session, actor, keystore, f"The life of {code}", facts, parts, [*own, *asked])


def day_of(badge: str, day: date, zone: ZoneInfo) -> Selection:
    """Return the part of the log that a login recorded on a day of a zone."""
    until = datetime.combine(day + timedelta(days=1), time(), zone)
    return Selection(actor=badge, since=datetime.combine(day, time(), zone), until=until)


def of_own_day(session: Session, actor: Actor, keystore: Keystore, badge: str, day: date, zone: ZoneInfo) -> Dossier:
    """What the reader recorded on a day; raise NotPermitted for the day of somebody else."""
    if badge != actor.code:
        raise NotPermitted(
            "What somebody else recorded is a copy of the log, and that it is taken is an event of the log. "
            "Use the button on the page of the login.",
            permission=Permission.LOG_EXPORT.value,
        )
    return _day_of(session, actor, keystore, badge, day, zone)


def of_day(session: Session, actor: Actor, keystore: Keystore, badge: str, day: date, zone: ZoneInfo) -> Dossier:
    """What any login recorded on a day: a copy of the log, which the caller records before it leaves."""
    actor.require(Permission.LOG_EXPORT, at=ANYWHERE)
    return _day_of(session, actor, keystore, badge, day, zone)


def _day_of(session: Session, actor: Actor, keystore: Keystore, badge: str, day: date, zone: ZoneInfo) -> Dossier:
    actor.require(Permission.LOG_READ, at=ANYWHERE)
    get_user(session, actor, badge)
    events = list(_found(session, actor, day_of(badge, day, zone)))
    rows = [(*_line(event)[:2], event.id, *_line(event)[3:]) for event in events]
    columns = [("About", width) if name == "By" else (name, width) for name, width in EVENT_COLUMNS]
    facts = [("Badge", badge), ("Day", f"{day:%Y-%m-%d}, {zone.key}"), ("Entries", str(len(events)))]
    parts = [Part("What was recorded, in order", columns, rows, "Nothing was recorded.")]
    return _of(session, actor, keystore, f"The day of {badge}", facts, parts, events, also=[badge])


def of_lot(session: Session, actor: Actor, keystore: Keystore, code: str) -> Dossier:
    """Everything a lot can have reached: a cause knows no sites, so it takes the log of all of them, as a look-back does."""
    actor.require(Permission.LOG_READ, at=EVERYWHERE)
    lot = describe_lot(session, actor, code)
    items = reached(session, Criteria(lot=code))
    units = [
        (i.specimen, i.donor or "none", words(i.state), words(i.quality), i.site or "none", i.withdrawal or "") for i in items
    ]
    facts = [
        ("Material", words(lot.material)),
        ("Site", lot.site),
        ("Units of the lot", str(len(lot.codes))),
        ("Reached, with what was made of them", str(len(items))),
        ("People who were given something of it", str(len({i.donor for i in items if i.withdrawal is not None}))),
    ]
    parts = [
        Part("Tests", TEST_COLUMNS, _test_rows(lot), "None."),
        Part("What it reached, and where that is now", UNIT_COLUMNS, units, "Nothing."),
    ]
    return _of(session, actor, keystore, f"The reach of {code}", facts, parts, [], also=[test.recorded_by for test in lot.tests])


def of_donor(session: Session, actor: Actor, keystore: Keystore, code: str) -> Dossier:
    """A donor's file, without who it is: consents, holds, specimens, withdrawals."""
    facts, parts = _file_of(session, actor, code)
    return _of(session, actor, keystore, f"The file of {code}", facts, parts, [])


def of_donor_with_log(session: Session, actor: Actor, keystore: Keystore, code: str) -> Dossier:
    """The same with what the log says: a copy of the log, which the caller records before it leaves."""
    actor.require(Permission.LOG_EXPORT, at=ANYWHERE)
    facts, parts = _file_of(session, actor, code)
    events = list(_found(session, actor, Selection(donor=code)))
    parts.append(Part("What the log says, where you read it", EVENT_COLUMNS, [_line(event) for event in events], "Nothing."))
    return _of(session, actor, keystore, f"The file of {code}", facts, parts, events)


def _file_of(session: Session, actor: Actor, code: str) -> tuple[list[tuple[str, str]], list[Part]]:
    donor = describe_donor(session, actor, code)
    specimens = _all_of(lambda after: list_specimens(session, actor, of_donor=code, paging=Paging(after, AT_ONCE)))
    requests: Iterable[Any] = (
        _all_of(lambda after: list_withdrawals(session, actor, donor=code, paging=Paging(after, AT_ONCE)))
        if actor.may(Permission.WITHDRAWAL_READ, at=ANYWHERE)
        else ()
    )
    facts = [
        *([("On record before as", ", ".join(donor.also))] if donor.also else []),
        ("Status", words(donor.status)),
        ("Wristband in force", donor.wristband.wristband if donor.wristband else "none"),
        ("On hold", ", ".join(sorted({words(hold.kind) for hold in donor.holds})) or "no"),
    ]
    own = [(s.code, words(s.material), words(s.state), words(s.quality), amount_text(s.amount, s.unit)) for s in specimens]
    asked = [(w.code, words(w.material), words(w.state), w.requested_at, ", ".join(w.specimens)) for w in requests]
    consents = _consent_rows(donor) if actor.may(Permission.DONOR_READ, at=ANYWHERE) else []
    parts = [
        Part("Consents", CONSENT_COLUMNS, consents, "None."),
        Part("Specimens that you may know of", OWN_COLUMNS, own, "None."),
        Part("Withdrawals that you may know of", REQUEST_COLUMNS, asked, "None."),
    ]
    return facts, parts


def _of(
    session: Session,
    actor: Actor,
    keystore: Keystore,
    title: str,
    facts: Sequence[tuple[str, str]],
    parts: Sequence[Part],
    events: Sequence[EventPublic],
    also: Iterable[str] = (),
) -> Dossier:
    badges = {*also, *(event.by for event in events), *(hand["user"] for event in events for hand in event.performed)}
    # Who signed first, scanned first or took it over stands in what an entry says, not in its hand.
    badges.update(
        found for part in parts for row in part.rows for cell in row if isinstance(cell, str) for found in BADGE.findall(cell)
    )
    named = names_for(session, actor, keystore, badges)
    signers = [(badge, named.get(badge, "")) for badge in sorted(badges) if badge.startswith("US-")]
    return Dossier(title, facts, parts, actor.code, now(), signers, len(events))


def _all_of(page: Callable[[str | None], Any]) -> Iterator[Any]:
    """Yield what stands on every page of a list; raise DossierTooLong."""
    after: str | None = None
    seen = 0
    while True:
        found = page(after)
        seen += len(found.items)
        _require_short(seen + (found.next is not None))
        yield from found.items
        if found.next is None:
            return
        after = found.next


def _found(session: Session, actor: Actor, chosen: Selection) -> Iterator[EventPublic]:
    return _all_of(lambda after: search_log(session, actor, chosen, after, AT_ONCE))


def _require_short(lines: int) -> None:
    if lines > MOST_LINES:
        raise DossierTooLong(f"A table of it would be longer than {MOST_LINES} lines. Use the lists and the export of the log.")


def _of_withdrawal(session: Session, actor: Actor, code: str) -> list[EventPublic]:
    """The events of a withdrawal; what the reader may not know of is left out."""
    try:
        return list(_all_of(lambda after: history_of_withdrawal(session, actor, code, int(after or 0), AT_ONCE)))
    except (NotFound, NotPermitted):
        return []


def _consents(session: Session, actor: Actor, donor: str | None) -> list[Row]:
    if donor is None or not actor.may(Permission.DONOR_READ, at=ANYWHERE):
        return []
    try:
        return _consent_rows(describe_donor(session, actor, donor))
    except (NotFound, NotPermitted):
        return []


def _consent_rows(donor: DonorPublic) -> list[Row]:
    given = donor.consents
    return [(words(one.kind), one.form_version, one.given_at, one.valid_until, one.taken_back_at) for one in given]


def _tests(session: Session, actor: Actor, lot: str | None) -> list[Row]:
    if lot is None:
        return []
    try:
        return _test_rows(describe_lot(session, actor, lot))
    except (NotFound, NotPermitted):
        return []


def _test_rows(lot: LotPublic) -> list[Row]:
    return [(words(one.test), words(one.result), one.sampled_at, one.recorded_at, one.recorded_by) for one in lot.tests]


def _line(event: EventPublic) -> Row:
    mark = " (from paper)" if event.source == "paper" else " (late)" if event.late else ""
    return (
        datetime.fromisoformat(event.occurred_at),
        f"{words(event.kind)}{mark}",
        event.by,
        said_of(event.body),
        event.leaf_hash[:16],
    )
