"""Identity in doubt holds what was handled at the same workstation since its line was last cleared; quality lifts it."""

from typing import Any

import pytest

from biobank.custody.holds import IN_DOUBT
from biobank.foundation import clock
from biobank.foundation.clock import rfc3339
from tests.benches.stories import closing, opened, scanning, session_of, workstation
from tests.conftest import Api
from tests.specimens.stories import donor, fat, harvest, kinds, made, output, raw_fat, received, refused, run, using, washed_fat
from tests.withdrawals.stories import later, sign_and_post

WASHED = [output("lipoaspirate", 40_000, "ul_washed")]


def doubt(api: Api, code: str, scope: str = "specimen", kind: str = "identity") -> dict[str, Any]:
    """Somebody doubts whose it is."""
    asked = {"scope_kind": scope, "scope_id": code, "kind": kind, "reason": "label_in_doubt"}
    return made(api.lab_tech.post("/holds", json=asked))


def held(api: Api, code: str) -> list[str]:
    """The scopes of the holds on a specimen."""
    return sorted(one["scope_kind"] for one in api.lab_tech.get(f"/specimens/{code}").json()["holds"])


@pytest.fixture
def handled(api: Api) -> tuple[str, str, list[dict[str, Any]], str]:
    """A workstation, its session, two washed syringes that were handled in it, and one of the same person that was not."""
    mary = donor(api)
    apart = washed_fat(api, mary)["code"]
    bench, raw = workstation(api), [raw_fat(api, mary), raw_fat(api, mary)]
    code = opened(api, bench, donor=mary)
    washed = [made(run(api.lab_tech, "wash", [using(one)], WASHED, workstation=bench))["specimens"][0] for one in raw]
    return bench, code, washed, apart


def test_doubt_about_one_tube_holds_what_was_handled_with_it_and_nothing_else(api: Api, handled: Any) -> None:
    _bench, code, (first, second), apart = handled

    doubt(api, first["code"])

    assert (held(api, first["code"]), held(api, second["code"]), held(api, apart)) == (
        ["bench_session", "specimen"],
        ["bench_session"],
        [],
    )
    refusal = run(api.lab_tech, "svf_isolation", [using(second)], [output("svf", 10**7)])
    assert refused(refusal) == (409, "on_hold")
    found = session_of(api, code)
    (hold,) = found["holds"]
    assert (hold["kind"], hold["reason"], hold["lifted_at"]) == ("identity", IN_DOUBT, None)
    assert {first["code"], second["code"]} <= set(found["held"])
    assert apart not in found["held"]
    (listed,) = api.quality.get("/holds", params={"scope": code, "active": True}).json()["items"]
    assert listed["id"] == hold["id"]


def test_what_is_made_of_it_and_what_is_handled_there_afterwards_is_held_too(api: Api, handled: Any) -> None:
    bench, code, (first, _), apart = handled
    doubt(api, first["code"])

    made(scanning(api.lab_tech, code, apart))

    assert held(api, apart) == ["bench_session"]
    assert apart in session_of(api, code)["held"]
    assert closing(api.lab_tech, code, bench).status_code == 200
    assert held(api, apart) == ["bench_session"], "a line that is cleared says nothing of what was handled before"


def test_a_line_that_was_cleared_in_between_keeps_the_doubt_from_the_next_session(api: Api, handled: Any) -> None:
    bench, code, (first, second), apart = handled
    closing(api.lab_tech, code, bench)
    donor_of = api.lab_tech.get(f"/specimens/{apart}").json()["donor"]
    after = opened(api, bench, donor=donor_of)
    made(scanning(api.lab_tech, after, apart))

    doubt(api, apart)

    assert (held(api, apart), held(api, first["code"]), held(api, second["code"])) == (["bench_session", "specimen"], [], [])


def test_quality_lifts_it_signed_and_the_bench_does_not(api: Api, handled: Any) -> None:
    _bench, code, (first, second), _apart = handled
    doubt(api, first["code"])
    (hold,) = session_of(api, code)["holds"]
    path, body = f"/holds/{hold['id']}/lift", {"reason": "labels_compared"}

    assert refused(sign_and_post(api.lab_tech, "hold_lifted", path, body))[0] == 403
    lifted = sign_and_post(api.quality, "hold_lifted", path, body)

    assert lifted.status_code == 200, lifted.text
    assert kinds(api, "system", code)[-2:] == ["system.hold_placed", "system.hold_lifted"]
    assert (held(api, first["code"]), held(api, second["code"]), session_of(api, code)["held"]) == (["specimen"], [], [])


def test_every_way_in_which_identity_is_doubted_reaches_the_bench(api: Api, handled: Any) -> None:
    _bench, code, (first, second), _apart = handled
    seen = {"kind": "specimen.inspected", "container_intact": True, "label_legible": False, "contents_as_expected": True}

    told = api.lab_tech.post(f"/specimens/{first['code']}/events", json=seen | {"expected_seq": first["seq"] + 0})

    assert told.status_code == 201, told.text
    assert held(api, second["code"]) == ["bench_session"]
    assert len(session_of(api, code)["holds"]) == 1
    doubt(api, second["code"])
    assert len(session_of(api, code)["holds"]) == 1, "a session is held once"


def test_a_record_as_it_was_names_the_hold_of_the_bench(api: Api, handled: Any) -> None:
    _bench, code, (first, second), apart = handled
    before = clock.now()
    later(api, minutes=1)
    doubt(api, first["code"])
    during = clock.now()
    later(api, minutes=1)
    made(scanning(api.lab_tech, code, apart))
    (hold,) = session_of(api, code)["holds"]
    sign_and_post(api.quality, "hold_lifted", f"/holds/{hold['id']}/lift", {"reason": "labels_compared"})

    def then(tube: str, at: Any) -> list[str]:
        found = api.lab_tech.get(f"/specimens/{tube}", params={"at": rfc3339(at), "as_known_at": rfc3339(at)})
        return [one["scope_kind"] for one in found.json()["holds"]]

    assert (then(second["code"], before), then(second["code"], during)) == ([], ["bench_session"])
    assert (then(apart, during), held(api, second["code"])) == ([], [])


def test_doubt_about_a_lot_or_a_harvest_reaches_the_bench(api: Api, handled: Any) -> None:
    _bench, _code, (first, second), _apart = handled

    doubt(api, first["lot"], "lot")

    assert held(api, second["code"]) == ["bench_session"]


@pytest.mark.parametrize("kind", ["quality", "temperature"])
def test_another_kind_of_hold_stays_where_it_is(api: Api, handled: Any, kind: str) -> None:
    _bench, code, (first, second), _apart = handled

    doubt(api, first["code"], kind=kind)

    assert (held(api, second["code"]), session_of(api, code)["holds"]) == ([], [])


def test_everything_of_a_session_is_held_by_hand_as_well(api: Api, handled: Any) -> None:
    _bench, code, (first, second), _apart = handled

    doubt(api, code, "bench_session", "quality")

    assert (held(api, first["code"]), held(api, second["code"])) == (["bench_session"], ["bench_session"])


def test_a_child_of_what_was_handled_is_held(api: Api) -> None:
    mary = donor(api)
    bench = workstation(api)
    raw = received(api.lab_tech, made(harvest(api.clinician, mary, fat()))["specimens"][0])
    code = opened(api, bench, specimen=raw["code"])
    made(scanning(api.lab_tech, code, raw["code"], what="harvest"))
    washed = made(run(api.lab_tech, "wash", [using(raw)], WASHED))["specimens"][0]

    doubt(api, raw["code"])

    assert held(api, washed["code"]) == ["bench_session", "specimen"]
