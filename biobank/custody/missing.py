"""What is reported missing, and how it comes back: as something that nobody knows yet to be what its label says.

Whatever takes it out of "missing" (a report that it was found, a place of safety that took it in) holds it for its identity. The
report itself is not undone: that would put a tube back where nobody saw it. Who is told that it is missing, quality says above.
"""

from collections.abc import Callable, Mapping, Sequence

from sqlmodel import Session

from biobank.acts.act import Act
from biobank.custody.event import Event
from biobank.custody.legality import Snapshot
from biobank.custody.statement import Appended, Fact
from biobank.custody.states import TERMINAL, HoldKind, State
from biobank.foundation.from_above import FromAbove

went_missing: FromAbove[Callable[[Session, Act, Mapping[str, bytes]], list[Appended]]] = FromAbove("quality")
"""Tell those whom it concerns that these specimens were reported missing; by code, the leaf hash of the report."""


def hold_placed_with(event: type[Event], before: Snapshot) -> HoldKind | None:
    """Return the hold that recording `event` places with it: its own, or that of what comes back from being missing. Pure."""
    if event.places_hold is not None or before.state is not State.MISSING or event.to_state is None:
        return event.places_hold
    return None if event.to_state in TERMINAL else HoldKind.IDENTITY


def tell_of_missing(session: Session, act: Act, facts: Sequence[Fact], appended: Sequence[Appended]) -> list[Appended]:
    """Set going what follows when specimens among `facts` are reported missing."""
    gone = {
        one.stream_id: done.leaf_hash for one, done in zip(facts, appended, strict=True) if one.event.to_state is State.MISSING
    }
    return went_missing.get()(session, act, gone) if gone else []
