"""The example bank, small: what a newcomer sees on the first day."""

from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console
from sqlalchemy import text

from biobank.auth.actor import Actor
from biobank.demo import data
from biobank.demo.people import PEOPLE
from biobank.pages.home import read_today
from biobank.reconciliation.walk import parts
from biobank.registers.reasons import ALL
from tests.conftest import TestBank
from tests.sealing import seal
from tests.transparency.audited import Audited

NAMED = {
    "procedure_version": "procedure",
    "programme": "cooling_programme",
    "cryoprotectant": "cryoprotectant",
    "laboratory": "laboratory",
    "courier": "courier",
}
"""Member of an event → the kind of entry whose name it holds."""
OF_THE_SERVICE = {"found", "inspection", "warm_time_budget", "frozen_too_old", "excursion"}
"""Why the service itself places a hold: nobody chose these."""


def words_outside_the_lists(bank: TestBank) -> set[tuple[str, str, str]]:
    """Every reason and name in the log that stands in no list: (kind of event, member, word)."""
    said = text(
        "SELECT DISTINCT e.kind, b.key, b.value FROM event e, jsonb_each_text(convert_from(e.entry, 'UTF8')::jsonb -> 'body') b "
        "WHERE b.value IS NOT NULL AND b.key = ANY(:members)"
    )
    members = ["reason", "topic", "cause", *NAMED]
    rows = bank.write(lambda s: s.execute(said, {"members": members}).all())
    known = bank.write(lambda s: {(one.kind, one.name) for one in s.execute(text("SELECT kind, name FROM register_entry"))})
    reasons = ALL | OF_THE_SERVICE | {name for kind, name in known if kind == "reason"}
    return {
        (kind, member, word)
        for kind, member, word in rows
        if (word not in reasons if member not in NAMED else (NAMED[member], word) not in known)
    }


def test_every_role_of_the_example_bank_finds_something_to_do(
    make_bank: Callable[..., TestBank], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(data, "DONORS", 24)
    bank = make_bank()
    # The example begins before there is anybody: nobody from quality who would have to sign for its first logins.
    bank.write(lambda s: s.execute(text("DELETE FROM user_role WHERE role = 'quality'")))
    audited = Audited(bank, tmp_path)
    passwords = dict.fromkeys(PEOPLE, "amber-basil-cedar-delta-ember-42")

    def sealed() -> None:
        seal(bank)

    made = data.fill(bank.bank, passwords, Console(quiet=True), sealed)

    rows = bank.write(lambda s: s.execute(text("SELECT username, code FROM app_user")).all())
    badges = {row.username: row.code for row in rows}

    def today_of(username: str) -> tuple[set[str], set[str]]:
        grants = frozenset(PEOPLE[username][1])
        today = bank.write(lambda s: read_today(s, Actor(badges[username], grants), bank.bank))
        return {task.urgency for task in today.tasks}, {trouble.what for trouble in today.troubles}

    assert made > 100
    assert today_of("tess")[0] >= {"waiting", "expected"}
    assert today_of("tomas")[0] >= {"waiting", "overdue", "due"}
    assert today_of("quinn")[0] >= {"waiting", "overdue"}
    assert "due" in today_of("clara")[0]
    assert today_of("quinn")[1] == {"Temperature hold", "Recall hold", "Open deviation"}
    assert today_of("audrey")[0] == set()
    # Its people and its history were made by use cases and events alone: nothing differs from the log.
    watched = bank.write(
        lambda s: s.execute(
            text(
                "SELECT (SELECT count(*) FROM storage_reading r JOIN sensor ON sensor.code = r.sensor_code), "
                "(SELECT string_agg(cause, ' ') FROM alarm WHERE resolved_at IS NULL)"
            )
        ).one()
    )
    assert tuple(watched) == (144, "excursion")
    # It took its words from the lists, although no request asked for them.
    assert words_outside_the_lists(bank) == set()
    # What its people signed is signed by their own keys.
    verdict = audited.seal().verdict()
    assert verdict["verdict"] == "true", verdict
    assert (verdict["signatures"]["by_key"] > 20, verdict["signatures"]["without_key"]) == (True, 0)
    # Every row that the log knows of says what the log says; of the logins and registers, those of the example.
    differing = bank.write(lambda s: {name: look(s, "", 1_000_000).differing for name, look in parts().items()})
    assert not differing.pop("logins").keys() & {badges[username] for username in PEOPLE}
    seeded = bank.write(lambda s: set(s.execute(text("SELECT key FROM register_entry WHERE recorded_by = 'SYSTEM'")).scalars()))
    for name in ("register_entry", "register_authorisation"):
        assert differing.pop(name).keys() <= seeded
    assert {name: told for name, told in differing.items() if told} == {}
