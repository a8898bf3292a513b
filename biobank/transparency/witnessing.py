"""Asking witnesses for cosignatures: the log's side of C2SP tlog-witness.

Publishing never waits for this. After a checkpoint is out, each witness is sent it with the proof from what that witness
cosigned last; what it answers is checked under the witness's key and stored beside the checkpoint. A witness that is away is
asked again later, from wherever it stands then.

A witness that claims to have cosigned *more* than this log has published knows a future that this database lost, or it
lies. At the start of a sealer, which is when snapshots and clones come to life, that halts the log for a person to look
(docs/adr/0019-what-a-witness-may-stop.md); later it is an alarm.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import httpx
import structlog

from biobank.transparency import stored_log
from biobank.transparency.cosignature import CosignatureVerifier, find_cosignature, time_of
from biobank.transparency.note import NoteError, from_base64, to_base64
from biobank.transparency.sealing import Connection, LogHalted
from biobank.transparency.verify import Policy, Unreadable

TIMEOUT_S: Final = 10.0
START_TIMEOUT_S: Final = 3.0

_NEWEST = "SELECT size, note FROM checkpoint ORDER BY size DESC LIMIT 1"
_LAST = "SELECT size, line FROM cosignature WHERE key_id = %s ORDER BY size DESC LIMIT 1"
_STORE = "INSERT INTO cosignature (size, key_id, line) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING"
_SIZE = re.compile(r"(0|[1-9][0-9]{0,18})\n?")

log = structlog.get_logger("biobank.witnessing")


@dataclass(frozen=True)
class Peer:
    """A witness that is asked: its name in the policy, its key and the address that `/add-checkpoint` is under."""

    name: str
    verifier: CosignatureVerifier
    url: str


@dataclass(frozen=True)
class Standing:
    """Where one witness stands: ``state`` is ok, unreachable, ahead, refused or bad_signature."""

    name: str
    state: str
    size: int
    since: datetime | None


def peers_of(policy_file: Path, origin: str) -> list[Peer]:
    """Return the witnesses with an address in a policy for the log ``origin``. Raises verify.Unreadable, OSError."""
    policy = Policy.read(policy_file.read_text(encoding="utf-8"))
    if policy.origin != origin:
        raise Unreadable(f"the policy is for the log {policy.origin}, and this is {origin}")
    return [
        Peer(name, CosignatureVerifier.from_vkey(key.text), policy.urls[name])
        for name, key in policy.witnesses.items()
        if name in policy.urls
    ]


def feed(connection: Connection, peer: Peer, *, timeout_s: float = TIMEOUT_S, insist: bool = False) -> Standing:
    """Bring one witness to the newest checkpoint and return where it stands. Raises what psycopg raises, TileMissing.

    A witness that has cosigned it, by what is stored here, is not asked again unless ``insist``.
    """
    last, since = _last(connection, peer)
    found = connection.execute(_NEWEST).fetchall()
    size, note = found[0] if found else (0, "")
    if size == 0 or (size == last and not insist):
        return Standing(peer.name, "ok", last, since)
    old = last
    for _ in range(2):
        try:
            answer = _ask(connection, peer, old, size, note, timeout_s)
        except httpx.HTTPError as exc:
            log.warning("witness_unreachable", witness=peer.name, fault=type(exc).__name__)
            return Standing(peer.name, "unreachable", last, since)
        if answer.status_code == 200:
            return _store(connection, peer, size, note, answer.text, last, since)
        stated = _SIZE.fullmatch(answer.text) if answer.status_code == 409 else None
        if stated is None or int(stated[1]) == old:
            break
        old = int(stated[1])
        if old > size:
            log.error("witness_ahead", witness=peer.name, size=old, ours=size)
            return Standing(peer.name, "ahead", last, since)
    log.error("witness_refused", witness=peer.name, status=answer.status_code, size=size)
    return Standing(peer.name, "unreachable" if answer.status_code >= 500 else "refused", last, since)


def consult(connection: Connection, peers: Sequence[Peer]) -> None:
    """Ask every witness once before anything new is sealed. Raises LogHalted when one has seen more than we have.

    A witness that does not answer in a few seconds does not keep the log from starting.
    """
    for peer in peers:
        if feed(connection, peer, timeout_s=START_TIMEOUT_S, insist=True).state == "ahead":
            raise LogHalted(
                "witness_ahead",
                f"the witness {peer.name} says it has cosigned more of this log than the database and the register hold: "
                "both may have been set back. Ask it for its newest checkpoint; if its claim is false, take it out of the policy",
            )


def _last(connection: Connection, peer: Peer) -> tuple[int, datetime | None]:
    found = connection.execute(_LAST, (peer.verifier.key_id,), binary=True).fetchall()
    if not found:
        return 0, None
    payload = from_base64(found[0][1].split(" ")[2].strip())
    assert payload is not None
    return found[0][0], datetime.fromtimestamp(time_of(payload[4:]), UTC)


def _ask(connection: Connection, peer: Peer, old: int, size: int, note: str, timeout_s: float) -> httpx.Response:
    def fetch(sql: str, values: tuple[Any, ...]) -> Sequence[Sequence[Any]]:
        return connection.execute(sql, values, binary=True).fetchall()

    proof = stored_log.prove_consistency(fetch, old, size) if 0 < old < size else []
    body = f"old {old}\n" + "".join(f"{to_base64(node)}\n" for node in proof) + "\n" + note
    return httpx.post(f"{peer.url.rstrip('/')}/add-checkpoint", content=body.encode(), timeout=timeout_s)


def _store(connection: Connection, peer: Peer, size: int, note: str, lines: str, last: int, since: datetime | None) -> Standing:
    try:
        found = find_cosignature(note + lines, peer.verifier)
    except NoteError:
        found = None
    if found is None:
        log.error("witness_bad_signature", witness=peer.name, size=size)
        return Standing(peer.name, "bad_signature", last, since)
    connection.execute(_STORE, (size, peer.verifier.key_id, found.line))
    return Standing(peer.name, "ok", size, datetime.fromtimestamp(found.time, UTC))
