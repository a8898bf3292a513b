"""What only a page does, no call of the API beside it: sent as every role and by strangers to the site, past the same gates."""

import ast
import importlib
import inspect
import json
import pkgutil
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import text

from biobank import pages
from biobank.auth.permissions import ROLE_PERMISSIONS, Role
from biobank.auth.permissions import Permission as P
from biobank.foundation import clock
from biobank.foundation.clock import rfc3339
from tests.conftest import Api
from tests.importing.test_import_page import GERMAN
from tests.pages.test_every_act_has_a_page import acts, resolved
from tests.pages.visitor import BROWSER, Visit, Visitor
from tests.seed import USERS
from tests.specimens import stories as lab
from tests.withdrawals.stories import a_story, place_of

Json = dict[str, Any]
ELSEWHERE = {Role.CLINICIAN, Role.CLINIC_STAFF}
"""Roles of the clinic's people: what they may do there they may not at LAB."""
READS: Json = {}


@dataclass(frozen=True)
class Scene:
    """What the rows are about: a tube that LAB received, two that are due there, cells at its bench."""

    tube: str
    due: str
    also_due: str
    cells: str
    donor: str
    received: str
    sent: str


@pytest.fixture
def scene(api: Api) -> Scene:
    """Set it up."""
    donor = lab.donor(api)
    cells = lab.svf(api, donor)
    due, also_due = (lab.made(lab.harvest(api.clinician, donor))["specimens"][0]["code"] for _ in range(2))
    tube = lab.received(api.lab_tech, lab.made(lab.harvest(api.clinician, donor))["specimens"][0])
    last = api.lab_tech.get(f"/specimens/{tube['code']}/custody").json()["items"][-1]
    return Scene(tube["code"], due, also_due, cells["code"], donor, last["leaf_hash"], str(last["seq"]))


@dataclass(frozen=True)
class Row:
    """One form. `use_case`: what it runs that no call of the API runs, None where it reads or keeps a file."""

    address: str
    use_case: str | None
    permission: P | None
    form: Callable[[Scene], Json]
    at_lab: bool = False
    file: bytes | None = None
    headers: Callable[[], Json] = dict


def _list(scene: Scene) -> Json:
    return {"action": "receive", "site": "LAB", "tube": json.dumps({"text": scene.due, "seq": 1})}


def _undo(scene: Scene) -> Json:
    item = {"specimen": scene.tube, "seq": int(scene.sent), "undo": scene.received}
    return {"recorded": json.dumps({"action": "receive", "items": [item]})}


def _kept(scene: Scene) -> Json:
    said = {"action": "receive", "text": scene.also_due, "site": "LAB", "scanned_at": rfc3339(clock.now())}
    return said | {"offset_ms": "0", "uncertain_ms": "100"}


def _device() -> Json:
    return {"X-Device-Clock": rfc3339(clock.now())}


def _treated(scene: Scene) -> Json:
    return {"site": "LAB", "rows-inputs": "1", "specimen-inputs-0": scene.cells, "equipment": "", "no_reagents": "true"}


def _freezing(scene: Scene) -> Json:
    named = {"procedure_version": "SOP-014 v3", "programme": "CRF-1 slow v2", "cryoprotectant": "DMSO 10 %", "contact_min": "5"}
    return _treated(scene) | named


ROWS = (
    Row("/storage/new", "lay_out", P.STORAGE_MANAGE, lambda _: {"site": "LAB", "kind": "room", "name": "Cold", "how_many": "1"}),
    Row("/imports/new", None, P.STORAGE_MANAGE, lambda _: READS, file=GERMAN.read_bytes()),
    Row("/attachments/new", None, P.DEVIATION_OPEN, lambda _: {"site": "LAB"}, at_lab=True, file=b"%PDF-1.7 a file"),
    Row("/log/exports/fhir", "take_all", P.LOG_EXPORT, lambda _: {"release": "R4"}),
    Row("/donors/{donor}/dossier", None, P.LOG_EXPORT, lambda _: READS),
    Row(f"/users/{USERS['lab_tech'].code}/day", None, P.LOG_EXPORT, lambda _: READS),
    Row("/registers/names", None, P.SPECIMEN_READ, lambda _: {"kind": "procedure"}),
    Row("/scan/commit", "commit_list", P.CUSTODY_RECORD, _list, at_lab=True),
    Row("/scan/undo", "undo_list", P.CUSTODY_RECORD, _undo, at_lab=True),
    Row(
        "/scan/kept",
        "record_kept",
        P.CUSTODY_RECORD,
        _kept,
        at_lab=True,
        headers=lambda: {"X-Device-Clock": rfc3339(clock.now())},
    ),
    Row("/processings/freezing", "record_freezing", P.PROCESSING_RECORD, _freezing, at_lab=True),
    Row("/views", "keep_view", None, lambda _: {"list": "/specimens"}),
    Row("/account/choices", "set_preferences", None, lambda _: READS),
)
ELSEWHERE_TESTED = {
    "request_check": "tests/importing/test_import_page.py",
    "request_import": "tests/importing/test_import_page.py",
    "forget_view": "test_what_is_ones_own_is_nobody_elses",
    "record_thawing": "the freezing run's form, over the same bench",
    "check_place": "test_a_place_is_scanned_by_those_who_pick",
}
"""Use cases of pages alone that have no row, and where they are tried."""


def only_on_pages() -> Iterator[str]:
    """The use cases that pages run and no call of the API does."""
    of_api = {one for one in acts().values() if one is not None}
    for found in pkgutil.walk_packages(pages.__path__, f"{pages.__name__}."):
        module = importlib.import_module(found.name)
        for node in ast.walk(ast.parse(inspect.getsource(module))):
            if not isinstance(node, ast.Call):
                continue
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            named = [*node.args[:1]] if name == "performing" else []
            named += [keyword.value for keyword in node.keywords if keyword.arg == "use_case"]
            for one in (resolved(value, module) for value in named):
                if inspect.isfunction(one) and one not in of_api:
                    yield one.__name__


def test_every_act_that_only_a_page_does_has_its_row() -> None:
    listed = {row.use_case for row in ROWS} - {None} | ELSEWHERE_TESTED.keys()
    # A file is kept by two calls; the second is the API's own.
    assert set(only_on_pages()) - {"register_file"} == listed


def traces(api: Api) -> Json:
    """How much there is of what a form may leave behind."""
    tables = ("event", "job", "saved_view", "attachment_context", "storage_container")
    found: Json = api.test_bank.write(lambda s: {one: s.execute(text(f"SELECT count(*) FROM {one}")).scalar() for one in tables})
    return found


def said_of(page: str) -> str:
    """What a page says to a person."""
    return " ".join(re.sub(r"<[^>]+>", " ", page.partition("<main")[2].partition("</main>")[0]).split())[:600]


def token_of(visitor: Visitor) -> str:
    """The token that every form of this session carries."""
    found = re.search(r'name="csrf-token" content="([^"]+)"', visitor.get_page("/account"))
    assert found is not None
    return found[1]


def send(visitor: Visitor, row: Row, scene: Scene) -> Any:
    """Fill in the form and send it."""
    said = {"csrf_token": token_of(visitor), "idempotency_key": f"once:{row.address}"} | row.form(scene)
    path = row.address.format(donor=scene.donor)
    files = None if row.file is None else {"file": ("a.pdf" if row.file[:1] == b"%" else "a.csv", row.file)}
    return visitor.post(path, data=said, files=files, headers=BROWSER | row.headers(), follow_redirects=False)


@pytest.mark.parametrize("role", Role)
def test_a_role_gets_through_the_forms_that_are_its_own_and_no_other(api: Api, scene: Scene, visit: Visit, role: Role) -> None:
    visitor, wrong = visit(role.value), []
    for row in ROWS:
        may = row.permission is None or (row.permission in ROLE_PERMISSIONS[role] and not (row.at_lab and role in ELSEWHERE))
        before = traces(api)
        answer = send(visitor, row, scene)
        left = traces(api) != before
        if may and answer.status_code not in (200, 303):
            wrong.append(f"{row.address}: {answer.status_code} {said_of(answer.text)}")
        if not may and (left or answer.status_code in (200, 303)):
            wrong.append(f"{row.address}: got through with {answer.status_code}, left something: {left}")
    assert wrong == [], "\n".join(wrong)


@pytest.mark.parametrize("login", ["north_tech", "other_clinician", "north_auditor"])
def test_who_works_elsewhere_gets_through_no_form_about_this_site(api: Api, scene: Scene, visit: Visit, login: str) -> None:
    visitor = visit(login)
    for row in ROWS:
        if not row.at_lab and "{donor}" not in row.address:
            continue
        before = traces(api)
        answer = send(visitor, row, scene)
        assert answer.status_code not in (200, 303), (row.address, answer.text[:500])
        assert traces(api) == before, row.address


def test_a_form_without_its_token_or_a_sign_in_does_nothing(api: Api, scene: Scene, visit: Visit) -> None:
    stranger, signed_in = visit(), visit("quality")
    before = traces(api)
    for row in ROWS:
        path, said = row.address.format(donor=scene.donor), row.form(scene)
        for visitor in (stranger, signed_in):
            answer = visitor.post(path, data=said | {"csrf_token": "x"}, headers=BROWSER, follow_redirects=False)
            assert answer.status_code in (303, 401, 403), (path, answer.status_code)
            if answer.status_code == 303:
                assert "/login" in answer.headers["location"], path
    assert traces(api) == before


def test_what_is_ones_own_is_nobody_elses(api: Api, visit: Visit) -> None:
    """A kept view is forgotten by its owner; nobody shares one with a site where they do not work."""
    own, other = visit("quality"), visit("lab_tech")
    own.post("/views", data={"csrf_token": token_of(own), "idempotency_key": "1", "list": "/specimens"})
    (view,) = api.test_bank.write(lambda s: s.execute(text("SELECT id FROM saved_view")).scalars().all())
    asked = {"list": "/specimens", "csrf_token": token_of(other), "idempotency_key": "2"}
    assert other.post(f"/views/{view}/forget", data=asked).status_code == 404
    shared = other.post("/views", data=asked | {"for_site": "NORTH", "idempotency_key": "3"})
    assert shared.status_code == 403, shared.text[:300]
    assert traces(api)["saved_view"] == 1


@pytest.mark.parametrize("login", ["quality", "clinician", "clinic_staff", "auditor", "admin", "north_tech", "other_clinician"])
def test_a_place_is_scanned_by_those_who_pick(api: Api, visit: Visit, login: str) -> None:
    story = a_story(api, 1).up_to("approve")
    said = {"tube": story.vials[0], "asked": "box", "scan": place_of(api, story.vials[0])}
    for name, may in (("lab_tech", True), (login, False)):
        visitor = visit(name)
        before = traces(api)
        sent = said | {"csrf_token": token_of(visitor), "idempotency_key": "1"}
        answer = visitor.post(f"/withdrawals/{story.code}/pick", data=sent, headers=BROWSER, follow_redirects=False)
        assert (answer.status_code == 303) is may, (name, answer.status_code, answer.text[-1500:])
        assert traces(api) == before
