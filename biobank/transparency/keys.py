"""Signing keys as files: where they lie, who may read them, how they come to be.

In the secrets folder::

    log.skey          the log's key; signs checkpoints. Needed by the sealer and by nobody else
    log.next.skey     only while the log's key is being rotated: both sign
    receipt.skey      the receipt key; signs acknowledgements. Needed by the web workers
    recovery.vkey     public half of the cold key; its private half lies in a safe and never here
    *.vkey            the public half of each, for whoever wants to verify

The log's private keys may lie in a folder of their own, which only the sealer sees; their public halves are in both then.

A private file is the one-line skey form, an unencrypted PKCS #8 PEM of an Ed25519 key, or two lines that say in which security
module the log's key is (``key_in_token.py``), mode 0600: a key that another account can read is refused, because nobody could say
afterwards who signed. Names are fixed by the log's origin: the log
key is called ``<origin>`` and the receipt key ``<origin>/receipts``.
"""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path
from typing import Final, TypeVar

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from biobank.foundation.durable_files import flush_folder
from biobank.transparency.key_in_token import TokenSigner
from biobank.transparency.note import MalformedKey, NoteSigner, Signer, Verifier
from biobank.transparency.receipt import receipt_key_name

LOG_KEY: Final = "log"
NEXT_LOG_KEY: Final = "log.next"
RECEIPT_KEY: Final = "receipt"
RECOVERY_KEY: Final = "recovery"
RECOVERY_SUFFIX: Final = "/recovery"

_PEM_START: Final = "-----BEGIN"

_S = TypeVar("_S", bound=NoteSigner)


class KeyFileError(Exception):
    """A key file is missing, unsafe or not the key it should be. The message never holds key material."""


def load_log_signers(folder: Path, origin: str) -> tuple[NoteSigner, ...]:
    """Return the signers of the log ``origin``: its key, and the next one while a rotation is under way.

    Raises KeyFileError.
    """
    signers = [load_log_signer(folder / f"{LOG_KEY}.skey", origin)]
    following = folder / f"{NEXT_LOG_KEY}.skey"
    if following.exists():
        signers.append(load_log_signer(following, origin))
        if signers[0].verifier == signers[1].verifier:
            raise KeyFileError(f"{following.name} holds the same key as {LOG_KEY}.skey: a rotation needs a new one")
    return tuple(signers)


def key_stamp(folder: Path) -> tuple[tuple[str, int, int], ...]:
    """Return what changes when a log key file is put, replaced or taken away: names, inodes and times of modification."""
    found = []
    for name in (LOG_KEY, NEXT_LOG_KEY):
        try:
            status = (folder / f"{name}.skey").stat()
        except OSError:
            continue
        found.append((name, status.st_ino, status.st_mtime_ns))
    return tuple(found)


def load_receipt_signer(folder: Path, origin: str) -> Signer:
    """Return the signer of acknowledgements of the log ``origin``. Raises KeyFileError."""
    return load_signer(folder / f"{RECEIPT_KEY}.skey", receipt_key_name(origin))


def ensure_keys(folder: Path, origin: str, log_folder: Path | None = None) -> None:
    """Create the log key and the receipt key where they are missing; processes that race end up with the same keys.

    The log's private key goes into ``log_folder`` when there is one, its public half into both.

    Existing files are left alone and checked. A log key that was lost and is replaced here does not go unnoticed: the
    sealer halts, because the registered checkpoint bears another key's signature. Raises KeyFileError.
    """
    receipt = (folder, RECEIPT_KEY, receipt_key_name(origin))
    for home, file_name, key_name in ((log_folder or folder, LOG_KEY, origin), receipt):
        home.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = home / f"{file_name}.skey"
        if not path.exists():
            _publish(path, Signer.generate(key_name).to_skey() + "\n", 0o600)
        signer = load_log_signer(path, key_name) if file_name == LOG_KEY else load_signer(path, key_name)
        for place in {home, folder}:
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
            publish_public_half(place, file_name, signer)


def create_key_file(path: Path, key_name: str) -> Signer:
    """Generate a key into ``path`` (mode 0600), write its public half beside it as ``.vkey``, and return its signer.

    The file appears whole or not at all. Raises KeyFileError when it exists: a key is never overwritten.
    """
    signer = Signer.generate(key_name)
    write_key_files(path, signer)
    return signer


def write_key_files(path: Path, signer: NoteSigner) -> None:
    """Write a key into ``path`` (mode 0600) and its public half beside it. Raises KeyFileError when the file exists."""
    if not _publish(path, signer.to_skey() + "\n", 0o600):
        raise KeyFileError(f"{path.name} exists; a key is never overwritten")
    _publish(path.with_suffix(".vkey"), signer.verifier.to_vkey() + "\n", 0o644)


def publish_public_half(folder: Path, name: str, signer: NoteSigner) -> None:
    """Write the public half of a key where it is missing."""
    public = folder / f"{name}.vkey"
    if not public.exists():
        _publish(public, signer.verifier.to_vkey() + "\n", 0o644)


def create_recovery_key(folder: Path, private: Path, origin: str) -> Signer:
    """Make the cold key of the log ``origin``: the private half into ``private``, for a safe, the public half into ``folder``.

    Raises KeyFileError when either exists: a recovery key that could be replaced at will would recover nothing.
    """
    public = folder / f"{RECOVERY_KEY}.vkey"
    if public.exists():
        raise KeyFileError(f"{public.name} exists; the recovery key is made once, on the first day")
    if private.resolve().parent == folder.resolve():
        raise KeyFileError("the recovery key does not belong among the keys it is to outlive; name a file on another medium")
    private.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    signer = create_key_file(private, origin + RECOVERY_SUFFIX)
    _publish(public, signer.verifier.to_vkey() + "\n", 0o644)
    return signer


def public_key(folder: Path, name: str) -> str:
    """Return the public text form of a key. Raises KeyFileError."""
    path = folder / f"{name}.vkey"
    try:
        return Verifier.from_vkey(path.read_text(encoding="utf-8")).to_vkey()
    except FileNotFoundError:
        more = " Make it with `biobank keys recovery FILE`." if name == RECOVERY_KEY else ""
        raise KeyFileError(f"{path.name} is missing.{more}") from None
    except (MalformedKey, UnicodeDecodeError, OSError) as exc:
        raise KeyFileError(f"{path.name} does not hold a public key") from exc


def promote_next_log_key(folder: Path, old: Verifier, public: Path | None = None) -> None:
    """Put the next log key in the place of the present one, whose public half stays as ``log.<key id>.retired.vkey``.

    ``public`` is the folder that has the public halves too, when it is another one.

    The old private key is gone afterwards: nothing that is signed by it later counts, and what cannot be stolen is best. The
    order leaves a folder that a sealer can start from whenever this is interrupted.
    """
    places = {folder, public or folder}
    for place in places:
        _publish(place / f"{LOG_KEY}.{old.key_id.hex()}.retired.vkey", old.to_vkey() + "\n", 0o644)
    (folder / f"{NEXT_LOG_KEY}.skey").replace(folder / f"{LOG_KEY}.skey")
    for place in places:
        (place / f"{NEXT_LOG_KEY}.vkey").replace(place / f"{LOG_KEY}.vkey")
        flush_folder(place)


def load_log_signer(path: Path, key_name: str) -> NoteSigner:
    """Read a key of the log, which may also be one in a security module; that is not asked yet. Raises KeyFileError."""
    text = _private_text(path)
    if not TokenSigner.is_told_by(text):
        return load_signer(path, key_name)
    try:
        return _named(TokenSigner.from_text(text), path, key_name)
    except MalformedKey as exc:
        raise KeyFileError(f"{path.name} does not say which key of a security module it is: {exc}") from exc


def load_signer(path: Path, key_name: str) -> Signer:
    """Read one private key, skey or PEM, that must be called ``key_name``. Raises KeyFileError."""
    text = _private_text(path)
    try:
        signer = _from_pem(text.encode(), key_name) if text.lstrip().startswith(_PEM_START) else Signer.from_skey(text)
    except MalformedKey:
        raise KeyFileError(f"{path.name} does not hold an Ed25519 private key") from None
    return _named(signer, path, key_name)


def _named(signer: _S, path: Path, key_name: str) -> _S:
    if signer.name != key_name:
        raise KeyFileError(f"{path.name} holds the key {signer.name}, not {key_name}")
    return signer


def _private_text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            status = os.fstat(file.fileno())
            data = file.read(16_384)
    except OSError as exc:
        raise KeyFileError(f"{path.name} cannot be read: {exc.strerror}") from exc
    if not stat.S_ISREG(status.st_mode) or status.st_mode & 0o077:
        raise KeyFileError(f"{path.name} is open to other accounts; set its mode to 0600")
    try:
        return data.decode()
    except UnicodeDecodeError:
        raise KeyFileError(f"{path.name} does not hold an Ed25519 private key") from None


def _from_pem(data: bytes, key_name: str) -> Signer:
    try:
        key = load_pem_private_key(data, password=None)
    except (ValueError, TypeError) as exc:  # TypeError: the key is encrypted
        raise MalformedKey("not an unencrypted PEM private key") from exc
    if not isinstance(key, Ed25519PrivateKey):
        raise MalformedKey("not an Ed25519 key")
    return Signer(key_name, key.private_bytes_raw())


def _publish(path: Path, text: str, mode: int) -> bool:
    """Create ``path`` with ``text`` durably, whole or not at all; return False when it exists already."""
    descriptor, temporary = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        with os.fdopen(descriptor, "w") as file:
            os.fchmod(file.fileno(), mode)
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(temporary, path)
        except FileExistsError:
            return False
    finally:
        os.unlink(temporary)
    flush_folder(path.parent)
    return True
