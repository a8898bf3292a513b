"""How long the bank must know whose cells these were. Pure.

- Records of cells that were given to a person: 30 years after that use (EU: at least 30 years, counted from clinical use;
  US 21 CFR 1271.270(d): 10 years after administration). The longer one is kept.
- All other records: 10 years after distribution, disposition or expiry, whichever is latest; of a harvest without
  specimens, 10 years after it was recorded (21 CFR 1271.270(d)).

The end is computed from events and never stored: nobody knows in advance when the last tube will be used. While cells live,
or a hold that forbids destroying stands (recall, legal, investigation, identity in doubt), there is no date.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from biobank.custody.states import TERMINAL, State

AFTER_USE_YEARS = 30
RECORD_YEARS = 10
_LIVING_SHOWN = 5


@dataclass(frozen=True)
class SpecimenEnd:
    """A specimen as retention sees it. `since`: when its present state began; None before its first event."""

    code: str
    state: State | None
    since: datetime | None
    expires_at: datetime | None = None


@dataclass(frozen=True)
class Outlook:
    """What an erasure would do on `today`. `earliest_on` is None when it cannot be known yet, or when nothing is kept."""

    everything_goes: bool
    earliest_on: date | None
    because: tuple[str, ...]
    sentence: str

    @property
    def needs_a_contact(self) -> bool:
        """Say whether the person may have to be reached for safety: cells are kept, or a recall or a legal hold stands."""
        return bool({"living_cells", "recall_hold", "legal_hold"} & set(self.because))


def years_after(day: date, years: int) -> date:
    """Return the same day `years` later; 29 February becomes 1 March."""
    try:
        return day.replace(year=day.year + years)
    except ValueError:
        return date(day.year + years, 3, 1)


def erasure_outlook(
    today: date, specimens: Sequence[SpecimenEnd], harvested_at: Sequence[datetime], holds: Collection[str]
) -> Outlook:
    """Say whether everything about a donor may be forgotten on `today`, and if not, when and why.

    `harvested_at`: when harvests were recorded; `holds`: kinds of the active holds that forbid destroying.
    """
    living = sorted(s.code for s in specimens if s.state not in TERMINAL)
    if living or holds:
        because = (*(("living_cells",) if living else ()), *(f"{kind}_hold" for kind in sorted(holds)))
        parts = [f"living cells are in the bank ({_some(living)})"] if living else []
        parts += [f"a hold of kind {kind.replace('_', ' ')} stands" for kind in sorted(holds)]
        return Outlook(
            False,
            None,
            because,
            f"Not everything may go: {' and '.join(parts)}. No date can be given until then; after the last tube is used or "
            f"destroyed its records are kept {AFTER_USE_YEARS} or {RECORD_YEARS} years.",
        )
    ends: dict[str, date] = {}
    for specimen in specimens:
        assert specimen.since is not None
        if specimen.state is State.ADMINISTERED:
            _keep_latest(ends, "retention_after_use", years_after(specimen.since.date(), AFTER_USE_YEARS))
        else:
            last = max(specimen.since, specimen.expires_at or specimen.since)
            _keep_latest(ends, "retention_of_records", years_after(last.date(), RECORD_YEARS))
    for recorded_at in harvested_at:
        _keep_latest(ends, "retention_of_records", years_after(recorded_at.date(), RECORD_YEARS))
    open_ends = {code: end for code, end in ends.items() if end > today}
    if not open_ends:
        return Outlook(True, None, (), "Everything about this person may go today.")
    earliest = max(open_ends.values())
    return Outlook(
        False,
        earliest,
        tuple(sorted(open_ends)),
        f"Records of this person's cells must be kept until {earliest.isoformat()}; everything may go on that day.",
    )


def _keep_latest(ends: dict[str, date], code: str, end: date) -> None:
    ends[code] = max(end, ends.get(code, end))


def _some(codes: Sequence[str]) -> str:
    more = len(codes) - _LIVING_SHOWN
    return ", ".join(codes[:_LIVING_SHOWN]) + (f" and {more} more" if more > 0 else "")
