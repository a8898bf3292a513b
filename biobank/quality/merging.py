"""One person, two records: the duplicate is merged into the record that stays. Two of quality sign, on evidence.

Both codes lead to the one donor from then on. Every row that named the duplicate names the one who stays: specimens, harvests,
lots, withdrawals and what was given, identifications, consents (what was taken back on either record is taken back), results of
markers, allergies, agreements. Names and identifiers of both are known; the stricter reserve counts; a hold on either covers
all; the band of either is void. The log keeps what was written under which code.
"""

from dataclasses import replace
from typing import Any

from pydantic import Field
from sqlalchemy import select, text
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.two_person import Proposed, two_person
from biobank.auth.permissions import Permission
from biobank.custody.models import custody
from biobank.custody.recording import NOW, Move, record
from biobank.custody.snapshots import load
from biobank.donors.blind_index import forget_tokens
from biobank.donors.events import IdentityField
from biobank.donors.identity import Identity, same_name
from biobank.donors.identity_change import write_identity
from biobank.donors.moving import end_record, move_everything, note_move, take_over_contact
from biobank.donors.recording import record_on_donor, recorded
from biobank.donors.schemas import FormerName, NewIdentity
from biobank.donors.schemas import Recorded as RecordedOnDonor
from biobank.donors.service import read_identity_document
from biobank.donors.visibility import get_visible_donor, require_not_erased
from biobank.donors.wristbands import void_band_in_force
from biobank.foundation.errors import Conflict, Refusal, raise_first
from biobank.quality.attributing import OnEvidence, sign_on_evidence
from biobank.quality.attribution_events import DonorMerged, Merged, MergedInto
from biobank.quality.releases import open_withdrawals_of

ACT = "donor.merge"


class IdentitiesContradict(Conflict):
    """The two records cannot both be right about one person."""

    code = "identities_contradict"
    title = "The records contradict each other"


class WithdrawalOpen(Conflict):
    """Something is asked for, approved or out for one of the two."""

    code = "withdrawal_open"
    title = "A withdrawal is not over"


class MergeDonors(OnEvidence):
    """The other record of the same person, and what shows that it is one person."""

    duplicate: str = Field(pattern=r"^DN-[0-9A-Z]{7}$", description="The record that is merged into this one.")


class DonorsMerged(RecordedOnDonor):
    """Both codes lead to this donor."""

    status: str = "done"
    duplicate: str
    specimens: int = Field(description="Specimens that were on the duplicate's record.")


@two_person(
    ACT,
    "Merge a duplicate of a donor",
    "I have read both records and the evidence, and they are of one person.",
    MergeDonors,
    grave=True,
)
def merge_donors(session: Session, act: Act, code: str, request: MergeDonors) -> DonorsMerged | Proposed:
    """Merge a duplicate into the record that stays, or propose it; two people of quality sign, at the clinics of both.

    Raises NotFound, DonorErased, DonorMerged, IdentitiesContradict, WithdrawalOpen, NotPermitted, PendingActOver and what
    `sign_on_evidence` raises.
    """
    other = request.duplicate
    rows = {one: get_visible_donor(session, act.actor, one, lock=True) for one in sorted((code, other))}
    stays, goes = rows[code], rows[other]
    for row in (stays, goes):
        require_not_erased(row)
        act.require(Permission.QUALITY_DECIDE, at=row.clinic_site_code, subject=row.code)
    if other == code:
        raise IdentitiesContradict(f"{code} is one record. Name the other one.", subject=code)
    first, second = read_identity_document(session, act, stays), read_identity_document(session, act, goes)
    raise_first(merge_refusals(session, stays, goes, first, second))
    step = sign_on_evidence(
        session,
        act,
        ACT,
        code,
        {"duplicate": other},
        request,
        people=(code, other),
        site=stays.clinic_site_code,
        and_at=[goes.clinic_site_code],
    )
    if isinstance(step, Proposed):
        return step
    for row in (stays, goes):
        void_band_in_force(session, act, row.code, "identity_changed", site=row.clinic_site_code)
    specimens = load(session, session.execute(select(custody.c.code).where(custody.c.donor_code == other)).scalars(), lock=True)
    event = Merged(
        duplicate=other,
        specimens=len(specimens),
        evidence_sha256=request.evidence_sha256,
        signatures=step.signatures,
    )
    (merged,) = appended = record_on_donor(session, act, code, [event], NOW, site=stays.clinic_site_code)
    ended = MergedInto(into=code, merged=merged.leaf_hash.hex())
    relies = (merged.leaf_hash,)
    appended += record_on_donor(session, act, other, [ended], NOW, site=goes.clinic_site_code, relies_on=relies)
    note_move(session, act, other, code, merged)
    moved = DonorMerged(before=other, donor=code)
    moves = [Move(replace(one, donor_code=code), moved, relies_on=relies) for one in specimens.values()]
    appended += record(session, act, moves, NOW) if moves else []
    _keep_the_stricter(session, code, other, merged.leaf_hash, appended[1].leaf_hash)
    appended += take_over_contact(session, act, stays, goes)
    forget_tokens(session, other)
    both = joined(first, second)
    members: tuple[IdentityField, ...] = ("former_names", "sex", "external_ids")
    changed = tuple(name for name in members if both[name] != first[name])
    if changed:
        written, _ = write_identity(
            session, act, stays, both, changed, NewIdentity(reason="other"), evidence_sha256=request.evidence_sha256
        )
        appended += written
    move_everything(session, other, code)
    end_record(session, goes, code)
    return DonorsMerged(**recorded(act, code, appended), duplicate=other, specimens=len(specimens))


def merge_refusals(session: Session, stays: Any, goes: Any, first: Identity, second: Identity) -> list[Refusal]:
    """Return why these two records are not made one now, whoever signs. The caller has locked both rows of `donor`."""
    found: list[Refusal] = []
    between = f"{goes.code} and {stays.code}"
    if wrong := contradictions(first, second):
        found.append(
            IdentitiesContradict(
                f"{between} do not say the same of: {', '.join(wrong)}. If it is one person, put the wrong record right first, "
                "on evidence; then merge.",
                subject=stays.code,
                differing=wrong,
            )
        )
    if stays.status != goes.status:
        found.append(
            IdentitiesContradict(
                f"By its record {stays.code} is {stays.status}, {goes.code} is {goes.status}. Say on both what is true first.",
                subject=stays.code,
                differing=["status"],
            )
        )
    if left := open_withdrawals_of.get()(session, [stays.code, goes.code]):
        found.append(
            WithdrawalOpen(f"Finish or take back {', '.join(left)} first; then the records are merged.", subject=stays.code)
        )
    return found


def contradictions(first: Identity, second: Identity) -> list[str]:
    """Return what two records say that cannot both be true of one person, in words. Pure.

    A name that either record knows as a former one of the other's is no contradiction; nor is what only one of them knows.
    """
    wrong = []
    if not any(
        same_name(FormerName.model_construct(**said), known["family_name"], known["given_names"])
        for one, other in ((first, second), (second, first))
        for said in [_name(one)]
        for known in [_name(other), *other["former_names"]]
    ):
        wrong.append("name")
    if first["date_of_birth"] != second["date_of_birth"]:
        wrong.append("date of birth")
    sexes = {first["sex"], second["sex"]} - {"unknown"}
    if len(sexes) > 1:
        wrong.append("sex")
    known = {one["issuer"]: one["value"] for one in first["external_ids"]}
    other = {one["issuer"]: one["value"] for one in second["external_ids"]}
    return wrong + [f"identifier of {issuer}" for issuer in sorted(known.keys() & other.keys()) if known[issuer] != other[issuer]]


def joined(first: Identity, second: Identity) -> Identity:
    """Return what is known of the person by both records; the first says what they are called now. Pure."""
    own = _name(first)
    former = list(first["former_names"])
    former += [name for name in (_name(second), *second["former_names"]) if name != own and name not in former]
    issuers = {one["issuer"] for one in first["external_ids"]}
    ids = [*first["external_ids"], *(one for one in second["external_ids"] if one["issuer"] not in issuers)]
    sex = second["sex"] if first["sex"] == "unknown" else first["sex"]
    return first | {"former_names": former, "external_ids": ids, "sex": sex}


def _name(identity: Identity) -> dict[str, Any]:
    return {name: identity[name] for name in ("family_name", "given_names")}


_STRICTER = text(
    """
    WITH other AS (SELECT * FROM donor_reserve WHERE donor_code = :duplicate), kept AS (
        INSERT INTO donor_reserve (donor_code, material, units, amount, unit, event_hash)
        SELECT :stays, material, units, amount, unit, :event FROM other
        ON CONFLICT (donor_code, material) DO UPDATE SET units = greatest(donor_reserve.units, EXCLUDED.units),
            amount = greatest(donor_reserve.amount, EXCLUDED.amount), unit = coalesce(donor_reserve.unit, EXCLUDED.unit),
            event_hash = EXCLUDED.event_hash
    )
    UPDATE donor_reserve SET units = NULL, amount = NULL, unit = NULL, event_hash = :ended WHERE donor_code = :duplicate
    """
)


def _keep_the_stricter(session: Session, stays: str, duplicate: str, event: bytes, ended: bytes) -> None:
    """Let the greater of both reserves count for each material. `event`, `ended`: of the record that stays, and that ends."""
    session.execute(_STRICTER, {"stays": stays, "duplicate": duplicate, "event": event, "ended": ended})
