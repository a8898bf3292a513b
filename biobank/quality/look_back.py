"""From a cause to everything it can have reached: look-back asks, recall freezes the answer.

A cause is a person, a lot, a specimen, a place and a time, an operator and a time, a shipment, or an entry of the registers (a
reagent lot, a device, a procedure …), at any time or between two. Everything derived from
what is found belongs to the set too, unless asked otherwise. The set is read from the log (places and persons as they were
then), not from where things are now.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

from sqlalchemy import TextClause, insert, text
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import EVERYWHERE
from biobank.custody import holds as custody_holds
from biobank.custody.chronology import require_not_ahead
from biobank.custody.ledger import append
from biobank.custody.recording import NOW, acknowledge, head_of
from biobank.custody.snapshots import load
from biobank.custody.states import HoldKind
from biobank.donors.visibility import current_code
from biobank.foundation.clock import now, rfc3339
from biobank.foundation.errors import Conflict
from biobank.monitoring.presence import inside_during, own_cold_inside
from biobank.quality.deviations import add_deviation
from biobank.quality.incident_events import LookBackMade, RecallStarted
from biobank.quality.models import recall as recall_table
from biobank.quality.models import recall_item
from biobank.quality.notices import concerned, give_notices
from biobank.quality.releases import end_releases, given_members, givings_of_releases
from biobank.quality.schemas import Criteria, LookBackAnswer, ReachedSpecimen, RecallAnswer, RecallRequest
from biobank.quality.streams import digest_of, record_on_stream
from biobank.specimens.touched import touched_by

LIMIT = 5000
"""The largest set one answer holds, and one recall freezes in one transaction."""


class LookBackTooWide(Conflict):
    """The criteria reach more specimens than one answer can hold."""

    code = "look_back_too_wide"
    title = "Too many specimens"


class NothingReached(Conflict):
    """A recall of nothing."""

    code = "nothing_to_recall"
    title = "Nothing to recall"


_FOUND = {
    "donor": "SELECT code FROM specimen WHERE donor_code = :donor",
    "lot": "SELECT code FROM specimen WHERE lot_code = :lot",
    "specimen": "SELECT code FROM specimen WHERE code = :specimen",
    "operator": """
        SELECT DISTINCT stream_id FROM event
        WHERE stream_kind = 'specimen'
          AND least(occurred_at, recorded_at) <= :until AND greatest(occurred_at, recorded_at) >= :since
          AND (recorded_by = :operator
               OR EXISTS (SELECT 1 FROM jsonb_array_elements(convert_from(entry, 'UTF8')::jsonb -> 'performed') AS p
                          WHERE p ->> 'user' = :operator))""",
    "shipment": """
        SELECT DISTINCT stream_id FROM event
        WHERE stream_kind = 'specimen' AND convert_from(entry, 'UTF8')::jsonb -> 'body' ->> 'shipment' = :shipment""",
    "entry": "SELECT unnest(CAST(:inside AS text[]))",
    "container": "SELECT unnest(CAST(:inside AS text[]))",
}


def _statement(start: str) -> TextClause:
    return text(
        f"""
        WITH RECURSIVE found(code) AS ({_FOUND[start]}),
        line(code) AS (
            SELECT code FROM found
            UNION
            SELECT p.child_code FROM line JOIN specimen_parent p ON p.parent_code = line.code WHERE :derivatives
        )
        SELECT c.code AS specimen, c.donor_code AS donor, c.state, c.quality, c.site_code AS site,
               c.administered_under
        FROM line JOIN custody c ON c.code = line.code
        ORDER BY c.code LIMIT :limit
        """  # noqa: S608 - the parts interpolated are our own constants
    )


_STATEMENTS = {start: _statement(start) for start in _FOUND}


def reached(session: Session, criteria: Criteria) -> list[ReachedSpecimen]:
    """Return every specimen the cause can have reached, by code; raise AskedAhead, and LookBackTooWide above 5,000."""
    require_not_ahead(criteria.since, criteria.until)
    (start,) = (name for name in _FOUND if getattr(criteria, name) is not None)
    parameters = {start: getattr(criteria, start), "derivatives": criteria.derivatives, "limit": LIMIT + 1}
    if criteria.donor is not None:
        parameters |= {"donor": current_code(session, criteria.donor)}
    if criteria.entry is not None:
        since, until = criteria.since or datetime(1970, 1, 1, tzinfo=UTC), criteria.until or now()
        parameters |= {"inside": sorted(touched_by(session, criteria.entry, since, until))}
    if start == "operator":
        parameters |= {"since": criteria.since, "until": criteria.until}
    if criteria.container is not None and criteria.since is not None and criteria.until is not None:
        # What was made of them in their time is among them already; what was made before is not affected.
        inside = inside_during(
            session, criteria.container, criteria.since, criteria.until, derivatives=criteria.derivatives, limit=LIMIT + 1
        )
        parameters |= {"inside": sorted(inside), "derivatives": False}
    rows = session.execute(_STATEMENTS[start], parameters).mappings().all()
    if len(rows) > LIMIT:
        raise LookBackTooWide(f"This reaches more than {LIMIT} specimens. Narrow the time or the place and ask in parts.")
    given = {row["administered_under"] for row in rows if row["administered_under"] is not None}
    givings = givings_of_releases.get()(session, given) if given else {}
    return [ReachedSpecimen.model_validate(dict(row) | given_members(givings.get(row["administered_under"]))) for row in rows]


def make_look_back(session: Session, act: Act, criteria: Criteria) -> LookBackAnswer:
    """Answer a look-back and record which set was shown."""
    # A cause knows no sites: whoever asks what it reached must be allowed to know all of it.
    act.require(Permission.LOG_READ, at=EVERYWHERE)
    items = reached(session, criteria)
    look_back = uuid4()
    event = LookBackMade(
        criteria=quoted(criteria),
        subjects=len(items),
        subjects_sha256=digest_of([i.specimen for i in items]),
        recipients=recipients_of(items),
    )
    appended = record_on_stream(session, act, str(look_back), event, NOW, site=None)
    return LookBackAnswer(
        id=look_back,
        items=items,
        specimens=len(items),
        recipients=recipients_of(items),
        keep_their_own_cold=left_apart(session, criteria),
        receipt=acknowledge(act, [appended]),
    )


def read_again(session: Session, actor: Actor, criteria: Criteria) -> tuple[list[ReachedSpecimen], list[str]]:
    """Read the set of a look-back that was recorded once more, for the form that could not freeze it; and what it left apart."""
    actor.require(Permission.LOG_READ, at=EVERYWHERE)
    return reached(session, criteria), left_apart(session, criteria)


def left_apart(session: Session, criteria: Criteria) -> list[str]:
    """Return the containers inside a place that a look-back did not reach because they keep their own cold."""
    if criteria.container is None or criteria.since is None or criteria.until is None:
        return []
    return own_cold_inside(session, criteria.container, criteria.since, criteria.until)


def start_recall(session: Session, act: Act, request: RecallRequest) -> RecallAnswer:
    """Freeze the set: a recall hold on every specimen, open bedside releases ended, a deviation that says why."""
    act.require(Permission.RECALL_START, at=EVERYWHERE)
    items = reached(session, request.criteria)
    if not items:
        raise NothingReached("Nothing that was ever recorded fits these criteria, so there is nothing to freeze.")
    codes = [item.specimen for item in items]
    recall = uuid4()
    deviation, opened = add_deviation(
        session,
        act,
        request,
        severity=request.severity,
        topic="recall",
        site=request.site,
        description=request.description,
        affected=[("specimen", code) for code in codes],
    )
    killed = end_releases.get()(session, codes, at=act.at, because="recall")
    snapshots = load(session, codes, lock=True)
    facts = [
        custody_holds.specimen_hold_fact(
            specimen,
            HoldKind.RECALL,
            head_of(
                session,
                act,
                NOW,
                subject=None,
                site=specimen.projection.site_code,
                last=specimen.last_occurred_at,
                relies_on=(opened.leaf_hash,),
            ),
            reason=request.reason,
        )
        for specimen in (snapshots[code] for code in codes)
    ]
    event = RecallStarted(
        recall=str(recall),
        criteria=quoted(request.criteria),
        reason=request.reason,
        subjects=len(codes),
        subjects_sha256=digest_of(codes),
        recipients=recipients_of(items),
        releases_killed=killed,
    )
    holds = append(session, facts)
    hold_ids = custody_holds.keep_placed(session, facts, holds)
    started = record_on_stream(session, act, deviation, event, request, site=request.site, relies_on=(opened.leaf_hash,))
    session.execute(
        insert(recall_table).values(
            id=recall,
            deviation_code=deviation,
            criteria=quoted(request.criteria),
            reason=request.reason,
            specimens=len(codes),
            started_at=act.at,
            started_by=act.actor.code,
            started_event=started.leaf_hash,
        )
    )
    session.execute(
        insert(recall_item),
        [
            {"recall_id": recall, "specimen_code": i.specimen, "hold_id": hold_id, "withdrawal_code": i.withdrawal}
            for i, hold_id in zip(items, hold_ids, strict=True)
        ],
    )
    donors = {item.donor for item in items if item.donor is not None}
    told = give_notices(
        session,
        act,
        concerned(session, codes, donors),
        reason="recall",
        about=deviation,
        deviation=deviation,
        site=request.site,
        relies_on=started.leaf_hash,
    )
    return RecallAnswer(
        id=recall,
        deviation=deviation,
        items=items,
        specimens=len(items),
        recipients=recipients_of(items),
        releases_killed=killed,
        receipt=acknowledge(act, [opened, *holds, started, *told]),
    )


def recipients_of(items: Sequence[ReachedSpecimen]) -> int:
    """Count the people who were given something of the set."""
    return len({item.donor for item in items if item.withdrawal is not None})


def quoted(criteria: Criteria) -> dict[str, Any]:
    """Return the criteria as an entry quotes them: codes, instants, no nulls."""
    named: dict[str, Any] = {}
    for name in Criteria.model_fields:
        value = getattr(criteria, name)
        if value is not None:
            named[name] = rfc3339(value) if name in ("since", "until") else value
    return named
