"""What packages below ask of watching: which specimens an excursion's hold covers, now and at a time gone by, and
which places are outside their limits.
"""

from collections.abc import Mapping, Sequence

from sqlalchemy import select
from sqlmodel import Session

from biobank.custody.hold_coverage import HoldReach, excursions_reach
from biobank.custody.holds_then import excursions_then
from biobank.monitoring.models import excursion
from biobank.monitoring.presence import inside_during
from biobank.storage.lifting import inside_then
from biobank.storage.placing import open_excursions

_CHAIN = """
    chain AS (
        SELECT code AS target, code AS member, CAST(NULL AS timestamptz) AS made FROM specimen WHERE code = ANY(:codes) {when}
        UNION
        SELECT chain.target, p.parent_code,
               (SELECT greatest(e.occurred_at, e.recorded_at) FROM event e
                WHERE e.stream_kind = 'specimen' AND e.stream_id = chain.member AND e.seq = 1)
        FROM chain JOIN specimen_parent p ON p.child_code = chain.member
    )"""
"""A specimen and what it was made from, upwards; `made`: when the member's child came to be, NULL for the specimen itself."""

# What was made of an affected specimen is covered only if it was made after that was affected; one that stands in the set itself
# is judged by its own line there. The chain upwards is walked only while an excursion holds anything.
excursions_reach.give(
    HoldReach(
        tables=_CHAIN.format(
            when="AND EXISTS (SELECT 1 FROM hold WHERE scope_kind = 'excursion' AND lifted_at IS NULL)",
        ),
        scopes="""
    SELECT chain.target, 'excursion', i.excursion_code, CAST(NULL AS timestamptz)
    FROM chain JOIN excursion_item i ON i.specimen_code = chain.member
    WHERE i.removed_at IS NULL AND i.decision IS NULL
      AND (chain.made IS NULL OR chain.made >= i.since AND NOT EXISTS (
          SELECT 1 FROM excursion_item own WHERE own.excursion_code = i.excursion_code AND own.specimen_code = chain.target
             AND own.removed_at IS NULL))""",
        held="""
    SELECT i.specimen_code FROM active a JOIN excursion_item i ON i.excursion_code = a.scope_id
    WHERE a.scope_kind = 'excursion'""",
    )
)
excursions_then.give(f"""(
    WITH RECURSIVE {_CHAIN.format(when="")}, known AS (
        SELECT i.* FROM (
            SELECT excursion_code, specimen_code, since, included_at, removed_at, assessed_at,
                   CAST(NULL AS timestamptz) AS replaced_at
            FROM excursion_item
            UNION ALL
            SELECT excursion_code, specimen_code, since, included_at, removed_at, assessed_at, replaced_at
            FROM excursion_item_past
        ) AS i
        WHERE i.specimen_code IN (SELECT member FROM chain)
          AND i.included_at <= :known AND (i.removed_at IS NULL OR i.removed_at > :known)
          AND (i.replaced_at IS NULL OR i.replaced_at > :known)
    )
    SELECT 'excursion', i.excursion_code, CAST(NULL AS timestamptz) FROM chain JOIN known i ON i.specimen_code = chain.member
    WHERE (i.assessed_at IS NULL OR i.assessed_at > :at OR i.assessed_at > :known)
      AND (chain.made IS NULL OR chain.made >= i.since AND NOT EXISTS (
          SELECT 1 FROM known own WHERE own.excursion_code = i.excursion_code AND own.specimen_code = chain.target)))""")  # noqa: S608 - our own constant


inside_then.give(lambda session, container, since, until: inside_during(session, container, since, until, derivatives=False))


@open_excursions.give
def _open(session: Session, codes: Sequence[str]) -> Mapping[str, str]:
    of = excursion.c
    here = (of.container_code.in_(codes), of.ended_at.is_(None), of.annulled_at.is_(None))
    return {row.container_code: row.code for row in session.execute(select(of.container_code, of.code).where(*here))}
