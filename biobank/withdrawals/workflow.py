"""The steps of a treatment withdrawal, as pure rules: which step is legal now, where it leads, what it still waits for.

    requested ─approve→ approved ─pick→ picking ─issue→ issued ─receive→ delivered ─administer→ administered ─close→ closed
        │                  │               │                                │
        └─reject→ rejected └────cancel─────┴→ cancelled     return ─────────┴→ returned ─close→ closed
                                           └─expand→ expanded, on the route of a new run

A withdrawal may be of several tubes. It is `delivered` once any tube has arrived, `administered` once something was given and
no tube is outstanding, `returned` when nothing was given and all came back. A tube that left is outstanding until it was given,
destroyed, given up as lost by two people, or quality decided about its return: wherever it is meanwhile, in a fridge of
quarantine or missing. What is found or comes back after the end is taken back all the same.

`in_transit` is never stored: it is what an issued withdrawal is called while its tubes are on a shipment, because shipments know
nothing of withdrawals.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from biobank.custody.states import TERMINAL, Condition, State
from biobank.foundation.errors import Conflict
from biobank.foundation.terms import words


class WithdrawalState(StrEnum):
    """Where a withdrawal stands."""

    REQUESTED = "requested"
    APPROVED = "approved"
    PICKING = "picking"
    ISSUED = "issued"
    DELIVERED = "delivered"
    ADMINISTERED = "administered"
    RETURNED = "returned"
    CLOSED = "closed"
    REJECTED = "rejected"
    CANCELLED = "cancelled"
    EXPANDED = "expanded"


class Step(StrEnum):
    """What people do with a withdrawal; the endpoint of the same name does it."""

    APPROVE = "approve"
    REJECT = "reject"
    CANCEL = "cancel"
    REPLACE = "replace"
    PICK = "pick"
    THAW = "thaw"
    LABEL = "label"
    EXPAND = "expand"
    ISSUE = "issue"
    RECEIVE = "receive"
    CHECK = "check"
    ADMINISTER = "administer"
    RETURN = "return"
    OUTCOME = "outcome"
    CLOSE = "close"


class Route(StrEnum):
    """How the cells reach the chair; what is expanded first is asked for anew once it is grown and released."""

    SHIP_FROZEN = "ship_frozen"
    THAW_AND_SHIP = "thaw_and_ship"
    SHIP_FRESH = "ship_fresh"
    EXPAND = "expand_in_run"


S = WithdrawalState

APPROVED_STATES = frozenset({S.APPROVED, S.PICKING, S.ISSUED, S.DELIVERED, S.ADMINISTERED, S.RETURNED, S.CLOSED, S.EXPANDED})
"""States that only an approved withdrawal reaches."""

OVER = frozenset({S.CLOSED, S.REJECTED, S.CANCELLED, S.EXPANDED})

LEGAL: Mapping[Step, frozenset[WithdrawalState]] = {
    Step.APPROVE: frozenset({S.REQUESTED}),
    Step.REJECT: frozenset({S.REQUESTED}),
    Step.CANCEL: frozenset({S.REQUESTED, S.APPROVED, S.PICKING}),
    Step.REPLACE: frozenset({S.REQUESTED, S.APPROVED, S.PICKING}),
    Step.PICK: frozenset({S.APPROVED, S.PICKING}),
    Step.THAW: frozenset({S.PICKING, S.ISSUED, S.DELIVERED}),
    Step.LABEL: frozenset({S.PICKING}),
    Step.EXPAND: frozenset({S.PICKING}),
    Step.ISSUE: frozenset({S.PICKING}),
    Step.RECEIVE: frozenset({S.ISSUED, S.DELIVERED}),
    Step.CHECK: frozenset({S.ISSUED, S.DELIVERED}),
    Step.ADMINISTER: frozenset({S.ISSUED, S.DELIVERED}),
    Step.RETURN: frozenset({S.ISSUED, S.DELIVERED, S.ADMINISTERED, S.RETURNED, S.CLOSED}),
    Step.OUTCOME: frozenset({S.ISSUED, S.DELIVERED, S.ADMINISTERED, S.RETURNED, S.CLOSED}),
    Step.CLOSE: frozenset({S.ISSUED, S.DELIVERED, S.ADMINISTERED, S.RETURNED}),
}
"""The states in which each step may happen."""

ROUTE_CONDITIONS: Mapping[Route, frozenset[Condition]] = {
    Route.SHIP_FROZEN: frozenset({Condition.FROZEN}),
    Route.THAW_AND_SHIP: frozenset({Condition.THAWED}),
    Route.SHIP_FRESH: frozenset({Condition.FRESH, Condition.IN_CULTURE}),
    Route.EXPAND: frozenset({Condition.THAWED, Condition.FRESH, Condition.IN_CULTURE}),
}
"""The condition a tube must be in when it leaves on a route, or goes into the run."""

THAWED_HERE = frozenset({Route.THAW_AND_SHIP, Route.EXPAND})
"""Routes on which the bank itself thaws what is frozen."""

BEFORE_ISSUE: Mapping[Route, frozenset[Condition]] = {
    **ROUTE_CONDITIONS,
    **{route: ROUTE_CONDITIONS[route] | {Condition.FROZEN} for route in THAWED_HERE},
}
"""The condition it may be in until then: what is to be thawed here still lies frozen."""

_OUTCOME = (("outcome",), "the outcome, as the clinic saw it", None)
AWAY = frozenset({State.ISSUED, State.IN_TRANSIT, State.DELIVERED})
_NOTHING_EXPECTED = frozenset({S.ADMINISTERED, S.RETURNED, S.CLOSED})
"""Where every tube was settled once: what turns up later changes nothing of it."""


class WrongStep(Conflict):
    """The withdrawal is not where this step begins."""

    code = "wrong_step"
    title = "Not the next step"


def step_refusal(step: Step, code: str, state: WithdrawalState) -> WrongStep | None:
    """Return why `step` may not happen to withdrawal `code` in `state`, or None."""
    if state in LEGAL[step]:
        return None
    legal = " or ".join(s.value for s in WithdrawalState if s in LEGAL[step])
    return WrongStep(
        f"{code} is {words(state).lower()}; this step is for a withdrawal that is {legal}.", subject=code, state=state.value
    )


@dataclass(frozen=True)
class Item:
    """One tube of a withdrawal, as the rules see it: where it is and what was done with it for this withdrawal.

    `labelled`: its final label is on it; `left`: it left the bank for it, and quality has not decided about a return;
    `others`: it came back, and is reserved for another withdrawal now.
    """

    specimen: str
    state: State
    condition: Condition
    picked: bool = False
    confirmed: bool = False
    labelled: bool = False
    given: bool = False
    left: bool = False
    others: bool = False

    @property
    def away(self) -> bool:
        """Whether it is on its way, or at the clinic, for this withdrawal."""
        return self.state in AWAY and not self.others


def settled(item: Item) -> bool:
    """Say whether it is not outstanding: it has ended, or is the bank's again by quality's decision."""
    return item.state in TERMINAL or not (item.left or item.away)


def after(step: Step, state: WithdrawalState, items: Collection[Item] = ()) -> WithdrawalState:
    """Return the state after a step. `items` are the tubes as they stand after it. Pure; the caller checked legality."""
    if step in _LEADS_TO:
        return _LEADS_TO[step]
    if step in (Step.ADMINISTER, Step.RETURN):
        if state in _NOTHING_EXPECTED:
            return state
        if not all(settled(item) for item in items):
            return S.ISSUED if state is S.ISSUED else S.DELIVERED  # one came back, the others are still on their way
        return S.ADMINISTERED if any(item.given for item in items) else S.RETURNED
    return state


_LEADS_TO = {
    Step.APPROVE: S.APPROVED,
    Step.REJECT: S.REJECTED,
    Step.CANCEL: S.CANCELLED,
    Step.REPLACE: S.CANCELLED,
    Step.PICK: S.PICKING,
    Step.EXPAND: S.EXPANDED,
    Step.ISSUE: S.ISSUED,
    Step.RECEIVE: S.DELIVERED,
    Step.CLOSE: S.CLOSED,
}


def shown(state: WithdrawalState, items: Collection[Item]) -> str:
    """Return the state as people are told it: an issued withdrawal whose tubes travel is `in_transit`."""
    if state is S.ISSUED and any(item.away and item.state is State.IN_TRANSIT for item in items):
        return State.IN_TRANSIT.value
    return state.value


Wait = tuple[tuple[str, ...], str, str | None]
"""Names of the steps that end a wait, the first to be tried first; the wait in words; the tube it is about, if one."""


def waits_for(state: WithdrawalState, route: Route, items: Sequence[Item], *, again: bool = False) -> list[str]:
    """Say in words what the withdrawal waits for; the first is the next thing to do. Empty when it is over.

    `again`: what was approved has changed, and quality looks at it anew.
    """
    return [said for _, said, _ in _waits(state, route, items, again)]


def next_steps(state: WithdrawalState, route: Route, items: Sequence[Item], *, again: bool = False) -> list[str]:
    """Return the names of the steps that the withdrawal waits for, the next one first."""
    return list(dict.fromkeys(name for name, _ in next_acts(state, route, items, again=again)))


def next_acts(
    state: WithdrawalState, route: Route, items: Sequence[Item], *, again: bool = False
) -> list[tuple[str, str | None]]:
    """Return the steps that the withdrawal waits for, the next one first, each with the tube that waits for it (None: all)."""
    return [(name, tube) for names, _, tube in _waits(state, route, items, again) for name in names]


def _waits(state: WithdrawalState, route: Route, items: Sequence[Item], again: bool) -> list[Wait]:
    if state is S.REQUESTED:
        return [(("approve",), "quality's approval, with a signature", None)]
    if state in (S.APPROVED, S.PICKING):
        anew: list[Wait] = [(("approve",), "quality to look at it again, with a signature", None)] if again else []
        return [*anew, *_waits_before_issue(route, items)]
    if state in (S.ISSUED, S.DELIVERED):
        return _waits_after_issue(items)
    if state in (S.ADMINISTERED, S.RETURNED):
        return [*_waits_for_return(items), _OUTCOME]
    return _waits_for_return(items) if state is S.CLOSED else []


def _waits_before_issue(route: Route, items: Sequence[Item]) -> list[Wait]:
    gone = {item.specimen for item in items if item.state is State.MISSING or item.state in TERMINAL}
    waits: list[Wait] = [
        (
            (),
            f"{item.specimen} is {words(item.state).lower()}: {'look for it, ' if item.state is State.MISSING else ''}"
            "ask for another instead, or call it off",
            item.specimen,
        )
        for item in items
        if item.specimen in gone
    ]
    waits += [
        (("pick",), f"{item.specimen}: pick it, scanning its place and the tube", item.specimen)
        for item in items
        if not item.picked and item.specimen not in gone
    ]
    waits += [
        (("confirm",), f"{item.specimen}: a second person's blind scan", item.specimen)
        for item in items
        if item.picked and not item.confirmed
    ]
    if route in THAWED_HERE:
        frozen = [item for item in items if item.confirmed and item.condition is Condition.FROZEN]
        waits += [(("thaw",), f"{item.specimen}: thaw it", item.specimen) for item in frozen]
    if route is Route.THAW_AND_SHIP:
        bare = [item for item in items if item.confirmed and item.condition is not Condition.FROZEN and not item.labelled]
        waits += [(("label",), f"{item.specimen}: count it and put its final label on", item.specimen) for item in bare]
    if route is Route.EXPAND:
        return waits or [(("expand",), "the new run: record what went in and what came out of it", None)]
    return waits or [(("issue",), "issue: hand it over to the clinic or a courier", None)]


def _waits_after_issue(items: Sequence[Item]) -> list[Wait]:
    waits: list[Wait] = [
        (("receive",), f"{item.specimen}: receive it at the clinic", item.specimen)
        for item in items
        if item.away and item.state is not State.DELIVERED
    ]
    for item in items:
        if item.away and item.state is State.DELIVERED:
            frozen = item.condition is Condition.FROZEN
            said = ", ".join([*(["thaw it"] if frozen else []), "bedside check by two people", "administer it"])
            # What was checked by two people is given; there is a release only then.
            waits.append((("thaw",) if frozen else ("administer", "check"), f"{item.specimen}: {said}", item.specimen))
    return _waits_for_return(items) + waits or [_OUTCOME]


def _waits_for_return(items: Sequence[Item]) -> list[Wait]:
    """What left and is neither on its way nor at the clinic: somebody looks for it, takes it back or has it destroyed."""
    return [
        (
            ("return",) if item.condition is Condition.FROZEN and item.state is not State.STORED else (),
            f"{item.specimen}: {ending_of(item)}",
            item.specimen,
        )
        for item in items
        if not item.away and not settled(item)
    ]


def ending_of(item: Item) -> str:
    """Say in words how an outstanding tube is settled."""
    if item.state is State.MISSING:
        return "look for it, or give it up as lost by two people"
    first = "take it out of its place and " if item.state is State.STORED else ""
    back = [f"{first}take it back with quality's decision"] if item.condition is Condition.FROZEN else []
    ways = [*(["give it"] if item.away else []), *back, "have it destroyed"]
    return ", ".join([*ways[:-1], f"or {ways[-1]}" if len(ways) > 1 else ways[-1]])
