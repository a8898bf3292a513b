"""A site's stricter time of use reaches what comes to the site, and what is there when it is set.

The clock that a condition started (`material_limits.with_clock`) runs on; only its end comes nearer, by an entry of its own. A
stay at a site that allows longer gives nothing back.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from typing import Any

from sqlalchemy import select
from sqlmodel import Session

from biobank.custody.entry import Head, parse_entry
from biobank.custody.event import rules
from biobank.custody.legality import Snapshot
from biobank.custody.material_limits import Limits, clock_began
from biobank.custody.statement import Fact
from biobank.custody.states import TERMINAL, Condition, State, StreamKind
from biobank.custody.use_by_events import UseByShortened
from biobank.foundation.clock import rfc3339
from biobank.transparency.models import event

_NOWHERE = {State.IN_TRANSIT, State.MISSING, State.LOST}


def came_elsewhere(before: Snapshot, after: Snapshot) -> bool:
    """Say whether a specimen came to another site, or to any from the road or from where nobody knew it: its limits are to be
    asked. What is on its way is at no site yet. Pure.
    """
    if before.seq == 0 or after.projection.site_code is None or after.state in {*TERMINAL, *_NOWHERE}:
        return False
    return before.state in _NOWHERE or after.projection.site_code != before.projection.site_code


def nearer_ends(
    session: Session, after: Mapping[str, Snapshot], heads: Mapping[str, Head], limits: Callable[..., Limits]
) -> list[Fact]:
    """Return the facts by which specimens become too old for use earlier than their records say. `after`: each as it is now;
    `heads`: of what brings it under another limit, by the codes of those that are asked about; `limits`: of a material, a
    condition and sites.
    """
    allowed: dict[str, int] = {}
    for code, one in ((code, after[code]) for code in heads):
        sites = frozenset(filter(None, (one.projection.site_code, one.home_site_code)))
        seconds = limits(one.material, one.projection.condition, sites=sites).use_by_s
        if seconds is not None:
            allowed[code] = seconds
    facts = []
    for code, began in sorted(clocks_begun(session, allowed).items()):
        one = after[code]
        ends = rfc3339(began + timedelta(seconds=allowed[code]))
        if one.projection.use_by is None or ends < one.projection.use_by:
            site = one.projection.site_code
            nearer = UseByShortened(site=site, began_at=rfc3339(began), allowed_s=allowed[code], ends_at=ends)
            facts.append(Fact(StreamKind.SPECIMEN, code, nearer, heads[code], one, one.donor_code))
    return facts


@cache
def _starters() -> frozenset[str]:
    """The kinds that start a clock of fitness for use."""
    return frozenset(
        kind for kind, cls in rules.by_kind.items() if cls.stream is StreamKind.SPECIMEN and "use_by" in cls.model_fields
    )


@dataclass(frozen=True)
class _Start:
    """An entry that started a clock: when, and what the specimen became. `parents`: of what it was made."""

    at: datetime
    recorded_at: datetime
    condition: str
    parents: tuple[str, ...]


@dataclass
class _Told:
    """What the log tells of one specimen: its material, and every start of a clock, in order. None of these is ever undone."""

    material: str = ""
    starts: list[_Start] = field(default_factory=list)


def clocks_begun(session: Session, codes: Collection[str]) -> dict[str, datetime]:
    """Return, by code, since when each specimen is what it is now: as old as what it was only washed or divided from.

    One statement for each step down the lineage. What has no entry that started a clock is absent.
    """
    told: dict[str, _Told] = {}
    wanted = set(codes)
    while wanted:
        read = _read(session, wanted)
        told |= {code: read.get(code, _Told()) for code in wanted}
        named = {parent for one in read.values() for start in one.starts for parent in start.parents}
        wanted = named - told.keys()
    begun = ((code, told[code].starts[-1]) for code in codes if told[code].starts)
    return {code: _began(told, code, start) for code, start in begun}


def _began(told: Mapping[str, _Told], code: str, start: _Start) -> datetime:
    """When the clock of `start` began: with the earliest of its parents of the same kind, where there are any. Pure."""
    same = []
    for parent in set(start.parents) - {code}:
        of = told[parent]
        earlier = [one for one in of.starts if one.recorded_at <= start.recorded_at]
        if earlier and (of.material, earlier[-1].condition) == (told[code].material, start.condition):
            same.append(_began(told, parent, earlier[-1]))
    return min([start.at, *same])


def _read(session: Session, codes: Collection[str]) -> dict[str, _Told]:
    of = event.c
    rows = session.execute(
        select(of.stream_id, of.kind, of.entry)
        .where(of.stream_kind == StreamKind.SPECIMEN.value, of.stream_id.in_(sorted(codes)))
        .where(of.kind.in_(sorted(_starters())))
        .order_by(of.stream_id, of.seq)
    )
    told: dict[str, _Told] = {}
    for row in rows:
        entry = parse_entry(bytes(row.entry))
        body: dict[str, Any] = entry["body"]
        one = told.setdefault(row.stream_id, _Told())
        one.material = body.get("material", one.material)
        at = datetime.fromisoformat(clock_began(body, entry["occurred_at"]))
        became, parents = _condition_after(row.kind, body), tuple(body.get("parents", ()))
        one.starts.append(_Start(at, datetime.fromisoformat(entry["recorded_at"]), became, parents))
    return told


def _condition_after(kind: str, body: Mapping[str, Any]) -> str:
    said = rules.by_kind[kind].effect.get("condition", {})
    return str(said.get("set") or body.get("condition") or Condition.FRESH.value)
