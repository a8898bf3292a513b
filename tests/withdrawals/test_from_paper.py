"""What is entered from a form says so on every record it touches: the tube's, the withdrawal's, the shipment's."""

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Any

import httpx
import pytest
from sqlalchemy import text

from biobank.custody.entry import parse_entry
from biobank.foundation import clock
from biobank.foundation.clock import rfc3339
from tests import seed
from tests.conftest import Api
from tests.quality.sheets import a_sheet
from tests.quality.test_deviations import stored as attached
from tests.shipping.stories import ship, shipped, tubes
from tests.viability.test_reports import demand
from tests.withdrawals.stories import Story, a_story, kinds_of, later, lift_all, place_of, refused, sealed
from tests.withdrawals.test_decided_now import revoke
from tests.withdrawals.test_final_label import count, thawed
from tests.withdrawals.test_offered import hold


def filed(api: Api, began: datetime, who: str, second: str, site: str) -> str:
    body = {
        "site": site,
        "form_sha256": attached(api, a_sheet()).json()["sha256"],
        "did_by": seed.USERS[who].code,
        "second": seed.USERS[second].code,
        "began_at": rfc3339(began),
        "reason": "network_down",
        "description": "No network.",
    }
    answer = getattr(api, who).post("/paper-forms", json=body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["code"])


def written_by(api: Api, act: Callable[[], httpx.Response]) -> list[dict[str, Any]]:
    """The entries that an act wrote, in order."""
    held = text("SELECT leaf_hash FROM event")
    known = {bytes(leaf) for leaf in api.test_bank.write(lambda s: s.execute(held).scalars().all())}
    answer = act()
    assert answer.status_code in (200, 201), answer.text
    statement = text("SELECT entry, leaf_hash FROM event ORDER BY recorded_at, stream_kind, seq")
    rows = api.test_bank.write(lambda s: s.execute(statement).all())
    return [parse_entry(bytes(row.entry)) for row in rows if bytes(row.leaf_hash) not in known]


def require_marked(entries: list[dict[str, Any]], stream: str, at: datetime) -> None:
    """Insist that every entry says that it is from paper, and when it happened; some are of `stream`."""
    said = {(one["kind"], one["source"], one["occurred_at"]) for one in entries}
    assert said == {(kind, "paper", rfc3339(at)) for kind, _, _ in said}
    assert stream in {one["stream"] for one in entries}
    assert all(one["relies_on"] for one in entries)


def a_way(api: Api) -> tuple[Story, datetime, str, str]:
    """An approved withdrawal, when the network went, and the forms of the bank's two people and of the clinic's."""
    story = a_story(api).up_to("approve")
    began = clock.now()
    later(api, hours=3)
    bank = filed(api, began, "lab_tech", "lab_tech2", "LAB")
    sealed(api)
    return story, began, bank, filed(api, began, "clinic_staff", "clinician", "CLINIC")


def test_every_step_of_a_withdrawal_that_is_entered_from_paper_is_marked_on_its_own_record_too(api: Api) -> None:
    story, began, bank, clinic = a_way(api)
    vial, base = story.vials[0], f"/withdrawals/{story.code}"
    steps: list[tuple[str, str, str, dict[str, Any]]] = [
        ("lab_tech", "/picks", bank, {"tube": vial, "place": place_of(api, vial)}),
        ("lab_tech2", "/picks", bank, {"tube": vial, "confirm": True}),
        ("lab_tech", "/issue", bank, {}),
        ("clinic_staff", "/receive", clinic, {"tubes": [vial], "container_intact": True, "label_legible": True}),
    ]
    for minute, (who, path, form, body) in enumerate(steps, start=1):
        at = began + timedelta(minutes=minute)
        sent = body | {"paper": form, "occurred_at": rfc3339(at)}
        entries = written_by(api, partial(getattr(api, who).post, base + path, json=sent))
        require_marked(entries, "withdrawal", at)
    shown = api.auditor.get(f"{base}/history").json()["items"][-1]
    assert (shown["kind"], shown["source"], shown["occurred_at"]) == ("withdrawal.received", "paper", rfc3339(at))


def test_what_is_called_off_on_paper_is_marked_on_the_tubes_that_it_frees(api: Api) -> None:
    story, began, _bank, clinic = a_way(api)
    at = began + timedelta(minutes=5)
    body = {"reason": "treatment_postponed", "paper": clinic, "occurred_at": rfc3339(at)}

    entries = written_by(api, lambda: api.clinician.post(f"/withdrawals/{story.code}/cancel", json=body))

    require_marked(entries, "specimen", at)


def topics(api: Api, story: Story) -> list[str]:
    """What quality was told about the story's tube, oldest first."""
    found = api.quality.get("/deviations", params={"open": True}).json()["items"]
    return [one["topic"] for one in reversed(found) if story.vials[0] in affected_by(api, one["code"])]


def affected_by(api: Api, code: str) -> set[str]:
    return {one["id"] for one in api.quality.get(f"/deviations/{code}").json()["affected"]}


def came_since(api: Api, story: Story, what: str) -> None:
    """Something that stands against it comes after it was done, and before it is entered."""
    revoke(api, story.donor) if what == "revoked" else hold(api, story)
    sealed(api)


@pytest.mark.parametrize("what", ["revoked", "held"])
def test_what_was_picked_and_issued_on_paper_before_something_came_is_entered_and_quality_is_told(api: Api, what: str) -> None:
    story, began, form, _ = a_way(api)
    vial, base = story.vials[0], f"/withdrawals/{story.code}"
    came_since(api, story, what)
    steps: list[tuple[str, str, dict[str, Any], str]] = [
        ("lab_tech", "/picks", {"tube": vial, "place": place_of(api, vial)}, "picked_before_it_was_known"),
        ("lab_tech2", "/picks", {"tube": vial, "confirm": True}, "picked_before_it_was_known"),
        ("lab_tech", "/issue", {}, "issued_before_it_was_known"),
    ]
    for minute, (who, path, body, topic) in enumerate(steps, start=1):
        live = getattr(api, who).post(base + path, json=body)
        refused(live, 409, "consent_revoked" if what == "revoked" else "on_hold")
        said = {"paper": form, "occurred_at": rfc3339(began + timedelta(minutes=minute))}
        answer = getattr(api, who).post(base + path, json=body | said)
        assert answer.status_code in (200, 201), answer.text
        assert topics(api, story)[-1] == topic and len(topics(api, story)) == minute


@pytest.mark.parametrize("what", ["revoked", "held"])
def test_what_was_thawed_and_labelled_on_paper_before_something_came_is_entered_and_quality_is_told(api: Api, what: str) -> None:
    demand(api)
    story = a_story(api, 2)
    assert story.request(route="thaw_and_ship").status_code == 201
    for step in (story.approve, story.pick, story.confirm):
        assert step().status_code in (200, 201)
    began = clock.now()
    later(api, minutes=50)
    sealed(api)
    form = filed(api, began, "lab_tech", "lab_tech2", "LAB")
    came_since(api, story, what)
    body = {"tube": story.vials[0], "method": "water bath 37 C", "duration_s": 90, "paper": form}
    refused(story.thaw(api.lab_tech), 409, "consent_revoked" if what == "revoked" else "on_hold")
    at = {"occurred_at": rfc3339(began + timedelta(minutes=5))}
    thawed = api.lab_tech.post(f"/withdrawals/{story.code}/thaw", json=body | at)
    assert thawed.status_code == 200, thawed.text
    assert topics(api, story) == ["thawed_before_it_was_known"]
    count(api, story)
    # What was labelled after it came is refused, on paper too.
    label = {"tube": story.print_label(), "paper": form, "occurred_at": rfc3339(clock.now())}
    refused(
        api.lab_tech.post(f"/withdrawals/{story.code}/final-label", json=label),
        409,
        "consent_revoked" if what == "revoked" else "on_hold",
    )


@pytest.mark.parametrize("what", ["revoked", "held"])
def test_a_final_label_that_was_put_on_before_something_came_is_entered_and_quality_is_told(api: Api, what: str) -> None:
    story = thawed(api)
    scan = story.print_label()
    began = clock.now()
    later(api, minutes=20)
    sealed(api)
    form = filed(api, began, "lab_tech", "lab_tech2", "LAB")
    came_since(api, story, what)
    refused(story.label(scan=scan), 409, "consent_revoked" if what == "revoked" else "on_hold")
    body = {"tube": scan, "paper": form, "occurred_at": rfc3339(began + timedelta(minutes=5))}
    answer = api.lab_tech.post(f"/withdrawals/{story.code}/final-label", json=body)
    assert answer.status_code == 200, answer.text
    assert answer.json()["waits_for"][0].startswith("It is stopped: ")
    assert topics(api, story) == ["labelled_before_it_was_known"]
    assert kinds_of(api, "specimen", story.vials[0])[-1] == "specimen.final_label_applied"
    assert story.issue().status_code == 409, "it is labelled, and it leaves all the same not"


def test_what_stood_at_its_own_time_refuses_a_pick_and_an_issue_on_paper_still(api: Api) -> None:
    story = a_story(api).up_to("approve")
    hold(api, story)
    began = clock.now()
    later(api, hours=3)
    sealed(api)
    form = filed(api, began, "lab_tech", "lab_tech2", "LAB")
    lift_all(api, story.vials[0])
    refused(story.pick(paper=form, occurred_at=rfc3339(began + timedelta(minutes=5))), 409, "on_hold")
    assert topics(api, story) == []


@pytest.mark.parametrize("seal", ["S-1", "S-2"])
def test_every_step_of_a_shipment_that_is_entered_from_paper_is_marked_on_its_own_record_too(api: Api, seal: str) -> None:
    pair = tubes(api, 2, frozen=True)
    began = clock.now()
    later(api, hours=3)
    bank = filed(api, began, "lab_tech", "lab_tech2", "LAB")
    left, came = began + timedelta(minutes=1), began + timedelta(minutes=20)
    sent = {"temperature_class": "ln2_vapour", "seal": "S-1", "paper": bank, "occurred_at": rfc3339(left)}

    entries = written_by(api, lambda: ship(api, api.lab_tech, pair, **sent))
    require_marked(entries, "shipment", left)
    (code,) = {one["id"] for one in entries if one["stream"] == "shipment"}
    other = filed(api, began, "north_tech", "quality", "NORTH")
    body = {"scanned": [{"specimen": one} for one in pair], "seal": seal, "seal_intact": True, "temperature_mc": -150_000}
    whole = body | {"paper": other, "occurred_at": rfc3339(came)}

    entries = written_by(api, lambda: api.north_tech.post(f"/shipments/{code}/receive", json=whole))

    require_marked(entries, "shipment", came)
    kinds = [one["kind"] for one in entries if one["stream"] == "shipment"]
    assert kinds == [*(["shipment.hold_placed"] if seal == "S-2" else []), "shipment.received", "shipment.closed"]


def test_what_came_back_on_paper_is_marked_on_the_shipment_too(api: Api) -> None:
    pair = tubes(api, 2, frozen=True)
    code = shipped(api, pair, temperature_class="ln2_vapour")
    began = clock.now()
    later(api, hours=3)
    bank, at = filed(api, began, "lab_tech", "lab_tech2", "LAB"), began + timedelta(minutes=9)
    body = {"reason": "too_warm", "paper": bank, "occurred_at": rfc3339(at)}

    entries = written_by(api, lambda: api.lab_tech.post(f"/shipments/{code}/refuse", json=body))

    require_marked(entries, "shipment", at)
