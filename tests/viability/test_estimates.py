"""From the log to an estimate, or to the reason for none: every refusal reached, and old estimates given again."""

from typing import Any

import pytest
from sqlmodel import Session

from biobank.custody.events import CheckedOut
from biobank.foundation import clock
from biobank.foundation.clock import rfc3339
from biobank.specimens.events import Imported
from tests.conftest import Api, TestBank
from tests.factories import fresh_code, make_donor
from tests.monitoring.stories import set_limits
from tests.viability.stories import DAY, HOUR, Past, begin, count_many, happen, let_the_worker_look, make_vial, thaw_and_count

Json = dict[str, Any]


def vial(bank: TestBank, past: Past = Past(), **changes: Any) -> str:
    code: str = bank.write(lambda s: make_vial(s, bank, past, **changes))
    return code


def asked(api: Api, code: str, **params: Any) -> Json:
    answer = api.lab_tech.get(f"/specimens/{code}/viability/estimate", params=params)
    assert answer.status_code == 200, answer.text
    body: Json = answer.json()
    return body


def refused(api: Api, code: str, **params: Any) -> str:
    answer = api.lab_tech.get(f"/specimens/{code}/viability/estimate", params=params)
    assert answer.status_code == 409, answer.text
    problem = answer.json()
    assert len(problem["detail"].split()) > 8
    told = api.lab_tech.get(f"/specimens/{code}/viability").json()["estimated"]
    if not params:
        assert told["estimate"] is None
        assert told["refused"]["code"] == problem["code"]
        assert told["refused"]["detail"] == problem["detail"]
    return str(problem["code"])


def test_before_any_own_count_the_estimate_is_the_literature_and_says_so(api: Api, bank: TestBank) -> None:
    let_the_worker_look(bank)
    found = asked(api, vial(bank))

    assert found["evidence"] == "literature"
    assert found["own_thaws"] == 0
    ninety = next(band for band in found["next_vial"] if band["percent"] == 90)
    # standards: 90 % of single vials between 0.60 and 0.96 by the prior alone.
    assert ninety["lower_bp"] == pytest.approx(6000, abs=150)
    assert ninety["upper_bp"] == pytest.approx(9620, abs=80)
    assert found["inputs"]["warm_hours_before_processing"] == pytest.approx(4.0, abs=0.01)
    assert found["inputs"]["stored_days"] == pytest.approx(400.0, abs=0.01)
    assert found["parameters"]["version"]
    weak = asked(api, vial(bank, Past(material="svf", days=30)))
    assert weak["evidence"] == "literature_weak"


def test_own_counts_narrow_the_estimate_and_measured_is_never_mixed_with_expected(api: Api, bank: TestBank) -> None:
    let_the_worker_look(bank)
    code = vial(bank)
    before = asked(api, code)
    thawed = count_many(bank, [0.80, 0.84, 0.83, 0.79, 0.85, 0.81, 0.82, 0.86, 0.78, 0.83])

    assert let_the_worker_look(bank) == 10
    after = asked(api, code)

    width = [next(b["upper_bp"] - b["lower_bp"] for b in e["next_vial"] if b["percent"] == 90) for e in (before, after)]
    assert width[1] < width[0] / 1.5
    assert (after["evidence"], after["own_thaws"], after["own_donors"]) == ("own_data", 10, 10)
    assert after["fit"] != before["fit"]
    whole = api.lab_tech.get(f"/specimens/{code}/viability").json()
    assert whole["measured"] == []
    counted = api.lab_tech.get(f"/specimens/{thawed[0]}/viability").json()
    assert [one["live"] for one in counted["measured"]] == [160]
    assert counted["estimated"]["estimate"] is None


def test_an_old_estimate_is_given_again_word_for_word(api: Api, bank: TestBank) -> None:
    let_the_worker_look(bank)
    code = vial(bank)
    old = asked(api, code)
    count_many(bank, [0.5] * 5)
    let_the_worker_look(bank)

    assert asked(api, code)["median_bp"] < old["median_bp"]
    assert asked(api, code, fit=old["fit"], as_known_at=old["as_known_at"]) == old
    assert asked(api, code, as_known_at=old["as_known_at"]) == old
    fit = api.lab_tech.get(f"/viability/fits/{old['fit']}").json()
    assert fit["thaws"] == 0
    assert fit["parameters_sha256"] == old["parameters"]["sha256"]
    content = api.lab_tech.get("/viability/parameters", params={"sha256": old["parameters"]["sha256"]}).json()["content"]
    assert "Shaik 2018" in content


def test_reading_makes_no_fit(api: Api, bank: TestBank) -> None:
    let_the_worker_look(bank)
    code = vial(bank)
    count_many(bank, [0.8])
    number = len(api.lab_tech.get("/viability/fits").json()["items"])

    asked(api, code)

    assert len(api.lab_tech.get("/viability/fits").json()["items"]) == number


def test_without_a_worker_it_says_that_nothing_is_prepared(api: Api, bank: TestBank) -> None:
    assert refused(api, vial(bank)) == "viability_not_fitted"


REFUSED: list[tuple[Past, str]] = [
    (Past(kept="minus_20"), "viability_stored_too_warm"),
    (Past(kept="ambient"), "viability_stored_too_warm"),
    (Past(kept="minus_80", days=200), "viability_minus_80_too_long"),
    (Past(kept="minus_80", days=60), "viability_minus_80_without_own_data"),
    (Past(freezes=1), "viability_frozen_twice"),
    (Past(warm_hours=73), "viability_delay_too_long"),
    (Past(procedure=None), "viability_procedure_unknown"),
    (Past(programme="Vitrification A"), "viability_vitrified"),
    (Past(procedure="vitrified v2"), "viability_vitrified"),
    (Past(minutes_before_storing=90), "viability_storage_uncontrolled"),
    (Past(days=365.25 * 15.1), "viability_beyond_evidence"),
    (Past(material="svf", days=365.25 * 4.8), "viability_beyond_evidence"),
    (Past(frozen=False), "viability_not_frozen"),
    (Past(material="intact_follicles", days=30), "viability_follicles_without_own_data"),
    (Past(material="intact_follicles", days=30, programme="vitrified"), "viability_vitrified"),
    (Past(material="hf_stem_cells"), "viability_material_unknown"),
]


def test_every_past_that_rules_out_the_model_is_refused_in_words(api: Api, bank: TestBank) -> None:
    let_the_worker_look(bank)
    found = [(past, refused(api, vial(bank, past))) for past, _ in REFUSED]

    assert found == REFUSED


def test_a_place_without_a_temperature_is_no_controlled_storage(api: Api, bank: TestBank) -> None:
    let_the_worker_look(bank)

    assert refused(api, vial(bank, Past(kept=None))) == "viability_storage_uncontrolled"


def test_time_out_of_the_tank_counts_as_uncontrolled(api: Api, bank: TestBank) -> None:
    let_the_worker_look(bank)
    code = vial(bank)
    asked(api, code)

    bank.write(lambda s: happen(s, bank, code, clock.now() - 2 * HOUR, CheckedOut(purpose="inspection")))

    assert refused(api, code) == "viability_storage_uncontrolled"


@pytest.mark.parametrize("limit", [-140_000, None])
def test_a_warm_reading_of_the_tank_ends_the_estimate_whether_or_not_the_tank_had_a_limit(
    api: Api, bank: TestBank, limit: int | None
) -> None:
    let_the_worker_look(bank)
    box = api.admin.post(
        "/storage-containers",
        json={"site": "LAB", "kind": "tank", "name": "T", "temperature_class": "ln2_vapour"},
    ).json()["code"]
    if limit is not None:
        set_limits(api, box, highest_mc=limit)
    code = vial(bank, box=box)
    before = rfc3339(clock.now())
    asked(api, code)

    answer = api.lab_tech.post(f"/storage-containers/{box}/readings", json={"reading": "temperature_mc", "value": -120_000})
    assert answer.status_code == 201, answer.text

    assert refused(api, code) == "viability_temperature_excursion"
    assert asked(api, code, as_known_at=before)["evidence"] == "literature"


def test_what_came_from_elsewhere_without_a_record_is_refused(api: Api, bank: TestBank) -> None:
    let_the_worker_look(bank)

    def work(session: Session) -> str:
        donor, code = make_donor(session), fresh_code("AD", 26)
        event = Imported(
            donor=donor,
            material="adsc",
            unit="cells",
            amount=5,
            site="LAB",
            condition="frozen",
            freeze_count=1,
            evidence="list.xlsx:3",
        )
        begin(session, bank, donor, code, "adsc", "cells", event, clock.now() - DAY)
        return code

    assert refused(api, bank.write(work)) == "viability_record_missing"


def test_a_thawed_vial_is_counted_not_estimated(api: Api, bank: TestBank) -> None:
    let_the_worker_look(bank)
    code = vial(bank)
    bank.write(lambda s: thaw_and_count(s, bank, code, 80, 20))

    assert refused(api, code) == "viability_already_thawed"


@pytest.mark.parametrize("question", ["potency", "dose_response", "clinical_outcome"])
def test_potency_dose_response_and_outcome_are_never_answered(api: Api, bank: TestBank, question: str) -> None:
    let_the_worker_look(bank)

    assert refused(api, vial(bank), question=question) == "viability_not_answered"


def test_one_estimand_is_never_given_for_the_other(api: Api, bank: TestBank) -> None:
    let_the_worker_look(bank)
    code = vial(bank)

    assert refused(api, code, question="follicle_outgrowth") == "viability_not_answered"
    assert asked(api, code, question="membrane_integrity")["question"] == "membrane_integrity"
    assert refused(api, code, assay="annexin_v_7aad") == "viability_assay_unknown"
    assert refused(api, code, assay="outgrowth") == "viability_assay_unknown"


def test_a_fit_of_other_vials_is_not_read(api: Api, bank: TestBank) -> None:
    let_the_worker_look(bank)
    fit = asked(api, vial(bank))["fit"]

    answer = api.lab_tech.get(f"/specimens/{vial(bank, Past(material='svf', days=9))}/viability/estimate", params={"fit": fit})

    assert answer.json()["code"] == "viability_fit_of_another"


def test_frozen_follicles_speak_from_ten_thaws_of_five_donors_of_this_bank_alone(api: Api, bank: TestBank) -> None:
    let_the_worker_look(bank)
    past = Past(material="intact_follicles", days=30)
    count_many(bank, [0.4, 0.5, 0.6, 0.45, 0.55, 0.5, 0.4, 0.6, 0.5], past=past, counted=20)
    let_the_worker_look(bank)
    code = vial(bank, past)
    assert refused(api, code) == "viability_follicles_without_own_data"

    count_many(bank, [0.5], past=past, counted=20)
    let_the_worker_look(bank)

    found = asked(api, code)
    assert (found["evidence"], found["question"], found["own_thaws"]) == ("own_data_only", "follicle_outgrowth", 10)
    assert found["dose"] is None
    assert 4000 < found["median_bp"] < 6000


def test_fresh_follicles_have_a_curve_in_the_cold_and_only_an_interval_when_warm(api: Api, bank: TestBank) -> None:
    def fresh(hours: float) -> str:
        return vial(
            bank, Past(material="intact_follicles", days=0, warm_hours=0, minutes_before_storing=60 * (hours - 3), frozen=False)
        )

    near, far = asked(api, fresh(4)), asked(api, fresh(12))

    assert (near["median_bp"], near["evidence"]) == (9200, "literature_weak")
    assert far["median_bp"] is None
    assert (far["mean"][0]["lower_bp"], far["mean"][0]["upper_bp"]) == (4000, 9200)
    assert refused(api, fresh(30)) == "viability_beyond_evidence"
