"""Mixed roles over two sites: what a login may at one site counts for nothing at another, act by act and list by list.

One login reads what stands at LAB and CLINIC and holds every role at NORTH and OTHER; another holds every role at LAB and CLINIC.
Each changing route of `route_table` is sent by both about the same things at LAB: the first is refused, the second is not.
"""

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from fastapi.routing import APIRoute
from sqlalchemy import text

from biobank.custody.snapshots import load
from biobank.foundation import clock
from biobank.registries.routes import PAGES
from tests import seed
from tests.auth.route_table import TABLE, Row, World
from tests.conftest import Api, Client, Told
from tests.factories import make_box, make_received
from tests.pages.visitor import BROWSER, Visitor
from tests.sealing import seal
from tests.withdrawals.stories import Story, a_story, everyone, later, refused, sign_and_post

PERSONAL = {
    # About the caller alone, or about a proposal whose place is part of it.
    "/api/v1/signatures",
    "/api/v1/auth/password",
    "/api/v1/messages/own",
    "/api/v1/auth/logout",
    "/api/v1/auth/second-factor",
    "/api/v1/auth/second-factor/confirm",
    "/api/v1/auth/second-factor/remove",
    "/api/v1/auth/passkeys",
    "/api/v1/auth/passkeys/{passkey}/remove",
    "/api/v1/auth/sessions/end-others",
    "/api/v1/confirmations",
    "/api/v1/pending-acts/{pending_act}/cancel",
    "/api/v1/jobs/{id}/cancel",
    # Changes nothing, and answers from the caller's own sites.
    "/api/v1/donors/search",
    "/api/v1/scans",
    "/api/v1/scans/decode",
    # A login without a role belongs to no site.
    "/api/v1/users",
}

REFUSED_TO_BOTH = {
    # These reach over all sites.
    "/api/v1/sites",
    "/api/v1/look-backs",
    "/api/v1/recalls",
    "/api/v1/webhooks",
    "/api/v1/api-clients",
    "/api/v1/users/{code}/roles",
    # The entries of the seed are every site's.
    "/api/v1/registers/{entry}/changes",
    "/api/v1/registers/{entry}/authorisations",
    # The row takes away a role at NORTH, where the second login manages nobody.
    "/api/v1/users/{code}/roles/revoke",
}

CHANGING = [row for row in TABLE if row.method != "GET" and not row.missing and row.route not in PERSONAL]


def world_at_lab(api: Api) -> World:
    """A specimen of a CLINIC donor that LAB received and holds, and an empty box there."""
    bank = api.test_bank
    specimen = bank.write(lambda s: make_received(s, everyone(bank)))
    box = bank.write(lambda s: make_box(s, bank.act("admin")))
    return World(
        specimen.code,
        specimen.donor_code,
        specimen.head_hash.hex(),
        box.code,
        "LAB",
        lambda: int(bank.write(lambda s: load(s, [specimen.code])[specimen.code].seq)),
        seed.USERS["lab_tech2"].code,
    )


def send(client: Client, row: Row, world: World) -> Any:
    path = row.route.format(**row.path(world)).removeprefix("/api/v1")
    return client.request(row.method, path, json=None if row.body is None else row.body(world))


def test_rights_at_one_site_change_nothing_at_another(api: Api) -> None:
    world = world_at_lab(api)
    through = []
    for row in CHANGING:
        answer = send(api.reads_here_acts_elsewhere, row, world)
        if answer.status_code not in (403, 404):
            through.append(f"{row.method} {row.route}: {answer.status_code} {answer.text[:160]}")

    assert through == [], "\n".join(through)


def test_the_same_acts_are_not_refused_to_those_who_hold_the_roles_there(api: Api) -> None:
    world = world_at_lab(api)
    refusals = []
    for row in CHANGING:
        answer = send(api.acts_here, row, world)
        if (answer.status_code in (403, 404)) != (row.route in REFUSED_TO_BOTH):
            refusals.append(f"{row.method} {row.route}: {answer.status_code} {answer.text[:160]}")

    assert refusals == [], "\n".join(refusals)


STEPS = ("request", "approve", "pick", "confirm", "issue", "receive", "thaw", "check", "administer", "outcome")


def test_no_step_of_a_withdrawal_is_taken_with_rights_at_another_site(api: Api) -> None:
    story = a_story(api, lot=True)
    outsider = api.reads_here_acts_elsewhere
    through = []
    for name in STEPS:
        answer = _request_as(outsider, story) if name == "request" else getattr(story, name)(outsider)
        if answer.status_code not in (403, 404):
            through.append(f"{name}: {answer.status_code} {answer.text[:160]}")
        _take(story, name)

    assert through == [], "\n".join(through)


def _request_as(client: Client, story: Story) -> Any:
    body = {"donor": story.donor, "material": "adsc", "route": "ship_frozen", "specimens": story.vials[:1]}
    return client.post("/withdrawals", json=body)


def _take(story: Story, name: str) -> None:
    answers = [getattr(story, name)()]
    if name == "check":
        answers.append(story.check(story.api.clinic_staff))
    assert all(answer.status_code in (200, 201) for answer in answers), (name, answers[-1].text)


def end_as(story: Story, name: str, client: Client) -> Any:
    if name == "reject":
        return sign_and_post(client, "rejected", f"/withdrawals/{story.code}/reject", {"reason": "test"})
    if name == "cancel":
        return client.post(f"/withdrawals/{story.code}/cancel", json={"reason": "test"})
    return story.take_back(client)


@pytest.mark.parametrize(
    ("name", "after"), [("reject", "request"), ("cancel", "request"), ("cancel", "confirm"), ("take_back", "receive")]
)
def test_no_withdrawal_ends_with_rights_at_another_site(api: Api, name: str, after: str) -> None:
    story = a_story(api).up_to(after)

    for user in ("reads_here_acts_elsewhere", "lab_tech_north_quality"):
        refused(end_as(story, name, getattr(api, user)), 403, "not_permitted")
    ended = end_as(story, name, api.clinician if name == "cancel" else api.lab_quality)
    assert ended.status_code in (200, 201), ended.text


def test_quality_of_one_site_does_not_destroy_what_another_keeps_for_treatment(api: Api) -> None:
    story = a_story(api)
    body = {"reason": "expired", "expected_seq": seq_of(api, story.vials[0])}
    path = f"/specimens/{story.vials[0]}/end"

    refused(sign_and_post(api.lab_tech_north_quality, "decided", path, body), 403, "quality_discards")
    refused(sign_and_post(api.reads_here_acts_elsewhere, "decided", path, body), 403, "not_permitted")


def seq_of(api: Api, code: str) -> int:
    return int(api.test_bank.write(lambda s: load(s, [code])[code].seq))


def test_a_tube_is_not_stored_away_from_a_site_without_rights_there(api: Api) -> None:
    """The place's site is not enough: the tube is taken from somewhere."""
    world = world_at_lab(api)
    box = api.test_bank.write(lambda s: make_box(s, api.test_bank.act("admin"), site="NORTH"))
    body = {"container": box.code, "expected_seq": world.seq()}

    refused(api.reads_here_acts_elsewhere.post(f"/specimens/{world.specimen}/store", json=body), 403, "not_permitted")


@pytest.mark.parametrize("to_other", [True, False])
def test_a_container_moves_with_rights_at_both_its_ends(api: Api, to_other: bool) -> None:
    bank = api.test_bank
    here = bank.write(lambda s: make_box(s, bank.act("admin"))).code
    there = bank.write(lambda s: make_box(s, bank.act("admin"), site="NORTH")).code
    moved, target = (here, there) if to_other else (there, here)

    refused(api.reads_here_acts_elsewhere.post(f"/storage-containers/{moved}/move", json={"to": target}), 403, "not_permitted")


def test_a_tube_stays_held_whatever_time_is_stated_for_carrying_it_out(api: Api) -> None:
    """A hold on a box is judged by when the leaving was recorded."""
    story = a_story(api)
    tube = story.vials[0]
    box = api.test_bank.write(lambda s: load(s, [tube])[tube].projection.container_code)
    other = api.test_bank.write(lambda s: make_box(s, api.test_bank.act("admin"))).code
    later(api, minutes=10)
    hold = {"scope_kind": "container", "scope_id": box, "kind": "quality", "reason": "to_check"}
    assert api.quality.post("/holds", json=hold).status_code == 201
    moved = api.lab_tech.post(
        f"/storage-containers/{other}/placements",
        json={
            "placements": [{"specimen": tube, "expected_seq": seq_of(api, tube)}],
            "occurred_at": (clock.now() - timedelta(minutes=5)).isoformat(),
        },
    )

    assert moved.status_code == 201, moved.text
    held = api.test_bank.write(lambda s: load(s, [tube], holds=True)[tube].holds)
    assert [hold.scope_id for hold in held] == [box]


def things_of(api: Api) -> Iterator[tuple[str, str]]:
    """Everything with a code that stands at LAB or CLINIC, and what it is."""
    statement = text(
        """
        SELECT 'specimen', code FROM custody UNION ALL SELECT 'donor', code FROM donor UNION ALL
        SELECT 'withdrawal', code FROM withdrawal UNION ALL SELECT 'harvest', code FROM harvest UNION ALL
        SELECT 'lot', code FROM lot UNION ALL SELECT 'container', code FROM storage_container UNION ALL
        SELECT 'deviation', code FROM deviation UNION ALL SELECT 'kit', code FROM kit
        """
    )
    yield from (tuple(row) for row in api.test_bank.write(lambda s: s.execute(statement).all()))


def fill_lab(api: Api) -> None:
    """A withdrawal, holds, a deviation, a kit and refusals at LAB and CLINIC; nothing at NORTH and OTHER."""
    story = a_story(api, lot=True).up_to("confirm")
    lines = [
        api.lab_tech.post(
            "/holds", json={"scope_kind": "specimen", "scope_id": story.vials[0], "kind": "quality", "reason": "to_check"}
        ),
        api.lab_tech.post("/deviations", json={"severity": "minor", "topic": "test", "site": "LAB", "description": "A cap."}),
        api.lab_tech.post(
            "/kits", json={"site": "CLINIC", "home_site": "LAB", "hair_labels": 1, "expires_at": "2090-01-01T00:00:00Z"}
        ),
    ]
    assert all(line.status_code == 201 for line in lines), [line.text for line in lines]
    assert (
        api.lab_tech.post(f"/specimens/{story.vials[0]}/decision", json={"decision": "rejected", "reason": "test"}).status_code
        == 403
    )


@pytest.fixture(scope="module")
def told(tell_once: Callable[..., Told[None]]) -> Told[None]:
    return tell_once(fill_lab)


@pytest.fixture
def lab(told: Told[None], begin: Callable[..., Api]) -> Api:
    """A bank with something of every kind at LAB, sealed: files of the log hold nothing else."""
    api = begin(told)
    seal(api.test_bank)
    return api


LISTS = [row.route.removeprefix("/api/v1") for row in TABLE if row.method == "GET" and "{" not in row.route]
LISTS += ["/custody-log?format=csv", "/custody-log?format=jsonl"]


@pytest.mark.parametrize("reader", ["north_auditor", "north_tech"])
def test_no_list_shows_a_reader_of_one_site_what_stands_at_another(lab: Api, reader: str) -> None:
    codes = list(things_of(lab))
    assert {kind for kind, _ in codes} == {"specimen", "donor", "withdrawal", "harvest", "lot", "container", "deviation", "kit"}
    shown = []
    for path in LISTS:
        answer = getattr(lab, reader).get(path)
        shown += [f"{path} shows {kind} {code}" for kind, code in codes if code in answer.text]

    assert shown == [], "\n".join(shown)


def test_the_same_lists_show_it_to_a_reader_of_every_site(lab: Api) -> None:
    answers = "".join(lab.auditor.get(path).text for path in LISTS)

    assert {kind for kind, code in things_of(lab) if code not in answers} <= {"kit"}


PAGES_WITHOUT_A_SUBJECT = sorted(
    {
        route.path
        for route in PAGES.routes
        if isinstance(route, APIRoute) and "GET" in (route.methods or ()) and "{" not in route.path
    }
)


@pytest.mark.parametrize("reader", ["north_auditor", "north_tech"])
def test_no_page_shows_a_reader_of_one_site_what_stands_at_another(lab: Api, reader: str) -> None:
    codes = list(things_of(lab))
    shown, drawn = [], 0
    with Visitor(base_url=lab.url, headers=BROWSER, follow_redirects=True, timeout=60) as visitor:
        visitor.log_in(reader)
        for path in PAGES_WITHOUT_A_SUBJECT:
            answer = visitor.get(path)
            drawn += answer.status_code == 200
            page = re.sub(r"<[^>]*>", "", answer.text) + answer.text
            shown += [f"{path} shows {kind} {code}" for kind, code in codes if code in page]

    assert shown == [], "\n".join(shown)
    assert drawn > 20


def test_a_refusal_is_read_where_it_happened(lab: Api) -> None:
    assert lab.north_auditor.get("/attempts").json()["items"] == []
    assert lab.lab_quality.get("/attempts").json()["items"] != []
