"""Quality signs over exactly what was shown: one picture, its hash in the approval, and what changed since is named."""

import re
from hashlib import sha256
from html import unescape
from typing import Any

import pytest
from sqlalchemy import text

from biobank.transparency import canonical
from tests.conftest import Api
from tests.pages.visitor import Visit
from tests.signing import signed
from tests.statements import count_statements
from tests.withdrawals.stories import (
    Story,
    a_donor,
    a_story,
    bank_vials,
    kinds_of,
    later,
    refused,
    sealed,
    sign_and_post,
    state_of,
)


def seen(api: Api, story: Story) -> dict[str, Any]:
    """The picture as quality reads it."""
    answer = api.quality.get(f"/withdrawals/{story.code}/picture")
    assert answer.status_code == 200, answer.text
    return answer.json()  # type: ignore[no-any-return]


def named(picture: dict[str, Any]) -> dict[str, Any]:
    """The members by which an approval names it."""
    return {
        "picture": picture["sha256"],
        "picture_at": picture["picture"]["seen_at"],
        "picture_parts": picture["parts"],
    }


def approve(api: Api, story: Story, picture: dict[str, Any]) -> Any:
    """Sign over a picture."""
    return sign_and_post(api.quality, "approved", f"/withdrawals/{story.code}/approve", named(picture))


def test_the_picture_says_what_is_usable_what_goes_first_and_what_remains(api: Api) -> None:
    donor = a_donor(api)
    good, bad = bank_vials(api, donor, 2, lot=True), bank_vials(api, donor, released=False)
    story = Story(api, donor, good).up_to("request")
    asked = api.clinician.get("/withdrawals/feasibility", params={"donor": donor, "material": "adsc", "route": "ship_frozen"})
    picture = seen(api, story)["picture"]
    units = {one["specimen"]: one for one in picture["units"]}

    assert units.keys() == {*good, *bad}
    assert sorted(units[code]["order"] for code in good) == [1, 2]
    assert units[bad[0]]["order"] is None
    assert [units[code]["chosen"] for code in (*good, *bad)] == [True, False, False]
    assert units[bad[0]]["refusals"]
    assert (picture["remains"]["units"], picture["remains"]["takes_the_last"]) == (1, False)
    assert picture["tests"][0]["missing"], "cultured cells are released on their tests"
    assert picture["request"]["amounts"] == {"cells": 5_000_000}
    before = {one["specimen"]: one for one in asked.json()["items"]}
    assert asked.json()["tests"] == picture["tests"], "the request and the approval are shown one picture"
    assert [(one["order"], one["refusals"]) for one in units.values()] == [
        (before[code]["order"], before[code]["refusals"]) for code in units
    ]


def test_the_hash_in_the_approval_is_that_of_the_picture_signed(api: Api) -> None:
    story = a_story(api, 2).up_to("request")
    picture = seen(api, story)

    assert sha256(canonical.encode(picture["picture"])).hexdigest() == picture["sha256"]
    later(api, hours=2)
    sealed(api)
    assert approve(api, story, picture).status_code == 200
    history = api.quality.get(f"/withdrawals/{story.code}/history").json()["items"]
    body = next(one for one in history if one["kind"] == "withdrawal.approved")["body"]
    assert body["picture"] == picture["sha256"]
    assert body["picture_seen_at"] is not None
    assert state_of(api, story.vials[0])["reserved_for"] == story.code


def _hold(api: Api, story: Story) -> set[str]:
    body = {"scope_kind": "specimen", "scope_id": story.vials[1], "kind": "quality", "reason": "result_awaited"}
    assert api.lab_tech.post("/holds", json=body).status_code == 201
    return {story.vials[1], "what remains"}


def _deviation(api: Api, story: Story) -> set[str]:
    body = {"severity": "major", "topic": "tank_low", "site": "LAB", "description": "Level fell."}
    assert api.quality.post("/deviations", json=body | {"affected": [{"kind": "donor", "id": story.donor}]}).status_code == 201
    return {"open deviations"}


def _new_vial(api: Api, story: Story) -> set[str]:
    return {*bank_vials(api, story.donor), "what remains"}


def _near_miss(api: Api, story: Story) -> set[str]:
    assert story.pick().status_code == 409
    return {"near misses"}


@pytest.mark.parametrize("change", [_hold, _deviation, _new_vial, _near_miss])
def test_a_picture_that_changed_in_between_is_refused_and_says_what(api: Api, change: Any) -> None:
    story = a_story(api, 3).up_to("request")
    picture = seen(api, story)
    expected = change(api, story)
    document = refused(approve(api, story, picture), 409, "picture_changed")

    assert expected <= set(document["changed"])
    assert "the request" not in document["changed"]
    assert "withdrawal.approved" not in kinds_of(api, "withdrawal", story.code)
    assert state_of(api, story.vials[0])["reserved_for"] is None
    assert approve(api, story, seen(api, story)).status_code == 200


def test_a_picture_of_yesterday_is_looked_at_again(api: Api) -> None:
    story = a_story(api, 2).up_to("request")
    picture = seen(api, story)
    later(api, hours=25)
    sealed(api)

    refused(approve(api, story, picture), 409, "picture_changed")


def test_the_page_costs_the_same_however_many_tubes_the_donor_has(api: Api, visit: Visit) -> None:
    costs = []
    for tubes in (2, 5):
        story = a_story(api, tubes, lot=True).up_to("request")
        browser, sent = visit("quality"), list[str]()
        database = api.test_bank.bank.database
        stops = [count_statements(engine.sync_engine, sent) for engine in (database.writer, database.reader)]
        browser.get_page(f"/withdrawals/{story.code}/approve")
        costs.append(len(sent))
        sent.clear()
        body = signed(api.quality, "approved", f"/withdrawals/{story.code}/approve", named(seen(api, story)))
        sent.clear()
        assert api.quality.post(f"/withdrawals/{story.code}/approve", json=body).status_code == 200
        costs.append(len(sent))
        for stop in stops:
            stop()

    assert costs[:2] == costs[2:]
    assert costs[0] <= 28
    assert costs[1] <= 44


def test_the_page_signs_over_what_it_shows(api: Api, visit: Visit) -> None:
    story = a_story(api, 3).up_to("request")
    browser, address = visit("quality"), f"/withdrawals/{story.code}/approve"
    page = browser.get_page(address)
    assert "2 usable units" in page
    password = {"password": "correct horse battery staple"}
    hidden = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', page.split(f'action="{address}"')[1]))
    _hold(api, story)
    again = browser.post(address, data=password | {name: unescape(value) for name, value in hidden.items()})
    assert again.status_code == 409, again.text
    assert "It changed since you looked" in again.text

    assert browser.submit(address, password).url.path == f"/withdrawals/{story.code}"
    kept = api.test_bank.write(
        lambda s: s.execute(text("SELECT state FROM withdrawal WHERE code = :c"), {"c": story.code}).scalar()
    )
    assert kept == "approved"


def test_feasibility_and_approval_show_the_same_of_every_unit(api: Api, visit: Visit) -> None:
    story = a_story(api, 2, lot=True).up_to("request")
    asked = {"donor": story.donor, "material": "adsc", "route": "ship_frozen"}
    found = api.clinician.get("/withdrawals/feasibility", params=asked).json()
    picture = api.quality.get(f"/withdrawals/{story.code}/picture").json()["picture"]
    chosen = [one | {"chosen": False} for one in picture["units"]]
    assert found["units"] == chosen and found["tests"] == picture["tests"]
    assert [one["sentence"] for one in found["remains"]] == [picture["remains"]["sentence"]]
    for part in ("harm", "near_misses", "deviations"):
        assert found[part] == picture[part], part
    page = visit("clinician").get_page(f"/withdrawals/new?donor={story.donor}&material=adsc&route=ship_frozen")
    assert "If the first is taken" in page and "What is known of them" in page and "1 usable unit will remain" in page
