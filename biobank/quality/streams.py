"""Events on streams that are no specimen's: one way to the ledger for deviations, holds on scopes, and withdrawals."""

import hashlib
from collections.abc import Collection

from sqlmodel import Session

from biobank.acts.act import Act
from biobank.custody.event import Event
from biobank.custody.ledger import Appended, Fact, append
from biobank.custody.queries import last_event_at
from biobank.custody.recording import Circumstances, head_of


def digest_of(codes: Collection[str]) -> str:
    """Return the SHA-256, hex, of codes sorted and one a line: how an entry quotes a set of any size."""
    return hashlib.sha256("\n".join(sorted(codes)).encode()).hexdigest()


def record_on_stream(
    session: Session,
    act: Act,
    stream_id: str,
    event: Event,
    given: Circumstances,
    *,
    site: str | None,
    donor_code: str | None = None,
    relies_on: tuple[bytes, ...] = (),
) -> Appended:
    """Append one event to the stream its class names; the caller has checked that the actor may.

    Free text of `given` goes to the vault under the donor's key, or the bank's own. Raises ImplausibleTime, StaleSequence.
    """
    stream = type(event).stream
    head = head_of(
        session, act, given, subject=donor_code, site=site, last=last_event_at(session, stream, stream_id), relies_on=relies_on
    )
    (appended,) = append(session, [Fact(stream, stream_id, event, head, donor_code=donor_code)])
    return appended
