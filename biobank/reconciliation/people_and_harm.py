"""Rows that follow several events of one stream: what a donor is, and how an adverse event is judged, folded from the log."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import select
from sqlmodel import Session

from biobank.donors.models import donor
from biobank.quality.models import adverse_event
from biobank.reconciliation.comparing import Slice, codes_of, entries_of_streams, slice_of
from biobank.reconciliation.moved import Moves
from biobank.reconciliation.written import plain_row

_LIFE = {
    f"donor.{kind}"
    for kind in (
        *("registered", "identity_changed", "status_changed", "death_recorded", "isolation_decided", "merged", "merged_into"),
        *("erased", "erasure_replayed"),
    )
}
"""Kinds of entries that change what a donor is."""
_DONOR = ("clinic_site_code", "status", "kept_apart", "identity_commit", "merged_into")


def compare_donors(session: Session, after: str, limit: int) -> Slice:
    """Compare the next donors: alive or not, kept apart or not, by which document they are known, where their record leads."""
    of = donor.c

    def rows(session: Session, codes: Sequence[str]) -> dict[str, dict[str, Any]]:
        found = session.execute(select(of.code, *(of[name] for name in _DONOR)).where(of.code.in_(codes)))
        return {row.code: plain_row(row._mapping) for row in found}

    def logged(session: Session, stored: Mapping[str, Mapping[str, Any]]) -> tuple[dict[str, dict[str, Any]], int]:
        entries = dict(entries_of_streams(session, "donor", sorted(stored), _LIFE))
        moves = Moves.read(session)
        return {code: donor_after(entries.get(code, []), row, moves) for code, row in stored.items()}, sum(
            map(len, entries.values())
        )

    keys = select(of.code).where(of.code > after).order_by(of.code).limit(limit)
    return slice_of(session, codes_of(session, keys), rows, logged, site="clinic_site_code")


def donor_after(entries: Sequence[Mapping[str, Any]], stored: Mapping[str, Any], moves: Moves) -> dict[str, Any]:
    """Return what a donor is after these entries. Of two records that were merged the one that stays may be kept apart by the
    other's entries; where it leads has been led on since.
    """
    after: dict[str, Any] = dict.fromkeys(_DONOR)
    for entry in entries:
        kind, body = entry["kind"].removeprefix("donor."), entry["body"]
        if kind == "registered":
            after |= {"clinic_site_code": body["clinic_site"], "status": "living", "kept_apart": False}
        if kind in ("registered", "identity_changed"):
            after["identity_commit"] = body["identity"]
        elif kind == "status_changed":
            after["status"] = body["status"]
        elif kind == "death_recorded":
            after["status"] = "deceased"
        elif kind == "isolation_decided":
            after["kept_apart"] = body["kept_apart"]
        elif kind == "merged" and not after["kept_apart"]:
            after["kept_apart"] = stored["kept_apart"]
        elif kind == "merged_into":
            after |= {"merged_into": moves.led(body["into"], stored["merged_into"]), "identity_commit": None}
        elif kind in ("erased", "erasure_replayed"):
            after |= {"status": "erased", "identity_commit": None}
    if after["merged_into"] is not None and stored["status"] == "erased":
        after["status"] = "erased"  # whoever is forgotten is forgotten under every code; the entry stands on the one that stays
    return after


_JUDGED = ("system.adverse_recorded", "system.adverse_assessed")
_ADVERSE = ("withdrawal_code", "kind", "seriousness", "causality", "in_lot", "recorded_by")


def compare_adverse(session: Session, after: str, limit: int) -> Slice:
    """Compare the next adverse events with how they were recorded and judged last."""
    of = adverse_event.c

    def rows(session: Session, codes: Sequence[str]) -> dict[str, dict[str, Any]]:
        read = select(of.deviation_code, of.site_code, *(of[name] for name in _ADVERSE)).where(of.deviation_code.in_(codes))
        return {row.deviation_code: plain_row(row._mapping) for row in session.execute(read)}

    def logged(session: Session, stored: Mapping[str, Mapping[str, Any]]) -> tuple[dict[str, dict[str, Any]], int]:
        entries = dict(entries_of_streams(session, "system", sorted(stored), _JUDGED))
        return {code: adverse_after(entries.get(code, [])) for code in stored}, sum(map(len, entries.values()))

    keys = select(of.deviation_code).where(of.deviation_code > after).order_by(of.deviation_code).limit(limit)
    return slice_of(session, codes_of(session, keys), rows, logged, site="site_code")


def adverse_after(entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return how an adverse event stands after the entries of its stream."""
    after: dict[str, Any] = dict.fromkeys(_ADVERSE)
    for entry in entries:
        body = entry["body"]
        if entry["kind"] == "system.adverse_recorded":
            said = {"withdrawal_code": body["withdrawal"], "kind": body["what"], "recorded_by": entry["by"]}
            after |= said | {"seriousness": body["seriousness"], "causality": "not_assessed", "in_lot": body["in_lot"]}
        elif entry["kind"] == "system.adverse_assessed":
            after |= {name: body[name] for name in ("seriousness", "causality", "in_lot")}
    return after
