"""The change feed: page by page, waited for, and as server-sent events."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from cloudevents.core.formats.json import JSONFormat
from sqlalchemy import text

from biobank.exports import feed, feed_api
from biobank.transparency import canonical
from biobank.transparency.tree import hash_leaf
from tests.conftest import Api, Client
from tests.exports.taking import taken_log
from tests.exports.test_custody_log import some_history
from tests.sealing import seal


def read(client: Client, **asked: Any) -> dict[str, Any]:
    answer = client.get("/events", params=asked)
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def all_of(client: Client, **asked: Any) -> list[dict[str, Any]]:
    """Every event from the beginning, by as many questions as it takes."""
    items: list[dict[str, Any]] = []
    page = read(client, **asked)
    while True:
        items += page["items"]
        if page["next"] >= page["size"]:
            return items
        page = read(client, **asked | {"after": page["next"]})


def test_who_asks_again_from_next_gets_every_event_once_in_the_order_of_the_log(api: Api) -> None:
    some_history(api, 5)
    seal(api.test_bank)
    exported = taken_log(api).splitlines()
    items = all_of(api.auditor, limit=3)

    assert len(items) >= 10
    assert [one["sequence"] for one in items] == sorted({one["sequence"] for one in items})
    assert {one["id"] for one in items} <= {json.loads(line)["leaf_hash"] for line in exported}
    by_stream: dict[str, list[int]] = {}
    for one in items:
        by_stream.setdefault(one["partitionkey"], []).append(one["data"]["seq"])
    assert all(seqs == list(range(1, len(seqs) + 1)) for seqs in by_stream.values())


def test_an_event_is_a_cloud_event_whose_data_hashes_to_its_id(api: Api) -> None:
    codes = some_history(api, 1)
    seal(api.test_bank)

    one = read(api.auditor, kind="specimen.received")["items"][0]
    by_others = JSONFormat().read(None, json.dumps(one))

    assert (by_others.get_type(), by_others.get_subject(), by_others.get_source()) == (
        "specimen.received",
        codes[0],
        api.test_bank.bank.settings.log_origin,
    )
    assert hash_leaf(canonical.encode(one["data"])).hex() == one["id"]


def test_what_is_not_under_a_checkpoint_yet_is_not_handed_out(api: Api) -> None:
    some_history(api, 1)
    assert read(api.auditor)["items"] == []

    seal(api.test_bank)

    assert len(read(api.auditor)["items"]) >= 2


def test_filters_that_fit_little_say_how_far_they_came(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    some_history(api, 5)
    seal(api.test_bank)
    monkeypatch.setattr(feed, "LOOKED_AT", 3)

    first = read(api.auditor, kind="specimen.discarded")

    assert (first["items"], first["next"]) == ([], 3)
    assert len(all_of(api.auditor, kind=["specimen.received"])) == 5
    assert {one["type"] for one in all_of(api.auditor, kind=["specimen.received", "specimen.collected"])} == {
        "specimen.received",
        "specimen.collected",
    }
    assert len(all_of(api.auditor, kind="specimen.*")) == 10


@pytest.mark.parametrize("reader", ["auditor", "quality", "lab_quality", "north_auditor"])
def test_the_feed_holds_exactly_what_an_export_of_the_same_reader_holds(api: Api, reader: str) -> None:
    some_history(api, 2)
    seal(api.test_bank)
    client = getattr(api, reader)

    items = all_of(client)
    lines = client.get("/custody-log", params={"format": "jsonl"}).text.splitlines()
    exported = {json.loads(line)["leaf_hash"]: json.loads(line)["entry"]["kind"] for line in lines}

    assert {one["id"] for one in items} == {h for h, kind in exported.items() if not kind.startswith("system.export")}


def test_sites_narrow_and_never_widen(api: Api) -> None:
    some_history(api, 2)
    seal(api.test_bank)
    sites = {one["data"]["site"] for one in all_of(api.auditor)}
    one_site = next(iter(sites - {None}))

    assert {one["data"]["site"] for one in all_of(api.auditor, site=one_site.lower())} == {one_site}
    assert all_of(api.north_auditor, site=one_site) == []


def test_a_place_that_the_log_has_not_reached_is_refused(api: Api) -> None:
    seal(api.test_bank)

    answer = api.auditor.get("/events", params={"after": 10_000})

    assert (answer.status_code, answer.json()["code"]) == (409, "place_not_reached")


def test_a_question_that_waits_is_answered_when_something_comes(api: Api) -> None:
    seal(api.test_bank)
    place = read(api.auditor)["size"]
    found: list[dict[str, Any]] = []
    waiting = threading.Thread(target=lambda: found.append(read(api.auditor, after=place, wait=20)))
    waiting.start()
    while not feed_api._waiting:
        assert waiting.is_alive(), "it did not wait"
    some_history(api, 1)
    seal(api.test_bank)
    waiting.join(60)

    assert found and found[0]["items"]


def test_a_question_that_waits_in_vain_is_answered_with_nothing(api: Api) -> None:
    seal(api.test_bank)
    place = read(api.auditor)["size"]

    assert read(api.auditor, after=place, wait=1) == {"items": [], "next": place, "size": place}


@contextmanager
def streaming(api: Api, reader: str = "auditor", **headers: str) -> Iterator[Iterator[tuple[str, dict[str, Any]]]]:
    """Read server-sent events: (id or kind of event, data) of each."""
    client = getattr(api, reader)
    with client.stream("GET", "/events", headers={"Accept": "text/event-stream"} | headers) as answer:
        assert answer.status_code == 200, answer.read()
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield _frames(answer)


def _frames(answer: httpx.Response) -> Iterator[tuple[str, dict[str, Any]]]:
    called = ""
    for line in answer.iter_lines():
        name, _, value = line.partition(": ")
        if name in ("id", "event"):
            called = value
        elif name == "data":
            yield called, json.loads(value)


def test_a_stream_goes_on_with_what_comes_and_after_the_last_id_it_said(api: Api) -> None:
    some_history(api, 1)
    seal(api.test_bank)
    with streaming(api) as frames:
        first, second = next(frames), next(frames)
        assert int(second[0]) == int(first[0]) + 1
        some_history(api, 1)
        seal(api.test_bank)
        seen = [second[1]["id"]]
        kinds: list[str] = []
        while kinds.count("specimen.received") < 1 or "system.export_started" not in kinds:
            seen.append((one := next(frames))[1]["id"])
            kinds.append(one[1]["type"])

    with streaming(api, **{"Last-Event-ID": first[0]}) as frames:
        again = [next(frames)[1]["id"] for _ in seen]

    assert again == seen


def test_a_stream_is_in_the_log_as_a_copy_that_began_and_ended(api: Api) -> None:
    some_history(api, 1)
    seal(api.test_bank)
    with streaming(api) as frames:
        next(frames)

    def ended() -> list[dict[str, Any]]:
        items: list[dict[str, Any]] = api.auditor.get("/custody-log", params={"kind": "system.export_finished"}).json()["items"]
        return items

    while not ended():
        pass
    started = api.auditor.get("/custody-log", params={"kind": "system.export_started"}).json()["items"]
    assert [one["body"]["format"] for one in started] == ["events"]
    assert ended()[0]["body"]["rows"] >= 1


def test_a_stream_ends_with_the_right_of_its_reader(api: Api) -> None:
    some_history(api, 1)
    seal(api.test_bank)
    with streaming(api) as frames:
        next(frames)
        api.test_bank.write(lambda s: s.execute(text("UPDATE app_user SET active = false WHERE username = 'auditor'")))
        last = list(frames)[-1]

    assert (last[0], last[1]["code"]) == ("problem", "not_signed_in")


def test_a_last_id_that_is_no_place_is_refused(api: Api) -> None:
    answer = api.auditor.get("/events", headers={"Accept": "text/event-stream", "Last-Event-ID": "x"})

    assert (answer.status_code, answer.json()["code"]) == (422, "malformed_request")


def test_more_readers_than_there_are_places_are_sent_away(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    seal(api.test_bank)
    monkeypatch.setattr(feed_api, "WAIT_AT_ONCE", 0)
    place = read(api.auditor)["size"]

    streamed = api.auditor.get("/events", headers={"Accept": "text/event-stream"})
    waited = api.auditor.get("/events", params={"after": place, "wait": 5})

    assert (streamed.status_code, waited.status_code) == (503, 503)
