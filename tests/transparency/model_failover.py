"""An explicit-state model of a cluster that fails over, and of replies that outlive the leader that gave them.

Two servers: a leader, and the standby that streams what the leader wrote, one record at a time. A client sends a request under
its key until an answer arrives; an answer that was given is on its way and may arrive after its leader is gone. A leader dies,
or is deposed and lives on (stopped, or cut off), serving whoever still reaches it. Every interleaving is walked through, with
one request through two failovers, and with two requests without a sealer.

What is written is a sequence of records: a request's number; a mark (`DURABLE` of `foundation/connections.py`), which a
replayed answer writes; `~n`, the head that seals request n. Each safeguard is a switch, named by what holds it.

`python -m tests.transparency.model_failover` prints the shortest way to a broken promise without each of them.
"""

import sys
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Final, NamedTuple

from tests.transparency.model import Finding, way_to

MARK: Final = 0


@dataclass(frozen=True)
class Safeguards:
    """What keeps the promises."""

    standby_confirms: bool = True
    """`synchronous_commit = on` with `synchronous_standby_names`: COMMIT waits for the standby."""
    strict: bool = True
    """`synchronous_mode_strict`: without a standby COMMIT waits for one, and is not let through."""
    replay_waits: bool = True
    """An answer from a row that is there already waits for a write of its own (`connections.DURABLE`)."""
    cut_wait_is_no_answer: bool = True
    """A COMMIT whose wait was cancelled is not answered as done (`connections.require_confirmed`)."""
    head_waits: bool = True
    """The sealer publishes a head when the standby has it (`transparency/sealing.py`)."""
    idempotency_key: bool = True
    """A request that is sent again is recorded once."""


class Wait(NamedTuple):
    """Somebody at `server` who is told of `what` (a request, or `~` its head) when the standby has `length` records."""

    server: int
    what: int
    length: int


class State(NamedTuple):
    """`records` of each server; `deposed`: the other server still takes requests; `linked`: the standby streams."""

    records: tuple[tuple[int, ...], tuple[int, ...]] = ((), ())
    leader: int = 0
    deposed: bool = False
    linked: bool = True
    waiting: frozenset[Wait] = frozenset()
    on_their_way: frozenset[int] = frozenset()
    acknowledged: frozenset[int] = frozenset()
    published: frozenset[int] = frozenset()
    failovers: int = 0
    unlinked: int = 0


@dataclass(frozen=True)
class Model:
    """The steps that are possible in a state."""

    on: Safeguards = Safeguards()
    requests: int = 1
    failovers: int = 2
    marks: int = 2
    sealed: bool = True
    """Whether a sealer is at work: without one more requests can be searched."""

    def steps(self, state: State) -> Iterator[tuple[str, State]]:
        """Every step possible in `state`."""
        leader, standby = state.leader, 1 - state.leader
        for server in (leader, standby) if state.deposed else (leader,):
            yield from self._requests(state, server)
        yield from self._sealing(state)
        if state.linked and len(state.records[standby]) < len(state.records[leader]):
            got = state.records[leader][: len(state.records[standby]) + 1]
            yield "the standby receives a record", _with(state, standby, got)
        for wait in state.waiting:
            gone = state._replace(waiting=state.waiting - {wait})
            if self._confirmed(state, wait):
                yield f"{wait.what} is confirmed at {wait.server}", _told(gone, wait.what)
            cut = gone if self.on.cut_wait_is_no_answer or wait.what < 0 else _told(gone, wait.what)
            yield f"the wait for {wait.what} at {wait.server} is cut off", cut
        for request in state.on_their_way:
            arrived = state.acknowledged | {request}
            yield (
                f"the answer to {request} arrives",
                state._replace(on_their_way=state.on_their_way - {request}, acknowledged=arrived),
            )
        yield from self._failures(state)

    def _requests(self, state: State, server: int) -> Iterator[tuple[str, State]]:
        for request in range(1, self.requests + 1):
            if request in state.acknowledged or any(w.server == server and w.what == request for w in state.waiting):
                continue
            there = request in state.records[server] and self.on.idempotency_key
            if there and not self.on.replay_waits:
                yield f"{request} is answered from its row at {server}", _told(state, request)
            elif there and state.records[server].count(MARK) < self.marks:
                yield f"{request} is sent again to {server}", self._written(state, server, MARK, request)
            elif not there and state.records[server].count(request) <= 1:
                yield f"{request} is recorded at {server}", self._written(state, server, request, request)

    @staticmethod
    def _written(state: State, server: int, record: int, request: int) -> State:
        """Write a record, on whose confirmation the request is answered."""
        records = (*state.records[server], record)
        after = _with(state, server, records)
        return after._replace(waiting=after.waiting | {Wait(server, request, len(records))})

    def _sealing(self, state: State) -> Iterator[tuple[str, State]]:
        records = state.records[state.leader]
        for request in range(1, self.requests + 1) if self.sealed else ():
            if request in records and ~request not in records:
                written = (*records, ~request)
                after = _with(state, state.leader, written)
                if self.on.head_waits:
                    wait = Wait(state.leader, ~request, len(written))
                    yield f"a head over {request} is written", after._replace(waiting=after.waiting | {wait})
                else:
                    yield f"a head over {request} is written and published", _told(after, ~request)
                return

    def _confirmed(self, state: State, wait: Wait) -> bool:
        if not self.on.standby_confirms:
            return True
        if wait.server != state.leader:
            return False  # whose standby was promoted is confirmed by nobody
        if not state.linked:
            return not self.on.strict
        return len(state.records[1 - state.leader]) >= wait.length

    def _failures(self, state: State) -> Iterator[tuple[str, State]]:
        leader, standby = state.leader, 1 - state.leader
        if state.deposed:
            back = _with(state, standby, state.records[leader])
            waiting = frozenset(w for w in state.waiting if w.server == leader)
            yield "the deposed leader is rewound and follows", back._replace(deposed=False, linked=True, waiting=waiting)
            return
        if state.linked and state.unlinked < 1:
            yield "the standby loses its leader", state._replace(linked=False, unlinked=state.unlinked + 1)
        if not state.linked:
            yield "the standby finds its leader", state._replace(linked=True)
        if state.failovers < self.failovers:
            new = state._replace(leader=standby, failovers=state.failovers + 1)
            copied = _with(new, leader, state.records[standby])
            waiting = frozenset(w for w in state.waiting if w.server == standby)
            yield "the leader dies, the standby is promoted and followed", copied._replace(waiting=waiting, linked=True)
            yield "the leader is cut off, the standby is promoted", new._replace(deposed=True, linked=False)


def _with(state: State, server: int, records: tuple[int, ...]) -> State:
    both = (records, state.records[1]) if server == 0 else (state.records[0], records)
    return state._replace(records=both)


def _told(state: State, what: int) -> State:
    """An answer to a request is given, or a head is published at once: readers have it."""
    if what < 0:
        return state._replace(published=state.published | {what})
    return state._replace(on_their_way=state.on_their_way | {what})


def broken_promise(state: State) -> str | None:
    """Return which promise a state breaks."""
    there = state.records[state.leader]
    for request in sorted(state.acknowledged):
        if request not in there:
            return f"acknowledged and lost: {request}"
    for head in sorted(state.published):
        if head not in there:
            return f"published and in no database: the head over {~head}"
    for record in there:
        if record != MARK and there.count(record) > 1:
            return f"recorded twice: {record}"
    return None


def explore(model: Model) -> Finding:
    """Walk through every state, the nearest first."""
    first = State()
    came: dict[State, tuple[State, str] | None] = {first: None}
    queue = deque([first])
    while queue:
        state = queue.popleft()
        if (promise := broken_promise(state)) is not None:
            return Finding(len(came), promise, tuple(way_to(came, state)))
        for label, after in model.steps(state):
            if after not in came:
                came[after] = (state, label)
                queue.append(after)
    return Finding(len(came))


def without(safeguard: str) -> Finding:
    """Take one safeguard away and look."""
    return explore(Model(replace(Safeguards(), **{safeguard: False})))


if __name__ == "__main__":
    for field in fields(Safeguards):
        finding = without(field.name)
        sys.stdout.write("\n    ".join((f"\nwithout {field.name}: {finding.promise}", *finding.trace)) + "\n")
