"""What a package below asks of viability: what counts show of what quality demands."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import Row
from sqlmodel import Session

from biobank.custody.legality import Snapshot
from biobank.quality.findings import Count, counts_judged
from biobank.specimens.assays import shows_too_little
from biobank.viability.criteria import applying, criteria_over_time
from biobank.viability.queries import acceptance_of


@counts_judged.give
def judge_counts(
    session: Session, specimens: Iterable[Snapshot], counts: Mapping[str, "Sequence[Row[Any]]"]
) -> dict[UUID, Count]:
    """Return, by their ids, the ones of these `counts` of which quality demanded something at its specimen's site, judged."""
    by_code = {one.code: one for one in specimens}
    named = {code: (by_code[code].home_site_code or "", by_code[code].material) for code in counts}
    demanded = criteria_over_time(session, set(named.values())) if named else {}
    found: dict[UUID, Count] = {}
    for code, rows in counts.items():
        for row in rows:
            criterion = applying(demanded.get(named[code], ()), row.recorded_at)
            if criterion is not None:
                shown = acceptance_of(row.live, row.live + row.dead, criterion).verdict == "shown"
                found[row.id] = Count(row.live, row.live + row.dead, criterion.minimum_bp, row.recorded_at, shown)
    return found


@shows_too_little.give
def falls_short(session: Session, specimen: Snapshot, row: "Row[Any]") -> bool:
    """Say whether a count was asked to show something and did not."""
    judged = judge_counts(session, [specimen], {specimen.code: [row]}).get(row.id)
    return judged is not None and not judged.shown
