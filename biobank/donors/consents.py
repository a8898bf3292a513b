"""Consents: given on a form, taken back at any time, asked for by every act that needs one.

`require_consent` is what harvest, processing, storing and withdrawals call with the donor's row locked. Revocation locks the
same row, so an act either sees the revocation or is finished before it.
"""

from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta
from typing import Any, get_args
from uuid import UUID, uuid4

from sqlalchemy import Row, Select, insert, select, update
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.auth.models import user
from biobank.auth.permissions import Permission
from biobank.custody.ledger import Appended
from biobank.custody.recording import AHEAD, BACK_WITHOUT_REASON
from biobank.custody.reversal import evidence_stored
from biobank.donors import events
from biobank.donors.events import ConsentKind, Tissue
from biobank.donors.identity import keep_document
from biobank.donors.models import consent as _consent
from biobank.donors.models import donor
from biobank.donors.recording import record_on_donor, recorded
from biobank.donors.schemas import ConsentPublic, ConsentRecorded, GiveConsent, RevokeConsent
from biobank.donors.visibility import get_visible_donor, require_not_erased
from biobank.foundation.clock import now, rfc3339
from biobank.foundation.errors import Conflict, NotFound, Refusal
from biobank.foundation.from_above import FromAbove

treatment_revoked: FromAbove[Callable[[Session, str, datetime], object]] = FromAbove("withdrawals")
"""What ends when a donor takes the consent to treatment back: open bedside releases."""
came_to_light: FromAbove[Callable[[Session, Act, str, datetime, str, bytes], list[Appended]]] = FromAbove("withdrawals")
"""Tell of what was given to a donor at this time or later, though consent had been taken back or the donor had died by then; why,
and the event that says so."""


class ConsentMissing(Conflict):
    """No consent of this kind covers the act."""

    code = "consent_missing"
    title = "Consent missing"


class ConsentIsRevoked(Conflict):
    """The person took the consent back."""

    code = "consent_revoked"
    title = "Consent revoked"


class WitnessUnknown(Conflict):
    """The witness named has no login here."""

    code = "witness_unknown"
    title = "Witness unknown"


class ConsentInFuture(Conflict):
    """A consent cannot have been given later than now."""

    code = "consent_in_future"
    title = "Consent in the future"


def give_consent(session: Session, act: Act, code: str, request: GiveConsent) -> ConsentRecorded:
    """Record a consent given on a signed form. Raises ConsentInFuture, WitnessUnknown, DonorErased, AttachmentUnknown."""
    row = get_visible_donor(session, act.actor, code, lock=True)
    act.require(Permission.CONSENT_RECORD, at=row.clinic_site_code)
    require_not_erased(row)
    if request.given_at - act.at > AHEAD:
        raise ConsentInFuture("The consent cannot have been given later than now. Check the date on the form.", subject=code)
    if session.execute(select(user.c.code).where(user.c.code == request.witnessed_by)).first() is None:
        raise WitnessUnknown(f"Nobody here has the badge {request.witnessed_by}. Check the witness's badge.", subject=code)
    evidence_stored.get()(session, request.document_sha256, code)
    consent_id = uuid4()
    representative = None
    if request.representative is not None:
        representative = keep_document(session, act, code, "representative", {"representative": request.representative})
    valid_until = None if request.valid_until is None else rfc3339(request.valid_until)
    event = events.ConsentGiven(
        consent=str(consent_id),
        consent_kind=request.kind,
        form_version=request.form_version,
        document_sha256=request.document_sha256,
        given_at=rfc3339(request.given_at),
        witnessed_by=request.witnessed_by,
        tissues=None if request.tissues is None else tuple(sorted(set(request.tissues))),
        valid_until=valid_until,
        on_death=request.on_death,
        at_end_of_term=request.at_end_of_term,
        representative=None if representative is None else representative.hex(),
    )
    appended = record_on_donor(session, act, code, [event], request, site=row.clinic_site_code)
    session.execute(
        insert(_consent).values(
            id=consent_id,
            donor_code=code,
            kind=request.kind,
            form_version=request.form_version,
            document_sha256=request.document_sha256,
            given_at=request.given_at,
            witnessed_by=request.witnessed_by,
            tissues=None if event.tissues is None else list(event.tissues),
            valid_until=request.valid_until,
            on_death=request.on_death,
            at_end_of_term=request.at_end_of_term,
            representative_commit=representative,
            recorded_at=act.at,
            recorded_by=act.actor.code,
            given_event=appended[0].leaf_hash,
        )
    )
    return ConsentRecorded(**recorded(act, code, appended), consent=consent_id, kind=request.kind)


def revoke_consent(session: Session, act: Act, code: str, consent_id: UUID, request: RevokeConsent) -> ConsentRecorded:
    """Take a consent back. Locks the donor's row; a stated time in the future counts from now. Open releases end with it.

    Raises NotFound for a consent of nobody or of another donor, ConsentIsRevoked when it was taken back before.
    """
    row = get_visible_donor(session, act.actor, code, lock=True)
    act.require(Permission.CONSENT_RECORD, at=row.clinic_site_code)
    require_not_erased(row)
    consent = session.execute(select(_consent).where(_consent.c.id == consent_id, _consent.c.donor_code == code)).first()
    if consent is None:
        raise NotFound(f"{code} has no consent {consent_id}.", subject=code)
    if consent.revoked_at is not None:
        raise ConsentIsRevoked(f"This consent was revoked already on {consent.revoked_at:%Y-%m-%d}.", subject=code)
    revoked_at = min(request.occurred_at or act.at, act.at)
    event = events.ConsentRevoked(
        consent=str(consent_id),
        consent_kind=consent.kind,
        given=bytes(consent.given_event).hex(),
        revoked_at=rfc3339(revoked_at),
    )
    appended = record_on_donor(
        session, act, code, [event], request, site=row.clinic_site_code, relies_on=(bytes(consent.given_event),)
    )
    session.execute(
        update(_consent)
        .where(_consent.c.id == consent_id)
        .values(revoked_at=revoked_at, revoked_by=act.actor.code, revoked_event=appended[0].leaf_hash)
    )
    if consent.kind == "treatment":
        treatment_revoked.get()(session, code, act.at)
        appended += came_to_light.get()(session, act, code, revoked_at, "consent_revoked", appended[0].leaf_hash)
    return ConsentRecorded(**recorded(act, code, appended), consent=consent_id, kind=consent.kind)


def require_consent(
    session: Session,
    donor_code: str,
    kind: ConsentKind,
    at: datetime,
    *,
    tissue: Tissue | None = None,
    where_now: str | None = None,
) -> bytes:
    """Return the leaf hash of the consent event an act at `at` rests on; put it into the act's `relies_on`.

    The latest consent of the kind that covers `tissue` decides, and a revocation takes back every one given before it: neither
    an older one nor an old form that is entered late comes back (`taken_back_at`). `at` is when the act happens. A revocation
    counts for every act of the last 15 minutes before it too: only an act entered late, with its reason, is judged by what was
    in force then. The caller holds the donor's row lock and passes `where_now` when there is a tube in somebody's hands.

    Raises ConsentMissing (never given, expired, donor erased) or ConsentIsRevoked.
    """
    statement = _given(kind, at).where(_consent.c.donor_code == donor_code)
    answer = covering_consent(list(session.execute(statement)), donor_code, kind, at, tissue=tissue, where_now=where_now)
    if isinstance(answer, Refusal):
        raise answer
    return answer


def _given(kind: ConsentKind, at: datetime) -> Select[Any]:
    """The consents of a kind that were given by `at`, the latest first, with their donor's status."""
    return (
        select(_consent, donor.c.status.label("donor_status"))
        .join(donor, donor.c.code == _consent.c.donor_code)
        .where(_consent.c.kind == kind, _consent.c.given_at <= at + AHEAD)
        .order_by(_consent.c.given_at.desc(), _consent.c.recorded_at.desc())
    )


def consents_given(session: Session, donors: Collection[str], kind: ConsentKind, at: datetime) -> dict[str, list["Row[Any]"]]:
    """Return for each donor what `covering_consent` reads: one statement however many donors."""
    found: dict[str, list[Row[Any]]] = {code: [] for code in donors}
    for row in session.execute(_given(kind, at).where(_consent.c.donor_code.in_(sorted(found)))):
        found[row.donor_code].append(row)
    return found


def covering_consent(
    given: Sequence["Row[Any]"],
    donor_code: str,
    kind: ConsentKind,
    at: datetime,
    *,
    tissue: Tissue | None = None,
    where_now: str | None = None,
    margin: timedelta = BACK_WITHOUT_REASON,
) -> bytes | Refusal:
    """Return the leaf hash of the consent that covers an act at `at`, or why none does. `given` is latest first. Pure.

    `margin`: so long before a consent was taken back nothing counts as done: a time that needs no reason may be stated by chance.
    """
    words = kind.replace("_", " ")
    covered = "" if tissue is None else f" for {tissue.replace('_', ' ')}"
    covering = covering_of(given, tissue)
    if not covering or covering[0].donor_status == "erased":
        return ConsentMissing(
            f"{donor_code} has given no {words} consent{covered}. Record the signed form first.",
            where_now=where_now,
            subject=donor_code,
            consent_kind=kind,
        )
    latest = covering[0]
    taken_back = taken_back_at(latest, covering)
    if taken_back is not None and at > taken_back - margin:
        return ConsentIsRevoked(
            f"{donor_code} revoked the {words} consent{covered} on {taken_back:%Y-%m-%d}. This act may not go on.",
            where_now=where_now,
            subject=donor_code,
            consent_kind=kind,
        )
    if latest.valid_until is not None and latest.valid_until <= at:
        return ConsentMissing(
            f"The {words} consent of {donor_code}{covered} ended on {latest.valid_until:%Y-%m-%d}. Ask for a new one.",
            where_now=where_now,
            subject=donor_code,
            consent_kind=kind,
        )
    return bytes(latest.given_event)


def covering_of(given: Sequence["Row[Any]"], tissue: str | None) -> list["Row[Any]"]:
    """Return those of one kind that cover a tissue, in their order. Pure."""
    return [row for row in given if tissue is None or row.tissues is None or tissue in row.tissues]


def taken_back_at(consent: Any, covering: Sequence[Any]) -> datetime | None:
    """Return when a consent was taken back, the first time: itself, or with another of those `covering` the same that was
    revoked after this one was given, whenever its form was entered. None while it stands. Pure."""
    times = [
        row.revoked_at
        for row in covering
        if row.revoked_at is not None and (row.id == consent.id or consent.given_at <= row.revoked_at)
    ]
    return min(times, default=None)


def _taken_back_whole(consent: "Row[Any]", given: Sequence["Row[Any]"]) -> datetime | None:
    """Return when nothing was left that a consent covers: each of its tissues was taken back. `given`: of every kind. Pure."""
    kind = [row for row in given if row.kind == consent.kind]
    tissues = get_args(Tissue) if consent.tissues is None else consent.tissues
    times = [taken_back_at(consent, covering_of(kind, tissue)) for tissue in tissues]
    known = [time for time in times if time is not None]
    return max(known) if known and len(known) == len(times) else None


def consents_of(session: Session, donor_code: str) -> list[ConsentPublic]:
    """Return every consent of a donor, oldest first. The caller has checked that the actor may see the donor."""
    rows = session.execute(select(_consent).where(_consent.c.donor_code == donor_code).order_by(_consent.c.given_at)).all()
    at = now()
    return [_public(row, _taken_back_whole(row, rows), at) for row in rows]


def _public(row: "Row[Any]", taken_back: datetime | None, at: datetime) -> ConsentPublic:
    return ConsentPublic(
        id=row.id,
        kind=row.kind,
        form_version=row.form_version,
        document_sha256=row.document_sha256,
        given_at=row.given_at,
        witnessed_by=row.witnessed_by,
        tissues=row.tissues,
        valid_until=row.valid_until,
        on_death=row.on_death,
        at_end_of_term=row.at_end_of_term,
        revoked_at=row.revoked_at,
        taken_back_at=taken_back,
        in_force=taken_back is None and (row.valid_until is None or row.valid_until > at),
    )
