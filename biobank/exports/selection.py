"""Which part of the log: filters from a closed list, composed as SQL. COPY takes no parameters, so literals are quoted here."""

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal, LiteralString, cast

from psycopg import sql
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from sqlalchemy import ColumnElement, Text, literal_column
from sqlalchemy.dialects import postgresql

from biobank.auth.scope import Scope
from biobank.foundation.clock import rfc3339
from biobank.foundation.from_above import FromAbove

Code = Annotated[str, Field(min_length=2, max_length=40, pattern=r"^[A-Za-z0-9-]+$")]
Kind = Annotated[str, Field(pattern=r"^[a-z_]{2,20}\.[a-z_]{2,40}$")]


codes_of_donor: FromAbove[LiteralString] = FromAbove("donors")
"""SQL: SELECT the codes that a donor has or had, who is called `donor` in it."""

Entered = Literal["paper", "late"]
"""How an entry came: from a filed form, or long after the time that it states."""

ENTERED: Mapping[Entered, str] = {
    # The bytes are canonical JSON, in which nothing but that member is written like this.
    "paper": """position('"source":"paper"'::bytea in {event}.entry) > 0""",
    "late": "{event}.recorded_at - {event}.occurred_at > interval '15 minutes'",
}
"""What a statement asks of an event, which it calls `event`. Indexes: `transparency/models.py`. Late is what needs a
reason (`custody/recording.py: BACK_WITHOUT_REASON`)."""


def within(scope: Scope, site: ColumnElement[Any]) -> ColumnElement[bool]:
    """Which entries are for whom holds the right at `scope`: those recorded there; those of no site for every site only.

    The one rule of what of the log leaves for a reader: of pages, files, the feed and webhooks. `site`: the entry's column.
    """
    return scope.of(site)


_site: ColumnElement[Any] = literal_column("e.site_code", Text())


class Selection(BaseModel):
    """Filters of the custody log; every one that is given must hold. `since` and `until` are about `recorded_at`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    since: AwareDatetime | None = None
    until: AwareDatetime | None = None
    specimen: Code | None = None
    donor: Code | None = None
    kind: Kind | None = None
    actor: Code | None = None
    site: Code | None = None
    entered: Entered | None = None

    def named(self) -> dict[str, str]:
        """The filters as the export's event keeps them."""
        given = self.model_dump(exclude_none=True)
        return {k: rfc3339(v) if isinstance(v, datetime) else str(v) for k, v in given.items()}

    def where(self, scope: Scope, size: int) -> sql.Composed:
        """Return the WHERE clause over the first `size` entries of the log; `scope` bounds it to what the caller may read."""
        parts: list[sql.Composable] = [sql.SQL("l.log_index < {}").format(sql.Literal(size))]
        if self.since is not None:
            parts.append(sql.SQL("e.recorded_at >= {}").format(sql.Literal(self.since)))
        if self.until is not None:
            parts.append(sql.SQL("e.recorded_at < {}").format(sql.Literal(self.until)))
        if self.specimen is not None:
            parts.append(sql.SQL("e.stream_kind = 'specimen' AND e.stream_id = {}").format(sql.Literal(self.specimen.upper())))
        if self.donor is not None:
            parts.append(
                sql.SQL("(e.donor_code IN ({0}) OR (e.stream_kind = 'donor' AND e.stream_id IN ({0})))").format(
                    sql.SQL(codes_of_donor.get()).format(donor=sql.Literal(self.donor.upper()))
                )
            )
        if self.kind is not None:
            parts.append(sql.SQL("e.kind = {}").format(sql.Literal(self.kind)))
        if self.actor is not None:
            parts.append(sql.SQL("e.recorded_by = {}").format(sql.Literal(self.actor.upper())))
        if self.site is not None:
            parts.append(sql.SQL("e.site_code = {}").format(sql.Literal(self.site.upper())))
        if self.entered is not None:
            parts.append(sql.SQL(ENTERED[self.entered].format(event="e")))
        bounds: Any = within(scope, _site).compile(dialect=postgresql.dialect(), compile_kwargs={"literal_binds": True})  # type: ignore[no-untyped-call]
        parts.append(sql.SQL(cast(LiteralString, bounds.string)))
        return sql.SQL(" AND ").join(parts)
