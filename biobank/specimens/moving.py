"""A harvest with all that came of it becomes another donor's (`quality/reattributing.py` says when)."""

from collections.abc import Collection
from typing import Final

from sqlalchemy import text
from sqlmodel import Session

from biobank.custody.owner import change_owner
from biobank.donors.moving import checked_afterwards, leave_behind

_TREE: Final = """
    WITH RECURSIVE tree (code) AS (
        SELECT code FROM specimen WHERE harvest_code = :harvest
        UNION
        SELECT p.child_code FROM tree JOIN specimen_parent p ON p.parent_code = tree.code
    )"""
_IN_TREE = text(f"{_TREE} SELECT code FROM tree ORDER BY code")  # noqa: S608 - a constant of ours
_MIXED = text(
    f"""{_TREE}
    SELECT DISTINCT p.parent_code FROM tree JOIN specimen_parent p ON p.child_code = tree.code
    WHERE p.parent_code NOT IN (SELECT code FROM tree) ORDER BY 1"""  # noqa: S608 - a constant of ours
)


def tree_of(session: Session, harvest: str) -> list[str]:
    """Return the specimens of a harvest and all that was made of them, by code."""
    return list(session.execute(_IN_TREE, {"harvest": harvest}).scalars())


def mixed_in(session: Session, harvest: str) -> list[str]:
    """Return what did not come of this harvest and was worked up together with what did."""
    return list(session.execute(_MIXED, {"harvest": harvest}).scalars())


_ITS_OWN: Final = """EXISTS (
           SELECT FROM processing_input i WHERE i.processing_id = r.id AND i.specimen_code = ANY(:codes))
       AND NOT EXISTS (SELECT FROM processing_input o WHERE o.processing_id = r.id AND o.specimen_code <> ALL(:codes))"""
"""A run that worked on nothing else. One that froze or thawed other harvests along with this one stays whose it was."""
_MOVES: Final = (
    "UPDATE harvest SET donor_code = :after, identification_id = NULL WHERE code = :harvest",
    """UPDATE lot SET donor_code = :after
       WHERE code IN (SELECT lot_code FROM specimen WHERE code = ANY(:codes) AND lot_code IS NOT NULL)""",
    """UPDATE processing_input i SET another_donors = true
       WHERE i.specimen_code = ANY(:codes) AND i.donor_code = :before AND EXISTS (
           SELECT FROM processing_input o WHERE o.processing_id = i.processing_id AND o.specimen_code <> ALL(:codes))""",
    "UPDATE processing r SET another_donors = bench_session IS NOT NULL, donor_code = :after "  # noqa: S608 - a constant of ours
    f"WHERE r.donor_code = :before AND {_ITS_OWN}",
    """UPDATE processing_input SET donor_code = :after
       WHERE donor_code = :before AND specimen_code = ANY(:codes) AND NOT another_donors""",
    "UPDATE specimen_parent SET child_donor = :after, parent_donor = :after WHERE parent_code = ANY(:codes)",
    "UPDATE specimen SET donor_code = :after WHERE code = ANY(:codes)",
)


def move_harvest(session: Session, harvest: str, codes: Collection[str], before: str, after: str) -> None:
    """Let a harvest, its lots, their runs and these specimens, which are all that came of it, be another donor's.

    What was done at a bench that was open for the donor before, or in a run with other harvests, says so.
    """
    named = {"harvest": harvest, "codes": list(codes), "before": before, "after": after}
    with checked_afterwards(session):
        leave_behind(session, codes, before, after)
        for statement in _MOVES:
            session.execute(text(statement), {name: value for name, value in named.items() if f":{name}" in statement})
        change_owner(session, codes, after)
