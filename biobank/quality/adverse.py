"""Adverse reactions and adverse events: recorded by the clinic with the withdrawal, reported by quality, which judges them
(`judging.py`).

Each has a deviation, whose code it goes by, and clocks of its own: when it was seen, when the bank knew, when it was reported.
How many days there are to report is the site's to set, for its own authority; where nothing is set no date is shown. Where the
cause may be in the material, every lot of it is held at once (for a tube of no lot, everything of its harvest). What is not given
yet of the same withdrawal is held in any case until quality judged it, unless it was an event that was not serious.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from pydantic import BaseModel, Field
from sqlalchemy import ColumnElement, Row, Select, and_, or_, select, true, update
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.signing import Meaning, use_signature
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE, Scope
from biobank.custody.ledger import Appended, Fact, append
from biobank.custody.legality import Snapshot
from biobank.custody.recording import AHEAD, Circumstances, ImplausibleTime, Instant, acknowledge, head_of
from biobank.custody.snapshots import load
from biobank.custody.states import StreamKind
from biobank.foundation.clock import rfc3339
from biobank.foundation.errors import Conflict, NotFound, Refusal
from biobank.foundation.paging import Listed, Paging, read_page
from biobank.people.queries import get_site
from biobank.quality.adverse_holds import hold_concerned
from biobank.quality.deviations import add_deviation, deviation_scope, words_kept
from biobank.quality.dispositions import cause_refusals
from biobank.quality.incident_events import AdverseRecorded, AdverseReported, ReportingRuleSet
from biobank.quality.independence import harm_behind, independence_refusals
from biobank.quality.models import adverse_event, reporting_rule
from biobank.quality.models import deviation_subject as subject_table
from biobank.quality.schemas import Recorded, Token
from biobank.quality.streams import record_on_stream
from biobank.specimens.models import specimen
from biobank.vault import Keystore, put_document

AdverseKind = Literal["reaction", "event"]
Seriousness = Literal["serious", "not_serious"]
Causality = Literal["unrelated", "unlikely", "possible", "probable", "certain"]


class AdverseNotAssessed(Conflict):
    """It is judged before it is reported."""

    code = "adverse_not_assessed"
    title = "Not assessed yet"


class AdverseReportedAlready(Conflict):
    """It was reported before; what came up since is another report to the same authority, outside this record."""

    code = "adverse_reported"
    title = "Reported already"


class ReportAdverse(Circumstances):
    """It was reported to an authority."""

    authority: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ./_-]{1,39}$", description="Whom, as the site calls them.")
    reference: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ./:_-]{1,79}$", description="The authority's or the sender's number.")
    reported_at: Instant
    signature: Token = None


class ReportingRuleRequest(Circumstances):
    """How many days a site has to report, from when the bank knew of it. The site says what its law asks."""

    site: str = Field(pattern=r"^[A-Z][A-Z0-9]{1,7}$")
    seriousness: Seriousness
    days: int = Field(ge=1, le=365)
    authority: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ./_-]{1,39}$")
    signature: Token = None


class ReportingRulePublic(Recorded):
    """A rule that was just set."""

    site: str
    seriousness: str
    days: int
    authority: str


class AdversePublic(BaseModel):
    """A reaction or event in a list. `due_at`: by when it is reported; null while no rule of the site says."""

    deviation: str
    kind: str
    withdrawal: str
    donor: str
    site: str
    seriousness: str
    causality: str
    in_lot: bool | None
    seen_at: datetime
    known_at: datetime
    recorded_by: str
    due_at: datetime | None
    authority: str | None
    reported_at: datetime | None
    reported_to: str | None
    reference: str | None


class AdverseList(Listed[AdversePublic]):
    """Reactions and events, the newest first."""


class AdverseDetail(AdversePublic):
    """One with its units, and its words for those who treat or decide; `words_kept`: there are some."""

    units: list[str]
    judged_at: list[str] = Field(description="Whose quality judges it: the clinic's, and of the banks that keep its units.")
    words: str | None
    words_kept: bool
    against: list[str] = Field(description="Why you, of those whose quality judges it, are not the one to; empty when you may.")


class AdverseAnswer(AdversePublic, Recorded):
    """How it stands now, how many holds were placed for it, and our signature."""

    held: int = 0


@dataclass(frozen=True)
class Happened:
    """What was seen. `in_lot` None: nobody was asked yet, so the cause may be in the material."""

    kind: AdverseKind
    seriousness: Literal["serious", "not_serious", "not_assessed"]
    in_lot: bool | None
    seen_at: datetime
    words: str | None = None
    topic: str = "adverse_event"


def open_adverse(
    session: Session,
    act: Act,
    given: Circumstances,
    happened: Happened,
    *,
    withdrawal: str,
    donor: str,
    site: str,
    units: Iterable[Snapshot],
    beside: Iterable[Snapshot] = (),
) -> tuple[str, list[Appended], int]:
    """Record what happened with these units, open its deviation, and hold what may share the cause. The caller checked the right.

    `beside`: what else is to be given with them, all of it locked. Returns the deviation's code, what was appended, and how many
    holds were placed.
    """
    tubes = {unit.code: unit for unit in units}
    code, opened = add_deviation(
        session,
        act,
        given,
        severity="critical" if happened.seriousness == "serious" else "major",
        topic=happened.topic,
        site=site,
        description=f"An adverse {happened.kind} with {withdrawal}; its words are kept with it.",
        affected=[("withdrawal", withdrawal), *(("specimen", one) for one in sorted(tubes))],
    )
    words = None
    if happened.words is not None:
        words = put_document(session, act.keystore, donor, {"adverse": happened.words})
    event = AdverseRecorded(
        withdrawal=withdrawal,
        what=happened.kind,
        seriousness=happened.seriousness,
        in_lot=happened.in_lot,
        seen_at=rfc3339(happened.seen_at),
        words=None if words is None else words.hex(),
    )
    recorded = record_on_stream(session, act, code, event, given, site=site, donor_code=donor, relies_on=(opened.leaf_hash,))
    session.execute(
        insert(adverse_event).values(
            deviation_code=code,
            kind=happened.kind,
            withdrawal_code=withdrawal,
            donor_code=donor,
            site_code=site,
            seriousness=happened.seriousness,
            causality="not_assessed",
            in_lot=happened.in_lot,
            seen_at=happened.seen_at,
            known_at=act.at,
            words_commit=words,
            recorded_by=act.actor.code,
            event_hash=recorded.leaf_hash,
        )
    )
    grave = happened.kind == "reaction" or happened.seriousness != "not_serious"
    held = hold_concerned(
        session,
        act,
        tubes.values() if happened.in_lot is not False else (),
        [*tubes.values(), *beside] if grave or happened.in_lot is not False else (),
        site,
        recorded.leaf_hash,
    )
    return code, [opened, recorded, *held], len(held)


_RULE = and_(reporting_rule.c.site_code == adverse_event.c.site_code, reporting_rule.c.seriousness == adverse_event.c.seriousness)


def _rows() -> Select[Any]:
    return select(adverse_event, reporting_rule.c.days, reporting_rule.c.authority).outerjoin(reporting_rule, _RULE)


def _homes_of(deviation: ColumnElement[str] | str) -> Select[tuple[str | None]]:
    about = (subject_table.c.deviation_code == deviation, subject_table.c.subject_kind == "specimen")
    return select(specimen.c.home_site_code).join(subject_table, subject_table.c.subject_id == specimen.c.code).where(*about)


_HOMES = _homes_of(adverse_event.c.deviation_code).correlate(adverse_event)
"""Where its units are kept: a lot of that bank may be concerned, so its quality reads and judges it as the clinic's does."""


def within(scope: Scope) -> ColumnElement[bool]:
    """Return the condition under which an adverse event belongs to a scope: its clinic, or where its units are kept."""
    if scope.everywhere:
        return true()
    return or_(scope.of(adverse_event.c.site_code), _HOMES.where(scope.of(specimen.c.home_site_code)).exists())


def sites_of_adverse(session: Session, code: str, clinic: str) -> list[str]:
    """Return where an adverse event is read and judged: at the clinic and where its units are kept."""
    homes = session.execute(_homes_of(code)).scalars()
    return sorted({clinic, *(home for home in homes if home is not None)})


def find_adverse(session: Session, actor: Actor, code: str, *, lock: bool = False) -> "Row[Any]":
    """Return the row of one that the actor may know of, with its rule of reporting; raise NotFound."""
    found = _rows().where(adverse_event.c.deviation_code == code, within(deviation_scope(actor)))
    row = session.execute(found.with_for_update(of=adverse_event) if lock else found).first()
    if row is None:
        raise NotFound(f"There is no adverse event {code} that you may see.", subject=code)
    return row


ORDERS = {"known_at": adverse_event.c.known_at, "deviation": adverse_event.c.deviation_code}


def list_adverse(session: Session, actor: Actor, *, open_only: bool = False, paging: Paging = Paging()) -> AdverseList:
    """List reactions and events at the sites whose deviations the actor may know of. `open_only`: not reported yet."""
    scope = deviation_scope(actor)
    if not scope:
        actor.require(Permission.DEVIATION_OPEN, at=ANYWHERE)
    statement = _rows().where(within(scope))
    if open_only:
        statement = statement.where(adverse_event.c.reported_at.is_(None))
    page = read_page(session, statement, paging, key=adverse_event.c.deviation_code, orders=ORDERS, default="-known_at")
    return AdverseList(items=[AdversePublic(**public_of(row)) for row in page.rows], **page.ends)


def adverse_to_do(session: Session, actor: Actor, most: int) -> list[AdversePublic]:
    """Return what this actor still has to judge or to report, the earliest known first; not what they gave or recorded."""
    scope = actor.scope(Permission.DEVIATION_DECIDE)
    if not scope:
        return []
    # What is serious waits for its report also where the site has set no days: that the rule is missing is itself to do.
    reportable = reporting_rule.c.days.is_not(None) | (adverse_event.c.seriousness == "serious")
    waits = (adverse_event.c.causality == "not_assessed") | (adverse_event.c.reported_at.is_(None) & reportable)
    statement = _rows().where(within(scope), waits).order_by(adverse_event.c.known_at).limit(most)
    found = [AdversePublic(**public_of(row)) for row in session.execute(statement)]
    behind = harm_behind(session, {one.deviation for one in found}) if found else {}
    barred = {code for code, touches in behind.items() if independence_refusals(actor, code, touches)}
    return [one for one in found if one.causality != "not_assessed" or one.deviation not in barred]


def reads_words(actor: Actor, site: str, judged_at: Collection[str] = ()) -> bool:
    """Say whether somebody reads what was written about a patient at a site: who treats there or decides on deviations there,
    or at one of the sites where it is judged."""
    treats = actor.may(Permission.WITHDRAWAL_ADMINISTER, at=site)
    return treats or actor.may(Permission.DEVIATION_DECIDE, at=[site, *judged_at])


def describe_adverse(session: Session, actor: Actor, keystore: Keystore, code: str) -> AdverseDetail:
    """Return one, with its words for those who treat at its site or decide on deviations there."""
    row = find_adverse(session, actor, code)
    judged_at = sites_of_adverse(session, code, row.site_code)
    reads = reads_words(actor, row.site_code, judged_at)
    words = words_kept(session, keystore, row.words_commit, "adverse") if reads else None
    return AdverseDetail(
        **public_of(row),
        units=units_about(session, code),
        judged_at=judged_at,
        words=words,
        words_kept=row.words_commit is not None,
        against=[one.detail for one in judging_refusals(session, actor, code)] if decides(actor, judged_at) else [],
    )


def decides(actor: Actor, judged_at: Collection[str]) -> bool:
    """Say whether somebody is of the quality that judges an adverse event."""
    return actor.may(Permission.DEVIATION_DECIDE, at=judged_at)


def judging_refusals(session: Session, actor: Actor, code: str) -> list[Refusal]:
    """Return why the actor is not the one to judge an adverse event: what they had to do with it or its units."""
    return cause_refusals(session, actor, code, load(session, units_about(session, code)).values())


def units_about(session: Session, code: str) -> list[str]:
    """Return the units that an adverse event is about, by code."""
    subject = subject_table.c
    of_it = select(subject.subject_id).where(subject.deviation_code == code, subject.subject_kind == "specimen")
    return sorted(session.execute(of_it).scalars())


def units_of_adverse(session: Session, actor: Actor, code: str) -> list[str]:
    """Return the units that an adverse event is about; raise NotFound."""
    find_adverse(session, actor, code)
    return units_about(session, code)


def report_adverse(session: Session, act: Act, code: str, request: ReportAdverse) -> AdverseAnswer:
    """Say to whom it was reported and when, signed "decided". Raises AdverseNotAssessed, AdverseReportedAlready,
    ImplausibleTime."""
    row = find_adverse(session, act.actor, code, lock=True)
    act.require(Permission.DEVIATION_DECIDE, at=sites_of_adverse(session, code, row.site_code), subject=code)
    if row.causality == "not_assessed":
        raise AdverseNotAssessed(f"{code} was not judged yet. Say first how serious it is and what caused it.", subject=code)
    if row.reported_at is not None:
        raise AdverseReportedAlready(f"{code} was reported to {row.reported_to} already.", subject=code)
    if not row.seen_at <= request.reported_at <= act.at + AHEAD:
        raise ImplausibleTime("It was reported after it was seen and not later than now. Check the day.", subject=code)
    signature = use_signature(session, act, request.signature, Meaning.DECIDED)
    event = AdverseReported(
        authority=request.authority,
        reference=request.reference,
        reported_at=rfc3339(request.reported_at),
        days_allowed=row.days,
        signature=str(signature.id),
    )
    reported = record_on_stream(
        session, act, code, event, request, site=row.site_code, donor_code=row.donor_code, relies_on=(bytes(row.event_hash),)
    )
    told = {"reported_at": request.reported_at, "reported_to": request.authority, "reference": request.reference}
    session.execute(update(adverse_event).where(adverse_event.c.deviation_code == code).values(**told))
    return AdverseAnswer(**public_of(find_adverse(session, act.actor, code)), receipt=acknowledge(act, [reported]))


def set_reporting_rule(session: Session, act: Act, request: ReportingRuleRequest) -> ReportingRulePublic:
    """Set how many days a site has to report what is this serious, signed "decided"."""
    act.require(Permission.DEVIATION_DECIDE, at=request.site)
    get_site(session, request.site)
    signature = use_signature(session, act, request.signature, Meaning.DECIDED)
    said = request.model_dump(include={"site", "seriousness", "days", "authority"})
    head = head_of(session, act, request, subject=None, site=request.site)
    event = ReportingRuleSet(**said, signature=str(signature.id))
    done = append(session, [Fact(StreamKind.SYSTEM, request.site, event, head)])
    row: dict[str, Any] = {"days": request.days, "authority": request.authority, "event_hash": done[0].leaf_hash}
    keyed = insert(reporting_rule).values(site_code=request.site, seriousness=request.seriousness, **row)
    session.execute(keyed.on_conflict_do_update(index_elements=["site_code", "seriousness"], set_=row))
    return ReportingRulePublic(**said, receipt=acknowledge(act, done))


def public_of(row: "Row[Any]") -> dict[str, Any]:
    """Return its members as they travel."""
    same = ("kind", "seriousness", "causality", "in_lot", "seen_at", "known_at", "recorded_by", "authority")
    told = ("reported_at", "reported_to", "reference")
    return {name: getattr(row, name) for name in (*same, *told)} | {
        "deviation": row.deviation_code,
        "withdrawal": row.withdrawal_code,
        "donor": row.donor_code,
        "site": row.site_code,
        "due_at": None if row.days is None else row.known_at + timedelta(days=row.days),
    }
