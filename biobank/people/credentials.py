"""The stream of a login. Whenever what opens it changes, the log is told its new fingerprint, in the same transaction."""

from sqlmodel import Session

from biobank.acts.act import Act
from biobank.auth.credentials import fingerprints_of
from biobank.custody.event import Event
from biobank.custody.ledger import Appended, Fact, append
from biobank.custody.recording import NOW, head_of
from biobank.custody.states import StreamKind
from biobank.people.events import UserCredentialsSet


def record_about(session: Session, act: Act, code: str, *happened: Event) -> list[Appended]:
    """Append events to a login's stream."""
    head = head_of(session, act, NOW, subject=code, site=None)
    return append(session, [Fact(StreamKind.USER, code, event, head) for event in happened])


def record_credentials(session: Session, act: Act, code: str) -> Appended:
    """Record what opens a login now, as the tables have it at this moment of the act."""
    event = UserCredentialsSet(fingerprint=fingerprints_of(session, [code])[code])
    head = head_of(session, act, NOW, subject=code, site=None)
    return append(session, [Fact(StreamKind.USER, code, event, head)])[0]
