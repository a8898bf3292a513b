"""Forgetting a person: destroying the key, deleting what stood under it, leaving a nameless chain of custody.

Two people of quality sign. While retention forbids it, only contact and free text go, at once, and the answer names the
earliest date. The key lies in a database of its own, so its destruction cannot be part of the act's transaction: it is the
last step, and `replay_erasures` finishes the rest when the bank's database was restored from a time before it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from pydantic import Field
from sqlalchemy import Row, delete, select, text, update
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.signing import Meaning
from biobank.acts.two_alike import two_sign
from biobank.acts.two_person import Proposed, two_person
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.custody.hold_coverage import holds_on
from biobank.custody.locks import locked
from biobank.custody.recording import NOW
from biobank.custody.states import HoldAct, HoldScope
from biobank.donors import events
from biobank.donors.allergies import forget_allergies
from biobank.donors.blind_index import forget_tokens
from biobank.donors.markers import forget_results
from biobank.donors.models import donor
from biobank.donors.models import donor_document as _kept
from biobank.donors.recording import record_on_donor, recorded
from biobank.donors.retention import Outlook, SpecimenEnd, erasure_outlook
from biobank.donors.schemas import EraseDonor, ErasureOutlook, Recorded
from biobank.donors.visibility import every_code, get_visible_donor, require_not_erased
from biobank.donors.wristbands import void_band_in_force
from biobank.foundation.clock import now, rfc3339
from biobank.foundation.errors import Conflict, Refused
from biobank.foundation.from_above import FromAbove
from biobank.vault.models import vault_document as _documents


class ErasureRefused(Conflict):
    """The law wants the records kept; `earliest_on` is the first day on which everything may go, if it can be known."""

    code = "erasure_refused"
    title = "Not everything may be erased yet"


class ErasureProposed(Proposed):
    """The first signature is given; `outlook` says what the second will do."""

    outlook: ErasureOutlook


class ErasureDone(Recorded):
    """The person is forgotten."""

    status: Literal["done"] = "done"
    documents: int = Field(description="Vault documents deleted.")


@dataclass(frozen=True)
class DonorsCells:
    """What erasure asks about a donor's cells, by the donor's code."""

    ends: Callable[[Session, str], list[SpecimenEnd]]
    harvested: Callable[[Session, str], list[datetime]]
    """When each harvest was recorded."""
    forget_aliases: Callable[[Session, str], None]
    """A foreign identifier of a tube may say who the person is."""


donors_cells: FromAbove[DonorsCells] = FromAbove("specimens")
_DONOR_HOLDS = text("SELECT kind, blocks FROM hold WHERE scope_kind = :scope AND scope_id = ANY(:donors) AND lifted_at IS NULL")


def outlook_for(session: Session, code: str) -> Outlook:
    """Compute from the events of a donor's specimens what an erasure would do today."""
    cells = donors_cells.get()
    specimens = cells.ends(session, code)
    harvested = cells.harvested(session, code)
    named = {"scope": HoldScope.DONOR.value, "donors": sorted(every_code(session, [code]))}
    holds = [(r.kind, r.blocks) for r in session.execute(_DONOR_HOLDS, named)]
    covering = holds_on(session, [s.code for s in specimens]) if specimens else {}
    holds += [(hold.kind, list(hold.blocks)) for active in covering.values() for hold in active]
    forbidding = {kind for kind, blocks in holds if HoldAct.DESTROY.value in blocks}
    return erasure_outlook(now().date(), specimens, harvested, forbidding)


def describe_erasure(session: Session, actor: Actor, code: str) -> ErasureOutlook:
    """Answer GET /donors/{code}/erasure."""
    row = get_visible_donor(session, actor, code)
    require_not_erased(row)
    return _public(code, outlook_for(session, code))


@two_person(
    "donor.erase",
    "Forget a person",
    "I have read the request and the retention duties, and agree that the person is forgotten.",
    EraseDonor,
    grave=True,
)
def erase_donor(session: Session, act: Act, code: str, request: EraseDonor) -> ErasureProposed | ErasureDone | Refused:
    """Take the first or second signature; with the second, forget everything or what may go now.

    Returns Refused(ErasureRefused) when records must be kept: contact and free text are gone all the same. Raises NotFound,
    NotPermitted, DonorErased, and what `two_sign` raises.
    """
    row = get_visible_donor(session, act.actor, code, lock=True)
    site = row.clinic_site_code
    act.require(Permission.DONOR_ERASE, at=site)
    require_not_erased(row)
    step = two_sign(
        session,
        act,
        "donor.erase",
        code,
        {"reason": request.reason},
        request,
        Permission.DONOR_ERASE,
        site=site,
        meaning=Meaning.ERASED,
    )
    outlook = outlook_for(session, code)
    if isinstance(step, Proposed):
        return ErasureProposed(**step.model_dump(), outlook=_public(code, outlook))
    if not outlook.everything_goes:
        return _erase_contact(session, act, row, outlook)
    void_band_in_force(session, act, code, "erased", site=site)
    codes = sorted(every_code(session, [code]))
    documents = sum(_forget(session, one) for one in codes)
    event = events.Erased(
        documents=documents,
        reason=request.reason,
        first_by=step.first_user,
        signatures=step.signatures,
    )
    appended = record_on_donor(session, act, code, [event], NOW, site=site)
    answer = ErasureDone(**recorded(act, code, appended), documents=documents)
    for one in codes:
        act.keystore.destroy(one)
    return answer


def _erase_contact(session: Session, act: Act, row: "Row[Any]", outlook: Outlook) -> Refused:
    code = row.code
    retained = select(_kept.c.commit).where(_kept.c.donor_code == code)
    safety = (row.safety_commit or row.contact_commit) if outlook.needs_a_contact else None
    gone = session.execute(
        delete(_documents)
        .where(_documents.c.subject.in_(sorted(every_code(session, [code]))))
        .where(_documents.c.commit.not_in(retained), _documents.c.commit != (safety or b""))
        .returning(_documents.c.commit)
    ).all()
    session.execute(update(donor).where(donor.c.code == code).values(contact_commit=None, safety_commit=safety))
    earliest = None if outlook.earliest_on is None else outlook.earliest_on.isoformat()
    event = events.ContactErased(
        documents=len(gone), safety_contact=safety is not None, because=outlook.because, earliest_on=earliest
    )
    record_on_donor(session, act, code, [event], NOW, site=row.clinic_site_code)
    said = f"Contact and free text of {code} are gone."
    if safety is not None:
        said = (
            f"Free text of {code} is gone, and the contact is no longer shown. How to reach the person stays for safety alone, "
            "read by quality and recorded, until no cells are kept and no recall or legal hold stands."
        )
    return Refused(
        ErasureRefused(
            f"{said} {outlook.sentence}",
            subject=code,
            earliest_on=earliest,
            because=list(outlook.because),
            safety_contact=safety is not None,
        )
    )


_NOTHING = {"identity_commit": None, "contact_commit": None, "safety_commit": None, "death_commit": None}


def _forget(session: Session, code: str) -> int:
    """Delete documents and index rows of a donor and mark the row; return the number of documents."""
    gone = session.execute(delete(_documents).where(_documents.c.subject == code).returning(_documents.c.commit)).all()
    session.execute(delete(_kept).where(_kept.c.donor_code == code))
    donors_cells.get().forget_aliases(session, code)
    forget_tokens(session, code)
    forget_results(session, code)
    forget_allergies(session, code)
    session.execute(update(donor).where(donor.c.code == code).values(status="erased", **_NOTHING))
    return len(gone)


def replay_erasures(session: Session, act: Act) -> list[str]:
    """Finish every erasure that only one of the two databases knows of; return the donors' codes.

    Run before serving: a dump of the bank may be older than an erasure (the key is gone, the rows are still there), and when
    the key store itself was lost its dump may be (the rows are gone, the key is there again).
    """
    back = act.keystore.having_keys(session.execute(select(donor.c.code).where(donor.c.status == "erased")).scalars().all())
    for code in back:
        instant = act.keystore.destroy(code)
        site = session.execute(select(donor.c.clinic_site_code).where(donor.c.code == code)).scalar_one()
        record_on_donor(session, act, code, [events.ErasureReplayed(documents=0, destroyed_at=rfc3339(instant))], NOW, site=site)
    destroyed = act.keystore.destroyed()
    known = select(donor).where(donor.c.code.in_(sorted(destroyed)), donor.c.status != "erased").order_by(donor.c.code)
    left = session.execute(locked(known, donor)).all()
    for row in left:
        void_band_in_force(session, act, row.code, "erased", site=row.clinic_site_code)
        documents = _forget(session, row.code)
        event = events.ErasureReplayed(documents=documents, destroyed_at=rfc3339(destroyed[row.code]))
        record_on_donor(session, act, row.code, [event], NOW, site=row.clinic_site_code)
    return [*back, *(row.code for row in left)]


def _public(code: str, outlook: Outlook) -> ErasureOutlook:
    return ErasureOutlook(
        donor=code,
        everything_goes=outlook.everything_goes,
        earliest_on=outlook.earliest_on,
        because=list(outlook.because),
        sentence=outlook.sentence,
    )
