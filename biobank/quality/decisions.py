"""Quality's verdicts: under which law, and released or not. Signed, on the specimen's own stream, one append for a lot.

What a release asks for is a pure question (`release_refusals`): a regulatory basis, no failed test, and for tests without a
result only the conditional release, which says beforehand whom to tell when the late result is bad (21 CFR 610.12 results
can post-date use: standards §5).
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import select, update
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.signing import Meaning, use_signature
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.custody.ledger import Appended
from biobank.custody.legality import Snapshot
from biobank.custody.recording import BANK_SUBJECT, Move, acknowledge, record
from biobank.custody.snapshots import get_all_visible, load
from biobank.custody.states import LIVE, State
from biobank.foundation.errors import Conflict, NotFound, Refusal
from biobank.quality.events import NEEDS_AUTHORISATION, BasisDecided, Decision, QualityDecided, RegulatoryBasis
from biobank.quality.releases import end_releases
from biobank.quality.schemas import BasisOfSeveral, BasisRequest, DecidedSpecimen, DecisionAnswer, DecisionRequest
from biobank.specimens.models import lot as lot_table
from biobank.specimens.models import lot_test
from biobank.specimens.models import specimen as specimen_table
from biobank.vault import put_document

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


def release_refusals(
    decision: Decision,
    *,
    subject: str,
    basis: str,
    failed: Collection[str] = (),
    pending: Collection[str] = (),
    planned: bool = False,
) -> list[Refusal]:
    """Return every reason why `decision` may not be made. Pure.

    `failed`, `pending`: kinds of test of the specimen's lot; `planned`: a notification plan came with it. Rejecting is
    always possible.
    """
    if decision not in RELEASES:
        return []
    found: list[Refusal] = []
    if basis == RegulatoryBasis.UNDETERMINED:
        found.append(
            BasisUndetermined(
                f"Nobody has determined the legal basis of {subject} yet. Determine it first; until then it may be stored only.",
                subject=subject,
            )
        )
    if failed:
        found.append(
            TestFailed(
                f"The lot of {subject} failed {', '.join(sorted(failed))}. It can be rejected, not released.",
                subject=subject,
                tests=sorted(failed),
            )
        )
    if decision is Decision.RELEASED_TO_BANK and pending:
        found.append(
            TestPending(
                f"The lot of {subject} waits for {', '.join(sorted(pending))}. Wait for the result, or release it conditionally "
                "with a notification plan.",
                subject=subject,
                tests=sorted(pending),
            )
        )
    if decision is Decision.RELEASED_CONDITIONALLY and not planned:
        found.append(
            NotificationPlanMissing(
                f"Say in the notification plan who is told, and how, if a late result of {subject} is bad.", subject=subject
            )
        )
    return found


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


@dataclass(frozen=True)
class Deciding:
    """What quality decides about: specimens, and the tests of their lots."""

    specimens: Sequence[Snapshot]
    tests: Mapping[str | None, LotTests]

    def refusals(self, decision: Decision, *, planned: bool) -> list[Refusal]:
        """Return every reason why `decision` may not be made about one of them."""
        return [
            refusal
            for specimen in self.specimens
            for refusal in release_refusals(
                decision,
                subject=specimen.code,
                basis=specimen.regulatory_basis,
                failed=self.tests[specimen.lot_code].failed,
                pending=self.tests[specimen.lot_code].pending,
                planned=planned,
            )
        ]


def specimens_to_decide(session: Session, actor: Actor, codes: Sequence[str], *, lock: bool = False) -> Deciding:
    """Read what is decided about; raise NotFound, and NotPermitted unless the actor may decide about each of them."""
    specimens = get_all_visible(session, actor, sorted(set(codes)), lock=lock, holds=True)
    for specimen in specimens:
        actor.require(Permission.QUALITY_DECIDE, at=specimen.sites, subject=specimen.code)
    return _deciding(session, specimens)


def lot_to_decide(session: Session, actor: Actor, lot: str, *, lock: bool = False) -> Deciding:
    """Read every specimen of a lot that can be decided about; raise NotFound, NotPermitted, NothingToDecide."""
    known = session.execute(select(lot_table.c.code, lot_table.c.site_code).where(lot_table.c.code == lot)).first()
    if known is None or not actor.may(Permission.SPECIMEN_READ, at=known.site_code):
        raise NotFound(f"There is no lot {lot} that you may see. Check the code.", subject=lot)
    actor.require(Permission.QUALITY_DECIDE, at=known.site_code, subject=lot)
    codes = session.execute(select(specimen_table.c.code).where(specimen_table.c.lot_code == lot)).scalars().all()
    found = load(session, sorted(codes), lock=lock, holds=True)
    specimens = [found[code] for code in sorted(found) if found[code].state in DECIDABLE]
    if not specimens:
        raise NothingToDecide(f"Lot {lot} has no specimen left to decide about.", subject=lot)
    return _deciding(session, specimens)


def lot_basis_to_decide(session: Session, actor: Actor, lot: str, *, lock: bool = False) -> Deciding:
    """Read every specimen of a lot whose legal basis can be determined: those that still exist; raises as `lot_to_decide`."""
    deciding = lot_to_decide(session, actor, lot, lock=lock)
    living = [one for one in deciding.specimens if one.state in LIVE]
    if not living:
        raise NothingToDecide(f"Nothing of lot {lot} is left to be used. No legal basis is needed.", subject=lot)
    return replace(deciding, specimens=living)


def _deciding(session: Session, specimens: Sequence[Snapshot]) -> Deciding:
    return Deciding(specimens, {lot: tests_of(session, lot) for lot in {one.lot_code for one in specimens}})


def decide_specimen(session: Session, act: Act, code: str, request: DecisionRequest) -> DecisionAnswer:
    """Decide about one specimen."""
    return _decide(session, act, specimens_to_decide(session, act.actor, [code], lock=True), request, lot=None)


def decide_lot(session: Session, act: Act, code: str, request: DecisionRequest) -> DecisionAnswer:
    """Decide about every specimen of a lot at once: one signature, one append, all or nothing."""
    return _decide(session, act, lot_to_decide(session, act.actor, code, lock=True), request, lot=code)


def decide_specimen_basis(session: Session, act: Act, code: str, request: BasisRequest) -> DecisionAnswer:
    """Determine the regulatory basis of one specimen."""
    return _decide_basis(session, act, specimens_to_decide(session, act.actor, [code], lock=True), request)


def decide_basis_of(session: Session, act: Act, request: BasisOfSeveral) -> DecisionAnswer:
    """Determine the regulatory basis of several specimens: one signature, one append, all or nothing."""
    return _decide_basis(session, act, specimens_to_decide(session, act.actor, request.specimens, lock=True), request)


def decide_lot_basis(session: Session, act: Act, code: str, request: BasisRequest) -> DecisionAnswer:
    """Determine the regulatory basis of every specimen of a lot."""
    return _decide_basis(session, act, lot_basis_to_decide(session, act.actor, code, lock=True), request)


def _decide(session: Session, act: Act, deciding: Deciding, request: DecisionRequest, *, lot: str | None) -> DecisionAnswer:
    specimens, tests = deciding.specimens, deciding.tests
    if refusals := deciding.refusals(request.decision, planned=request.notification_plan is not None):
        raise refusals[0]
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


def _decide_basis(session: Session, act: Act, deciding: Deciding, request: BasisRequest) -> DecisionAnswer:
    specimens = deciding.specimens
    if request.basis in NEEDS_AUTHORISATION and request.authorisation is None:
        raise AuthorisationMissing(
            "This basis exists only by an authorisation. Say by which number or statute.",
            subject=specimens[0].code,
        )
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
