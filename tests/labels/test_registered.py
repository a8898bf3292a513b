"""ISBT 128 numbers and Single European Codes on labels: of the bank's own registration alone, and of this specimen."""

import io
from collections.abc import Callable, Iterator
from typing import Any

import pypdfium2
import pytest

from biobank.foundation.config import Settings, WeakSettings
from biobank.labels.console import draw_labels
from biobank.labels.registered import NotRegistered
from biobank.specimens.foreign_codes import parse_donation_number, parse_european_code
from tests.conftest import Api, TestBank
from tests.factories import make_received
from tests.labels.test_batches import job
from tests.pages.visitor import BROWSER, Visitor

DIN, SEC = "G123417654321", "PL001499Z549917123456 A00T041600320171231"
ISBT_LABEL, SEC_LABEL = "cryobag-isbt-76x51", "cryobag-sec-76x51"


@pytest.fixture
def registered(make_bank: Callable[..., TestBank], serve: Callable[[TestBank], str]) -> Iterator[Callable[..., Api]]:
    """A factory of served banks with registrations."""
    made: list[Api] = []

    def start(**settings: Any) -> Api:
        bank = make_bank(**settings)
        made.append(Api(serve(bank), bank))
        return made[-1]

    yield start
    for api in made:
        api.close()


def tube(api: Api, *aliases: tuple[str, str]) -> str:
    """A tube with identifiers of others."""
    act = api.test_bank.act("lab_tech")
    code = str(api.test_bank.write(lambda session: make_received(session, act)).code)
    for issuer, value in aliases:
        seq = api.lab_tech.get(f"/specimens/{code}").json()["custody"]["seq"]
        answer = api.lab_tech.post(f"/specimens/{code}/aliases", json={"issuer": issuer, "value": value, "expected_seq": seq})
        assert answer.status_code == 201, answer.text
    return code


def words_of(api: Api, code: str, template: str) -> str:
    """What stands on its label for people."""
    answer = api.lab_tech.get(f"/specimens/{code}/label", params={"template": template, "format": "pdf"})
    assert answer.status_code == 200, answer.text
    return str(pypdfium2.PdfDocument(io.BytesIO(answer.content))[0].get_textpage().get_text_range())


def refused(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json()["code"]


def test_a_registered_bank_prints_the_donation_number_with_flags_and_check_character(registered: Callable[..., Api]) -> None:
    api = registered(isbt_facility="G1234")
    code = tube(api, ("isbt_128", f"={DIN}00"), ("isbt_128", "A9998 18 123456"))

    assert "DIN G1234 17 654321 00 A" in words_of(api, code, ISBT_LABEL)
    printed = api.lab_tech.post("/label-sheets", json={"specimens": [code], "template": ISBT_LABEL})
    assert printed.status_code == 201, printed.text
    made = api.lab_tech.get(printed.json()["file"].removeprefix("/api/v1"))
    assert made.status_code == 200
    assert "DIN G1234 17 654321 00 A" in pypdfium2.PdfDocument(io.BytesIO(made.content))[0].get_textpage().get_text_range()
    batch = job(api, api.lab_tech.post("/label-batches", json={"codes": [code], "template": ISBT_LABEL, "reason": "damaged"}))
    assert batch["state"] == "done"


def test_an_establishment_of_the_eu_prints_both_halves_of_its_code(registered: Callable[..., Api]) -> None:
    api = registered(sec_establishment="PL001499")
    words = words_of(api, tube(api, ("sec", SEC)), SEC_LABEL)
    assert "SEC PL001499Z549917123456" in words and "A00T041600320171231" in words


@pytest.mark.parametrize(("label", "issuer", "value"), [(ISBT_LABEL, "isbt_128", DIN + "A"), (SEC_LABEL, "sec", SEC)])
def test_without_a_registration_no_way_prints_it(api: Api, label: str, issuer: str, value: str) -> None:
    code = tube(api, (issuer, value))
    asked = {"specimens": [code], "template": label}
    rule = {"site": "LAB", "prefix": "AD", "template": label, "printer": None}

    assert refused(api.lab_tech.get(f"/specimens/{code}/label", params={"template": label})) == (409, "not_registered")
    assert refused(api.lab_tech.get(f"/labels/{code}/preview", params={"template": label})) == (409, "not_registered")
    assert refused(api.lab_tech.post("/label-sheets", json=asked)) == (409, "not_registered")
    assert refused(api.lab_tech.post("/label-batches", json={"codes": [code], "template": label})) == (409, "not_registered")
    assert refused(api.admin.post("/print-rules", json=rule)) == (409, "not_registered")
    with pytest.raises(NotRegistered):
        draw_labels(api.test_bank.bank, [code], label, "pdf", 300, None)
    assert api.lab_tech.get(f"/specimens/{code}/labels").json()["items"] == []


@pytest.mark.parametrize(
    "aliases",
    [
        [],
        [("isbt_128", "A9998 18 123456")],
        [("isbt_128", DIN), ("isbt_128", "G123417654322")],
        [("old_bank", DIN)],
    ],
)
def test_a_number_of_another_facility_or_two_of_ours_are_not_printed(
    registered: Callable[..., Api], aliases: list[tuple[str, str]]
) -> None:
    api = registered(isbt_facility="G1234")
    code = tube(api, *aliases)
    asked = {"specimens": [code], "template": ISBT_LABEL}
    assert refused(api.lab_tech.get(f"/specimens/{code}/label", params={"template": ISBT_LABEL})) == (409, "no_number_of_ours")
    assert refused(api.lab_tech.post("/label-sheets", json=asked)) == (409, "no_number_of_ours")


@pytest.mark.parametrize(("settings", "offered"), [({}, False), ({"isbt_facility": "G1234"}, True)])
def test_a_label_is_offered_where_the_bank_may_print_it(
    registered: Callable[..., Api], settings: dict[str, str], offered: bool
) -> None:
    api = registered(**settings)
    with Visitor(base_url=api.url, headers=BROWSER, follow_redirects=True, timeout=60) as page:
        page.log_in("lab_tech")
        for address in (f"/labels/{tube(api)}", "/labels/batch"):
            shown = page.get(address)
            assert shown.status_code == 200 and "Cryobag label, 76 × 38 mm" in shown.text, address
            assert ("Cryobag label with ISBT 128 number" in shown.text) is offered
            assert "Cryobag label with Single European Code" not in shown.text


@pytest.mark.parametrize(
    ("name", "value"), [("ISBT_FACILITY", "O1234"), ("ISBT_FACILITY", "G123"), ("SEC_ESTABLISHMENT", "G1234")]
)
def test_a_setting_that_is_no_registration_is_refused_at_the_start(name: str, value: str) -> None:
    with pytest.raises(WeakSettings, match=name.lower()):
        Settings.from_environment({f"BIOBANK_{name}": value})


@pytest.mark.parametrize("text", [DIN, DIN + "A", f"={DIN}00", f"{DIN}70", "G1234 17 654321 15"])
def test_what_is_printed_is_read_back_as_the_same_number(text: str) -> None:
    number = parse_donation_number(text)
    assert parse_donation_number(number.printed.rpartition(" ")[0]).printed == number.printed
    assert parse_european_code("".join(parse_european_code(SEC).printed)) == parse_european_code(SEC)
