"""What a change of a donor's identity takes and ends.

An identification compares a patient with the record, so the record decides who the right patient is. While anything that was
taken from the donor is kept, one login does not change what is compared: two people do, one of them of quality
(`quality/identity_changes.py`).
"""

from typing import Any

from sqlalchemy import exists, select, update
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.models import attempt
from biobank.custody.ledger import Appended
from biobank.custody.models import custody
from biobank.custody.states import LIVE, State
from biobank.donors import events
from biobank.donors.blind_index import INDEX_SECRET, LookAlike, add_tokens, forget_tokens, look_alikes_of
from biobank.donors.identification import SECOND_PERSON_WITHIN, CheckWhatWasTyped, IdentityMismatch
from biobank.donors.identifiers import require_own_identifiers
from biobank.donors.identity import Identity, keep_document, tokens_for
from biobank.donors.models import donor
from biobank.donors.models import identification as _identification
from biobank.donors.recording import record_on_donor
from biobank.donors.schemas import NewIdentity
from biobank.donors.wristbands import void_band_in_force
from biobank.foundation.errors import Conflict, Refusal

MEMBERS = frozenset({"family_name", "given_names", "date_of_birth", "sex", "external_ids"})
COMPARED = MEMBERS - {"sex"}
"""What an identification compares with."""

_OUT = frozenset({State.ISSUED, State.DELIVERED})


class IdentityTakesTwo(Conflict):
    """Something of the donor is kept: who the donor is, one person does not change."""

    code = "identity_takes_two"
    title = "Two people change this"


class OutForPatient(Conflict):
    """Something was handed out for the donor and has not come to its end."""

    code = "out_for_patient"
    title = "Something is out for this patient"


class IdentityInDoubt(Conflict):
    """Somebody just stated something else than the record says."""

    code = "identity_in_doubt"
    title = "Somebody was just identified otherwise"


def material_stands(session: Session, code: str) -> bool:
    """Say whether anything that was taken from the donor has not ended."""
    kept = exists().where(custody.c.donor_code == code, custody.c.state.in_(sorted(LIVE)))
    return bool(session.execute(select(kept)).scalar())


def takes_two(session: Session, code: str, changed: tuple[events.IdentityField, ...]) -> Refusal | None:
    """Return why one person may not make this change, or None."""
    if COMPARED.isdisjoint(changed) or not material_stands(session, code):
        return None
    return IdentityTakesTwo(
        f"Material of {code} is kept, so name, birth date and identifiers are changed by two people, the second of them of "
        "quality, with evidence on file. Propose the change.",
        subject=code,
    )


def change_refusals(session: Session, act: Act, code: str) -> list[Refusal]:
    """Return why who this donor is does not change now, whoever signs. The caller has locked the donor's row."""
    found: list[Refusal] = []
    out = session.execute(
        select(custody.c.code).where(custody.c.donor_code == code, custody.c.state.in_(sorted(_OUT))).order_by(custody.c.code)
    ).scalars()
    if names := ", ".join(out):
        found.append(
            OutForPatient(
                f"{names} is handed out for {code}. Give it or take it back first; then the record is changed.", subject=code
            )
        )
    doubted = select(attempt.c.id).where(
        attempt.c.subject == code,
        attempt.c.at > act.at - SECOND_PERSON_WITHIN,
        attempt.c.code.in_([CheckWhatWasTyped.code, IdentityMismatch.code]),
    )
    if session.execute(doubted.limit(1)).first() is not None:
        found.append(
            IdentityInDoubt(
                f"In the last 15 minutes somebody stated something else than the record of {code} says. Find out who that was. "
                "The record is changed on evidence, not to make it fit; wait, and then change it.",
                subject=code,
            )
        )
    return found


def changed_identity(before: Identity, request: NewIdentity) -> tuple[Identity, tuple[events.IdentityField, ...]]:
    """Return the new document and which members differ. A name that is left behind becomes a former one, a typo does not."""
    asked = request.model_dump(include=set(MEMBERS & request.model_fields_set))
    identity = before | asked
    old_name = {name: before[name] for name in ("family_name", "given_names")}
    renamed = any(identity[name] != old_name[name] for name in old_name)
    if renamed and request.reason != "correction":
        kept = [name for name in before["former_names"] if name != old_name]
        identity = identity | {"former_names": [*kept, old_name]}
    members: tuple[events.IdentityField, ...] = (
        "family_name",
        "given_names",
        "former_names",
        "date_of_birth",
        "sex",
        "external_ids",
    )
    return identity, tuple(name for name in members if identity[name] != before[name])


def write_identity(
    session: Session,
    act: Act,
    row: Any,
    identity: Identity,
    changed: tuple[events.IdentityField, ...],
    request: NewIdentity,
    *,
    commit: bytes | None = None,
    evidence_sha256: str | None = None,
    signatures: tuple[str, str] | None = None,
) -> tuple[list[Appended], list[LookAlike]]:
    """Write the new identity of a locked donor row. `commit`: where the vault keeps it already.

    The band in force and every identification that was begun before it count no more.
    """
    code, site = str(row.code), row.clinic_site_code
    commit = commit or keep_document(session, act, code, "identity", identity)
    tokens = {code: tokens_for(act.bank.secrets_of(INDEX_SECRET), identity)}
    require_own_identifiers(session, act, tokens)
    forget_tokens(session, code)
    add_tokens(session, tokens)
    alike = look_alikes_of(session, [code])[code]
    session.execute(update(donor).where(donor.c.code == code).values(identity_commit=commit))
    event = events.IdentityChanged(
        identity=commit.hex(),
        supersedes=bytes(row.identity_commit).hex(),
        changed=changed,
        reason=request.reason,
        look_alikes=tuple(match.donor_code for match in alike),
        evidence_sha256=evidence_sha256,
        signatures=signatures,
    )
    appended = record_on_donor(session, act, code, [event], request, site=site)
    if not COMPARED.isdisjoint(changed):
        voided = void_band_in_force(session, act, code, "identity_changed", site=site)
        appended += [] if voided is None else [voided[1]]
        pending = (_identification.c.completed_at.is_(None), _identification.c.failed_at.is_(None))
        session.execute(update(_identification).where(_identification.c.donor_code == code, *pending).values(failed_at=act.at))
    return appended, alike
