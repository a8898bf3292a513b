"""Whose something is, put right by two of quality on evidence: what a merge of records and a harvest that moves share."""

from collections.abc import Collection, Mapping
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.two_alike import two_sign
from biobank.acts.two_person import Completed, Proposed
from biobank.auth.permissions import Permission
from biobank.foundation.kept_files import FileHash
from biobank.quality.schemas import Token
from biobank.quality.stored_files import require_evidence_of


class OnEvidence(BaseModel):
    """What shows it, and the signature of either of the two. The second sends the same with `pending_act`."""

    model_config = ConfigDict(extra="forbid")

    evidence_sha256: FileHash = Field(description="The stored file that shows it: a passport, a kit's papers, a genotype.")
    signature: Token = None
    pending_act: UUID | None = None


def sign_on_evidence(
    session: Session,
    act: Act,
    name: str,
    subject: str,
    said: Mapping[str, str],
    request: OnEvidence,
    *,
    people: Collection[str],
    site: str,
    and_at: Collection[str] = (),
) -> Proposed | Completed:
    """Propose the act or complete it. `said`: what both say beside the evidence; `people`: whom the file may be about.

    Both are of quality at `site` and at every place of `and_at`.

    Raises AttachmentUnknown and what `two_sign` raises.
    """
    require_evidence_of(session, request.evidence_sha256, people)
    body = {**said, "evidence_sha256": request.evidence_sha256}
    return two_sign(session, act, name, subject, body, request, Permission.QUALITY_DECIDE, site=site, and_at=and_at)
