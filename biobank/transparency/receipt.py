"""The signed acknowledgement: what a device holds from the moment its event is recorded until it is sealed.

Between recording and sealing, nothing in the log commits to an event yet. The acknowledgement does: a signed note, under
a key of its own, that names the exact leaf hash and a time by which the log must contain it. An acknowledged event that
no checkpoint made after ``recorded_at + mmd`` contains is proof of misbehaviour, held by the device and not by us.

Text of the note, every line ended by a newline::

    <origin>/receipts
    ack v1
    recorded_at <RFC 3339, UTC, three decimals, Z>
    mmd <seconds, decimal>
    <stream kind> <stream id> <seq> <leaf hash, 64 lower-case hex digits>     one line per event, in order

The name of the receipt key is the first line, so a key speaks for one log only. One signature covers the whole request,
whether it recorded one event or thousands.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from biobank.foundation.clock import rfc3339
from biobank.transparency.note import MalformedNote, NoteError, NoteVerifier, Signer, open_note, sign_note

KEY_SUFFIX: Final = "/receipts"
VERSION_LINE: Final = "ack v1"
MAX_BYTES: Final = 12_000_000
"""More than other notes have: one act may move a tank with a hundred thousand tubes, and names each of its events."""

_EVENT_LINE = re.compile(r"([a-z][a-z_]*) ([!-~]+) ([1-9][0-9]{0,9}) ([0-9a-f]{64})")
_RECORDED_AT = re.compile(r"recorded_at (\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z)", re.ASCII)
_MMD = re.compile(r"mmd ([1-9][0-9]{0,8})")


class ForeignReceiptKey(NoteError):
    """A genuine signature, by a key that does not speak for the log named in the receipt."""


class AcknowledgedEvent(NamedTuple):
    """One event as a receipt names it; ``leaf_hash`` is 32 bytes."""

    stream_kind: str
    stream_id: str
    seq: int
    leaf_hash: bytes


@dataclass(frozen=True)
class Acknowledgement:
    """An opened acknowledgement of the log ``origin``."""

    origin: str
    recorded_at: datetime
    mmd_seconds: int
    events: tuple[AcknowledgedEvent, ...]

    @property
    def sealed_by(self) -> datetime:
        """The instant after which every checkpoint must cover these events."""
        return self.recorded_at + timedelta(seconds=self.mmd_seconds)


def receipt_key_name(origin: str) -> str:
    """Return the name of the key that signs acknowledgements of the log ``origin``."""
    return origin + KEY_SUFFIX


def sign_acknowledgement(
    signer: Signer, origin: str, recorded_at: datetime, mmd_seconds: int, events: Sequence[AcknowledgedEvent]
) -> str:
    """Return the acknowledgement of ``events`` as a signed note.

    ``recorded_at`` is an aware datetime, ``mmd_seconds`` the maximum merge delay promised. Raises ValueError when the
    signer is not the receipt key of ``origin`` or a value has no place in the format: what is signed can be read back.
    """
    if recorded_at.tzinfo is None:
        raise ValueError("the time of recording has no time zone")
    if signer.name != receipt_key_name(origin):
        raise ValueError(f"acknowledgements of {origin} are signed by the key named {receipt_key_name(origin)}")
    text = _text(Acknowledgement(origin, recorded_at, mmd_seconds, tuple(events)))
    _parse(text)
    return sign_note(text, [signer], most=MAX_BYTES)


def verify_acknowledgement(receipt_keys: Iterable[NoteVerifier], note: str | bytes) -> Acknowledgement:
    """Check an acknowledgement against the receipt keys the reader trusts and return what it says.

    Raises MalformedNote, BadSignature, NoKnownSignature or ForeignReceiptKey.
    """
    opened = open_note(note, receipt_keys, most=MAX_BYTES)
    acknowledgement = _parse(opened.text)
    name = receipt_key_name(acknowledgement.origin)
    if any(signature.key_name != name for signature in opened.verified):
        raise ForeignReceiptKey(f"the receipt is of {acknowledgement.origin} and signed in another name")
    return acknowledgement


def _text(acknowledgement: Acknowledgement) -> str:
    lines = [
        receipt_key_name(acknowledgement.origin),
        VERSION_LINE,
        f"recorded_at {rfc3339(acknowledgement.recorded_at)}",
        f"mmd {acknowledgement.mmd_seconds}",
    ]
    lines += [f"{e.stream_kind} {e.stream_id} {e.seq} {e.leaf_hash.hex()}" for e in acknowledgement.events]
    return "\n".join(lines) + "\n"


def _parse(text: str) -> Acknowledgement:
    lines = text.split("\n")
    if len(lines) < 6 or lines.pop():
        raise MalformedNote("an acknowledgement is four lines and then one line per event")
    origin = lines[0].removesuffix(KEY_SUFFIX)
    if lines[0] == origin or not origin or lines[1] != VERSION_LINE:
        raise MalformedNote(f"an acknowledgement begins with the log's receipt name and {VERSION_LINE!r}")
    recorded_at, mmd = _RECORDED_AT.fullmatch(lines[2]), _MMD.fullmatch(lines[3])
    if not recorded_at or not mmd:
        raise MalformedNote("an acknowledgement names the time of recording and the merge delay")
    try:
        instant = datetime.fromisoformat(recorded_at[1])
    except ValueError:
        raise MalformedNote("the time of recording is not a time") from None
    if rfc3339(instant) != recorded_at[1]:  # hour 24 and the like
        raise MalformedNote("the time of recording is not in its one spelling")
    return Acknowledgement(origin, instant, int(mmd[1]), tuple(_parse_event(line) for line in lines[4:]))


def _parse_event(line: str) -> AcknowledgedEvent:
    match = _EVENT_LINE.fullmatch(line)
    if not match:
        raise MalformedNote("an event is named by stream kind, stream id, sequence and leaf hash")
    return AcknowledgedEvent(match[1], match[2], int(match[3]), bytes.fromhex(match[4]))
