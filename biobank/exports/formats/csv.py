"""CSV for people and spreadsheets."""

from psycopg import sql

from biobank.custody.sentences import sentences
from biobank.exports.formats.format import FROM, ORDER, Format, copied
from biobank.foundation.formula_cells import FORMULA


def _defused(column: str) -> sql.Composed:
    """A cell that a spreadsheet would run as a formula gets an apostrophe in front."""
    return sql.SQL("CASE WHEN {0} ~ {1} THEN '''' || {0} ELSE {0} END").format(
        sql.SQL(column),
        sql.Literal(FORMULA),
    )


def statement(where: sql.Composed) -> sql.Composed:
    """CSV for people and spreadsheets. `defused` names the cells that had an apostrophe put in front; the entry is verbatim."""
    guarded = ("e.stream_id", "e.kind", "e.recorded_by", "e.site_code", "e.donor_code")
    flags = sql.SQL(", ").join(
        sql.SQL("CASE WHEN {0} ~ {1} THEN {2} END").format(
            sql.SQL(c),
            sql.Literal(FORMULA),
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
        "convert_from(e.entry, 'UTF8') AS entry, concat_ws(' ', {flags}) AS defused, said.what_happened "
        "{source} LEFT JOIN (VALUES {sentences}) AS said (kind, what_happened) ON said.kind = e.kind "
        "WHERE {where} {order}) TO STDOUT (FORMAT csv, HEADER, ENCODING 'UTF8')"
    ).format(
        stream_id=_defused("e.stream_id"),
        kind=_defused("e.kind"),
        by=_defused("e.recorded_by"),
        site=_defused("e.site_code"),
        donor=_defused("e.donor_code"),
        flags=flags,
        source=FROM,
        sentences=sql.SQL(", ").join(
            sql.SQL("({}, {})").format(sql.Literal(kind), sql.Literal(said)) for kind, said in sorted(sentences().items())
        ),
        where=where,
        order=ORDER,
    )


FORMAT = Format("csv", "CSV", "text/csv; charset=utf-8", copied(statement, header_lines=1))
