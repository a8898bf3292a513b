"""The formats of the custody log. One function each: it turns a WHERE clause into the COPY that writes the file.

PostgreSQL writes the rows; Python only passes bytes on. A million events leave in seconds and in constant memory.
"""

from collections.abc import Callable
from dataclasses import dataclass

from psycopg import sql

FROM = sql.SQL("FROM event e LEFT JOIN leaf l ON l.leaf_hash = e.leaf_hash")
ORDER = sql.SQL("ORDER BY e.recorded_at, e.stream_kind, e.stream_id, e.seq")

_FORMULA = "^[=+@\t\r-]"


@dataclass(frozen=True)
class Format:
    """A way to write the log down."""

    name: str
    media_type: str
    header_lines: int
    copy: Callable[[sql.Composed], sql.Composed]


def _defused(column: str) -> sql.Composed:
    """A cell that a spreadsheet would run as a formula gets an apostrophe in front."""
    return sql.SQL("CASE WHEN {0} ~ {1} THEN '''' || {0} ELSE {0} END").format(
        sql.SQL(column),
        sql.Literal(_FORMULA),
    )


def csv_copy(where: sql.Composed) -> sql.Composed:
    """CSV for people and spreadsheets. `defused` names the cells that had an apostrophe put in front; the entry is verbatim."""
    guarded = ("e.stream_id", "e.kind", "e.recorded_by", "e.site_code", "e.donor_code")
    flags = sql.SQL(", ").join(
        sql.SQL("CASE WHEN {0} ~ {1} THEN {2} END").format(
            sql.SQL(c),
            sql.Literal(_FORMULA),
            sql.Literal(c[2:]),
        )
        for c in guarded
    )
    return sql.SQL(
        "COPY (SELECT l.log_index, e.stream_kind AS stream, {stream_id} AS id, e.seq, {kind} AS kind, "
        "to_char(e.occurred_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"') AS occurred_at, "
        "to_char(e.recorded_at AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"') AS recorded_at, "
        "{by} AS recorded_by, {site} AS site, {donor} AS donor, e.state_before, e.state, "
        "encode(e.prev_hash, 'hex') AS prev_hash, encode(e.leaf_hash, 'hex') AS leaf_hash, "
        "convert_from(e.entry, 'UTF8') AS entry, concat_ws(' ', {flags}) AS defused "
        "{source} WHERE {where} {order}) TO STDOUT (FORMAT csv, HEADER, ENCODING 'UTF8')"
    ).format(
        stream_id=_defused("e.stream_id"),
        kind=_defused("e.kind"),
        by=_defused("e.recorded_by"),
        site=_defused("e.site_code"),
        donor=_defused("e.donor_code"),
        flags=flags,
        source=FROM,
        where=where,
        order=ORDER,
    )


def jsonl_copy(where: sql.Composed) -> sql.Composed:
    """JSON Lines for programs: the entry's own bytes inside each line, so that its leaf hash can be recomputed.

    The text is sent as CSV with a quote and a delimiter that canonical JSON cannot contain (it escapes control characters),
    because COPY's text format would double every backslash.
    """
    return sql.SQL(
        "COPY (SELECT '{{\"leaf_hash\":\"' || encode(e.leaf_hash, 'hex') || '\",\"log_index\":' || "
        "COALESCE(l.log_index::text, 'null') || ',\"entry\":' || convert_from(e.entry, 'UTF8') || '}}' "
        "{source} WHERE {where} {order}) TO STDOUT (FORMAT csv, QUOTE E'\\x01', DELIMITER E'\\x02', ENCODING 'UTF8')"
    ).format(source=FROM, where=where, order=ORDER)


FORMATS: dict[str, Format] = {
    "csv": Format("csv", "text/csv; charset=utf-8", 1, csv_copy),
    "jsonl": Format("jsonl", "application/jsonl", 0, jsonl_copy),
}
