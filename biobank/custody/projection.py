"""What a specimen is after its events: one row of custody, typed. The names, types and first values of its columns stand here.

Effects are data and work on columns by name; `Projection.after` is where the two meet.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any, Final, Self

from biobank.custody.effects import Effect, apply, running_s


@dataclass(frozen=True, slots=True)
class Projection:
    """The columns of custody that effects write; made without arguments, a specimen before its first event.

    `state` is empty until the first event; `amount` is in the specimen's unit; `exposure_s` is in seconds: out of the cold
    while frozen, up to the last event, and where `exposure_unknown` nobody knows for how much longer; `out_since`: since when it
    is in no cold place, `use_by`: when what it is now is too old for use, and `banked_at` are RFC 3339 as in the entry;
    `administered_under` is the id of a bedside release.
    """

    state: str = ""
    condition: str = "fresh"
    quality: str = "quarantined"
    custodian_kind: str = "nobody"
    custodian_id: str | None = None
    offered_kind: str | None = None
    offered_id: str | None = None
    site_code: str | None = None
    container_code: str | None = None
    position_code: str | None = None
    shipment_code: str | None = None
    reserved_for: str | None = None
    amount: int = 0
    freeze_count: int = 0
    exposure_s: int = 0
    exposure_unknown: bool = False
    out_since: str | None = None
    use_by: str | None = None
    banked_at: str | None = None
    administered_under: str | None = None
    marked: bool = False

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        """Read it from a row of custody, which may have more columns."""
        values = {name: row[name] for name in PROJECTED}
        if values["administered_under"] is not None:
            values["administered_under"] = str(values["administered_under"])
        return cls(**values)

    def columns(self) -> dict[str, Any]:
        """Return the columns by name, in their order."""
        return dict(zip(PROJECTED, _values(self), strict=True))

    def running_s(self, at: str) -> int:
        """Return for how many seconds it has been out of the cold since its last cold place, if it is frozen."""
        return running_s(self.columns(), at)

    def after(self, effect: Effect, payload: Mapping[str, Any], head: Mapping[str, Any]) -> "Projection":
        """Return it after an event; see `effects.apply`. Pure: the ledger, the rebuild and the rules all call this one."""
        return Projection(**apply(effect, self.columns(), payload, head))


PROJECTED: Final = tuple(field.name for field in fields(Projection))
"""The columns of custody that effects may write."""

_values: Final = attrgetter(*PROJECTED)

INITIAL: Final[dict[str, Any]] = Projection().columns()
"""What a specimen is before its first event, as the rule table says it."""
