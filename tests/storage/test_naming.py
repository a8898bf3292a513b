"""Names of containers and sites: unique as people see them, listed as people count, changed by an event."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from sqlalchemy import text

from biobank.foundation.names import name_key
from biobank.storage.containers import add_containers
from biobank.storage.naming import ContainerNameTaken
from biobank.storage.schemas import ContainerCreate
from tests.conftest import Api
from tests.factories import fresh_code


def container(api: Api, name: str, parent: str | None = None, kind: str = "rack", **fields: Any) -> str:
    answer = api.admin.post("/storage-containers", json={"site": "LAB", "kind": kind, "name": name, "parent": parent, **fields})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["code"])


def room(api: Api) -> str:
    return container(api, f"Room {fresh_code('BX')}", kind="room")


def names(items: list[dict[str, Any]]) -> list[str]:
    return [one["name"] for one in items]


def test_two_names_that_look_the_same_are_refused_when_one_act_gives_both(api: Api) -> None:
    rack = container(api, "Rack", room(api))
    act = api.test_bank.act("admin")
    asked = [ContainerCreate(site="LAB", kind="box", name=name, parent=rack) for name in ("Box 2", "BOX 2")]

    with pytest.raises(ContainerNameTaken, match="look alike"):
        api.test_bank.write(lambda session: add_containers(session, act, asked))

    made = api.test_bank.write(
        lambda session: add_containers(session, act, [asked[0], asked[0].model_copy(update={"name": "Box 3"})])
    )
    assert [one.name for one in made] == ["Box 2", "Box 3"]


@pytest.mark.parametrize("other", ["BOX 2", " box\u00a02", "Box2", "\u202eBox 2", "Bоx ２"])
def test_two_names_in_one_place_that_look_the_same_are_refused_whatever_way_they_come(api: Api, other: str) -> None:
    rack, elsewhere = container(api, "Rack", room(api)), container(api, "Rack", room(api))
    first, second = container(api, "Box 2", rack, "box"), container(api, "Box 3", rack, "box")
    away = container(api, other, elsewhere, "box")
    body = {"site": "LAB", "kind": "box", "name": other, "parent": rack}

    made = api.admin.post("/storage-containers", json=body)
    renamed = api.admin.post(f"/storage-containers/{second}/rename", json={"name": other})
    moved = api.lab_tech.post(f"/storage-containers/{away}/move", json={"to": rack})

    for answer in (made, renamed, moved):
        assert (answer.status_code, answer.json()["code"], answer.json()["subject"]) == (409, "container_name_taken", first)
    inside = api.lab_tech.get("/storage-containers", params={"parent": rack}).json()["items"]
    assert names(inside) == ["Box 2", "Box 3"]


def test_a_name_is_kept_as_it_is_seen_and_one_that_shows_nothing_is_malformed(api: Api) -> None:
    code = container(api, "\u202e Box\u00a0\u200b 7 ", room(api), "box")

    assert api.lab_tech.get(f"/storage-containers/{code}").json()["name"] == "Box 7"
    for name in ("\u200b", "\u202e\u00a0", "\u2800"):
        assert api.admin.post("/storage-containers", json={"site": "LAB", "kind": "box", "name": name}).status_code == 422
        assert api.admin.post(f"/storage-containers/{code}/rename", json={"name": name}).status_code == 422


@pytest.mark.parametrize("inside", [True, False], ids=["in a rack", "at the top of a site"])
def test_of_two_that_name_alike_at_the_same_moment_one_is_refused_by_name(api: Api, inside: bool) -> None:
    rack = container(api, "Rack", room(api)) if inside else None
    stem = fresh_code("BX")
    old = [container(api, f"{stem} old {n}", rack, "box") for n in (1, 2)]

    def make(name: str) -> Any:
        return api.admin.post("/storage-containers", json={"site": "LAB", "kind": "box", "name": name, "parent": rack})

    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(make, [f"{stem} a", f"{stem.lower()}  A"]))
        renamed = list(
            pool.map(lambda code: api.admin.post(f"/storage-containers/{code}/rename", json={"name": f"{stem} b"}), old)
        )

    for answers, won in ((made, 201), (renamed, 200)):
        assert sorted(one.status_code for one in answers) == [won, 409], [one.text for one in answers]
        assert [one.json()["code"] for one in answers if one.status_code == 409] == ["container_name_taken"]


def test_boxes_are_listed_as_people_count_page_by_page(api: Api) -> None:
    rack = container(api, "Rack", room(api))
    for number in (10, 1, 2, 21, 3):
        container(api, f"Box {number}", rack, "box")
    container(api, "Ящик " * 15 + "9", rack, "box")

    pages, after = [], None
    while True:
        asked: dict[str, Any] = {"parent": rack, "limit": 2} | ({"after": after} if after else {})
        answer = api.lab_tech.get("/storage-containers", params=asked).json()
        pages += names(answer["items"])
        after = answer["next"]
        if after is None:
            break

    assert pages == ["Box 1", "Box 2", "Box 3", "Box 10", "Box 21", ("Ящик " * 15 + "9")]


def test_renaming_is_an_event_that_keeps_the_names_out_of_the_log_and_tells_of_printed_labels(api: Api) -> None:
    rack = container(api, "Old rack", room(api))
    box = container(api, "Box 1", rack, "box", rows=2, cols=2)
    asked = {"things": [rack, box], "template": "box-50x25", "reason": "first_print", "format": "pdf"}
    assert api.lab_tech.post("/label-sheets", json=asked).status_code in (200, 201)

    answer = api.admin.post(f"/storage-containers/{rack}/rename", json={"name": "Rack 7"})

    assert answer.status_code == 200, answer.text
    said = answer.json()
    assert (said["was"], said["name"], said["labels"]) == ("Old rack", "Rack 7", sorted([rack, box]))
    assert api.lab_tech.get(f"/storage-containers/{box}").json()["path"][-2:] == ["Rack 7", "Box 1"]
    written = text("SELECT convert_from(entry, 'UTF8') FROM event WHERE kind = 'container.renamed' AND stream_id = :code")
    (entry,) = api.test_bank.write(lambda session: list(session.execute(written, {"code": rack}).scalars()))
    assert "names_commit" in entry
    assert "ack" not in entry


def test_who_may_not_lay_out_storage_renames_nothing_and_the_same_name_is_no_change(api: Api) -> None:
    rack = container(api, "Rack", room(api))

    assert api.lab_tech.post(f"/storage-containers/{rack}/rename", json={"name": "Mine"}).status_code == 403
    unchanged = api.admin.post(f"/storage-containers/{rack}/rename", json={"name": " Rack\u200b"})
    assert (unchanged.status_code, unchanged.json()["code"]) == (409, "container_name_unchanged")
    assert api.admin.post(f"/storage-containers/{rack}/rename", json={"name": "RACK"}).status_code == 200


def test_a_name_that_looks_alike_keeps_nothing_out_of_a_safe_place(api: Api) -> None:
    safe = container(api, f"Safe {fresh_code('BX')}", None, "tank", purpose="evacuation")
    boxes = [container(api, "Box 1", container(api, "Rack", room(api)), "box") for _ in range(3)]

    for box in boxes:
        answer = api.lab_tech.post(f"/storage-containers/{safe}/evacuate", json={"scanned": [box]})
        assert answer.status_code == 200, answer.text
        assert answer.json()["containers"][0]["moved"] == [box]
    (told,) = answer.json()["containers"][0]["warnings"]

    assert boxes[0] in told
    back = api.lab_tech.post(f"/storage-containers/{boxes[1]}/move", json={"to": container(api, "Rack", room(api))})
    assert back.status_code == 200
    assert names(api.lab_tech.get("/storage-containers", params={"parent": safe}).json()["items"]) == ["Box 1", "Box 1"]


def test_sites_that_look_alike_in_print_are_refused(api: Api) -> None:
    made = {"kind": "bank", "timezone": "Europe/London"}
    assert api.admin.post("/sites", json=made | {"code": "HAL10", "name": "Hall Ten"}).status_code == 201

    for code, name in (("HALIO", "Other"), ("NEW", "hall  TEN"), ("NEW", "Hаll Ten")):
        answer = api.admin.post("/sites", json=made | {"code": code, "name": name})
        assert (answer.status_code, answer.json()["code"]) == (409, "site_looks_alike"), answer.text
    changed = api.admin.patch("/sites/LAB", json={"name": "HALL TEN\u200b"})
    assert (changed.status_code, changed.json()["code"]) == (409, "site_looks_alike")


def test_the_order_of_sites_is_that_of_people(api: Api) -> None:
    made = {"kind": "bank", "timezone": "Europe/London"}
    for code in ("ZOO10", "ZOO9"):
        assert api.admin.post("/sites", json=made | {"code": code, "name": f"The zoo {code}"}).status_code == 201

    listed = [one["code"] for one in api.admin.get("/sites").json()["items"]]

    assert listed == sorted(listed, key=name_key)
    assert listed.index("ZOO9") < listed.index("ZOO10")


@pytest.mark.parametrize(
    ("constraint", "statement"),
    [
        (
            "names_in_one_place_look_different",
            "INSERT INTO storage_container (code, site_code, kind, name, name_key) "
            "SELECT code || '2', site_code, kind, name, name_key FROM storage_container",
        ),
        (
            "names_of_sites_look_different",
            "INSERT INTO site (code, name, kind, timezone, name_key, code_key) "
            "SELECT 'NEW', name, kind, timezone, name_key, 'NEW' FROM site WHERE code = 'LAB'",
        ),
        (
            "codes_of_sites_look_different",
            "INSERT INTO site (code, name, kind, timezone, name_key, code_key) "
            "SELECT 'NEW', 'New', kind, timezone, 'new', code_key FROM site WHERE code = 'LAB'",
        ),
    ],
)
def test_the_database_itself_refuses_names_that_look_alike(api: Api, constraint: str, statement: str) -> None:
    """At the top of a site too, where the place around is null."""
    room(api)

    with psycopg.connect(api.test_bank.dsn("app")) as connection, pytest.raises(psycopg.errors.UniqueViolation) as refused:
        connection.execute(statement)

    assert refused.value.diag.constraint_name == constraint
