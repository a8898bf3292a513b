"""What the model of the custody log knows: its safeguards and faults, its states, and the promises they must keep."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

Tree = tuple[int, ...]

RESTORED: Final = 1
"""An older backup is restored, or a replica that lagged is promoted, while the old primary is still there for sealers."""
ZOMBIE: Final = 2
"""A sealer believes that it still holds the log: it takes no lock and goes on from any tree it once knew."""
REQUEUED: Final = 4
"""A stolen application login queues a sealed event again."""
TAMPERED: Final = 8
"""An event's row is deleted while it is pending."""
REGISTER_LOST: Final = 16
"""The register's file is deleted."""
POWER_LOST: Final = 32
"""Every process dies, and what was not flushed is gone."""

HALTING: Final = RESTORED | ZOMBIE | REGISTER_LOST
"""Faults after which the log may stop and call for a person. Stopping without one of them is a broken promise too."""


@dataclass(frozen=True)
class Safeguards:
    """What the code does so that nothing is lost or forked: one switch each, with the function that holds it."""

    event_and_queue_row_in_one_commit: bool = True  # ledger.append under db.write
    answer_after_commit: bool = True  # db.write
    idempotency_key: bool = True  # acts.idempotency: a repeated request finds its first outcome
    signed_acknowledgement: bool = True  # receipt.sign_acknowledgement
    durable_commits: bool = True  # sealer._require_durable_commits
    row_lock: bool = True  # Sealing._lock
    head_read_after_lock: bool = True  # Sealing._seal_under_lock: two statements
    memory_held_against_head: bool = True  # Sealing._continue
    oldest_first: bool = True  # sealing._TAKE
    hashes_recomputed: bool = True  # sealing._extend
    queue_row_to_leaf_in_one_commit: bool = True  # Sealing._seal_under_lock
    index_keys: bool = True  # primary keys of models.Leaf and models.TreeHead
    leaf_hash_unique: bool = True  # models.Leaf
    only_stored_heads_signed: bool = True  # Publishing._newest_head_after
    register_read_before_head: bool = True  # Publishing.publish
    head_contains_registered: bool = True  # Publishing._newest_head_after
    compare_and_swap: bool = True  # FileRegister.compare_and_swap
    register_flushed: bool = True  # FileRegister._replace
    found_note_confirmed: bool = True  # FileRegister.confirm, called where a note found there is relied on
    register_before_readers: bool = True  # Publishing.publish
    no_second_register: bool = True  # Publishing.ensure_register


EVERY: Final = Safeguards()


class Database(NamedTuple):
    """What is committed. ``events`` in the order of their commits; ``gone`` are those whose row was deleted."""

    events: Tree = ()
    pending: Tree = ()
    leaves: Tree = ()
    quarantine: Tree = ()
    gone: Tree = ()
    has_head: bool = False


class Sealer(NamedTuple):
    """A process: the step it takes next, the database it is connected to, its memory of the tree, its local variables.

    ``memory`` matters only where a safeguard that makes it irrelevant is off; else it is left empty, to have fewer states.
    """

    step: str = "start"
    database: int = 0
    memory: Tree = ()
    held: tuple[Tree, ...] = ()


class State(NamedTuple):
    """Everything. ``published`` is the longest tree that readers were ever shown; all others are beginnings of it."""

    databases: tuple[Database, ...] = (Database(),)
    register: Tree | None = None
    flushed: Tree | None = None
    sealers: tuple[Sealer, ...] = (Sealer(), Sealer())
    published: Tree | None = None
    faults: int = 0


class Broken(NamedTuple):
    """A promise that does not hold after a step."""

    promise: str


Step = tuple[str, State | Broken]


def begins_with(tree: Tree, beginning: Tree) -> bool:
    """Whether ``tree`` contains ``beginning``: the meaning of a consistency proof."""
    return tree[: len(beginning)] == beginning


def without(queue: Tree, rows: Tree) -> Tree:
    """``queue`` less ``rows``."""
    return tuple(event for event in queue if event not in rows)


def broken_promise(state: State, on: Safeguards) -> str | None:
    """The promise that does not hold in ``state``, or None."""
    for database in state.databases:
        if reason := _broken_conservation(database, state.faults):
            return reason
    if state.published is not None:
        lost = state.faults & REGISTER_LOST
        kept = state.register if lost else state.flushed
        if not lost if kept is None else not begins_with(kept, state.published):
            return f"{state.published} was published, the disk of the register holds {kept}"
        if not any(begins_with(database.leaves, state.published) for database in state.databases):
            return f"{state.published} was published and is in no database"
    if len(state.databases) > 1 and not on.signed_acknowledgement:
        hidden = without(without(state.databases[0].events, state.databases[1].events), state.register or ())
        if hidden:
            return f"acknowledged, lost by the restore, and nothing shows it: {hidden}"
    return None


def earlier(database: Database) -> Iterator[Database]:
    """Every database this one may once have been: shorter by some appends and seals. (A superset of what it was.)"""
    for recorded in range(len(database.events) + 1):
        events = database.events[:recorded]
        for size in range(len(database.leaves) + 1):
            leaves = database.leaves[:size]
            quarantine = tuple(e for e in database.quarantine if e in events and e not in leaves and e not in database.leaves)
            if set(leaves) <= set(events):
                pending = without(without(events, leaves), quarantine)
                yield Database(events, pending, leaves, quarantine, quarantine, database.has_head)


def _broken_conservation(database: Database, faults: int) -> str | None:
    if len(set(database.events)) != len(database.events):
        return f"one request was recorded twice: {database.events}"
    if len(set(database.leaves)) != len(database.leaves):
        return f"one event was sealed twice: {database.leaves}"
    if [e for e in database.events if e in database.leaves] != list(database.leaves):
        return f"recorded as {database.events}, sealed as {database.leaves}"
    if any(event in database.gone for event in database.leaves):
        return f"sealed without its bytes: {database.leaves}"
    for event in database.events:
        places = sum(place.count(event) for place in (database.pending, database.leaves, database.quarantine))
        if places == 0 or (places > 1 and not faults & REQUEUED):
            return f"event {event} is in {places} of pending, leaf and quarantine"
    return None
