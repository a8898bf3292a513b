"""Every list is one table: sorted, filtered, with the columns one chooses, as a file, and leading to acts on ticked rows."""

import csv
import io
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from openpyxl import load_workbook
from sqlalchemy import update

from biobank.foundation import clock
from biobank.foundation.db import table_of
from biobank.pages.specimens.specimen_list import expiry_of
from biobank.pages.ui.parts import Column
from biobank.pages.ui.spreadsheets import CUT, as_csv, as_xlsx
from biobank.specimens.models import Specimen
from tests.conftest import Api
from tests.factories import make_specimen
from tests.pages.visitor import Visit, Visitor

LISTS = {
    "lab_tech": [
        "/specimens",
        "/kits",
        "/harvests",
        "/processings",
        "/lots",
        "/withdrawals",
        "/handovers",
        "/storage/places",
        "/shipments",
        "/deviations",
        "/jobs",
        "/place-limits",
        "/rotas",
        "/workstations",
        "/open-acts",
    ],
    "clinician": ["/donors"],
    "auditor": ["/log/near-misses", "/log/exports", "/log/counts"],
    "quality": ["/outcomes", "/withdrawals/compliance", "/notices", "/recalls"],
    "admin": ["/users", "/pending", "/sites"],
}


def tubes(api: Api, count: int, **fields: str) -> list[str]:
    act = api.test_bank.act("lab_tech")
    made: list[str] = api.test_bank.write(lambda s: [make_specimen(s, act, **fields).code for _ in range(count)])
    return made


def expire(api: Api, code: str, at: datetime) -> None:
    table = table_of(Specimen)
    api.test_bank.write(lambda s: s.execute(update(table).where(table.c.code == code).values(expires_at=at)))


def test_every_list_sorts_both_ways_and_is_sent_as_csv_and_as_a_workbook(api: Api, visit: Visit) -> None:
    tubes(api, 2)
    for name, addresses in LISTS.items():
        visitor = visit(name)
        for address in addresses:
            page = visitor.get_page(address)
            assert "aria-sort" in page or "empty" in page, address
            assert "Columns to show" in page and "as=csv" in page and "as=xlsx" in page, address
            file = visitor.get(address, params={"as": "csv"})
            assert file.headers["content-type"].startswith("text/csv"), address
            assert file.content.startswith(b"\xef\xbb\xbf"), address
            book = visitor.get(address, params={"as": "xlsx"})
            headings = [cell.value for cell in next(load_workbook(io.BytesIO(book.content)).active.iter_rows())]  # type: ignore[union-attr]
            assert headings == next(csv.reader(io.StringIO(file.content.decode("utf-8-sig")))), address


def test_a_list_that_is_read_whole_is_sorted_by_what_its_cells_say(api: Api, visit: Visit) -> None:
    admin = visit("admin")
    up, down = (list(csv.reader(io.StringIO(admin.get(f"/sites?as=csv&sort={way}name").text)))[1:] for way in ("", "-"))
    names = [line[1] for line in up]
    assert len(names) > 1 and names == sorted(names, key=str.casefold) and down == up[::-1]
    assert admin.get("/sites?sort=code").status_code == 422
    assert 'aria-sort="descending"' in admin.get_page("/sites?sort=-name")


def test_who_is_called_at_each_site_is_a_list_that_leads_to_setting_it(api: Api, visit: Visit) -> None:
    page = visit("admin").get_page("/rotas")
    assert '<a href="/rotas/LAB/set">Set who is called at LAB</a>' in page
    assert "/rotas/LAB/set" not in visit("lab_tech").get_page("/rotas")


@pytest.mark.parametrize(
    "query", ["sort=unit", "state=nonsense", "as=pdf", "act=destroy&row=x", "cursor=rubbish", "text=%00", "stat=stored"]
)
def test_an_address_that_asks_for_what_is_not_there_is_refused_in_words(api: Api, visit: Visit, query: str) -> None:
    assert visit("lab_tech").get(f"/specimens?{query}").status_code == 422


def test_a_file_holds_what_is_shown_and_the_columns_that_were_chosen(api: Api, visit: Visit) -> None:
    codes = tubes(api, 3)
    visitor = visit("lab_tech")
    answer = visitor.get("/specimens", params={"as": "csv", "col": ["code", "site"], "sort": "code"})
    rows = list(csv.reader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert rows == [["Code", "Site"], *([code, "CLINIC"] for code in sorted(codes))]
    chosen = visitor.get_page("/specimens?col=code&col=site")
    assert ">Site</th>" in chosen and ">Amount</th>" not in chosen


def test_what_expires_this_quarter_is_one_click_from_the_list(api: Api, visit: Visit) -> None:
    now = clock.now()
    soon, late, past, _never = tubes(api, 4, material="svf", unit="cells")
    _, end = expiry_of("quarter", now.astimezone(ZoneInfo("UTC")).date(), ZoneInfo("UTC"))
    assert end is not None
    expire(api, soon, now)
    expire(api, late, datetime(now.year + 2, 1, 1, tzinfo=UTC))
    expire(api, past, datetime(now.year - 1, 1, 1, tzinfo=UTC))
    visitor = visit("quality")
    page = visitor.get_page("/specimens")
    assert "Expire this quarter" in page and "/specimens?expires=quarter" in page
    found = visitor.get_page("/specimens?expires=quarter&sort=expires_at")
    assert soon in found and late not in found and past not in found
    assert "1 found" in found and "Expires: This quarter" in found
    assert past in visitor.get_page("/specimens?expires=past")


@pytest.mark.parametrize(
    ("span", "day", "since", "before"),
    [
        ("quarter", date(2026, 11, 28), datetime(2026, 11, 28), datetime(2027, 1, 1)),
        ("quarter", date(2026, 1, 1), datetime(2026, 1, 1), datetime(2026, 4, 1)),
        ("month", date(2026, 12, 31), datetime(2026, 12, 31), datetime(2027, 1, 1)),
        ("year", date(2026, 6, 1), datetime(2026, 6, 1), datetime(2027, 1, 1)),
        ("past", date(2026, 6, 1), None, datetime(2026, 6, 1)),
    ],
)
def test_a_span_ends_with_its_calendar_month_quarter_or_year(span: str, day: date, since: Any, before: Any) -> None:
    zone = ZoneInfo("Pacific/Auckland")
    found = expiry_of(span, day, zone)
    assert found == tuple(one and one.replace(tzinfo=zone) for one in (since, before))


def test_ticked_rows_lead_to_the_page_that_acts_on_them(api: Api, visit: Visit) -> None:
    codes = tubes(api, 2)
    visitor: Visitor = visit("lab_tech")
    scan = visitor.get("/specimens", params={"act": "scan", "row": codes})
    assert scan.url.path == "/scan" and all(code in scan.text for code in codes)
    offer = visitor.get("/specimens", params={"act": "offer", "row": codes})
    assert offer.url.path == "/handovers/new" and all(code in offer.text for code in codes)
    about = visitor.get("/specimens", params={"act": "deviation", "row": codes})
    assert about.url.path == "/deviations/new" and all(code in about.text for code in codes)
    assert visitor.get("/specimens", params={"act": "scan"}).status_code == 422
    assert visit("auditor").get("/specimens", params={"act": "scan", "row": codes}).status_code == 403


def test_a_text_that_a_spreadsheet_would_run_is_defused_and_a_cut_list_says_so() -> None:
    columns = [Column("a", "A"), Column("n", "N", "number"), Column("at", "At", "when")]
    row = {"a": "=HYPERLINK(1)", "n": -3, "at": datetime(2026, 7, 1, 12, tzinfo=UTC)}
    zone = ZoneInfo("Europe/Berlin")
    lines = list(csv.reader(io.StringIO(bytes(as_csv("/x", columns, [row], zone, False).body).decode("utf-8-sig"))))
    assert lines == [["A", "N", "At (Europe/Berlin)"], ["'=HYPERLINK(1)", "-3", "2026-07-01 14:00:00"], [CUT]]
    sheet = load_workbook(io.BytesIO(bytes(as_xlsx("/x", columns, [row], zone, True).body))).active
    assert sheet is not None
    assert [cell.data_type for cell in sheet[2]] == ["s", "n", "s"]
    assert [cell.value for cell in sheet[2]] == ["'=HYPERLINK(1)", -3, "2026-07-01 14:00:00"]
