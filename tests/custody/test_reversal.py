"""Corrections over HTTP: what never happened is undone, what was said wrongly is amended, beside what they correct."""

from base64 import b64encode
from hashlib import sha256
from typing import Any

import pytest

from biobank.custody.event import rules
from biobank.custody.events import HandoverAccepted
from biobank.custody.rebuild import Rebuilt, projection_of
from biobank.custody.recording import NOW, Move, record
from biobank.custody.snapshots import load
from biobank.custody.states import CustodianKind
from tests.conftest import Api
from tests.factories import make_box
from tests.signing import signed
from tests.specimens.stories import (
    Json,
    donor,
    freeze,
    harvest,
    made,
    output,
    raw_fat,
    received,
    refused,
    run,
    svf,
    using,
)

PROOF: dict[str, Any] = {"evidence_sha256": sha256(b"proof").hexdigest()}


def store_proof(api: Api) -> None:
    """Keep the file that PROOF names."""
    file = {"media_type": "text/plain", "content": b64encode(b"proof").decode(), "site": "LAB"}
    assert api.quality.post("/attachments", json=file).json()["sha256"] == PROOF["evidence_sha256"]


def last(api: Api, code: str) -> Json:
    event: Json = api.quality.get(f"/specimens/{code}/custody").json()["items"][-1]
    return event


def standing(api: Api, code: str) -> Json:
    custody: Json = api.quality.get(f"/specimens/{code}").json()["custody"]
    return custody


def reverse(api: Api, code: str, user: str = "lab_tech", sign: bool = False, **changes: Any) -> Any:
    client, path = getattr(api, user), f"/specimens/{code}/reverse"
    body = {
        "expected_seq": standing(api, code)["seq"],
        "reverses": last(api, code)["leaf_hash"],
        "reason": "wrong_tube",
    } | changes
    return client.post(path, json=signed(client, "reversed", path, body) if sign else body)


def amend(api: Api, code: str, event: Json, field: str, value: Any, user: str = "lab_tech", **changes: Any) -> Any:
    body = {
        "expected_seq": standing(api, code)["seq"],
        "corrects": event["leaf_hash"],
        "field": field,
        "value": value,
        "reason": "misread",
    }
    return getattr(api, user).post(f"/specimens/{code}/amend", json=body | changes)


def stored(api: Api, tube: Json, **where: Any) -> Json:
    admin = api.test_bank.act("admin")
    box = where.pop("box", None) or api.test_bank.write(lambda s: make_box(s, admin)).code
    answer = api.lab_tech.post(
        f"/specimens/{tube['code']}/store", json={"container": box, "expected_seq": standing(api, tube["code"])["seq"], **where}
    )
    assert answer.status_code in (200, 201), answer.text
    return standing(api, tube["code"])


def rebuilt_as_stored(api: Api, code: str) -> bool:
    row, folded = api.test_bank.write(lambda s: (load(s, [code])[code], projection_of(s, code)))
    return bool(folded == Rebuilt(row.projection, row.seq, row.state_seq))


def test_a_receipt_that_never_happened_is_undone_and_stays_on_the_record(api: Api) -> None:
    (tube,) = made(harvest(api.clinician, donor(api)))["specimens"]
    before = standing(api, tube["code"])
    received(api.lab_tech, tube)
    undone = last(api, tube["code"])

    answer = reverse(api, tube["code"])

    assert (answer.status_code, answer.json()["status"], answer.json()["state"]) == (200, "done", "collected")
    after = standing(api, tube["code"])
    assert after | {"seq": 1, "state_seq": 1} == before
    event = last(api, tube["code"])
    assert (event["kind"], event["body"]["reverses"], event["relies_on"]) == (
        "specimen.reversed",
        undone["leaf_hash"],
        [undone["leaf_hash"]],
    )
    assert event["leaf_hash"] in answer.json()["receipt"]
    assert event["body"]["signatures"] == []
    assert rebuilt_as_stored(api, tube["code"])
    received(api.lab_tech, tube | {"seq": after["seq"]})


def test_a_tube_goes_back_to_its_slot_only_while_the_slot_is_free(api: Api) -> None:
    person = donor(api)
    one, two = raw_fat(api, person), raw_fat(api, person)
    where = stored(api, one)
    out = {"kind": "specimen.checked_out", "purpose": "testing"}
    made(api.lab_tech.post(f"/specimens/{one['code']}/events", json=out | {"expected_seq": where["seq"]}))
    stored(api, one)  # In another box, by mistake: its former slot is free from then on.

    stored(api, two, box=where["container"])
    in_the_way = reverse(api, one["code"])
    moved = api.lab_tech.get(f"/specimens/{two['code']}").json()["custody"]

    assert moved["position"] == where["position"]
    assert refused(in_the_way) == (409, "former_position_taken")
    assert where["position"] in in_the_way.json()["detail"]
    assert in_the_way.json()["where_now"]
    made(api.lab_tech.post(f"/specimens/{two['code']}/events", json=out | {"expected_seq": moved["seq"]}))
    stored(api, two)
    assert reverse(api, one["code"]).json()["state"] == "checked_out"
    assert standing(api, one["code"])["position"] == where["position"]
    assert rebuilt_as_stored(api, one["code"])


def test_only_the_latest_change_of_state_is_undone(api: Api) -> None:
    tube = raw_fat(api, donor(api))
    first = api.quality.get(f"/specimens/{tube['code']}/custody").json()["items"][0]
    stored(api, tube)

    earlier = reverse(api, tube["code"], reverses=first["leaf_hash"])
    nothing = reverse(api, tube["code"], reverses="00" * 32)

    assert refused(earlier) == refused(nothing) == (409, "not_the_latest")
    assert earlier.json()["latest"] == last(api, tube["code"])["leaf_hash"]


def test_a_remark_made_since_does_not_stand_in_the_way(api: Api) -> None:
    tube = raw_fat(api, donor(api))
    receipt = last(api, tube["code"])
    remark = {"kind": "specimen.annotated", "expected_seq": tube["seq"], "topic": "handling"}
    made(api.lab_tech.post(f"/specimens/{tube['code']}/events", json=remark))

    assert reverse(api, tube["code"], reverses=receipt["leaf_hash"]).json()["state"] == "collected"


def test_what_was_recorded_since_stays_and_what_rests_on_the_undone_event_refuses(api: Api) -> None:
    tube = raw_fat(api, donor(api))
    receipt = last(api, tube["code"])
    sampled = {"kind": "specimen.sampled", "expected_seq": tube["seq"], "amount": 700, "purpose": "sterility"}
    made(api.lab_tech.post(f"/specimens/{tube['code']}/events", json=sampled))

    undone = reverse(api, tube["code"], reverses=receipt["leaf_hash"])

    assert undone.status_code == 200, undone.text
    assert standing(api, tube["code"])["amount"] == 49_300
    assert standing(api, tube["code"])["state"] == "collected"
    assert rebuilt_as_stored(api, tube["code"])


def test_a_beginning_and_a_reversal_are_not_reversed(api: Api) -> None:
    (tube,) = made(harvest(api.clinician, donor(api)))["specimens"]
    beginning = reverse(api, tube["code"])
    received(api.lab_tech, tube)
    assert reverse(api, tube["code"]).status_code == 200

    assert refused(beginning) == refused(reverse(api, tube["code"])) == (409, "cannot_be_reversed")


def test_undoing_needs_the_history_and_the_right(api: Api) -> None:
    tube = raw_fat(api, donor(api))

    assert refused(reverse(api, tube["code"], expected_seq=None)) == (428, "expected_seq_required")
    assert refused(reverse(api, tube["code"], expected_seq=1)) == (409, "stale_sequence")
    assert refused(reverse(api, tube["code"], user="clinician")) == (403, "not_permitted")
    assert refused(reverse(api, tube["code"], user="auditor")) == (403, "not_permitted")
    assert refused(reverse(api, tube["code"], user="north_tech")) == (404, "not_found")
    assert standing(api, tube["code"])["state"] == "received"


def consumed(api: Api) -> str:
    """Lipoaspirate that the record says was used up; what shows that it was not is stored."""
    store_proof(api)
    tube = raw_fat(api, donor(api))
    made(run(api.lab_tech, "wash", [using(tube)], [output("lipoaspirate", 40_000, "ul_washed")]))
    code: str = tube["code"]
    return code


def test_the_end_of_a_specimen_is_undone_by_two_of_quality_with_evidence_and_marks_it_for_ever(api: Api) -> None:
    code = consumed(api)

    proposed = reverse(api, code, "quality", sign=True, **PROOF)
    untouched = standing(api, code)
    done = reverse(api, code, "quality2", sign=True, pending_act=proposed.json()["pending_act"], **PROOF)

    assert (proposed.status_code, proposed.json()["status"]) == (200, "pending")
    assert (untouched["state"], untouched["marked"]) == ("consumed", False)
    assert (done.status_code, done.json()["status"], done.json()["state"]) == (200, "done", "in_process")
    after = standing(api, code)
    assert (after["amount"], after["marked"], after["custodian"]["kind"]) == (50_000, True, "user")
    event = last(api, code)["body"]
    assert len(set(event["signatures"])) == 2
    assert event["evidence_sha256"] == PROOF["evidence_sha256"]
    assert rebuilt_as_stored(api, code)


def test_the_mark_outlives_a_later_reversal(api: Api) -> None:
    code = consumed(api)
    proposed = reverse(api, code, "quality", sign=True, **PROOF).json()["pending_act"]
    assert reverse(api, code, "quality2", sign=True, pending_act=proposed, **PROOF).status_code == 200
    stored(api, {"code": code})

    assert reverse(api, code).status_code == 200

    assert (standing(api, code)["state"], standing(api, code)["marked"]) == ("in_process", True)


def test_one_person_alone_or_a_technician_or_no_evidence_does_not_undo_an_end(api: Api) -> None:
    code = consumed(api)
    proposed = reverse(api, code, "quality", sign=True, **PROOF).json()["pending_act"]

    assert refused(reverse(api, code, "lab_tech", sign=True, **PROOF)) == (403, "not_permitted")
    assert refused(reverse(api, code, "quality", sign=True)) == (409, "evidence_missing")
    unsigned = reverse(api, code, "quality", **PROOF)
    assert (refused(unsigned), unsigned.json()["meaning"]) == ((428, "signature_required"), "reversed")
    alone = reverse(api, code, "quality", sign=True, pending_act=proposed, **PROOF)
    assert refused(alone) == (403, "second_person_must_differ")
    unknown = reverse(api, code, "quality2", sign=True, pending_act=proposed, evidence_sha256="cd" * 32)
    assert refused(unknown) == (409, "attachment_unknown")
    mine = {"media_type": "text/plain", "content": b64encode(b"another's").decode(), "donor": donor(api), "site": "CLINIC"}
    of_another = made(api.clinician.post("/attachments", json=mine))["sha256"]
    assert refused(reverse(api, code, "quality", sign=True, evidence_sha256=of_another)) == (409, "attachment_unknown")
    second = {"media_type": "text/plain", "content": b64encode(b"another file").decode(), "site": "LAB"}
    differs = made(api.quality.post("/attachments", json=second))["sha256"]
    other = reverse(api, code, "quality2", sign=True, pending_act=proposed, evidence_sha256=differs)
    assert refused(other) == (409, "pending_act_differs")
    assert standing(api, code)["state"] == "consumed"


def test_what_happened_between_the_two_signatures_is_seen_by_the_second(api: Api) -> None:
    code = consumed(api)
    proposed = reverse(api, code, "quality", sign=True, **PROOF).json()["pending_act"]
    remark = {"kind": "specimen.annotated", "expected_seq": standing(api, code)["seq"], "topic": "residue"}
    ended = last(api, code)
    made(api.lab_tech.post(f"/specimens/{code}/events", json=remark))

    stale = reverse(
        api,
        code,
        "quality2",
        sign=True,
        pending_act=proposed,
        expected_seq=standing(api, code)["seq"] - 1,
        reverses=ended["leaf_hash"],
        **PROOF,
    )

    assert refused(stale) == (409, "stale_sequence")


@pytest.mark.parametrize(
    "field, value, shown",
    [("container_intact", False, False), ("temperature_mc", 4_500, 4_500), ("manifest_matches", True, True)],
)
def test_a_field_that_changed_nothing_is_amended_beside_the_event(api: Api, field: str, value: Any, shown: Any) -> None:
    tube = raw_fat(api, donor(api))
    receipt = last(api, tube["code"])

    answer = made(amend(api, tube["code"], receipt, field, value, comment="seen on the photo"))

    assert answer["state"] == "received"
    (amendment,) = api.lab_tech.get(f"/specimens/{tube['code']}").json()["amendments"]
    assert (amendment["corrects"], amendment["field"], amendment["value"]) == (receipt["leaf_hash"], field, shown)
    again = api.quality.get(f"/specimens/{tube['code']}/custody").json()["items"]
    kept = next(one for one in again if one["leaf_hash"] == receipt["leaf_hash"])
    assert kept == receipt | {"log_index": kept["log_index"]}
    for name in ("at", "as_known_at"):
        before = api.lab_tech.get(f"/specimens/{tube['code']}", params={name: receipt["recorded_at"]}).json()
        then = api.lab_tech.get(f"/specimens/{tube['code']}", params={name: again[-1]["recorded_at"]}).json()
        assert (before["amendments"], then["amendments"]) == ([], [amendment]), name
    assert again[-1]["relies_on"] == [receipt["leaf_hash"]]
    assert rebuilt_as_stored(api, tube["code"])


@pytest.mark.parametrize("field", ["donor", "material", "amount", "site", "harvest", "kind", "started_at", "nothing"])
def test_whose_cells_these_are_and_what_moved_them_is_never_amended(api: Api, field: str) -> None:
    tube = raw_fat(api, donor(api))
    collected = api.quality.get(f"/specimens/{tube['code']}/custody").json()["items"][0]

    answer = amend(api, tube["code"], collected, field, "DN-SQF5SS9")

    assert refused(answer) == (409, "not_amendable")
    assert "anatomical site" in answer.json()["detail"]


def test_an_amendment_is_of_a_possible_value_that_differs_of_an_event_of_this_specimen(api: Api) -> None:
    person = donor(api)
    tube, other = raw_fat(api, person), raw_fat(api, person)
    receipt = last(api, tube["code"])

    assert refused(amend(api, tube["code"], receipt, "temperature_mc", -300_000)) == (422, "malformed_request")
    assert refused(amend(api, tube["code"], receipt, "container_intact", "perhaps")) == (422, "malformed_request")
    assert refused(amend(api, tube["code"], receipt, "container_intact", None)) == (409, "not_amendable")
    assert refused(amend(api, other["code"], receipt, "container_intact", False)) == (404, "not_found")
    assert refused(amend(api, tube["code"], receipt, "container_intact", False, expected_seq=1)) == (409, "stale_sequence")
    assert refused(amend(api, tube["code"], receipt, "container_intact", False, "auditor")) == (403, "not_permitted")


def test_the_freezing_record_of_a_banked_specimen_can_still_be_corrected(api: Api) -> None:
    cells = svf(api, donor(api))
    (banked,) = made(freeze(api.lab_tech, [cells]))["specimens"]
    event = last(api, banked["code"])

    made(amend(api, banked["code"], event, "cryoprotectant_contact_s", 600))

    (amendment,) = api.lab_tech.get(f"/specimens/{banked['code']}").json()["amendments"]
    assert (amendment["field"], amendment["value"], event["body"]["cryoprotectant_contact_s"]) == (
        "cryoprotectant_contact_s",
        600,
        540,
    )


def test_a_change_on_which_later_changes_rest_is_not_undone(api: Api) -> None:
    tube = raw_fat(api, donor(api))
    act = api.test_bank.act("lab_tech2")
    receipt = last(api, tube["code"])
    taken = HandoverAccepted(handover="0" * 36, to_kind=CustodianKind.USER, to_id=act.actor.code)
    api.test_bank.write(lambda s: record(s, act, [Move(load(s, [tube["code"]])[tube["code"]], taken)], NOW))

    answer = reverse(api, tube["code"], reverses=receipt["leaf_hash"])

    assert refused(answer) == (409, "later_events_rest_on_it")
    assert answer.json()["changed"] == ["custodian_id"]


def test_no_amendable_field_is_read_by_an_effect() -> None:
    for cls in rules.by_kind.values():
        steps = [(verb, argument) for step in cls.whole_effect().values() for verb, argument in step.items()]
        read = {str(argument) for verb, argument in steps if verb not in ("set", "entry")}
        assert not cls.amendable & read, cls
        assert cls.amendable <= set(cls.model_fields), cls
