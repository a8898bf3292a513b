"""The entry: the bytes of one event, final from the moment they are written.

An entry is the RFC 8785 JSON (profile custody/v1: no floats, ASCII keys, integers within ±(2^53−1)) of

    v            1, or 2 for an entry that bears personal signatures
    stream       specimen · donor · withdrawal · shipment · container · lot · user · system
    id           the stream's code
    seq          1, 2, 3 … without gaps
    prev         leaf hash (hex) of the stream's previous entry, null for the first
    kind         e.g. "specimen.received"
    kv           version of the kind's payload
    rules        SHA-256 (hex) of the rule table in force
    by           badge code of the login that recorded it, code of the sensor or API client that sent it, or "SYSTEM"
    performed    [{"user": badge, "confirmed": bool}], hands other than the login's
    source       live · paper · instrument · import
    site         where it happened, or null
    occurred_at  the world's clock, RFC 3339 UTC with milliseconds
    recorded_at  the bank's clock, the same
    late         true when it occurred before the stream's previous event
    comment      hex commitment to free text in the vault, or null
    relies_on    [leaf hashes (hex)] of the consents, approvals and tests this act rests on
    device       an identifier of the scanner or instrument, or null
    body         the payload
    signatures   in version 2 only: the personal signatures that the payload names (acts/personal_signature.py)

The leaf hash is SHA-256(0x00 || entry). Personal data is never in it. `docs/custody-log.md` says the same byte for byte.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from biobank.acts.personal_signature import PersonalSignature, signed_entry
from biobank.custody.event import Event, rules
from biobank.foundation.clock import rfc3339
from biobank.transparency import canonical
from biobank.transparency.tree import hash_leaf


@dataclass(frozen=True)
class PerformedBy:
    """A colleague whose hands did it; `confirmed` when they gave their own credentials."""

    user: str
    confirmed: bool


@dataclass(frozen=True)
class Head:
    """Who, when and why of one entry: everything but the stream's position and the payload."""

    by: str
    site: str | None
    occurred_at: datetime
    recorded_at: datetime
    performed: tuple[PerformedBy, ...] = ()
    source: str = "live"
    late: bool = False
    comment: bytes | None = None
    relies_on: tuple[bytes, ...] = ()
    device: str | None = None
    signatures: tuple[PersonalSignature, ...] = ()

    def members(self) -> dict[str, Any]:
        """The members that effects may read."""
        return {
            "by": self.by,
            "site": self.site,
            "occurred_at": rfc3339(self.occurred_at),
            "recorded_at": rfc3339(self.recorded_at),
            "source": self.source,
        }

    @property
    def known_until(self) -> datetime:
        """Until when a clock ran that this entry ends (`effects.known_until`)."""
        return max(self.occurred_at, self.recorded_at) if self.source == "live" else self.occurred_at


def build_entry(
    stream: str, stream_id: str, seq: int, prev: bytes | None, event: Event, payload: dict[str, Any], head: Head
) -> tuple[bytes, bytes]:
    """Return the entry's bytes and its leaf hash. Raises canonical's errors for a payload outside the profile."""
    kind: str = type(event).model_fields["kind"].default
    document: dict[str, Any] = {
        "v": 1,
        "stream": stream,
        "id": stream_id,
        "seq": seq,
        "prev": None if prev is None else prev.hex(),
        "kind": kind,
        "kv": event.version,
        "rules": rules.id,
        "by": head.by,
        "performed": [{"user": h.user, "confirmed": h.confirmed} for h in head.performed],
        "source": head.source,
        "site": head.site,
        "occurred_at": rfc3339(head.occurred_at),
        "recorded_at": rfc3339(head.recorded_at),
        "late": head.late,
        "comment": None if head.comment is None else head.comment.hex(),
        "relies_on": [h.hex() for h in head.relies_on],
        "device": head.device,
        "body": payload,
    }
    data = canonical.encode(signed_entry(document, head.signatures) if head.signatures else document)
    return data, hash_leaf(data)


def parse_entry(data: bytes) -> dict[str, Any]:
    """Parse stored bytes, strictly."""
    return canonical.parse(data)
