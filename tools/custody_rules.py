"""Write docs/custody-rules.md: every kind of event, from the classes that are the state machine.

    python tools/custody_rules.py          write the page
    python tools/custody_rules.py --check  fail when the page is not what would be written

The page is a reader's form of the rule table that travels with the log, so it must never be edited by hand.
"""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from biobank.custody.event import Event, rules
from biobank.custody.sentences import what_happened
from biobank.custody.states import (
    HOLD_BLOCKS,
    HOLDS_A_POSITION,
    LIVE,
    TERMINAL,
    Condition,
    CustodianKind,
    HoldScope,
    Quality,
    State,
    StreamKind,
)
from biobank.registries import event_kinds

PAGE = Path(__file__).resolve().parent.parent / "docs" / "custody-rules.md"

HEAD = """# Custody rules

Written by `tools/custody_rules.py` from the event classes (`biobank/*/events.py`). Do not edit it: change the class, then run
`python tools/custody_rules.py`. `tests/test_docs.py` fails while the two differ.

Rule table version (SHA-256 of its canonical JSON, stated in every entry of the log):
`{id}`
"""

READING = """
## How to read the table

- **Who**: the permission needed; `–` means that the use case decides (see the feature's service) or the bank itself records it.
- **By**: `direct` kinds are taken by `POST /specimens/{code}/events`; a `use case` kind is appended only by the call that owns
  its rule.
- **From → to**: states before and after. "any live" is every state that is not terminal; `–` leaves the state as it is.
- **Notes**: *first* starts its stream. *annotates* is legal in terminal states too. *cold first* is never refused for state,
  hold, reservation or a lagging log. *toward use* is refused while the log lags behind its promise. *held by* names the act
  that a hold may block. *places hold* places that hold in the same transaction. *only when* names the conditions it needs.
- **Changes**: what the event does to the current state of the specimen, beside the state itself. `=x` is a constant, `body.x` a
  member of the payload (`body.x?` only when it is not null), `entry.x` a member of the entry's head, `+` and `-` a sum.
"""


def page() -> str:
    """Return the whole page."""
    assert event_kinds.MODULES
    parts = [HEAD.format(id=rules.id), axes(), READING]
    for stream in StreamKind:
        rows = [row for row in rules.table if row["stream"] == stream.value]
        parts.append(f"\n## {stream.value.capitalize()}\n\n")
        parts.append(specimen_table(rows) if stream is StreamKind.SPECIMEN else other_table(rows))
    return "".join(parts)


def axes() -> str:
    """Return the tables of states, conditions and holds."""
    live = [s for s in State if s in LIVE]
    lines = [
        "",
        "## Axes",
        "",
        "| axis | values |",
        "|---|---|",
        f"| state, live | {listed(live)} |",
        f"| state, terminal | {listed(s for s in State if s in TERMINAL)} |",
        f"| state that keeps a position | {listed(s for s in State if s in HOLDS_A_POSITION)} |",
        f"| condition | {listed(Condition)} |",
        f"| quality | {listed(Quality)} |",
        f"| custodian | {listed(CustodianKind)} |",
        f"| scope of a hold | {listed(HoldScope)} |",
        "",
        "| hold | blocks |",
        "|---|---|",
        *(f"| {kind.value} | {', '.join(sorted(act.value for act in blocked))} |" for kind, blocked in HOLD_BLOCKS.items()),
        "",
    ]
    return "\n".join(lines)


def listed(values: Iterable[Any]) -> str:
    """Return enum members as one cell."""
    return " · ".join(v.value for v in values)


def specimen_table(rows: list[dict[str, Any]]) -> str:
    """Return the table of kinds on specimen streams."""
    head = "| kind | meaning | by | who | from → to | notes | changes |\n|---|---|---|---|---|---|---|\n"
    return head + "".join(
        f"| {kind_of(row)} | {meaning_of(row)} | {row['mode'].replace('_', ' ')} | {row['permission'] or '–'} "
        f"| {move_of(row)} | {notes_of(row)} | {changes_of(row)} |\n"
        for row in rows
    )


def other_table(rows: list[dict[str, Any]]) -> str:
    """Return the table of kinds on the other streams, which have no state machine."""
    if not rows:
        return "No kinds yet.\n"
    head = "| kind | meaning | who | carries |\n|---|---|---|---|\n"
    return head + "".join(
        f"| {kind_of(row)} | {meaning_of(row)} | {row['permission'] or '–'} | {fields_of(row)} |\n" for row in rows
    )


def class_of(row: dict[str, Any]) -> type[Event]:
    """Return the class behind a row."""
    return rules.by_kind[row["kind"]]


def kind_of(row: dict[str, Any]) -> str:
    """Return the kind, with its version once there is more than one."""
    return f"`{row['kind']}`" + (f" v{row['version']}" if row["version"] > 1 else "")


def meaning_of(row: dict[str, Any]) -> str:
    """Return what happened, as people read it in the log, safe in a cell."""
    return what_happened(row["kind"]).rstrip(".").replace("|", "\\|")


def move_of(row: dict[str, Any]) -> str:
    """Return `from → to`."""
    states = set(row["from"])
    if row["starts"]:
        before = "nothing"
    elif row["annotates"]:
        before = "any"
    elif states == {s.value for s in LIVE}:
        before = "any live"
    else:
        before = ", ".join(s.value for s in State if s.value in states)
    return f"{before} → {row['to'] or '–'}"


def notes_of(row: dict[str, Any]) -> str:
    """Return what else decides whether it is legal."""
    notes = [
        "first" if row["starts"] else "",
        "annotates" if row["annotates"] else "",
        "cold first" if row["cold_first"] else "",
        "toward use" if row["toward_use"] else "",
        f"held by {row['blocked_by_holds_on']}" if row["blocked_by_holds_on"] else "",
        f"places hold {row['places_hold']}" if row["places_hold"] else "",
        f"only when {', '.join(row['conditions'])}" if row["conditions"] else "",
    ]
    return "; ".join(note for note in notes if note) or "–"


def changes_of(row: dict[str, Any]) -> str:
    """Return the effect without the state, as short instructions."""
    changes = [f"{column} {written(instruction)}" for column, instruction in row["effect"].items() if column != "state"]
    return "; ".join(changes) or "–"


def written(instruction: dict[str, Any]) -> str:
    """Return one instruction of the effect language in short."""
    ((verb, argument),) = instruction.items()
    if verb == "set":
        return "=nothing" if argument is None else f"={str(argument).lower()}"
    forms = {
        "body": "body.{}",
        "body_or_keep": "body.{}?",
        "entry": "entry.{}",
        "plus": "+ body.{}",
        "minus": "- body.{}",
        "increment": "+ {}",
        "elapsed": "+ seconds since {} while frozen",
        "elapsed_until_known": "+ seconds since {} while frozen, until recorded where live",
        "restore": "as body.{} says",
    }
    return forms[verb].format(argument)


def fields_of(row: dict[str, Any]) -> str:
    """Return the names of the payload's members."""
    return ", ".join(f"`{name}`" for name in class_of(row).model_fields if name != "kind") or "–"


def main(arguments: list[str]) -> int:
    """Write or check the page; return an exit code."""
    text = page()
    if "--check" in arguments:
        if PAGE.read_text() == text:
            return 0
        print("docs/custody-rules.md is not what the classes say. Run: python tools/custody_rules.py", file=sys.stderr)
        return 1
    PAGE.write_text(text)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
