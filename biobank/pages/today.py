"""What waits for the one who is signed in: due, expected, overdue, and what is wrong. Questions only, a fixed number of them.

Each source is asked for at most `SHOWN_EACH` lines, those nearest to their time first, and only when the actor's role has
something to do with it.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any, Literal

from sqlalchemy import select
from sqlmodel import Session

from biobank.acts.bank import Bank
from biobank.acts.two_person import ACTS, list_pending
from biobank.alarms.queries import alarms_calling
from biobank.alarms.rota import rotas, rotas_to_mend
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE
from biobank.custody.material_limits import MISSING_FOR_A_TIME, WARM_TIME_BUDGET
from biobank.custody.models import custody
from biobank.custody.performer_confirmations import own_open_confirmations
from biobank.custody.states import TERMINAL, State
from biobank.donors.life import agreements_ending
from biobank.donors.models import donor
from biobank.donors.visits import waiting_identifications
from biobank.foundation.clock import now
from biobank.foundation.paging import Paging
from biobank.foundation.terms import counted, words
from biobank.monitoring.queries import excursions_to_assess
from biobank.pages.alarms.said import CAUSES
from biobank.pages.people.watched_acts import WHAT
from biobank.pages.quality.notices import NEWS
from biobank.pages.ui.code_pages import code_href
from biobank.pages.withdrawals.withdrawals import OFF_THE_WAY
from biobank.people.resets import shown_today
from biobank.people.slips import slips_to_draw
from biobank.people.watched_acts import own_holds_lifted
from biobank.quality.adverse import adverse_to_do
from biobank.quality.closing_queries import closings_waiting
from biobank.quality.deviations import list_deviations
from biobank.quality.disposal import announced_ends
from biobank.quality.ending import USES
from biobank.quality.holds import liftable, list_holds
from biobank.quality.notices import list_notices
from biobank.shipping.handover_queries import list_handovers
from biobank.shipping.shipment_queries import due_at, list_shipments
from biobank.specimens.models import kit, lot_test, specimen
from biobank.specimens.queries import EXPIRY
from biobank.specimens.scoping import at_sites_of, lots_at_sites_of, specimens_at_sites_of
from biobank.storage.counts import findings_to_settle, list_counts
from biobank.storage.queries import kept_with_others, stored_without_a_slot
from biobank.unfinished.kinds import open_acts
from biobank.webhooks.queries import stuck_webhooks
from biobank.withdrawals.next_acts import COUNT, PRINT, STOPPED, acts_waiting_for
from biobank.withdrawals.outcomes import measures_to_do
from biobank.withdrawals.service import APPROVE_BY_TWO

P = Permission

SHOWN_EACH = 12
SOON = timedelta(days=14)
"""How early a test, a kit or a specimen that is about to expire is shown."""

Urgency = Literal["alarm", "overdue", "waiting", "due", "expected"]
_ORDER: Sequence[Urgency] = ("alarm", "overdue", "waiting", "due", "expected")


@dataclass(frozen=True)
class Task:
    """Something to do: what, with which thing, until or since when. `href` leads to where it is done."""

    what: str
    subject: str
    href: str
    urgency: Urgency
    at: datetime | None = None
    detail: str = ""


@dataclass(frozen=True)
class Trouble:
    """Something that is not as it should be: a hold, an open deviation, a missing tube."""

    what: str
    subject: str
    href: str
    since: datetime
    detail: str = ""


STEP_TASKS: Mapping[str, str] = {
    "approve": "Approve or reject a withdrawal",
    "pick": "Pick a tube for a withdrawal",
    "confirm": "Confirm a pick as the second person",
    "thaw": "Thaw a tube for a withdrawal",
    COUNT: "Count what was thawed for a withdrawal",
    PRINT: "Print the final label of what was thawed",
    "label": "Put the final label on what was thawed",
    "expand": "Record the run in which cells are grown for a withdrawal",
    "issue": "Issue a withdrawal",
    "receive": "A withdrawal is on its way here: receive it",
    "check": "Check a withdrawal at the bedside",
    "administer": "Give what two people have checked",
    "outcome": "Record what became of a withdrawal",
    "return": "A tube of a withdrawal turned up: take it back",
}
"""What the next act of a withdrawal is called, by the name of its step."""

STANDS_STILL = "A withdrawal stands still: see why"
SECOND = ", as the second person"
EXPECTED = ("receive", "outcome")
"""Acts that wait for something else to happen first, which may be done at once all the same."""


def read_tasks(session: Session, actor: Actor, bank: Bank) -> list[Task]:
    """Return what the actor should do or expect, the most urgent first, then by time."""
    at = now()
    sources: Sequence[Callable[[Session, Actor, datetime], Iterator[Task]]] = (
        _alarms,
        _identifications,
        _handovers,
        _pending,
        _own_hands,
        _shipments,
        _tests,
        _kits,
        _agreements,
        _expiring,
        _too_warm,
        _announced_ends,
        _closings,
        _not_finished,
        _counts,
        _findings,
        _without_a_slot,
        _with_others,
        _excursions,
        _notices,
        _adverse,
        _measures,
        _other_systems,
    )
    found = [*_withdrawals(session, actor, bank, at), *(task for source in sources for task in source(session, actor, at))]
    stands = {one.subject for one in found if one.what == STANDS_STILL}
    told_twice = NEWS["withdrawal_stopped"]
    found = [one for one in found if not (one.what == told_twice and one.subject in stands)]
    return sorted(found, key=lambda task: (_ORDER.index(task.urgency), task.at or at))


def _alarms(session: Session, actor: Actor, _at: datetime) -> Iterator[Task]:
    known = rotas(session)
    for one in alarms_calling(session, actor, known, SHOWN_EACH):
        detail = f"{one.acknowledged_by} looks after it" if one.acknowledged_by else "nobody looks after it yet"
        yield Task(CAUSES[one.cause], one.code, code_href(one.code), "alarm", one.raised_at, f"at {one.site}, {detail}")
    for at_site, nobody in rotas_to_mend(known, actor)[:SHOWN_EACH]:
        detail = f"{', '.join(words(who) for who in nobody)}: nobody to call"
        yield Task("Set anew who is called", at_site, f"/rotas/{at_site}/set", "overdue", None, detail)


def _withdrawals(session: Session, actor: Actor, bank: Bank, at: datetime) -> Iterator[Task]:
    shown: Counter[str] = Counter()
    for one in acts_waiting_for(session, actor, bank):
        shown[one.name] += 1
        if shown[one.name] > SHOWN_EACH:
            continue
        if one.name == STOPPED:
            said = f"{', '.join(one.why).lower()}; {words(one.material)} for {one.donor}"
            yield Task(STANDS_STILL, one.withdrawal, code_href(one.withdrawal), "waiting", one.needed_at, said)
            continue
        late = one.needed_at is not None and one.needed_at < at and one.name != "outcome"
        urgency: Urgency = "overdue" if late else "expected" if one.name in EXPECTED else "waiting"
        href = OFF_THE_WAY.get(one.name, f"{code_href(one.withdrawal)}/{one.name}").format(tube=one.tube)
        what = STEP_TASKS[one.name] + (SECOND if one.second else "")
        yield Task(what, one.withdrawal, href, urgency, one.needed_at, f"{words(one.material)} for {one.donor}")


def _identifications(session: Session, actor: Actor, _at: datetime) -> Iterator[Task]:
    for one in waiting_identifications(session, actor, limit=SHOWN_EACH):
        if actor.code not in one.first_logins:
            href = f"/donors/{one.donor}/identify?pending={one.id}"
            detail = f"for {words(one.purpose).lower()}, with {one.first_by}"
            yield Task("Identify as the second person", one.donor, href, "waiting", one.expires_at, detail)


def _handovers(session: Session, actor: Actor, _at: datetime) -> Iterator[Task]:
    for one in list_handovers(session, actor, waiting="me", paging=Paging(limit=SHOWN_EACH)).items:
        detail = f"{counted(len(one.specimens), 'tube')} from {one.from_id}"
        yield Task("Accept or decline a hand-over", one.specimens[0], f"/handovers/{one.id}", "waiting", one.expires_at, detail)


def _pending(session: Session, actor: Actor, _at: datetime) -> Iterator[Task]:
    for one in list_pending(session, actor, paging=Paging(limit=SHOWN_EACH)).items:
        mine = one.is_first(actor.code)
        if one.act == APPROVE_BY_TWO and not mine:
            continue  # The withdrawal itself waits, for those who may sign as the second.
        what = "Your act waits for a second person" if mine else "Sign as the second person"
        detail = f"{ACTS[one.act].label}, proposed by {one.proposed_by}"
        yield Task(what, one.subject, f"/pending/{one.id}", "expected" if mine else "waiting", one.expires_at, detail)
    for row in slips_to_draw(session, actor)[:SHOWN_EACH]:
        yield Task("Draw your half of a one-time code", row.code, f"/slips/{row.slip_id}", "waiting", row.code_expires_at)


def _own_hands(session: Session, actor: Actor, _at: datetime) -> Iterator[Task]:
    for one in own_open_confirmations(session, actor)[:SHOWN_EACH]:
        detail = f"{words(one.kind.partition('.')[2])}, recorded by {one.recorded_by}"
        yield Task("Confirm your work", one.id, "/confirmations", "waiting", one.recorded_at, detail)


def _shipments(session: Session, actor: Actor, at: datetime) -> Iterator[Task]:
    if not actor.may(P.SHIPMENT_RECORD, at=ANYWHERE):
        return
    for one in list_shipments(session, actor, status="in_transit", paging=Paging(limit=SHOWN_EACH)).items:
        due = due_at(one)
        urgency: Urgency = "overdue" if due < at else "expected"
        if urgency == "overdue" and not actor.may(P.SHIPMENT_RECORD, at=one.to_site):
            yield Task("A shipment is overdue: ask the courier", one.code, code_href(one.code), urgency, due, one.courier)
        elif actor.may(P.SHIPMENT_RECORD, at=one.to_site):
            detail = f"{one.underway} of {one.specimens} underway from {one.from_site}"
            yield Task("Receive a shipment", one.code, "/scan?do=receive", urgency, one.dispatched_at, detail)


def _tests(session: Session, actor: Actor, at: datetime) -> Iterator[Task]:
    if not (actor.may(P.QUALITY_DECIDE, at=ANYWHERE) or actor.may(P.PROCESSING_RECORD, at=ANYWHERE)):
        return
    test, done = lot_test, lot_test.alias("done")
    rows = session.execute(
        select(test.c.lot_code, test.c.kind, test.c.due_at)
        .where(
            test.c.result == "pending",
            test.c.due_at < at + SOON,
            ~select(done.c.id).where(done.c.completes == test.c.id).exists(),
            lots_at_sites_of(actor, test.c.lot_code),
        )
        .order_by(test.c.due_at)
        .limit(SHOWN_EACH)
    )
    for row in rows:
        late: Urgency = "overdue" if row.due_at < at else "due"
        yield Task("A test result is due", row.lot_code, code_href(row.lot_code), late, row.due_at, words(row.kind))


def _kits(session: Session, actor: Actor, at: datetime) -> Iterator[Task]:
    if not (actor.may(P.KIT_MANAGE, at=ANYWHERE) or actor.may(P.HARVEST_RECORD, at=ANYWHERE)):
        return
    rows = session.execute(
        select(kit.c.code, kit.c.expires_at, kit.c.site_code)
        .where(kit.c.used_at.is_(None), kit.c.expires_at < at + SOON, at_sites_of(actor, kit.c.site_code, kit.c.home_site_code))
        .order_by(kit.c.expires_at)
        .limit(SHOWN_EACH)
    )
    for row in rows:
        late: Urgency = "overdue" if row.expires_at < at else "due"
        what = "A kit has expired: close it" if late == "overdue" else "A kit expires"
        yield Task(what, row.code, code_href(row.code), late, row.expires_at, f"at {row.site_code}")


def _agreements(session: Session, actor: Actor, at: datetime) -> Iterator[Task]:
    if not actor.may(P.CONSENT_RECORD, at=ANYWHERE):
        return
    for donor_code, ends_on in agreements_ending(session, actor, (at + SOON).date(), SHOWN_EACH):
        ends = datetime.combine(ends_on, time.max, UTC)
        urgency: Urgency = "overdue" if ends < at else "due"
        yield Task("The agreement ends: ask the donor", donor_code, f"/donors/{donor_code}/agreement", urgency, ends)


def _expiring(session: Session, actor: Actor, at: datetime) -> Iterator[Task]:
    if not actor.may(P.QUALITY_DECIDE, at=ANYWHERE):
        return
    rows = session.execute(
        select(specimen.c.code, EXPIRY.label("expires_at"), specimen.c.material)
        .select_from(_specimens())
        .where(at + SOON > EXPIRY, custody.c.state.not_in([one.value for one in TERMINAL]), specimens_at_sites_of(actor))
        .order_by(EXPIRY)
        .limit(SHOWN_EACH)
    )
    for row in rows:
        late: Urgency = "overdue" if row.expires_at < at else "due"
        yield Task("A specimen expires", row.code, code_href(row.code), late, row.expires_at, words(row.material))


def _too_warm(session: Session, actor: Actor, _at: datetime) -> Iterator[Task]:
    if not actor.may(P.QUALITY_DECIDE, at=ANYWHERE):
        return
    why = (WARM_TIME_BUDGET, MISSING_FOR_A_TIME)
    found = list_holds(session, actor, active=True, reasons=why, paging=Paging(limit=SHOWN_EACH)).items
    mine = liftable(session, actor, [one.id for one in found])
    for one in found:
        if one.id in mine:
            yield Task("Decide about time out of the cold", one.scope_id, code_href(one.scope_id), "waiting", one.placed_at)


def _announced_ends(session: Session, actor: Actor, _at: datetime) -> Iterator[Task]:
    for code, owner, reason, not_before in announced_ends(session, actor, SHOWN_EACH):
        detail = f"of {owner}, {words(reason).lower()}: place a hold if you object"
        href = f"{code_href(code)}/end/withdraw" if actor.may(P.QUALITY_DECIDE, at=ANYWHERE) else code_href(code)
        verb = "used up" if reason in USES else "destroyed"
        yield Task(f"Is to be {verb} from then on", code, href, "due", not_before, detail)


def _closings(session: Session, actor: Actor, at: datetime) -> Iterator[Task]:
    for one in closings_waiting(session, actor, SHOWN_EACH):
        here, told = f"/closings/{one.id}", f"{counted(one.units, 'specimen')} to {one.to}"
        if not one.decides:
            detail = f"{counted(one.own, 'unit')} of your patients go to {one.to}: place a hold if you object"
            yield Task("A bank closes and hands over what it keeps", one.site, here, "due", one.not_before, detail)
        elif one.step == "announced":
            yield Task("Record that the other bank takes all", one.site, f"{here}/acceptance", "waiting", one.announced_at, told)
        elif at < one.not_before:
            yield Task("A closing bank may be handed over then", one.site, here, "expected", one.not_before, told)
        else:
            yield Task("Hand over all that a closing bank keeps", one.site, f"{here}/transfer", "waiting", one.not_before, told)


def _not_finished(session: Session, actor: Actor, _at: datetime) -> Iterator[Task]:
    for one in open_acts(session, actor=actor, timed_out=True, limit=SHOWN_EACH):
        yield Task(one.kind.what, one.subject, one.href, "overdue", one.due, "not finished in its time; it can still be finished")


def _counts(session: Session, actor: Actor, _at: datetime) -> Iterator[Task]:
    if not (actor.may(P.STORAGE_RECORD, at=ANYWHERE) or actor.may(P.QUALITY_DECIDE, at=ANYWHERE)):
        return
    for one in list_counts(session, actor, open_only=True, paging=Paging(limit=SHOWN_EACH)).items:
        here = f"/storage/{one.container}/count"
        if one.status == "to_recount" and actor.code not in one.counted_by and actor.may(P.STORAGE_RECORD, at=one.site):
            yield Task("Count a place, by scanning", one.container, here, "waiting", one.counted_at)
        if one.status == "to_resolve" and actor.may(P.QUALITY_DECIDE, at=one.site):
            yield Task("Resolve a count that differs", one.container, f"{here}/resolve", "waiting", one.recounted_at)


def _findings(session: Session, actor: Actor, _at: datetime) -> Iterator[Task]:
    if not actor.may(P.STORAGE_RECORD, at=ANYWHERE):
        return
    for one in findings_to_settle(session, actor, SHOWN_EACH):
        if one.finding == "missing":
            what, href, said = "Not found by two counts: look for it", code_href(one.specimen_code), "or report it missing"
        else:
            what, said = "Seen in another place: move it on the record", f"seen in {one.seen_in}, or put it back"
            href = f"/specimens/{one.specimen_code}/store?container={one.seen_in}"
        yield Task(what, one.specimen_code, href, "waiting", one.resolved_at, said)


def _without_a_slot(session: Session, actor: Actor, _at: datetime) -> Iterator[Task]:
    if not actor.may(P.STORAGE_RECORD, at=ANYWHERE):
        return
    for row in stored_without_a_slot(session, actor, SHOWN_EACH):
        detail = f"in {row.container_code}, place unknown"
        href = f"/specimens/{row.code}/store?container={row.container_code}"
        yield Task("Find its place in the box", row.code, href, "waiting", row.last_occurred_at, detail)


def _with_others(session: Session, actor: Actor, _at: datetime) -> Iterator[Task]:
    if not actor.may(P.STORAGE_RECORD, at=ANYWHERE):
        return
    for row in kept_with_others(session, actor.scope(P.STORAGE_RECORD), limit=SHOWN_EACH):
        what = "Infectious: take it to an isolated place" if row.infectious else "Not infectious: out of the isolated place"
        href, said = f"/specimens/{row.code}/store", f"in {row.container_code}, among others"
        yield Task(what, row.code, href, "overdue", row.last_occurred_at, said)


def _excursions(session: Session, actor: Actor, _at: datetime) -> Iterator[Task]:
    if not actor.may(P.HOLD_LIFT, at=ANYWHERE):
        return
    for row in excursions_to_assess(session, actor, SHOWN_EACH):
        detail = f"in {row.container_code}, {counted(row.to_assess, 'tube')}"
        yield Task("Assess what an excursion reached", row.code, code_href(row.code), "waiting", row.ended_at, detail)


def _notices(session: Session, actor: Actor, _at: datetime) -> Iterator[Task]:
    for one in list_notices(session, actor, open_only=True, mine=True, paging=Paging(limit=SHOWN_EACH)).items:
        units = counted(one.units, "unit")
        here = f"/notices/{one.id}"
        if one.deviation is None:
            yield Task(NEWS[one.reason], one.about, here, "waiting", one.made_at, units)
        else:
            yield Task("Read and acknowledge", one.about, here, "overdue", one.made_at, f"{words(one.reason)}: {units}")


def _adverse(session: Session, actor: Actor, at: datetime) -> Iterator[Task]:
    for one in adverse_to_do(session, actor, SHOWN_EACH):
        judged = one.causality != "not_assessed"
        what = f"Report an adverse {one.kind}" if judged else f"Judge an adverse {one.kind}"
        urgency: Urgency = "waiting" if one.due_at is None else "overdue" if one.due_at < at else "due"
        detail = f"{words(one.seriousness).lower()}, at {one.site}" + ("" if one.authority is None else f", to {one.authority}")
        if judged and one.due_at is None:
            detail += ": no days to report are set there"
        yield Task(what, one.deviation, f"/adverse-events/{one.deviation}", urgency, one.due_at or one.known_at, detail)


def _measures(session: Session, actor: Actor, _at: datetime) -> Iterator[Task]:
    for one in measures_to_do(session, actor, SHOWN_EACH):
        what = "Say why a planned measure was not done" if one.missed else "Take a planned measure"
        urgency: Urgency = "overdue" if one.missed else "due"
        detail = f"{words(one.measure).lower()}, until {one.until}"
        yield Task(what, one.withdrawal, f"{code_href(one.withdrawal)}/outcomes", urgency, None, detail)


def _other_systems(session: Session, actor: Actor, _at: datetime) -> Iterator[Task]:
    """Other systems that are not told of events any more, until somebody does something about it."""
    for one in stuck_webhooks(session, actor, SHOWN_EACH):
        what = "Nothing goes to another system any more" if one.stopped else "Another system did not take events"
        detail = f"{one.name}: {counted(one.undeliverable, 'event')} given up" if one.undeliverable else one.name
        yield Task(what, one.code, f"/webhooks/{one.code}", "waiting", one.since, detail)


def _specimens() -> Any:
    return specimen.join(custody, custody.c.code == specimen.c.code).outerjoin(donor, donor.c.code == specimen.c.donor_code)


def read_troubles(session: Session, actor: Actor) -> list[Trouble]:
    """Return what is not as it should be, the newest first: missing tubes, holds in force, open deviations, resets of logins."""
    found = [
        Trouble(WHAT[one.kind], one.user, code_href(one.user), one.at, f"by {', '.join(one.by)}")
        for one in shown_today(session, actor)
    ]
    found += [
        Trouble("A hold that you placed was lifted", one.about, code_href(one.about), one.at, f"by {', '.join(one.by)}")
        for one in own_holds_lifted(session, actor, SHOWN_EACH)
    ]
    if actor.may(P.SPECIMEN_READ, at=ANYWHERE):
        found += _missing(session, actor)
        for hold in list_holds(session, actor, active=True, paging=Paging(limit=SHOWN_EACH)).items:
            what = f"{words(hold.kind)} hold"
            found.append(Trouble(what, hold.scope_id, code_href(hold.scope_id), hold.placed_at, words(hold.reason)))
    if actor.may(P.DEVIATION_OPEN, at=ANYWHERE):
        for one in list_deviations(session, actor, open_only=True, paging=Paging(limit=SHOWN_EACH)).items:
            detail = f"{words(one.severity)}, {words(one.topic).lower()} at {one.site}"
            found.append(Trouble("Open deviation", one.code, code_href(one.code), one.opened_at, detail))
    return sorted(found, key=lambda trouble: trouble.since, reverse=True)


def _missing(session: Session, actor: Actor) -> Iterator[Trouble]:
    rows = session.execute(
        select(custody.c.code, custody.c.last_occurred_at, custody.c.container_code)
        .select_from(_specimens())
        .where(custody.c.state == State.MISSING.value, specimens_at_sites_of(actor))
        .order_by(custody.c.last_occurred_at.desc())
        .limit(SHOWN_EACH)
    )
    for row in rows:
        yield Trouble("Missing", row.code, code_href(row.code), row.last_occurred_at, row.container_code or "")
