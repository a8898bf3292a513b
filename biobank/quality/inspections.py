"""What people saw when they looked at a tube, until quality decides: container, label, contents; and whether it came back."""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import groupby
from typing import Any

from sqlalchemy import select
from sqlmodel import Session

from biobank.custody.arriving import SEEN
from biobank.custody.entry import parse_entry
from biobank.transparency.models import event

_LOOKED = frozenset({"specimen.inspected", "specimen.received"})
_DECIDED = frozenset({"specimen.quality_decided", "specimen.returned"})
_LABELS = frozenset({"specimen.labelled", "specimen.final_label_applied"})
_LEFT_THE_HAND = frozenset({"specimen.stored", "specimen.safeguarded", "specimen.missing", "specimen.reversed"})
_TAKES = frozenset({"specimen.sampled", "specimen.part_used"})
_BASIS = "specimen.basis_decided"
_OTHERS = frozenset({"specimen.issued", "specimen.thawed", "specimen.amended", _BASIS})
_KINDS = sorted(_LOOKED | _DECIDED | _LABELS | _LEFT_THE_HAND | _TAKES | _OTHERS)


@dataclass(frozen=True)
class Seen:
    """What was seen of a tube.

    `left_for`: the withdrawal it left for, while quality has not decided about its return; `wrong`: what an inspection said no to
    since quality's last decision; `decided_at`: when that was; `thawed`: when it last was, as stated and by the bank's clock;
    `printed_since`: of the labels that were printed since that thaw and since something was taken out of it, by the number that
    their symbol says, the template; `final`: the template of the one that is on it as its final label, while nothing was taken
    and no newer one of that template was printed; `left_the_hand`: when it was last put into a place, missed, or its latest step
    undone, by the bank's clock; `authorisation`: what the latest determination of its legal basis named, where it named one.
    """

    left_for: str | None = None
    wrong: tuple[str, ...] = ()
    decided_at: datetime | None = None
    thawed: tuple[datetime, datetime] | None = None
    left_the_hand: datetime | None = None
    printed_since: Mapping[int, str] = field(default_factory=dict)
    final: str | None = None
    authorisation: str | None = None


def read_seen(session: Session, codes: Collection[str]) -> dict[str, Seen]:
    """Return what was seen of each tube: one statement however many."""
    rows = session.execute(
        select(*(event.c[name] for name in ("stream_id", "kind", "occurred_at", "recorded_at", "leaf_hash", "entry")))
        .where(event.c.stream_kind == "specimen", event.c.stream_id.in_(sorted(codes)), event.c.kind.in_(_KINDS))
        .order_by(event.c.stream_id, event.c.seq)
    ).all()
    found = {code: _of(own) for code, own in groupby(rows, key=lambda row: row.stream_id)}
    return {code: found.get(code, Seen()) for code in codes}


def _of(rows: Iterable[Any]) -> Seen:
    """Fold the events of one tube, oldest first."""
    left_for: str | None = None
    decided_at: datetime | None = None
    thawed: tuple[datetime, datetime] | None = None
    final: str | None = None
    left_the_hand: datetime | None = None
    authorisation: str | None = None
    printed, said = dict[int, str](), dict[str, dict[str, Any]]()
    for row in rows:
        if row.kind == "specimen.issued":
            left_for = parse_entry(bytes(row.entry))["body"]["withdrawal"]
        elif row.kind == "specimen.thawed":
            thawed, printed, final = (row.occurred_at, row.recorded_at), {}, None
        elif row.kind in _TAKES:
            # What the labels say of the amount is not in the tube any more.
            printed, final = {}, None
        elif row.kind in _LEFT_THE_HAND:
            left_the_hand = row.recorded_at
        elif row.kind == "specimen.labelled":
            body = parse_entry(bytes(row.entry))["body"]
            final = None if final == body["template"] else final
            if thawed is not None and body.get("print_number") is not None:
                printed[body["print_number"]] = body["template"]
        elif row.kind == "specimen.final_label_applied":
            final = parse_entry(bytes(row.entry))["body"]["template"]
        elif row.kind == _BASIS:
            authorisation = parse_entry(bytes(row.entry))["body"].get("authorisation")
        elif row.kind in _DECIDED:
            left_for = None if row.kind == "specimen.returned" else left_for
            decided_at, said = row.recorded_at, {}
        elif row.kind == "specimen.amended":
            body = parse_entry(bytes(row.entry))["body"]
            if body["corrects"] in said:
                said[body["corrects"]][body["field"]] = body["value"]
        else:
            said[bytes(row.leaf_hash).hex()] = dict(parse_entry(bytes(row.entry))["body"])
    return Seen(left_for, _denied(said.values()), decided_at, thawed, left_the_hand, printed, final, authorisation)


def _denied(said: Collection[Mapping[str, Any]]) -> tuple[str, ...]:
    return tuple(name for name in SEEN if any(one.get(name) is False for one in said))
