"""What a list of scans can do, and the printed codes that say so to a gun.

A command code is a code like any other, prefix `CM`, so that guns, keyboards and check characters treat it alike. Its number
is what it means, for ever: sheets hang on walls longer than releases last.
"""

from dataclasses import dataclass
from enum import StrEnum

from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE
from biobank.foundation.codes import Code, Prefix, make_code, number_of


class Action(StrEnum):
    """What is done with every tube of a list."""

    RECEIVE = "receive"
    STORE = "store"
    CHECK_OUT = "check_out"
    HAND_OVER = "hand_over"
    BENCH = "bench"
    LOOK = "look"


@dataclass(frozen=True)
class Wording:
    """How an action is written, and what it needs: its permission, and its place (a box, a badge, a workstation or nothing).

    `offline`: a page without network may keep it for later. It is an observation of one person, and leads to no use.
    """

    label: str
    done: str
    hint: str
    icon: str
    permission: Permission
    place: str | None = None
    offline: bool = False


WORDINGS: dict[Action, Wording] = {
    Action.RECEIVE: Wording(
        "Receive", "Received", "They arrived here and you hold them now.", "tray", Permission.CUSTODY_RECORD, offline=True
    ),
    Action.STORE: Wording(
        "Store or move", "Stored", "Scan the box first, then its tubes.", "tank", Permission.STORAGE_RECORD, "BX PS", offline=True
    ),
    Action.CHECK_OUT: Wording(
        "Check out",
        "Checked out",
        "They leave their place in your hands; the places stay theirs.",
        "hand",
        Permission.CUSTODY_RECORD,
        offline=True,
    ),
    Action.HAND_OVER: Wording(
        "Hand over",
        "Offered",
        "Scan the badge of whoever takes them; they accept with their own login.",
        "arrow",
        Permission.HANDOVER_TAKE,
        "US",
    ),
    Action.BENCH: Wording(
        "Work at a bench",
        "At the bench",
        "Scan the workstation first, then what is handled there. Another person's tube is a full stop.",
        "flask",
        Permission.PROCESSING_RECORD,
        "EQ",
    ),
    Action.LOOK: Wording(
        "Only look",
        "Looked at",
        "Says what each tube is and where it belongs. Records nothing.",
        "search",
        Permission.SPECIMEN_READ,
    ),
}


class Command(StrEnum):
    """What a scanned command does with the list itself."""

    COMMIT = "commit"
    REMOVE_LAST = "remove_last"
    UNDO = "undo"
    NEW_LIST = "new_list"


COMMAND_LABELS = {
    Command.COMMIT: "Record the list",
    Command.REMOVE_LAST: "Take off the last",
    Command.UNDO: "Undo what was recorded",
    Command.NEW_LIST: "Begin a new list",
}

_NUMBERS: dict[Action | Command, int] = {
    Action.RECEIVE: 1,
    Action.STORE: 2,
    Action.CHECK_OUT: 3,
    Action.HAND_OVER: 4,
    Action.LOOK: 5,
    Action.BENCH: 6,
    Command.COMMIT: 101,
    Command.REMOVE_LAST: 102,
    Command.UNDO: 103,
    Command.NEW_LIST: 104,
}
_MEANINGS = {number: meaning for meaning, number in _NUMBERS.items()}


def command_code(meaning: Action | Command) -> str:
    """Return the printed code of an action or command."""
    return make_code(Prefix.COMMAND, None, _NUMBERS[meaning]).text


def meaning_of(code: Code) -> Action | Command | None:
    """Return what a command code means; None for any other code and for numbers nobody has given a meaning."""
    return _MEANINGS.get(number_of(code)) if code.prefix == Prefix.COMMAND else None


def only_site(actor: Actor) -> str | None:
    """Return the one site where the actor receives, which need not be said; None when there are several or none."""
    sites = actor.scope(WORDINGS[Action.RECEIVE].permission).sites
    return next(iter(sites)) if len(sites) == 1 else None


def actions_of(actor: Actor) -> list[Action]:
    """The actions that the actor may take somewhere, in the order of a day."""
    return [action for action, wording in WORDINGS.items() if actor.may(wording.permission, at=ANYWHERE)]
