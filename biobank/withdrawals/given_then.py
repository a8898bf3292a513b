"""What was done on paper is judged as of the time it was done, by what is known of that time now.

What was given is given: a hold placed afterwards, or a test that failed afterwards, is no reason to leave it out of the record.
It is recorded all the same, by two people (`given_before.py`), marked with the codes of what stands against it now, and a
deviation tells quality. So it is with what hands did before that: a tube that was picked, thawed, labelled or issued on paper is
out, thawed, gone; a deviation says what came afterwards. What stood against it at its own time and was written down only later
came to light since: nobody could know it, so it counts as what came afterwards. What the bank knew by that time, also if it was
lifted since, refuses it as ever (`against_a_stop.py` says what becomes of that on paper). Of a live giving one thing is asked
too: whether the time for use, or the release for longer than the bank allows, ran out between the hour that is stated and its
entry, or the band that was checked was taken off. Then it is entered by two in the same way.

Of the record the holds, quality's decision, the results of the lot's tests, the donor's death and the taking back of a consent
are read as of then; what was seen of the tube and the tube's place in the workflow are judged as for any other act.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Final, NamedTuple

from sqlalchemy import RowMapping, select
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.auth.actor import Actor
from biobank.custody.entry import parse_entry
from biobank.custody.holds_then import holds_then, stays_of
from biobank.custody.ledger import Appended
from biobank.custody.legality import Snapshot
from biobank.custody.rebuild import entries_of, steps_of
from biobank.custody.recording import NOW, Circumstances
from biobank.custody.states import StreamKind
from biobank.foundation.clock import rfc3339
from biobank.foundation.errors import Conflict, Refusal, raise_first
from biobank.quality.deviations import add_deviation
from biobank.quality.lot_tests import read_lot_tests
from biobank.transparency.models import event
from biobank.withdrawals.case import Case
from biobank.withdrawals.step_rules import Grounds, consents_of, read_grounds

GIVEN: Final = "given"

Rule = Callable[[Actor, Case, Grounds, str], list[Refusal]]


class EnteredByTwo(Conflict):
    """Something came after it that stands against it now: whoever gave it and somebody of quality enter it together."""

    code = "entered_by_two"
    title = "Two people enter this"


def ran_out_since(case: Case, release: RowMapping | None, product: str, at: datetime, within: timedelta) -> tuple[str, ...]:
    """Return what ran out between a live giving and its entry at `at`: the time for use of the cells, or the release for longer
    than `within`. One person's word for the earlier hour is not enough then. Pure.
    """
    found = []
    until = case.tubes[product].expires_at
    if until is not None and until <= at:
        found.append("expired")
    if release is not None and at - release["expires_at"] > within:
        found.append("release_expired")
    return tuple(found)


class Judged(NamedTuple):
    """What was allowed at its own time. `tube`: with the holds of then, for the entry; `came_after`: codes of what stands against
    it now and did not then, as far as anybody knew; `grounds`: by which it was allowed.
    """

    tube: Snapshot
    came_after: tuple[str, ...]
    grounds: Grounds


def entered_by_two(code: str, product: str, came_after: Collection[str]) -> EnteredByTwo:
    """The refusal of one person's word for what was given before something was recorded that stands against it."""
    words = ", ".join(one.replace("_", " ") for one in came_after)
    return EnteredByTwo(
        f"What stands against {product} now came after it was given: {words}. Enter it on the page 'It was given before' "
        f"of {code}; somebody of quality signs it too.",
        subject=product,
        came_after=list(came_after),
    )


def judged_then(
    session: Session,
    act: Act,
    case: Case,
    grounds: Grounds,
    product: str,
    at: datetime,
    rule: Rule,
    giver: Actor,
    ran_out: Sequence[str] = (),
) -> Judged:
    """Judge a tube at a time gone by, by the rule that judges it now; raise the first reason of then. `giver`: who did it;
    `ran_out`: what ran out since.
    """
    past = _past(session, act, case, grounds, [product], at, lambda one, of: rule(giver, one, of, product))
    raise_first(past.against)
    now = [*past.came_to_light, *rule(giver, case, grounds, product), *_consents_now(session, act, case, [product])]
    return Judged(past.held[product], tuple(dict.fromkeys([*_codes(now), *ran_out])), past.grounds)


class Handled(NamedTuple):
    """What hands did with tubes, judged. `against`: why not, as of when it was done; `case`: with the holds of then, to write;
    `came_after`: codes of what stands against it now and did not then: only of what was done on paper.
    """

    against: Sequence[Refusal]
    case: Case
    grounds: Grounds
    came_after: tuple[str, ...] = ()


def judged_by_hands(
    session: Session,
    act: Act,
    case: Case,
    request: Circumstances,
    tubes: Collection[str],
    rule: Callable[[Case, Grounds], list[Refusal]],
) -> Handled:
    """Judge what hands did with `tubes`: whoever scans does it now, whatever time is stated, so both count; from paper, as of
    when it was done.
    """
    at = request.occurred_at
    if request.paper is None or at is None:
        grounds = read_grounds(session, act.bank, [case.donor], act.at, of=at, decided=True)[case.donor]
        return Handled(rule(case, grounds), case, grounds)
    grounds = read_grounds(session, act.bank, [case.donor], act.at, of=at)[case.donor]
    past = _past(session, act, case, grounds, tubes, at, rule)
    now = [] if past.against else [*past.came_to_light, *rule(case, grounds), *_consents_now(session, act, case, tubes)]
    return Handled(past.against, replace(case, tubes={**case.tubes, **past.held}), past.grounds, _codes(now))


class _Past(NamedTuple):
    """What a rule said at a time gone by. `against`: what was known then; `came_to_light`: what stood and was written down since;
    `held`: the tubes with the holds of then, and `grounds`: both as known when it counts, for the entry.
    """

    against: Sequence[Refusal]
    came_to_light: Sequence[Refusal]
    held: dict[str, Snapshot]
    grounds: Grounds


def _past(
    session: Session,
    act: Act,
    case: Case,
    grounds: Grounds,
    tubes: Collection[str],
    at: datetime,
    rule: Callable[[Case, Grounds], list[Refusal]],
) -> _Past:
    """Ask a rule about a time gone by: by all that is known of it now, and where that refuses, by what was known of it then."""
    as_it_stood, held = _then(session, case, tubes, at, act.at)
    stood = rule(as_it_stood, strictly(grounds))
    if not stood:
        return _Past([], [], held, strictly(grounds))
    as_it_seemed, seen = _then(session, case, tubes, at, at)
    of_then = strictly(_known_by(session, grounds, at))
    known = {one.code for one in rule(as_it_seemed, of_then)}
    against = [one for one in stood if one.code in known]
    return _Past(against, [] if against else stood, seen, of_then)


def _known_by(session: Session, grounds: Grounds, known: datetime) -> Grounds:
    """The same without the taking back of consents that was written down after `known`."""
    taken_back = [bytes(row.revoked_event) for row in grounds.consents if row.revoked_at is not None]
    since = select(event.c.leaf_hash).where(event.c.leaf_hash.in_(taken_back), event.c.recorded_at > known)
    later = {bytes(leaf) for leaf in session.execute(since).scalars()} if taken_back else set()
    consents = [
        SimpleNamespace(**{**row._mapping, "revoked_at": None, "revoked_event": None})
        if row.revoked_at is not None and bytes(row.revoked_event) in later
        else row
        for row in grounds.consents
    ]
    return replace(grounds, consents=consents)


def _then(
    session: Session, case: Case, tubes: Collection[str], at: datetime, known: datetime
) -> tuple[Case, dict[str, Snapshot]]:
    """Return the case as these tubes and its donor stood at a time gone by, as known at `known`, and the tubes with the holds of
    then.
    """
    held: dict[str, Snapshot] = {}
    stood: dict[str, Snapshot] = {}
    findings = dict(case.findings)
    for code in sorted(tubes):
        tube = case.tubes[code]
        steps = list(steps_of(entries_of(session, code, at=at, as_known_at=known)))
        held[code] = replace(tube, holds=tuple(holds_then(session, code, stays_of(steps), at, known)))
        quality = steps[-1][1].quality if steps else tube.projection.quality
        stood[code] = replace(held[code], projection=replace(tube.projection, quality=quality))
        tests = read_lot_tests(session, [tube.lot_code], at, until=at, known=known)[tube.lot_code]
        findings[code] = replace(case.findings[code], tests=tests)
    row = {**case.row, "donor_status": _status_then(session, case, at, known)}
    return replace(case, row=row, tubes={**case.tubes, **stood}, findings=findings), held


def _consents_now(session: Session, act: Act, case: Case, tubes: Collection[str]) -> list[Refusal]:
    today = read_grounds(session, act.bank, [case.donor], act.at)[case.donor]
    return consents_of(case, today, tubes)[1]


def _codes(refusals: Sequence[Refusal]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(one.code for one in refusals))


def strictly(grounds: Grounds) -> Grounds:
    """The same as of its own time: a consent counts up to the moment in which it was taken back, a release until it was ended."""
    return replace(grounds, margin=timedelta(0), then=True)


def _status_then(session: Session, case: Case, at: datetime, known: datetime) -> str:
    """The donor's status as of a time, by what was known of it at `known`: what somebody said later of an earlier day counts."""
    said = select(event.c.entry, event.c.occurred_at).where(
        event.c.stream_kind == StreamKind.DONOR.value, event.c.stream_id == case.donor, event.c.kind == "donor.status_changed"
    )
    said = said.where(event.c.recorded_at <= known)
    status = "living"
    for row in session.execute(said.order_by(event.c.seq)):
        body = parse_entry(bytes(row.entry))["body"]
        status = body["status"] if row.occurred_at <= at else status
    return "erased" if case.donor_status == "erased" else status


def tell_quality(
    session: Session,
    act: Act,
    case: Case,
    tubes: Collection[str],
    at: datetime,
    came_after: Collection[str],
    done: str = GIVEN,
) -> list[Appended]:
    """Open a deviation about what was done before it was known that it should not be; nothing when nothing came after."""
    if not came_after:
        return []
    words = ", ".join(code.replace("_", " ") for code in came_after)
    which = ", ".join(sorted(tubes))
    _, opened = add_deviation(
        session,
        act,
        NOW,
        severity="critical" if done == GIVEN else "major",
        topic=f"{done}_before_it_was_known",
        site=case.clinic if done == GIVEN else next(iter(case.tubes.values())).projection.site_code or case.clinic,
        description=f"{which}: {done} at {rfc3339(at)}. What stands against it now came, or came to light, afterwards: {words}.",
        affected=[*(("specimen", tube) for tube in sorted(tubes)), ("withdrawal", case.code)],
    )
    return [opened]
