"""The places of the example bank: a room, tanks with racks and boxes, a quarantine and an evacuation tank."""

from collections.abc import Iterator

from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.bank import Bank
from biobank.auth.actor import Actor
from biobank.demo.people import BANK
from biobank.storage import queries
from biobank.storage.containers import add_container
from biobank.storage.schemas import ContainerCreate

TANKS, RACKS, BOXES, SIDE = 3, 3, 4, 9


def make_tanks(session: Session, bank: Bank, actors: dict[str, Actor]) -> list[Iterator[tuple[str, str]]]:
    """Make the room and its tanks; return for each tank its free slots as (box, position)."""
    act = Act(actor=actors["adam"], bank=bank, keystore=bank.keystore_sync, path="demo", source="import")
    room = add_container(session, act, ContainerCreate(site=BANK, kind="room", name="Cryo room"))
    add_container(
        session,
        act,
        ContainerCreate(
            site=BANK,
            kind="tank",
            name="Quarantine tank",
            parent=room.code,
            purpose="quarantine",
            temperature_class="ln2_vapour",
            rows=6,
            cols=6,
        ),
    )
    add_container(
        session,
        act,
        ContainerCreate(
            site=BANK, kind="tank", name="Evacuation tank", parent=room.code, purpose="evacuation", temperature_class="ln2_vapour"
        ),
    )
    tanks = []
    for t in range(1, TANKS + 1):
        tank = add_container(
            session,
            act,
            ContainerCreate(site=BANK, kind="tank", name=f"Tank {t}", parent=room.code, temperature_class="ln2_vapour"),
        )
        boxes = []
        for r in range(1, RACKS + 1):
            rack = add_container(session, act, ContainerCreate(site=BANK, kind="rack", name=f"Rack {r}", parent=tank.code))
            for b in range(1, BOXES + 1):
                box = ContainerCreate(site=BANK, kind="box", name=f"Box {b}", parent=rack.code, rows=SIDE, cols=SIDE)
                boxes.append(add_container(session, act, box).code)
        tanks.append(iter([(box, s.code) for box in boxes for s in queries.free_slots(session, box)]))
    return tanks
