"""Quality's verdicts: under which law, and released or not. Signed, on the specimen's own stream, one append for a lot.

What a release asks for is a pure question (`release_refusal`): a regulatory basis, no failed test, and for tests without a
result only the conditional release, which says beforehand whom to tell when the late result is bad (21 CFR 610.12 results
can post-date use: standards §5).
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from sqlalchemy import select, update
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.signing import Meaning, use_signature
from biobank.auth.permissions import Permission
from biobank.custody.ledger import Appended
from biobank.custody.legality import Snapshot
from biobank.custody.recording import BANK_SUBJECT, Move, acknowledge, record
from biobank.custody.snapshots import get_visible, load
from biobank.custody.states import LIVE, State
from biobank.foundation.db import table_of
from biobank.foundation.errors import Conflict, NotFound, Refusal
from biobank.quality.events import NEEDS_AUTHORISATION, BasisDecided, Decision, QualityDecided, RegulatoryBasis
from biobank.quality.releases import end_releases
from biobank.quality.schemas import BasisRequest, DecidedSpecimen, DecisionAnswer, DecisionRequest
from biobank.specimens.models import Lot, LotTest, Specimen
from biobank.vault import put_document

specimen_table = table_of(Specimen)
lot_table = table_of(Lot)
lot_test = table_of(LotTest)

RELEASES = frozenset({Decision.RELEASED_TO_BANK, Decision.RELEASED_CONDITIONALLY})
DECIDABLE = LIVE | {State.ADMINISTERED}
"""A lot's verdict covers what is there and what was given; what was destroyed or used up needs none."""


class BasisUndetermined(Conflict):
    """Nobody has determined under which law it may be used."""

    code = "regulatory_basis_undetermined"
    title = "Regulatory basis undetermined"


class AuthorisationMissing(Conflict):
    """This basis exists only by a number or a statute."""

    code = "authorisation_required"
    title = "Authorisation required"


class TestFailed(Conflict):
    """A test of its lot failed."""

    code = "lot_test_failed"
    title = "A test failed"


class TestPending(Conflict):
    """A test of its lot has no result yet."""

    code = "lot_test_pending"
    title = "A test is pending"


class NotificationPlanMissing(Conflict):
    """A conditional release says whom to tell when the late result is bad."""

    code = "notification_plan_required"
    title = "Notification plan required"


class NothingToDecide(Conflict):
    """The lot has no specimen left to decide about."""

    code = "nothing_to_decide"
    title = "Nothing to decide"


def release_refusal(
    decision: Decision,
    *,
    subject: str,
    basis: str,
    failed: Collection[str] = (),
    pending: Collection[str] = (),
    planned: bool = False,
) -> Refusal | None:
    """Return why `decision` may not be made, or None. Pure.

    `failed`, `pending`: kinds of test of the specimen's lot; `planned`: a notification plan came with it. Rejecting is
    always possible.
    """
    if decision not in RELEASES:
        return None
    if basis == RegulatoryBasis.UNDETERMINED:
        return BasisUndetermined(
            f"{subject} has no regulatory basis yet. Determine it first (POST …/basis); until then it may be stored only.",
            subject=subject,
        )
    if failed:
        return TestFailed(
            f"The lot of {subject} failed {', '.join(sorted(failed))}. It can be rejected, not released.",
            subject=subject,
            tests=sorted(failed),
        )
    if decision is Decision.RELEASED_TO_BANK and pending:
        return TestPending(
            f"The lot of {subject} waits for {', '.join(sorted(pending))}. Wait for the result, or release it conditionally "
            "with a notification plan.",
            subject=subject,
            tests=sorted(pending),
        )
    if decision is Decision.RELEASED_CONDITIONALLY and not planned:
        return NotificationPlanMissing(
            f"Say in `notification_plan` who is told, and how, if a late result of {subject} is bad.", subject=subject
        )
    return None


@dataclass(frozen=True)
class LotTests:
    """What the tests of a lot say: kinds whose latest result is bad, kinds that wait, and the events that say so."""

    failed: tuple[str, ...] = ()
    pending: tuple[str, ...] = ()
    events: tuple[bytes, ...] = ()


def tests_of(session: Session, lot: str | None) -> LotTests:
    """Read the tests of a lot. A repeated test counts by its latest result; a pending one until a later row completes it."""
    if lot is None:
        return LotTests()
    rows = session.execute(
        select(lot_test.c.id, lot_test.c.kind, lot_test.c.result, lot_test.c.completes, lot_test.c.event_hash)
        .where(lot_test.c.lot_code == lot)
        .order_by(lot_test.c.recorded_at, lot_test.c.id)
    ).all()
    completed = {row.completes for row in rows}
    latest = {row.kind: row.result for row in rows if row.result != "pending"}
    return LotTests(
        failed=tuple(sorted(kind for kind, result in latest.items() if result == "failed")),
        pending=tuple(sorted({row.kind for row in rows if row.result == "pending" and row.id not in completed})),
        events=tuple(bytes(row.event_hash) for row in rows),
    )


def decide_specimen(session: Session, act: Act, code: str, request: DecisionRequest) -> DecisionAnswer:
    """Decide about one specimen."""
    specimen = get_visible(session, act.actor, code, lock=True, holds=True)
    act.require(Permission.QUALITY_DECIDE, at=specimen.sites, subject=code)
    return _decide(session, act, [specimen], request, lot=None)


def decide_lot(session: Session, act: Act, code: str, request: DecisionRequest) -> DecisionAnswer:
    """Decide about every specimen of a lot at once: one signature, one append, all or nothing."""
    return _decide(session, act, _lot_specimens(session, act, code), request, lot=code)


def decide_specimen_basis(session: Session, act: Act, code: str, request: BasisRequest) -> DecisionAnswer:
    """Determine the regulatory basis of one specimen."""
    specimen = get_visible(session, act.actor, code, lock=True, holds=True)
    act.require(Permission.QUALITY_DECIDE, at=specimen.sites, subject=code)
    return _decide_basis(session, act, [specimen], request)


def decide_lot_basis(session: Session, act: Act, code: str, request: BasisRequest) -> DecisionAnswer:
    """Determine the regulatory basis of every specimen of a lot."""
    return _decide_basis(session, act, [s for s in _lot_specimens(session, act, code) if s.state in LIVE], request)


def _lot_specimens(session: Session, act: Act, lot: str) -> list[Snapshot]:
    known = session.execute(select(lot_table.c.code, lot_table.c.site_code).where(lot_table.c.code == lot)).first()
    seen = known is not None and act.may(Permission.SPECIMEN_READ, at=known.site_code)
    if not seen:
        raise NotFound(f"There is no lot {lot} that you may see. Check the code.", subject=lot)
    assert known is not None
    act.require(Permission.QUALITY_DECIDE, at=known.site_code, subject=lot)
    codes = session.execute(select(specimen_table.c.code).where(specimen_table.c.lot_code == lot)).scalars().all()
    found = load(session, sorted(codes), lock=True, holds=True)
    specimens = [found[code] for code in sorted(found) if found[code].state in DECIDABLE]
    if not specimens:
        raise NothingToDecide(f"Lot {lot} has no specimen left to decide about.", subject=lot)
    return specimens


def _decide(
    session: Session, act: Act, specimens: Sequence[Snapshot], request: DecisionRequest, *, lot: str | None
) -> DecisionAnswer:
    planned = request.notification_plan is not None
    tests = {lot_code: tests_of(session, lot_code) for lot_code in {s.lot_code for s in specimens}}
    for specimen in specimens:
        of_lot = tests[specimen.lot_code]
        refusal = release_refusal(
            request.decision,
            subject=specimen.code,
            basis=specimen.regulatory_basis,
            failed=of_lot.failed,
            pending=of_lot.pending,
            planned=planned,
        )
        if refusal is not None:
            raise refusal
    meaning = Meaning.RELEASED if request.decision in RELEASES else Meaning.REJECTED
    signature = use_signature(session, act, request.signature, meaning)
    plan = None
    if request.notification_plan is not None:
        subject = specimens[0].donor_code or BANK_SUBJECT
        plan = put_document(session, act.keystore, subject, {"notification_plan": request.notification_plan}).hex()
    moves = [
        Move(
            specimen,
            QualityDecided(
                decision=request.decision,
                reason=request.reason,
                basis=RegulatoryBasis(specimen.regulatory_basis),
                lot=lot,
                pending_tests=tests[specimen.lot_code].pending,
                notification_plan=plan,
                signature=str(signature.id),
            ),
            relies_on=tests[specimen.lot_code].events,
        )
        for specimen in specimens
    ]
    appended = record(session, act, moves, request)
    if request.decision not in RELEASES:
        end_releases.get()(session, [s.code for s in specimens], at=act.at, because="rejected")
    return answer_of(act, appended)


def _decide_basis(session: Session, act: Act, specimens: Sequence[Snapshot], request: BasisRequest) -> DecisionAnswer:
    if request.basis in NEEDS_AUTHORISATION and request.authorisation is None:
        raise AuthorisationMissing(
            f"'{request.basis.value}' exists only by an authorisation: send its number or statute in `authorisation`.",
            subject=specimens[0].code if specimens else None,
        )
    if not specimens:
        raise NothingToDecide("None of these specimens is left to decide about.")
    signature = use_signature(session, act, request.signature, Meaning.DECIDED)
    moves = [
        Move(
            specimen,
            BasisDecided(
                basis=request.basis,
                before=RegulatoryBasis(specimen.regulatory_basis),
                authorisation=request.authorisation,
                reason=request.reason,
                signature=str(signature.id),
            ),
        )
        for specimen in specimens
    ]
    appended = record(session, act, moves, request)
    codes = [s.code for s in specimens]
    session.execute(update(specimen_table).where(specimen_table.c.code.in_(codes)).values(regulatory_basis=request.basis.value))
    if request.basis in (RegulatoryBasis.UNDETERMINED, RegulatoryBasis.RESEARCH_ONLY):
        end_releases.get()(session, codes, at=act.at, because="regulatory_basis")
    return answer_of(act, appended)


def answer_of(act: Act, appended: Sequence[Appended]) -> DecisionAnswer:
    """Build the answer: where each specimen stands now."""
    last = {a.stream_id: a for a in appended if a.projection is not None}
    items = [
        DecidedSpecimen(specimen=code, state=a.after.state, quality=a.after.quality, seq=a.seq)
        for code, a in sorted(last.items())
    ]
    return DecisionAnswer(items=items, receipt=acknowledge(act, appended))
