"""Where what is read in a place is judged by: its limits, what it is, in what it stands, lifted or not, folded from the log."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from sqlalchemy import select
from sqlmodel import Session

from biobank.reconciliation.comparing import Slice, codes_of, entries_of_streams, slice_of
from biobank.reconciliation.written import plain_row
from biobank.storage.models import storage_container

_KINDS: Final = {f"container.{kind}" for kind in ("added", "moved", "limits_set", "lifted", "put_back")}
_LIMITS: Final = ("lowest_mc", "highest_mc", "lowest_level_ppm", "rise_mc_per_min", "fall_ppm_per_h")
_MADE: Final = {"site_code": "site", "kind": "container_kind", "purpose": "purpose", "rows": "rows", "cols": "cols"}
_COLD: Final = ("temperature_class", "isolated")
_COMPARED: Final = (*_LIMITS, *_MADE, *_COLD, "active", "parent_code", "lifted_at")


def compare_places(session: Session, after: str, limit: int) -> Slice:
    """Compare the next containers with their events. Each stands at the site of what it stands in, which is compared too."""
    of = storage_container.c

    def rows(session: Session, codes: Sequence[str]) -> dict[str, dict[str, Any]]:
        read = select(of.code, *(of[name] for name in _COMPARED)).where(of.code.in_(codes))
        return {row.code: plain_row(row._mapping) for row in session.execute(read)}

    def logged(session: Session, stored: Mapping[str, Mapping[str, Any]]) -> tuple[dict[str, dict[str, Any]], int]:
        entries = dict(entries_of_streams(session, "container", sorted(stored), _KINDS))
        parents = {row["parent_code"] for row in stored.values()}
        sites = {row.code: row.site_code for row in session.execute(select(of.code, of.site_code).where(of.code.in_(parents)))}
        after = {code: place_after(entries.get(code, [])) for code in stored}
        for one in after.values():
            if one.get("parent_code") in sites:
                one["site_code"] = sites[one["parent_code"]]
        return after, sum(map(len, entries.values()))

    keys = select(of.code).where(of.code > after).order_by(of.code).limit(limit)
    return slice_of(session, codes_of(session, keys), rows, logged, site="site_code")


def place_after(entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what a container is after these entries of its stream."""
    after: dict[str, Any] = dict.fromkeys((*_LIMITS, "lifted_at"))
    for entry in entries:
        kind, body = entry["kind"].removeprefix("container."), entry["body"]
        if kind == "added":
            after |= {column: body[member] for column, member in _MADE.items()} | {"parent_code": body["parent"], "active": True}
            after |= {name: body[name] for name in _COLD if name in body}
        elif kind == "moved":
            after |= {"parent_code": body["to_parent"], "site_code": body["site"]}
        elif kind == "limits_set":
            after |= {name: body[name] for name in _LIMITS}
        else:
            after["lifted_at"] = entry["occurred_at"] if kind == "lifted" else None
    return after
