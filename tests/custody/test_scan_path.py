"""The scan path: it answers as the ordinary route would, says nothing but yes, and shares statements safely."""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from uuid import uuid4

import httpx
import psycopg
import pytest

from biobank.custody.schemas import EventAnswer
from tests.conftest import Api
from tests.factories import make_donor, make_specimen
from tests.statements import count_statements

INSPECTED = {"kind": "specimen.inspected", "container_intact": True, "label_legible": True, "contents_as_expected": True}


def collected(api: Api, count: int) -> list[str]:
    act = api.test_bank.act("clinician")

    def work(session: object) -> list[str]:
        donor = make_donor(session)  # type: ignore[arg-type]
        return [make_specimen(session, act, donor=donor).code for _ in range(count)]  # type: ignore[arg-type]

    return api.test_bank.write(work)  # type: ignore[no-any-return]


def scan(api: Api, code: str, *, expected: int = 1, key: str | None = None, **more: object) -> httpx.Response:
    return api.lab_tech.post(
        f"/specimens/{code}/events",
        json={**INSPECTED, "expected_seq": expected, **more},
        headers={"Idempotency-Key": key or uuid4().hex},
    )


def seqs(api: Api, codes: list[str]) -> list[int]:
    with psycopg.connect(api.test_bank.dsn()) as connection:
        found: dict[str, int] = dict(connection.execute("SELECT code, seq FROM custody").fetchall())
    return [found[c] for c in codes]


@contextmanager
def ordinary_statements(api: Api) -> Iterator[list[str]]:
    """What the ordinary route sends meanwhile."""
    api.anonymous.get(f"{api.url}/S/none")  # opens the startup gate, which looks at the database once
    seen: list[str] = []
    stop = count_statements(api.test_bank.bank.database.writer.sync_engine, seen)
    yield seen
    stop()


def test_a_scan_takes_the_scan_path_and_looks_like_the_ordinary_answer(api: Api) -> None:
    (code,) = collected(api, 1)

    with ordinary_statements(api) as seen:
        fast = scan(api, code)
    with ordinary_statements(api) as seen_later:
        slow = scan(api, code, expected=2, comment="as it should be")

    assert (fast.status_code, slow.status_code) == (201, 201)
    assert seen == []
    assert seen_later
    assert set(fast.headers) == set(slow.headers)
    assert fast.json() | {"receipt": ""} == EventAnswer.model_validate(fast.json()).model_dump() | {"receipt": ""}
    assert list(fast.json()) == list(slow.json())
    assert fast.json()["events"][0]["leaf_hash"] in fast.json()["receipt"]


def test_an_answer_of_the_scan_path_is_replayed_word_for_word(api: Api) -> None:
    (code,) = collected(api, 1)
    first = scan(api, code, key="once")
    again = scan(api, code, key="once")

    assert (again.status_code, again.text) == (201, first.text)
    assert again.headers["Idempotent-Replayed"] == "true"
    assert seqs(api, [code]) == [2]


def test_forty_scans_at_once_all_stand(api: Api) -> None:
    codes = collected(api, 40)
    assert api.lab_tech  # made before the threads want it
    with ThreadPoolExecutor(20) as pool, ordinary_statements(api) as seen:
        answers = list(pool.map(lambda c: scan(api, c), codes))

    assert [a.status_code for a in answers] == [201] * 40
    assert seen == []
    assert seqs(api, codes) == [2] * 40
    with psycopg.connect(api.test_bank.dsn()) as connection:
        kept = connection.execute("SELECT count(*) FROM idempotency WHERE status = 201").fetchone()
        hashes = {h.hex() for (h,) in connection.execute("SELECT leaf_hash FROM pending").fetchall()}
    assert kept == (40,)
    assert {a.json()["events"][0]["leaf_hash"] for a in answers} <= hashes
    assert [a.json()["specimen"] for a in answers] == codes


def test_of_ten_scans_of_one_tube_at_once_one_succeeds_and_nine_are_told_and_kept(api: Api) -> None:
    code, *others = collected(api, 6)
    assert api.lab_tech
    with ThreadPoolExecutor(15) as pool:
        answers = list(pool.map(lambda c: scan(api, c), [code] * 10 + others))

    assert sorted(a.status_code for a in answers[:10]) == [201] + [409] * 9
    assert {a.json()["code"] for a in answers[:10] if a.status_code == 409} == {"stale_sequence"}
    assert [a.status_code for a in answers[10:]] == [201] * 5
    assert seqs(api, [code, *others]) == [2] * 6
    assert len(api.auditor.get("/attempts", params={"code": "stale_sequence"}).json()["items"]) == 9


def test_one_key_on_two_tubes_at_once_is_one_act_and_does_not_disturb_the_others(api: Api) -> None:
    codes = collected(api, 8)
    assert api.lab_tech
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda c: scan(api, c, key="shared" if c in codes[:2] else None), codes))

    assert sorted(a.status_code for a in answers[:2]) == [201, 422]
    assert [a.status_code for a in answers[2:]] == [201] * 6
    assert sorted(seqs(api, codes[:2])) == [1, 2]


def test_a_tube_that_is_locked_elsewhere_does_not_hold_up_the_others(api: Api) -> None:
    locked, *others = collected(api, 6)
    assert api.lab_tech
    with psycopg.connect(api.test_bank.dsn()) as other, ThreadPoolExecutor(6) as pool:
        other.execute("SELECT 1 FROM custody WHERE code = %s FOR UPDATE", (locked,))
        waiting = pool.submit(scan, api, locked)
        time.sleep(0.05)
        answers = list(pool.map(lambda c: scan(api, c), others))
        assert [a.status_code for a in answers] == [201] * 5
        assert not waiting.done()
        other.rollback()
        assert waiting.result().status_code == 201

    assert seqs(api, [locked, *others]) == [2] * 6


@pytest.mark.parametrize("column", ["revoked_at = now()", "expires_at = now() - interval '1 second'"])
def test_a_sign_in_that_ended_ends_the_scan_path_with_the_next_scan(api: Api, column: str) -> None:
    (code,) = collected(api, 1)
    assert scan(api, code).status_code == 201
    with psycopg.connect(api.test_bank.dsn()) as connection:
        connection.execute(f"UPDATE login_session SET {column}")

    assert (scan(api, code, expected=2).status_code, seqs(api, [code])) == (401, [2])


def test_a_login_that_was_closed_or_lost_its_roles_is_refused_with_the_next_scan(api: Api) -> None:
    (code,) = collected(api, 1)
    assert scan(api, code).status_code == 201
    with psycopg.connect(api.test_bank.dsn()) as connection:
        connection.execute("DELETE FROM user_role")
    assert scan(api, code, expected=2).status_code == 404
    with psycopg.connect(api.test_bank.dsn()) as connection:
        connection.execute("UPDATE app_user SET active = false")
    assert scan(api, code, expected=2).status_code == 401
    assert seqs(api, [code]) == [2]


def test_whatever_is_unusual_is_answered_by_the_ordinary_route(api: Api) -> None:
    (code,) = collected(api, 1)
    url, good = f"/specimens/{code}/events", {**INSPECTED, "expected_seq": 1}
    client = api.lab_tech

    assert api.anonymous.post(url, json=good).status_code == 401
    assert client.post(url, json=good | {"surplus": 1}).status_code == 422
    assert client.post(url, json=good | {"kind": "specimen.issued"}).status_code == 422
    assert client.post(url, content=b"{", headers={"Content-Type": "application/json"}).status_code == 422
    assert client.post(url, json=good, headers={"Idempotency-Key": "two words"}).status_code == 422
    assert httpx.Client.request(client, "POST", url, json=good).status_code == 400
    assert client.post(url, json={k: v for k, v in good.items() if k != "expected_seq"}).status_code == 428
    assert client.post("/specimens/AD26-0000000/events", json=good).status_code == 404
    assert seqs(api, [code]) == [1]
    # A body that comes in pieces is as good as any.
    pieces = iter(
        [
            b'{"kind": "specimen.inspected", "container_intact": true, "label_legible": true,',
            b' "contents_as_expected": true, "expected_seq": 1}',
        ]
    )
    assert client.post(url, content=pieces, headers={"Content-Type": "application/json"}).status_code == 201


def test_scans_count_under_their_route_whatever_way_they_took(api: Api) -> None:
    (code,) = collected(api, 1)

    def counted() -> float:
        text = httpx.get(f"{api.url}/metrics").text
        name = 'biobank_requests_total{method="POST",route="/api/v1/specimens/{code}/events",status="201"} '
        return sum(float(line.removeprefix(name)) for line in text.splitlines() if line.startswith(name))

    before = counted()
    scan(api, code)

    assert counted() == before + 1
