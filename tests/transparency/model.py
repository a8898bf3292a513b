"""An explicit-state model of the custody log: every interleaving of its steps, with every crash, is walked through.

The model mirrors the code step by step; the comment at each step names the function it stands for. A step is whatever
others can notice at once: a committed transaction, one swap of the register. What a transaction does before its commit is
seen by nobody, so it is part of the commit's step, except reading the head, on whose age safety depends.

A tree is modelled as the tuple of its leaves, a perfect hash: one tree contains another if it begins with it.

Scope: ``events`` events, two sealers and, after a restore, two databases, of which the old one still has sealers (a zombie
primary). A process may die before any step, any number of times. Every commit and every write of the register may succeed,
fail, or persist and yet look failed; a rename of the register may be visible and never become durable. On top come any
``faults`` of the rare faults below, each at most once. Within that scope the search is exhaustive.

States that differ in nothing that matters are explored once. Events mean nothing, so they are numbered as they are recorded.
Every recorded event counts as acknowledged, the worst case: whether the answer arrived changes nothing but the client, who
may always send again. After a restore clients write to the new database: what they still wrote to the old one, they might
as well have written before an older backup was restored. Which sealer is which does not matter.

Each safeguard of the code is a switch. With all of them on no promise is ever broken; with any one off `explore` returns
the shortest series of steps that breaks one.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Final, TypeVar

from tests.transparency.model_state import (
    EVERY,
    HALTING,
    POWER_LOST,
    REGISTER_LOST,
    REQUEUED,
    RESTORED,
    TAMPERED,
    ZOMBIE,
    Broken,
    Database,
    Safeguards,
    Sealer,
    State,
    Step,
    Tree,
    begins_with,
    broken_promise,
    earlier,
    without,
)


@dataclass(frozen=True)
class Model:
    """The steps that are possible in a state, with one safeguard taken away or none."""

    on: Safeguards = EVERY
    events: int = 3
    faults: int = 1
    backups_of_the_unborn: bool = True
    """Whether a backup may be older than the log's first head: such a database cannot tell that it ever had a register."""

    def steps(self, state: State) -> Iterator[Step]:
        """Every step possible in ``state``."""
        yield from self._clients(state)
        if state.faults.bit_count() < self.faults:
            yield from self._rare_faults(state)
        for number, sealer in enumerate(state.sealers):
            if number and sealer == state.sealers[number - 1]:
                continue  # the same process under another name
            name = f"sealer on {sealer.database}" if sealer.step != "start" else "sealer"
            for label, after in self._sealer(state, number, sealer):
                yield f"{name}: {label}", after
            if sealer.step != "start":
                yield f"{name}: killed before '{sealer.step}'", self._become(state, number, Sealer())

    # Clients: db.write around ledger.append, then the answer.

    def _clients(self, state: State) -> Iterator[Step]:
        number, database = len(state.databases) - 1, state.databases[-1]
        event = 1 + max((-1, *(e for each in state.databases for e in each.events)))
        if event < self.events:
            recorded = database._replace(events=(*database.events, event), pending=(*database.pending, event))
            yield f"event {event} recorded and acknowledged", self._write(state, number, recorded)
            if not self.on.event_and_queue_row_in_one_commit:
                half = self._write(state, number, database._replace(events=recorded.events))
                yield f"event {event} inserted, worker killed, sent again: replayed", half
            if not self.on.answer_after_commit:
                yield f"event {event} acknowledged, its commit fails", Broken(f"acknowledged and lost: {event}")
        if database.events and not self.on.idempotency_key:
            again = database.events[-1:]
            twice = database._replace(events=database.events + again, pending=database.pending + again)
            yield f"event {again[0]} sent again, the first answer was lost", self._write(state, number, twice)

    def _rare_faults(self, state: State) -> Iterator[Step]:
        databases, open_faults = state.databases, ~state.faults
        if open_faults & RESTORED and (databases[0].has_head or self.backups_of_the_unborn):
            for backup in earlier(databases[0]):
                after = state._replace(databases=(*databases, backup), faults=state.faults | RESTORED)
                yield f"restored as database 1: recorded {backup.events}, sealed {backup.leaves}", after
        if open_faults & REGISTER_LOST:
            yield "register deleted", state._replace(register=None, flushed=None, faults=state.faults | REGISTER_LOST)
        if open_faults & POWER_LOST:
            dark = state._replace(register=state.flushed, sealers=(Sealer(), Sealer()), faults=state.faults | POWER_LOST)
            yield "power lost", dark
            if not self.on.durable_commits:
                for kept in earlier(databases[0]):
                    lost = without(databases[0].events, kept.events)
                    outcome = Broken(f"acknowledged and lost: {lost}") if lost else self._write(dark, 0, kept)
                    yield f"power lost, the server keeps {kept.events}/{kept.leaves}", outcome
        for number, database in enumerate(databases):
            if open_faults & REQUEUED:
                for event in without(database.leaves, database.pending):
                    queued = self._write(state, number, database._replace(pending=(*database.pending, event)))
                    yield f"sealed event {event} queued again in {number}", queued._replace(faults=state.faults | REQUEUED)
            if open_faults & TAMPERED:
                for event in without(database.pending, database.leaves):
                    gone = self._write(state, number, database._replace(gone=(*database.gone, event)))
                    yield f"pending event {event} deleted from {number}", gone._replace(faults=state.faults | TAMPERED)
            if open_faults & ZOMBIE and database.has_head and Sealer() in state.sealers:
                for size in range(len(database.leaves) + 1):
                    zombie = Sealer("zombie commit", number, held=(database.leaves[:size],))
                    woken = self._become(state, state.sealers.index(Sealer()), zombie)._replace(faults=state.faults | ZOMBIE)
                    yield f"a zombie wakes in {number}, remembering {database.leaves[:size]}", woken

    # The sealer: run, Sealer.begin, Sealer.step.

    def _sealer(self, state: State, number: int, sealer: Sealer) -> Iterator[Step]:
        database = state.databases[sealer.database]
        match sealer.step:
            case "start":  # sealer.run, Sealer.begin: on any of the databases there are
                for at, each in enumerate(state.databases):
                    yield from self._ensure_register(state, number, Sealer("start", at), each)
            case "first head":  # Sealing.begin: the head of the empty tree, one commit
                begun = self._write(state, sealer.database, database._replace(has_head=True))
                yield from self._commit("first head", begun, number, sealer._replace(step="read register"))
            case "idle":
                yield from self._begin_sealing(state, number, sealer, database)
            case "lock":  # only without head_read_after_lock: the head in `held` was read before the lock was won
                if not self._locked(state, number, sealer):
                    yield "wins the lock", self._become(state, number, sealer._replace(step="commit"))
            case "commit" | "zombie commit":
                yield from self._seal(state, number, sealer, database)
            case "insert":  # only without queue_row_to_leaf_in_one_commit
                sealed = self._write(state, sealer.database, database._replace(leaves=database.leaves + sealer.held[0]))
                yield "leaves inserted", self._become(sealed, number, sealer._replace(step="read register", held=()))
            case "read register":
                yield from self._read_register(state, number, sealer, database)
            case "read head":
                yield from self._read_head(state, number, sealer, database)
            case "swap":
                yield from self._swap(state, number, sealer)
            case "store":  # Publishing.publish, _STORE: from here on readers are shown the checkpoint
                yield from self._publish(state, number, sealer, "idle")

    def _ensure_register(self, state: State, number: int, sealer: Sealer, database: Database) -> Iterator[Step]:
        # Publishing.ensure_register
        following = sealer._replace(step="first head")
        if state.register is not None:
            confirmed = state._replace(flushed=state.register) if self.on.found_note_confirmed else state
            yield f"starts on {sealer.database}, finds the register", self._become(confirmed, number, following)
        elif database.has_head and self.on.no_second_register:
            yield self._halt(state, number, "register_missing")
        else:
            yield from self._write_register(state, (), number, following)  # FileRegister.create

    def _begin_sealing(self, state: State, number: int, sealer: Sealer, database: Database) -> Iterator[Step]:
        # Sealing.seal: the probe of pending, then _seal_under_lock as far as _continue
        if not database.pending:
            return
        if not self.on.head_read_after_lock:
            yield "reads the head", self._become(state, number, sealer._replace(step="lock", held=(database.leaves,)))
        elif not self._locked(state, number, sealer):
            base = database.leaves if self.on.memory_held_against_head else sealer.memory
            yield f"locks, goes on from {base}", self._become(state, number, sealer._replace(step="commit", held=(base,)))

    def _locked(self, state: State, number: int, sealer: Sealer) -> bool:
        # Sealing._lock waits while another session that took the lock is between it and its commit
        other = state.sealers[1 - number]
        return self.on.row_lock and other.step in ("commit", "insert") and other.database == sealer.database

    def _seal(self, state: State, number: int, sealer: Sealer, database: Database) -> Iterator[Step]:
        # Sealing._seal_under_lock from _TAKE to COMMIT. Any number of the oldest rows: the size of a batch is free.
        if not database.pending:
            yield "another sealer was first", self._become(state, number, sealer._replace(step="idle", held=()))
        batches = [database.pending[:size] for size in range(1, len(database.pending) + 1)]
        if not self.on.oldest_first:
            batches = [(event,) for event in database.pending]
        (base,) = sealer.held
        for rows in batches:
            if self.on.hashes_recomputed and (bad := tuple(e for e in rows if e in database.gone)):
                yield from self._quarantine(state, number, sealer, database, bad)
            elif base != database.leaves and self.on.index_keys:  # UniqueViolation: Sealing._sealed_already
                sealed_already = tuple(e for e in database.pending if e in database.leaves)
                if sealed_already:
                    yield from self._quarantine(state, number, sealer, database, sealed_already)
                else:
                    yield self._halt(state, number, "index_taken")
            elif base != database.leaves:
                yield f"seals {rows} after {base}", Broken("two leaves have the same index")
            elif self.on.leaf_hash_unique and (bad := tuple(e for e in rows if e in database.leaves)):
                yield from self._quarantine(state, number, sealer, database, bad)
            else:
                yield from self._commit_batch(state, number, sealer, database, rows)

    def _commit_batch(self, state: State, number: int, sealer: Sealer, database: Database, rows: Tree) -> Iterator[Step]:
        drained = database._replace(pending=without(database.pending, rows))
        if not self.on.queue_row_to_leaf_in_one_commit:
            taken = self._write(state, sealer.database, drained)
            yield f"takes {rows}", self._become(taken, number, sealer._replace(step="insert", held=(rows,)))
            return
        tree = database.leaves + rows
        following = sealer._replace(step="read register", held=())
        if not self.on.memory_held_against_head:
            following = following._replace(memory=tree)
        sealed = self._write(state, sealer.database, drained._replace(leaves=tree))
        yield from self._commit(f"seals {rows}", sealed, number, following)
        if not self.on.only_stored_heads_signed and state.register is not None:
            unread = self._become(state, number, sealer._replace(step="swap", held=(state.register, tree)))
            yield f"seals {rows}, the commit fails, it signs all the same", unread

    def _quarantine(self, state: State, number: int, sealer: Sealer, database: Database, bad: Tree) -> Iterator[Step]:
        # Sealing._quarantine, one commit of its own, after which Sealing.seal goes round again
        moved = database._replace(
            pending=without(database.pending, bad), quarantine=database.quarantine + without(bad, database.quarantine)
        )
        after = self._write(state, sealer.database, moved)
        yield from self._commit(f"quarantines {bad}", after, number, sealer._replace(step="idle", held=()))

    # Publishing.publish

    def _read_register(self, state: State, number: int, sealer: Sealer, database: Database) -> Iterator[Step]:
        if state.register is None:
            yield self._halt(state, number, "register_missing")
            return
        first = state.register if self.on.register_read_before_head else database.leaves
        yield f"reads {first}", self._become(state, number, sealer._replace(step="read head", held=(first,)))

    def _read_head(self, state: State, number: int, sealer: Sealer, database: Database) -> Iterator[Step]:
        # Publishing._newest_head_after
        old, head = sealer.held[0], database.leaves
        if not self.on.register_read_before_head:
            if state.register is None:
                yield self._halt(state, number, "register_missing")
                return
            old, head = state.register, sealer.held[0]
        if self.on.head_contains_registered and not begins_with(head, old):
            yield self._halt(state, number, "rollback" if len(head) < len(old) else "fork")
        elif head != old:
            yield f"signs {head}", self._become(state, number, sealer._replace(step="swap", held=(old, head)))
        elif not self.on.found_note_confirmed:
            yield f"finds {head} registered", self._become(state, number, sealer._replace(step="store", held=(old, head)))
        elif state.register == old:  # FileRegister.confirm
            confirmed = state._replace(flushed=old)
            yield f"confirms {head}", self._become(confirmed, number, sealer._replace(step="store", held=(old, head)))
        else:  # RegisterMoved
            yield "was overtaken", self._become(state, number, sealer._replace(step="read register", held=()))

    def _swap(self, state: State, number: int, sealer: Sealer) -> Iterator[Step]:
        old, head = sealer.held
        if not self.on.register_before_readers and state.published != head:
            yield from self._publish(state, number, sealer, "swap")
        elif state.register != old and self.on.compare_and_swap:  # RegisterMoved
            yield "was overtaken", self._become(state, number, sealer._replace(step="read register", held=()))
        else:
            yield from self._write_register(state, head, number, sealer._replace(step="store"))

    def _publish(self, state: State, number: int, sealer: Sealer, then: str) -> Iterator[Step]:
        shown, head = state.published or (), sealer.held[1]
        if not begins_with(shown, head) and not begins_with(head, shown):
            yield f"publishes {head}", Broken(f"two histories were published: {shown} and {head}")
            return
        longest = state._replace(published=max(shown, head, key=len))
        held = sealer.held if then == "swap" else ()
        yield from self._commit(f"publishes {head}", longest, number, sealer._replace(step=then, held=held))

    # Outcomes

    def _commit(self, label: str, committed: State, number: int, following: Sealer) -> Iterator[Step]:
        """A commit that succeeds, and one that persists while the sealer sees it fail. (One that fails is a crash before.)"""
        yield label, self._become(committed, number, following)
        yield f"{label}, but sees it fail", self._become(committed, number, Sealer())

    def _write_register(self, state: State, note: Tree, number: int, following: Sealer) -> Iterator[Step]:
        """FileRegister._replace: it succeeds, or fails after the rename, whose durability is then either way."""
        durable = state._replace(register=note, flushed=note)
        visible = state._replace(register=note)
        done = durable if self.on.register_flushed else visible
        yield f"registers {note}", self._become(done, number, following)
        yield f"registers {note}, but sees it fail", self._become(durable, number, Sealer())
        yield f"renames {note} into place, the flush fails", self._become(visible, number, Sealer())

    def _halt(self, state: State, number: int, reason: str) -> Step:
        """LogHalted. Something may start the process again, so it goes on from the start."""
        if not state.faults & HALTING:
            return f"halts: {reason}", Broken(f"the log halts ({reason}) although nothing was lost")
        return f"halts: {reason}", self._become(state, number, Sealer())

    def _become(self, state: State, number: int, sealer: Sealer) -> State:
        other = state.sealers[1 - number]
        return state._replace(sealers=(sealer, other) if sealer <= other else (other, sealer))  # which is which is no matter

    def _write(self, state: State, number: int, database: Database) -> State:
        return state._replace(databases=(*state.databases[:number], database, *state.databases[number + 1 :]))


EVERYTHING: Final = Model()
TWO_FAULTS: Final = Model(events=1, faults=2, backups_of_the_unborn=False)


S = TypeVar("S")


@dataclass(frozen=True)
class Finding:
    """What a search found: the number of states, and the shortest way to a broken promise if there is one."""

    states: int
    promise: str | None = None
    trace: tuple[str, ...] = ()


def explore(model: Model) -> Finding:
    """Walk through every state, nearest first, until one breaks a promise or there are no more."""
    start = State()
    came_from: dict[State, tuple[State, str] | None] = {start: None}
    frontier = [start]
    while frontier:
        following: list[State] = []
        for state in frontier:
            for label, after in model.steps(state):
                promise = after.promise if isinstance(after, Broken) else None
                if not isinstance(after, Broken):
                    if after in came_from:
                        continue
                    came_from[after] = (state, label)
                    promise = broken_promise(after, model.on)
                    following.append(after)
                if promise is not None:
                    return Finding(len(came_from), promise, (*way_to(came_from, state), label))
        frontier = following
    return Finding(len(came_from))


def counterexample(safeguard: str) -> Finding:
    """What breaks without the safeguard of that name: at first without any rare fault, then with one."""
    on = replace(EVERY, **{safeguard: False})
    without_faults = explore(Model(on, events=2, faults=0))
    return without_faults if without_faults.promise is not None else explore(Model(on, events=2))


def way_to(came_from: Mapping[S, tuple[S, str] | None], state: S) -> list[str]:
    """Return the labels of the steps by which a search came to a state."""
    labels: list[str] = []
    while (step := came_from[state]) is not None:
        state, label = step
        labels.append(label)
    return labels[::-1]


def main() -> None:
    """Print how many states keep every promise, and what breaks which one when one safeguard is missing."""
    for model in (EVERYTHING, TWO_FAULTS, Model(events=1, faults=6, backups_of_the_unborn=False), replace(TWO_FAULTS, events=2)):
        found = explore(model)
        sys.stdout.write(
            f"{model.events} events, {model.faults} rare faults: {found.states} states, {found.promise or 'all kept'}\n"
        )
    for field in fields(Safeguards):
        finding = counterexample(field.name)
        sys.stdout.write(f"\nwithout {field.name}: {finding.promise}\n")
        for number, label in enumerate(finding.trace, 1):
            sys.stdout.write(f"{number:>4}. {label}\n")


if __name__ == "__main__":
    main()
