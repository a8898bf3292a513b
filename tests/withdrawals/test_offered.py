"""What the pages offer is what the use cases accept: every step of a withdrawal, in every state, for logins of two sites.

Each use case is really run, as that person, and rolled back. A step that only waits for a signature was accepted by its rules.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from itertools import product
from typing import Any
from uuid import uuid4

import pytest
from pydantic import BaseModel
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.auth.actor import Actor
from biobank.foundation import clock
from biobank.foundation.errors import Refusal, Refused
from biobank.pages.withdrawals.steps import OWN_PAGES
from biobank.pages.withdrawals.withdrawals import acts_of, read_whole
from biobank.withdrawals.review import read_review
from biobank.withdrawals.step_rules import ONE_TUBE
from biobank.withdrawals.steps import STEPS
from tests.conftest import Api
from tests.donors import stories as donors
from tests.pages.visitor import BROWSER, Visit
from tests.viability.test_reports import demand
from tests.withdrawals.growing import at_the_bench, expand, grown_of
from tests.withdrawals.stories import AMOUNT, Story, a_story, place_of, sealed, sign_and_post

LOGINS = (
    *("lab_tech", "lab_tech2", "north_tech", "clinician", "clinic_staff", "quality"),
    *("lab_tech_north_quality", "acts_here", "reads_here_acts_elsewhere"),
)
REACHED = ("request", "approve", "pick", "confirm", "issue", "receive", "thaw", "check", "administer")


class Undone(Exception):
    """Ends a transaction that nobody wants."""


def at_every_state(api: Api) -> dict[str, Story]:
    """A withdrawal in each state, and some in which something else stands in the way."""
    demand(api)
    stories = {name: a_story(api, vials=2).up_to(name) for name in REACHED}
    stories["at_the_bench"] = on_the_bench_route(api)
    stories["thawed_at_the_bench"] = on_the_bench_route(api)
    assert stories["thawed_at_the_bench"].thaw(api.lab_tech).status_code == 200
    ready_for_its_label(api, stories["thawed_at_the_bench"])
    stories["to_be_grown"] = at_the_bench(api)
    stories["grown"] = at_the_bench(api)
    assert expand(stories["grown"]).status_code == 200
    stories["with_a_courier"] = a_story(api, vials=2).up_to("confirm")
    assert stories["with_a_courier"].issue(courier="CRYOGO", evidence="CG 4711").status_code == 200
    stories["returned"] = a_story(api, vials=2).up_to("receive")
    assert stories["returned"].take_back().status_code == 200
    stories["closed"] = a_story(api, vials=2).up_to("administer")
    assert stories["closed"].outcome(close=True).status_code == 200
    stories["rejected"] = a_story(api, vials=2).up_to("request")
    rejected = f"/withdrawals/{stories['rejected'].code}/reject"
    assert sign_and_post(api.quality, "rejected", rejected, {"reason": "clinical_reason"}).status_code == 200
    stories["cancelled"] = a_story(api, vials=2).up_to("approve")
    cancelled = f"/withdrawals/{stories['cancelled'].code}/cancel"
    assert api.clinician.post(cancelled, json={"reason": "postponed"}).status_code == 200
    for reached in ("request", "approve", "confirm", "check"):
        stories[f"{reached}_revoked"] = a_story(api, vials=2).up_to(reached)
        revoke(api, stories[f"{reached}_revoked"])
    stories["confirm_held"] = a_story(api, vials=2).up_to("confirm")
    hold(api, stories["confirm_held"])
    two = a_story(api, vials=3)
    assert two.request(specimens=two.vials[:2]).status_code == 201
    stories["one_of_two_picked"] = and_then(two, "approve", "pick")
    return stories


def and_then(story: Story, *steps: str) -> Story:
    """Take these steps and insist that they work."""
    for name in steps:
        answer = getattr(story, name)()
        assert answer.status_code in (200, 201), (name, answer.text)
    return story


def on_the_bench_route(api: Api) -> Story:
    story = a_story(api, vials=2)
    assert story.request(route="thaw_and_ship").status_code == 201
    return and_then(story, "approve", "pick", "confirm")


def ready_for_its_label(api: Api, story: Story) -> None:
    """Its count passed, and a label was printed; what its symbol says is kept in `scans`."""
    counted = {"method": "ao_pi", "live": 95, "dead": 5, "minutes_after_thaw": 1, "expected_seq": seq_of(api, story.vials[0])}
    answer = api.lab_tech.post(f"/specimens/{story.vials[0]}/viability-assays", json=counted)
    assert answer.status_code == 201, answer.text
    story.scans["label"] = story.print_label()


def seq_of(api: Api, vial: str) -> int:
    return int(api.lab_tech.get(f"/specimens/{vial}/custody").json()["items"][-1]["seq"])


def revoke(api: Api, story: Story) -> None:
    consent = api.clinician.get(f"/donors/{story.donor}").json()["consents"][0]["id"]
    assert api.clinician.post(f"/donors/{story.donor}/consents/{consent}/revoke", json={}).status_code in (200, 201)


def hold(api: Api, story: Story) -> None:
    body = {"scope_kind": "specimen", "scope_id": story.vials[0], "kind": "quality", "reason": "result_awaited"}
    assert api.lab_tech.post("/holds", json=body).status_code == 201


def body_of(story: Story, name: str, tube: str, at: datetime | None = None) -> BaseModel:
    """What a person who does everything right sends."""
    looked = {"container_intact": True, "label_legible": True, "temperature_mc": -150_000}
    given = {"given": AMOUNT, "residue": 0, "loss": 0, "volume_ul": 1500, "anatomical_site": "scalp", "reaction": False}
    given |= {"started_at": at or clock.now()}
    decided = {"site": "LAB", "reason": "postponed", "quality": "quarantined"}
    bodies: dict[str, dict[str, Any]] = {
        "approve": {},
        "reject": {"reason": "clinical_reason"},
        "replace": {"tube": tube, "by": story.vials[-1], "reason": "postponed"},
        "cancel": {"reason": "postponed"},
        "pick": {"tube": tube, "place": place_of(story.api, tube) if name == "pick" else None},
        "confirm": {"tube": tube, "confirm": True},
        "thaw": {"tube": tube, "method": "water bath 37 C", "duration_s": 90},
        "label": {"tube": story.scans.get("label", tube)},
        "expand": grown_of(story.api, {"specimen": tube}),
        "issue": {},
        "receive": {"tubes": [tube]} | looked,
        "check": {"wristband": story.band, "product": tube, "device": "tablet-of-another"},
        "paper": {},
        "administer": {"product": tube, "release": story.release or str(uuid4())} | given,
        # It fits whether or not something was given.
        "outcome": {"result": "lost_to_follow_up", "close": False},
        "adverse": {"kind": "event", "seriousness": "serious", "in_lot": True, "seen_at": at or clock.now(), "words": "Fever."},
        "return": {"tube": tube} | decided,
    }
    return STEPS[name].model.model_validate({k: v for k, v in bodies[name].items() if v is not None})


UNSAID = ("signature_required", "picture_unnamed")
"""What a body lacks that only a person at the page can give: a step refused for that alone was accepted by its rules."""


def accepts(api: Api, act: Act, story: Story, name: str) -> bool:
    """Whether the use case takes the step for one of the tubes."""

    def run(body: BaseModel, session: Session) -> None:
        answer = STEPS[name].use_case(session, act, story.code, body)
        raise answer.refusal if isinstance(answer, Refused) else Undone

    # The last vial is none of the withdrawal's: it is there to replace one.
    for tube in story.vials[:-1] if name in ONE_TUBE else story.vials[:1]:
        try:
            api.test_bank.write(partial(run, body_of(story, name, tube, act.at)))
        except Undone:
            return True
        except Refusal as refusal:
            if refusal.code in UNSAID:
                return True
    return False


def offers(api: Api, actor: Actor, story: Story) -> set[str]:
    """The steps that the withdrawal's page draws as buttons; what was planned, or given before, is no step."""
    bank = api.test_bank.bank
    try:
        whole = api.test_bank.write(lambda session: read_whole(session, actor, story.code, bank))
    except Refusal:
        return set()
    here = f"/withdrawals/{story.code}/"
    return {act.href.removeprefix(here) for act in acts_of(whole) if act.href.startswith(here)} - {"outcomes", "given-before"}


@pytest.mark.slow
def test_a_step_is_offered_exactly_when_it_would_be_accepted(api: Api) -> None:
    seen: set[str] = set()
    stories = at_every_state(api)
    for story in stories.values():
        story.band = story.band or donors.band(api, story.donor)
    sealed(api)
    acts = {login: api.test_bank.act(login) for login in LOGINS}
    for (reached, story), (login, act) in product(stories.items(), acts.items()):
        offered = offers(api, act.actor, story)
        seen |= offered

        assert offered == {name for name in STEPS if accepts(api, act, story, name)}, (reached, login)
    assert seen == set(STEPS), "every step was offered to somebody"


def test_the_form_of_a_step_opens_exactly_when_the_step_is_offered(api: Api, visit: Visit) -> None:
    stories = [a_story(api).up_to(reached) for reached in ("request", "confirm", "receive", "administer")]
    for login in ("acts_here", "lab_tech", "reads_here_acts_elsewhere"):
        visitor = visit(login)
        for story in stories:
            here = f"/withdrawals/{story.code}"
            drawn = visitor.get(here, headers=BROWSER).text
            for name in set(STEPS) - OWN_PAGES:
                opened = visitor.get(f"{here}/{name}", headers=BROWSER).status_code == 200
                assert opened == (f'href="{here}/{name}"' in drawn), (login, name)


AGAINST: dict[str, Callable[[Api, Story], None]] = {"revoked": revoke, "held": hold}


@pytest.mark.parametrize(
    "against", [(), ("revoked",), ("held",), ("revoked", "held")], ids=lambda names: "+".join(names) or "none"
)
@pytest.mark.parametrize("asked_by", ["clinician", "acts_here"])
def test_the_review_lists_what_the_approval_is_refused_for_and_its_first_is_what_approve_answers(
    api: Api, visit: Visit, against: Sequence[str], asked_by: str
) -> None:
    story = a_story(api)
    asked = {"donor": story.donor, "material": "adsc", "route": "ship_frozen", "specimens": story.vials}
    story.code = getattr(api, asked_by).post("/withdrawals", json=asked).json()["code"]
    for name in against:
        AGAINST[name](api, story)
    sealed(api)
    act = api.test_bank.act("acts_here")
    review = api.test_bank.write(lambda s: read_review(s, act.actor, story.code, api.test_bank.bank))
    answers: list[Refusal] = []

    def approve(session: Session) -> None:
        STEPS["approve"].use_case(session, act, story.code, body_of(story, "approve", story.vials[0]))

    try:
        api.test_bank.write(approve)
    except Refusal as refusal:
        answers.append(refusal)

    assert [one.code for one in review.refusals[:1] or answers] == [one.code for one in answers]
    assert [one.detail for one in review.refusals][:1] == [one.detail for one in answers if one.code not in UNSAID]
    codes = {one.code for one in review.refusals}
    assert ("own_request" in codes) == (asked_by == "acts_here")
    assert ("consent_revoked" in codes) == ("revoked" in against)
    assert ("on_hold" in codes) == ("held" in against)
    page = visit("acts_here").get_page(f"/withdrawals/{story.code}/approve")
    assert all(said in page for said in review.against)
