"""Every act of two people that the bank declares, tried by one: through the rule they share, and over a route of each."""

import ast
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import psycopg
import pytest
from sqlalchemy import text

import biobank.registries.declarations  # noqa: F401 - the list of acts is whole once these are imported
from biobank.acts.signing import Meaning
from biobank.acts.two_person import ACTS, Completed, PendingActDiffers, PendingActOver, SecondPersonMustDiffer, cancel_pending
from biobank.auth.permissions import Role
from biobank.custody.event import rules
from biobank.foundation import clock
from biobank.foundation.errors import NotPermitted, Refusal
from tests.acts.test_two_person import CODES, step
from tests.benches import stories as benches
from tests.conftest import Api, Client, TestBank
from tests.monitoring.test_excursions import a_tank
from tests.monitoring.test_sensors import a_sensor
from tests.people.api_clients import a_client
from tests.quality.test_identity_changes import BROWN, proposal_of
from tests.seed import A_REPORT
from tests.signing import signed
from tests.specimens import stories as specimens
from tests.withdrawals.stories import a_donor, bank_vials, by_two, sign_and_post

TESTS = Path(__file__).resolve().parent.parent

HERE = ("acts/test_every_act_of_two.py", "test_one_person_with_every_right_does_not_do_it_alone")
ONE_IS_NOT_TWO: dict[str, tuple[str, str]] = {
    "adverse.clear": ("withdrawals/test_judged_by_two.py", "test_neither_one_alone_nor_who_had_a_hand_in_it_is_the_second"),
    "bank.close": ("quality/test_closing.py", "test_one_person_alone_hands_nothing_over_and_nobody_else_does"),
    "bench.close": HERE,
    "bench.open": ("benches/test_sessions.py", "test_a_site_that_asks_for_two_has_both_look_and_sign"),
    "client.grant_key": HERE,
    "donor.change_identity": HERE,
    "donor.erase": ("donors/test_erasure.py", "test_one_signature_forgets_nothing"),
    "donor.lower_reserve": HERE,
    "donor.merge": ("quality/test_merging.py", "test_one_person_alone_merges_nothing_and_a_file_of_a_third_shows_nothing"),
    "harvest.reattribute": ("quality/test_reattributing.py", "test_one_person_alone_changes_nothing"),
    "labels.reconcile": (
        "labels/test_outdated_labels.py",
        "test_one_person_reconciles_nothing_and_other_figures_complete_nothing",
    ),
    "place.loosen_limits": ("monitoring/test_limits.py", "test_two_of_quality_loosen_a_limit_and_one_makes_it_stricter"),
    "recall.close": (
        "quality/test_recall_ending.py",
        "test_two_of_quality_close_a_recall_of_which_every_unit_is_decided_and_a_release_it_ended_stays_ended",
    ),
    "sensor.change": HERE,
    "sensor.grant_key": (
        "monitoring/test_sensors.py",
        "test_a_key_is_granted_by_two_drawn_once_by_the_second_and_kept_as_a_hash",
    ),
    "sensor.withdraw": HERE,
    "site.change_jurisdiction": (
        "quality/test_law_of_a_place.py",
        "test_one_of_quality_states_the_law_of_a_site_and_two_change_what_was_stated",
    ),
    "site.loosen_ending_rule": (
        "quality/test_newest_routes_hostile.py",
        "test_two_of_quality_loosen_a_rule_of_ending_and_one_makes_it_stricter",
    ),
    "specimen.discard": ("quality/test_disposal.py", "test_what_is_kept_frozen_is_announced_waits_and_is_then_destroyed_by_two"),
    "specimen.discard_vessels": ("quality/test_cultures.py", "test_nobody_discards_vessels_alone_or_all_of_them"),
    "specimen.give_up": (
        "quality/test_ending_hostile.py",
        "test_only_the_declared_pairs_transfer_out_give_up_and_allow_to_use_up",
    ),
    "specimen.reopen": ("quality/test_reopening.py", "test_two_of_quality_reopen_a_rejection_over_a_closed_investigation"),
    "specimen.resolve": ("quality/test_identifying.py", "test_one_person_is_not_enough"),
    "specimen.reverse": ("custody/test_reversal.py", "test_one_person_alone_or_a_technician_or_no_evidence_does_not_undo_an_end"),
    "specimen.transfer_out": ("quality/test_disposal.py", "test_another_establishment_takes_a_vial_over_for_good"),
    "specimen.use_up": (
        "quality/test_ending_hostile.py",
        "test_only_the_declared_pairs_transfer_out_give_up_and_allow_to_use_up",
    ),
    "user.grant_role": ("people/test_roles.py", "test_an_administrator_who_is_quality_too_still_needs_someone_else"),
    "user.of_person": HERE,
    "user.reactivate": HERE,
    "user.reset_password": ("people/test_one_time_codes.py", "test_who_is_administrator_and_quality_is_still_one_person"),
    "user.revoke_role": HERE,
    "webhook.open": ("webhooks/test_subscriptions.py", "test_one_person_alone_lets_nothing_go"),
    "withdrawal.approve": ("withdrawals/test_last_vial.py", "test_two_of_quality_sign_for_the_last_unit_and_below_the_reserve"),
    "withdrawal.given_before": (
        "withdrawals/test_given_before.py",
        "test_who_checked_it_or_had_a_hand_in_it_does_not_confirm_it",
    ),
}


def test_of_every_act_a_test_shows_over_its_route_that_one_person_is_not_two() -> None:
    assert set(ONE_IS_NOT_TWO) == set(ACTS)
    for act, shown in ONE_IS_NOT_TWO.items():
        file, name = shown
        tree = ast.parse((TESTS / file).read_text())
        bodies = [ast.unparse(one) for one in tree.body if isinstance(one, ast.FunctionDef) and one.name == name]
        assert bodies, f"{act}: there is no {name}"
        assert "second_person_must_differ" in bodies[0] or "taken_by" in bodies[0], f"{act}: {name} tries no single person"
    assert {act for act, shown in ONE_IS_NOT_TWO.items() if shown == HERE} == set(SCENES)


BY_AN_ACT = {
    "container.limits_set": "place.loosen_limits",
    "donor.erased": "donor.erase",
    "donor.harvest_joined": "harvest.reattribute",
    "donor.harvest_left": "harvest.reattribute",
    "donor.identity_changed": "donor.change_identity",
    "donor.merged": "donor.merge",
    "donor.reserve_set": "donor.lower_reserve",
    "specimen.discarded": "specimen.discard",
    "specimen.identified": "specimen.resolve",
    "specimen.lost": "specimen.give_up",
    "specimen.reattributed": "harvest.reattribute",
    "specimen.reopened": "specimen.reopen",
    "specimen.reversed": "specimen.reverse",
    "specimen.transferred_out": "specimen.transfer_out",
    "specimen.use_up_allowed": "specimen.use_up",
    "specimen.vessels_discarded": "specimen.discard_vessels",
    "system.adverse_assessed": "adverse.clear",
    "system.bench_closed": "bench.close",
    "system.bench_opened": "bench.open",
    "system.class_limits_set": "place.loosen_limits",
    "system.client_key_granted": "client.grant_key",
    "system.closing_carried_out": "bank.close",
    "system.ending_rule_set": "site.loosen_ending_rule",
    "system.site_jurisdiction_stated": "site.change_jurisdiction",
    "system.labels_reconciled": "labels.reconcile",
    "system.recall_closed": "recall.close",
    "system.sensor_changed": "sensor.change",
    "system.sensor_key_granted": "sensor.grant_key",
    "system.sensor_withdrawn": "sensor.withdraw",
    "system.webhook_opened": "webhook.open",
    "user.enrolment_opened": "user.reset_password",
    "user.of_person": "user.of_person",
    "user.password_reset": "user.reset_password",
    "user.reactivated": "user.reactivate",
    "user.role_granted": "user.grant_role",
    "user.role_revoked": "user.revoke_role",
    "withdrawal.given_before_confirmed": "withdrawal.given_before",
    "withdrawal.remainder_accepted": "withdrawal.approve",
}
"""Kinds of events that name two people, by the act of the registry that brings them."""
BY_STEPS = {
    "container.count_resolved": ("storage/test_counts.py", "test_another_login_of_whoever_counted_does_not_count_again"),
    "donor.consent_given": ("donors/test_consents.py", "test_a_consent_cannot_be_given_tomorrow_nor_witnessed_by_nobody"),
    "donor.identified": ("donors/test_identification.py", "test_one_person_cannot_be_both"),
    "system.paper_form_filed": (
        "quality/test_paper.py",
        "test_a_form_is_filed_by_one_of_two_people_with_its_file_and_opens_a_deviation",
    ),
    "withdrawal.bedside_check_passed": (
        "withdrawals/test_refusals_at_the_clinic.py",
        "test_one_person_alone_never_makes_a_release",
    ),
    "withdrawal.pick_confirmed": ("withdrawals/test_refusals.py", "test_the_one_who_took_it_out_does_not_confirm"),
}
"""The others: two steps, each by itself and seen by the patient or in the hand, that are no proposal and its completing; and what
says who stood by, on paper or as a witness."""
_NAMES_TWO = re.compile(r"^(signatures|second|second_\w+|first_by|first_checker|completed_by|picked_by|witnessed_by)$")


def test_every_event_that_names_two_people_comes_from_the_registry_or_says_from_which_two_steps() -> None:
    of_two = {kind for kind, event in rules.by_kind.items() if any(_NAMES_TWO.match(name) for name in event.model_fields)}

    assert of_two == BY_AN_ACT.keys() | BY_STEPS.keys()
    assert not BY_AN_ACT.keys() & BY_STEPS.keys()
    assert set(BY_AN_ACT.values()) == set(ACTS)
    for file, name in BY_STEPS.values():
        assert f"def {name}(" in (TESTS / file).read_text()


def test_one_place_alone_completes_a_proposal() -> None:
    completing = [
        path.name
        for path in (TESTS.parent / "biobank").rglob("*.py")
        if "update(_pending)" in (source := path.read_text()) and "completed_by=" in source
    ]
    assert completing == ["two_person.py"]


def same_person(bank: TestBank, one: str | None, other: str) -> None:
    """Say that a login is another one of somebody's, or of nobody else."""
    query = text("UPDATE app_user SET person_code = :one WHERE code = :other")
    bank.write(lambda s: s.execute(query, {"one": one and CODES[one], "other": CODES[other]}))


def lose(statement: str) -> Callable[[TestBank], Any]:
    def work(bank: TestBank) -> None:
        with psycopg.connect(bank.dsn()) as connection:
            connection.execute(statement, (CODES["quality"],))

    return work


@dataclass(frozen=True)
class Attack:
    """What happens between the two halves, what the second sends otherwise, and how it is refused."""

    refused: type[Refusal]
    between: Callable[[TestBank], Any] = lambda _bank: None
    second: str = "quality2"
    changed: tuple[tuple[str, Any], ...] = ()
    hands: tuple[str, ...] = ()


ATTACKS = {
    "by the same login": Attack(SecondPersonMustDiffer, second="quality"),
    "by another login of the same person": Attack(SecondPersonMustDiffer, lambda bank: same_person(bank, "quality", "quality2")),
    "by the hands that the first named": Attack(SecondPersonMustDiffer, hands=(CODES["quality2"],)),
    "by who may not": Attack(NotPermitted, second="lab_tech"),
    "by who may at one site only": Attack(NotPermitted, second="lab_quality"),
    "about something else": Attack(PendingActDiffers, changed=(("subject", "DV-OTHER12"),)),
    "saying something else": Attack(PendingActDiffers, changed=(("body", {"donor": "DN-2"}),)),
    "meaning something else": Attack(PendingActDiffers, changed=(("meaning", Meaning.REVIEWED),)),
    "a day too late": Attack(PendingActOver, lambda _: clock.set_offset(timedelta(hours=24, seconds=1), test_mode=True)),
    "after the first lost the role": Attack(PendingActOver, lose("DELETE FROM user_role WHERE user_code = %s")),
    "after the first was shut": Attack(PendingActOver, lose("UPDATE app_user SET active = false WHERE code = %s")),
}


@pytest.mark.parametrize("attack", sorted(ATTACKS))
def test_no_act_is_completed(bank: TestBank, attack: str) -> None:
    """Each act of the list, and the same proposal completed by two real people in the end where the attack left it."""
    tried = ATTACKS[attack]
    proposals = {name: step(bank, "quality", name=name, hands=tried.hands).pending_act for name in ACTS}
    tried.between(bank)
    for name, pending in proposals.items():
        with pytest.raises(tried.refused):
            step(bank, tried.second, pending, **({"name": name} | dict(tried.changed)))


def test_each_act_is_completed_by_another_person_once_and_not_as_another_act_nor_when_it_was_taken_back(bank: TestBank) -> None:
    names = list(ACTS)

    def taken_back(pending: UUID) -> None:
        bank.write(lambda s: cancel_pending(s, bank.act("quality"), pending))

    for name, other in zip(names, names[1:] + names[:1], strict=True):
        pending = step(bank, "quality", name=name).pending_act
        with pytest.raises(PendingActDiffers):
            step(bank, "quality2", pending, name=other)
        assert isinstance(step(bank, "quality2", pending, name=name), Completed)
        with pytest.raises(PendingActOver):
            step(bank, "quality2", pending, name=name)
        back = step(bank, "quality", name=name).pending_act
        taken_back(back)
        with pytest.raises(PendingActOver):
            step(bank, "quality2", back, name=name)


@dataclass(frozen=True)
class Scene:
    """Where an act waits for its first person: what they send, and what the second does with it."""

    path: str
    body: dict[str, Any]
    meaning: str = "decided"
    method: str = "POST"
    completing: Callable[[Client, str], dict[str, Any]] | None = None

    def half(self, client: Client, pending: str | None = None) -> httpx.Response:
        """Send one half of it, signed."""
        body = self.body if pending is None else self.body | {"pending_act": pending}
        if pending is not None and self.completing is not None:
            body = self.completing(client, pending)
        return client.request(self.method, self.path, json=signed(client, self.meaning, self.path, body, method=self.method))


def closing_a_bench(api: Api) -> Scene:
    bench = benches.workstation(api)
    benches.rule(api, "cleared_alone", "refuse")
    seen = {"workstation": bench, "cleared": True}
    donor = specimens.donor(api)
    specimens.raw_fat(api, donor)
    opened = by_two(api.lab_tech, api.lab_tech2, f"/workstations/{bench}/sessions", seen | {"donor": donor}, "witnessed")
    return Scene(f"/bench-sessions/{opened.json()['code']}/close", seen, "witnessed")


def lowering_a_reserve(api: Api) -> Scene:
    donor = a_donor(api)
    bank_vials(api, donor, 2)
    path, kept = f"/donors/{donor}/reserves", {"material": "adsc", "units": 2}
    assert sign_and_post(api.quality, "decided", path, kept).status_code in (200, 201)
    return Scene(path, kept | {"units": 1})


def changing_who_somebody_is(api: Api) -> Scene:
    donor = a_donor(api)

    def completing(client: Client, pending: str) -> dict[str, Any]:
        said = proposal_of(client, donor)
        assert said["pending_act"] == pending
        assert client.get(f"/donors/{donor}/proposed-identity").status_code == 200
        return said

    return Scene(f"/donors/{donor}/identity-changes", BROWN | {"evidence_sha256": A_REPORT}, completing=completing)


def opening_a_login(api: Api) -> Scene:
    path = f"/users/{CODES['quality']}"
    assert api.admin.patch(path, json={"active": False, "reason": "left_the_bank"}).status_code == 200
    return Scene(path, {"active": True, "reason": "came_back"}, "approved", "PATCH")


def freeing_a_login(api: Api) -> Scene:
    path = f"/users/{CODES['lab_tech2']}"
    assert api.admin.patch(path, json={"same_person_as": CODES["lab_tech"]}).status_code == 200
    return Scene(path, {"same_person_as": CODES["lab_tech2"]}, "approved", "PATCH")


def changing_a_sensor(api: Api) -> Scene:
    sensor, other = a_sensor(api, a_tank(api)), a_tank(api, "Other")
    reads = {"containers": [other], "measures": ["temperature_mc"], "silent_after_min": 60}
    return Scene(f"/sensors/{sensor}/change", reads)


SCENES: dict[str, Callable[[Api], Scene]] = {
    "bench.close": closing_a_bench,
    "client.grant_key": lambda api: Scene(f"/api-clients/{a_client(api)}/key", {}),
    "donor.change_identity": changing_who_somebody_is,
    "donor.lower_reserve": lowering_a_reserve,
    "sensor.change": changing_a_sensor,
    "sensor.withdraw": lambda api: Scene(f"/sensors/{a_sensor(api, a_tank(api))}/withdraw", {"reason": "broken"}),
    "user.of_person": freeing_a_login,
    "user.reactivate": opening_a_login,
    "user.revoke_role": lambda _api: Scene(
        f"/users/{CODES['lab_tech']}/roles/revoke", {"role": "lab_tech", "site": "LAB"}, "role_change"
    ),
}


@pytest.mark.parametrize("name", sorted(SCENES))
def test_one_person_with_every_right_does_not_do_it_alone(api: Api, name: str) -> None:
    scene = SCENES[name](api)
    with psycopg.connect(api.test_bank.dsn()) as connection:
        for login in ("admin", "quality2"):
            connection.execute("DELETE FROM user_role WHERE user_code = %s", (CODES[login],))
            for role in Role:
                given = "INSERT INTO user_role (user_code, role, granted_at, granted_by) VALUES (%s, %s, now(), 'SYSTEM')"
                connection.execute(given, (CODES[login], role.value))
    first = scene.half(api.admin)
    assert first.json().get("status") == "pending", first.text
    pending = first.json()["pending_act"]

    alone = scene.half(api.admin, pending)
    assert (alone.status_code, alone.json()["code"]) == (403, "second_person_must_differ"), alone.text
    same_person(api.test_bank, "admin", "quality2")
    again = scene.half(api.quality2, pending)
    assert (again.status_code, again.json()["code"]) == (403, "second_person_must_differ"), again.text
    same_person(api.test_bank, None, "quality2")
    done = scene.half(api.quality2, pending)
    assert done.status_code in (200, 201), done.text
    assert done.json().get("status") != "pending"
