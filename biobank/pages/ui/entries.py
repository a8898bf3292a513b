"""Events of the log as entries of a timeline."""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from markupsafe import Markup

from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.custody.event import rules
from biobank.foundation.kept_files import file_members
from biobank.foundation.terms import words
from biobank.pages.ui.code_pages import prefix_of
from biobank.pages.ui.filters import grouped, plain, quantity
from biobank.pages.ui.parts import Entry
from biobank.quality.entry_words import commits_of, reads_words

_PROOF = re.compile(r"^[0-9a-f]{64}$|^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$")
_INSTANT = re.compile(r"^(\d{4}-\d\d-\d\d)T(\d\d:\d\d):\d\d\.\d{3}Z$")
_UNITS = {
    "_mc": "millidegrees_c",
    "_ppm": "ppm",
    "_s": "seconds",
    "_min": "minutes",
    "_days": "days",
    "_per_ul": "platelets_per_ul",
    "_ul": "ul",
    "_nl": "nl",
    "_g": "g",
    "_bp": "basis_points",
    "_percent": "percent",
}
"""Endings of members whose number has a unit."""
_UNIT_BESIDE = {"amount": "unit", "made": "made_unit", "used": "used_unit", "value": "reading", "peak": "measure"}
"""Members whose unit another member says: its name, or what was measured."""
SHORTEST_VALUE = 160
"""Characters of a list that are shown; the export has the whole entry."""


def entry_of(
    event: Any,
    state_after: Callable[[str], str | None],
    reader: Actor,
    clinic: str | None,
    readable: Collection[str] = (),
    *,
    corrects: bool = False,
) -> Entry:
    """Turn an `EventPublic` into an entry for its reader.

    `state_after` says where a kind leads, `clinic` where the donor is cared for, `readable` which files the reader may open,
    `corrects` whether they may correct what can be corrected of it.
    """
    written = commits_of(event.kind, event.comment, event.body)
    reads = written and reads_words(reader, event.kind, event.by, event.site, clinic)
    hands, cls = event.performed, rules.by_kind.get(event.kind)
    return Entry(
        kind=event.kind,
        occurred_at=datetime.fromisoformat(event.occurred_at),
        recorded_at=datetime.fromisoformat(event.recorded_at),
        recorded_by=event.by,
        seq=event.seq,
        performed_by=hands[0]["user"] if hands else None,
        confirmed=all(hand["confirmed"] or event.answers.get(hand["user"]) == "confirmed" for hand in hands),
        state_after=state_after(event.kind),
        facts=[*facts_of(event.body), *opened(files_of(event), readable)],
        note=" ".join(_notes(event)) or None,
        source=event.source,
        late=event.late,
        leaf_hash=event.leaf_hash,
        sealed=event.log_index is not None,
        # The proof is public: whoever holds the hash may check the bank's word for it.
        correct_href=f"/specimens/{event.id}/correct?corrects={event.leaf_hash}" if corrects and cls and cls.amendable else None,
        words_href=f"/entries/{event.leaf_hash}/words" if reads else None,
        receipt_href=None if event.log_index is None else f"/api/v1/log/proofs/{event.leaf_hash}",
    )


def _notes(event: Any) -> Iterable[str]:
    yield from (f"{badge} says it was not their work." for badge, said in event.answers.items() if said == "disputed")
    if event.source == "paper":
        yield "Entered from paper."
    if event.body.get("came_after") and event.kind == "specimen.administered":
        later = ", ".join(words(one).lower() for one in event.body["came_after"])
        yield f"It was given before this was recorded, and entered after it: {later}."
    if event.comment:
        yield "A remark is kept in the vault."


def files_of(event: Any) -> dict[str, str]:
    """Return the files that an event names: member → hash."""
    cls = rules.by_kind.get(event.kind)
    members = [] if cls is None else file_members(cls)
    return {name: event.body[name] for name in members if event.body.get(name) is not None}


def opened(files: Mapping[str, str], readable: Collection[str]) -> Iterator[tuple[str, Markup]]:
    """Yield a fact for each file that the reader may open."""
    for name, sha256 in files.items():
        if sha256 in readable:
            link = Markup('<a href="/attachments/{}" download>the file</a>').format(sha256)
            yield words(name.removesuffix("_sha256")), link


def facts_of(body: Mapping[str, Any], *, whole: bool = False) -> Iterable[tuple[str, Any]]:
    """Return what an event's body says, without hashes and ids that only a program compares; instants as RFC 3339.

    `whole`: of what somebody signs, every line of a list, and what stands within one: nothing is cut off.
    """
    units = {unit for name, unit in _UNIT_BESIDE.items() if isinstance(body.get(name), int)}
    for name, value in body.items():
        if name in units:
            continue
        beside = body.get(_UNIT_BESIDE.get(name, ""))
        unit = _unit_in(beside) or beside if beside else _unit_in(name)
        shown = _shown(value, whole) if unit is None or not isinstance(value, int) else quantity(value, unit)
        if shown is not None:
            label = next((name.removesuffix(end) for end in _UNITS if name.endswith(end) and isinstance(value, int)), name)
            yield words(label), shown


def said_of(body: Mapping[str, Any], *, whole: bool = False) -> str:
    """Return the same as one line of text, with instants in UTC."""
    return "; ".join(f"{label}: {_plain(value)}" for label, value in facts_of(body, whole=whole))


def _plain(value: Any) -> str:
    return _INSTANT.sub(r"\1 \2 UTC", plain(value) if isinstance(value, Markup) else str(value))


def _unit_in(name: str) -> str | None:
    return next((unit for end, unit in _UNITS.items() if name.endswith(end)), None)


_PERMISSIONS: Final = frozenset(one.value for one in Permission)


def _shown(value: Any, whole: bool = False) -> Any:
    if value is None or value == [] or value == {}:
        return None
    if isinstance(value, bool):
        return "Yes" if value else "No"
    if isinstance(value, int):
        return grouped(value)
    if isinstance(value, dict):
        return said_of(value, whole=True) or None if whole else None
    if isinstance(value, list) and all(isinstance(part, str) and part in _PERMISSIONS for part in value):
        return ", ".join(Permission(part).words for part in value)  # whole: somebody signs for it
    if isinstance(value, list) and whole:
        return ", ".join(filter(None, (_plain(_shown(part, whole) or "") for part in value))) or None
    if isinstance(value, list):
        text = ", ".join(str(part) for part in value if not isinstance(part, dict | list) and not _PROOF.match(str(part)))
        return text[:SHORTEST_VALUE] or None
    if _PROOF.match(value):
        return None
    return value if prefix_of(value) is not None or _INSTANT.match(value) else words(value)
