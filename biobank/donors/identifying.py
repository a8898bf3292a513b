"""Identification is an act: two people, from logins of their own, each ask the patient openly and record two identifiers.

Without it, donor = recipient would compare our data with itself. The first call leaves a pending identification for fifteen
minutes; the second sends the same with `pending` and what the patient said this time. Both are compared with the vault. What
was not asked is asked. A difference is first checked for a slip of the typing; when it stands it is evidence: it is kept,
everything of the donor is held, and the band in force is voided.

A completed identification is good for one visit: it binds a kit (harvest) or one wristband, or stands for the bedside.
"""

from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import UUID, uuid4

from sqlalchemy import func, insert, select, update
from sqlalchemy.dialects.postgresql import insert as insert_or
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.models import attempt
from biobank.auth.permissions import Permission
from biobank.auth.queries import logins_of_persons
from biobank.custody.event import Event
from biobank.custody.ledger import Appended
from biobank.custody.states import HoldKind
from biobank.donors import events
from biobank.donors.events import IdentifierKind
from biobank.donors.identification import (
    SECOND_PERSON_WITHIN,
    CheckWhatWasTyped,
    IdentificationDiffers,
    IdentificationExpired,
    IdentificationOver,
    IdentityMismatch,
    KitOfAnotherDonor,
    NotAsked,
    SamePerson,
)
from biobank.donors.identity import differing, keep_document, not_asked
from biobank.donors.models import identification as _identification
from biobank.donors.models import kit_binding as _kit
from biobank.donors.recording import hold_donor, record_on_donor, recorded
from biobank.donors.service import read_identity_document
from biobank.donors.visibility import get_visible_donor, require_not_erased
from biobank.donors.visit_schemas import IdentificationRecorded, Identify
from biobank.donors.wristbands import void_band_in_force
from biobank.foundation.clock import rfc3339
from biobank.foundation.codes import parse_code
from biobank.foundation.errors import NotFound, Refused

VISIT = timedelta(hours=16)
"""How long a completed identification stands: one working day of a day clinic. The next visit identifies anew."""

SLIPS = 3
"""How many differences of one person about one patient are taken for slips of the typing, `SECOND_PERSON_WITHIN` of each other,
when nobody says that they were checked: nobody tries until something fits."""

STOP = "Stop here: no sedation, no harvest, no treatment. Put any tube or kit of this patient in quarantine."


def identify(session: Session, act: Act, code: str, request: Identify) -> IdentificationRecorded | Refused:
    """Record one person's half of an identification, or complete the other's.

    Returns Refused(IdentityMismatch) when what the patient stated is not what the vault holds and was `checked`. Raises
    NotFound, IdentityUnknown, KitOfAnotherDonor, NotAsked, CheckWhatWasTyped; for the second person SamePerson,
    IdentificationOver, IdentificationExpired, IdentificationDiffers.
    """
    row = get_visible_donor(session, act.actor, code, lock=True)
    site = request.site or row.clinic_site_code
    act.require(Permission.DONOR_IDENTIFY, at=site)
    require_not_erased(row)
    if request.kit is not None:
        parse_code(request.kit)
        _require_kit_is_free(session, request.kit, code)
    first = None if request.pending is None else _pending(session, act, code, site, request)
    identity = read_identity_document(session, act, row)
    if not_asked(identity, request.stated):
        raise NotAsked(
            f"The record of {code} has given names too, and they were not asked. Ask the patient for the whole name, and type "
            "all of it. Nothing is held.",
            subject=code,
        )
    wrong = differing(identity, request.stated)
    if wrong and not request.checked and _slips(session, act, code) < SLIPS:
        raise CheckWhatWasTyped(
            f"What you typed is not what the record of {code} says. Check it: ask the patient again, and type what they say. "
            "If it still differs, everything of this donor is held.",
            subject=code,
        )
    stated = keep_document(session, act, code, "identification", request.stated.model_dump(exclude_none=True))
    if wrong:
        return _mismatch(session, act, code, site, request, first, stated, wrong)
    return (
        _start(session, act, code, site, request, stated)
        if first is None
        else _complete(session, act, code, site, request, first, stated)
    )


def _require_kit_is_free(session: Session, kit: str, code: str) -> None:
    owner = session.execute(select(_kit.c.donor_code).where(_kit.c.kit_code == kit)).scalar()
    if owner is not None and owner != code:
        raise KitOfAnotherDonor(
            f"{kit} was bound to another donor. Take a new kit and put this one in quarantine.",
            where_now="Put the kit in the nearest quarantine place.",
            subject=kit,
        )


def _slips(session: Session, act: Act, code: str) -> int:
    """Return how often the actor was just asked to check what they typed about this donor."""
    statement = select(func.count()).where(
        attempt.c.subject == code,
        attempt.c.at > act.at - SECOND_PERSON_WITHIN,
        attempt.c.actor_code == act.actor.code,
        attempt.c.code == CheckWhatWasTyped.code,
    )
    found: int = session.execute(statement).scalar_one()
    return found


def _pending(session: Session, act: Act, code: str, site: str, request: Identify) -> Any:
    first = session.execute(
        select(_identification).where(_identification.c.id == request.pending, _identification.c.donor_code == code)
    ).first()
    if first is None:
        raise NotFound(f"{code} has no identification {request.pending}.", subject=code)
    if act.actor.code in logins_of_persons(session, [first.first_by])[first.first_by]:
        raise SamePerson(
            "You recorded the first half yourself, with this login or another of yours. A colleague must ask the patient again.",
            subject=code,
        )
    if first.completed_at is not None or first.failed_at is not None:
        raise IdentificationOver("This identification was completed or failed already. Start a new one.", subject=code)
    if first.expires_at <= act.at:
        raise IdentificationExpired(
            "The first person recorded more than 15 minutes ago. Start a new identification, both of you.", subject=code
        )
    same = (first.purpose, first.kit_code, first.site_code, first.document_kind, tuple(first.identifier_kinds)) == (
        request.purpose,
        request.kit,
        site,
        request.document_kind,
        request.stated.kinds,
    )
    if not same:
        raise IdentificationDiffers(
            "Your colleague recorded another purpose, kit, place, document or other kinds of identifiers. Ask the patient for "
            "the same two things and look at the same document; if you cannot agree, start again.",
            subject=code,
            identifiers=list(first.identifier_kinds),
        )
    return first


def _start(session: Session, act: Act, code: str, site: str, request: Identify, stated: bytes) -> IdentificationRecorded:
    identification = uuid4()
    event = events.IdentificationStarted(
        identification=str(identification),
        purpose=request.purpose,
        kit=request.kit,
        identifiers=request.stated.kinds,
        stated=stated.hex(),
        document_kind=request.document_kind,
    )
    appended = record_on_donor(session, act, code, [event], request, site=site)
    _insert_first(session, act, code, site, request, identification, appended[0])
    return _answer(act, code, appended, identification, "pending", request, act.at + SECOND_PERSON_WITHIN)


def _insert_first(
    session: Session, act: Act, code: str, site: str, request: Identify, identification: UUID, first: Appended, **more: Any
) -> None:
    session.execute(
        insert(_identification).values(
            id=identification,
            donor_code=code,
            site_code=site,
            purpose=request.purpose,
            kit_code=request.kit,
            identifier_kinds=list(request.stated.kinds),
            document_kind=request.document_kind,
            first_by=act.actor.code,
            first_at=act.at,
            first_event=first.leaf_hash,
            expires_at=act.at + SECOND_PERSON_WITHIN,
            **more,
        )
    )


def _complete(
    session: Session, act: Act, code: str, site: str, request: Identify, first: Any, stated: bytes
) -> IdentificationRecorded:
    valid_until = act.at + VISIT
    event = events.Identified(
        identification=str(first.id),
        purpose=request.purpose,
        kit=request.kit,
        identifiers=request.stated.kinds,
        stated=stated.hex(),
        document_kind=request.document_kind,
        first_by=first.first_by,
        valid_until=rfc3339(valid_until),
    )
    appended = record_on_donor(session, act, code, [event], request, site=site, relies_on=(bytes(first.first_event),))
    session.execute(
        update(_identification)
        .where(_identification.c.id == first.id)
        .values(
            second_by=act.actor.code,
            completed_at=act.at,
            completed_event=appended[0].leaf_hash,
            valid_until=valid_until,
        )
    )
    if request.kit is not None:
        session.execute(
            insert_or(_kit)
            .values(kit_code=request.kit, donor_code=code, identification_id=first.id, bound_at=act.at)
            .on_conflict_do_nothing()
        )
        # Two donors' identifications may race for one kit: the row that stands decides.
        _require_kit_is_free(session, request.kit, code)
    return _answer(act, code, appended, first.id, "completed", request, valid_until)


def _mismatch(
    session: Session,
    act: Act,
    code: str,
    site: str,
    request: Identify,
    first: Any,
    stated: bytes,
    wrong: tuple[IdentifierKind, ...],
) -> Refused:
    identification = uuid4() if first is None else first.id
    facts: list[Event] = [
        events.IdentityMismatched(
            identification=str(identification),
            step="first" if first is None else "second",
            purpose=request.purpose,
            differing=wrong,
            stated=stated.hex(),
        )
    ]
    relies_on = () if first is None else (bytes(first.first_event),)
    appended = record_on_donor(session, act, code, facts, request, site=site, relies_on=relies_on)
    if first is None:
        _insert_first(session, act, code, site, request, identification, appended[0], failed_at=act.at)
    else:
        session.execute(update(_identification).where(_identification.c.id == first.id).values(failed_at=act.at))
    hold_donor(session, act, code, HoldKind.IDENTITY, reason="identity_mismatch", site=site)
    void_band_in_force(session, act, code, "identity_mismatch", site=site)
    differs = " and ".join(kind.replace("_", " ") for kind in wrong)
    return Refused(
        IdentityMismatch(
            f"What the patient states ({differs}) is not what the record of {code} says. Everything of {code} is on identity "
            "hold until quality has found out who this is. If the patient's name has changed, the record is changed first.",
            where_now=STOP,
            subject=code,
            differing=list(wrong),
        )
    )


def _answer(
    act: Act,
    code: str,
    appended: list[Appended],
    identification: UUID,
    state: Literal["pending", "completed"],
    request: Identify,
    expires_at: datetime,
) -> IdentificationRecorded:
    return IdentificationRecorded(
        **recorded(act, code, appended),
        identification=identification,
        state=state,
        purpose=request.purpose,
        identifiers=list(request.stated.kinds),
        expires_at=expires_at,
    )
