"""Quality's verdicts: under which law, and released or not. Signed, on the specimen's own stream, one append for a lot.

What a release asks for is a pure question (`release_refusals`): a legal basis that can carry the material, the tests its release
rests on, none failed, and for tests without a result only the conditional release, which says beforehand whom to tell when the
late result is bad (21 CFR 610.12: results can post-date use).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

from sqlalchemy import select, update
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.signing import Meaning, use_signature
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.custody.ledger import Appended
from biobank.custody.legality import Snapshot
from biobank.custody.models import custody
from biobank.custody.recording import BANK_SUBJECT, Move, acknowledge, record
from biobank.custody.snapshots import get_all_visible, load
from biobank.custody.states import LIVE, Quality, State
from biobank.foundation import clock
from biobank.foundation.errors import Conflict, NotFound, Refusal, raise_first
from biobank.quality.acceptances import AcceptanceMissing, is_accepted, read_acceptance
from biobank.quality.events import BasisDecided, Decision, QualityDecided, RegulatoryBasis
from biobank.quality.independence import Touch, independence_refusals, read_touches
from biobank.quality.legal_bases import bases_that_reach, basis_refusals
from biobank.quality.lot_tests import LotTests, read_lot_tests, release_refusals_of_tests
from biobank.quality.releases import end_releases
from biobank.quality.schemas import (
    BasisOfSeveral,
    BasisRequest,
    DecidedSpecimen,
    DecisionAnswer,
    DecisionOfSeveral,
    DecisionRequest,
)
from biobank.specimens.models import lot as lot_table
from biobank.specimens.models import specimen as specimen_table
from biobank.vault import put_document

RELEASES = frozenset({Decision.RELEASED_TO_BANK, Decision.RELEASED_CONDITIONALLY})
DECIDABLE = LIVE | {State.ADMINISTERED, State.LOST}
"""A lot's verdict covers what is there, what was given, and what is lost, for it can be found; what was destroyed needs none."""


USABLE_BASES = frozenset(RegulatoryBasis) - {RegulatoryBasis.UNDETERMINED, RegulatoryBasis.RESEARCH_ONLY}
"""What lets material go to a person; whoever had a hand in the material does not determine it."""


class NotificationPlanMissing(Conflict):
    """A conditional release says whom to tell when the late result is bad."""

    code = "notification_plan_required"
    title = "Notification plan required"


class RejectionStands(Conflict):
    """What was rejected is not released by another decision: the rejection is reopened first."""

    code = "rejection_stands"
    title = "Rejected"


class NothingToDecide(Conflict):
    """The lot has no specimen left to decide about."""

    code = "nothing_to_decide"
    title = "Nothing to decide"


def release_refusals(
    decision: Decision, specimen: Snapshot, tests: LotTests, at: datetime, *, planned: bool, accepted: bool
) -> list[Refusal]:
    """Return every reason why `decision` may not be made about the specimen; empty when it may. Pure.

    `tests`: of its lot; `planned`: a notification plan came with it; `accepted`: the physician's and the patient's
    acceptance did. Rejecting is always possible.
    """
    if decision not in RELEASES:
        return []
    conditional = decision is Decision.RELEASED_CONDITIONALLY
    found = [
        *rejection_stands(specimen),
        *basis_refusals(specimen.regulatory_basis, specimen, at),
        *release_refusals_of_tests(specimen, tests, conditional=conditional),
    ]
    if conditional and not planned:
        found.append(
            NotificationPlanMissing(
                f"Say in the notification plan who is told, and how, if a late result of {specimen.code} is bad.",
                subject=specimen.code,
            )
        )
    if conditional and not accepted:
        found.append(
            AcceptanceMissing(
                f"{specimen.code} is released before every result is there only when the physician who treats and the patient "
                "accepted it: say who and when, and which stored files show it.",
                subject=specimen.code,
            )
        )
    return found


def rejection_stands(specimen: Snapshot) -> list[Refusal]:
    """Return why a unit that was rejected is not decided otherwise, by a release or by taking it back; none of another. Pure."""
    if specimen.projection.quality != Quality.REJECTED:
        return []
    return [
        RejectionStands(
            f"{specimen.code} was rejected. Two of quality reopen that over a closed investigation; then it is decided anew.",
            subject=specimen.code,
        )
    ]


@dataclass(frozen=True)
class Deciding:
    """What somebody of quality decides about: specimens, the tests of their lots and who had a hand in them, at an instant."""

    actor: Actor
    specimens: Sequence[Snapshot]
    tests: Mapping[str | None, LotTests]
    at: datetime
    touches: Mapping[str, Sequence[Touch]] = field(default_factory=dict)

    def refusals(self, decision: Decision, *, planned: bool, accepted: bool) -> list[Refusal]:
        """Return every reason why `decision` may not be made about one of them."""
        about = [
            refusal
            for specimen in self.specimens
            for refusal in release_refusals(
                decision, specimen, self.tests[specimen.lot_code], self.at, planned=planned, accepted=accepted
            )
        ]
        return [*(self.dependence() if decision in RELEASES else ()), *about]

    @property
    def donor(self) -> str | None:
        """Whose material it is, when it is one person's."""
        every = {unit.donor_code for unit in self.specimens}
        return every.pop() if len(every) == 1 else None

    @property
    def bases(self) -> list[RegulatoryBasis]:
        """The bases whose law reaches every bank that keeps one of them."""
        return bases_that_reach(unit.kept_under for unit in self.specimens)

    def about(self, specimens: Sequence[Snapshot]) -> "Deciding":
        """Return the same question about some of the specimens."""
        return replace(self, specimens=specimens)

    def dependence(self) -> list[Refusal]:
        """Return why the actor may not be the one to free them: what they had to do with each."""
        return [one for unit in self.specimens for one in independence_refusals(self.actor, unit.code, self.touches[unit.code])]

    def basis_refusals(self, basis: RegulatoryBasis, *, authorised: bool) -> list[Refusal]:
        """Return every reason why `basis` cannot be determined for one of them. That none is known can always be said."""
        if basis is RegulatoryBasis.UNDETERMINED:
            return []
        about = [one for unit in self.specimens for one in basis_refusals(basis, unit, self.at, authorised=authorised)]
        return [*(self.dependence() if basis in USABLE_BASES else ()), *about]


def specimens_to_decide(session: Session, actor: Actor, codes: Sequence[str], *, lock: bool = False) -> Deciding:
    """Read what is decided about; raise NotFound, and NotPermitted unless the actor may decide about each of them."""
    specimens = get_all_visible(session, actor, sorted(set(codes)), lock=lock, holds=True)
    for specimen in specimens:
        actor.require(Permission.QUALITY_DECIDE, at=specimen.keeper, subject=specimen.code)
    return _deciding(session, actor, specimens)


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
    return _deciding(session, actor, specimens)


@dataclass(frozen=True)
class LotOffer:
    """What quality may do with a lot now: decide about it, determine its legal basis."""

    decision: bool
    basis: bool


def offered_on_lot(session: Session, actor: Actor, lot: str, site: str) -> LotOffer:
    """Say whether `lot_to_decide` and `lot_basis_to_decide` would answer, for a lot of `site` that the actor may know of."""
    if not actor.may(Permission.QUALITY_DECIDE, at=site):
        return LotOffer(decision=False, basis=False)
    units = select(specimen_table.c.code).where(specimen_table.c.lot_code == lot)
    states = set(session.execute(select(custody.c.state).where(custody.c.code.in_(units)).distinct()).scalars())
    return LotOffer(decision=not states.isdisjoint(DECIDABLE), basis=not states.isdisjoint(LIVE))


def lot_basis_to_decide(session: Session, actor: Actor, lot: str, *, lock: bool = False) -> Deciding:
    """Read every specimen of a lot whose legal basis can be determined: those that still exist; raises as `lot_to_decide`."""
    deciding = lot_to_decide(session, actor, lot, lock=lock)
    living = [one for one in deciding.specimens if one.state in LIVE]
    if not living:
        raise NothingToDecide(f"Nothing of lot {lot} is left to be used. No legal basis is needed.", subject=lot)
    return replace(deciding, specimens=living)


def _deciding(session: Session, actor: Actor, specimens: Sequence[Snapshot]) -> Deciding:
    at = clock.now()
    tests = read_lot_tests(session, {one.lot_code for one in specimens}, at)
    return Deciding(actor, specimens, tests, at, read_touches(session, specimens))


def decide_specimen(session: Session, act: Act, code: str, request: DecisionRequest) -> DecisionAnswer:
    """Decide about one specimen."""
    return _decide(session, act, specimens_to_decide(session, act.actor, [code], lock=True), request, lot=None)


def decide_several(session: Session, act: Act, request: DecisionOfSeveral) -> DecisionAnswer:
    """Decide about several specimens: one signature, one append, all or nothing."""
    return _decide(session, act, specimens_to_decide(session, act.actor, request.specimens, lock=True), request, lot=None)


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
    planned = request.notification_plan is not None
    raise_first(deciding.refusals(request.decision, planned=planned, accepted=is_accepted(request)))
    accepted: dict[str, str] = {}
    if request.decision is Decision.RELEASED_CONDITIONALLY:
        accepted = read_acceptance(session, act, request, specimens)
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
                **accepted,
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
    raise_first(deciding.basis_refusals(request.basis, authorised=request.authorisation is not None))
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
