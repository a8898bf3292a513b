"""The witness: a small program, run by somebody else, that cosigns a log's checkpoints only while they extend each other.

It speaks C2SP tlog-witness: ``POST /add-checkpoint`` with the body::

    old <size of the last checkpoint this witness cosigned, 0 if none>
    <one line of base64 per hash of the consistency proof, at most 63>
    <empty line>
    <the checkpoint note>

| answer | when |
|---|---|
| 200, the cosignature line | the checkpoint extends the last one; it was stored durably before this answer left |
| 400 | the request is not of that form, or the old size is larger than the checkpoint's |
| 403 | no signature is by a key of that log |
| 404 | the origin is not one this witness follows |
| 409, the last size, `text/x.tlog.size` | the old size is not the last one |
| 413 | longer than any request can be, or of a length that is not stated |
| 422 | no proof that the checkpoint extends the last one: also of the same size with another root, of size 0 with any but one |

Whoever wants to know what a log showed to others asks ``GET /<SHA-256 of the origin, hex>/checkpoint``: the last note that was
cosigned, with the cosignature; 404 for a log that never was.

State is one register file per log (the last note with our line, replaced by compare-and-swap and flushed), so a killed witness,
or two by accident over one folder, never cosign two histories. A note that is genuinely signed and contradicts what was cosigned
is kept in ``evidence/``: it is the log's own proof against itself.

Needs no database and nothing of the bank's: a folder, a key, and the public keys of the logs it follows.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Final

from biobank.foundation import clock
from biobank.transparency.checkpoint import Checkpoint
from biobank.transparency.cosignature import CosignatureVerifier, Cosigner
from biobank.transparency.keys import create_key_file, load_signer
from biobank.transparency.note import MalformedKey, NoteError, Verifier, from_base64, open_note, split_note
from biobank.transparency.register import FileRegister, RegisterMissing, RegisterMoved
from biobank.transparency.tree import EMPTY_ROOT, HASH_BYTES, ProofError, verify_consistency

MAX_BODY: Final = 64 * 1024
LONGEST_PROOF: Final = 63
MAX_EVIDENCE: Final = 200
"""How many contradictions are kept. One is enough; a broken log must not fill the disk."""

_OLD = re.compile(r"old (0|[1-9][0-9]{0,18})")
_CHECKPOINT_OF = re.compile(r"/([0-9a-f]{64})/checkpoint")


@dataclass(frozen=True)
class Answer:
    """What the witness replies."""

    status: int
    body: str = ""
    media_type: str = "text/plain; charset=utf-8"


@dataclass(frozen=True)
class _Asked:
    """A request, taken apart. ``proof`` is None when a line of it is no hash."""

    old_size: int
    proof: tuple[bytes, ...] | None
    note: str
    checkpoint: Checkpoint


class Witness:
    """Judges checkpoints. ``logs`` gives the keys of the logs followed, read anew for every request."""

    def __init__(self, cosigner: Cosigner, state: Path, logs: Callable[[], Sequence[Verifier]]) -> None:
        self._cosigner = cosigner
        self._state = state
        self._logs = logs

    def add_checkpoint(self, body: bytes) -> Answer:
        """Judge one request; see the module. Raises OSError when the state cannot be written: then nothing was cosigned."""
        try:
            asked = _parse(body)
        except (ValueError, UnicodeDecodeError) as exc:
            return Answer(400, f"{exc}\n")
        keys = [key for key in self._logs() if key.name == asked.checkpoint.origin]
        if not keys:
            return Answer(404, "this witness does not follow that log\n")
        try:
            opened = open_note(asked.note, keys)
        except NoteError as exc:
            return Answer(403, f"{exc}\n")
        if asked.old_size > asked.checkpoint.size:
            return Answer(400, "the old size is larger than the checkpoint's\n")
        # Lines of keys that we do not know could be anything: they are not kept and not shown to others.
        return self._extend(asked, opened.text + "\n" + "".join(signature.line() for signature in opened.verified))

    def _extend(self, asked: _Asked, signed: str) -> Answer:
        register = self.register(asked.checkpoint.origin)
        try:
            old_note: str | None = register.read()
            old = Checkpoint.from_text(split_note(old_note or "")[0])
        except RegisterMissing:
            old_note, old = None, None
        last = 0 if old is None else old.size
        if asked.old_size != last:
            return _conflict(last)
        refusal = _no_extension(asked, old)
        if refusal is not None:
            if last:
                self._keep(asked, old_note)
            return refusal
        time_s = int(clock.now().timestamp())
        line = self._cosigner.cosign(asked.checkpoint.text().encode(), time_s).line()
        # The same checkpoint again is written again too: whoever wrote it may have died before the disk had it.
        try:
            if old_note is None:
                register.create(signed + line)
            else:
                register.compare_and_swap(old_note, signed + line)
        except RegisterMoved:
            return self._extend(asked, signed)  # another request was first: judge again from what it left
        return Answer(200, line)

    def last_checkpoint(self, origin_hash: str) -> Answer:
        """Return the last note of a log that was cosigned, with our line, by the SHA-256 of the log's origin in hex."""
        for origin in {key.name for key in self._logs()}:
            if hashlib.sha256(origin.encode()).hexdigest() == origin_hash:
                with suppress(RegisterMissing):
                    return Answer(200, self.register(origin).read())
        return Answer(404, "this witness has cosigned nothing of that log\n")

    def register(self, origin: str) -> FileRegister:
        """Return the register of one log."""
        return FileRegister(self._state / "logs" / hashlib.sha256(origin.encode()).hexdigest())

    def _keep(self, asked: _Asked, cosigned: str | None) -> None:
        """Keep two notes of the log that cannot both be true, with the proof that failed."""
        folder = self._state / "evidence"
        folder.mkdir(mode=0o700, exist_ok=True)
        name = hashlib.sha256(asked.note.encode()).hexdigest()[:32]
        target = folder / f"{name}.txt"
        if target.exists() or sum(1 for _ in folder.iterdir()) >= MAX_EVIDENCE:
            return
        proof = "".join(f"{node.hex()}\n" for node in asked.proof or ())
        fresh = target.with_suffix(".new")
        fresh.write_text(
            f"Cosigned before:\n\n{cosigned}\nPresented later, signed by the log, and no extension of it:\n\n{asked.note}\n"
            f"Proof presented (hex):\n\n{proof}"
        )
        fresh.replace(target)

    def describe(self) -> str:
        """Return who this is and what it saw last, for a person."""
        lines = [f"witness {self._cosigner.verifier.to_vkey()}"]
        for origin in sorted({key.name for key in self._logs()}):
            try:
                size = str(Checkpoint.from_text(split_note(self.register(origin).read())[0]).size)
            except RegisterMissing:
                size = "nothing yet"
            lines.append(f"log {origin}: {size}")
        evidence = self._state / "evidence"
        lines.append(f"contradictions kept: {sum(1 for _ in evidence.glob('*.txt')) if evidence.exists() else 0}")
        return "\n".join(lines) + "\n"


def read_log_keys(path: Path) -> list[Verifier]:
    """Read a file of log keys, one vkey a line; empty lines and lines that begin with ``#`` are left out.

    Two lines of one name are two keys of one log, as during a rotation. A file that is not there yet names no log. Raises
    MalformedKey naming the line, OSError.
    """
    keys: list[Verifier] = []
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            keys.append(Verifier.from_vkey(line))
        except MalformedKey as exc:
            raise MalformedKey(f"{path.name}, line {number}: {exc}") from exc
    return keys


def open_cosigner(state: Path, name: str) -> Cosigner:
    """Return the key in a witness's folder; make both at the first start. Raises KeyFileError, NoteError, OSError."""
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    key = state / "witness.skey"
    cosigner = Cosigner(load_signer(key, name) if key.exists() else create_key_file(key, name))
    (state / "witness.vkey").write_text(cosigner.verifier.to_vkey() + "\n")
    return cosigner


def write_policy(path: Path, origin: str, name: str, key: CosignatureVerifier, address: str) -> None:
    """Write the policy by which a sealer of the log ``origin`` asks this witness. Raises OSError."""
    fresh = path.with_name(path.name + ".new")
    fresh.write_text(f"origin {origin}\nwitness {name} {key.to_vkey()} {address}\nquorum none\n", encoding="utf-8")
    fresh.replace(path)


def make_server(witness: Witness, host: str, port: int) -> ThreadingHTTPServer:
    """Return a server that answers for ``witness``; call ``serve_forever``. Put a proxy with TLS before it."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # a log asks every second: one connection serves many requests
        server_version = "witness"
        sys_version = ""
        timeout = 20  # an idle or slow client does not hold a thread for longer
        wbufsize = -1  # an answer leaves in one piece, or a kept connection waits for acknowledgements

        def do_POST(self) -> None:
            length = self.headers.get("Content-Length", "")
            if "Transfer-Encoding" in self.headers or not length.isdecimal() or int(length) > MAX_BODY:
                self.close_connection = True  # what follows was not read and is no request
                self._send(Answer(413, f"a request states its length and is at most {MAX_BODY} bytes\n"))
                return
            body = self.rfile.read(int(length))
            if self.path == "/add-checkpoint":
                self._send(witness.add_checkpoint(body))
            else:
                self._send(Answer(404, "this is a witness: POST /add-checkpoint\n"))

        def do_GET(self) -> None:
            asked = _CHECKPOINT_OF.fullmatch(self.path)
            if asked is not None:
                self._send(witness.last_checkpoint(asked[1]))
            else:
                self._send(Answer(200, witness.describe()) if self.path == "/" else Answer(404, "not here\n"))

        def _send(self, answer: Answer) -> None:
            data = answer.body.encode()
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.media_type)
            self.send_header("Content-Length", str(len(data)))
            if self.close_connection:
                self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing: whoever runs it has a proxy with logs."""

    return ThreadingHTTPServer((host, port), Handler)


def _parse(body: bytes) -> _Asked:
    """Take a request apart. Raises ValueError. A proof that is none is judged after the note: a stranger's is not looked at."""
    text = body.decode()
    head, gap, note = text.partition("\n\n")
    lines = head.split("\n")
    old = _OLD.fullmatch(lines[0])
    if not gap or old is None:
        raise ValueError("a request is `old <size>`, a proof, an empty line and a checkpoint")
    if len(lines) > LONGEST_PROOF + 1:
        raise ValueError(f"a proof is at most {LONGEST_PROOF} lines")
    nodes = [from_base64(line) for line in lines[1:]]
    hashes = tuple(node for node in nodes if node is not None and len(node) == HASH_BYTES)
    return _Asked(int(old[1]), hashes if len(hashes) == len(nodes) else None, note, Checkpoint.from_text(split_note(note)[0]))


def _no_extension(asked: _Asked, old: Checkpoint | None) -> Answer | None:
    """Return why the checkpoint does not extend what was cosigned last, or None when it does or is the same."""
    new, proof = asked.checkpoint, asked.proof
    try:
        if proof is None:
            raise ProofError("a proof is hashes of 32 bytes in base64, one a line")
        if new.size == 0 and new.root != EMPTY_ROOT:
            raise ProofError("the tree of no entries has one root only")
        if old is not None and old.size:
            verify_consistency(old.size, new.size, old.root, new.root, proof)
        elif proof:
            raise ProofError("nothing is proven from the empty tree: send no hashes")
    except ProofError as exc:
        return Answer(422, f"{exc}\n")
    return None


def _conflict(last: int) -> Answer:
    return Answer(409, f"{last}\n", "text/x.tlog.size")
