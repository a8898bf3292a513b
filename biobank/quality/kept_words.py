"""Words that a decision rests on and the vault keeps: who reads them, and that somebody did.

They are read by those who decide and those who treat, never kept with an answer. That somebody read them is an event on the
donor's stream: it moves nothing of what they are about.
"""

from typing import Literal

from sqlalchemy import select
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.custody.entry import parse_entry
from biobank.custody.legality import Snapshot
from biobank.custody.recording import NOW
from biobank.custody.snapshots import get_visible
from biobank.custody.states import StreamKind
from biobank.donors.events import WordsRead
from biobank.donors.recording import record_on_donor
from biobank.foundation.errors import NotFound, NotPermitted, Refusal, raise_first
from biobank.quality.deviations import words_kept
from biobank.quality.events import QualityDecided
from biobank.quality.schemas import NotificationPlanPublic
from biobank.transparency.models import event as event_table

What = Literal["indication", "notification_plan"]


class NoWords(NotFound):
    """Nothing was written, or it was forgotten with its donor."""

    code = "no_words"
    title = "Nothing written"


def treats(actor: Actor, clinic: str | None) -> bool:
    """Say whether somebody asks for or gives cells at a clinic."""
    return any(actor.may(one, at=clinic) for one in (Permission.WITHDRAWAL_REQUEST, Permission.WITHDRAWAL_ADMINISTER))


def plan_refusals(actor: Actor, specimen: Snapshot, plan: bytes | None) -> list[Refusal]:
    """Return why the actor may not read whom to tell of a late bad result: who treats the donor may, and who decides. Pure."""
    code = specimen.code
    if not (actor.may(Permission.QUALITY_DECIDE, at=specimen.sites) or treats(actor, specimen.clinic_site_code)):
        return [NotPermitted(f"The plan of {code} is read by who treats its donor and by quality.", subject=code)]
    if plan is None or specimen.donor_code is None:
        return [NoWords(f"Nobody wrote whom to tell of a late result of {code}.", subject=code)]
    return []


def plan_of(session: Session, code: str) -> bytes | None:
    """Return the commitment to the plan of the latest decision about a specimen, if that made one."""
    entry = session.execute(
        select(event_table.c.entry)
        .where(
            event_table.c.stream_kind == StreamKind.SPECIMEN.value,
            event_table.c.stream_id == code,
            event_table.c.kind == QualityDecided.model_fields["kind"].default,
        )
        .order_by(event_table.c.seq.desc())
        .limit(1)
    ).scalar()
    plan = None if entry is None else parse_entry(bytes(entry))["body"].get("notification_plan")
    return None if plan is None else bytes.fromhex(plan)


def read_plan(session: Session, act: Act, code: str) -> NotificationPlanPublic:
    """Read whom to tell when a late result of a specimen is bad; that somebody read it is recorded.

    Raises NotFound, NotPermitted, NoWords.
    """
    specimen = get_visible(session, act.actor, code)
    plan, donor = plan_of(session, code), specimen.donor_code
    raise_first(plan_refusals(act.actor, specimen, plan))
    assert plan is not None, "else it is a refusal"
    assert donor is not None, "else it is a refusal"
    words = open_words(session, act, donor, specimen.clinic_site_code, "notification_plan", code, plan)
    return NotificationPlanPublic(specimen=code, notification_plan=words)


def open_words(session: Session, act: Act, donor: str, site: str | None, what: What, about: str, commit: bytes) -> str:
    """Open words of the donor's, and record that they were read, and about what. The caller has checked that the actor may."""
    words = words_kept(session, act.keystore, commit, what)
    if words is None:
        raise NoWords(f"The words about {about} were forgotten with their donor.", subject=about)
    record_on_donor(session, act, donor, [WordsRead(what=what, about=about, words=commit.hex())], NOW, site=site)
    return words
