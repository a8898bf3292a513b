"""Personal data: ciphertext in the bank's database, keys in another, salted commitments in the log.

Not here: what a document means; that belongs to the package that wrote it.
"""

from biobank.vault.keystore import KeyDestroyed, Keystore
from biobank.vault.vault import (
    Erased,
    commitment,
    forget_documents,
    open_document,
    open_documents,
    put_document,
    put_documents,
)

__all__ = [
    "Erased",
    "KeyDestroyed",
    "Keystore",
    "commitment",
    "forget_documents",
    "open_document",
    "open_documents",
    "put_document",
    "put_documents",
]
