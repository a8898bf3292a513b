"""A count is blind, counted again by another person where it differs, resolved by signature, and moves nothing."""

from typing import Any

from biobank.foundation import clock
from biobank.foundation.clock import rfc3339
from biobank.pages.today import read_tasks
from tests.conftest import Api, Client
from tests.pages.visitor import Visit
from tests.storage.test_every_way_of_placing import a_tube, stored
from tests.storage.test_storing import a_box
from tests.withdrawals.stories import kinds_of, of_one_person, refused, sign_and_post, state_of


def a_full_box(api: Api, tubes: int = 2) -> tuple[str, list[str]]:
    box, inside = a_box(api), [a_tube(api) for _ in range(tubes)]
    for tube in inside:
        assert stored(api, tube, "", box, lambda: None)[0] == 201
    return box, inside


def counted(client: Client, box: str, scanned: list[str], **more: Any) -> Any:
    return client.post(f"/storage-containers/{box}/counts", json={"scanned": scanned} | more)


def resolved(client: Client, box: str) -> Any:
    return sign_and_post(client, "decided", f"/storage-containers/{box}/counts/resolve", {"reason": "put_into_wrong_box"})


def tasks(api: Api, user: str) -> list[tuple[str, str, str]]:
    actor = api.test_bank.actor(user)
    found = api.test_bank.write(lambda s: read_tasks(s, actor, api.test_bank.bank))
    return [(t.what, t.subject, t.href) for t in found]


def test_a_count_that_agrees_is_over_and_says_nothing_of_what_is_expected(api: Api) -> None:
    box, inside = a_full_box(api)
    answer = counted(api.lab_tech, box, inside).json()
    assert (answer["status"], answer["scanned"]) == ("agreed", 2)
    assert set(answer) == {"container", "scanned", "status", "receipt"}
    assert "Count a place" not in str(tasks(api, "lab_tech2"))


def test_what_differs_is_counted_by_another_and_resolved_by_a_third_and_nothing_moves(api: Api) -> None:
    (box, inside), (other, (stray,)) = a_full_box(api), a_full_box(api, 1)
    before = {tube: state_of(api, tube) for tube in (*inside, stray)}

    first = counted(api.lab_tech, box, [inside[0], stray])
    assert (first.status_code, first.json()["status"]) == (201, "to_recount"), first.text
    assert set(first.json()) == {"container", "scanned", "status", "receipt"}, "the counter is not told what is missing"
    refused(counted(api.lab_tech, box, inside), 409, "same_counter")
    helped = {"performed_by": [api.test_bank.act("lab_tech").actor.code]}
    refused(counted(api.lab_tech2, box, inside, **helped), 409, "same_counter")
    refused(api.lab_tech2.post("/counts", json={"container": box, "scanned": inside}), 409, "count_open")
    refused(resolved(api.quality, box), 409, "nothing_to_resolve")
    here = ("Count a place, by scanning", box, f"/storage/{box}/count")
    assert here in tasks(api, "lab_tech2") and here not in tasks(api, "lab_tech")

    assert counted(api.lab_tech2, box, [inside[0], stray]).json()["status"] == "to_resolve"
    refused(counted(api.lab_tech2, box, inside), 409, "count_to_resolve")
    assert resolved(api.lab_tech, box).status_code == 403
    assert ("Resolve a count that differs", box, f"/storage/{box}/count/resolve") in tasks(api, "quality")
    done = resolved(api.quality, box)
    assert (done.status_code, done.json()["status"]) == (201, "resolved"), done.text

    assert {tube: state_of(api, tube) for tube in before} == before, "counting moves nothing"
    assert kinds_of(api, "specimen", stray)[-2:] == ["specimen.sighted", "specimen.sighted"]
    assert kinds_of(api, "container", box)[-3:] == ["container.counted", "container.counted", "container.count_resolved"]
    move = ("Seen in another place: move it on the record", stray, f"/specimens/{stray}/store?container={box}")
    look = ("Not found by two counts: look for it", inside[1], f"/specimens/{inside[1]}")
    assert {move, look} <= set(tasks(api, "lab_tech"))
    assert stored(api, stray, "", box, lambda: None)[0] == 201
    assert move not in tasks(api, "lab_tech"), "only a move moves, and settles it"
    assert other != box


def test_another_login_of_whoever_counted_does_not_count_again(api: Api) -> None:
    box, inside = a_full_box(api)
    assert counted(api.lab_tech, box, inside[:1]).json()["status"] == "to_recount"
    of_one_person(api, "lab_tech", "lab_tech2")
    refused(counted(api.lab_tech2, box, inside), 409, "same_counter")


def test_a_second_count_that_agrees_ends_it_and_the_next_count_begins_anew(api: Api) -> None:
    box, inside = a_full_box(api)
    assert counted(api.lab_tech, box, inside[:1]).json()["status"] == "to_recount"
    assert counted(api.lab_tech2, box, inside).json()["status"] == "agreed"
    assert counted(api.lab_tech2, box, inside).json()["status"] == "agreed"
    assert [one["status"] for one in api.quality.get("/counts").json()["items"]] == ["agreed", "agreed"]


def test_a_tube_that_was_taken_out_is_not_expected_in_its_box(api: Api) -> None:
    box, inside = a_full_box(api)
    seq = api.lab_tech.get(f"/specimens/{inside[0]}").json()["custody"]["seq"]
    out = {"kind": "specimen.checked_out", "purpose": "processing", "expected_seq": seq}
    taken = api.lab_tech.post(f"/specimens/{inside[0]}/events", json=out)
    assert taken.status_code == 201, taken.text
    assert counted(api.lab_tech, box, inside[1:]).json()["status"] == "agreed"


def test_who_counted_does_not_resolve_whatever_the_role(api: Api) -> None:
    box, inside = a_full_box(api)
    assert counted(api.quality, box, inside[:1]).json()["status"] == "to_recount"
    assert counted(api.lab_tech2, box, inside[:1]).json()["status"] == "to_resolve"
    refused(resolved(api.quality, box), 409, "same_counter")


def ways_to_look(box: str, around: str, tube: str) -> dict[str, str]:
    return {
        "map": f"/storage-containers/{box}/map",
        "as of": f"/storage-containers/{box}/map?at={rfc3339(clock.now())}",
        "as of, alone": f"/storage-containers/{box}?at={rfc3339(clock.now())}",
        "list": f"/specimens?container={box}",
        "list of what it stands in": f"/specimens?container={around}",
    }


def test_whoever_may_count_a_second_time_is_not_shown_what_is_expected_and_the_first_counter_is(api: Api, visit: Visit) -> None:
    around = a_box(api, kind="rack", name="Rack", rows=None, cols=None)
    box, (here, gone) = a_box(api, parent=around), (a_tube(api), a_tube(api))
    for tube in (here, gone):
        assert stored(api, tube, "", box, lambda: None)[0] == 201
    assert counted(api.lab_tech, box, [here]).json()["status"] == "to_recount"

    pages = [f"/storage/{box}", f"/storage/{around}/map", f"/storage/{box}/compare", f"/specimens?container={box}"]
    for way, path in ways_to_look(box, around, gone).items():
        refused(api.lab_tech2.get(path), 409, "contents_withheld")
        for login in ("lab_tech", "auditor"):
            assert getattr(api, login).get(path).status_code == 200, (way, login)
    second = visit("lab_tech2")
    for path in pages:
        drawn = second.get(path).text
        assert gone not in drawn and "waits to be counted" in drawn, path
    assert "Count what is in it" in second.get_page(f"/storage/{box}")
    about = second.get_page(f"/specimens/{here}")
    assert gone not in about and box in about, "a tube tells its own place"
    listed = second.submit("/scan/list", {"action": "store", "place": box, "codes": here}, draw="/scan").text
    assert gone not in listed
    assert gone in visit("lab_tech").get_page(f"/storage/{box}")

    assert counted(api.lab_tech2, box, [here]).json()["status"] == "to_resolve"

    for path in ways_to_look(box, around, gone).values():
        assert api.lab_tech2.get(path).status_code == 200, "the part that is theirs is recorded"
    assert gone in second.get_page(f"/storage/{box}")


def test_the_list_of_counts_leads_each_reader_to_the_act_that_is_theirs_and_nobody_to_a_refusal(api: Api, visit: Visit) -> None:
    box, inside = a_full_box(api)
    again, resolve = f'href="/storage/{box}/count"', f'href="/storage/{box}/count/resolve"'

    def shown(user: str) -> tuple[bool, bool]:
        page = visit(user).get_page("/counts?open=yes")
        return again in page, resolve in page

    counted(api.lab_tech, box, inside[:1])
    assert [shown(user) for user in ("lab_tech", "lab_tech2", "quality")] == [(False, False), (True, False), (True, False)]
    counted(api.lab_tech2, box, inside[:1])
    assert [shown(user) for user in ("lab_tech2", "quality")] == [(False, False), (False, True)]
    assert visit("quality").get(f"/storage/{box}/count/resolve").status_code == 200
    resolved(api.quality, box)
    assert shown("quality") == (False, False)
