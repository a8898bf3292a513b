"""What packages below ask of open acts: when a bench session was put on record as not closed in its time."""

from sqlalchemy import select

from biobank.benches.models import bench_session
from biobank.benches.queries import timed_out_at
from biobank.unfinished.models import act_timed_out

timed_out_at.give(
    select(act_timed_out.c.at)
    .where(act_timed_out.c.act == "bench_session", act_timed_out.c.stream_id == bench_session.c.code)
    .limit(1)
    .scalar_subquery()
)
