"""What a package below asks of viability: what the latest counts show of what quality demands."""

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Row
from sqlmodel import Session

from biobank.custody.legality import Snapshot
from biobank.quality.findings import Count, counts_judged
from biobank.viability.criteria import applying, criteria_over_time
from biobank.viability.queries import acceptance_of


@counts_judged.give
def judge_counts(session: Session, specimens: Iterable[Snapshot], counts: Mapping[str, "Row[Any]"]) -> dict[str, Count]:
    """Return, by specimen, the ones of its latest `counts` of which quality demanded something at its site, judged."""
    by_code = {one.code: one for one in specimens}
    named = {code: (by_code[code].home_site_code or "", by_code[code].material) for code in counts}
    demanded = criteria_over_time(session, set(named.values())) if named else {}
    found: dict[str, Count] = {}
    for code, row in counts.items():
        criterion = applying(demanded.get(named[code], ()), row.recorded_at)
        if criterion is not None:
            shown = acceptance_of(row.live, row.live + row.dead, criterion).verdict == "shown"
            found[code] = Count(row.live, row.live + row.dead, criterion.minimum_bp, row.recorded_at, shown)
    return found
