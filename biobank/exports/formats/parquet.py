"""Apache Parquet for analysis: typed columns, instants in UTC, groups of rows. Offered where `biobank[parquet]` is installed."""

import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from itertools import islice

from biobank.exports.formats.format import CHUNK, EventRow, Format, Names, encoded

ROWS_OF_A_GROUP = 20_000
"""What is held in memory at a time, and read at a time by whoever asks for a part of the file."""


def encode(rows: Iterator[EventRow], _names: Names, *, rows_of_a_group: int = ROWS_OF_A_GROUP) -> Iterator[bytes]:
    """Yield the file. It is gathered in a temporary file, because its table of contents is written last."""
    import pyarrow as arrow  # some fifty megabytes: only who exports this way pays for loading it
    from pyarrow import parquet

    instant = arrow.timestamp("us", tz="UTC")
    kinds = {"log_index": arrow.int64(), "seq": arrow.int32(), "occurred_at": instant, "recorded_at": instant}
    never_empty = {"log_index", "stream", "id", "seq", "kind", "occurred_at", "recorded_at", "recorded_by", "leaf_hash", "entry"}
    schema = arrow.schema(
        [arrow.field(name, kinds.get(name, arrow.string()), nullable=name not in never_empty) for name in EventRow._fields]
    )
    with tempfile.TemporaryFile() as file:
        with parquet.ParquetWriter(file, schema, compression="zstd") as writer:
            while group := list(islice(rows, rows_of_a_group)):
                columns = [arrow.array(values, one.type) for values, one in zip(zip(*group, strict=True), schema, strict=True)]
                writer.write_table(arrow.Table.from_arrays(columns, schema=schema))
        file.seek(0)
        while chunk := file.read(CHUNK):
            yield chunk


if find_spec("pyarrow") is not None:
    FORMAT = Format("parquet", "Parquet", "application/vnd.apache.parquet", encoded(encode))
