"""What a test found: each kind of test against each thing that a report may say."""

import json
from datetime import timedelta
from itertools import product

from sqlalchemy import text

from biobank.foundation import clock
from biobank.foundation.clock import rfc3339
from biobank.specimens.test_results import refusal_of_result
from tests import seed
from tests.conftest import Api
from tests.pages.visitor import Visitor
from tests.specimens.stories import Json, donor, kinds, made, refused, svf
from tests.specimens.test_lots import REPORT, report

KINDS = ("sterility", "endotoxin", "mycoplasma", "viability", "identity")
NOTHING: Json = {"endotoxin_milli_eu_per_ml": None, "viable_bp": None, "organism": None, "below_detection": False}
SAYINGS: dict[str, Json] = {
    "nothing": {},
    "endotoxin": {"endotoxin_milli_eu_per_ml": 0},
    "less than": {"endotoxin_milli_eu_per_ml": 50, "below_detection": True},
    "living": {"viable_bp": 0},
    "organism": {"organism": "Staphylococcus epidermidis"},
}
TAKEN = {
    ("sterility", "passed", "nothing"),
    ("sterility", "failed", "nothing"),
    ("sterility", "failed", "organism"),
    ("mycoplasma", "passed", "nothing"),
    ("mycoplasma", "failed", "nothing"),
    ("mycoplasma", "failed", "organism"),
    ("endotoxin", "passed", "endotoxin"),
    ("endotoxin", "failed", "nothing"),
    ("endotoxin", "failed", "endotoxin"),
    ("endotoxin", "passed", "less than"),
    ("endotoxin", "failed", "less than"),
    ("viability", "passed", "living"),
    ("viability", "failed", "nothing"),
    ("viability", "failed", "living"),
    ("identity", "passed", "nothing"),
    ("identity", "failed", "nothing"),
    *((kind, "pending", "nothing") for kind in KINDS),
}


def test_each_kind_of_test_takes_what_its_report_says_and_nothing_else() -> None:
    for kind, result, said in product(KINDS, ("pending", "passed", "failed"), SAYINGS):
        refusal = refusal_of_result(kind, result, NOTHING | SAYINGS[said])
        assert (refusal is None) == ((kind, result, said) in TAKEN), (kind, result, said, refusal)


def test_a_result_says_what_was_found_by_whom_and_how_and_the_log_says_it_too(api: Api) -> None:
    lot = svf(api, donor(api))["lot"]
    found: Json = {"endotoxin_milli_eu_per_ml": 50, "below_detection": True}

    shown = made(report(api, lot, test="endotoxin", result="passed", **found, **REPORT))["test"]

    assert {name: shown[name] for name in (*found, *seed.TESTED)} == found | seed.TESTED
    leaf = bytes.fromhex(shown["leaf_hash"])
    entry = api.test_bank.write(
        lambda s: s.execute(text("SELECT entry FROM event WHERE leaf_hash = :leaf"), {"leaf": leaf}).scalar()
    )
    body = json.loads(bytes(entry))["body"]
    assert {name: body[name] for name in (*found, *seed.TESTED)} == found | seed.TESTED
    assert refused(report(api, lot, test="endotoxin", result="passed", **REPORT)) == (409, "test_result_incomplete")
    assert refused(report(api, lot, viable_bp=9000)) == (409, "not_of_this_test")
    assert refused(report(api, lot, test="viability", result="passed", viable_bp=10_001, **REPORT)) == (422, "malformed_request")
    assert kinds(api, "lot", lot) == ["lot.made", "lot.tested"]


def test_where_a_sample_goes_stands_in_the_registers_and_a_result_keeps_it(api: Api) -> None:
    lot = svf(api, donor(api))["lot"]

    assert refused(report(api, lot, laboratory="Nowhere")) == (409, "not_in_register")
    assert refused(report(api, lot, method=None)) == (409, "test_result_incomplete")
    waits = made(report(api, lot, laboratory="South Lab"))["test"]
    own: Json = {"method": None, "laboratory": None}
    done = made(report(api, lot, result="failed", organism="Gram-positive cocci", completes=waits["id"], **own, **REPORT))["test"]

    assert (done["laboratory"], done["method"], done["due_at"]) == ("South Lab", "By the book", waits["due_at"])


def test_a_result_of_a_laboratory_that_was_given_up_since_is_taken_and_warned_of(api: Api) -> None:
    lot = svf(api, donor(api))["lot"]
    for entry in api.quality.get("/registers", params={"kind": "laboratory"}).json()["items"]:
        if entry["name"] == "North Lab":
            made(api.quality.post(f"/registers/{entry['entry']}/changes", json={"change": "retired"}))

    answer = made(report(api, lot, result="failed", **REPORT))

    assert answer["hold"] is not None
    (warned,) = api.quality.get(f"/registers/{_key(api, 'laboratory', 'North Lab')}").json()["warnings"]
    assert (warned["used_in"], warned["problem"]) == (lot, "retired")


def test_a_test_that_waits_is_due_as_the_register_or_the_sender_says(api: Api) -> None:
    lot = svf(api, donor(api))["lot"]
    made(api.quality.post("/registers", json={"kind": "test_method", "name": "Broth", "result_within_days": 14}))
    at = clock.now()

    assert refused(report(api, lot, due_at=None)) == (409, "result_due_unsaid")
    assert refused(report(api, lot, due_at=rfc3339(at - timedelta(days=1)))) == (409, "implausible_time")
    assert refused(report(api, lot, due_at=rfc3339(at + timedelta(days=367)))) == (409, "result_due_too_late")
    assert refused(report(api, lot, method="Broth", due_at=rfc3339(at + timedelta(days=15)))) == (409, "result_due_too_late")
    waits = made(report(api, lot, method="Broth", due_at=None, sampled_at=rfc3339(at)))["test"]

    assert waits["due_at"][:10] == rfc3339(at + timedelta(days=14))[:10]
    said = {"kind": "laboratory", "name": "Fast", "result_within_days": 1}
    assert refused(api.quality.post("/registers", json=said)) == (422, "malformed_request")


def test_the_page_of_a_lot_says_what_was_found_in_the_laboratory_s_words(api: Api) -> None:
    lot = svf(api, donor(api))["lot"]
    made(report(api, lot, test="endotoxin", result="passed", endotoxin_milli_eu_per_ml=50, below_detection=True, **REPORT))
    made(report(api, lot, test="viability", result="passed", viable_bp=9250, **REPORT))
    made(report(api, lot, test="mycoplasma", result="passed", **REPORT))
    made(report(api, lot, result="failed", organism="Staphylococcus epidermidis", **REPORT))

    with Visitor(base_url=api.url, headers={"Accept": "text/html"}, follow_redirects=True, timeout=60) as visitor:
        visitor.log_in("lab_tech")
        page = visitor.get(f"/lots/{lot}").text

    for said in ("less than 0.05 EU/mL", "92.5%", "no growth", "growth: Staphylococcus epidermidis", "North Lab", "By the book"):
        assert said in page.replace(" %", "%"), said


def _key(api: Api, kind: str, name: str) -> str:
    items = api.quality.get("/registers", params={"kind": kind}).json()["items"]
    return str(next(one["entry"] for one in items if one["name"] == name))
