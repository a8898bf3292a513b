"""What packages below ask of benches: the holds on sessions that cover a specimen, and which sessions a doubt reaches."""

from collections.abc import Collection

from sqlalchemy import select
from sqlmodel import Session

from biobank.benches.models import bench_handling
from biobank.custody.hold_coverage import HoldReach, benches_reach
from biobank.custody.holds import sessions_in_doubt
from biobank.custody.models import hold
from biobank.custody.states import HoldKind, HoldScope

# A hold on a session covers what was handled in it, before and after it was placed, and what is made of that.
benches_reach.give(
    HoldReach(
        tables="",
        scopes="""
    SELECT line.target, 'bench_session', h.session_code, CAST(NULL AS timestamptz)
    FROM line JOIN bench_handling h ON h.specimen_code = line.member""",
        held="""
    SELECT h.specimen_code FROM active a JOIN bench_handling h ON h.session_code = a.scope_id
    WHERE a.scope_kind = 'bench_session'""",
    )
)


@sessions_in_doubt.give
def _sessions(session: Session, codes: Collection[str]) -> list[tuple[str, str]]:
    """Return the sessions, with their donors, in which these were handled last, and that no such hold is on yet."""
    last, later, on = bench_handling.alias("last"), bench_handling.alias("later"), hold.c
    afterwards = select(later.c.id).where(later.c.specimen_code == last.c.specimen_code, later.c.at > last.c.at)
    stands = select(on.id).where(
        on.scope_kind == HoldScope.BENCH_SESSION.value,
        on.scope_id == last.c.session_code,
        on.kind == HoldKind.IDENTITY.value,
        on.lifted_at.is_(None),
    )
    found = select(last.c.session_code, last.c.donor_code).where(last.c.specimen_code.in_(sorted(codes)))
    found = found.where(~afterwards.exists(), ~stands.exists()).distinct().order_by(last.c.session_code)
    return [(row.session_code, row.donor_code) for row in session.execute(found)]
