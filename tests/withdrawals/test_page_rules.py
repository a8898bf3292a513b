"""The pure rules behind the pages: which scan comes next, what the bedside tells one person, what a filter is called."""

from typing import Any
from uuid import uuid4

from hypothesis import given
from hypothesis import strategies as st

from biobank.exports.past_exports import pair
from biobank.exports.saved_views import title_of
from biobank.withdrawals.bedside_view import stage_of
from biobank.withdrawals.look_alikes import Neighbour, near_codes, warnings_of
from biobank.withdrawals.pick_list import Level, next_level

FAILED, PASSED = "withdrawal.bedside_check_failed", "withdrawal.bedside_check_passed"
OPENED, GIVEN = "withdrawal.bedside_check_opened", "withdrawal.administered"
LAST = st.sampled_from([None, FAILED, PASSED, OPENED, GIVEN])
PEOPLE = st.sampled_from(["US-A", "US-B", "US-C"])

WAYS = st.sampled_from(
    [
        (),
        (Level("box", "BX-2", "Box"),),
        (Level("box", "BX-2", "Box"), Level("slot", "PS-3", "A1")),
        (Level("rack", "BX-1", "Rack"), Level("box", "BX-2", "Box"), Level("slot", "PS-3", "A1")),
    ]
)
SCANS = st.fixed_dictionaries({kind: st.sampled_from(["", "BX-1", "BX-2", "PS-3", "BX-9"]) for kind in ("rack", "box", "slot")})


@given(WAYS, SCANS)
def test_the_next_scan_is_the_outermost_that_was_not_right(levels: tuple[Level, ...], scanned: dict[str, str]) -> None:
    level = next_level(levels, scanned)

    right = [scanned[one.kind] == one.code for one in levels]
    if level is None:
        assert all(right)
    else:
        at = levels.index(level)
        assert all(right[:at]) and not right[at]


@given(WAYS)
def test_right_scans_one_after_the_other_end_at_the_tube(levels: tuple[Level, ...]) -> None:
    scanned: dict[str, str] = {}
    for _ in levels:
        level = next_level(levels, scanned)
        assert level is not None
        scanned[level.kind] = level.code

    assert next_level(levels, scanned) is None


@given(LAST, st.lists(PEOPLE, max_size=3), st.integers(0, 2), st.integers(0, 3), PEOPLE)
def test_a_stop_hides_every_yes_and_yes_is_never_said_without_a_release(
    last: str | None, checks: list[str], releases: int, left: int, actor: str
) -> None:
    stage = stage_of(last, open_checks=checks, releases=releases, left=left, actor=actor)

    assert (stage == "stopped") == (last == FAILED)
    if stage == "released":
        assert releases
    if stage == "waiting":
        assert actor in checks
    if stage == "your_turn":
        assert checks and actor not in checks


def test_the_second_person_is_told_it_is_their_turn_and_the_first_to_wait() -> None:
    told = {who: stage_of(OPENED, open_checks=["US-A"], releases=0, left=1, actor=who) for who in ("US-A", "US-B")}

    assert told == {"US-A": "waiting", "US-B": "your_turn"}


def test_nothing_left_after_a_gift_is_the_end_and_another_tube_is_not() -> None:
    assert stage_of(GIVEN, open_checks=[], releases=0, left=0, actor="US-A") == "given"
    assert stage_of(GIVEN, open_checks=[], releases=0, left=1, actor="US-A") == "start"


def test_a_filter_is_called_by_what_it_asks() -> None:
    assert title_of({}) == "Everything"
    assert title_of({"kind": "specimen.administered", "site": "LAB", "days": "7"}) == "Administered · LAB · last 7 days"
    assert title_of({"from": "2026-01-01", "actor": "US-1"}) == "US-1 · 2026-01-01 to now"


def entry(kind: str, export: str, **body: Any) -> dict[str, Any]:
    """An entry of the exports' stream."""
    whole = {"export": export, "format": "csv", "filters": {}} if kind.endswith("started") else {"export": export, **body}
    return {"kind": kind, "by": "US-A", "recorded_at": "2026-11-25T10:00:00.000Z", "body": whole}


@given(st.lists(st.sampled_from(["running", "complete", "broken_off"]), max_size=12), st.randoms(use_true_random=False))
def test_every_started_export_is_listed_once_with_how_it_ended(states: list[str], random: Any) -> None:
    starts: list[dict[str, Any]] = []
    ends: list[dict[str, Any]] = []
    wanted = {}
    for state in states:
        export = str(uuid4())
        wanted[export] = state
        starts.append(entry("system.export_started", export))
        if state != "running":
            told = {"complete": state == "complete", "rows": 3, "size_bytes": 10, "sha256": "ab" * 32}
            ends.append(entry("system.export_finished", export, **told))
    random.shuffle(ends)

    assert {one.id: one.state for one in pair([*ends, *reversed(starts)])} == wanted


def test_what_could_be_taken_for_a_tube_is_said_by_nearness_of_place_code_and_name() -> None:
    tube = Neighbour("AD-2345678", "DN-1", "BX-1", "B2", 2, 2)
    box = [
        tube,
        Neighbour("AD-2345687", "DN-1", "BX-1", "A9", 1, 9),
        Neighbour("AD-9999999", "DN-2", "BX-1", "C3", 3, 3),
        Neighbour("AD-8888888", "DN-2", "BX-1", "F2", 6, 2),
        Neighbour("AD-7777777", "DN-3", "BX-1", None, None, None),
        Neighbour("AD-6666666", "DN-1", "BX-1", "H9", 8, 9),
    ]

    assert warnings_of(tube.code, box, {tube.code, "AD-6666666"}, {"DN-3"}) == [
        "1 tube of another person stands in the same box, and nothing says in which position.",
        "AD-2345687 in A9 has a code that reads almost the same and is of the same donor and not asked for.",
        "AD-7777777 is of a donor with a name like this one's.",
        "AD-9999999 in C3 is another person's, right beside it.",
    ]
    assert warnings_of("AD-0000000", box, set(), set()) == []
    assert not near_codes("AD-2345678", "AD-2345678") and not near_codes("AD-2345678", "HF-2345679")


def test_a_near_code_and_a_like_name_are_said_of_every_box_of_the_walk() -> None:
    here = Neighbour("AD26-0000001", "DN-A", "BX-1", "A1", 1, 1)
    near = Neighbour("AD26-0000010", "DN-B", "BX-2", "A1", 1, 1)
    alike = Neighbour("AD26-7777777", "DN-C", "BX-2", "B7", 2, 7)
    far = Neighbour("AD26-5555555", "DN-B", "BX-2", "B2", 2, 2)
    assert warnings_of(here.code, [here], {here.code, near.code}, {"DN-C"}, [far, near, alike]) == [
        "AD26-0000010 in BX-2, another box of this walk, has a code that reads almost the same.",
        "AD26-7777777 in BX-2, another box of this walk, is of a donor with a name like this one's.",
    ]


def test_in_a_box_without_slots_every_tube_of_another_person_is_a_neighbour() -> None:
    own = Neighbour("AD26-0000001", "DN-A", "BX-1", None, None, None)
    others = [Neighbour(f"AD26-99999{n}X", "DN-B", "BX-1", None, None, None) for n in range(3)]
    (said,) = warnings_of(own.code, [own, *others], {own.code}, set())
    assert said.startswith("3 tubes of other people stand in the same box")
