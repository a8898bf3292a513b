"""The custody log as page and as files."""

import csv
import hashlib
import io
import json
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from openpyxl import load_workbook

from biobank.acts.act import Act
from biobank.auth.actor import SYSTEM
from biobank.exports import formats
from biobank.exports.formats.format import EventRow
from biobank.exports.formats.xlsx import TOO_LONG, encode
from biobank.foundation.clock import rfc3339
from tests.conftest import Api
from tests.factories import make_donor, make_received


def some_history(api: Api, count: int = 3) -> list[str]:
    act = Act.of(SYSTEM, api.test_bank.bank, path="test")

    def work(session: Any) -> list[str]:
        donor = make_donor(session)
        return [make_received(session, act, donor=donor).code for _ in range(count)]

    return api.test_bank.write(work)  # type: ignore[no-any-return]


def test_a_json_line_holds_the_entry_whose_hash_it_names(api: Api) -> None:
    codes = some_history(api)

    answer = api.auditor.get("/custody-log", params={"format": "jsonl"})

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

    rows = list(csv.DictReader(io.StringIO(api.auditor.get("/custody-log", params={"format": "csv"}).text)))
    lines = [json.loads(x) for x in api.auditor.get("/custody-log", params={"format": "jsonl"}).text.splitlines()]

    assert {r["leaf_hash"] for r in rows} <= {x["leaf_hash"] for x in lines}
    assert [r["kind"] for r in rows if r["stream"] == "specimen"] == ["specimen.collected", "specimen.received"] * 3
    assert all(json.loads(r["entry"])["seq"] == int(r["seq"]) for r in rows)


def test_an_export_is_an_event_with_its_rows_and_its_hash(api: Api) -> None:
    some_history(api)
    answer = api.auditor.get("/custody-log", params={"format": "csv", "kind": "specimen.received"})

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
        connection.commit()

    rows = list(csv.DictReader(io.StringIO(api.auditor.get("/custody-log", params={"format": "csv"}).text)))

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
    content = api.auditor.get("/custody-log", params={"format": "xlsx"}).content
    listed = list(csv.DictReader(io.StringIO(api.auditor.get("/custody-log", params={"format": "csv"}).text)))

    rows: list[Any] = list(load_workbook(io.BytesIO(content), read_only=True).worksheets[0].iter_rows(values_only=True))

    heading, first = rows[0], rows[1]
    assert heading[3:7] == ("seq", "kind", "occurred_at (UTC)", "recorded_at (UTC)")
    assert rfc3339(first[6].replace(tzinfo=UTC)) == listed[0]["recorded_at"]
    # The workbook's own start came before the file, its end and the start of the other export after it.
    assert [row[13] for row in rows[1:]] == [row["leaf_hash"] for row in listed][: len(rows) - 1]
    ends = api.auditor.get("/custody-log", params={"kind": "system.export_finished"}).json()["items"]
    assert ends[0]["body"]["rows"] == len(rows) - 1
    assert ends[0]["body"]["sha256"] == hashlib.sha256(content).hexdigest()


def test_a_workbook_goes_on_in_a_further_sheet_and_runs_no_text_as_a_formula() -> None:
    at = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
    row = EventRow(1, "specimen", "=1+1", 1, "specimen.stored", at, at, "US-1", None, None, None, "stored", None, "ab", "{}")
    long = row._replace(id="AD26-1", entry="x" * 40_000)

    book = load_workbook(io.BytesIO(b"".join(encode(iter([row, long, row]), rows_of_a_sheet=3))))

    assert [sheet.max_row for sheet in book.worksheets] == [3, 2]
    assert book.worksheets[0]["C2"].data_type == "s"
    assert book.worksheets[0]["C2"].value == "=1+1"
    assert book.worksheets[0]["O3"].value == TOO_LONG


def test_a_format_is_one_module_that_is_found_by_itself(tmp_path: Path) -> None:
    shutil.copytree(Path(formats.__file__).parent, tmp_path / "formats")
    (tmp_path / "formats" / "toy.py").write_text(
        "from biobank.exports.formats.format import Format, encoded\n"
        "FORMAT = Format('toy', 'Toy', 'text/plain', encoded(lambda rows: (b'.' for _ in rows)))\n"
    )
    found = subprocess.run(
        [sys.executable, "-c", "import formats; print(*formats.FORMATS)"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )

    assert found.stdout.split() == ["csv", "jsonl", "toy", "xlsx"]
