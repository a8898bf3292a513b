"""Making things for tests through the real ledger. Plain functions with keyword overrides."""

from typing import Any

from sqlalchemy import insert
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.custody.events import Received
from biobank.custody.legality import Snapshot
from biobank.custody.projection import Projection
from biobank.custody.recording import NOW, Move, record
from biobank.custody.snapshots import load
from biobank.donors.models import Donor
from biobank.foundation import clock
from biobank.foundation.clock import rfc3339
from biobank.foundation.codes import format_code
from biobank.foundation.db import table_of
from biobank.specimens.events import Collected
from biobank.specimens.models import Harvest, Specimen
from biobank.storage.containers import add_container
from biobank.storage.naming import twin_of
from biobank.storage.schemas import ContainerCreate, ContainerPublic

_numbers = iter(range(5_000_000, 900_000_000))
_boxes = iter(range(1, 900_000))


def fresh_code(prefix: str, year: int | None = None) -> str:
    """A code that no other factory call of this process returns."""
    return format_code(prefix, year, next(_numbers))


def make_donor(session: Session, *, clinic: str = "CLINIC") -> str:
    """A pseudonymous donor row without identity."""
    code = fresh_code("DN")
    session.execute(
        insert(table_of(Donor)).values(code=code, clinic_site_code=clinic, created_at=clock.now(), created_by="SYSTEM")
    )
    return code


def make_harvest(session: Session, donor: str, *, site: str = "CLINIC") -> str:
    """A harvest row."""
    code = fresh_code("KT")
    session.execute(
        insert(table_of(Harvest)).values(
            code=code,
            donor_code=donor,
            site_code=site,
            home_site_code="LAB",
            method="lipoaspiration",
            anatomical_site="abdomen",
            started_at=clock.now(),
            recorded_at=clock.now(),
            recorded_by="SYSTEM",
        )
    )
    return code


def make_specimen(session: Session, act: Act, *, donor: str | None = None, **fields: Any) -> Snapshot:
    """A collected specimen: its row and its first event through the ledger."""
    donor = donor or make_donor(session)
    harvest = fields.pop("harvest", None) or make_harvest(session, donor)
    code = fields.pop("code", None) or fresh_code("AD", 26)
    material = fields.pop("material", "lipoaspirate")
    amount = fields.pop("amount", 50_000)
    site = fields.pop("site", "CLINIC")
    home = fields.pop("home_site", "LAB")
    unit = fields.pop("unit", "ul_raw")
    session.execute(
        insert(table_of(Specimen)).values(
            code=code,
            donor_code=donor,
            material=material,
            unit=unit,
            harvest_code=harvest,
            home_site_code=home,
            created_at=act.at,
            created_by=act.actor.code,
            **fields,
        )
    )
    event = Collected(
        donor=donor,
        material=material,
        unit=unit,
        amount=amount,
        site=site,
        harvest=harvest,
        home_site=home,
        method="lipoaspiration",
        anatomical_site="abdomen",
        started_at=rfc3339(act.at),
    )
    before = Snapshot(
        code=code,
        donor_code=donor,
        seq=0,
        head_hash=None,
        projection=Projection(),
        material=material,
        home_site_code=home,
        clinic_site_code="CLINIC",
    )
    record(session, act, [Move(before, event, site=site)], NOW)
    return load(session, [code])[code]


def make_box(session: Session, act: Act, *, rows: int | None = 3, cols: int | None = 3, **fields: Any) -> ContainerPublic:
    """A box at LAB (or `site`) with rows × cols positions. A name that another one beside it has gets a number."""
    said = {"site": "LAB", "kind": "box", "name": "Box", "rows": rows, "cols": cols} | fields
    if twin_of(session, said["name"], said["site"], said.get("parent")) is not None:
        said["name"] = f"{said['name']} {next(_boxes)}"
    return add_container(session, act, ContainerCreate(**said))


def make_received(session: Session, act: Act, **fields: Any) -> Snapshot:
    """A specimen that arrived at the laboratory. `act` must be of someone who may collect and receive (see `everyone`)."""
    collected = make_specimen(session, act, **fields)
    record(session, act, [Move(collected, Received(site="LAB"), site="LAB")], NOW)
    return load(session, [collected.code])[collected.code]
