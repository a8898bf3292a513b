"""One table leads from a code to its page: links, find box, a label's address and the timeline agree for every prefix."""

import re

import psycopg
import pytest

from biobank.foundation.codes import DATED, Prefix, format_code
from biobank.pages.ui.code_pages import LOOKED_UP, PAGES, code_href, page_of
from biobank.pages.ui.entries import facts_of
from biobank.pages.ui.templating import make_environment
from tests.conftest import Api
from tests.pages.test_pages import a_tube
from tests.pages.visitor import Visitor


def example(prefix: Prefix) -> str:
    return format_code(prefix, 26 if prefix in DATED else None, 12345)


@pytest.mark.parametrize("prefix", Prefix)
def test_every_kind_of_code_is_in_the_table_once_and_its_links_agree(prefix: Prefix) -> None:
    code = example(prefix)
    ((_, shown),) = facts_of({"thing": code})
    linked = re.findall(r'href="([^"]+)"', make_environment().from_string("{{ thing|code }}").render(thing=shown, actor=None))

    assert [prefix in group for group in (PAGES, LOOKED_UP)].count(True) == 1
    assert linked == [page_of(code)]
    assert code_href(code) == (page_of(code) or f"/find?q={code}")


def test_the_find_box_and_a_labels_address_lead_where_links_lead(api: Api) -> None:
    visitor = Visitor(base_url=api.url, headers={"Accept": "text/html"}, follow_redirects=False, timeout=60)
    visitor.log_in("lab_tech")
    tube = a_tube(api)
    for prefix in Prefix:
        code = tube if prefix is Prefix.ADIPOSE else example(prefix)
        answers = [visitor.get(f"/find?q={code}"), visitor.get(f"/S/{code}")]
        if prefix in PAGES and (prefix not in (Prefix.HAIR_FOLLICLE, Prefix.UNIDENTIFIED)):
            assert [a.headers["location"] for a in answers] == [page_of(code)] * 2, code
        elif prefix is not Prefix.COMMAND:
            assert {a.status_code for a in answers} == {404}, code
    visitor.close()


def test_the_address_of_a_label_is_read_as_a_guns_scan_of_it_is(api: Api) -> None:
    """A telephone, a chat program or a hand writes it in other letters, percent signs, or with something behind it."""
    visitor = Visitor(base_url=api.url, headers={"Accept": "text/html"}, follow_redirects=False, timeout=60)
    visitor.log_in("lab_tech")
    tube = a_tube(api)
    head, tail = tube.split("-")
    wrong = tube[:-1] + "AB"[tube[-1] == "A"]
    ways = [
        f"/{letter}/{written}"
        for letter in "Ss"
        for written in (
            tube,
            tube.lower(),
            *(f"{head}{hyphen}{tail}" for hyphen in ("%2D", "%2d", "%20", "", "%E2%80%91", "%252D", "%C2%AD", "_")),
            *(f"{tube}{behind}" for behind in ("/", "%20", "%0D%0A", ".", "?utm_source=x", "/?x=1", "%3Fx%3D1", "%E2%80%8B")),
            f"%EF%BB%BF{tube}",
        )
    ]
    others = [
        f"/s/{text}"
        for text in (wrong, wrong.lower(), "", "FOOBAR", f"{tube}{tube}", f"https%3A%2F%2Fother.example%2FS%2F{tube}")
    ]

    led = {way: visitor.get(way).headers.get("location") for way in ways}
    refused = {way: visitor.get(way).status_code for way in others}
    visitor.close()

    assert {way: to for way, to in led.items() if to != f"/specimens/{tube}"} == {}
    assert set(refused.values()) <= {404, 409, 422}, refused


def test_an_address_of_a_label_that_two_issuers_wrote_on_their_tubes_lets_the_reader_choose(api: Api) -> None:
    visitor = Visitor(base_url=api.url, headers={"Accept": "text/html"}, follow_redirects=False, timeout=60)
    visitor.log_in("lab_tech")
    tubes = [a_tube(api), a_tube(api)]
    said = f"https://{api.test_bank.bank.settings.host_name}/S/OLD 1"
    with psycopg.connect(api.test_bank.dsn()) as connection:
        for number, tube in enumerate(tubes):
            row = "INSERT INTO specimen_alias VALUES (%s, %s, %s, now(), now())"
            connection.execute(row, (f"clinic_{number}", said, tube))

    answer = visitor.get("/S/OLD 1")
    visitor.close()

    assert answer.status_code == 200
    assert all(tube in answer.text for tube in tubes)
