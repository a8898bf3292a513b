"""The custody log as page and as files."""

import codecs
import csv
import hashlib
import io
import json
import re
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from openpyxl import load_workbook
from pyarrow import parquet

from biobank.acts.act import Act
from biobank.auth.actor import SYSTEM
from biobank.custody.sentences import sentences, what_happened
from biobank.exports import formats
from biobank.exports.formats.csv_bom import encode as for_excel
from biobank.exports.formats.format import EventRow
from biobank.exports.formats.parquet import encode as as_parquet
from biobank.exports.formats.xlsx import encode
from biobank.foundation import clock
from biobank.foundation.clock import rfc3339
from biobank.foundation.formula_cells import TOO_LONG
from tests import seed
from tests.conftest import Api
from tests.exports.taking import take_log, taken_log
from tests.factories import make_donor, make_received


def some_history(api: Api, count: int = 3) -> list[str]:
    act = Act.of(SYSTEM, api.test_bank.bank, path="test")

    def work(session: Any) -> list[str]:
        donor = make_donor(session)
        return [make_received(session, act, donor=donor).code for _ in range(count)]

    return api.test_bank.write(work)  # type: ignore[no-any-return]


def test_a_json_line_holds_the_entry_whose_hash_it_names(api: Api) -> None:
    codes = some_history(api)

    answer = take_log(api, "jsonl")

    assert answer.status_code == 200, answer.text
    lines = answer.content.splitlines()
    seen = set()
    for line in lines:
        entry = line[line.index(b'"entry":') + 8 : -1]
        parsed = json.loads(line)
        assert hashlib.sha256(b"\0" + entry).hexdigest() == parsed["leaf_hash"]
        seen.add(parsed["entry"]["id"])
    assert set(codes) <= seen


def test_the_csv_has_a_header_and_a_row_per_event_with_the_same_hashes(api: Api) -> None:
    some_history(api)

    rows = list(csv.DictReader(io.StringIO(take_log(api, "csv").text)))
    lines = [json.loads(x) for x in taken_log(api).splitlines()]

    assert {r["leaf_hash"] for r in rows} <= {x["leaf_hash"] for x in lines}
    assert [r["kind"] for r in rows if r["stream"] == "specimen"] == ["specimen.collected", "specimen.received"] * 3
    assert all(json.loads(r["entry"])["seq"] == int(r["seq"]) for r in rows)


def test_an_export_is_an_event_with_its_rows_and_its_hash(api: Api) -> None:
    some_history(api)
    answer = take_log(api, "csv", kind="specimen.received")

    events = api.auditor.get("/custody-log", params={"kind": "system.export_finished"}).json()["items"]

    body = events[-1]["body"]
    assert (body["complete"], body["rows"], body["size_bytes"]) == (True, 3, len(answer.content))
    assert body["sha256"] == hashlib.sha256(answer.content).hexdigest()
    started = api.auditor.get("/custody-log", params={"kind": "system.export_started"}).json()["items"]
    assert started[-1]["body"]["filters"] == {"kind": "specimen.received"}


def test_filters_narrow_the_log(api: Api) -> None:
    codes = some_history(api)

    one = api.auditor.get("/custody-log", params={"specimen": codes[1].lower()}).json()["items"]
    donors = {e["body"].get("donor") for e in one} - {None}
    by_donor = api.auditor.get("/custody-log", params={"donor": donors.pop()}).json()["items"]
    none = api.auditor.get("/custody-log", params={"from": "2100-01-01T00:00:00Z"}).json()["items"]

    assert {e["id"] for e in one} == {codes[1]}
    assert {e["id"] for e in by_donor} == set(codes)
    assert none == []


def test_pages_follow_each_other_without_gap_or_overlap(api: Api) -> None:
    some_history(api, 5)
    seen: list[str] = []
    after = None

    while True:
        page = api.auditor.get("/custody-log", params={"limit": 3} | ({"after": after} if after else {})).json()
        seen += [e["leaf_hash"] for e in page["items"]]
        after = page["next"]
        if after is None:
            break

    assert len(seen) == len(set(seen)) == 10


def test_a_cell_that_a_spreadsheet_would_run_is_defused_and_flagged(api: Api) -> None:
    with psycopg.connect(api.test_bank.dsn("app")) as connection:
        connection.execute(
            "INSERT INTO event (stream_kind, stream_id, seq, kind, entry, occurred_at, recorded_at, recorded_by) "
            "VALUES ('system', '=cmd()', 1, 'system.planted', '{}', now(), now(), '@SUM')"
        )
        connection.execute("INSERT INTO pending (leaf_hash, recorded_at) SELECT leaf_hash, recorded_at FROM event")
        connection.commit()

    rows = list(csv.DictReader(io.StringIO(take_log(api, "csv").text)))

    planted = next(r for r in rows if r["kind"] == "system.planted")
    assert (planted["id"], planted["recorded_by"], planted["defused"]) == ("'=cmd()", "'@SUM", "stream_id recorded_by")


@pytest.mark.parametrize("user", ["lab_tech", "clinician", "admin"])
def test_the_log_is_for_quality_and_auditors(api: Api, user: str) -> None:
    assert getattr(api, user).get("/custody-log").status_code == 403
    assert getattr(api, user).get("/custody-log", params={"format": "csv"}).status_code == 403


def test_a_foreign_cursor_is_malformed(api: Api) -> None:
    assert api.auditor.get("/custody-log", params={"after": "zzz"}).status_code == 422


def test_a_workbook_holds_every_event_with_real_dates_and_the_export_counts_them(api: Api) -> None:
    some_history(api)
    content = take_log(api, "xlsx").content
    listed = list(csv.DictReader(io.StringIO(take_log(api, "csv").text)))

    rows: list[Any] = list(load_workbook(io.BytesIO(content), read_only=True).worksheets[0].iter_rows(values_only=True))

    heading, first = rows[0], rows[1]
    assert heading[3:8] == ("seq", "kind", "what_happened", "occurred_at (UTC)", "recorded_at (UTC)")
    assert rfc3339(first[7].replace(tzinfo=UTC)) == listed[0]["recorded_at"]
    # The workbook's own start came before the file, its end and the start of the other export after it.
    assert [row[15] for row in rows[1:]] == [row["leaf_hash"] for row in listed][: len(rows) - 1]
    ends = api.auditor.get("/custody-log", params={"kind": "system.export_finished"}).json()["items"]
    assert ends[0]["body"]["rows"] == len(rows) - 1
    assert ends[0]["body"]["sha256"] == hashlib.sha256(content).hexdigest()


def test_a_workbook_goes_on_in_a_further_sheet_and_runs_no_text_as_a_formula() -> None:
    at = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
    row = EventRow(1, "specimen", "=1+1", 1, "specimen.stored", at, at, "US-1", None, None, None, "stored", None, "ab", "{}")
    long = row._replace(id="AD26-1", entry="x" * 40_000)

    book = load_workbook(io.BytesIO(b"".join(encode(iter([row, long, row]), {}, rows_of_a_sheet=3))))

    assert [sheet.max_row for sheet in book.worksheets] == [3, 2]
    assert book.worksheets[0]["C2"].data_type == "s"
    assert book.worksheets[0]["C2"].value == "=1+1"
    assert book.worksheets[0]["Q3"].value == TOO_LONG


def test_the_file_for_excel_is_marked_defused_and_names_whom_its_reader_works_with(api: Api) -> None:
    (code,) = some_history(api, 1)
    hands = seed.USERS["lab_tech"].code
    seen = {
        "kind": "specimen.inspected",
        "expected_seq": 2,
        "container_intact": True,
        "label_legible": True,
        "contents_as_expected": True,
    }
    assert api.lab_tech.post(f"/specimens/{code}/events", json=seen).status_code == 201
    assert api.admin.patch(f"/users/{hands}", json={"printed_name": "Tess Bench"}).status_code == 200
    content = take_log(api, "csvbom").content

    rows = list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"))))
    looked = next(row for row in rows if row["kind"] == "specimen.inspected")
    listed = list(csv.DictReader(io.StringIO(take_log(api, "csv").text)))
    mine = next(row for row in listed if row["leaf_hash"] == looked["leaf_hash"])

    assert content.startswith(codecs.BOM_UTF8)
    assert looked["what_happened"] == mine["what_happened"] == what_happened("specimen.inspected") != ""
    assert looked["recorded_at (UTC)"] == mine["recorded_at"][:19].replace("T", " ")
    assert (looked["recorded_by"], looked["name"]) == (hands, "Tess Bench")
    assert "name" not in mine and "Tess" not in json.dumps(listed)
    assert "Tess Bench" in take_log(api, "csvbom", user="lab_quality", specimen=code).text
    at = clock.now()
    planted = EventRow(1, "system", "=cmd()", 1, "system.planted", at, at, "@SUM", None, None, None, None, None, "ab", "{}")
    _, run = csv.reader(b"".join(for_excel(iter([planted]), {})).decode().splitlines())
    assert {"'=cmd()", "'@SUM"} <= set(run)


def test_a_parquet_file_has_typed_columns_in_groups_and_every_event(api: Api) -> None:
    some_history(api)
    answer = take_log(api, "parquet")
    table = parquet.read_table(io.BytesIO(answer.content))
    listed = list(csv.DictReader(io.StringIO(take_log(api, "csv").text)))

    assert str(table.schema.field("recorded_at").type) == "timestamp[us, tz=UTC]"
    assert (str(table.schema.field("seq").type), table.schema.field("entry").nullable) == ("int32", False)
    assert table.column("leaf_hash").to_pylist() == [row["leaf_hash"] for row in listed][: table.num_rows]
    assert rfc3339(table.column("recorded_at").to_pylist()[0]) == listed[0]["recorded_at"]
    at = clock.now()
    row = EventRow(0, "specimen", "AD26-1", 1, "specimen.stored", at, at, "US-1", None, None, None, "stored", None, "ab", "{}")
    file = parquet.ParquetFile(io.BytesIO(b"".join(as_parquet(iter([row] * 5), {}, rows_of_a_group=2))))
    assert [file.metadata.row_group(n).num_rows for n in range(file.num_row_groups)] == [2, 2, 1]
    assert parquet.read_table(io.BytesIO(b"".join(as_parquet(iter([]), {})))).num_rows == 0


def test_every_kind_of_event_says_in_a_plain_sentence_what_happened() -> None:
    said = sentences()

    machine = {kind: one for kind, one in said.items() if re.search(r"`|[a-z]_[a-z]|null|None|[A-Z]{2,}[a-z]|m°C", one)}
    assert machine == {}
    assert {kind for kind, one in said.items() if not one.endswith(".") or len(one) < 15} == set()


def test_a_format_is_one_module_that_is_found_by_itself(tmp_path: Path) -> None:
    shutil.copytree(Path(formats.__file__).parent, tmp_path / "formats")
    (tmp_path / "formats" / "toy.py").write_text(
        "from biobank.exports.formats.format import Format, encoded\n"
        "FORMAT = Format('toy', 'Toy', 'text/plain', encoded(lambda rows, _names: (b'.' for _ in rows)))\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", "import formats; print(*formats.FORMATS)"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )

    assert found.stdout.split() == ["csv", "csvbom", "jsonl", "parquet", "toy", "xlsx"]
