"""Giving a tube to its donor: the release is used up, every part of the tube is accounted for, the chain is in the database."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import RowMapping, insert, select, update
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.auth.actor import Actor
from biobank.custody.ledger import Appended
from biobank.custody.recording import NOW, ImplausibleTime, Move, require_reason
from biobank.donors.wristbands import WristbandVoid, find_band
from biobank.foundation.clock import rfc3339
from biobank.foundation.errors import Conflict, Refusal, Refused, raise_first
from biobank.quality.adverse import Happened
from biobank.specimens.amounts import said
from biobank.specimens.materials import Unit
from biobank.withdrawals.adverse import keep
from biobank.withdrawals.against_a_stop import told_of_it
from biobank.withdrawals.bedside import UNKNOWN, differing, read_product, stop, stop_outdated
from biobank.withdrawals.case import (
    Case,
    administration,
    moment_of,
    open_case,
    record_on_case,
    record_on_tubes,
    set_state,
)
from biobank.withdrawals.events import Administered, Given, GivenBeforeConfirmed
from biobank.withdrawals.given_then import Judged, entered_by_two, judged_then, ran_out_since, tell_quality
from biobank.withdrawals.models import bedside_release as release_table
from biobank.withdrawals.paper_checks import require_same_day
from biobank.withdrawals.release_rules import band_refusal, way_refusal
from biobank.withdrawals.releases import ONE_PERSON, check_table
from biobank.withdrawals.schemas import AdministerRequest, WithdrawalAnswer
from biobank.withdrawals.service import answer_of, read_again
from biobank.withdrawals.step_rules import Grounds, administer_refusals, begin_refusals, consents_of, read_grounds
from biobank.withdrawals.workflow import Step, after

VOLUMES = frozenset({Unit.UL.value, Unit.UL_RAW.value, Unit.UL_WASHED.value})
"""Units whose amount is a volume: it may be given in more liquid, never in less."""


class AmountsDoNotAddUp(Conflict):
    """Given, residue and loss are not what was in the tube."""

    code = "amounts_do_not_add_up"
    title = "Amounts do not add up"


@dataclass(frozen=True)
class Giving:
    """A giving as it is stated, with what it rests on as of when it began. `release`: the named one with its check, if any."""

    case: Case
    product: str
    release: RowMapping | None
    started: datetime
    ended: datetime
    grounds: Grounds

    def ran_out(self, act: Act) -> tuple[str, ...]:
        """What ran out between the giving and its entry now, of one that is entered live: the band of the check too."""
        within = timedelta(minutes=act.bank.settings.giving_entered_within_minutes)
        found = ran_out_since(self.case, self.release, self.product, act.at, within)
        taken_off = band_refusal(self.grounds.bands.get(self.product), act.at)
        return found if taken_off is None else (*found, WristbandVoid.code)

    def require_way(self, paper: str | None) -> None:
        """Raise NoRelease where the check was entered live and the giving from paper, or the other way round."""
        assert self.release is not None, "no release is a refusal"
        wrong = way_refusal(self.release, self.product, paper)
        if wrong is not None:
            raise wrong


def administer(session: Session, act: Act, code: str, request: AdministerRequest) -> WithdrawalAnswer | Refused:
    """Give a tube to its donor, using up the release that two people made. The rest of it is accounted for."""
    opened = open_giving(session, act, code, request, act.actor)
    if isinstance(opened, Refused):
        return opened
    case, product = opened.case, opened.product
    require_same_day(act, product, request)
    if request.paper is None:
        raise_first(administer_refusals(act.actor, case, opened.grounds, product))
        require_reason(act.at, opened.started, request)
        judged = Judged(case.tubes[product], opened.ran_out(act), opened.grounds)
    else:
        try:
            judged = judged_then(session, act, case, opened.grounds, product, opened.started, administer_refusals, act.actor)
        except Refusal as against:
            return told_of_it(session, act, case, product, request, against)
    opened.require_way(request.paper)
    if judged.came_after:
        raise entered_by_two(case.code, product, judged.came_after)
    return write_giving(session, act, opened, request, judged)


def open_giving(session: Session, act: Act, code: str, request: AdministerRequest, giver: Actor) -> Giving | Refused:
    """Lock what a giving is about and read what it rests on. `giver`: who says that it was given. A wrong tube is evidence.

    Raises NotPermitted, ImplausibleTime, and what reading the scan raises.
    """
    read = read_product(session, act, request.product)
    product = read.code
    case, others = open_case(session, act, code, expected_seq=request.expected_seq, also=read.codes)
    if product is None or product not in case.tubes:
        raise_first(begin_refusals(giver, Step.ADMINISTER, case))
        if read.outdated is not None:
            return stop_outdated(session, act, case, request, read.outdated)
        if product is None:
            return stop(session, act, case, request, ["product"], None, UNKNOWN, None)
        scanned = others.get(product)
        whose = None if scanned is None else scanned.donor_code
        wrong = differing(case.donor, case.tubes, case.donor, product, whose)
        return stop(session, act, case, request, wrong, None, product, scanned)
    # The row is locked, so two administrations find one release.
    release = (
        session.execute(
            select(release_table, check_table.c.paper, check_table.c.opened_event, ONE_PERSON)
            .join(check_table, check_table.c.id == release_table.c.check_id)
            .where(release_table.c.id == request.release)
            .with_for_update(of=release_table)
        )
        .mappings()
        .first()
    )
    started, ended = moment_of(act, request, request.started_at), moment_of(act, request, None)
    if started > ended:
        raise ImplausibleTime(f"It began ({rfc3339(started)}) after it ended ({rfc3339(ended)}). Say when it began.")
    band = None if release is None else find_band(session, release["wristband_code"])
    # Authority is judged as of the time the giving began, by what is known of that time now. A giving may last, and be entered
    # when the hands are free: who says that it began longer ago says why, as for any other time that lies back.
    found = read_grounds(session, act.bank, [case.donor], act.at, of=started)[case.donor]
    grounds = replace(found, releases={} if release is None else {product: release}, bands={product: band})
    return Giving(case, product, release, started, ended, grounds)


def write_giving(
    session: Session,
    act: Act,
    opened: Giving,
    request: AdministerRequest,
    judged: Judged,
    confirmed: tuple[Act, GivenBeforeConfirmed] | None = None,
) -> WithdrawalAnswer:
    """Record a giving that may be recorded. `confirmed`: of one against which something came after, the act of whoever of quality
    confirms it, and that event.
    """
    case, product, started, ended, grounds = opened.case, opened.product, opened.started, opened.ended, opened.grounds
    release, tube, came_after = opened.release, judged.tube, judged.came_after
    assert release is not None, "no release is a refusal"
    as_of_then = request.paper is not None or confirmed is not None
    consents, _ = consents_of(case, judged.grounds if as_of_then else grounds, [product])
    amount = tube.projection.amount
    _require_accounted(request, product, amount, tube.unit)
    used = {"consumed_at": started, "came_after": bool(came_after)}
    session.execute(update(release_table).where(release_table.c.id == request.release).values(**used))
    event = Administered(
        withdrawal=case.code,
        release=str(request.release),
        recipient=case.donor,
        wristband=release["wristband_code"],
        given=request.given,
        residue=request.residue,
        loss=request.loss,
        volume_ul=request.volume_ul,
        residue_went=request.residue_went,
        anatomical_site=request.anatomical_site,
        started_at=rfc3339(started),
        reaction=request.reaction,
        came_after=came_after,
    )
    relies_on = (case.approval, bytes(release["made_event"]), *consents)
    moves = [Move(tube, event, site=case.clinic, relies_on=relies_on)]
    appended = record_on_tubes(session, act, case, moves, request, lagging=grounds.lagging)
    session.execute(
        insert(administration).values(
            release_id=request.release,
            specimen_code=product,
            withdrawal_code=case.code,
            donor_code=case.donor,
            amount=amount,
            given=request.given,
            residue=request.residue,
            loss=request.loss,
            volume_ul=request.volume_ul,
            residue_went=request.residue_went,
            by=act.actor.code,
            came_after=list(came_after),
            confirmed_by=None if confirmed is None else confirmed[0].actor.code,
            started_at=started,
            ended_at=ended,
            event_hash=appended[0].leaf_hash,
        )
    )
    if confirmed is not None:
        appended.append(record_on_case(session, confirmed[0], case, confirmed[1], NOW, relies_on=(appended[0].leaf_hash,)))
    state = after(Step.ADMINISTER, case.state, case.moved_on(appended, given=[product]).items)
    given = record_on_case(session, act, case, Given(specimen=product, release=str(request.release), state=state), request)
    set_state(session, case, state)
    now = case.moved_on([*appended, given], state=state, given=[product])
    seen: list[Appended] = []
    if request.reaction:
        happened = Happened(
            kind="reaction", seriousness="not_assessed", in_lot=None, seen_at=ended, words=None, topic="adverse_reaction"
        )
        seen = keep(session, act, now, request, happened)
    told = [] if confirmed is None else tell_quality(session, confirmed[0], case, [product], started, came_after)
    return answer_of(session, act, read_again(session, act, case), [*appended, given, *seen, *told])


def _require_accounted(request: AdministerRequest, product: str, amount: int, unit: str) -> None:
    total = request.given + request.residue + request.loss
    if unit in VOLUMES and request.volume_ul < request.given:
        raise AmountsDoNotAddUp(
            f"{said(request.given, unit)} of {product} cannot lie in {said(request.volume_ul, Unit.UL)}, the volume given.",
            subject=product,
            amount=amount,
        )
    if total != amount:
        raise AmountsDoNotAddUp(
            f"{product} holds {said(amount, unit)}; given, residue and loss come to {said(total, unit)}. Account for every part.",
            subject=product,
            amount=amount,
        )
    if (request.residue > 0) != (request.residue_went is not None):
        left = "A residue was left: say what became of it."
        text = left if request.residue else "No residue was left: leave out what became of it."
        raise AmountsDoNotAddUp(text, subject=product, amount=amount)
