"""Printed commands: sheets on walls outlive releases, so their codes are pinned here."""

import pytest

from biobank.auth.actor import Actor, RoleGrant
from biobank.auth.permissions import Role
from biobank.foundation.codes import make_code, parse_code
from biobank.scanning.commands import COMMAND_LABELS, WORDINGS, Action, Command, actions_of, command_code, meaning_of

PRINTED = {
    Action.RECEIVE: "CM-3G0CCWI",
    Action.STORE: "CM-XBT7CRY",
    Action.CHECK_OUT: "CM-68J78A0",
    Action.HAND_OVER: "CM-EFTRE8A",
    Action.BENCH: "CM-2PA0AQ1",
    Action.LOOK: "CM-J80TAK7",
    Command.COMMIT: "CM-P0EC2HZ",
    Command.REMOVE_LAST: "CM-QG4B30X",
    Command.UNDO: "CM-N776JTR",
    Command.NEW_LIST: "CM-E2BM7EZ",
}


def test_the_codes_on_the_wall_keep_their_meaning() -> None:
    assert {meaning: command_code(meaning) for meaning in (*Action, *Command)} == PRINTED
    assert {meaning_of(parse_code(code)): code for code in PRINTED.values()} == PRINTED


def test_a_number_without_a_meaning_and_any_other_code_command_nothing() -> None:
    assert meaning_of(make_code("CM", None, 99)) is None
    assert meaning_of(make_code("BX", None, 1)) is None


def test_everything_that_can_be_commanded_has_words() -> None:
    assert set(WORDINGS) == set(Action)
    assert set(COMMAND_LABELS) == set(Command)


@pytest.mark.parametrize(
    ("role", "actions"),
    [
        (Role.LAB_TECH, list(Action)),
        (Role.CLINICIAN, [Action.RECEIVE, Action.CHECK_OUT, Action.HAND_OVER, Action.LOOK]),
        (Role.AUDITOR, [Action.LOOK]),
        (Role.ADMIN, []),
    ],
)
def test_a_role_is_offered_what_it_may_do(role: Role, actions: list[Action]) -> None:
    assert actions_of(Actor("US-TEST", frozenset({RoleGrant(role, None)}))) == actions
