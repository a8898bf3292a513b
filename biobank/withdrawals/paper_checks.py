"""The bedside without network: a sheet fetched beforehand, filled in by two people, entered the same day.

The sheet names the withdrawal, its donor and the tubes that are at the clinic, and is signed by the log: its content's SHA-256
stands in an event, whose receipt is printed on it. Both people then enter what they scanned, each from their own login, by the
form that they filed (`quality/paper.py`); the sheet must have been fetched before the time they state, and still be good then.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4
from zoneinfo import ZoneInfo

from sqlalchemy import func, insert, select
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.auth.actor import Actor
from biobank.custody.chronology import OutOfOrder
from biobank.custody.recording import Circumstances
from biobank.custody.states import StreamKind
from biobank.donors.wristbands import band_in_force
from biobank.foundation.clock import rfc3339
from biobank.foundation.db import table_of
from biobank.foundation.errors import Conflict, NotFound
from biobank.people.queries import zone_of
from biobank.transparency import canonical
from biobank.transparency.models import event as _event
from biobank.withdrawals.case import Case, find_row, open_case, record_on_case
from biobank.withdrawals.events import PaperCheckFetched
from biobank.withdrawals.models import PaperCheck
from biobank.withdrawals.schemas import PaperCheckAnswer, WithdrawalAct
from biobank.withdrawals.service import answer_members
from biobank.withdrawals.step_rules import paper_refusals, read_grounds

paper_check = table_of(PaperCheck)

SHEET_LIFE = timedelta(hours=24)
"""How long a fetched sheet may be used. A starting value of ours, without a source."""
ENTERED_WITHIN = timedelta(hours=24)
"""The same day: from what was done on paper until it is entered."""


class PaperCheckMissing(Conflict):
    """No sheet for this tube had been fetched by then, or it was not good any more."""

    code = "paper_check_missing"
    title = "No paper check"


class PaperEnteredLate(Conflict):
    """What two people did at the bedside on paper is entered the same day."""

    code = "paper_entered_late"
    title = "Entered too late"


def fetch(session: Session, act: Act, code: str, request: WithdrawalAct) -> PaperCheckAnswer:
    """Make a sheet for the tubes that could go on to be given now. Raises the first reason when none could."""
    case, _ = open_case(session, act, code, expected_seq=request.expected_seq)
    grounds = read_grounds(session, act.bank, [case.donor], act.at)[case.donor]
    against = {tube: paper_refusals(act.actor, case, grounds, tube) for tube in sorted(case.tubes)}
    tubes = [tube for tube, refusals in against.items() if not refusals]
    if not tubes:
        raise min(against.values(), key=len)[0]
    sheet, until = uuid4(), act.at + SHEET_LIFE
    band = band_in_force(session, case.donor)
    content = canonical.encode(_content(case, tubes, sheet, act, until, None if band is None else band.wristband))
    event = PaperCheckFetched(
        sheet=str(sheet),
        specimens=tuple(tubes),
        good_until=rfc3339(until),
        content=hashlib.sha256(content).hexdigest(),
    )
    fetched = record_on_case(session, act, case, event, request, relies_on=(case.approval,))
    answer = answer_members(session, act, case.moved_on([fetched]), [fetched])
    session.execute(
        insert(paper_check).values(
            id=sheet,
            withdrawal_code=code,
            specimens=tubes,
            fetched_at=act.at,
            good_until=until,
            content=content,
            receipt=answer["receipt"],
            event_hash=fetched.leaf_hash,
        )
    )
    return PaperCheckAnswer(**answer, sheet=sheet, good_until=until, content_sha256=event.content)


def _content(case: Case, tubes: list[str], sheet: UUID, act: Act, until: datetime, band: str | None) -> dict[str, Any]:
    return {
        "sheet": str(sheet),
        "withdrawal": case.code,
        "donor": case.donor,
        "clinic": case.clinic,
        "wristband": band,
        "tubes": [
            {
                "specimen": code,
                "material": case.tubes[code].material,
                "amount": case.tubes[code].projection.amount,
                "unit": case.tubes[code].unit,
            }
            for code in tubes
        ],
        "fetched_by": act.actor.code,
        "fetched_at": rfc3339(act.at),
        "good_until": rfc3339(until),
    }


@dataclass(frozen=True)
class Sheet:
    """A fetched sheet, as it is printed; `zone`: of the clocks where it is filled in."""

    content: dict[str, Any]
    content_sha256: str
    leaf_hash: str
    receipt: str
    zone: ZoneInfo


def read_sheet(session: Session, actor: Actor, code: str, sheet: UUID) -> Sheet:
    """Return a sheet of a withdrawal that the actor may know of; raise NotFound."""
    find_row(session, actor, code)
    row = session.execute(select(paper_check).where(paper_check.c.id == sheet, paper_check.c.withdrawal_code == code)).first()
    if row is None:
        raise NotFound(f"There is no such paper check of {code}.", subject=code)
    content = bytes(row.content)
    whole = hashlib.sha256(content).hexdigest()
    said: Any = canonical.parse(content)
    return Sheet(said, whole, bytes(row.event_hash).hex(), row.receipt, zone_of(session, said["clinic"]))


def moment_at_bedside(session: Session, act: Act, case: Case, product: str, given: Circumstances) -> datetime:
    """Return when a bedside check happened: now, or from paper when the form says, if a sheet was there and it is the same day.

    A giving counts from its check, so neither is dated before the tube was thawed, whose time for use runs from then.

    Raises PaperCheckMissing, PaperEnteredLate and OutOfOrder. Without a stated time, the form itself refuses.
    """
    if given.paper is None or given.occurred_at is None:
        return act.at
    require_same_day(act, product, given)
    sheets = select(paper_check.c.specimens).where(
        paper_check.c.withdrawal_code == case.code,
        paper_check.c.fetched_at <= given.occurred_at,
        paper_check.c.good_until >= given.occurred_at,
    )
    if not any(product in specimens for specimens in session.execute(sheets).scalars()):
        raise PaperCheckMissing(
            f"No paper check of {case.code} with {product} was good at {rfc3339(given.occurred_at)}. Check the time; what was "
            "given without one is told to quality.",
            subject=product,
        )
    ready = _ready_since(session, product)
    if ready is not None and given.occurred_at < ready:
        raise OutOfOrder(
            f"{product}: the stated time, {rfc3339(given.occurred_at)}, cannot be: it was delivered, or thawed, at "
            f"{rfc3339(ready)}. Check the date and the time.",
            subject=product,
            where_now=case.tubes[product].where_now,
        )
    return given.occurred_at


def _ready_since(session: Session, product: str) -> datetime | None:
    """Return when a tube was last thawed or delivered, whichever is later."""
    return session.execute(
        select(func.max(_event.c.occurred_at)).where(
            _event.c.stream_kind == StreamKind.SPECIMEN.value,
            _event.c.stream_id == product,
            _event.c.kind.in_(["specimen.thawed", "specimen.delivered"]),
        )
    ).scalar()


def require_same_day(act: Act, product: str, given: Circumstances) -> None:
    """Raise PaperEnteredLate for what is entered from paper over a day after it happened."""
    if given.paper is not None and given.occurred_at is not None and act.at - given.occurred_at > ENTERED_WITHIN:
        raise PaperEnteredLate(
            f"What was done on paper is entered within {ENTERED_WITHIN // timedelta(hours=1)} hours. Tell quality of {product}.",
            subject=product,
        )
