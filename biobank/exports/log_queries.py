"""Reading the log for others: what of it is published, and what to say about what is not."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import text
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE, EVERYWHERE
from biobank.exports.log_schemas import ConsistencyProof, InclusionProof
from biobank.foundation.errors import NotFound, NotPermitted, Refusal
from biobank.transparency import stored_log
from biobank.transparency.cose import inclusion_receipt
from biobank.transparency.note import to_base64
from biobank.transparency.proof import InclusionReceipt
from biobank.transparency.stored_tiles import Fetch, TileMissing
from biobank.transparency.tiles import TileError, TileName, UpperTiles

_WAITING = text(
    "SELECT EXISTS (SELECT 1 FROM pending WHERE leaf_hash = :leaf), "
    "EXISTS (SELECT 1 FROM log_quarantine WHERE leaf_hash = :leaf), "
    "EXISTS (SELECT 1 FROM leaf WHERE leaf_hash = :leaf)"
)


class NotSealedYet(NotFound):
    """The event is recorded and not yet under a published checkpoint; ask again in a second."""

    code = "not_sealed_yet"
    title = "Not sealed yet"


class SealRefused(NotFound):
    """The event was put into quarantine: its bytes are not what was acknowledged. Its acknowledgement is evidence."""

    code = "in_quarantine"
    title = "In quarantine"


class NoCheckpointOfThisSize(NotFound):
    """A receipt needs a signature of the log, which signs only the sizes at which it published."""

    code = "no_checkpoint_of_this_size"
    title = "No checkpoint of this size"


class LogDamaged(Refusal):
    """The database no longer holds what the published log commits to."""

    status = 500
    code = "log_damaged"
    title = "The log is damaged"


def fetch_in(session: Session) -> Fetch:
    """Return the way to run one SELECT in `session` (see `stored_tiles.Fetch`)."""
    connection = session.connection()

    def fetch(sql: str, values: tuple[Any, ...]) -> Sequence[Sequence[Any]]:
        return connection.exec_driver_sql(sql, values).fetchall()

    return fetch


def read_checkpoint(session: Session, *, size: int | None, cosigned: bool) -> str:
    """Return a checkpoint note: the newest, the best cosigned of the recent ones, or the one of a size. Raises NotFound."""
    fetch = fetch_in(session)
    if size is not None:
        found = stored_log.checkpoint_of(fetch, size)
    else:
        found = stored_log.cosigned_checkpoint(fetch) if cosigned else stored_log.newest_checkpoint(fetch)
    if found is None:
        raise NotFound(
            "The log has published no checkpoint yet."
            if size is None
            else f"No checkpoint of {size} entries was published. GET /api/v1/log/consistency proves any size."
        )
    return found.note


def prove_inclusion(session: Session, leaf_hash: bytes, size: int | None, upper: UpperTiles | None = None) -> InclusionProof:
    """Return an event's proof in the tree of `size` entries, by default under the best cosigned checkpoint that covers it.

    Raises NotSealedYet, SealRefused, NotFound (no such event, or not among the first `size` entries), LogDamaged.
    """
    proof, checkpoint = _included(session, leaf_hash, size, upper)
    return InclusionProof(
        leaf_hash=leaf_hash.hex(),
        index=proof.index,
        size=proof.size,
        root=to_base64(proof.root),
        path=[to_base64(node) for node in proof.path],
        receipt=None if checkpoint is None else InclusionReceipt(proof.index, proof.path, checkpoint.note).to_text(),
    )


def cose_receipt(
    session: Session, leaf_hash: bytes, size: int | None, origin: str, key: str | None, upper: UpperTiles | None = None
) -> bytes:
    """Return an event's inclusion receipt as COSE, by the log's key of the id `key` (8 hex digits) where two sign.

    Raises NoCheckpointOfThisSize besides what `prove_inclusion` raises; NotFound where that key did not sign.
    """
    proof, checkpoint = _included(session, leaf_hash, size, upper)
    signatures = {} if checkpoint is None else stored_log.root_signatures(fetch_in(session), proof.size)
    if not signatures:
        raise NoCheckpointOfThisSize(
            f"The log signed no root of {proof.size} entries. Leave `size` out and take the receipt under the checkpoint it has."
        )
    for key_id, signature in signatures.items():
        if key is None or key_id.hex() == key:
            return inclusion_receipt(origin, key_id, signature, proof)
    raise NotFound(f"The log's key {key} did not sign the root of {proof.size} entries.")


def _included(
    session: Session, leaf_hash: bytes, size: int | None, upper: UpperTiles | None
) -> tuple[stored_log.Inclusion, stored_log.Published | None]:
    """Return where an event stands, with the checkpoint of exactly that size where there is one."""
    fetch = fetch_in(session)
    published = stored_log.published_size(fetch)
    index = stored_log.index_of(fetch, leaf_hash)
    if index is None or index >= published:
        raise _not_published(session, leaf_hash)
    if size is None:
        checkpoint = stored_log.cosigned_checkpoint(fetch, index)
        assert checkpoint is not None
        size = checkpoint.size
    else:
        if not index < size <= published:
            raise NotFound(f"The event is entry {index}; the published log has {published} entries. Ask for a size in between.")
        checkpoint = stored_log.checkpoint_of(fetch, size)
    try:
        return stored_log.prove_inclusion(fetch, index, size, upper), checkpoint
    except TileMissing as missing:
        raise _damaged(missing) from missing


def prove_consistency(session: Session, old: int, new: int | None, upper: UpperTiles | None = None) -> ConsistencyProof:
    """Return the proof between two sizes, by default up to the newest published. Raises NotFound, LogDamaged."""
    fetch = fetch_in(session)
    published = stored_log.published_size(fetch)
    new = published if new is None else new
    if not 0 < old <= new <= published:
        raise NotFound(f"The published log has {published} entries. Ask from a size of at least 1 to one that is not smaller.")
    try:
        proof = stored_log.prove_consistency(fetch, old, new, upper)
    except TileMissing as missing:
        raise _damaged(missing) from missing
    return ConsistencyProof(old_size=old, new_size=new, proof=[to_base64(node) for node in proof])


def read_tile(session: Session, actor: Actor, path: str) -> bytes:
    """Return a tile or a bundle of entries by its C2SP name, for whoever may read the whole log.

    Raises NotPermitted, NotFound (no such name, or not published yet), LogDamaged.
    """
    actor.require(Permission.LOG_READ, at=ANYWHERE)
    if not actor.may(Permission.LOG_READ, at=EVERYWHERE):
        raise NotPermitted(
            "Tiles hold the log of every site, and your role is at some sites only. Export what you may see: "
            "GET /api/v1/custody-log.",
            permission=Permission.LOG_READ.value,
        )
    fetch = fetch_in(session)
    try:
        name = TileName.from_path(path)
    except TileError:
        raise NotFound("There is no tile of this name.") from None
    if not name.exists_in(stored_log.published_size(fetch)):
        raise NotFound("The published log has no such tile yet.")
    try:
        return stored_log.read_tile(fetch, name)
    except TileMissing as missing:
        raise _damaged(missing) from missing


def _not_published(session: Session, leaf_hash: bytes) -> Refusal:
    pending, quarantined, sealed = session.execute(_WAITING, {"leaf": leaf_hash}).one()
    if pending or sealed:
        return NotSealedYet("The event is recorded and will be under the next checkpoint. Ask again in a second.")
    if quarantined:
        return SealRefused("The event could not be sealed: its bytes changed after it was recorded. Tell quality.")
    return NotFound(
        "No event of this leaf hash is in the log. If you hold an acknowledgement of it whose merge delay has passed, "
        "that is evidence: `biobank receipt check`."
    )


def _damaged(missing: TileMissing) -> LogDamaged:
    return LogDamaged(f"The stored log is damaged: {missing}. Stop, keep everything, tell quality.")
