"""What coming into a place sets going for a tube, by whichever route it is recorded.

A place that is outside its limits, or was since then, holds what comes in (`came_in`, answered by monitoring). What is entered
later than it happened, by somebody whose stated time counts, has the time out of the cold since then (`count_again`, answered
by storage).
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from sqlmodel import Session

from biobank.acts.act import Act
from biobank.custody.entry import Head
from biobank.custody.event import Event
from biobank.custody.ledger import Appended
from biobank.custody.places_then import seen_in
from biobank.foundation.from_above import FromAbove

if TYPE_CHECKING:
    from biobank.custody.recording import Circumstances

came_in: FromAbove[Callable[[Session, Act, Mapping[str, datetime], Collection[str], Appended], list[Appended]]] = FromAbove(
    "monitoring"
)
"""Hold what came into places (since when, which tubes), where they were outside their limits then or since: by which event."""

count_again: FromAbove[Callable[[Session, Act, str, datetime, "Circumstances"], list[Appended]]] = FromAbove("storage")
"""Count the time out of the cold of a tube that is in its place since a time: what was lifted or warm around it meanwhile."""


@dataclass
class CameIn:
    """The tubes that come into places in one act, and since when; `behind`: those whose stated time counts though it is past."""

    places: dict[str, datetime] = field(default_factory=dict)
    tubes: set[str] = field(default_factory=set)
    behind: dict[str, datetime] = field(default_factory=dict)

    def add(self, code: str, place: str, head: Head) -> None:
        """Add one tube."""
        self.places[place] = min(head.occurred_at, self.places.get(place, head.recorded_at))
        self.tubes.add(code)
        if head.source in ("paper", "instrument") and head.known_until < head.recorded_at:
            self.behind[code] = head.known_until

    def see(self, session: Session, code: str, event: Event, head: Head) -> None:
        """Add a tube where an event says that it was seen in a place without being put there."""
        if (seen := seen_in(session, event, code, head.occurred_at)) is not None:
            self.places[seen[0]] = min(seen[1], self.places.get(*seen))
            self.tubes.add(code)

    def follow(self, session: Session, act: Act, given: "Circumstances", by: Appended | None) -> list[Appended]:
        """Record what it sets going; `by`: the first event of the act."""
        if by is None or not self.places:
            return []
        done = came_in.get()(session, act, self.places, self.tubes, by)
        for code, since in sorted(self.behind.items()):
            done += count_again.get()(session, act, code, since, given)
        return done
