"""What an old file says of a tube's purpose and of how often it was frozen is kept, and what was frozen twice comes held."""

from pathlib import Path
from typing import Any

from tests.conftest import Api
from tests.donors.stories import consent
from tests.importing.test_import import DOCUMENT, GOOD, checked, imported, reasons
from tests.importing.test_rules_of_the_bank import held, tube
from tests.withdrawals.stories import Story, refused

Json = dict[str, Any]
SAYS_MORE: Json = {
    "columns": {k: v for k, v in DOCUMENT["columns"].items() if k not in ("passage", "viability")}
    | {"purpose": "P#", "freezes": "Viab %"},
    "purposes": {"QC": "qc", "Rückstell": "retained"},
}
"""The columns of passages and viability say here what a tube is kept for, and how often it was frozen."""


def test_a_tube_for_tests_comes_in_as_one_and_is_given_to_nobody(api: Api, tmp_path: Path) -> None:
    def more(vial: int, said: str | None) -> Json:
        return GOOD | {"Vial": vial, "Pos": f"D{vial + 2}", "P#": said, "Viab %": None}

    rows = checked(tmp_path, more(1, "QC"), more(2, "Rückstell"), more(3, None), **SAYS_MORE)
    brought_in = imported(api.test_bank, rows)

    assert [tube(api, one)["purpose"] for one in brought_in] == ["qc", "retained", "therapeutic"]
    whose = tube(api, brought_in[0])["donor"]
    for kind in ("banking", "treatment"):
        assert consent(api.clinician, whose, kind).status_code == 201
    for one in brought_in[:2]:
        refused(Story(api, whose, [str(one.code)]).request(material="intact_follicles"), 409, "not_for_treatment")
    assert [one.outcome for one in imported(api.test_bank, rows)] == ["already"] * 3
    (other,) = imported(api.test_bank, checked(tmp_path, more(1, None), **SAYS_MORE))
    assert "what it is kept for" in (other.reason or ""), "a second file makes no sample a treatment"
    assert "does not explain" in reasons(tmp_path, more(1, "Reserve"), **SAYS_MORE)[0]


def test_what_was_frozen_twice_comes_held_with_its_count_and_no_viability_is_estimated(api: Api, tmp_path: Path) -> None:
    twice, once = imported(
        api.test_bank,
        checked(
            tmp_path,
            GOOD | {"P#": None, "Viab %": 2},
            GOOD | {"P#": None, "Viab %": None, "Vial": 2, "Pos": "D3"},
            **SAYS_MORE,
        ),
    )

    assert (tube(api, twice)["custody"]["freeze_count"], tube(api, once)["custody"]["freeze_count"]) == (2, 1)
    assert (held(api, twice), held(api, once)) == ([("quality", "frozen_more_than_once")], [])
    assert "Held: by the old record it was frozen more than once." in twice.said
    for wrong in ("0", "twice", "2.5", "21", "9" * 5000):
        said = reasons(tmp_path, GOOD | {"P#": None, "Viab %": wrong}, **SAYS_MORE)[0]
        assert "how often it was frozen" in said or "is" in said, wrong
