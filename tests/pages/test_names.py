"""Printed names beside badges: told to those who work together, at once for a page, and never to others."""

from collections.abc import Collection
from typing import Any

import httpx
import psycopg
import pytest
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.auth.actor import RoleGrant
from biobank.auth.permissions import Role
from biobank.people import queries
from biobank.people.roles import add_grant
from biobank.people.service import add_user
from biobank.vault import Keystore, open_documents
from tests.conftest import Api
from tests.pages.visitor import Visit, Visitor
from tests.statements import count_statements
from tests.storage.test_storing import a_box


def a_colleague(api: Api, username: str, name: str, role: Role, site: str | None) -> str:
    def work(session: Session) -> str:
        act = Act.system(api.test_bank.bank, path="test")
        code, _ = add_user(session, act, username, name)
        add_grant(session, act, code, RoleGrant(role, site))
        return code

    return str(api.test_bank.write(work))


def asked(visitor: Visitor, path: str, **data: object) -> httpx.Response:
    token = visitor.get_page("/account").split('name="csrf-token" content="')[1].split('"')[0]
    return visitor.post(path, data={"csrf_token": token, **data})


def test_a_page_asks_for_all_its_names_at_once_and_is_told_those_of_colleagues(api: Api, visit: Visit) -> None:
    here = a_colleague(api, "tess", "Tess Ngata", Role.LAB_TECH, "LAB")
    too = a_colleague(api, "tomas", "Tomás Reyes", Role.LAB_TECH, "LAB")
    elsewhere = a_colleague(api, "nora", "Nora North", Role.CLINICIAN, "CLINIC")
    technician = visit("lab_tech")
    token = technician.get_page("/account").split('name="csrf-token" content="')[1].split('"')[0]
    seen: list[str] = []
    database = api.test_bank.bank.database
    stops = [count_statements(engine.sync_engine, seen) for engine in (database.writer, database.reader)]
    answer = technician.post("/names", data={"csrf_token": token, "code": [here, too, elsewhere, "US-0000000"]})
    for stop in stops:
        stop()
    assert answer.json() == {"names": {here: "Tess Ngata", too: "Tomás Reyes"}}
    assert answer.headers["cache-control"] == "no-store"
    assert sum("app_user.name_commit" in one for one in seen) == 1 and sum("vault_document" in one for one in seen) == 1, seen
    everywhere = asked(visit("auditor"), "/names", code=[here, elsewhere]).json()["names"]
    assert everywhere == {here: "Tess Ngata", elsewhere: "Nora North"}
    assert asked(technician, "/names", code="DN-0000000").status_code == 422
    assert technician.post("/names", data={"code": here}).status_code == 403


def test_a_colleague_is_found_by_login_by_any_word_of_the_name_and_by_badge(api: Api, visit: Visit) -> None:
    tomas = a_colleague(api, "tomas", "Tomás Reyes", Role.LAB_TECH, "LAB")
    a_colleague(api, "nora", "Nora Reyes", Role.CLINICIAN, "CLINIC")
    technician = visit("lab_tech")
    for typed in ("tom", "REY", "tomás r", tomas[:6]):
        items = asked(technician, "/colleagues", q=typed).json()["items"]
        assert {"code": tomas, "username": "tomas", "name": "Tomás Reyes"} in items, typed
        assert "nora" not in [one["username"] for one in items]
    for short in ("", "t", " t "):
        assert asked(technician, "/colleagues", q=short).json()["items"] == [], "one letter would list the staff"
    assert asked(technician, "/colleagues", q="%%").json()["items"] == []


def test_of_many_colleagues_a_badge_and_a_login_are_found_and_no_name_is_taken_for_the_only_one(
    api: Api, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    zoe = a_colleague(api, "zoe", "Amelie Zacharias", Role.LAB_TECH, "LAB")
    technician = visit("lab_tech")
    opened: list[int] = []

    def counted(session: Session, keystore: Keystore, commits: Collection[bytes]) -> dict[bytes, dict[str, Any]]:
        opened.append(len(commits))
        return open_documents(session, keystore, commits)

    monkeypatch.setattr(queries, "open_documents", counted)
    assert [one["code"] for one in asked(technician, "/colleagues", q="amelie").json()["items"]] == [zoe]
    monkeypatch.setattr(queries, "OPENED", 2)
    opened.clear()
    for typed in (zoe, zoe.lower(), "zoe", "ZO"):
        assert [one["code"] for one in asked(technician, "/colleagues", q=typed).json()["items"]] == [zoe], typed
    assert asked(technician, "/colleagues", q="amelie").json()["items"] == []
    assert max(opened) <= 2


def test_a_sentence_is_told_what_the_places_in_it_are_called_where_the_reader_may_see_them(api: Api, visit: Visit) -> None:
    box = a_box(api, name="Box 2", rows=2, cols=2)
    with psycopg.connect(api.test_bank.dsn("owner")) as connection:
        found = connection.execute(
            "SELECT code FROM storage_position WHERE container_code = %s AND label = 'B1'", (box,)
        ).fetchone()
    assert found is not None
    told = asked(visit("lab_tech"), "/place-names", code=[box, found[0], "BX-0000000"]).json()["names"]
    assert told == {box: "Box 2", found[0]: "B1 of Box 2"}
    assert asked(visit("north_tech"), "/place-names", code=[box]).json()["names"] == {}
    assert asked(visit("lab_tech"), "/place-names", code="US-0000000").status_code == 422
