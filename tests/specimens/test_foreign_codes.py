"""Identifiers of ISBT 128 and the Single European Code: read, checked, kept as aliases."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biobank.specimens.foreign_codes import (
    ForeignCodeWrong,
    check_character,
    parse_donation_number,
    parse_european_code,
)
from tests.conftest import Api
from tests.specimens.stories import donor, fat, harvest, made

DIN = "G123417654321"
CODE = "SEC: PL001499Z549917123456 A00T041600320171231"


@pytest.mark.parametrize(("number", "character"), [(DIN, "A"), ("A999818123456", "N"), ("A999921123456", "3")])
def test_the_check_character_is_the_published_one(number: str, character: str) -> None:
    assert check_character(number) == character


@pytest.mark.parametrize("text", [DIN + "A", f"={DIN}70", "G1234 17 654321 A", DIN.lower() + "a"])
def test_a_donation_number_is_read_as_scanned_and_as_printed_and_its_check_character_agrees(text: str) -> None:
    assert parse_donation_number(text).checked
    assert parse_donation_number(text).facility == "G1234"


def test_a_donation_number_without_a_check_character_is_read_and_says_that_nothing_was_checked() -> None:
    assert not parse_donation_number(DIN).checked
    assert not parse_donation_number(f"={DIN}00").checked


@given(st.integers(0, 12), st.sampled_from("0123456789"))
def test_one_wrong_digit_never_passes_the_check(at: int, digit: str) -> None:
    wrong = DIN[:at] + digit + DIN[at + 1 :]
    if wrong == DIN:
        return
    with pytest.raises(ForeignCodeWrong):
        parse_donation_number(wrong + "A")


def test_a_european_code_is_taken_apart_as_published() -> None:
    code = parse_european_code(CODE)

    assert (code.country, code.establishment, code.donation) == ("PL", "001499", "Z549917123456")
    assert (code.system, code.product, code.split, code.expires) == ("A", "00T0416", "003", date(2017, 12, 31))
    assert parse_european_code(CODE[:-8] + "0" * 8).expires is None


@pytest.mark.parametrize("text", [CODE[:-1], CODE.replace("A00T", "C00T"), CODE[:-4] + "1331", "PL", ""])
def test_what_is_no_european_code_is_refused(text: str) -> None:
    with pytest.raises(ForeignCodeWrong):
        parse_european_code(text)


def test_an_identifier_that_says_it_is_isbt_128s_is_kept_when_it_is_right_and_refused_when_not(api: Api) -> None:
    tube = made(harvest(api.clinician, donor(api), fat()))["specimens"][0]
    path = f"/specimens/{tube['code']}/aliases"

    def send(issuer: str, value: str) -> tuple[int, str | None]:
        seq = api.clinician.get(f"/specimens/{tube['code']}").json()["custody"]["seq"]
        answer = api.clinician.post(path, json={"issuer": issuer, "value": value, "expected_seq": seq})
        return answer.status_code, answer.json().get("code")

    assert send("isbt_128", DIN + "B") == (422, "foreign_code_wrong")
    assert send("sec", "PL001499") == (422, "foreign_code_wrong")
    assert send("isbt_128", DIN + "A")[0] == 201
    assert send("sec", "PL001499Z549917123456 A00T041600320171231")[0] == 201
    named = api.clinician.get(f"{api.url!s}/fhir/R4/Specimen/{tube['code']}").json()["identifier"]
    assert {one.get("system") for one in named} >= {
        "https://www.isbt128.org/uri/DonationIdentificationNumber",
        "https://www.isbt128.org/uri/SingleEuropeanCode",
    }
