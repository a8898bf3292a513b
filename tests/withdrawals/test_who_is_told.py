"""Of every step of a withdrawal: who finds it on Today, that it leaves when it was done, and what whoever asked is told then."""

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from tests.conftest import Api
from tests.donors import stories as donors
from tests.viability.test_reports import demand
from tests.withdrawals.growing import asked, expand
from tests.withdrawals.stories import Story, a_story, sealed
from tests.withdrawals.test_final_label import count
from tests.withdrawals.test_told import told
from tests.withdrawals.test_who_is_waited_for import today

Taking = Callable[[Story], httpx.Response | None]

FIRST: dict[str, tuple[str, Taking]] = {
    "approve": ("quality", lambda story: story.approve()),
    "pick": ("lab_tech", lambda story: story.pick()),
    "confirm": ("lab_tech2", lambda story: story.confirm()),
}
AT_THE_CLINIC: dict[str, tuple[str, Taking]] = {
    "issue": ("lab_tech", lambda story: story.issue()),
    "receive": ("clinic_staff", lambda story: story.receive()),
    "thaw": ("clinic_staff", lambda story: story.thaw()),
    "check": ("clinician", lambda story: story.check()),
    "second": ("clinic_staff", lambda story: story.check(story.api.clinic_staff)),
    "administer": ("clinic_staff", lambda story: story.administer(story.api.clinic_staff)),
    "outcome": ("clinician2", lambda story: story.outcome(story.api.clinician2, close=True)),
}
AT_THE_BANK: dict[str, tuple[str, Taking]] = {
    "thaw": ("lab_tech", lambda story: story.thaw(story.api.lab_tech)),
    "count": ("lab_tech", lambda story: count(story.api, story)),
    "print": ("lab_tech", lambda story: story.scans.update(label=story.print_label())),
    "label": ("lab_tech", lambda story: story.label(scan=story.scans["label"])),
    "issue": ("lab_tech", lambda story: story.issue()),
}
GROWN: dict[str, tuple[str, Taking]] = {
    "thaw": ("lab_tech", lambda story: story.thaw(story.api.lab_tech)),
    "expand": ("lab_tech", lambda story: expand(story)),
}
WAYS = {"ship_frozen": FIRST | AT_THE_CLINIC, "thaw_and_ship": FIRST | AT_THE_BANK, "expand_in_run": FIRST | GROWN}

_ASKED = {
    "approve": ("Approve or reject a withdrawal", "withdrawal_approved"),
    "pick": ("Pick a tube for a withdrawal", "withdrawal_approved"),
    "confirm": ("Confirm a pick as the second person", "withdrawal_approved"),
}
_THAWED = {"thaw": ("Thaw a tube for a withdrawal", "withdrawal_approved")}
TOLD: dict[str, dict[str, tuple[str, str]]] = {
    "ship_frozen": _ASKED
    | {
        "confirm": ("Confirm a pick as the second person", "withdrawal_ready"),
        "issue": ("Issue a withdrawal", "withdrawal_issued"),
        "receive": ("A withdrawal is on its way here: receive it", "withdrawal_issued"),
        "thaw": ("Thaw a tube for a withdrawal", "withdrawal_issued"),
        # Whoever asked scans first, and so reads no more that it left.
        "check": ("Check a withdrawal at the bedside", ""),
        "second": ("Check a withdrawal at the bedside, as the second person", ""),
        "administer": ("Give what two people have checked", "withdrawal_given"),
        "outcome": ("Record what became of a withdrawal", ""),
    },
    "thaw_and_ship": _ASKED
    | _THAWED
    | {
        "count": ("Count what was thawed for a withdrawal", "withdrawal_approved"),
        "print": ("Print the final label of what was thawed", "withdrawal_approved"),
        "label": ("Put the final label on what was thawed", "withdrawal_ready"),
        "issue": ("Issue a withdrawal", "withdrawal_issued"),
    },
    "expand_in_run": _ASKED
    | _THAWED
    | {"expand": ("Record the run in which cells are grown for a withdrawal", "withdrawal_expanded")},
}
"""By way and step: what stands on Today of who may take it, and the reason of the notice that whoever asked has open after it."""


def a_request(api: Api, way: str) -> Story:
    if way == "expand_in_run":
        return asked(api)
    story = a_story(api, 3)
    demand(api)
    assert story.request(route=way).status_code == 201
    story.band = donors.band(api, story.donor)
    return story


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_who_may_take_a_step_finds_it_on_today_until_it_is_done_and_who_asked_is_told(api: Api, way: str) -> None:
    story = a_request(api, way)
    rows: dict[str, tuple[str, str]] = {}
    for step, (login, take) in WAYS[way].items():
        sealed(api)
        (line,) = today(api, login, story)
        answer = take(story)
        assert answer is None or answer.status_code in (200, 201), (step, answer.text)
        sealed(api)
        everybody = {one: today(api, one, story) for one in {"acts_here", *(who for who, _ in WAYS[way].values())}}
        # The first of two at the bedside has done their half; the second reads "as the second person".
        mine = everybody[login] if step == "check" else [one for lines in everybody.values() for one in lines]
        assert line not in mine, (step, "it has left")
        rows[step] = line[0], ", ".join(told(api.clinician, story))
    assert rows == TOLD.get(way), str(rows)


def rendered() -> str:
    """The table, as the documents show it."""
    lines = ["| way | step | on Today of who may take it, until it is done | then whoever asked is told |", "|---|---|---|---|"]
    for way, rows in TOLD.items():
        lines += [f"| {way} | {step} | {task} | {f'`{news}`' if news else ''} |" for step, (task, news) in rows.items()]
    return "\n".join(lines)


def test_the_table_of_who_is_told_stands_in_the_documents() -> None:
    page = (Path(__file__).parents[2] / "docs" / "withdrawal-steps.md").read_text()
    assert rendered() in page, rendered()
