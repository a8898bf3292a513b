"""What PostgreSQL refuses by itself: each guard of the withdrawal tables, attacked by raw SQL as the owner of the database."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from tests import seed
from tests.conftest import Api, Told
from tests.withdrawals.stories import Story, a_story, of_one_person
from tests.withdrawals.test_final_label import thawed

CHECKERS = (seed.USERS["clinician"].code, seed.USERS["clinic_staff"].code)


@dataclass
class Attack:
    """Two donors with vials and withdrawals underway, and a connection that obeys no service."""

    story: Story
    other: Story
    connection: "psycopg.Connection[Any]"

    def refused_by(self, constraint: str, sql: str, *values: object) -> None:
        """Run the statement up to its commit and insist on the name of the constraint that stops it."""
        with pytest.raises(psycopg.errors.IntegrityError) as caught:
            self._run_to_the_end(sql, values)
        self.connection.rollback()
        assert caught.value.diag.constraint_name == constraint

    def _run_to_the_end(self, sql: str, values: tuple[object, ...]) -> None:
        self.connection.execute(sql, values)
        self.connection.execute("SET CONSTRAINTS ALL IMMEDIATE")

    def insert(self, table: str, **row: object) -> tuple[str, list[object]]:
        """An INSERT and its values."""
        names, marks = ", ".join(row), ", ".join(["%s"] * len(row))
        return f"INSERT INTO {table} ({names}) VALUES ({marks})", list(row.values())


@pytest.fixture(scope="module")
def told(tell_once: Callable[..., Told[tuple[Story, Story]]]) -> Told[tuple[Story, Story]]:
    return tell_once(lambda api: (a_story(api, 2).up_to("check"), a_story(api, 2).up_to("check")))


@pytest.fixture
def attack(told: Told[tuple[Story, Story]], begin: Callable[..., Api]) -> Iterator[Attack]:
    api = begin(told)
    story, other = (replace(story, api=api) for story in told.story)
    with psycopg.connect(api.test_bank.dsn("owner")) as connection:
        yield Attack(story, other, connection)


def row_of(attack: Attack, table: str, **where: object) -> dict[str, Any]:
    """One row as a dictionary, without what the database computes."""
    condition = " AND ".join(f"{name} = %s" for name in where)
    cursor = attack.connection.execute(f"SELECT * FROM {table} WHERE {condition}", list(where.values()))
    names = [column.name for column in cursor.description or ()]
    row = dict(zip(names, cursor.fetchone() or (), strict=True))
    for computed in ("consumed", "check_passed", "release_consumed", "marked"):
        row.pop(computed, None)
    return row


def test_a_withdrawal_for_another_person_is_refused(attack: Attack) -> None:
    attack.refused_by(
        "recipient_is_the_donor",
        "UPDATE withdrawal SET recipient_code = %s WHERE code = %s",
        attack.other.donor,
        attack.story.code,
    )


def test_an_item_of_another_donor_is_refused(attack: Attack) -> None:
    row = row_of(attack, "withdrawal_item", withdrawal_code=attack.story.code) | {"specimen_code": attack.other.vials[1]}
    del row["specimen_donor"]  # which the database computes
    attack.refused_by("item_is_of_its_donor", *_flat(attack.insert("withdrawal_item", **row)))
    row |= {"donor_code": attack.other.donor}
    attack.refused_by("item_goes_back_to_its_donor", *_flat(attack.insert("withdrawal_item", **row)))
    row |= {"recipient_code": attack.other.donor}
    attack.refused_by("item_is_for_its_recipient", *_flat(attack.insert("withdrawal_item", **row)))


def test_a_reservation_for_a_withdrawal_that_never_asked_is_refused(attack: Attack) -> None:
    sql = "UPDATE custody SET reserved_for = %s WHERE code = %s"
    name = "reserved_for_a_withdrawal_it_is_an_item_of"
    attack.refused_by(name, sql, attack.other.code, attack.story.vials[0])
    attack.refused_by(name, sql, attack.story.code, attack.story.vials[1])


def test_a_withdrawal_goes_on_only_when_someone_else_approved_it(attack: Attack) -> None:
    sql = "UPDATE withdrawal SET {} WHERE code = %s"
    attack.refused_by(
        "what_goes_on_was_approved_and_signed",
        sql.format("approved_by = NULL, approved_at = NULL, approval_signature = NULL"),
        attack.story.code,
    )
    attack.refused_by("requester_does_not_approve", sql.format("approved_by = requested_by"), attack.story.code)
    attack.refused_by("withdrawal_state_is_known", sql.format("state = 'given_away'"), attack.story.code)


def test_a_pick_confirmed_by_the_picker_is_refused(attack: Attack) -> None:
    attack.refused_by(
        "picking_has_two_people",
        "UPDATE withdrawal_pick SET confirmed_by = picked_by WHERE withdrawal_code = %s",
        attack.story.code,
    )


def test_a_bedside_check_by_one_person_is_refused(attack: Attack) -> None:
    row = row_of(attack, "bedside_check", withdrawal_code=attack.story.code)
    row |= {"id": "00000000-0000-4000-8000-000000000001", "second_checker": row["first_checker"]}
    attack.refused_by("bedside_check_has_two_people", *_flat(attack.insert("bedside_check", **row)))


def test_a_check_of_what_is_no_item_is_refused(attack: Attack) -> None:
    row = row_of(attack, "bedside_check", withdrawal_code=attack.story.code)
    row |= {"id": "00000000-0000-4000-8000-000000000001", "specimen_code": attack.story.vials[1]}
    attack.refused_by("check_is_of_an_item", *_flat(attack.insert("bedside_check", **row)))


def test_an_ended_check_never_changes(attack: Attack) -> None:
    attack.refused_by(
        "bedside_check_ends_once", "UPDATE bedside_check SET passed = false WHERE withdrawal_code = %s", attack.story.code
    )


def release_row(attack: Attack) -> dict[str, Any]:
    row = row_of(attack, "bedside_release", withdrawal_code=attack.story.code)
    return row | {"id": "00000000-0000-4000-8000-000000000002"}


def test_a_release_by_one_person_is_refused(attack: Attack) -> None:
    row = release_row(attack)
    row |= {"second_checker": row["first_checker"]}
    attack.refused_by("bedside_release_has_two_people", *_flat(attack.insert("bedside_release", **row)))


def test_a_release_of_another_donors_cells_is_refused(attack: Attack) -> None:
    attack.connection.execute("ALTER TABLE bedside_release DROP CONSTRAINT release_comes_from_a_passed_check")
    attack.connection.execute("ALTER TABLE bedside_release DROP CONSTRAINT a_check_gives_one_release")
    attack.connection.commit()
    row = release_row(attack) | {"specimen_code": attack.other.vials[0]}
    attack.refused_by("release_is_of_the_donors_cells", *_flat(attack.insert("bedside_release", **row)))
    row |= {"donor_code": attack.other.donor}
    attack.refused_by("release_is_for_the_recipient", *_flat(attack.insert("bedside_release", **row)))


def test_a_release_that_no_two_people_made_is_refused(attack: Attack) -> None:
    row = release_row(attack)
    attack.refused_by("a_check_gives_one_release", *_flat(attack.insert("bedside_release", **row)))
    row |= {"check_id": "00000000-0000-4000-8000-000000000003"}
    attack.refused_by("release_comes_from_a_passed_check", *_flat(attack.insert("bedside_release", **row)))


def test_a_release_for_hours_is_refused(attack: Attack) -> None:
    row = release_row(attack)
    attack.connection.execute("ALTER TABLE bedside_release DROP CONSTRAINT a_check_gives_one_release")
    attack.connection.commit()
    row |= {"expires_at": row["made_at"] + timedelta(minutes=16)}
    attack.refused_by("a_release_lasts_minutes", *_flat(attack.insert("bedside_release", **row)))


def test_a_release_is_never_moved_to_another_specimen_or_prolonged(attack: Attack) -> None:
    for change in (f"specimen_code = '{attack.story.vials[1]}'", "expires_at = expires_at + interval '1 minute'"):
        attack.refused_by("release_is_never_changed", f"UPDATE bedside_release SET {change} WHERE id = %s", attack.story.release)


def test_an_expired_release_is_not_used(attack: Attack) -> None:
    attack.refused_by(
        "a_release_is_used_while_it_lasts",
        "UPDATE bedside_release SET consumed_at = expires_at + interval '1 second' WHERE id = %s",
        attack.story.release,
    )


def test_a_used_release_is_not_used_again(attack: Attack) -> None:
    assert attack.story.administer().status_code == 200
    for change in ("consumed_at = made_at", "consumed_at = NULL", "ended_at = now(), ended_because = 'x'"):
        attack.refused_by("release_is_used_once", f"UPDATE bedside_release SET {change} WHERE id = %s", attack.story.release)


def test_an_ended_release_is_not_used(attack: Attack) -> None:
    end = "UPDATE bedside_release SET ended_at = now(), ended_because = 'test' WHERE id = %s"
    attack.connection.execute(end, (attack.story.release,))
    attack.connection.commit()
    for change in ("consumed_at = made_at", "ended_at = NULL, ended_because = NULL"):
        attack.refused_by("release_is_used_once", f"UPDATE bedside_release SET {change} WHERE id = %s", attack.story.release)


def administered(release: str | None) -> str:
    """The update of custody that a service would make, without one."""
    under = "NULL" if release is None else f"'{release}'"
    return f"UPDATE custody SET state = 'administered', administered_under = {under} WHERE code = %s"


def test_an_administration_without_a_consumed_release_of_these_cells_is_refused(attack: Attack) -> None:
    vial = attack.story.vials[0]
    attack.refused_by("administered_iff_under_a_release", administered(None), vial)
    attack.refused_by("administered_under_a_consumed_release", administered(attack.story.release), vial)
    assert attack.other.administer().status_code == 200
    attack.refused_by("administered_under_a_consumed_release", administered(attack.other.release), vial)


def test_an_administration_that_the_log_does_not_tell_is_refused(attack: Attack) -> None:
    attack.connection.execute("UPDATE bedside_release SET consumed_at = made_at WHERE id = %s", (attack.story.release,))
    attack.refused_by("custody_follows_log", administered(attack.story.release), attack.story.vials[0])


def test_an_administration_row_needs_its_release_and_accounts_for_every_cell(attack: Attack) -> None:
    assert attack.other.administer().status_code == 200
    row = row_of(attack, "administration", specimen_code=attack.other.vials[0])
    unused = row | {"release_id": attack.story.release}
    attack.refused_by("administration_uses_a_consumed_release", *_flat(attack.insert("administration", **unused)))
    attack.refused_by("pk_administration", *_flat(attack.insert("administration", **row)))
    attack.refused_by("every_cell_is_accounted_for", *_flat(attack.insert("administration", **(row | {"loss": 1}))))


def test_a_check_on_one_device_or_on_none_is_refused(attack: Attack) -> None:
    row = row_of(attack, "bedside_check", withdrawal_code=attack.story.code) | {"id": uuid4()}
    one = row | {"second_device": row["first_device"].upper()}
    attack.refused_by("bedside_check_has_two_devices", *_flat(attack.insert("bedside_check", **one)))
    for device in ("first_device", "second_device"):
        none = row | {device: None}
        attack.refused_by("each_at_the_bedside_names_a_device", *_flat(attack.insert("bedside_check", **none)))


@pytest.mark.parametrize("table", ["withdrawal", "withdrawal_item", "withdrawal_pick", "bedside_check", "bedside_release"])
def test_nothing_of_a_withdrawal_is_deleted(attack: Attack, table: str) -> None:
    with pytest.raises(psycopg.errors.RestrictViolation):
        attack.connection.execute(f"DELETE FROM {table}")
    attack.connection.rollback()
    with pytest.raises(psycopg.errors.Error):
        attack.connection.execute(f"TRUNCATE {table}")
    attack.connection.rollback()


def test_an_administration_is_never_rewritten(attack: Attack) -> None:
    assert attack.story.administer().status_code == 200
    with pytest.raises(psycopg.errors.RestrictViolation):
        attack.connection.execute("UPDATE administration SET given = given - 1, loss = loss + 1")
    attack.connection.rollback()


def _flat(statement: tuple[str, list[object]]) -> tuple[Any, ...]:
    sql, values = statement
    return (sql, *values)


def test_the_database_ties_an_issue_to_picks_by_two_people_and_a_delivery_to_the_clinic(api: Api) -> None:
    story = a_story(api, 3).up_to("approve")
    with psycopg.connect(api.test_bank.dsn("app")) as connection:
        attack = Attack(story, story, connection)
        to = "UPDATE withdrawal SET state = %s WHERE code = %s"
        attack.refused_by("nothing_is_issued_without_two_confirmed_picks", to, "issued", story.code)
        attack.refused_by("what_is_delivered_is_at_its_clinic", to, "delivered", story.code)
        out = "UPDATE custody SET state = 'issued', container_code = NULL, position_code = NULL WHERE code = %s"
        connection.execute(out, (story.vials[0],))
        with pytest.raises(psycopg.errors.IntegrityError, match="picked by two"):
            connection.execute("SET CONSTRAINTS a_tube_is_issued_under_an_approval_and_two_picks IMMEDIATE")
        connection.rollback()
        assert story.pick().status_code == 201
        attack.refused_by("nothing_is_issued_without_two_confirmed_picks", to, "issued", story.code)


@pytest.mark.parametrize("so_far", ["thawed", "counted", "labelled"])
def test_the_database_knows_that_what_leaves_thawed_was_counted_and_labelled(api: Api, so_far: str) -> None:
    story = thawed(api, counted=so_far != "thawed")
    if so_far == "labelled":
        assert story.label().status_code == 200
    with psycopg.connect(api.test_bank.dsn("app")) as connection:
        connection.execute("UPDATE withdrawal SET state = 'issued' WHERE code = %s", (story.code,))
        ask = "SET CONSTRAINTS what_leaves_thawed_was_counted_and_labelled IMMEDIATE"
        if so_far == "labelled":
            connection.execute(ask)
        else:
            with pytest.raises(psycopg.errors.IntegrityError, match="counted after its thaw"):
                connection.execute(ask)
        connection.rollback()


def test_the_database_counts_persons_and_not_logins(api: Api) -> None:
    checked = a_story(api, 3).up_to("thaw")
    assert checked.check(api.clinician2).status_code == 201
    of_one_person(api, "lab_tech", "lab_tech2")
    of_one_person(api, "clinician", "clinic_staff")
    picked, asked = a_story(api, 3).up_to("approve"), a_story(api, 3).up_to("request")
    assert picked.pick().status_code == 201
    with psycopg.connect(api.test_bank.dsn("app")) as connection:
        attack = Attack(picked, asked, connection)
        confirm = "UPDATE withdrawal_pick SET confirmed_by = %s, confirmed_at = now() WHERE withdrawal_code = %s"
        attack.refused_by("picking_takes_two_people", confirm, seed.USERS["lab_tech2"].code, picked.code)
        approve = "UPDATE withdrawal SET approved_by = %s WHERE code = %s"
        attack.refused_by("requester_and_approver_are_two_people", approve, seed.USERS["clinic_staff"].code, asked.code)
    of_one_person(api, "clinician2", "other_clinician")
    with psycopg.connect(api.test_bank.dsn("app")) as connection:
        attack = Attack(checked, checked, connection)
        second = "UPDATE bedside_check SET second_checker = %s WHERE withdrawal_code = %s"
        attack.refused_by("bedside_check_takes_two_people", second, seed.USERS["other_clinician"].code, checked.code)
