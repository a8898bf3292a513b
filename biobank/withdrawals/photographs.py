"""Photographs of patients: who treats or decides looks at one, and that they looked is an event before the picture leaves."""

from datetime import timedelta

from pydantic import AwareDatetime, BaseModel
from sqlalchemy import select
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.auth.actor import Actor
from biobank.custody.entry import parse_entry
from biobank.custody.recording import acknowledge
from biobank.foundation import clock
from biobank.foundation.errors import NotFound, NotPermitted
from biobank.foundation.kept_files import FileHash
from biobank.quality.adverse import reads_words
from biobank.quality.stored_files import context
from biobank.transparency.models import event
from biobank.withdrawals.case import find_row, open_case, record_on_case
from biobank.withdrawals.models import outcome_measure, outcome_result
from biobank.withdrawals.outcome_events import PhotographRead
from biobank.withdrawals.schemas import WithdrawalAct

SHOWN_FOR = timedelta(minutes=10)
"""How long a recorded reading shows the picture."""


class ReadingUnrecorded(NotPermitted):
    """Whoever looks at a patient's photograph says so first."""

    code = "reading_unrecorded"
    title = "Say first that you look"


class ReadPhotograph(WithdrawalAct):
    """I look at this photograph."""

    photograph_sha256: FileHash


class PhotographShown(BaseModel):
    """It is recorded; the picture is sent until then."""

    withdrawal: str
    photograph_sha256: str
    until: AwareDatetime
    receipt: str


def find_photograph(session: Session, actor: Actor, code: str, sha256: str) -> tuple[str, str]:
    """Return the subject and media type of a photograph of this withdrawal; raise NotFound for who may not read it."""
    row = find_row(session, actor, code)
    statement = (
        select(context.c.subject, context.c.media_type)
        .join(outcome_result, outcome_result.c.photograph_sha256 == context.c.sha256)
        .join(outcome_measure, outcome_measure.c.id == outcome_result.c.measure_id)
        .where(outcome_measure.c.withdrawal_code == code, context.c.sha256 == sha256, context.c.subject == row["donor_code"])
        .order_by(context.c.id)
    )
    found = session.execute(statement.limit(1)).first() if reads_words(actor, row["clinic_site_code"]) else None
    if found is None:
        raise NotFound(f"There is no photograph with {code} that you may see.", subject=code)
    return found.subject, found.media_type


def read_photograph(session: Session, act: Act, code: str, request: ReadPhotograph) -> PhotographShown:
    """Record that somebody looks at a photograph. Raises NotFound, StaleSequence."""
    find_photograph(session, act.actor, code, request.photograph_sha256)
    opened, _ = open_case(session, act, code, expected_seq=request.expected_seq)
    said = PhotographRead(photograph_sha256=request.photograph_sha256)
    appended = record_on_case(session, act, opened, said, request)
    return PhotographShown(
        withdrawal=code,
        photograph_sha256=request.photograph_sha256,
        until=act.at + SHOWN_FOR,
        receipt=acknowledge(act, [appended]),
    )


def photograph_shown(session: Session, actor: Actor, code: str, sha256: str) -> tuple[str, str]:
    """Return subject and media type, to send the bytes; raise NotFound, and ReadingUnrecorded without a recorded reading."""
    found = find_photograph(session, actor, code, sha256)
    own = select(event.c.entry).where(
        event.c.stream_kind == "withdrawal",
        event.c.stream_id == code,
        event.c.kind == "withdrawal.photograph_read",
        event.c.recorded_by == actor.code,
        event.c.recorded_at > clock.now() - SHOWN_FOR,
    )
    read = {parse_entry(bytes(row.entry))["body"]["photograph_sha256"] for row in session.execute(own)}
    if sha256 not in read:
        raise ReadingUnrecorded("Say first that you look at this photograph; that is recorded.", subject=code)
    return found
