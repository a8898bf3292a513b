"""Files by their hash: a logger's curve, a laboratory's report, a photograph.

A file may show a name, so it is kept like everything personal: encrypted under the key of the person it is about, or the
bank's own. Erasing the person makes it unreadable; its hash, which the log quotes, stays.

    <state_dir>/attachments/<first two hex digits>/<sha256>.<subject>
        = nonce (12) || AES-256-GCM(key of the subject, bytes, associated data = sha256 in hex)

Hashing, encrypting and disk access run in a thread: ten megabytes take far longer than an event loop may wait.
"""

import base64
import binascii
import hashlib
import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.bank import Bank
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE
from biobank.custody.recording import BANK_SUBJECT
from biobank.custody.states import HoldScope
from biobank.donors.models import donor, donor_marker
from biobank.donors.visibility import visible
from biobank.foundation.errors import MalformedRequest, NotFound, PayloadTooLarge
from biobank.foundation.from_above import FromAbove
from biobank.monitoring.logger_files import kept_file
from biobank.quality.holds import find_scope
from biobank.quality.schemas import ATTACHMENT_BYTES, ATTACHMENT_MIB, AttachmentPublic, AttachmentRequest
from biobank.quality.stored_files import attachment, require_stored
from biobank.vault import KeyDestroyed
from biobank.vault.keystore import NONCE_BYTES

photographs_of_patients: FromAbove[Callable[[Session, Collection[str]], frozenset[str]]] = FromAbove("withdrawals")
"""Which files are patients' photographs: they are looked at with their withdrawal only, where each reading is recorded."""


class AttachmentGone(NotFound):
    """The file was stored and cannot be read any more."""

    code = "attachment_gone"
    title = "Attachment not readable"


@dataclass(frozen=True)
class StoredFile:
    """A file that stands on disk, encrypted."""

    sha256: str
    size_bytes: int
    subject: str


def decoded(request: AttachmentRequest) -> bytes:
    """Return the file's bytes; raise MalformedRequest or PayloadTooLarge."""
    try:
        data = base64.b64decode(request.content, validate=True)
    except binascii.Error:
        raise MalformedRequest("`content` is not base64 (RFC 4648 section 4).") from None
    if len(data) > ATTACHMENT_BYTES:
        raise PayloadTooLarge(f"A file may be at most {ATTACHMENT_MIB} MiB. Store it elsewhere and quote it.")
    return data


def path_of(bank: Bank, sha256: str, subject: str) -> Path:
    """Return where the file stands."""
    return bank.settings.state_dir / "attachments" / sha256[:2] / f"{sha256}.{subject}"


def keep_file(bank: Bank, request: AttachmentRequest) -> StoredFile:
    """Encrypt the file and put it on disk, whole or not at all. Runs in a thread; the same file twice is one file.

    `may_attach` has said yes before: only then does a subject get a key. Raises AttachmentGone when the person was erased.
    """
    data = decoded(request)
    sha256 = hashlib.sha256(data).hexdigest()
    subject = request.donor or BANK_SUBJECT
    target = path_of(bank, sha256, subject)
    if not target.exists():
        try:
            key = bank.keystore_sync.keys_for([subject])[subject]
        except KeyDestroyed:
            raise AttachmentGone("This person was erased; nothing new can be kept about them.") from None
        nonce = os.urandom(NONCE_BYTES)
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        part = target.with_name(f"{target.name}.{os.getpid()}.{os.urandom(4).hex()}.part")
        with part.open("wb") as file:
            file.write(nonce + AESGCM(key).encrypt(nonce, data, sha256.encode()))
            file.flush()
            os.fsync(file.fileno())
        part.replace(target)
    return StoredFile(sha256, len(data), subject)


def read_file(bank: Bank, sha256: str, subject: str) -> bytes:
    """Read and decrypt a stored file. Runs in a thread. Raises AttachmentGone when its key or its bytes are gone."""
    gone = AttachmentGone("This file cannot be read any more: the person it is about was erased, or the file was lost.")
    try:
        sealed = path_of(bank, sha256, subject).read_bytes()
        key = bank.keystore_sync.find_key(subject)
    except (FileNotFoundError, KeyDestroyed):
        raise gone from None
    if key is None:
        raise gone
    return AESGCM(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], sha256.encode())


def may_attach(session: Session, actor: Actor, request: AttachmentRequest) -> None:
    """Raise unless the actor may store this file: anyone who may open a deviation there, about a person they may see."""
    if request.donor is not None:
        find_scope(session, actor, HoldScope.DONOR, request.donor)
    actor.require(Permission.DEVIATION_OPEN, at=request.site)


def register_file(session: Session, act: Act, request: AttachmentRequest, stored: StoredFile) -> AttachmentPublic:
    """Write the row of a file that stands on disk. A file already known keeps its first row."""
    may_attach(session, act.actor, request)
    session.execute(
        insert(attachment)
        .values(
            sha256=stored.sha256,
            size_bytes=stored.size_bytes,
            media_type=request.media_type,
            subject=stored.subject,
            site_code=request.site,
            stored_at=act.at,
            stored_by=act.actor.code,
        )
        .on_conflict_do_nothing(index_elements=["sha256"])
    )
    return _public(session, stored.sha256)


def find_file(session: Session, actor: Actor, sha256: str) -> tuple[AttachmentPublic, str]:
    """Return a file's row and its subject; raise NotFound unless the actor may read it (`readable`)."""
    row = readable(session, actor, [sha256]).get(sha256)
    if row is None:
        raise NotFound("There is no attachment with this hash that you may see.")
    return AttachmentPublic(**{n: row[n] for n in AttachmentPublic.model_fields}), row["subject"]


def readable(session: Session, actor: Actor, hashes: Collection[str]) -> dict[str, Mapping[Any, Any]]:
    """Return by hash the rows of those of these files that the actor stored, or may read where they belong.

    A photograph of a patient is read here by nobody (`withdrawals/photographs.py`).
    """
    if not hashes:
        return {}
    found = session.execute(select(attachment).where(attachment.c.sha256.in_(list(hashes)))).mappings()
    rows: dict[str, Mapping[Any, Any]] = {row["sha256"]: row for row in found}
    others = {sha256 for sha256, row in rows.items() if not _may_read(actor, row["stored_by"], row["site_code"])}
    kept = (rows.keys() - others) | _reports(session, actor, others)
    kept -= photographs_of_patients.get()(session, kept)
    return {sha256: rows[sha256] for sha256 in kept}


@kept_file.give
def kept_bytes(session: Session, act: Act, sha256: str) -> bytes:
    """Return a stored file; raise AttachmentUnknown, NotFound when the actor may not read it, AttachmentGone."""
    require_stored(session, [sha256])
    return read_file(act.bank, sha256, find_file(session, act.actor, sha256)[1])


def _may_read(actor: Actor, stored_by: str, site: str | None) -> bool:
    return actor.code == stored_by or actor.scope(Permission.DEVIATION_OPEN, Permission.LOG_READ).covers(site)


def _reports(session: Session, actor: Actor, hashes: Collection[str]) -> frozenset[str]:
    """Return which of these files are reports of markers of donors whom the actor may identify: who decides on one reads it."""
    if not hashes or not actor.may(Permission.IDENTITY_READ, at=ANYWHERE):
        return frozenset()
    asked = (
        select(donor_marker.c.report_sha256)
        .join(donor, donor.c.code == donor_marker.c.donor_code)
        .where(donor_marker.c.report_sha256.in_(list(hashes)), visible(actor))
    )
    return frozenset(session.execute(asked).scalars())


def _public(session: Session, sha256: str) -> AttachmentPublic:
    row = session.execute(select(attachment).where(attachment.c.sha256 == sha256)).mappings().one()
    return AttachmentPublic(**{n: row[n] for n in AttachmentPublic.model_fields})
