"""Harvests: one collection from one donor at one visit, recorded when its containers are closed.

The label is on the container before the material is in, so with a kit every container names the code it carries, and every
label of the kit is accounted for: on a container, or listed as unused and destroyed.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta

from sqlalchemy import insert
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.codes import new_code
from biobank.auth.permissions import Permission
from biobank.custody.recording import AHEAD, ImplausibleTime, acknowledge
from biobank.custody.service import receipt_of
from biobank.donors.consents import require_consent
from biobank.donors.identification import CompletedIdentification, completed_identification, identification_by_id
from biobank.donors.visibility import get_visible_donor, require_not_erased
from biobank.foundation.clock import rfc3339
from biobank.foundation.codes import parse_code
from biobank.foundation.errors import Conflict
from biobank.people.queries import get_site
from biobank.registers.fitness import Finding
from biobank.registers.using import Use, keep_warnings, require_fit
from biobank.specimens.collecting import allocate_codes, require_reconciled, require_takeable, way_of
from biobank.specimens.creation import Draft, create_specimens
from biobank.specimens.events import Collected
from biobank.specimens.harvest_schemas import ContainerCollected, HarvestRecorded, RecordHarvest
from biobank.specimens.kit_use import bind_kit, bound_to, labels_of, take_kit
from biobank.specimens.kits import require_bank_site
from biobank.specimens.materials import Tissue, tissue_of
from biobank.specimens.models import harvest
from biobank.specimens.preparations import Prepared, body_of, require_prepared
from biobank.specimens.taking import KEEP

LONGEST = timedelta(hours=24)
"""From the first material out of the body to the last container closed."""


class IdentificationOfAnotherKit(Conflict):
    """The identification named bound another kit."""

    code = "identification_of_another_kit"
    title = "Identification of another kit"


class DonorDeceased(Conflict):
    """Nothing is harvested for banking from a donor recorded as deceased."""

    code = "donor_deceased"
    title = "Donor deceased"


def record_harvest(session: Session, act: Act, request: RecordHarvest) -> HarvestRecorded:
    """Record a harvest and bring its specimens into being.

    Raises NotPermitted, NotFound (donor, kit, site), DonorErased, DonorDeceased, NotABankSite; of the kit KitUsed, KitExpired,
    BeforeItExisted, KitOfAnotherSite, KitOfAnotherDonor, LabelsNotReconciled; IdentificationMissing, IdentificationExpired; of a
    container NotHarvested, UnitNotOfMaterial, NotTakenSo, CountsDiffer, LabelOfAnotherMaterial; of PRP and PRF
    PreparationMissing, PreparationOfSomethingElse; ConsentMissing, ConsentIsRevoked, ImplausibleTime, NotInRegister (of medium
    and device).
    """
    act.require(Permission.HARVEST_RECORD, at=request.site)
    donor = get_visible_donor(session, act.actor, request.donor, lock=True)
    require_not_erased(donor)
    if donor.status == "deceased":
        raise DonorDeceased(
            f"{request.donor} is recorded as deceased. Ask quality before anything is kept.", subject=request.donor
        )
    get_site(session, request.site)
    require_bank_site(session, request.home_site)
    occurred = request.occurred_at or act.at
    started = _started(request, occurred)
    kit_row = None if request.kit is None else take_kit(session, request, started)
    identification = _identification(session, request, started)
    require_takeable(request)
    prepared = require_prepared([one.material for one in request.containers], request.preparations)
    if kit_row is None:
        codes = allocate_codes(session, act, request)
    else:
        codes = require_reconciled(request, labels_of(session, kit_row.code))
    code = request.kit or new_code(session, "KT")
    warned = _things(session, act, request, started)
    _insert(session, act, code, request, identification, started)
    appended = [] if kit_row is None else [bind_kit(session, act, kit_row, request, identification, codes)]
    consents = _consents(session, request, codes, occurred)
    proofs = () if identification is None else (identification.leaf_hash,)
    drafts = [
        _draft(
            code,
            request,
            container,
            label,
            prepared.get(container.material),
            identification,
            started,
            occurred,
            (consents[_tissue(container, label)], *proofs),
        )
        for container, label in zip(request.containers, codes, strict=True)
    ]
    keep_warnings(session, act, warned, request, used_in=code, site=request.site)
    made, collected = create_specimens(session, act, drafts, request, site=request.site, clinic_site=donor.clinic_site_code)
    appended += collected
    return HarvestRecorded(
        harvest=code,
        donor=request.donor,
        identification=None if identification is None else identification.id,
        specimens=made,
        warnings=[one.sentence for one in warned],
        events=[receipt_of(a) for a in appended],
        receipt=acknowledge(act, appended),
    )


def _things(session: Session, act: Act, request: RecordHarvest, started: datetime) -> list[Finding]:
    """Return what to warn of about medium and devices; what was taken is recorded, so only one of no register is refused."""
    devices = sorted({one.prepared_with for one in request.preparations})
    codes = [*devices, *([] if request.transport_medium is None else [request.transport_medium])]
    if not codes:
        return []
    use = Use(site=request.site, used_at=started, people=(), codes=codes, devices=devices, keeping=True)
    return require_fit(session, act, use)


def _started(request: RecordHarvest, occurred: datetime) -> datetime:
    started = request.started_at or occurred
    # The device that states the start may run ahead of the bank's clock, as far as any stated time may.
    if started - occurred > AHEAD or occurred - started > LONGEST:
        raise ImplausibleTime(
            "The first material left the body before the containers were closed, and not more than a day before. Check both "
            "times.",
            where_now=KEEP,
        )
    return started


def _identification(session: Session, request: RecordHarvest, started: datetime) -> CompletedIdentification | None:
    """Return the identification of this visit: the one named, else the one that bound the kit, else none."""
    if request.identification is not None:
        named = identification_by_id(session, request.identification, request.donor, started)
        if named.kit_code != request.kit:
            raise IdentificationOfAnotherKit(
                "The identification you named bound another kit than this one. Name the right one, or identify again.",
                where_now=KEEP,
                subject=request.donor,
            )
        return named
    if request.kit is None or bound_to(session, request.kit) is None:
        return None
    return completed_identification(session, request.donor, "harvest", started, kit=request.kit)


def _insert(
    session: Session,
    act: Act,
    code: str,
    request: RecordHarvest,
    identification: CompletedIdentification | None,
    started: datetime,
) -> None:
    ways = [way_of(request, container) for container in request.containers]
    session.execute(
        insert(harvest).values(
            code=code,
            donor_code=request.donor,
            site_code=request.site,
            home_site_code=request.home_site,
            kit_code=request.kit,
            identification_id=None if identification is None else identification.id,
            method=_one(method for method, _ in ways),
            anatomical_site=_one(where for _, where in ways),
            transport_medium=request.transport_medium,
            started_at=started,
            recorded_at=act.at,
            recorded_by=act.actor.code,
        )
    )


def _one(said: Iterable[str]) -> str | None:
    """Return what all say, or None when they differ."""
    different = set(said)
    return different.pop() if len(different) == 1 else None


def _left_the_body(container: ContainerCollected, visit: datetime, closed: datetime) -> datetime:
    """Return when the material of a container left the body: within the visit. Raises ImplausibleTime."""
    at = container.started_at or visit
    if at < visit or at - closed > AHEAD:
        raise ImplausibleTime(
            "The material of one container left the body before the first material of the visit, or after its containers were "
            "closed. Check the times of the containers.",
            where_now=KEEP,
        )
    if container.expires_at is not None and container.expires_at <= at:
        raise ImplausibleTime("A container expires after its material was taken. Check the date.", where_now=KEEP)
    return at


def _tissue(container: ContainerCollected, code: str) -> Tissue:
    return tissue_of(container.material, parse_code(code).prefix)


def _consents(session: Session, request: RecordHarvest, codes: list[str], at: datetime) -> dict[Tissue, bytes]:
    """Return the banking consent of each tissue taken, by leaf hash."""
    tissues = {_tissue(container, code) for container, code in zip(request.containers, codes, strict=True)}
    return {
        tissue: require_consent(session, request.donor, "banking", at, tissue=tissue.value, where_now=KEEP)
        for tissue in sorted(tissues)
    }


def _draft(
    harvest_code: str,
    request: RecordHarvest,
    container: ContainerCollected,
    code: str,
    prepared: Prepared | None,
    identification: CompletedIdentification | None,
    started: datetime,
    occurred: datetime,
    relies_on: tuple[bytes, ...],
) -> Draft:
    method, where = way_of(request, container)
    left = _left_the_body(container, started, occurred)
    counts = {name: getattr(container, name) for name in ("follicular_units", "follicles", "transected")}
    event = Collected(
        donor=request.donor,
        material=container.material,
        unit=container.unit,
        amount=container.amount,
        site=request.site,
        expires_at=None if container.expires_at is None else rfc3339(container.expires_at),
        harvest=harvest_code,
        kit=request.kit,
        home_site=request.home_site,
        identification=None if identification is None else str(identification.id),
        method=method,
        anatomical_site=where,
        side=container.side,
        transport_medium=request.transport_medium,
        started_at=rfc3339(left),
        markers_tested=container.markers_tested,
        **counts,
        **body_of(prepared),
    )
    row = counts | {
        "code": code,
        "donor_code": request.donor,
        "material": container.material,
        "unit": container.unit,
        "harvest_code": harvest_code,
        "home_site_code": request.home_site,
        "collected_at": occurred,
        "expires_at": container.expires_at,
    }
    return Draft(row, event, relies_on)
