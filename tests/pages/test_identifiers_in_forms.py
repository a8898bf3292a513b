"""An old identifier may hold blanks and commas: every form with several scans reads a line of it as one scan."""

import html
import re

import pytest

from biobank.foundation.scanned_text import scans_on
from biobank.pages.ui.posted import Form
from tests import seed
from tests.conftest import Api
from tests.pages.visitor import Visit
from tests.shipping import stories as shipping

OLD = ("TUBE 7, left", "T1/R2; B3 H7")


def with_old_identifiers(api: Api) -> list[str]:
    """Return two tubes of which each bears one of `OLD` too."""
    tubes = shipping.tubes(api, 2)
    for tube, old in zip(tubes, OLD, strict=True):
        body = {"issuer": "clinic_east", "value": old, "expected_seq": shipping.now_of(api, tube)["seq"]}
        answer = api.lab_tech.post(f"/specimens/{tube}/aliases", json=body)
        assert answer.status_code == 201, answer.text
    return tubes


@pytest.mark.parametrize(
    ("line", "scans"),
    [
        ("one", ["one"]),
        ("one two", ["one", "two"]),
        ("one,two;one", ["one", "two", "one"]),
        ("one blue", ["one blue"]),
        ("old one", ["old one"]),
        ("  ", []),
        (",", [","]),
    ],
)
def test_a_line_is_taken_apart_only_when_every_part_names_something(line: str, scans: list[str]) -> None:
    assert scans_on(line, {"one", "two", "old one"}.__contains__) == scans


def test_a_field_of_a_form_keeps_an_identifier_whole_and_takes_codes_apart() -> None:
    typed = "AD26-KH0KJQL, hf26 mc061et\nTUBE 7, left\nAD26 KH0KJQL\nHTTPS://BANK.EXAMPLE/S/AD26-KH0KJQL DN-SQF5SS9"
    form = Form([("tubes", typed), ("tubes", "T 9"), ("other", "x")])

    assert form.all_of("tubes") == [
        *("AD26-KH0KJQL, hf26 mc061et", "TUBE 7, left", "AD26 KH0KJQL"),
        *("HTTPS://BANK.EXAMPLE/S/AD26-KH0KJQL", "DN-SQF5SS9", "T 9"),
    ]
    assert Form([("tubes", "AD26-KH0KJQL HF26-MC061ET,DN-SQF5SS9")]).all_of("tubes") == [
        *("AD26-KH0KJQL", "HF26-MC061ET", "DN-SQF5SS9"),
    ]


def test_an_offer_names_tubes_by_identifiers_with_blanks(api: Api, visit: Visit) -> None:
    tubes = with_old_identifiers(api)
    offer = {"specimens": "\n".join(OLD), "to_kind": "user", "to_id": seed.USERS["lab_tech2"].code}

    page = visit("lab_tech").submit("/handovers/new", offer)

    assert page.status_code == 200 and all(tube in page.text for tube in tubes), page.text[:2000]


def test_a_deviation_is_about_tubes_by_identifiers_with_blanks(api: Api, visit: Visit) -> None:
    tubes = with_old_identifiers(api)
    said = {"severity": "minor", "topic": "wrong_tube", "site": "LAB", "description": "d"}

    page = visit("lab_tech").submit("/deviations/new", said | {"about": "\n".join([*OLD, " ".join(tubes)])})

    assert page.url.path.startswith("/deviations/DV-") and all(tube in page.text for tube in tubes), page.text[:2000]


def test_a_run_begins_with_a_tube_by_an_identifier_with_blanks(api: Api, visit: Visit) -> None:
    tube, other = with_old_identifiers(api)

    page = visit("lab_tech").submit("/processings/new", {"specimen": OLD[0], "process": "wash", "start": "yes"})

    assert (page.status_code, tube in page.text, other in page.text) == (200, True, False)


def test_a_refused_form_keeps_the_lines_as_they_were_typed(api: Api, visit: Visit) -> None:
    with_old_identifiers(api)
    typed = "\n".join([*OLD, "TUBE 8, right"])
    page = visit("lab_tech").submit("/handovers/new", {"specimens": typed, "to_kind": "user", "to_id": "US-0000000"})

    kept = re.search(r'<textarea[^>]*name="specimens"[^>]*>([^<]*)<', page.text)
    assert page.status_code == 404 and kept is not None
    assert html.unescape(kept[1]).strip().splitlines() == typed.splitlines()
