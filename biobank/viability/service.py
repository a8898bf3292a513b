"""What changes something: the worker's timer, and the report that quality signs."""

import hashlib
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Row, insert, select
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.signing import Meaning, use_signature
from biobank.acts.timers import timer
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.custody.ledger import Fact, append
from biobank.custody.recording import acknowledge, head_of
from biobank.custody.service import receipt_of
from biobank.custody.states import StreamKind
from biobank.foundation.clock import rfc3339
from biobank.foundation.db import table_of
from biobank.foundation.errors import Conflict, NotFound
from biobank.people.queries import printed_names
from biobank.specimens.assays import measured_of
from biobank.specimens.lots import describe_lot
from biobank.specimens.materials import MATERIALS, MaterialName
from biobank.specimens.processing_schemas import LotPublic
from biobank.transparency import canonical
from biobank.transparency.models import event
from biobank.viability.criteria import applying, criteria_over_time, criterion_for
from biobank.viability.events import Reported
from biobank.viability.models import ViabilityReport
from biobank.viability.parameters import current
from biobank.viability.queries import acceptance_of, count_of
from biobank.viability.schemas import MeasuredCount, ReportList, ReportPublic, ReportRecorded, SignReport

report_table = table_of(ViabilityReport)


class NothingMeasured(Conflict):
    """Nothing of the lot was counted after thawing: a report is made from counts, never from an expectation."""

    code = "viability_nothing_measured"
    title = "Nothing measured"


@timer(every=timedelta(seconds=20))
def look_at_viability_counts(session: Session, act: Act) -> int:
    """Look at new counts and fit again. The sampler is imported here, where no request comes."""
    from biobank.viability.fitting import look_at_new_counts

    return look_at_new_counts(session, current(), act.at)


def counts_after_thaw(session: Session, actor: Actor, code: str) -> tuple[LotPublic, dict[str, list[MeasuredCount]]]:
    """Return a lot and, by specimen, what was counted after thawing, judged by what quality demands."""
    lot = describe_lot(session, actor, code)
    pair = (lot.site, lot.material)
    demanded = criteria_over_time(session, {pair}).get(pair, [])
    thawed = _thawed(session, lot.codes)
    found = {}
    for specimen in lot.codes:
        since = thawed.get(specimen)
        counted = [
            one
            for one in measured_of(session, specimen)
            if one.minutes_after_thaw is not None or (since is not None and one.measured_at >= since)
        ]
        if counted:
            found[specimen] = [count_of(one, applying(demanded, one.recorded_at), current().count_cv) for one in counted]
    return lot, found


def _thawed(session: Session, codes: list[str]) -> dict[str, datetime]:
    rows = session.execute(
        select(event.c.stream_id, event.c.occurred_at).where(
            event.c.stream_kind == StreamKind.SPECIMEN.value, event.c.kind == "specimen.thawed", event.c.stream_id.in_(codes)
        )
    )
    return {row.stream_id: row.occurred_at for row in rows}


def sign_report(session: Session, act: Act, code: str, request: SignReport) -> ReportRecorded:
    """Sign what was counted in a lot after thawing. From measured counts only.

    Raises NotFound, NotPermitted, NothingMeasured, ImplausibleTime, and what `use_signature` raises.
    """
    lot, counted = counts_after_thaw(session, act.actor, code)
    act.require(Permission.QUALITY_DECIDE, at=lot.site)
    if not counted:
        raise NothingMeasured(
            f"No vial of {code} was counted after thawing. Thaw one, count it and record it with the minutes after thaw.",
            subject=code,
        )
    signature = use_signature(session, act, request.signature, Meaning.REVIEWED)
    report = uuid4()
    content = _content(session, lot, counted)
    content |= {
        "report": str(report),
        "signature": {
            "by": act.actor.code,
            "at": rfc3339(signature.signed_at),
            "meaning": "reviewed",
            "id": str(signature.id),
        },
    }
    digest = hashlib.sha256(canonical.encode(content)).hexdigest()
    hashes = tuple(one["leaf_hash"] for one in content["counts"])
    reported = Reported(report=str(report), counts=hashes, content_sha256=digest, signature=str(signature.id))
    head = head_of(
        session, act, request, subject=lot.donor, site=lot.site, relies_on=tuple(bytes.fromhex(one) for one in hashes[:50])
    )
    appended = append(session, [Fact(StreamKind.LOT, code, reported, head, donor_code=lot.donor)])
    receipt = acknowledge(act, appended)
    session.execute(
        insert(report_table).values(
            id=report,
            lot_code=code,
            content=content,
            content_sha256=digest,
            signed_by=act.actor.code,
            signed_at=signature.signed_at,
            signature=signature.id,
            receipt=receipt,
            event_hash=appended[0].leaf_hash,
        )
    )
    return ReportRecorded(report=_public(_row(session, code, report)), events=[receipt_of(a) for a in appended], receipt=receipt)


def _content(session: Session, lot: LotPublic, counted: dict[str, list[MeasuredCount]]) -> dict[str, Any]:
    """Return what the report says: the counts as read, nothing expected. Whole numbers only, so that its hash is well defined."""
    criterion = criterion_for(session, lot.site, lot.material)
    pooled = [one for counts in counted.values() for one in counts[:1]]
    live, dead = sum(one.live for one in pooled), sum(one.dead for one in pooled)
    return {
        "lot": lot.lot,
        "donor": lot.donor,
        "material": lot.material,
        "title": MATERIALS[MaterialName(lot.material)].title,
        "procedure": lot.procedure_version,
        "site": lot.site,
        "specimens": len(lot.codes),
        "counts": [_count(code, one) for code, counts in counted.items() for one in counts],
        "criterion": None
        if criterion is None
        else {"minimum_bp": criterion.minimum_bp, "confidence_bp": criterion.confidence_bp},
        "together": {
            "live": live,
            "dead": dead,
            "shown_bp": None if criterion is None else acceptance_of(live, live + dead, criterion).shown_bp,
            "verdict": None if criterion is None else acceptance_of(live, live + dead, criterion).verdict,
        },
    }


def _count(code: str, one: MeasuredCount) -> dict[str, Any]:
    names = (
        "method",
        "estimand",
        "live",
        "dead",
        "viability_bp",
        "wilson_95_lower_bp",
        "wilson_95_upper_bp",
        "dilution_milli",
        "volume_nl",
        "suspension_ul",
        "minutes_after_thaw",
        "instrument",
        "operator",
        "leaf_hash",
    )
    whole = one.cells_per_vial
    return {
        "specimen": code,
        **{name: getattr(one, name) for name in names},
        "measured_at": rfc3339(one.measured_at),
        # As text: a count of everything may be more than a whole number of JSON holds.
        "cells_per_vial": None if whole is None else {name: str(value) for name, value in whole.model_dump().items()},
        "verdict": None if one.acceptance is None else one.acceptance.verdict,
    }


def list_reports(session: Session, actor: Actor, code: str) -> ReportList:
    """Answer GET /lots/{code}/viability-reports: newest first."""
    describe_lot(session, actor, code)
    rows = session.execute(
        select(report_table).where(report_table.c.lot_code == code).order_by(report_table.c.signed_at.desc(), report_table.c.id)
    )
    return ReportList(items=[_public(row) for row in rows])


def report_for_paper(session: Session, actor: Actor, code: str, report: UUID, keystore: Any) -> tuple[ReportPublic, str | None]:
    """Return a report with the signer's printed name (21 CFR 11.50 asks for it on paper); None once that was erased."""
    describe_lot(session, actor, code)
    found = _public(_row(session, code, report))
    return found, printed_names(session, keystore, [found.signed_by]).get(found.signed_by)


def _row(session: Session, code: str, report: UUID) -> "Row[Any]":
    row = session.execute(select(report_table).where(report_table.c.id == report, report_table.c.lot_code == code)).first()
    if row is None:
        raise NotFound(f"There is no such report of {code}.", subject=code)
    return row


def _public(row: "Row[Any]") -> ReportPublic:
    return ReportPublic(
        id=row.id,
        lot=row.lot_code,
        content=row.content,
        content_sha256=row.content_sha256,
        signed_by=row.signed_by,
        signed_at=row.signed_at,
        receipt=row.receipt,
    )
