"""Publishing: signing the newest durable head and letting it out, without ever signing two histories.

The order is what matters. The register is read first and the newest head after it, so that a head which is shorter than
the registered one means that the database lost something, never that we looked too early. Before anything is signed, the
stored tree must be shown, by a consistency proof computed from its tiles, to begin with the registered tree. Only then is
the note made, swapped into the register, and stored where readers find it. Dying between any two of these steps is
harmless: signing is deterministic, and the next publication starts from the register again, which it first makes durable:
whoever wrote what stands there may have died before the disk had it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from biobank.foundation.connections import DURABLE, require_confirmed
from biobank.transparency.checkpoint import Checkpoint, open_checkpoint
from biobank.transparency.cose import sign_root
from biobank.transparency.note import NoteError, NoteSigner, NoteVerifier
from biobank.transparency.register import Register, RegisterError, RegisterMissing, RegisterMoved
from biobank.transparency.sealing import Connection, LogHalted
from biobank.transparency.stored_tiles import TileMissing, tile_reader
from biobank.transparency.tiles import TileNodes
from biobank.transparency.tree import EMPTY_ROOT, consistency_proof, verify_consistency

_ANY_HEAD = "SELECT EXISTS (SELECT 1 FROM tree_head)"
_NEWEST_HEAD = "SELECT size, root FROM tree_head ORDER BY size DESC LIMIT 1"
_STORE = """
    WITH stored AS (INSERT INTO checkpoint (size, note) VALUES (%s, %s) ON CONFLICT DO NOTHING)
    INSERT INTO root_signature (size, key_id, signature)
    SELECT %s, key_id, signature FROM unnest(%s::bytea[], %s::bytea[]) AS made (key_id, signature)
    ON CONFLICT DO NOTHING
"""

ATTEMPTS: Final = 20
"""How often a publication lets other sealers go first before it gives up and is retried later."""


class Publishing:
    """Signs heads of the log ``origin`` in the database behind ``connection`` and keeps ``register`` in step.

    ``signers`` are the log's keys: one, or two while the key is being rotated. ``known_keys`` are the keys by which the
    registered checkpoint may be signed; by default those of the signers.
    """

    def __init__(
        self,
        connection: Connection,
        register: Register,
        origin: str,
        signers: Sequence[NoteSigner],
        known_keys: Sequence[NoteVerifier] = (),
    ) -> None:
        self._connection = connection
        self._register = register
        self._origin = origin
        self._signers = tuple(signers)
        self._known_keys = tuple(known_keys) or tuple(signer.verifier for signer in signers)

    def ensure_register(self) -> None:
        """Register the empty tree of a log that has no head yet; make a register that is found durable.

        Raises LogHalted when the log has heads and the register is gone: whether they were the newest cannot be known. A register
        stands before the first head, so under a head it is looked for once more: another sealer may just have begun the log.
        """
        begun = False
        try:
            while True:
                try:
                    self._open(self._register.read())
                    self._register.confirm()
                    return
                except RegisterMissing as exc:
                    if begun:
                        raise LogHalted("register_missing", f"the log has entries, but {exc}") from exc
                    begun = bool(self._connection.execute(_ANY_HEAD).fetchall()[0][0])
                    if not begun:
                        self._register.create(Checkpoint(self._origin, 0, EMPTY_ROOT).sign(self._signers))
                        return
        except RegisterMoved:
            return  # another sealer of the same new log was first
        except RegisterError as exc:
            raise _halted(exc) from exc

    def publish(self) -> Checkpoint:
        """Sign, register and store the newest head, and return its checkpoint. Harmless to repeat.

        Raises LogHalted, OSError when the register's disk fails or the device with the log's key is away, Unavailable when the
        standby did not confirm the head, or what psycopg raises.
        """
        for _ in range(ATTEMPTS):
            old_note, registered = self._registered()
            head = self._newest_head_after(registered)
            if head == registered:
                if self._confirmed() != old_note:
                    continue
                self._store(registered, old_note)
                return registered
            # The head may have been written by a sealer that died while it waited for the standby. A register ahead of every
            # surviving database would halt the log.
            self._connection.execute(DURABLE)
            require_confirmed(self._connection)
            note = head.sign(self._signers)
            try:
                self._register.compare_and_swap(old_note, note)
            except RegisterMoved:
                continue  # another sealer published: begin again from what it registered
            except RegisterError as exc:
                raise _halted(exc) from exc
            self._store(head, note)
            return head
        raise TimeoutError(f"the register moved {ATTEMPTS} times during one publication")

    def _store(self, checkpoint: Checkpoint, note: str) -> None:
        key_ids = [signer.verifier.key_id for signer in self._signers]
        signatures = [sign_root(signer, self._origin, checkpoint.root) for signer in self._signers]
        self._connection.execute(_STORE, (checkpoint.size, note, checkpoint.size, key_ids, signatures))

    def _registered(self) -> tuple[str, Checkpoint]:
        try:
            note = self._register.read()
        except RegisterError as exc:
            raise _halted(exc) from exc
        return note, self._open(note)

    def _confirmed(self) -> str:
        try:
            return self._register.confirm()
        except RegisterError as exc:
            raise _halted(exc) from exc

    def _open(self, note: str) -> Checkpoint:
        try:
            return open_checkpoint(note, self._origin, self._known_keys)
        except NoteError as exc:
            raise LogHalted("register_unreadable", f"the registered note is not one of this log's: {exc}") from exc

    def _newest_head_after(self, registered: Checkpoint) -> Checkpoint:
        """Return the newest stored head, shown to contain the registered tree."""
        found = self._connection.execute(_NEWEST_HEAD, binary=True).fetchall()
        size, root = found[0] if found else (0, EMPTY_ROOT)
        if size < registered.size:
            raise LogHalted(
                "rollback",
                f"the register knows a tree of {registered.size} entries, the database only {size}: it lost entries that "
                "were published",
            )
        head = Checkpoint(self._origin, size, root)
        if registered.size == 0 and registered.root == EMPTY_ROOT:
            return head
        try:
            node = TileNodes(size, tile_reader(self._fetch))
            proof = consistency_proof(registered.size, size, node)
            verify_consistency(registered.size, size, registered.root, root, proof)
        except (ValueError, TileMissing) as exc:
            raise LogHalted(
                "fork",
                f"the tree of {size} entries in the database does not begin with the registered tree of {registered.size}: {exc}",
            ) from exc
        return head

    def _fetch(self, sql: str, values: tuple[Any, ...]) -> Sequence[Sequence[Any]]:
        return self._connection.execute(sql, values, binary=True).fetchall()


def _halted(exc: RegisterError) -> LogHalted:
    return LogHalted("register_missing" if isinstance(exc, RegisterMissing) else "register_unreadable", str(exc))
