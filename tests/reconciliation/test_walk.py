"""A change made past the application, with the rights of the database's owner, is found within one round; nothing else is."""

from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import psycopg
import pytest
from sqlalchemy import create_engine, select, text
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.alarms.models import alarm
from biobank.alarms.watch import watch_for_alarms
from biobank.foundation import clock
from biobank.foundation.clock import rfc3339
from biobank.reconciliation import walk
from biobank.reconciliation.models import log_difference, log_walk
from tests.conftest import Api, TestBank
from tests.sealing import seal
from tests.withdrawals.stories import a_donor, a_story, sign_and_post

Differing = dict[tuple[str, str], str]
GUARDED = (
    *("event", "leaf", "tree_head", "hold", "custody", "specimen", "app_user", "user_role", "withdrawal", "withdrawal_item"),
    *("withdrawal_pick", "bedside_check", "bedside_release", "donor", "adverse_event", "specimen_parent", "storage_container"),
)


@contextmanager
def as_owner(bank: TestBank) -> Iterator[Session]:
    """A transaction past every guard of the database; what it did is undone."""
    engine = create_engine("postgresql+psycopg://", creator=lambda: psycopg.connect(bank.dsn()))
    with Session(engine) as session:
        session.execute(text("SET LOCAL session_replication_role = replica"))
        for table in GUARDED:
            session.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER ALL"))
        yield session
        session.rollback()
    engine.dispose()


def rounds_of(session: Session) -> dict[str, int]:
    return {row.part: row.rounds for row in session.execute(select(log_walk.c.part, log_walk.c.rounds))}


def go_round(session: Session, bank: TestBank) -> Differing:
    """Go one whole round of every part and return what differs."""
    act = Act.system(bank.bank, path="timer/reconcile_with_the_log")
    begun = rounds_of(session)
    for _ in range(200):
        walk.reconcile_with_the_log(session, act)
        # A part may have been in the middle of a round.
        if all(rounds_of(session)[part] >= begun.get(part, 0) + 2 for part in walk.parts()):
            break
    rows = session.execute(select(log_difference.c.part, log_difference.c.subject, log_difference.c.says))
    return {(row.part, row.subject): row.says for row in rows}


def whole(session: Session, part: str) -> Differing:
    """Look at one part from its beginning to its end."""
    found = walk.parts()[part](session, "", 1_000_000).differing
    return {(part, subject): " ".join(one.words() for one in told) for subject, told in found.items()}


CHANGES = {
    "custody place": ("UPDATE custody SET container_code = 'CT-X' WHERE code = :tube", "custody", "place:"),
    "custody amount": ("UPDATE custody SET amount = amount + 1 WHERE code = :tube", "custody", "amount:"),
    "reservation": (
        "UPDATE custody SET reserved_for = CASE WHEN reserved_for IS NULL THEN :withdrawal END WHERE code = :tube",
        "custody",
        "reserved for:",
    ),
    "legal basis": ("UPDATE specimen SET regulatory_basis = 'research_only' WHERE code = :tube", "custody", "legal basis:"),
    "material": ("UPDATE specimen SET material = 'svf' WHERE code = :tube", "custody", "material:"),
    "purpose": ("UPDATE specimen SET purpose = 'qc' WHERE code = :tube", "custody", "purpose:"),
    "expiry": ("UPDATE specimen SET expires_at = now() + interval '9 years' WHERE code = :tube", "custody", "expires at:"),
    "another's cells": ("UPDATE specimen SET donor_code = :other WHERE code = :tube", "custody", "donor:"),
    "cells of another": ("UPDATE custody SET donor_code = :other WHERE code = :tube", "custody", "donor code:"),
    "parent added": ("INSERT INTO specimen_parent VALUES (:tube, :given, :donor, :donor)", "custody", "parents:"),
    "withdrawal goes on": ("UPDATE withdrawal SET state = 'approved' WHERE code = :withdrawal", "withdrawals", "state:"),
    "another clinic": ("UPDATE withdrawal SET clinic_site_code = 'OTHER' WHERE code = :withdrawal", "withdrawals", "clinic"),
    "another recipient": (
        "UPDATE withdrawal SET donor_code = :other, recipient_code = :other WHERE code = :withdrawal",
        "withdrawals",
        "recipient code:",
    ),
    "another approved it": ("UPDATE withdrawal SET approved_by = :login WHERE code = :withdrawal", "withdrawals", "approved by:"),
    "who approved it is forgotten": (
        "UPDATE withdrawal SET approvers = '[]' WHERE code = :withdrawal",
        "withdrawals",
        "approvers:",
    ),
    "tube added": (
        "INSERT INTO withdrawal_item (withdrawal_code, specimen_code, donor_code, recipient_code, added_at)"
        " VALUES (:withdrawal, :tube, :donor, :donor, now())",
        "withdrawals",
        "tubes:",
    ),
    "another confirmed the pick": (
        "UPDATE withdrawal_pick SET confirmed_by = :login WHERE withdrawal_code = :withdrawal",
        "withdrawals",
        "picks:",
    ),
    "another checked": (
        "UPDATE bedside_check SET second_checker = :auditor WHERE withdrawal_code = :withdrawal AND passed",
        "withdrawals",
        "checks:",
    ),
    "release unused": (
        "UPDATE bedside_release SET consumed_at = NULL WHERE withdrawal_code = :withdrawal",
        "withdrawals",
        "used:",
    ),
    "donor lives": ("UPDATE donor SET status = 'deceased' WHERE code = :donor", "donors", "status:"),
    "donor apart": ("UPDATE donor SET kept_apart = NOT kept_apart WHERE code = :donor", "donors", "kept apart:"),
    "donor led elsewhere": ("UPDATE donor SET merged_into = :other WHERE code = :donor", "donors", "merged into:"),
    "place may be warmer": ("UPDATE storage_container SET highest_mc = 0 WHERE code = :place", "places", "highest mc:"),
    "place elsewhere": ("UPDATE storage_container SET parent_code = 'CT-X' WHERE code = :place", "places", "parent code:"),
    "place said to be colder": ("UPDATE storage_container SET temperature_class = 'cold' WHERE code = :place", "places", "temp"),
    "place said to be apart": ("UPDATE storage_container SET isolated = NOT isolated WHERE code = :place", "places", "isolated:"),
    "place at another site": ("UPDATE storage_container SET site_code = 'CLINIC' WHERE code = :place", "places", "site:"),
    "place for another use": (
        "UPDATE storage_container SET purpose = 'evacuation' WHERE code = :place",
        "places",
        "purpose:",
    ),
    "judged milder": ("UPDATE adverse_event SET seriousness = 'not_serious'", "adverse", "seriousness:"),
    "hold lifted": ("UPDATE hold SET lifted_at = now(), lifted_by = 'US-1' WHERE id = :hold", "holds", "lifted by an event:"),
    "hold's reach": ("UPDATE hold SET blocks = '{}' WHERE id = :hold", "holds", "blocks:"),
    "hold removed": ("DELETE FROM hold WHERE id = :hold", "log", "hold:"),
    "role added": (
        "INSERT INTO user_role (user_code, role, granted_at, granted_by) VALUES (:login, 'auditor', now(), 'US-1')",
        "logins",
        "auditor everywhere",
    ),
    "login shut": ("UPDATE app_user SET active = false WHERE code = :login", "logins", "open:"),
    "entry rewritten": (
        "UPDATE event SET entry = convert_to(replace(convert_from(entry, 'UTF8'), '\"v\"\\:1', '\"v\"\\:2'), 'UTF8')"
        " WHERE leaf_hash = (SELECT leaf_hash FROM leaf WHERE log_index = 0)",
        "log",
        "entry:",
    ),
    "entry's column": ("UPDATE event SET recorded_by = 'US-1' WHERE stream_id = :tube AND seq = 1", "log", "by:"),
    "leaf rewritten": ("UPDATE leaf SET leaf_hash = sha256('x') WHERE log_index = 1", "log", "entry:"),
    "tree head rewritten": ("UPDATE tree_head SET root = sha256('x')", "log", "root of the tree:"),
}


def test_what_the_owner_of_the_database_changes_is_found_and_nothing_else(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Slices of eight rows, so that a round takes many and keeps its place between them."""
    monkeypatch.setattr(walk, "AT_ONCE", 8)
    bank = api.test_bank
    story = a_story(api, vials=2).up_to("administer")
    happened = {"kind": "event", "seriousness": "serious", "in_lot": False, "seen_at": rfc3339(clock.now()), "words": "Spilt."}
    assert api.clinician.post(f"/withdrawals/{story.code}/adverse-events", json=happened).status_code == 201
    other = a_donor(api, external_ids=[{"issuer": "OTHER-HOSPITAL", "value": "7 7"}])
    (tube,) = bank.write(lambda s: s.execute(text("SELECT code FROM custody WHERE state = 'stored'")).scalars().all())
    for reason in ("found_warm", "damaged"):
        body = {"scope_kind": "specimen", "scope_id": tube, "kind": "investigation", "reason": reason}
        hold = api.lab_tech.post("/holds", json=body).json()["id"]
    assert sign_and_post(api.quality, "hold_lifted", f"/holds/{hold}/lift", {"reason": "explained"}).status_code == 200
    hold = bank.write(lambda s: s.execute(text("SELECT id FROM hold WHERE reason = 'found_warm'")).scalar_one())
    seal(bank)
    names = {"tube": tube, "hold": hold, "login": bank.actor("clinic_staff").code, "withdrawal": story.code}
    place = "SELECT container_code FROM custody WHERE code = :tube"
    names |= {"place": bank.write(lambda s: s.execute(text(place), {"tube": tube}).scalar_one())}
    names |= {
        "auditor": bank.actor("auditor").code,
        "donor": story.donor,
        "other": other,
        "given": next(one for one in story.vials if one != tube),
    }

    sound = bank.write(lambda s: go_round(s, bank))
    # The people and registers of a test bank are written past the application: that is found, and only that.
    assert {part for part, _ in sound} == {"logins", "register_entry", "register_authorisation"}
    for what, (statement, part, words) in CHANGES.items():
        with as_owner(bank) as session:
            assert session.execute(text(statement), names).rowcount > 0, what  # type: ignore[attr-defined]
            found = whole(session, part)
        new = {key: says for key, says in found.items() if sound.get(key) != says}
        assert any(key[0] == part and words in says for key, says in new.items()), (what, new)
    assert bank.write(lambda s: go_round(s, bank)) == sound


def test_what_differs_is_said_raises_an_alarm_and_ends_with_the_next_round(api: Api) -> None:
    bank = api.test_bank
    with psycopg.connect(bank.dsn()) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("DELETE FROM user_role WHERE user_code <> %s", (bank.actor("quality").code,))
        for seeded in ("register_authorisation", "register_entry"):
            connection.execute(f"ALTER TABLE {seeded} DISABLE TRIGGER no_delete")
            connection.execute(f"DELETE FROM {seeded}")
            connection.execute(f"ALTER TABLE {seeded} ENABLE ALWAYS TRIGGER no_delete")
        connection.execute("UPDATE app_user SET must_change_password = true, password_hash = NULL WHERE username <> 'quality'")
    before = httpx.get(f"{api.url}/readyz")
    bank.write(lambda s: go_round(s, bank))
    bank.write(lambda s: watch_for_alarms(s, Act.system(bank.bank, path="timer/watch_for_alarms")))

    answer = httpx.get(f"{api.url}/readyz")
    said = api.quality.get("/log/differences").json()
    assert (before.status_code, before.json()["records"]) == (200, "ok")
    assert answer.status_code == 503
    assert answer.json()["records"].startswith("1 differ from the log, known since 20")
    assert [one["says"].split(". ")[0] for one in said["items"]] == [
        "roles: the table says quality everywhere, the log says none"
    ]
    assert {one["rounds"] for one in said["walks"]} == {2}
    (raised,) = api.quality.get("/alarms", params={"cause": "differs_from_log"}).json()["items"]
    assert raised["subject"] == said["items"][0]["subject"]

    with psycopg.connect(bank.dsn()) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("UPDATE app_user SET must_change_password = true, password_hash = NULL")
        connection.execute("DELETE FROM user_role")
    assert bank.write(lambda s: go_round(s, bank)) == {}
    assert httpx.get(f"{api.url}/readyz").status_code == 200
    bank.write(lambda s: watch_for_alarms(s, Act.system(bank.bank, path="timer/watch_for_alarms")))
    ended = bank.write(lambda s: s.execute(select(alarm.c.resolved_at)).scalars().all())
    assert ended and None not in ended


def test_a_row_whose_name_no_alarm_may_bear_calls_all_the_same_and_so_does_a_bank_whose_sites_were_all_shut(api: Api) -> None:
    bank = api.test_bank
    limit = {"site": "LAB", "temperature_class": "ln2_vapour", "highest_mc": -150_000}
    assert sign_and_post(api.quality, "decided", "/place-limits", limit).status_code == 200
    with psycopg.connect(bank.dsn()) as connection:
        connection.execute("SET session_replication_role = replica")
        connection.execute("UPDATE class_limit SET highest_mc = 0")
        connection.execute("UPDATE site SET active = false")
    bank.write(lambda s: go_round(s, bank))

    bank.write(lambda s: watch_for_alarms(s, Act.system(bank.bank, path="timer/watch_for_alarms")))

    called = {one["subject"] for one in api.quality.get("/alarms", params={"cause": "differs_from_log"}).json()["items"]}
    assert "LAB-ln2-vapour" in called and bank.actor("clinic_staff").code in called
