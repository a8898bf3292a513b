"""A deviation comes to its end: quality says what becomes of each unit that it reaches, then closes it, signed."""

from collections.abc import Sequence

from sqlalchemy import RowMapping, select, update
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.signing import Meaning, use_signature
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.custody.recording import BANK_SUBJECT, acknowledge
from biobank.foundation.errors import Conflict, Refusal, raise_first
from biobank.quality.deviations import attach, describe_deviation, find_deviation, public_of
from biobank.quality.dispositions import (
    DisposeRequest,
    cause_refusals,
    read_units,
    record_dispositions,
    undecided_refusals,
)
from biobank.quality.incident_events import DeviationClosed
from biobank.quality.models import adverse_event, deviation, recall, recall_closing, reporting_rule
from biobank.quality.schemas import CloseRequest, DeviationAnswer, DeviationDetail, JudgedUnit, Recorded
from biobank.quality.stored_files import require_stored
from biobank.quality.streams import record_on_stream
from biobank.vault import put_document


class DeviationClosedAlready(Conflict):
    """It is closed; what comes up later is a new deviation."""

    code = "deviation_closed"
    title = "Deviation closed"


class AdverseOpen(Conflict):
    """The deviation of an adverse event is closed when it was judged and, where the site's rule asks for it, reported."""

    code = "adverse_open"
    title = "Its adverse event is open"


class RecallOpen(Conflict):
    """The deviation of a recall is closed after the recall, at which its units are decided too."""

    code = "recall_open"
    title = "Its recall is open"


class DeviationDisposedAnswer(DeviationDetail, Recorded):
    """How it stands now, and of how many units this decided."""

    decided: int


def deciding_refusals(session: Session, actor: Actor, row: RowMapping) -> list[Refusal]:
    """Return why nothing may be decided about a deviation by this actor: what a page says and the use cases raise."""
    code = row["code"]
    may = actor.refusal(Permission.DEVIATION_DECIDE, at=row["site_code"], subject=code)
    found: list[Refusal] = [] if may is None else [may]
    if row["closed_at"] is not None:
        found.append(DeviationClosedAlready(f"{code} is closed. Open a new deviation for what came up since.", subject=code))
    ended = recall_closing.c.recall_id == recall.c.id
    still = select(recall.c.id).where(recall.c.deviation_code == code, ~select(recall_closing).where(ended).exists())
    if session.execute(still).first() is not None:
        found.append(
            RecallOpen(f"The recall of {code} is open. Its units are decided there, and two of quality close it.", subject=code)
        )
    return found + cause_refusals(session, actor, code)


def closing_refusals(session: Session, actor: Actor, row: RowMapping, units: Sequence[JudgedUnit]) -> list[Refusal]:
    """Return every reason why a deviation may not be closed by this actor as it stands."""
    found = deciding_refusals(session, actor, row)
    code = row["code"]
    ruled = select(reporting_rule).where(
        reporting_rule.c.site_code == adverse_event.c.site_code, reporting_rule.c.seriousness == adverse_event.c.seriousness
    )
    unjudged = adverse_event.c.causality == "not_assessed"
    unreported = adverse_event.c.reported_at.is_(None) & ruled.exists()
    waits = select(adverse_event.c.kind).where(adverse_event.c.deviation_code == code, unjudged | unreported)
    if session.execute(waits).first() is not None:
        found.append(AdverseOpen(f"The adverse event of {code} is not judged, or not reported. That comes first.", subject=code))
    if session.execute(select(recall.c.id).where(recall.c.deviation_code == code)).first() is None:
        # Of a closed recall two of quality read what becomes of each unit; what happens to it later is no matter of the recall.
        found += undecided_refusals(code, units)
    return found


def against_deviation(session: Session, actor: Actor, code: str) -> tuple[list[Refusal], list[Refusal]]:
    """Return what stands against deciding about the units of a deviation, and against closing it; raise NotFound."""
    row = find_deviation(session, actor, code)
    units = [unit for _, unit in read_units(session, code)]
    return deciding_refusals(session, actor, row), closing_refusals(session, actor, row, units)


def dispose_of_units(session: Session, act: Act, code: str, request: DisposeRequest) -> DeviationDisposedAnswer:
    """Say what becomes of units of an open deviation: quality that had no hand in them, signed "decided". The last word counts.

    Raises NotFound, NotPermitted, NotIndependent, DeviationClosedAlready, RecallOpen, and what `record_dispositions` raises.
    """
    row = find_deviation(session, act.actor, code, lock=True)
    raise_first(deciding_refusals(session, act.actor, row))
    appended, decided = record_dispositions(
        session, act, code, read_units(session, code), request, site=row["site_code"], relies_on=bytes(row["opened_event"])
    )
    now = describe_deviation(session, act.actor, act.keystore, code)
    return DeviationDisposedAnswer(**now.model_dump(), decided=decided, receipt=acknowledge(act, [appended]))


def close_deviation(session: Session, act: Act, code: str, request: CloseRequest) -> DeviationAnswer:
    """Close it when every unit of it is decided: quality only, signed; that of a recall after the recall.

    Raises NotFound, what `closing_refusals` returns, AttachmentUnknown, and what `use_signature` raises.
    """
    row = find_deviation(session, act.actor, code, lock=True)
    raise_first(closing_refusals(session, act.actor, row, [unit for _, unit in read_units(session, code)]))
    require_stored(session, request.attachments)
    signature = use_signature(session, act, request.signature, Meaning.CLOSED)
    words = put_document(session, act.keystore, BANK_SUBJECT, {"corrective_action": request.corrective_action})
    event = DeviationClosed(
        opened=bytes(row["opened_event"]).hex(),
        cause=request.cause,
        decision=request.decision,
        corrective_action=words.hex(),
        attachments=tuple(dict.fromkeys(request.attachments)),
        signature=str(signature.id),
    )
    appended = record_on_stream(session, act, code, event, request, site=row["site_code"])
    session.execute(
        update(deviation)
        .where(deviation.c.code == code)
        .values(
            cause=request.cause,
            decision=request.decision,
            closing_commit=words,
            closed_at=act.at,
            closed_by=act.actor.code,
            closed_event=appended.leaf_hash,
            closed_signature=signature.id,
        )
    )
    attach(session, code, request.attachments)
    return DeviationAnswer(**public_of(find_deviation(session, act.actor, code)), receipt=acknowledge(act, [appended]))
