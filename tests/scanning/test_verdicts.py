"""What a list says of a tube is what recording it answers: for every action, state, role and site."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import psycopg
import pytest
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.auth.actor import SYSTEM, Actor, RoleGrant
from biobank.auth.permissions import Role
from biobank.custody.events import CheckedOut, Received
from biobank.custody.schemas import BatchEventRequest, request_model
from biobank.custody.service import record_batch
from biobank.custody.states import TERMINAL, State
from biobank.foundation.errors import NotPermitted, Refusal
from biobank.scanning.commands import Action
from biobank.scanning.committing import SeenTube, commit_list
from biobank.scanning.lists import Row, Wanted, check_list
from biobank.scanning.rack_files import Line
from biobank.shipping import handovers
from biobank.shipping.schemas import HandoverRequest, SpecimenAsSeen
from biobank.storage.schemas import Placement, PlacementsRequest
from biobank.storage.service import place_specimens
from tests import seed
from tests.conftest import TestBank
from tests.factories import make_box, make_received

HOLDER, OTHER = seed.USERS["lab_tech"].code, seed.USERS["lab_tech2"].code
AWAY = seed.USERS["north_tech"].code

STATES = [state for state in State if state is not State.ADMINISTERED]
"""An administered tube needs a whole bedside behind it; the other terminal states are judged by the same rule."""
NOBODYS = TERMINAL - {State.ADMINISTERED}

PEOPLE: dict[str, tuple[tuple[Role, str | None], ...]] = {
    "technician": ((Role.LAB_TECH, "LAB"),),
    "technician elsewhere": ((Role.LAB_TECH, "NORTH"),),
    "clinician": ((Role.CLINICIAN, "CLINIC"),),
    "quality": ((Role.QUALITY, None),),
    "quality of one site": ((Role.QUALITY, "LAB"),),
    "auditor": ((Role.AUDITOR, None),),
    "auditor here, technician elsewhere": ((Role.AUDITOR, "LAB"), (Role.LAB_TECH, "NORTH")),
    "technician here, quality elsewhere": ((Role.LAB_TECH, "LAB"), (Role.QUALITY, "NORTH")),
    "administrator": ((Role.ADMIN, None),),
}


@dataclass(frozen=True)
class Stage:
    """Tubes in every state, and places to put them."""

    tubes: dict[str, str]
    boxes: dict[str, str]


def set_up(bank: TestBank) -> Stage:
    """Make the stage. The states are written over the log as only a test may: what is asked is how each of them is judged."""
    changes: dict[str, dict[str, object]] = {}
    stage: Stage = bank.write(lambda session: make_stage(session, bank, changes))
    with psycopg.connect(bank.dsn("owner")) as connection:
        connection.execute("SET CONSTRAINTS ALL DEFERRED")
        for table in ("event", "custody"):
            connection.execute(f"ALTER TABLE {table} DISABLE TRIGGER USER")
        for code, values in changes.items():
            columns = ", ".join(f"{name} = %s" for name in values)
            connection.execute(f"UPDATE custody SET {columns} WHERE code = %s", (*values.values(), code))
            connection.execute(
                "UPDATE event e SET state = c.state FROM custody c"
                " WHERE c.code = %s AND e.stream_kind = 'specimen' AND e.stream_id = c.code AND e.seq = c.seq",
                (code,),
            )
        connection.execute("SET CONSTRAINTS ALL IMMEDIATE")
        for table in ("event", "custody"):
            connection.execute(f"ALTER TABLE {table} ENABLE TRIGGER USER")
    return stage


def make_stage(session: Session, bank: TestBank, changes: dict[str, dict[str, object]]) -> Stage:
    """Boxes and tubes through the ledger; `changes` is what is then written over each tube."""
    act, admin = Act.of(SYSTEM, bank.bank, path="test"), bank.act("admin")
    boxes = {
        "free": make_box(session, admin, rows=6, cols=6).code,
        "full": make_box(session, admin, rows=1, cols=1).code,
        "cold": make_box(session, admin, rows=6, cols=6, temperature_class="ln2_vapour").code,
        "quarantine": make_box(session, admin, purpose="quarantine", rows=1, cols=2).code,
        "elsewhere": make_box(session, admin, rows=6, cols=6, site="NORTH").code,
    }
    tubes: dict[str, str] = {}

    def add(name: str, **projection: object) -> None:
        code = make_received(session, act).code
        tubes[name] = code
        changes[code] = {"custodian_kind": "user", "custodian_id": HOLDER} | projection

    placed: dict[str, object] = {"container_code": boxes["free"]}
    nobodys: dict[str, object] = {"custodian_kind": "nobody", "custodian_id": None}
    more: dict[State, dict[str, object]] = {
        State.STORED: placed | {"custodian_kind": "site", "custodian_id": "LAB"},
        State.CHECKED_OUT: placed,
    } | dict.fromkeys(NOBODYS, nobodys)
    for state in STATES:
        add(state.value, state=state.value, **more.get(state, {}))
    add("frozen", condition="frozen")
    add("at the clinic", site_code="CLINIC")
    add("of the site", custodian_kind="site", custodian_id="LAB")
    add("of a colleague", custodian_id=OTHER)
    add("offered", offered_kind="user", offered_id=OTHER)
    filler = make_received(session, act).code
    full = PlacementsRequest(placements=[Placement(specimen=filler, position="A1", expected_seq=2)])
    place_specimens(session, bank.act("lab_tech"), boxes["full"], full)
    tubes["in the full box"] = filler
    return Stage(tubes, boxes)


def wishes(stage: Stage) -> Iterator[Wanted]:
    for site in ("LAB", "CLINIC"):
        yield Wanted(Action.RECEIVE, site=site)
    yield Wanted(Action.CHECK_OUT, purpose="inspection")
    for badge in (HOLDER, OTHER, AWAY):
        yield Wanted(Action.HAND_OVER, place=badge)
    for box in stage.boxes.values():
        yield Wanted(Action.STORE, place=box)


def recording(session: Session, act: Act, wanted: Wanted, code: str, seq: int, row: Row | None) -> None:
    """Record by the call of the API that the list stands for."""
    if wanted.action is Action.RECEIVE:
        model: Any = request_model(Received, BatchEventRequest)
        record_batch(session, act, [model(kind="specimen.received", specimen=code, expected_seq=seq, site=wanted.site)])
    elif wanted.action is Action.CHECK_OUT:
        model = request_model(CheckedOut, BatchEventRequest)
        record_batch(session, act, [model(kind="specimen.checked_out", specimen=code, expected_seq=seq, purpose=wanted.purpose)])
    elif wanted.action is Action.HAND_OVER:
        seen = [SpecimenAsSeen(specimen=code, expected_seq=seq)]
        handovers.offer(session, act, HandoverRequest(specimens=seen, to_kind="user", to_id=wanted.place or ""))
    else:
        placement = Placement(specimen=code, position=None if row is None else row.slot, expected_seq=seq)
        place_specimens(session, act, wanted.place or "", PlacementsRequest(placements=[placement]))


def answer_of(session: Session, work: Callable[[], object]) -> str | None:
    """Return the code of the refusal that `work` raises, or None; what it wrote is undone."""
    nested = session.begin_nested()
    try:
        work()
    except Refusal as refusal:
        return refusal.code
    finally:
        nested.rollback()
    return None


@pytest.mark.parametrize("who", PEOPLE)
def test_a_verdict_is_what_recording_answers(bank: TestBank, who: str) -> None:
    actor = Actor(HOLDER, frozenset(RoleGrant(role, site) for role, site in PEOPLE[who]))
    act = Act.of(actor, bank.bank, path="test")
    settings = bank.bank.settings
    seen: set[str | None] = set()

    stage = set_up(bank)

    def compare(session: Session) -> None:
        names = {code: name for name, code in stage.tubes.items()}
        for wanted in wishes(stage):
            try:
                listed = check_list(session, actor, wanted, [Line(code) for code in names], settings)
            except NotPermitted:
                for code in list(names)[:3]:
                    assert answer_of(session, lambda: recording(session, act, wanted, code, 2, None)) is not None  # noqa: B023
                continue
            for code, row in zip(names, listed.rows, strict=True):
                seq = 2 if row.seq is None else row.seq
                answer = answer_of(session, lambda: recording(session, act, wanted, code, seq, row))  # noqa: B023
                said = None if not row.refusals else row.refusals[0].code
                if listed.refusal is not None and listed.refusal.code != "several_custodians":
                    said = listed.refusal.code
                if row.verdict == "again":
                    said = answer
                assert said == answer, (who, wanted, names[code], row)
                seen.add(answer)
                if row.verdict == "ready" and listed.refusal is None:
                    tube = SeenTube(text=code, seq=seq, slot=row.slot)
                    assert answer_of(session, lambda: commit_list(session, act, wanted, [tube], settings)) is None  # noqa: B023

    bank.write(compare)
    if who == "technician":
        assert {None, "illegal_transition", "not_the_custodian", "already_offered", "wrong_temperature_class"} <= seen


def test_the_ready_tubes_of_a_list_are_recorded_together(bank: TestBank) -> None:
    actor = bank.actor("lab_tech")
    act = Act.of(actor, bank.bank, path="test")
    settings = bank.bank.settings

    stage = set_up(bank)

    def commit(session: Session) -> list[int]:
        counts = []
        for wanted in wishes(stage):
            if (wanted.action is Action.RECEIVE and wanted.site != "LAB") or wanted.place in (
                HOLDER,
                AWAY,
                stage.boxes["elsewhere"],
            ):
                continue
            listed = check_list(session, actor, wanted, [Line(code) for code in stage.tubes.values()], settings)
            if listed.refusal is not None:
                assert listed.refusal.code == "several_custodians"
                continue
            tubes = [SeenTube(text=row.text, seq=row.seq or 0, slot=row.slot) for row in listed.ready]
            counts.append(len(tubes))
            if tubes:
                assert answer_of(session, lambda: commit_list(session, act, wanted, tubes, settings)) is None  # noqa: B023
        return counts

    assert sum(bank.write(commit)) > 20


def test_a_tube_is_blocked_for_every_reason_at_once(bank: TestBank) -> None:
    actor = Actor(OTHER, frozenset({RoleGrant(Role.LAB_TECH, "NORTH"), RoleGrant(Role.AUDITOR, None)}))

    stage = set_up(bank)

    def reasons(session: Session) -> list[str]:
        wanted = Wanted(Action.RECEIVE, site="LAB")
        (row,) = check_list(session, actor, wanted, [Line(stage.tubes["stored"])], bank.bank.settings).rows
        assert len(row.reasons) == len(row.refusals)
        return [refusal.code for refusal in row.refusals]

    assert bank.write(reasons) == ["not_permitted", "illegal_transition"]


def test_a_quarantine_list_takes_a_live_tube_that_the_login_may_not_know_of_and_tells_nothing_of_it(bank: TestBank) -> None:
    actor = Actor(AWAY, frozenset({RoleGrant(Role.LAB_TECH, "NORTH")}))

    stage = set_up(bank)

    def look(session: Session) -> None:
        admin = bank.act("admin")
        box = make_box(session, admin, site="NORTH", purpose="quarantine").code
        codes = [stage.tubes[state.value] for state in STATES]
        rows = check_list(session, actor, Wanted(Action.STORE, place=box), [Line(c) for c in codes], bank.bank.settings).rows
        assert [row.verdict for row in rows] == ["unknown" if state in TERMINAL else "ready" for state in STATES]
        assert {(row.material, row.state, row.place) for row in rows} == {(None, None, None)}

    bank.write(look)
