"""Files by their hash: a logger's curve, a laboratory's report, a photograph.

A file may show a name, so it is kept like everything personal: encrypted under the key of the person it is about, or the
bank's own. Given about two people, it is kept twice; each reads it where it was given to them. Erasing a person makes their copy
unreadable and leaves the other; its hash, which the log quotes, stays.

    attachments/<first two hex digits>/<sha256>.<subject>
        = nonce (12) || AES-256-GCM(key of the subject, bytes, associated data = sha256 in hex)

They lie in the state folder or in a bucket (`foundation/file_store.py`), and are there before they are acknowledged. Hashing,
encrypting and storing run in a thread: ten megabytes take far longer than an event loop may wait.
"""

import base64
import binascii
import hashlib
import os
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from anyio import to_thread
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import func, select
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
from biobank.foundation.config import Settings
from biobank.foundation.errors import MalformedRequest, NotFound, PayloadTooLarge
from biobank.foundation.file_store import StoreAway
from biobank.foundation.from_above import FromAbove
from biobank.monitoring.logger_files import kept_file
from biobank.quality.attachment_limits import require_room
from biobank.quality.holds import find_scope
from biobank.quality.schemas import ATTACHMENT_BYTES, ATTACHMENT_MIB, AttachmentPublic, AttachmentRequest
from biobank.quality.stored_files import attachment, context, require_stored
from biobank.quality.virus_scanner import require_clean
from biobank.vault import KeyDestroyed
from biobank.vault.keystore import NONCE_BYTES

T = TypeVar("T")

photographs_of_patients: FromAbove[Callable[[Session, Collection[str]], frozenset[str]]] = FromAbove("withdrawals")
"""Which files are patients' photographs: they are looked at with their withdrawal only, where each reading is recorded."""


_ONE_BY_ONE: Final = select(func.pg_advisory_xact_lock(func.hashtextextended("quotas of attachments", 0)))

_files = select(attachment.c.size_bytes, context).join_from(context, attachment, attachment.c.sha256 == context.c.sha256)


class AttachmentGone(NotFound):
    """The file was stored and cannot be read any more."""

    code = "attachment_gone"
    title = "Attachment not readable"


@dataclass(frozen=True)
class StoredFile:
    """A file that is stored, encrypted."""

    sha256: str
    size_bytes: int
    subject: str


def decoded(request: AttachmentRequest) -> bytes:
    """Return the file's bytes; raise MalformedRequest or PayloadTooLarge."""
    try:
        data = base64.b64decode(request.content, validate=True)
    except binascii.Error:
        raise MalformedRequest("The file did not arrive whole: its content is not base64 (RFC 4648, section 4).") from None
    if len(data) > ATTACHMENT_BYTES:
        raise PayloadTooLarge(f"A file may be at most {ATTACHMENT_MIB} MiB. Store it elsewhere and quote it.")
    return data


def name_of(sha256: str, subject: str) -> str:
    """Return the name under which a file is stored."""
    return f"{sha256[:2]}/{sha256}.{subject}"


async def keep(bank: Bank, request: AttachmentRequest, register: Callable[[StoredFile], Awaitable[T]]) -> T:
    """Keep a file whose giver `may_attach`, and write down with `register` (of `register_file`) in which context it was given.

    Of what is refused there no file stays: what no row counts would be within no quota. Raises what `keep_file` and `register`
    raise.
    """
    stored = await to_thread.run_sync(keep_file, bank, request)
    try:
        return await register(stored)
    except Exception:
        with suppress(StoreAway):
            await bank.database.write(lambda session: _forget_unregistered(session, bank, stored))
        raise


def _forget_unregistered(session: Session, bank: Bank, stored: StoredFile) -> None:
    """Remove a file that is known in no context, while nobody else gives one."""
    session.execute(_ONE_BY_ONE)
    here = (context.c.sha256 == stored.sha256, context.c.subject == stored.subject)
    if session.execute(select(context.c.id).where(*here).limit(1)).first() is None:
        bank.files.remove(name_of(stored.sha256, stored.subject))


def keep_file(bank: Bank, request: AttachmentRequest) -> StoredFile:
    """Encrypt the file and store it, whole or not at all. Runs in a thread; the same file twice is one file.

    `may_attach` has said yes before: only then does a subject get a key. Raises AttachmentGone when the person was erased,
    FileNotClean, ScannerAway, StoreAway.
    """
    data = decoded(request)
    require_clean(data, bank.settings.virus_scanner)
    sha256 = hashlib.sha256(data).hexdigest()
    subject = request.donor or BANK_SUBJECT
    name = name_of(sha256, subject)
    try:
        key = bank.keystore_sync.keys_for([subject])[subject]
    except KeyDestroyed:
        raise AttachmentGone("This person was erased; nothing new can be kept about them.") from None
    if not bank.files.holds(name):
        nonce = os.urandom(NONCE_BYTES)
        bank.files.put(name, nonce + AESGCM(key).encrypt(nonce, data, sha256.encode()))
    return StoredFile(sha256, len(data), subject)


def read_file(bank: Bank, sha256: str, *subjects: str) -> bytes:
    """Read and decrypt a stored file, the copy of the first subject whose it still is. Runs in a thread.

    Raises AttachmentGone when the keys or the bytes of all of them are gone, StoreAway.
    """
    for subject in subjects:
        try:
            sealed = bank.files.get(name_of(sha256, subject))
            key = bank.keystore_sync.find_key(subject)
        except (FileNotFoundError, KeyDestroyed):
            continue
        if key is not None:
            return AESGCM(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], sha256.encode())
    raise AttachmentGone("This file cannot be read any more: the person it is about was erased, or the file was lost.")


def may_attach(session: Session, actor: Actor, request: AttachmentRequest, settings: Settings) -> None:
    """Raise unless the actor may store this file: anyone who may open a deviation there, about a person they may see.

    Raises NotFound, NotPermitted, TooManyFiles, NoRoomForFiles.
    """
    if request.donor is not None:
        find_scope(session, actor, HoldScope.DONOR, request.donor)
    actor.require(Permission.DEVIATION_OPEN, at=request.site)
    require_room(session, actor, settings, request.donor, len(request.content) * 3 // 4)


def register_file(session: Session, act: Act, request: AttachmentRequest, stored: StoredFile) -> AttachmentPublic:
    """Write down in which context a stored file was given; given there before, it keeps what was said first."""
    # The quotas are judged by one giver after another: two at once would both find room for the last file.
    session.execute(_ONE_BY_ONE)
    if not act.bank.files.holds(name_of(stored.sha256, stored.subject)):
        keep_file(act.bank, request)  # somebody else's same file was refused meanwhile, and taken away
    given = {"sha256": stored.sha256, "subject": stored.subject, "site_code": request.site, "stored_by": act.actor.code}
    same = select(context.c.id).where(*(context.c[name].is_not_distinct_from(value) for name, value in given.items()))
    known = session.execute(same).scalar()
    if known is None:
        may_attach(session, act.actor, request, act.bank.settings)
        file = insert(attachment).values(sha256=stored.sha256, size_bytes=stored.size_bytes)
        session.execute(file.on_conflict_do_nothing(index_elements=["sha256"]))
        made = insert(context).values(**given, media_type=request.media_type, stored_at=act.at).returning(context.c.id)
        known = session.execute(made).scalar_one()
    row = session.execute(_files.where(context.c.id == known)).mappings().one()
    return _public(row)


def find_file(session: Session, actor: Actor, sha256: str, donor: str | None = None) -> tuple[AttachmentPublic, Sequence[str]]:
    """Return a file and the subjects as whose the actor may read it (`readable`); `donor`: only as what was given about them.

    Raises NotFound when there is none.
    """
    rows = readable(session, actor, [sha256]).get(sha256, [])
    rows = [row for row in rows if donor in (None, row["subject"])]
    if not rows:
        raise NotFound("There is no such file that you may see.")
    return _public(rows[0]), tuple(dict.fromkeys(row["subject"] for row in rows))


def readable(session: Session, actor: Actor, hashes: Collection[str]) -> dict[str, list[Mapping[Any, Any]]]:
    """Return by hash the contexts in which the actor may read these files, where they belong, the first first.

    A photograph of a patient is read here by nobody (`withdrawals/photographs.py`).
    """
    if not hashes:
        return {}
    rows = session.execute(_files.where(attachment.c.sha256.in_(list(hashes))).order_by(context.c.id)).mappings().all()
    others = {row["sha256"] for row in rows if not _may_read(actor, row["site_code"])}
    reports = _reports(session, actor, others)
    hidden = photographs_of_patients.get()(session, {row["sha256"] for row in rows})
    found: dict[str, list[Mapping[Any, Any]]] = {}
    for row in rows:
        own = _may_read(actor, row["site_code"])
        if row["sha256"] not in hidden and (own or (row["sha256"], row["subject"]) in reports):
            found.setdefault(row["sha256"], []).append(row)
    return found


@kept_file.give
def kept_bytes(session: Session, act: Act, sha256: str) -> bytes:
    """Return a stored file; raise AttachmentUnknown, NotFound when the actor may not read it, AttachmentGone."""
    require_stored(session, [sha256])
    return read_file(act.bank, sha256, *find_file(session, act.actor, sha256)[1])


def _may_read(actor: Actor, site: str | None) -> bool:
    """Say whether the actor may read what was given at a site; that they gave it themselves, once, is no right."""
    return actor.scope(Permission.DEVIATION_OPEN, Permission.LOG_READ).covers(site)


def _reports(session: Session, actor: Actor, hashes: Collection[str]) -> frozenset[tuple[str, str]]:
    """Return which of these files are reports of markers of donors whom the actor may identify: who decides on one reads it.

    Each with the subject as whose: the donor, or the bank.
    """
    if not hashes or not actor.may(Permission.IDENTITY_READ, at=ANYWHERE):
        return frozenset()
    asked = (
        select(donor_marker.c.report_sha256, donor_marker.c.donor_code)
        .join(donor, donor.c.code == donor_marker.c.donor_code)
        .where(donor_marker.c.report_sha256.in_(list(hashes)), visible(actor))
    )
    return frozenset((sha256, subject) for sha256, code in session.execute(asked) for subject in (code, BANK_SUBJECT))


def _public(row: Mapping[Any, Any]) -> AttachmentPublic:
    return AttachmentPublic(**{n: row[n] for n in AttachmentPublic.model_fields})
