"""A rack's file beside what the bank knows: its tubes, the rack it names, and where the record of the box says otherwise."""

from collections.abc import Collection, Iterable, Sequence

from sqlalchemy import select
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.custody.models import custody
from biobank.foundation.codes import Prefix
from biobank.foundation.config import Settings
from biobank.foundation.errors import Refusal
from biobank.foundation.names import name_key
from biobank.foundation.scanned_text import spellings
from biobank.scanning.rack_files import MOST_ROWS, Known, Line, RackFile, read_rack, require_one_rack, rows_of
from biobank.scanning.rack_tables import rows_of_file
from biobank.specimens.resolving import matching_aliases
from biobank.specimens.scanned_labels import read_current
from biobank.storage.models import storage_container as container
from biobank.storage.placing import Box
from biobank.storage.queries import places_seen


def read_pasted(session: Session, actor: Actor, text: str, settings: Settings) -> RackFile:
    """Read pasted lines; the rack comes back as the code of a container. Raises ListTooLong, TwoTubesInOnePlace."""
    known = _known_to(session)
    return _with_container(session, actor, read_rack(rows_of(text, known), known), settings)


def read_file(session: Session, actor: Actor, data: bytes, settings: Settings) -> RackFile:
    """Read a rack scanner's file. Raises NotARackFile, ListTooLong, TwoTubesInOnePlace, TwoRacks."""
    known = _known_to(session)
    found = read_rack(rows_of_file(data, known), known)
    require_one_rack(found)
    return _with_container(session, actor, found, settings)


def read_scans(session: Session, text: str) -> list[str]:
    """Return the tubes of pasted lines, for lists that say what is in a place, however many there are. A tube that a reader could
    not read is one too. Raises ListTooLong for more rows than any file of a rack, and TwoTubesInOnePlace.
    """
    known = _known_to(session)
    rows = rows_of(text, known)
    if all(len(row) == 1 for row in rows):
        return [cell for row in rows for cell in row if cell]
    return [line.text for line in read_rack(rows, known, most=MOST_ROWS).lines]


def _known_to(session: Session) -> Known:
    def known(texts: Collection[str]) -> Collection[str]:
        return matching_aliases(session, texts).keys()

    return known


def _with_container(session: Session, actor: Actor, found: RackFile, settings: Settings) -> RackFile:
    return RackFile(found.lines, None if found.rack is None else container_called(session, actor, found.rack, settings))


def container_called(session: Session, actor: Actor, text: str, settings: Settings) -> str | None:
    """Return the container that a text names: by its code, its label's address, or the one container with this name."""
    try:
        code = read_current(session, text, settings)
        return code.text if code.prefix is Prefix.CONTAINER else None
    except Refusal:
        pass
    named = select(container.c.code).where(
        container.c.name_key.in_({name_key(one) for one in spellings(text)}),
        container.c.active,
        places_seen(actor).of(container.c.site_code),
    )
    codes = list(session.execute(named.limit(2)).scalars())
    return str(codes[0]) if len(codes) == 1 else None


def differences(session: Session, box: Box, lines: Sequence[tuple[Line, str | None]]) -> list[str]:
    """Say where the record of a box and a rack's file disagree, slot by slot; nothing when no line names a well.

    `lines`: each with the code of its tube, None when nobody knows it or the reader could not read it.
    """
    placed = {slot.code: code for line, code in lines if line.well is not None and (slot := box.slot(line.well)) is not None}
    if not placed:
        return []
    rows = session.execute(select(custody.c.code, custody.c.position_code).where(custody.c.container_code == box.code)).all()
    recorded: dict[str, str] = {row.position_code: row.code for row in rows if row.position_code is not None}
    at = {code: box.slots[place].label for place, code in placed.items() if code is not None}
    listed = {code for _, code in lines if code is not None}
    said = list(_slot_by_slot(box, recorded, placed, at, listed))
    loose = sorted(row.code for row in rows if row.position_code is None and row.code not in listed)
    return said + [f"{code} is recorded in this box without a place and is not in the list." for code in loose]


def _slot_by_slot(
    box: Box, recorded: dict[str, str], placed: dict[str, str | None], at: dict[str, str], listed: set[str]
) -> Iterable[str]:
    for place, slot in box.slots.items():
        here = recorded.get(place)
        if here is None or placed.get(place) == here:
            continue
        if here in at:
            yield f"{here} is recorded at {slot.label}; the list has it at {at[here]}."
        elif place in placed and placed[place] is not None:
            yield f"{slot.label}: {here} is recorded here; the list has {placed[place]}."
        elif place in placed:
            yield f"{slot.label}: {here} is recorded here; the tube in the list is not known or could not be read."
        elif here not in listed:
            yield f"{slot.label}: {here} is recorded here and is not in the list."
