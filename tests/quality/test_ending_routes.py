"""Every route on which a unit kept for treatment can end, read from the rules and from the code: what is new stands here first.

The rules say which kinds of event take cells away; the code says where such an event is made. Each stands below with the two
people, or the rule of ending, that it asks. Then every login alone sends every observation that the API takes directly, one by
one and in batches, and nobody ends anything.
"""

import ast
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any, get_args

import pytest

import biobank
from biobank.custody.event import Event, Mode, rules
from biobank.custody.states import TERMINAL, Condition, StreamKind
from biobank.quality.ending import Route
from biobank.registries import event_kinds
from biobank.specimens.processing_schemas import MakingRun
from tests.conftest import Api, Client
from tests.quality.test_ending_hostile import LOGINS, out
from tests.withdrawals.stories import AMOUNT, a_donor, bank_vials, state_of

Json = dict[str, Any]
assert event_kinds, "the kinds of every package are known"

TABLE: dict[str, tuple[str, str]] = {
    "specimen.administered": ("withdrawals/administering.py", "two at the bedside, of an approved withdrawal"),
    "specimen.consumed": ("specimens/making.py", Route.RUN),
    "specimen.discarded": ("quality/disposal.py", Route.DISCARD),
    "specimen.handed_over_at_closing": ("quality/closing.py", "two of quality, on the other bank's acceptance"),
    "specimen.identified": ("quality/identifying.py", "two of quality; of what nobody could name"),
    "specimen.lost": ("quality/disposal.py", Route.GIVE_UP),
    "specimen.part_used": ("specimens/making.py", Route.RUN),
    "specimen.reversed": ("custody/reversal.py", "what an entry changed is put back: it takes nothing that was there before it"),
    "specimen.sampled": ("by the caller", Route.SAMPLE),
    "specimen.thawed": ("specimens/freezing.py withdrawals/picking.py", Route.THAW),
    "specimen.transferred_out": ("quality/disposal.py", Route.TRANSFER_OUT),
    "specimen.vessels_discarded": ("quality/cultures.py", "two people; quality where no usable rest is left"),
}
"""Kind → the modules that make it, and what it asks."""


def takes_away(kind: type[Event]) -> bool:
    """Whether it ends a specimen, lowers its amount or thaws it, as its class says."""
    amount, condition = kind.effect.get("amount"), kind.effect.get("condition")
    lowers = amount is not None and not kind.starts and "body" not in repr(amount)
    changes = condition is not None and not kind.starts and "frozen" not in repr(condition)
    return kind.to_state in TERMINAL or lowers or changes


OF_SPECIMENS = {name: kind for name, kind in rules.by_kind.items() if kind.stream is StreamKind.SPECIMEN}


def test_every_kind_of_event_that_takes_cells_away_is_in_the_table_and_no_other() -> None:
    assert {name for name, kind in OF_SPECIMENS.items() if takes_away(kind)} == set(TABLE)


def test_no_correction_of_an_entry_changes_an_amount_or_a_state() -> None:
    for name, kind in OF_SPECIMENS.items():
        assert kind.amendable.isdisjoint({"amount", "condition", "state", "residue", "unit"}), name
        assert not kind.starts or "purpose" not in kind.amendable, name


def made_in() -> Iterator[tuple[str, str]]:
    """(kind, module) for every place in the code where an event that takes away is made. A name may be imported under another."""
    classes = {(kind.__module__, kind.__name__): name for name, kind in OF_SPECIMENS.items() if name in TABLE}
    package = Path(biobank.__file__).parent
    for path in sorted(package.rglob("*.py")):
        module = path.relative_to(package).as_posix()
        if module.startswith("demo/"):
            continue
        tree = ast.parse(path.read_text())
        named: dict[str, str] = {}
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module is not None:
                for one in node.names:
                    kind = classes.get((node.module, one.name))
                    named |= {} if kind is None else {one.asname or one.name: kind}
            elif isinstance(node, ast.ClassDef):
                kind = classes.get((f"biobank.{module[:-3].replace('/', '.')}", node.name))
                named |= {} if kind is None else {node.name: kind}
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in named:
                yield named[node.func.id], module


def test_every_place_in_the_code_that_takes_cells_away_is_in_the_table() -> None:
    found: dict[str, set[str]] = {}
    for kind, module in made_in():
        found.setdefault(kind, set()).add(module)
    assert found == {kind: set(where.split()) for kind, (where, _) in TABLE.items() if where != "by the caller"}


def test_what_a_caller_may_send_directly_and_takes_away_asks_the_rule_of_ending() -> None:
    direct = {name: kind for name, kind in OF_SPECIMENS.items() if kind.mode is Mode.DIRECT}
    assert {name for name, kind in direct.items() if takes_away(kind)} == {"specimen.sampled"}
    assert {name for name, kind in OF_SPECIMENS.items() if kind.may_end} == {"specimen.sampled", "specimen.thawed"}
    assert set(Route) <= {asked for _, asked in TABLE.values() if isinstance(asked, Route)} | {Route.USE_UP}


SENT: dict[str, tuple[Json, ...]] = {
    "specimen.annotated": ({"topic": "residue", "comment": "Nothing left."},),
    "specimen.checked_out": ({"purpose": "processing"}, {"purpose": "withdrawal"}),
    "specimen.found": ({"site": "LAB"},),
    "specimen.inspected": ({"container_intact": False, "label_legible": False, "contents_as_expected": False},),
    "specimen.missing": ({"reason": "not_there"},),
    "specimen.received": ({"site": "LAB"},),
    "specimen.sampled": tuple({"purpose": "sterility", "amount": one} for one in (AMOUNT, AMOUNT - 1, AMOUNT // 2 + 1)),
}
"""What is sent of every kind that the API takes directly."""


def test_every_direct_kind_is_sent() -> None:
    assert set(SENT) == {name for name, kind in OF_SPECIMENS.items() if kind.mode is Mode.DIRECT}


def is_there(api: Api, unit: str) -> bool:
    """Whether the unit is still its donor's: not over, not thawed, a usable rest at least. What is missing is looked for."""
    now = state_of(api, unit)
    alive = now["state"] not in {state.value for state in TERMINAL} and now["condition"] == Condition.FROZEN
    return alive and now["amount"] * 2 >= AMOUNT


@pytest.mark.parametrize("where", ["in its place", "in the hand"])
def test_nobody_alone_ends_a_unit_by_anything_that_is_sent_directly_or_in_a_batch(api: Api, where: str) -> None:
    vials = bank_vials(api, a_donor(api), len(LOGINS))
    for login, unit in zip(LOGINS, vials, strict=True):
        client: Client = getattr(api, login)
        if where == "in the hand":
            api.test_bank.write(partial(out, unit=unit, api=api))
        for kind, bodies in SENT.items():
            for body in bodies:
                seq = api.quality.get(f"/specimens/{unit}").json()["custody"]["seq"]
                said = {"kind": kind, "expected_seq": seq} | body
                client.post(f"/specimens/{unit}/events", json=said)
                client.post("/custody-events", json={"events": [said | {"specimen": unit}]})
        assert is_there(api, unit), (login, state_of(api, unit))


def test_every_process_is_tried_by_the_tests_of_endings() -> None:
    """Runs are the route with the most ways: `test_ending_hostile.py` and `test_ending_by_yield.py` try each process."""
    named = get_args(MakingRun.model_fields["process"].annotation)
    tried = {"wash", "microfat", "svf_isolation", "follicle_outgrowth", "expansion", "passage"}
    assert {one.value for one in named} == tried | {"aliquoting", "qc_sampling", "exosome_isolation"}
