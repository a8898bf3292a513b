"""One donor's specimens on the bench: what every run checks before anything happens, and the row it leaves behind."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy import insert
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.auth.permissions import Permission
from biobank.benches.at_bench import AtBench
from biobank.benches.events import What
from biobank.custody.ledger import Appended
from biobank.custody.legality import Snapshot
from biobank.custody.recording import require_expected
from biobank.custody.snapshots import get_all_visible
from biobank.donors.consents import require_consent
from biobank.donors.visibility import lock_donor
from biobank.foundation.codes import parse_code
from biobank.foundation.errors import Conflict
from biobank.people.queries import get_site
from biobank.registers.fitness import Finding
from biobank.registers.schemas import RegisterKind
from biobank.registers.using import Use, keep_warnings, require_fit
from biobank.specimens.materials import tissue_of
from biobank.specimens.models import processing, processing_input
from biobank.specimens.processing_schemas import FreezingRun, MakingRun, ThawingRun
from biobank.specimens.run_rules import MaterialNotTaken, SeveralDonors


class SpecimenElsewhere(Conflict):
    """The record says the specimen is at another site than the run."""

    code = "specimen_elsewhere"
    title = "The record says it is elsewhere"


class Named(Protocol):
    """A part of a request that names a specimen and the history its writer saw."""

    @property
    def specimen(self) -> str:
        """Its code."""

    @property
    def expected_seq(self) -> int | None:
        """The sequence of its last event, as the writer saw it."""


@dataclass(frozen=True)
class Bench:
    """The specimens of a run, locked, in the order of the request; the donor, its consents, and what is warned of."""

    donor: str
    specimens: list[Snapshot]
    relies_on: tuple[bytes, ...]
    warned: list[Finding]
    at: AtBench


def set_up_bench(session: Session, act: Act, run: MakingRun | FreezingRun | ThawingRun, named: Sequence[Named]) -> Bench:
    """Lock the donor, then the specimens, and check what holds for every run.

    Raises NotPermitted, NotFound, PreconditionMissing, StaleSequence, MaterialNotTaken for an unidentified item, SeveralDonors,
    SpecimenElsewhere, ConsentMissing, ConsentIsRevoked, NotInRegister, NotFitForUse, AnotherPersonsMaterial, NotAWorkstation.
    """
    act.require(Permission.PROCESSING_RECORD, at=run.site)
    get_site(session, run.site)
    codes = [one.specimen for one in named]
    donor = _one_donor(get_all_visible(session, act.actor, codes))
    lock_donor(session, donor)
    specimens = get_all_visible(session, act.actor, codes, lock=True, holds=True)
    for one, given in zip(specimens, named, strict=True):
        require_expected(one, given.expected_seq)
    for one in specimens:
        if one.projection.site_code != run.site:
            raise SpecimenElsewhere(
                f"{one.code} is at {one.projection.site_code} by its record, and this run is at {run.site}. Receive it first.",
                where_now=one.where_now,
                subject=one.code,
                site=one.projection.site_code,
            )
    consents = _consents(session, donor, specimens, run.occurred_at or act.at)
    owners: dict[str, str | None] = {one.code: one.donor_code for one in specimens}
    entered = act.at if run.paper is None else None
    at = AtBench(run.workstation, run.equipment, owners, run.occurred_at or act.at, entered, late=run.reason_text is not None)
    return Bench(donor, specimens, consents, require_fit(session, act, use_of(act, run, at)), at)


def use_of(act: Act, run: MakingRun | FreezingRun | ThawingRun, at: AtBench) -> Use:
    """Return what a run names of the registers, and whose hands it is."""
    named: dict[RegisterKind, str] = {"procedure": run.procedure_version}
    if isinstance(run, FreezingRun):
        named |= {"cooling_programme": run.programme, "cryoprotectant": run.cryoprotectant}
    if isinstance(run, ThawingRun):
        named |= {"thawing_method": run.method}
    return Use(
        site=run.site,
        used_at=run.occurred_at or act.at,
        people=run.performed_by or [act.actor.code],
        codes=[*run.devices, *run.reagent_lots],
        devices=run.equipment,
        named=named,
        keeping=isinstance(run, FreezingRun),
        unbound=at.without_session,
    )


def _one_donor(specimens: Sequence[Snapshot]) -> str:
    """Return the donor of all. A specimen never changes its donor, so this may be asked before the lock."""
    for one in specimens:
        if one.donor_code is None:
            raise MaterialNotTaken(
                f"{one.code} is unidentified. It is processed when two people have resolved whose it is.",
                where_now=one.where_now,
                subject=one.code,
            )
    donors = {one.donor_code for one in specimens if one.donor_code is not None}
    if len(donors) != 1:
        raise SeveralDonors(
            "These specimens are of more than one donor. Clear the bench, keep one donor's tubes, and scan again.",
            where_now="Put every tube back where it came from, or in the nearest quarantine place.",
            subject=specimens[0].code,
            specimens=[one.code for one in specimens],
        )
    return donors.pop()


def _consents(session: Session, donor: str, specimens: Sequence[Snapshot], at: datetime) -> tuple[bytes, ...]:
    tissues = {tissue_of(one.material, parse_code(one.code).prefix) for one in specimens}
    where = specimens[0].where_now
    return tuple(
        dict.fromkeys(
            require_consent(session, donor, "banking", at, tissue=tissue.value, where_now=where) for tissue in sorted(tissues)
        )
    )


def keep_run(
    session: Session,
    act: Act,
    run: MakingRun | FreezingRun | ThawingRun,
    bench: Bench,
    *,
    run_id: UUID,
    lot: str | None,
    parameters: Mapping[str, Any],
    amounts: Sequence[tuple[int | None, bool]],
    totals: Mapping[str, Any],
    made: Sequence[str] = (),
) -> list[Appended]:
    """Write the run and its inputs down. `amounts`: (amount used, consumed) of each specimen, in their order.

    Return what is recorded of it at the workstation: its specimens, and those that it `made`, were handled there.
    """
    session.execute(
        insert(processing).values(
            id=run_id,
            process=run.process,
            procedure_version=run.procedure_version,
            donor_code=bench.donor,
            lot_code=lot,
            site_code=run.site,
            operator=run.performed_by[0] if run.performed_by else act.actor.code,
            equipment=run.devices,
            reagent_lots=list(run.reagent_lots),
            bench_session=bench.at.bound,
            parameters=dict(parameters) | ({"no_reagents": True} if run.no_reagents else {}),
            started_at=run.occurred_at or act.at,
            recorded_at=act.at,
            recorded_by=act.actor.code,
            **totals,
        )
    )
    session.execute(
        insert(processing_input),
        [
            {
                "processing_id": run_id,
                "specimen_code": one.code,
                "donor_code": bench.donor,
                "amount": amount,
                "consumed": consumed,
            }
            for one, (amount, consumed) in zip(bench.specimens, amounts, strict=True)
        ],
    )
    keep_warnings(session, act, bench.warned, run, used_in=str(run_id), site=run.site)
    what: What = {"freezing": "freezing", "thawing": "thaw"}.get(run.process, "processing")  # type: ignore[assignment]
    return bench.at.keep(session, act, what, [*(one.code for one in bench.specimens), *made], str(run_id), run)
