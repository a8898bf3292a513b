"""What becomes of a donor: death with its date and source, who cannot be reached, and the agreement about keeping with its end.

A death stops every use at once (a hold), and what the person instructed for that case says what follows. Somebody who cannot be
reached loses nothing: nothing of theirs is destroyed until quality looked. The date and the source of a death are in the vault.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any, Final, Self
from uuid import UUID, uuid4

from pydantic import BaseModel, Field, model_validator
from sqlalchemy import Row, func, insert, select, update
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.custody.recording import AHEAD, NOW, Circumstances
from biobank.custody.reversal import evidence_stored
from biobank.custody.states import HoldKind
from biobank.donors import events
from biobank.donors.consents import came_to_light, consents_given, taken_back_at
from biobank.donors.events import AgreementMade, DeathRecorded, OnDeath, StatusChanged, WordsRead
from biobank.donors.identity import keep_document
from biobank.donors.models import donor, donor_agreement, identification
from biobank.donors.recording import hold_donor, record_on_donor, recorded
from biobank.donors.schemas import LAST_YEAR, OLDEST_PAPER_YEAR, Recorded
from biobank.donors.visibility import get_visible_donor, require_not_erased
from biobank.foundation.errors import Conflict, NotFound
from biobank.foundation.kept_files import FileHash
from biobank.vault import open_document

DeathSource = events.DeathSource

FOLLOWS: Final[Mapping[OnDeath | None, str]] = {
    "destroy": "The person wanted it destroyed: quality announces the end of each unit with the reason “donor deceased”.",
    "keep_until_end_of_term": "The person wanted it kept until the end of the term: nothing is destroyed before.",
    "donate_to_research": "The person gave it to research: nothing is used for treatment, and nothing is destroyed.",
    "ask_representative": "The person's representative is asked, whom the consent names; nothing is destroyed before.",
    None: "The person left no instruction that is in force: nothing is used and nothing is destroyed; quality decides.",
}
"""What follows a death, by what the person instructed; None: nothing."""


class DeathOnRecord(Conflict):
    """The death of this donor is on record already."""

    code = "death_on_record"
    title = "Death on record"


class DeathInFuture(Conflict):
    """Nobody died on a day that is still to come."""

    code = "death_in_future"
    title = "A day to come"


class AgreementBackwards(Conflict):
    """An agreement cannot have been signed later than now."""

    code = "agreement_in_future"
    title = "Agreement in the future"


class RecordDeath(Circumstances):
    """That a donor died: when, and from whom the bank knows it."""

    died_on: date
    source: DeathSource
    document_sha256: FileHash | None = Field(default=None, description="The certificate or letter, stored before.")

    @model_validator(mode="after")
    def _with_its_paper(self) -> Self:
        if self.source == "death_certificate" and self.document_sha256 is None:
            raise ValueError("store the certificate and name it")
        if self.died_on.year < OLDEST_PAPER_YEAR:
            raise ValueError("the day of death cannot be right")
        return self


class DeathAnswer(Recorded):
    """It is on record; `follows` says what the person's instruction asks for."""

    instruction: OnDeath | None
    follows: str


class DeathPublic(BaseModel):
    """What is known of a death. Asking is recorded."""

    donor: str
    died_on: date
    source: DeathSource
    instruction: OnDeath | None
    follows: str


class DiedBeforeSeen(Conflict):
    """Somebody who was identified here in person was alive that day."""

    code = "died_before_seen"
    title = "Seen after that day"


class MakeAgreement(Circumstances):
    """The agreement about keeping a donor's cells, as it was signed: its terms and the days between which it holds."""

    terms: Annotated[
        str, Field(pattern=r"^[A-Za-z0-9._-]{1,40}$", description="Version of the terms, as it stands on the paper.")
    ]
    document_sha256: FileHash = Field(description="The signed agreement, stored before: POST /attachments.")
    begins_on: date
    ends_on: date

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.ends_on <= self.begins_on:
            raise ValueError("it ends before it begins")
        if self.begins_on.year < OLDEST_PAPER_YEAR or self.ends_on.year >= LAST_YEAR:
            raise ValueError("its days cannot be right")
        return self


class AgreementPublic(BaseModel):
    """One agreement; the latest end counts."""

    id: UUID
    terms: str
    document_sha256: str
    begins_on: date
    ends_on: date
    recorded_at: datetime
    recorded_by: str


class AgreementList(BaseModel):
    """The agreements of a donor, the latest end first; `ends_on` is null where there is none."""

    donor: str
    ends_on: date | None
    items: list[AgreementPublic]


class AgreementRecorded(Recorded):
    """The agreement is on record."""

    agreement: UUID


def record_death(session: Session, act: Act, code: str, request: RecordDeath) -> DeathAnswer:
    """Record a death. Every use is held from now on, for whatever day it is dated.

    Raises NotFound, NotPermitted, DonorErased, DeathOnRecord, DeathInFuture, DiedBeforeSeen, AttachmentUnknown.
    """
    row = get_visible_donor(session, act.actor, code, lock=True)
    site = row.clinic_site_code
    act.require(Permission.DONOR_REGISTER, at=site)
    require_not_erased(row)
    if row.status == "deceased":
        raise DeathOnRecord(f"The death of {code} is on record already.", subject=code)
    if request.died_on > (act.at + AHEAD).date():
        raise DeathInFuture("The day of death is still to come. Check the date.", subject=code)
    seen = session.execute(select(func.max(identification.c.completed_at)).where(identification.c.donor_code == code)).scalar()
    # A day's grace: it may still be the day before where the person was.
    if seen is not None and request.died_on < seen.date() - timedelta(days=1):
        raise DiedBeforeSeen(f"{code} was identified in person on {seen:%Y-%m-%d}, after that day. Check the date.", subject=code)
    if request.document_sha256 is not None:
        evidence_stored.get()(session, request.document_sha256, code)
    instruction = instruction_of(session, code, act.at)
    told = {"died_on": request.died_on.isoformat(), "source": request.source}
    commit = keep_document(session, act, code, "death", told)
    facts = [
        StatusChanged(status="deceased", before=row.status),
        DeathRecorded(told=commit.hex(), document_sha256=request.document_sha256, instruction=instruction),
    ]
    appended = record_on_donor(session, act, code, facts, request, site=site)
    session.execute(update(donor).where(donor.c.code == code).values(status="deceased", death_commit=commit))
    # Of the day itself only what is stated tells which came first; from the next day on whatever was given came after.
    next_day = datetime.combine(request.died_on + timedelta(days=1), time.min, UTC)
    since = next_day if request.occurred_at is None else min(next_day, request.occurred_at)
    appended += came_to_light.get()(session, act, code, since, "donor_deceased", appended[0].leaf_hash)
    placed = hold_donor(session, act, code, HoldKind.DONOR_DECEASED, reason="donor_deceased", site=site)
    appended += [placed[1]] if placed is not None else []
    return DeathAnswer(**recorded(act, code, appended), instruction=instruction, follows=FOLLOWS[instruction])


def instruction_of(session: Session, code: str, at: datetime) -> OnDeath | None:
    """Return what the donor instructed for the case of death, by the latest instruction in force; None: nothing."""
    given = _instruction(session, code, at)
    on_death: OnDeath | None = None if given is None else given.on_death
    return on_death


@dataclass(frozen=True)
class Wished:
    """Whether what is kept of a donor was to be destroyed by now, by the person's own instruction."""

    after_death: bool = False
    after_term: bool = False


def destruction_wished(session: Session, code: str, at: datetime) -> Wished:
    """Return it: after a death, or after the last agreement ended. One statement where neither happened."""
    a = donor_agreement.c
    last = select(func.max(a.ends_on)).where(a.donor_code == donor.c.code).scalar_subquery().label("ends_on")
    row = session.execute(select(donor.c.status, last).where(donor.c.code == code)).one()
    over = row.ends_on is not None and row.ends_on < at.date()
    if row.status != "deceased" and not over:
        return Wished()
    wish = _instruction(session, code, at)
    if wish is None:
        return Wished()
    return Wished(row.status == "deceased" and wish.on_death == "destroy", over and wish.at_end_of_term == "destroy")


def _instruction(session: Session, code: str, at: datetime) -> "Row[Any] | None":
    """Return the latest instruction for death and the end of the term that is in force."""
    given = consents_given(session, [code], "death_and_end_of_term", at)[code]
    return given[0] if given and taken_back_at(given[0], given) is None else None


def read_death(session: Session, act: Act, code: str) -> DeathPublic:
    """Read when a donor died and who said so; that somebody read it is recorded. Raises NotFound, NotPermitted."""
    row = get_visible_donor(session, act.actor, code)
    if not act.actor.may(Permission.QUALITY_DECIDE, at=row.clinic_site_code):
        act.require(Permission.IDENTITY_READ, at=row.clinic_site_code)
    told = None if row.death_commit is None else open_document(session, act.keystore, row.death_commit)
    if told is None:
        raise NotFound(f"Nothing is on record of a death of {code}.", subject=code)
    read = WordsRead(what="death", about=code, words=bytes(row.death_commit).hex())
    record_on_donor(session, act, code, [read], NOW, site=row.clinic_site_code)
    instruction = instruction_of(session, code, act.at)
    return DeathPublic(donor=code, **told, instruction=instruction, follows=FOLLOWS[instruction])


def make_agreement(session: Session, act: Act, code: str, request: MakeAgreement) -> AgreementRecorded:
    """Record an agreement that was signed. Raises NotFound, NotPermitted, DonorErased, AttachmentUnknown, AgreementBackwards."""
    row = get_visible_donor(session, act.actor, code, lock=True)
    act.require(Permission.CONSENT_RECORD, at=row.clinic_site_code)
    require_not_erased(row)
    if request.begins_on > (act.at + AHEAD).date():
        raise AgreementBackwards("The agreement begins on a day to come. Record it when it holds.", subject=code)
    evidence_stored.get()(session, request.document_sha256, code)
    agreement = uuid4()
    event = AgreementMade(
        agreement=str(agreement),
        terms=request.terms,
        document_sha256=request.document_sha256,
        begins_on=request.begins_on.isoformat(),
        ends_on=request.ends_on.isoformat(),
    )
    appended = record_on_donor(session, act, code, [event], request, site=row.clinic_site_code)
    values = request.model_dump(include={"terms", "document_sha256", "begins_on", "ends_on"})
    session.execute(
        insert(donor_agreement).values(
            id=agreement,
            donor_code=code,
            **values,
            recorded_at=act.at,
            recorded_by=act.actor.code,
            event_hash=appended[0].leaf_hash,
        )
    )
    return AgreementRecorded(**recorded(act, code, appended), agreement=agreement)


def list_agreements(session: Session, actor: Actor, code: str) -> AgreementList:
    """Answer GET /donors/{code}/agreements. Raises NotFound."""
    get_visible_donor(session, actor, code)
    a = donor_agreement.c
    rows = session.execute(select(donor_agreement).where(a.donor_code == code).order_by(a.ends_on.desc(), a.recorded_at)).all()
    items = [AgreementPublic(**{name: getattr(row, name) for name in AgreementPublic.model_fields}) for row in rows]
    return AgreementList(donor=code, ends_on=items[0].ends_on if items else None, items=items)


def agreements_ending(session: Session, actor: Actor, before: date, limit: int) -> Sequence[tuple[str, date]]:
    """Return the donors of the actor's clinics whose last agreement ends before a day, the earliest first, for Today."""
    a = donor_agreement.c
    scope = actor.scope(Permission.CONSENT_RECORD)
    later = donor_agreement.alias()
    statement = (
        select(a.donor_code, a.ends_on)
        .join(donor, donor.c.code == a.donor_code)
        .where(
            a.ends_on < before,
            donor.c.status == "living",
            scope.of(donor.c.clinic_site_code),
            ~select(later.c.id).where(later.c.donor_code == a.donor_code, later.c.ends_on > a.ends_on).exists(),
        )
        .order_by(a.ends_on, a.donor_code)
        .limit(limit)
    )
    return [(row.donor_code, row.ends_on) for row in session.execute(statement)]
