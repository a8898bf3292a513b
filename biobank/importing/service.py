"""Importing what was found ready: donors into the vault, tubes through the ledger, each at its slot, old identifiers kept.

One donor is one transaction. A run that was broken off, or a file that was mended and sent again, goes on where it stopped: a
tube whose old identifier is known is here already. Nothing is made up: no harvest, no consent, no measurement, no test; a tube
is `undetermined` and `quarantined` like any that nobody has judged, and its treatment consent has to be recorded before use.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from functools import partial
from itertools import groupby
from typing import Any

from sqlalchemy import insert, select
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.bank import Bank
from biobank.acts.codes import new_code
from biobank.auth.actor import SYSTEM_CODE, Actor, RoleGrant
from biobank.auth.permissions import Role
from biobank.custody.event import Event
from biobank.custody.recording import Circumstances, Move, record
from biobank.custody.snapshots import load
from biobank.custody.states import Condition
from biobank.donors.identity import Identity, keep_document
from biobank.donors.queries import search_donors
from biobank.donors.schemas import ExternalId, RegisterDonor, SearchDonors
from biobank.donors.service import INDEX_SECRET, read_identity_document, register_donor
from biobank.donors.visibility import get_visible_donor, require_not_erased
from biobank.foundation.clock import rfc3339
from biobank.foundation.errors import Conflict, Refusal
from biobank.importing.plan import CheckedRow, Person, Vial
from biobank.importing.profile import Profile, prefix_of
from biobank.specimens.creation import Draft, create_specimens
from biobank.specimens.events import Aliased, Imported
from biobank.specimens.materials import MaterialName
from biobank.specimens.resolving import alias
from biobank.storage import queries
from biobank.storage.containers import add_container
from biobank.storage.events import Stored
from biobank.storage.schemas import ContainerCreate

IMPORTER = Actor(SYSTEM_CODE, frozenset(RoleGrant(role, None) for role in Role))
"""The bank itself, at its console."""


class OtherPerson(Conflict):
    """The patient number is on record for somebody else."""

    code = "import_other_person"
    title = "Another person has this number"


@dataclass
class Result:
    """What became of a row that was ready."""

    checked: CheckedRow
    outcome: str
    """imported · already · refused"""
    code: str | None = None
    reason: str | None = None


def import_ready(
    bank: Bank, ready: Sequence[CheckedRow], profile: Profile, tick: Callable[[int, int], None]
) -> Iterator[list[Result]]:
    """Import donor by donor; yield what became of each donor's rows. `tick(done, of)` is called after each donor."""
    act = Act.of(IMPORTER, bank, path="cli/import", source="import")
    by_patient = sorted(ready, key=lambda j: (_vial(j).person.patient.lower(), j.row.sheet.name, j.row.line))
    groups = [list(ones) for _, ones in groupby(by_patient, key=lambda j: _vial(j).person.patient.lower())]
    for number, ones in enumerate(groups, start=1):
        try:
            yield bank.database.write_now(partial(_import_donor, act=act, rows=ones, profile=profile))
        except Refusal as refusal:
            yield [Result(one, "refused", reason=refusal.detail) for one in ones]
        tick(number, len(groups))


def _vial(checked: CheckedRow) -> Vial:
    assert checked.vial is not None
    return checked.vial


def _import_donor(session: Session, act: Act, rows: list[CheckedRow], profile: Profile) -> list[Result]:
    code = _donor(session, act, _vial(rows[0]).person, profile)
    results = []
    for row in rows:
        vial = _vial(row)
        known = session.execute(
            select(alias.c.specimen_code).where(alias.c.issuer == profile.alias_issuer, alias.c.value == vial.alias)
        ).scalar_one_or_none()
        if known is not None:
            results.append(Result(row, "already", known))
            continue
        slot = _free_slot(session, act, vial, profile)
        if slot is None:
            reason = "A tube of this bank is in that slot already. Look into the box."
            results.append(Result(row, "refused", reason=reason))
            continue
        results.append(Result(row, "imported", _import_vial(session, act, code, row, slot, profile)))
    return results


def _donor(session: Session, act: Act, person: Person, profile: Profile) -> str:
    """Find the donor by the old number, or register one. Raises OtherPerson when the number is somebody else's."""
    external = ExternalId(issuer=profile.issuer, value=person.patient)
    search = SearchDonors(external_id=external)
    found = [match.donor for match in search_donors(session, act.actor, search, act.bank.secret(INDEX_SECRET)).items]
    request = RegisterDonor(
        clinic_site=profile.clinic_site,
        family_name=person.family_name,
        given_names=person.given_names,
        date_of_birth=person.date_of_birth.isoformat(),
        sex=person.sex,
        external_ids=[external],
    )
    if not found:
        return register_donor(session, act, request).donor
    row = get_visible_donor(session, act.actor, found[0], lock=True)
    require_not_erased(row)
    if len(found) > 1 or not _same(read_identity_document(session, act, row), request):
        raise OtherPerson(
            f"The bank has this patient number on record for {', '.join(found)} with another name, birth date or sex.",
            subject=found[0],
        )
    return found[0]


def _same(identity: Identity, request: RegisterDonor) -> bool:
    return all(
        str(identity[name] or "").casefold() == str(getattr(request, name) or "").casefold()
        for name in ("family_name", "given_names", "date_of_birth", "sex")
    )


def _free_slot(session: Session, act: Act, vial: Vial, profile: Profile) -> tuple[str, str] | None:
    """Return (box, position) of the tube's slot, making the places that are missing; None when a tube is in it."""
    box = _box(session, act, vial.place, profile)
    free = next((slot for slot in queries.free_slots(session, box) if slot.label == vial.slot), None)
    return None if free is None else (box, free.code)


def _box(session: Session, act: Act, names: tuple[str, ...], profile: Profile) -> str:
    parent = _child(session, act, None, "room", profile.room, profile)
    kinds = ("tank", "rack", "box") if len(names) == 3 else ("tank", "box")
    for kind, name in zip(kinds, names, strict=True):
        parent = _child(session, act, parent, kind, name, profile)
    return parent


def _child(session: Session, act: Act, parent: str | None, kind: str, name: str, profile: Profile) -> str:
    """Find a container by its name below its parent, capitals aside; make it when there is none."""
    rows = session.execute(
        select(queries.container.c.code, queries.container.c.name).where(
            queries.container.c.site_code == profile.bank_site,
            queries.container.c.kind == kind,
            queries.container.c.parent_code.is_(None) if parent is None else queries.container.c.parent_code == parent,
        )
    )
    for row in rows:
        if row.name.upper() == name.upper():
            return str(row.code)
    more: dict[str, Any] = {}
    if kind == "tank":
        more = {"temperature_class": profile.temperature_class}
    elif kind == "box":
        more = {"rows": profile.box_rows, "cols": profile.box_cols}
    request = ContainerCreate(site=profile.bank_site, kind=kind, name=name, parent=parent, **more)
    return add_container(session, act, request).code


def _import_vial(
    session: Session, act: Act, donor_code: str, checked: CheckedRow, slot: tuple[str, str], profile: Profile
) -> str:
    vial = _vial(checked)
    material = MaterialName(vial.material)
    code = new_code(session, prefix_of(material).value, year=vial.collected.year % 100)
    box, position = slot
    draft = Draft(
        {
            "code": code,
            "donor_code": donor_code,
            "material": vial.material,
            "unit": vial.unit,
            "passage": vial.passage,
            "home_site_code": profile.bank_site,
            "collected_at": _midnight(vial.collected),
        },
        Imported(
            donor=donor_code,
            material=vial.material,
            unit=vial.unit,
            amount=vial.amount,
            site=profile.bank_site,
            condition=Condition.FROZEN,
            freeze_count=1,
            banked_at=rfc3339(_midnight(vial.frozen)),
            evidence=checked.row.evidence,
        ),
    )
    given = Circumstances(comment=vial.words)
    site = profile.bank_site
    create_specimens(session, act, [draft], given, site=site, clinic_site=profile.clinic_site)
    session.execute(insert(alias).values(issuer=profile.alias_issuer, value=vial.alias, specimen_code=code))
    words = {"issuer": profile.alias_issuer, "value": vial.alias}
    commit = keep_document(session, act, donor_code, "alias", words)
    after: list[Event] = [
        Stored(container=box, position=position, site=site),
        Aliased(issuer=profile.alias_issuer, value_commit=commit.hex()),
    ]
    for event in after:
        record(session, act, [Move(load(session, [code], lock=True)[code], event, site=site)])
    return code


def _midnight(day: date) -> datetime:
    """An old file knows days. They are written as 00:00 UTC of that day."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
