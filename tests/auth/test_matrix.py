"""Role × route: every role calls every route there is, and exactly those with the permission get past the door."""

import pytest

from biobank.auth.permissions import ROLE_PERMISSIONS, Permission, Role
from biobank.custody.event import rules
from biobank.custody.snapshots import load
from tests import seed
from tests.auth.route_table import PUBLIC, TABLE, Row, World, all_routes
from tests.conftest import Api
from tests.factories import make_box, make_specimen

SHUT_OUT = {403, 404}
NEVER = {401, 405, 422}


def allowed(row: Row) -> set[Role]:
    holders = {role for role in Role if row.permission is None or row.permission in ROLE_PERMISSIONS[role]}
    return (holders - row.elsewhere) | row.also


def test_every_route_has_its_row() -> None:
    listed = {(row.method, row.route.partition("?")[0]) for row in TABLE} | PUBLIC

    assert sorted(all_routes() - listed) == []
    assert sorted(listed - all_routes()) == []


@pytest.mark.parametrize("role", Role)
def test_a_role_gets_through_the_doors_that_are_its_own_and_no_other(api: Api, role: Role) -> None:
    bank = api.test_bank
    code = bank.write(lambda s: make_specimen(s, bank.act("clinician"))).code
    received = {"kind": "specimen.received", "site": "LAB", "expected_seq": 1}
    assert api.lab_tech.post(f"/specimens/{code}/events", json=received).status_code == 201
    specimen = bank.write(lambda s: load(s, [code])[code])
    box = bank.write(lambda s: make_box(s, bank.act("admin")))
    assert specimen.donor_code is not None
    assert specimen.head_hash is not None
    own_site = seed.USERS[role.value].grants[0][1] or "LAB"
    world = World(
        specimen.code,
        specimen.donor_code,
        specimen.head_hash.hex(),
        box.code,
        own_site,
        lambda: int(bank.write(lambda s: load(s, [specimen.code])[specimen.code].seq)),
    )
    client = getattr(api, role.value)
    wrong = []
    for row in TABLE:
        path = row.route.format(**row.path(world))
        path = path.removeprefix("/api/v1") if path.startswith("/api/") else api.url + path
        if row.image is not None:
            answer = client.request(row.method, path, content=row.image, headers={"Content-Type": "image/jpeg"})
        else:
            answer = client.request(row.method, path, json=None if row.body is None else row.body(world))
        status = answer.status_code
        through = status not in SHUT_OUT | NEVER and status < 500
        expected = role in allowed(row)
        if status in NEVER or status >= 500 or (through != expected and not (row.missing and expected and status == 404)):
            wrong.append(f"{row.method} {row.route}: {status} {answer.text[:160]}")

    assert wrong == [], "\n".join(wrong)


def test_every_permission_is_held_by_some_role() -> None:
    held = {p for permissions in ROLE_PERMISSIONS.values() for p in permissions}

    assert held == set(Permission)


def test_an_administrator_touches_no_specimen_and_an_auditor_changes_nothing() -> None:
    """What the roles must never be able to do, whatever is added to the table."""
    reading = {p for p in Permission if p.value.endswith((":read", ":export"))}

    assert ROLE_PERMISSIONS[Role.AUDITOR] <= reading
    assert not ROLE_PERMISSIONS[Role.ADMIN] & {Permission.ROLE_COSIGN, Permission.CUSTODY_RECORD, Permission.QUALITY_DECIDE}
    for kind, event in rules.by_kind.items():
        if event.stream.value == "specimen" and event.permission is not None and kind != "specimen.imported":
            assert event.permission not in ROLE_PERMISSIONS[Role.ADMIN], kind
