"""What an event does to the projection, as data.

An effect maps a custody column to one instruction. Instructions are JSON, because the same table travels in every bundle
and an offline verifier, which shares no code with the bank, interprets it:

    {"set": value}          the constant
    {"body": "name"}        the payload's member
    {"body_or_keep": "x"}   the payload's member unless it is null
    {"entry": "name"}       a member of the entry's head: by, site, occurred_at
    {"plus": "name"}        the present number plus the payload's
    {"minus": "name"}       the present number minus the payload's
    {"increment": n}        the present number plus n
    {"elapsed": "name"}     the present number plus the whole seconds since the time in the column `name`, while the specimen
                            is frozen; what it was before the event counts
    {"elapsed_until_known": "name"}  the same, until the entry was recorded where that is later than `occurred_at` and its source
                            is live: nobody was out for a shorter time by saying so
    {"restore": "name"}     the member of the payload's `restores` object that has the column's name

A column without an instruction keeps its value. There is nothing else.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from biobank.custody.states import Condition

Instruction = dict[str, Any]
Effect = dict[str, Instruction]

ENTRY_MEMBERS: Final = ("by", "site", "occurred_at")


def set_to(value: Any) -> Instruction:
    """The constant."""
    return {"set": value}


def body(name: str) -> Instruction:
    """The payload's member `name`."""
    return {"body": name}


def body_or_keep(name: str) -> Instruction:
    """The payload's member `name` unless it is null."""
    return {"body_or_keep": name}


def entry(name: str) -> Instruction:
    """A member of the entry's head."""
    return {"entry": name}


def plus(name: str) -> Instruction:
    """The present number plus the payload's `name`."""
    return {"plus": name}


def minus(name: str) -> Instruction:
    """The present number minus the payload's `name`."""
    return {"minus": name}


def increment(by: int = 1) -> Instruction:
    """The present number plus a constant."""
    return {"increment": by}


def elapsed(since: str) -> Instruction:
    """The present number plus the seconds since the time in the column `since`, of a frozen specimen."""
    return {"elapsed": since}


def elapsed_until_known(since: str) -> Instruction:
    """The same, and of a live entry until it was recorded: a stated time shortens nothing."""
    return {"elapsed_until_known": since}


def known_until(head: Mapping[str, Any]) -> str:
    """Return until when a clock ran that an entry ends, as entries write it. `head`: its `source`, `occurred_at`, `recorded_at`.

    What two people wrote on a form, what a device timed and what was taken over from old records ends when it occurred. Pure.
    """
    occurred: str = head["occurred_at"]
    return max(occurred, head["recorded_at"]) if head["source"] == "live" else occurred


def seconds_between(since: str, until: str) -> int:
    """Return the whole seconds between two times as entries write them; 0 when the second lies before the first."""
    span = datetime.fromisoformat(until) - datetime.fromisoformat(since)
    return max(0, span // timedelta(seconds=1))


def running_s(columns: Mapping[str, Any], at: str, since: str = "out_since") -> int:
    """Return for how many seconds the clock that began at the column `since` has run by `at`; 0 unless frozen and running."""
    began = columns[since] if columns["condition"] == Condition.FROZEN.value else None
    return 0 if began is None else seconds_between(began, at)


def restore() -> Instruction:
    """The value that a reversal brings back."""
    return {"restore": "restores"}


def apply(effect: Effect, before: Mapping[str, Any], payload: Mapping[str, Any], head: Mapping[str, Any]) -> dict[str, Any]:
    """Return the projection after an event.

    `before`: the projected columns; `payload`: the event's body as in the entry; `head`: `by`, `site`, `occurred_at`,
    `recorded_at`, `source`.
    Pure; `projection.Projection.after` calls it.
    """
    after = dict(before)
    for column, instruction in effect.items():
        ((verb, argument),) = instruction.items()
        if verb == "set":
            after[column] = argument
        elif verb == "body":
            after[column] = payload[argument]
        elif verb == "body_or_keep":
            value = payload.get(argument)
            after[column] = before[column] if value is None else value
        elif verb == "entry":
            after[column] = head[argument]
        elif verb == "plus":
            after[column] = before[column] + payload[argument]
        elif verb == "minus":
            after[column] = before[column] - payload[argument]
        elif verb == "increment":
            after[column] = before[column] + argument
        elif verb == "elapsed":
            after[column] = before[column] + running_s(before, head["occurred_at"], argument)
        elif verb == "elapsed_until_known":
            after[column] = before[column] + running_s(before, known_until(head), argument)
        elif verb == "restore":
            after[column] = payload[argument].get(column, before[column])
        else:
            raise ValueError(f"unknown instruction {verb!r}")
    return after
