"""The public events endpoint."""

import re

from fastapi.routing import APIRoute

from biobank.custody.event import Mode, rules
from biobank.custody.states import StreamKind
from biobank.registries.routes import ROUTERS
from tests.conftest import Api
from tests.factories import make_specimen


def a_collected_specimen(api: Api) -> str:
    act = api.test_bank.act("clinician")
    return api.test_bank.write(lambda s: make_specimen(s, act).code)  # type: ignore[no-any-return]


def test_a_technician_records_a_receipt_and_gets_a_signed_acknowledgement(api: Api) -> None:
    code = a_collected_specimen(api)

    answer = api.lab_tech.post(f"/specimens/{code}/events", json={"kind": "specimen.received", "expected_seq": 1, "site": "LAB"})

    assert answer.status_code == 201, answer.text
    body = answer.json()
    assert body["state"] == "received"
    assert body["seq"] == 2
    assert body["events"][0]["leaf_hash"] in body["receipt"]
    history = api.lab_tech.get(f"/specimens/{code}/custody").json()["items"]
    assert [e["kind"] for e in history] == ["specimen.collected", "specimen.received"]
    assert history[1]["prev"] == history[0]["leaf_hash"]


def test_an_arrival_says_of_container_and_label_only_what_somebody_said(api: Api) -> None:
    silent, looked = a_collected_specimen(api), a_collected_specimen(api)
    event = {"kind": "specimen.received", "expected_seq": 1, "site": "LAB"}
    assert api.lab_tech.post(f"/specimens/{silent}/events", json=event).status_code == 201
    seen = event | {"container_intact": True, "label_legible": False}
    assert api.lab_tech.post(f"/specimens/{looked}/events", json=seen).status_code == 201

    bodies = [api.lab_tech.get(f"/specimens/{code}/custody").json()["items"][1]["body"] for code in (silent, looked)]
    assert [(one.get("container_intact"), one.get("label_legible")) for one in bodies] == [(None, None), (True, False)]
    holds = [[hold["kind"] for hold in api.lab_tech.get(f"/specimens/{code}").json()["holds"]] for code in (silent, looked)]
    assert holds == [[], ["identity"]]


def test_an_event_without_expected_seq_is_asked_for_it(api: Api) -> None:
    code = a_collected_specimen(api)

    answer = api.lab_tech.post(f"/specimens/{code}/events", json={"kind": "specimen.received", "site": "LAB"})

    assert (answer.status_code, answer.json()["code"], answer.json()["head"]) == (428, "expected_seq_required", 1)


def test_the_second_of_two_technicians_gets_a_conflict_with_the_present_head(api: Api) -> None:
    code = a_collected_specimen(api)
    event = {"kind": "specimen.received", "expected_seq": 1, "site": "LAB"}
    api.lab_tech.post(f"/specimens/{code}/events", json=event)

    answer = api.lab_tech2.post(f"/specimens/{code}/events", json=event)

    assert (answer.status_code, answer.json()["code"], answer.json()["head"]) == (409, "stale_sequence", 2)


def test_the_same_request_with_the_same_key_is_answered_once_and_written_once(api: Api) -> None:
    code = a_collected_specimen(api)
    event = {"kind": "specimen.received", "expected_seq": 1, "site": "LAB"}
    first = api.lab_tech.post(f"/specimens/{code}/events", json=event, headers={"Idempotency-Key": "k1"})

    again = api.lab_tech.post(f"/specimens/{code}/events", json=event, headers={"Idempotency-Key": "k1"})

    assert again.status_code == 201
    assert again.json() == first.json()
    assert again.headers["Idempotent-Replayed"] == "true"
    assert len(api.lab_tech.get(f"/specimens/{code}/custody").json()["items"]) == 2


def test_allowed_events_name_each_kind_with_the_call_that_does_it(api: Api) -> None:
    code = a_collected_specimen(api)

    items = {item["kind"]: item for item in api.lab_tech.get(f"/specimens/{code}/allowed-events").json()["items"]}

    received, hold = (items[f"specimen.{verb}"] for verb in ("received", "hold_placed"))
    assert (received["mode"], received["call"]) == ("direct", f"/api/v1/specimens/{code}/events")
    assert received["payload_schema"]["properties"]["site"]
    assert (hold["mode"], hold["call"], hold["label"]) == ("use_case", "/api/v1/holds", "Place a hold")
    assert "specimen.stored" not in items
    assert "specimen.process_started" not in items, "the clinic has it"
    assert items["specimen.safeguarded"]["call"] == f"/api/v1/specimens/{code}/store"
    api.lab_tech.post(f"/specimens/{code}/events", json={"kind": "specimen.received", "expected_seq": 1, "site": "LAB"})
    now = {item["kind"]: item for item in api.lab_tech.get(f"/specimens/{code}/allowed-events").json()["items"]}
    process = now["specimen.process_started"]
    assert (process["call"], process["payload_schema"]) == ("/api/v1/processings", None)


def test_every_act_on_a_specimen_names_a_call_that_exists_and_words_for_its_button() -> None:
    calls = {
        re.sub(r"{\w+}", "{}", route.path)
        for router in ROUTERS
        for route in router.routes
        if isinstance(route, APIRoute) and "POST" in (route.methods or ())
    }
    # Imports are the command line's; the others follow from a clock or its limit, from the end of a withdrawal or a failed test.
    clocks = {"specimen.handover_expired", "specimen.timed_out", "specimen.use_by_shortened"}
    without = {"specimen.imported", "specimen.unreserved", "specimen.rejected_by_test", *clocks}
    for kind, cls in rules.by_kind.items():
        if cls.stream is not StreamKind.SPECIMEN or cls.mode is Mode.DIRECT:
            assert not cls.call, kind
            continue
        assert bool(cls.call) == (kind not in without), kind
        assert cls.label or kind in without, kind
        assert kind in without or re.sub(r"{\w+}", "{}", f"/api/v1{cls.call}") in calls, kind


def test_a_rack_of_observations_is_recorded_all_or_nothing(api: Api) -> None:
    codes = [a_collected_specimen(api) for _ in range(3)]
    received = [{"specimen": code, "kind": "specimen.received", "expected_seq": 1, "site": "LAB"} for code in codes]

    one_is_old = api.lab_tech.post("/custody-events", json={"events": [*received[:2], received[2] | {"expected_seq": 7}]})
    twice = api.lab_tech.post("/custody-events", json={"events": [received[0], received[0]]})
    seqs = [api.lab_tech.get(f"/specimens/{code}").json()["custody"]["seq"] for code in codes]
    done = api.lab_tech.post("/custody-events", json={"events": received})

    assert (one_is_old.status_code, twice.status_code, seqs) == (409, 422, [1, 1, 1])
    assert done.status_code == 201, done.text
    assert [(item["id"], item["seq"]) for item in done.json()["items"]] == [(code, 2) for code in codes]
    assert all(item["leaf_hash"] in done.json()["receipt"] for item in done.json()["items"])


def test_nobody_receives_or_finds_a_specimen_at_a_site_where_they_have_no_role(api: Api) -> None:
    code = a_collected_specimen(api)
    elsewhere = {"kind": "specimen.received", "expected_seq": 1, "site": "NORTH"}

    by_path = api.lab_tech.post(f"/specimens/{code}/events", json=elsewhere)
    in_batch = api.lab_tech.post("/custody-events", json={"events": [elsewhere | {"specimen": code}]})

    assert [(a.status_code, a.json()["code"]) for a in (by_path, in_batch)] == [(403, "not_permitted")] * 2
    assert api.lab_tech.get(f"/specimens/{code}").json()["custody"]["seq"] == 1
