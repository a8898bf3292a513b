"""Files that were sent to be imported: in the vault, under a key of their own, for the login that sent them, for two weeks."""

import base64
from dataclasses import dataclass
from datetime import timedelta

from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.bank import Bank
from biobank.acts.timers import timer
from biobank.foundation.errors import NotFound
from biobank.vault import Erased, forget_documents, open_document, put_document

SUBJECT = "IMPORT"
"""Whose key the files lie under: an inventory is about many people, and most are not known yet."""
LARGEST = 32 * 1024 * 1024
KEPT = timedelta(days=14)


@dataclass(frozen=True)
class Upload:
    """A file as it was sent."""

    name: str
    data: bytes


def keep_upload(bank: Bank, by: str, upload: Upload) -> str:
    """Keep a file for the login `by` and return the name it is found under, hexadecimal. Runs in a thread."""
    document = {"by": by, "name": upload.name[:200], "content": base64.b64encode(upload.data).decode()}
    return bank.database.write_now(lambda session: put_document(session, bank.keystore_sync, SUBJECT, document)).hex()


def read_upload(bank: Bank, by: str, name: str) -> Upload:
    """Return a file that the login `by` sent. Runs in a thread. Raises NotFound."""
    gone = NotFound(
        f"There is no such file of yours: files are kept for {KEPT.days} days, or until they are imported. Send it again."
    )
    try:
        document = bank.database.write_now(lambda session: open_document(session, bank.keystore_sync, bytes.fromhex(name)))
    except (Erased, ValueError):
        raise gone from None
    if document.get("by") != by:
        raise gone
    return Upload(document["name"], base64.b64decode(document["content"]))


def forget_upload(session: Session, name: str) -> None:
    """Delete a file that is not needed any more."""
    forget_documents(session, SUBJECT, commit=bytes.fromhex(name))


@timer(every=timedelta(hours=6))
def forget_old_uploads(session: Session, act: Act) -> int:
    """Delete files that nobody imported."""
    return forget_documents(session, SUBJECT, before=act.at - KEPT)
