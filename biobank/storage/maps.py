"""Boxes as they look from above: every cell with its tube, and tubes whose slot is unknown."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Row, select
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.custody.hold_coverage import holds_on
from biobank.custody.models import custody
from biobank.specimens.models import specimen
from biobank.storage.models import storage_container as container
from biobank.storage.models import storage_position as position
from biobank.storage.queries import containers_below, get_container, public_containers
from biobank.storage.schemas import ContainerMap, SlotPublic


def map_of(session: Session, actor: Actor, code: str) -> ContainerMap:
    """Return one container as it looks; raise NotFound when the actor may not know of it."""
    return _maps(session, [get_container(session, actor, code)])[0]


def maps_below(session: Session, actor: Actor, code: str, most: int) -> tuple[list[ContainerMap], int]:
    """Return the boxes in a place, itself included, by code, and how many there are; at most `most` are drawn.

    Whatever is inside stands at the place's own site, so who may see the place may see it. Raises NotFound.
    """
    get_container(session, actor, code)
    rows = session.execute(
        select(container)
        .where(container.c.code.in_(containers_below(session, code)), container.c.rows.is_not(None))
        .order_by(container.c.code)
    ).all()
    return _maps(session, rows[:most]), len(rows)


def _maps(session: Session, rows: Sequence["Row[Any]"]) -> list[ContainerMap]:
    """Draw containers in a fixed number of statements, however many there are."""
    codes = [row.code for row in rows]
    cells = session.execute(
        select(position, custody.c.code.label("specimen_code"), custody.c.state, custody.c.reserved_for, specimen.c.material)
        .select_from(
            position.outerjoin(custody, custody.c.position_code == position.c.code).outerjoin(
                specimen, specimen.c.code == custody.c.code
            )
        )
        .where(position.c.container_code.in_(codes))
        .order_by(position.c.row, position.c.col)
    ).all()
    loose = session.execute(
        select(custody.c.container_code, custody.c.code)
        .where(custody.c.container_code.in_(codes), custody.c.position_code.is_(None))
        .order_by(custody.c.code)
    ).all()
    holds = holds_on(session, [c.specimen_code for c in cells if c.specimen_code is not None])
    maps = []
    for public in public_containers(session, rows):
        slots = [_slot(c, held=bool(holds.get(c.specimen_code))) for c in cells if c.container_code == public.code]
        outside = [one.code for one in loose if one.container_code == public.code]
        free = sum(1 for slot in slots if slot.specimen is None)
        maps.append(ContainerMap(container=public, slots=slots, loose=outside, free=free))
    return maps


def _slot(cell: "Row[Any]", *, held: bool) -> SlotPublic:
    return SlotPublic(
        position=cell.code,
        label=cell.label,
        row=cell.row,
        col=cell.col,
        specimen=cell.specimen_code,
        state=cell.state,
        material=cell.material,
        reserved_for=cell.reserved_for,
        held=held,
    )
