"""A page is sent what its form has, once each: what nobody reads would be dropped, and another act done than was meant."""

import re
from uuid import uuid4

import pytest
from fastapi.routing import APIRoute

from biobank.acts.strict import DuplicateMember
from biobank.pages.ui.posted import Form, UnknownField
from biobank.pages.ui.rows import parse_rows
from biobank.registries.routes import PAGES
from tests import seed
from tests.conftest import Api
from tests.pages.visitor import Visit, Visitor
from tests.storage.test_exposure import a_stored_tube

POSTED = sorted({route.path for route in PAGES.routes if isinstance(route, APIRoute) and "POST" in (route.methods or ())})
ELSEWHERE = {"/attachments/new", "/imports/new", "/scan/file", "/login", "/locked", "/confirmations"}
"""Forms with a file, and those of somebody who is not signed in; where nothing waits, a page leads home."""


def token(page: Visitor) -> dict[str, str]:
    found = re.search(r'name="csrf_token" value="([^"]+)"', page.get_page("/account"))
    assert found is not None
    return {"csrf_token": found.group(1), "idempotency_key": str(uuid4())}


@pytest.mark.parametrize("field", [{"occured_at": "2020-01-01T00:00"}, {"foo": "1"}])
def test_a_misspelt_field_stops_the_act_and_the_page_says_which(api: Api, visit: Visit, field: dict[str, str]) -> None:
    _, box = a_stored_tube(api)
    page = visit("lab_tech")
    answer = page.submit(f"/storage/{box}/lift", field)
    (name,) = field
    assert answer.status_code == 422 and f"no field &#39;{name.replace('_', ' ')}&#39;" in answer.text, answer.text[-3000:]
    assert api.lab_tech.get(f"/storage-containers/{box}").json()["lifted_at"] is None
    assert page.submit(f"/storage/{box}/lift", {"comment": ""}).status_code == 200
    assert api.lab_tech.get(f"/storage-containers/{box}").json()["lifted_at"] is not None


def test_a_field_that_is_sent_twice_stops_the_act(api: Api, visit: Visit) -> None:
    _, box = a_stored_tube(api)
    page = visit("lab_tech")
    twice = page.submit(f"/storage/{box}/lift", {"comment": ["It fell.", "It stands."]})
    assert twice.status_code == 422 and "sent twice" in twice.text
    assert api.lab_tech.get(f"/storage-containers/{box}").json()["lifted_at"] is None


def test_no_password_signs_a_form_with_a_field_that_nobody_reads(api: Api, visit: Visit) -> None:
    _, box = a_stored_tube(api)
    page, form = visit("quality"), f"/place-limits/new?container={box}"
    said = {"container": box, "highest_mc": "-170", "password": seed.PASSWORD}
    answer = page.submit("/place-limits/new", said | {"warmest_mc": "-150"}, draw=form)
    assert answer.status_code == 422 and "no field &#39;warmest mc&#39;" in answer.text
    assert api.quality.get(f"/storage-containers/{box}").json()["highest_mc"] is None
    assert page.submit("/place-limits/new", said, draw=form).status_code == 200


def test_what_was_refused_for_a_field_may_be_sent_again_without_it(api: Api, visit: Visit) -> None:
    _, box = a_stored_tube(api)
    page = visit("lab_tech")
    form = token(page)
    assert page.post(f"/storage/{box}/lift", data=form | {"foo": "1"}).status_code == 422
    assert page.post(f"/storage/{box}/lift", data=form).status_code == 200


def test_no_route_of_a_page_takes_a_form_with_a_field_of_no_page(api: Api, visit: Visit) -> None:
    """Every address that takes a form, with its token and one field that no page has: nothing is done with it."""
    assert len(POSTED) > 150
    page = visit("quality")
    form, taken = token(page), []
    for path in POSTED:
        if path in ELSEWHERE:
            continue
        address = re.sub(r"\{[^}]*\}", "x", path)
        sent = form | {"idempotency_key": str(uuid4()), "nonsense": "1"}
        answer = page.post(address, data=sent, follow_redirects=False)
        if answer.status_code < 400:
            taken.append((path, answer.status_code))
    assert taken == []


@pytest.mark.parametrize(
    "path",
    [
        "/scan/list",
        "/find",
        "/find/now",
        "/logout",
        "/account/sessions/end",
        "/account/second-factor",
        "/first-login",
        "/registers/names",
        "/names",
        "/place-names",
        "/colleagues",
    ],
)
def test_a_form_that_asks_or_is_about_the_login_is_read_as_strictly(visit: Visit, path: str) -> None:
    page = visit("lab_tech")
    answer = page.post(path, data=token(page) | {"nonsense": "1"}, follow_redirects=False)
    assert answer.status_code == 422 and "nonsense" in answer.text, (path, answer.status_code)
    assert page.get_page("/account")  # nobody was logged out


def test_signing_in_takes_its_own_fields_alone(visit: Visit) -> None:
    page = visit(None)
    answer = page.submit("/login", {"username": "lab_tech", "password": "x", "role": "admin"})
    assert answer.status_code == 422 and "role" in answer.text


def test_a_copy_of_the_log_is_not_taken_of_another_day_than_was_asked(api: Api, visit: Visit) -> None:
    page = visit("quality")
    badge = api.test_bank.act("lab_tech").actor.code
    assert page.post(f"/users/{badge}/day", data=token(page) | {"onn": "2026-01-01"}).status_code == 422


@pytest.mark.parametrize(("path", "name"), [("/specimens", "material"), ("/storage/suggest", "specimen"), ("/alarms", "cursor")])
def test_an_address_says_a_thing_once(api: Api, visit: Visit, path: str, name: str) -> None:
    page = visit("quality")
    answer = page.get(path, params=[(name, "a"), (name, "b")])
    assert answer.status_code in (404, 422)
    assert answer.status_code == 404 or "given twice" in answer.text or "does not know" in answer.text


def test_a_value_for_a_form_stands_in_its_address_once(api: Api, visit: Visit) -> None:
    tube, _ = a_stored_tube(api)
    page = visit("lab_tech")
    once = page.get("/wrong", params=[("about", tube)])
    twice = page.get("/wrong", params=[("about", tube), ("about", tube)])
    assert once.status_code == 200
    assert twice.status_code == 422 and "sent twice" in twice.text


def test_a_field_is_known_when_it_was_asked_for_and_blank_fields_say_nothing() -> None:
    form = Form([("a", "1"), ("b", ""), ("c", "3"), ("csrf_token", "t"), ("password", "p")])
    with pytest.raises(UnknownField):
        form.require_read()
    assert "a" in form and form.get("c") == "3"
    form.require_read()


def test_a_field_is_a_list_only_where_it_is_read_as_one() -> None:
    form = Form([("a", "1"), ("a", "2")])
    assert form.get("a") == "2"
    with pytest.raises(DuplicateMember):
        form.require_read()
    assert form.all_of("a") == ["1", "2"]
    form.require_read()


def test_a_row_that_nobody_wrote_into_may_hold_what_it_was_drawn_with_and_nothing_else() -> None:
    pairs = [("rows-x", "2"), ("amount-x-0", "5"), ("unit-x-0", "ml"), ("unit-x-1", "ml")]

    def rows(*more: tuple[str, str]) -> Form:
        form = Form([*pairs, *more])
        assert parse_rows(form, "x", ["amount"], lambda row: (row["amount"], row.get("unit"))) == [("5", "ml")]
        return form

    rows().require_read()
    for wrong in ("amuont-x-1", "unti-x-0", "amount-x-7", "amount-y-0"):
        with pytest.raises(UnknownField):
            rows((wrong, "1")).require_read()
