"""Changing who a donor is while material of theirs is kept: the clinic proposes on evidence, quality reads both and signs.

What was proposed stands in the vault; the proposal names it by its commitment. When nothing of the donor is kept the clinic
changes the record by itself (`donors/service.py: change_donor`).
"""

from typing import Any, Self
from uuid import UUID

from pydantic import BaseModel, Field, model_validator
from sqlalchemy import select
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.signing import Meaning, use_signature
from biobank.acts.two_person import Proposed, propose_or_complete, two_person, waiting_body
from biobank.auth.permissions import Permission
from biobank.custody.entry import parse_entry
from biobank.custody.states import StreamKind
from biobank.donors import events
from biobank.donors.identity import Identity, keep_document
from biobank.donors.identity_change import COMPARED, change_refusals, changed_identity, write_identity
from biobank.donors.identity_reads import record_identity_read
from biobank.donors.recording import recorded
from biobank.donors.schemas import NewIdentity
from biobank.donors.schemas import Recorded as RecordedOnDonor
from biobank.donors.service import NothingChanges, read_identity_document
from biobank.donors.visibility import get_visible_donor, require_not_erased
from biobank.foundation.errors import Conflict, NotFound, raise_first
from biobank.foundation.kept_files import FileHash
from biobank.quality.schemas import Token
from biobank.quality.stored_files import require_evidence
from biobank.transparency.models import event as event_table
from biobank.vault import open_document

ACT = "donor.change_identity"


class ProposalUnread(Conflict):
    """Who signs a change of identity has read what was, and what is to be."""

    code = "proposal_unread"
    title = "Read it first"


class ChangeIdentity(NewIdentity):
    """First: what is new. The second person names what was proposed by `identity`, and says none of it again."""

    identity: str | None = Field(
        default=None, pattern=r"^[0-9a-f]{64}$", description="Second person: the commitment that the proposal names."
    )
    evidence_sha256: FileHash = Field(description="The stored file that shows it: a certificate, a passport.")
    signature: Token = None
    pending_act: UUID | None = None

    @model_validator(mode="after")
    def _one_half(self) -> Self:
        said = self.model_fields_set & COMPARED
        if (self.pending_act is None) != (self.identity is None) or (self.pending_act is None) != bool(said):
            raise ValueError("the first person says what is new; the second names the proposal and says nothing anew")
        for name in said - {"given_names"}:
            if getattr(self, name) is None:
                raise ValueError(f"{name.replace('_', ' ')} cannot be taken away, only changed")
        return self


class IdentityChangedByTwo(RecordedOnDonor):
    """Who the donor is was changed."""

    status: str = "done"


class ProposedIdentity(BaseModel):
    """Who the donor is on record, and who by the proposal that waits."""

    donor: str
    before: str
    after: str

    @property
    def both(self) -> str:
        """Both, for who is to sign."""
        return f"On record: {self.before}. Proposed: {self.after}."


@two_person(
    ACT,
    "Change who a donor is",
    "I have read what is on record and what was proposed, and the evidence shows that it is the same person.",
    ChangeIdentity,
    grave=True,
)
def change_identity(session: Session, act: Act, code: str, request: ChangeIdentity) -> IdentityChangedByTwo | Proposed:
    """Propose another name, birth date or identifiers of a donor, or complete that as somebody of quality.

    Raises NotFound, DonorErased, IdentityUnknown, NothingChanges, OutForPatient, IdentityInDoubt, AttachmentUnknown,
    ProposalUnread, and what `use_signature` and `propose_or_complete` raise.
    """
    row = get_visible_donor(session, act.actor, code, lock=True)
    require_not_erased(row)
    needed = Permission.DONOR_REGISTER if request.pending_act is None else Permission.QUALITY_DECIDE
    act.require(needed, at=row.clinic_site_code, subject=code)
    before = read_identity_document(session, act, row)
    raise_first(change_refusals(session, act, code))
    require_evidence(session, request.evidence_sha256, code)
    signature = use_signature(session, act, request.signature, Meaning.DECIDED)
    if request.pending_act is None:
        identity, changed = changed_identity(before, request)
        if COMPARED.isdisjoint(changed):
            raise NothingChanges(f"The record of {code} already says that.", subject=code)
        commit = keep_document(session, act, code, "identity", identity)
    else:
        commit = bytes.fromhex(request.identity or "")
    body = {
        "identity": commit.hex(),
        "reason": request.reason,
        "evidence_sha256": request.evidence_sha256,
        "supersedes": bytes(row.identity_commit).hex(),
    }
    step = propose_or_complete(
        session,
        act,
        ACT,
        code,
        body,
        signature,
        request.pending_act,
        hands=request.performed_by,
        needs=Permission.QUALITY_DECIDE,
        first_needs=Permission.DONOR_REGISTER,
        site=row.clinic_site_code,
    )
    if isinstance(step, Proposed):
        return step
    _require_read(session, act, code, commit)
    identity = open_document(session, act.keystore, commit)
    changed = _differing(before, identity)
    appended, _ = write_identity(
        session,
        act,
        row,
        identity,
        changed,
        request,
        commit=commit,
        evidence_sha256=request.evidence_sha256,
        signatures=step.signatures,
    )
    return IdentityChangedByTwo(**recorded(act, code, appended))


def read_proposed(session: Session, act: Act, code: str) -> ProposedIdentity:
    """Open who the donor is and who by the latest proposal that waits; that somebody read both is recorded.

    Raises NotFound, NotPermitted, DonorErased, TooManyIdentities.
    """
    row = get_visible_donor(session, act.actor, code)
    act.require(Permission.IDENTITY_READ, at=row.clinic_site_code)
    require_not_erased(row)
    proposed = waiting_body(session, ACT, code)
    if proposed is None:
        raise NotFound(f"No change of who {code} is waits.", subject=code)
    before = read_identity_document(session, act, row)
    after = open_document(session, act.keystore, bytes.fromhex(proposed["identity"]))
    record_identity_read(session, act, row, [bytes(row.identity_commit), bytes.fromhex(proposed["identity"])])
    return ProposedIdentity(donor=code, before=_said(before), after=_said(after))


def _said(identity: Identity) -> str:
    name = ", ".join(filter(None, (identity["family_name"], identity["given_names"])))
    ids = "; ".join(f"{one['issuer']} {one['value']}" for one in identity["external_ids"])
    return f"{name}, born {identity['date_of_birth']}{f' ({ids})' if ids else ''}"


def _differing(before: Identity, after: Identity) -> tuple[events.IdentityField, ...]:
    members: Any = events.IdentityField.__args__  # type: ignore[attr-defined]
    return tuple(name for name in members if before[name] != after[name])


def _require_read(session: Session, act: Act, code: str, commit: bytes) -> None:
    read = session.execute(
        select(event_table.c.entry).where(
            event_table.c.stream_kind == StreamKind.DONOR.value,
            event_table.c.stream_id == code,
            event_table.c.kind == events.IdentityRead.model_fields["kind"].default,
            event_table.c.recorded_by == act.actor.code,
        )
    ).scalars()
    if not any(parse_entry(bytes(one))["body"]["identity"] == commit.hex() for one in read):
        raise ProposalUnread(
            f"Read what is on record of {code} and what was proposed before you sign.",
            subject=code,
        )
