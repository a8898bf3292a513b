"""What went through once and must not again: harvests, markers, registers, culture, lots, legal bases, endings, independence.

Each test says in its first line what was seen on a running bank, and tries it anew with other material, person or way.
"""

from functools import partial
from typing import Any

import pytest

from tests.benches.stories import opened, workstation
from tests.conftest import Api, Client
from tests.donors import stories as donors
from tests.granting import also
from tests.quality.test_cultures import look, why_held
from tests.quality.test_decisions import add_test, all_passed, basis, decide, fresh, lot_of
from tests.quality.test_deviations import stored
from tests.quality.test_ending_hostile import out as taken_out
from tests.quality.test_markers import decide as confirm
from tests.quality.test_markers import enter, label
from tests.seed import USERS
from tests.shipping.stories import ship, tubes
from tests.specimens.stories import (
    adsc,
    culture,
    donor,
    fat,
    follicles,
    freeze,
    harvest,
    made,
    output,
    raw_fat,
    received,
    refused,
    run,
    svf,
    thaw,
    using,
    vials,
)
from tests.specimens.test_lots import REPORT, report
from tests.withdrawals import stories as withdrawals
from tests.withdrawals.stories import a_donor, a_story, approve, bank_vials, by_two, later, own_notices, sign_and_post, state_of

Json = dict[str, Any]
BLOOD = {"unit": "ul", "amount": 4000, "method": "venepuncture", "anatomical_site": "forearm"}
WASHED = [output("lipoaspirate", 40_000, "ul_washed")]


def blood(api: Api, material: str) -> Json:
    """Platelets of a visit, at the laboratory."""
    taken = made(harvest(api.clinician, donor(api), fat(), BLOOD | {"material": material}))["specimens"]
    return received(api.lab_tech, next(one for one in taken if one["material"] == material))


def seq_of(api: Api, code: str) -> int:
    return int(api.quality.get(f"/specimens/{code}").json()["custody"]["seq"])


def test_seen_80_ml_of_fat_by_follicular_unit_excision_from_the_scalp_and_follicles_and_prp_by_lipoaspiration(api: Api) -> None:
    person = donor(api)
    for container in (
        fat(amount=80_000, method="follicular_unit_excision", anatomical_site="occipital_scalp"),
        fat(amount=80_000, method="strip_excision", anatomical_site="scalp"),
        fat(method="venepuncture", anatomical_site="forearm"),
        follicles(method="lipoaspiration", anatomical_site="abdomen"),
        BLOOD | {"material": "prp", "method": "lipoaspiration", "anatomical_site": "abdomen"},
        BLOOD | {"material": "prf", "method": "follicular_unit_excision", "anatomical_site": "scalp"},
    ):
        for who in (api.clinician, api.clinician2):
            assert refused(harvest(who, person, fat(), container)) == (409, "not_taken_so"), container
    (taken,) = made(harvest(api.clinician, person))["specimens"]
    (entry,) = api.clinician.get(f"/specimens/{taken['code']}/custody").json()["items"]
    said = {"corrects": entry["leaf_hash"], "expected_seq": 1, "reason": "wrong_word"}
    for field, value in (("method", "follicular_unit_excision"), ("anatomical_site", "occipital_scalp")):
        wrong = api.clinician.post(f"/specimens/{taken['code']}/amend", json=said | {"field": field, "value": value})
        assert refused(wrong) == (409, "not_taken_so"), field


@pytest.mark.parametrize("material", ["fat", "hair"])
def test_seen_a_clinicians_tick_alone_removed_not_evaluated_from_derivatives_as_well(api: Api, material: str) -> None:
    person = donor(api)
    container = fat(markers_tested=True) if material == "fat" else follicles(markers_tested=True)
    raw = received(api.lab_tech, made(harvest(api.clinician, person, container))["specimens"][0])
    grown = output("hf_stem_cells", 10_000, passage=0, vessel_count=1)
    process, out = ("wash", WASHED) if material == "fat" else ("follicle_outgrowth", [grown])
    (child,) = made(run(api.lab_tech, process, [using(raw)], out))["specimens"]
    for code in (raw["code"], child["code"]):
        assert not label(api, code)["markers_evaluated"], "NOT EVALUATED stands"


def test_seen_reactive_results_had_no_field_and_isolation_was_read_by_nobody(api: Api) -> None:
    person = donor(api)
    raw = received(api.lab_tech, made(harvest(api.clinician, person, fat()))["specimens"][0])
    (child,) = made(run(api.lab_tech, "wash", [using(raw)], WASHED))["specimens"]
    entered = made(enter(api.clinician, person, stored(api).json()["sha256"], marker="anti_hcv", result="reactive"))
    for code in (raw["code"], child["code"]):
        assert label(api, code)["evaluation"]["reactive_for"] == ["hepatitis C"]
    assert api.quality.get(f"/donors/{person}").json()["kept_apart"] is True
    assert refused(confirm(api.clinician, person, entered["marker"]["id"], confirmed=False, reason="mistake"))[0] == 403
    (frozen,) = made(freeze(api.lab_tech, [child]))["specimens"]
    said = {"container": withdrawals.a_box(api), "expected_seq": frozen["seq"]}
    for who in (api.lab_tech, api.acts_here):
        stored_there = who.post(f"/specimens/{child['code']}/store", json=said)
        assert refused(stored_there) == (409, "kept_apart"), "it does not stand among the others"


def test_seen_codes_that_nothing_issues_and_procedure_banana_99(api: Api) -> None:
    raw = raw_fat(api, donor(api))
    vial = vials(api, adsc(api, donor(api, family_name="Otherworth", external_ids=[])), 2)[0]
    lot = adsc(api, donor(api, family_name="Thirdly", external_ids=[]))["lot"]
    unknown = (409, "not_in_register")
    assert refused(run(api.lab_tech, "wash", [using(raw)], WASHED, procedure_version="banana 99")) == unknown
    assert refused(run(api.acts_here, "wash", [using(raw)], WASHED, procedure_version="banana 99")) == unknown
    assert refused(freeze(api.lab_tech, [vial], procedure_version="banana 99")) == unknown
    assert refused(freeze(api.lab_tech, [vial], programme="banana 99")) == unknown
    assert refused(freeze(api.lab_tech, [vial], cryoprotectant="banana 99")) == unknown
    assert refused(thaw(api.lab_tech, [vial], method="banana 99"))[1] in {"not_in_register", "illegal_transition"}
    assert refused(report(api, lot, laboratory="banana 99")) == unknown
    assert refused(report(api, lot, method="banana 99")) == unknown
    (sent,) = tubes(api)
    assert refused(ship(api, api.lab_tech, [sent], courier="BANANA")) == unknown
    person = donor(api, family_name="Fourthly", external_ids=[])
    assert refused(enter(api.clinician, person, stored(api).json()["sha256"], laboratory="banana 99")) == unknown


@pytest.mark.parametrize("process", ["wash", "microfat", "svf_isolation"])
def test_seen_a_second_donors_fat_on_the_same_bench(api: Api, process: str) -> None:
    mary, theirs = donor(api), raw_fat(api, donor(api, family_name="Otherworth", external_ids=[]))
    raw_fat(api, mary)
    bench = workstation(api)
    opened(api, bench, donor=mary)
    out = {"wash": WASHED, "microfat": [output("micro_nanofat", 30_000, "ul")], "svf_isolation": [output("svf", 10**7)]}[process]
    clients: tuple[Client, ...] = (api.lab_tech, api.lab_tech2, api.acts_here)
    for who in clients:
        for named in ({"workstation": bench}, {"equipment": [bench]}):
            assert refused(run(who, process, [using(theirs)], out, **named)) == (409, "another_persons_material")


@pytest.mark.parametrize("material", ["adsc", "hf_stem_cells"])
def test_seen_one_contaminated_flask_of_six_and_its_companions_went_on(api: Api, material: str) -> None:
    person = donor(api)
    if material == "adsc":
        source, process, half = svf(api, person), "expansion", 10_000_000
    else:
        hair = made(harvest(api.clinician, person, follicles()))["specimens"][0]
        source, process, half = received(api.lab_tech, hair), "follicle_outgrowth", 20
    flasks = [output(material, 10_000_000, passage=0, vessel_count=6)]
    one = made(run(api.lab_tech, process, [using(source, amount=half, consumed=False)], flasks))["specimens"][0]
    rest = {"code": source["code"], "seq": seq_of(api, source["code"])}
    other = made(run(api.lab_tech, process, [using(rest, amount=half)], flasks))["specimens"][0]

    made(look(api, one, "contaminated", vessels=1))

    assert why_held(api, other["lot"]) == ["companion_of_contaminated"]
    on = [output(material, 10_000_000, passage=1, vessel_count=6)]
    for held in (one, other):
        now = {"code": held["code"], "seq": seq_of(api, held["code"])}
        for who in (api.lab_tech, api.acts_here):
            assert refused(run(who, "passage", [using(now)], on)) == (409, "on_hold")
    path = f"/specimens/{one['code']}/culture/discard"
    body = {"vessels": 1, "amount": 1_000_000, "reason": "contaminated", "expected_seq": seq_of(api, one["code"])}
    alone = sign_and_post(api.lab_tech, "decided", path, body)
    assert alone.json()["status"] == "pending"
    body |= {"pending_act": alone.json()["pending_act"]}
    assert refused(sign_and_post(api.lab_tech, "decided", path, body)) == (403, "second_person_must_differ")
    assert sign_and_post(api.lab_tech2, "decided", path, body).status_code == 200
    assert api.lab_tech.get(f"/specimens/{one['code']}/culture").json()["vessels"] == 5


@pytest.mark.parametrize("material", ["adsc", "svf"])
def test_seen_22_hours_of_contact_with_the_cryoprotectant(api: Api, material: str) -> None:
    cells = vials(api, adsc(api, donor(api)), 2)[0] if material == "adsc" else svf(api, donor(api))
    (frozen,) = made(freeze(api.lab_tech, [cells], cryoprotectant_contact_s=22 * 3600))["specimens"]
    (held,) = api.quality.get("/holds", params={"scope": cells["code"]}).json()["items"]
    assert (frozen["condition"], held["reason"]) == ("frozen", "cryoprotectant_contact_too_long")
    for who in (api.lab_tech, api.lab_tech2, api.clinician):
        lifted = sign_and_post(who, "hold_lifted", f"/holds/{held['id']}/lift", {"reason": "looks_fine"})
        assert lifted.status_code in (403, 404), lifted.text


@pytest.mark.parametrize("kind", ["sterility", "endotoxin"])
def test_seen_one_signature_freed_a_lot_whose_test_had_failed(api: Api, kind: str) -> None:
    story = a_story(api, 2, lot=True)
    lot = lot_of(api, story.vials[0])
    made(report(api, lot, test=kind, result="failed", **REPORT))
    for hold in api.quality.get("/holds", params={"scope": lot, "active": True}).json()["items"]:
        for who in (api.quality, api.quality2, api.lab_quality):
            lifted = sign_and_post(who, "hold_lifted", f"/holds/{hold['id']}/lift", {"reason": "looks_fine"})
            assert lifted.status_code in (403, 409), lifted.text
    for path in (f"/specimens/{story.vials[0]}/decision", f"/lots/{lot}/decision"):
        assert refused(decide(api, path, "released_to_bank"))[0] in (403, 409)
    assert story.request().status_code == 409
    assert {state_of(api, vial)["quality"] for vial in story.vials} == {"rejected"}


@pytest.mark.parametrize("kind", ["sterility", "mycoplasma"])
def test_seen_an_overdue_test_was_nothing_against_it_at_approval(api: Api, kind: str) -> None:
    story = a_story(api, 1, lot=True).up_to("request")
    lot = lot_of(api, story.vials[0])
    all_passed(api, story.vials[0], kind)
    add_test(api, lot, kind, "pending")
    later(api, days=15)
    withdrawals.sealed(api)
    assert refused(approve(api, story.code)) == (409, "lot_test_overdue")
    assert refused(approve(api, story.code, api.lab_quality)) == (409, "lot_test_overdue")


def test_seen_a_positive_mycoplasma_after_administration_told_nobody(api: Api) -> None:
    story = a_story(api, 2, lot=True).up_to("administer")
    lot = lot_of(api, story.vials[0])
    made(report(api, lot, test="mycoplasma", result="failed", **REPORT))
    (told,) = own_notices(api, "clinician")
    assert (told["reason"], told["treats"]) == ("failed_after_use", True)
    assert state_of(api, story.vials[1])["quality"] == "rejected"


@pytest.mark.parametrize(
    ("material", "unit", "passage"),
    [
        ("prp", "ul", None),
        ("prf", "ul", None),
        ("micro_nanofat", "ul", None),
        ("exosome_preparation", "ul", None),
        ("adsc", "cells", 2),
        ("svf", "cells", None),
    ],
)
def test_seen_everything_was_released_as_us_361_without_a_test(api: Api, material: str, unit: str, passage: int | None) -> None:
    (code,) = fresh(api, material=material, unit=unit, passage=passage, frozen=False)
    for number in (None, "X 1"):
        said = basis(api, f"/specimens/{code}/basis", "us_361", authorisation=number)
        if material == "micro_nanofat":
            assert said.status_code == (200 if number else 409), "contested: by a named determination only"
        else:
            assert refused(said) == (409, "basis_not_for_material")
    if material != "micro_nanofat":
        assert refused(decide(api, f"/specimens/{code}/decision", "released_to_bank")) == (409, "regulatory_basis_undetermined")


def test_seen_prp_was_frozen_and_released_and_prf_had_no_expiry(api: Api) -> None:
    prf, prp = blood(api, "prf"), blood(api, "prp")
    assert refused(freeze(api.lab_tech, [prf])) == (409, "not_freezable")
    assert refused(freeze(api.acts_here, [prf], cryoprotectant="DMSO 10 %")) == (409, "not_freezable")
    for one in (prf, prp):
        assert api.lab_tech.get(f"/specimens/{one['code']}").json()["expires_at"] is not None
    made(freeze(api.lab_tech, [prp]))
    for law in ("us_361", "us_blood_preparation", "us_same_surgical_procedure"):
        answer = basis(api, f"/specimens/{prp['code']}/basis", law, authorisation="K 123456")
        assert refused(answer) == (409, "basis_not_for_material"), law


@pytest.mark.parametrize("kind", ["legal", "none"])
def test_seen_a_technician_ended_the_last_vial_alone_by_sampling_thawing_or_refilling(api: Api, kind: str) -> None:
    person = donor(api)
    cells = svf(api, person)
    (last,) = bank_vials(api, a_donor(api, family_name="Otherworth", external_ids=[]))
    if kind == "legal":
        for scope in (cells["code"], last):
            hold = {"scope_kind": "specimen", "scope_id": scope, "kind": kind, "reason": "court"}
            assert api.quality.post("/holds", json=hold).status_code == 201
    amount = cells["amount"]
    for who in (api.lab_tech, api.lab_tech2, api.acts_here):
        now = {"code": cells["code"], "seq": seq_of(api, cells["code"])}
        answers = []
        for taken in (amount, amount - 1):
            said = {"kind": "specimen.sampled", "amount": taken, "purpose": "sterility", "expected_seq": now["seq"]}
            part, qc = using(now, amount=taken, consumed=taken == amount), [output("svf", taken, purpose="qc")]
            answers += [
                who.post(f"/specimens/{cells['code']}/events", json=said),
                who.post("/custody-events", json={"events": [said | {"specimen": cells["code"]}]}),
                run(who, "qc_sampling", [part], qc),
                run(who, "aliquoting", [part], qc),
            ]
        answers.append(run(who, "expansion", [using(now)], [culture(1, 0)]))
        assert {answer.status_code for answer in answers} <= {403, 409}, [answer.text for answer in answers]
        assert {"ends_material", "on_hold"} & {answer.json()["code"] for answer in answers}
    assert state_of(api, cells["code"])["amount"] == amount
    frozen = {"code": last, "seq": seq_of(api, last)}
    assert refused(thaw(api.lab_tech, [frozen]))[0] == 409
    discarded = {"reason": "left_over", "method": "autoclave", "expected_seq": frozen["seq"]}
    assert refused(by_two(api.lab_tech, api.lab_tech2, f"/specimens/{last}/discard", discarded))[0] in (403, 409)
    assert state_of(api, last)["amount"] == withdrawals.AMOUNT


def test_seen_six_therapeutic_vials_were_thawed_with_no_withdrawal(api: Api) -> None:
    person = a_donor(api)
    made(donors.consent(api.clinician, person, "banking"))
    six = bank_vials(api, person, 6)
    for vial in six:
        api.test_bank.write(partial(taken_out, unit=vial, api=api))
    named = [{"code": vial, "seq": seq_of(api, vial)} for vial in six]
    for who in (api.lab_tech, api.lab_tech2, api.acts_here):
        for some in (named, named[:1]):
            assert refused(thaw(who, some))[0] in (403, 409)
    assert refused(thaw(api.lab_tech, named)) == (409, "ends_material")
    assert {state_of(api, vial)["condition"] for vial in six} == {"frozen"}


def test_seen_quality_discarded_at_once_with_consent_revoked_while_the_consent_stood(api: Api) -> None:
    person = a_donor(api)
    made(donors.consent(api.clinician, person, "banking"))
    frozen, spare = bank_vials(api, person, 2)
    (kept,) = bank_vials(api, person, 1, frozen=False)
    for vial in (frozen, kept):
        for reason in ("consent_revoked", "end_of_term", "donor_deceased", "expired", "rejected"):
            said = {"reason": reason, "method": "autoclave", "expected_seq": seq_of(api, vial)}
            for first in (api.quality, api.lab_tech):
                assert refused(by_two(first, api.quality2, f"/specimens/{vial}/discard", said))[1] == "reason_not_on_record"
    announced = {"reason": "consent_revoked", "expected_seq": seq_of(api, frozen)}
    assert refused(sign_and_post(api.quality, "decided", f"/specimens/{frozen}/end", announced))[1] == "reason_not_on_record"
    assert state_of(api, spare)["state"] == "stored"


def test_seen_one_login_in_two_roles_processed_tested_determined_released_approved_and_picked(api: Api) -> None:
    """Nor does another login of the same person, nor the login that has every role at one site."""
    also(api, "quality", "lab_tech", "LAB")
    same = {"same_person_as": USERS["quality"].code}
    assert api.admin.patch(f"/users/{USERS['quality2'].code}", json=same).status_code == 200
    washed = made(run(api.quality, "wash", [using(raw_fat(api, donor(api)))], WASHED))["specimens"][0]
    (cells,) = made(run(api.quality, "svf_isolation", [using(washed)], [output("svf", 10_000_000)]))["specimens"]
    made(report(api, cells["lot"], user="quality", test="sterility", result="passed", **REPORT))
    path = f"/specimens/{cells['code']}"
    acts = {
        "basis": ("decided", {"basis": "us_351_ind", "authorisation": "IND 1", "reason": "assessed"}),
        "decision": ("released", {"decision": "released_to_bank", "reason": "reviewed"}),
    }
    for act, (meaning, body) in acts.items():
        for login in (api.quality, api.quality2):
            assert refused(sign_and_post(login, meaning, f"{path}/{act}", body)) == (403, "not_independent"), act
        assert sign_and_post(api.lab_quality, meaning, f"{path}/{act}", body).status_code == 200, act
    mine = made(run(api.acts_here, "wash", [using(raw_fat(api, donor(api, family_name="Other", external_ids=[])))], WASHED))
    its = f"/specimens/{mine['specimens'][0]['code']}/basis"
    said = {"basis": "us_361", "reason": "assessed"}
    assert refused(sign_and_post(api.acts_here, "decided", its, said)) == (403, "not_independent")
