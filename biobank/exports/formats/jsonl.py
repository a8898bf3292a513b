"""JSON Lines for programs."""

from psycopg import sql

from biobank.exports.formats.format import FROM, ORDER, Format, copied


def statement(where: sql.Composed) -> sql.Composed:
    """JSON Lines for programs: the entry's own bytes inside each line, so that its leaf hash can be recomputed.

    The text is sent as CSV with a quote and a delimiter that canonical JSON cannot contain (it escapes control characters),
    because COPY's text format would double every backslash.
    """
    return sql.SQL(
        "COPY (SELECT '{{\"leaf_hash\":\"' || encode(e.leaf_hash, 'hex') || '\",\"log_index\":' || "
        "l.log_index || ',\"entry\":' || convert_from(e.entry, 'UTF8') || '}}' "
        "{source} WHERE {where} {order}) TO STDOUT (FORMAT csv, QUOTE E'\\x01', DELIMITER E'\\x02', ENCODING 'UTF8')"
    ).format(source=FROM, where=where, order=ORDER)


FORMAT = Format("jsonl", "JSON Lines", "application/jsonl", copied(statement))
