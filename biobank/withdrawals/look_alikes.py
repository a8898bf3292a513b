"""What may be taken by mistake for a tube that is to be picked: said at the pick, before a hand reaches into the box.

Three things make one tube pass for another: it stands right beside it, its code reads almost the same, or its donor is called
almost the same. The last two are looked for in every box of the walk. None of them stops anything: the scan does that. Donors are
compared by the blind index, so no name is opened.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlmodel import Session

from biobank.custody.models import custody
from biobank.donors.blind_index import look_alikes_of
from biobank.storage.models import storage_position as position

CODE_MAY_DIFFER = 2
"""In how many characters two codes may differ and still be near each other."""


@dataclass(frozen=True)
class Neighbour:
    """A tube in a box; `row` and `col` of its slot where it has one."""

    code: str
    donor: str | None
    box: str
    slot: str | None
    row: int | None
    col: int | None


def near_codes(one: str, other: str) -> bool:
    """Say whether two codes read almost the same: of one length, and different in at most two characters. Pure."""
    return len(one) == len(other) and 0 < sum(a != b for a, b in zip(one, other, strict=True)) <= CODE_MAY_DIFFER


def _beside(one: Neighbour, other: Neighbour) -> bool:
    if one.row is None or one.col is None or other.row is None or other.col is None:
        return False
    return max(abs(one.row - other.row), abs(one.col - other.col)) == 1


def warnings_of(
    tube: str,
    together: Iterable[Neighbour],
    own: Collection[str],
    alike: Collection[str],
    elsewhere: Iterable[Neighbour] = (),
) -> list[str]:
    """Return what to beware of when `tube` is taken out of its box, a sentence each, by code. Pure. Where nothing says which slot
    it or another is in, each of them may stand right beside it.

    `together`: everything in its box, itself too; `own`: the tubes of the withdrawal; `alike`: donors called almost the same;
    `elsewhere`: what is in the other boxes of the same walk. A wrong box makes its tubes neighbours.
    """
    every = {one.code: one for one in together}
    here = every.get(tube)
    if here is None:
        return []
    unslotted = sum(one.donor != here.donor and (here.row is None or one.row is None) for one in every.values())
    several = "1 tube of another person stands" if unslotted == 1 else f"{unslotted} tubes of other people stand"
    loose = f"{several} in the same box, and nothing says in which position."
    said: list[str] = [loose] if unslotted else []
    for code, other in sorted(every.items()):
        if code == tube:
            continue
        why = [
            *(["is of a donor with a name like this one's"] if other.donor in alike else []),
            *(["has a code that reads almost the same"] if near_codes(tube, code) else []),
            *(["is another person's, right beside it"] if other.donor != here.donor and _beside(here, other) else []),
            *(["is of the same donor and not asked for"] if other.donor == here.donor and code not in own else []),
        ]
        if why:
            place = f" in {other.slot}" if other.slot is not None else ""
            said.append(f"{code}{place} {' and '.join(why)}.")
    for other in sorted(elsewhere, key=lambda one: one.code):
        why = [
            *(["is of a donor with a name like this one's"] if other.donor in alike else []),
            *(["has a code that reads almost the same"] if near_codes(tube, other.code) else []),
        ]
        if why:
            said.append(f"{other.code} in {other.box}, another box of this walk, {' and '.join(why)}.")
    return said


def read_warnings(session: Session, donor: str, boxes: Mapping[str, str]) -> dict[str, Sequence[str]]:
    """Return for each tube that stands in a box (`boxes`: box by tube) what to beware of: two statements however many."""
    if not boxes:
        return {}
    rows = session.execute(
        select(custody.c.code, custody.c.donor_code, custody.c.container_code, position.c.label, position.c.row, position.c.col)
        .outerjoin(position, position.c.code == custody.c.position_code)
        .where(custody.c.container_code.in_(sorted(set(boxes.values()))))
    )
    inside: dict[str, list[Neighbour]] = {box: [] for box in boxes.values()}
    for row in rows:
        inside[row.container_code].append(Neighbour(*row))
    alike = {one.donor_code for one in look_alikes_of(session, [donor])[donor]}
    walk = [one for several in inside.values() for one in several]
    return {
        tube: warnings_of(tube, inside[box], boxes.keys(), alike, [one for one in walk if one.box != box])
        for tube, box in boxes.items()
    }
