"""The picture that quality signs over: one function makes it, the page and the call show it, the approval names its hash.

It holds what the decision rests on and nothing that changes by itself: estimates are read as known at `seen_at`, so the same
picture can be made again at the signature and compared. What differs then is named, part by part.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from hashlib import sha256

from pydantic import BaseModel, Field
from sqlalchemy import func, select, text
from sqlmodel import Session

from biobank.acts.models import attempt
from biobank.auth.actor import Actor
from biobank.custody.legality import Snapshot
from biobank.custody.snapshots import may_know
from biobank.donors.markers import evaluate, results_of
from biobank.foundation.clock import rfc3339
from biobank.foundation.errors import Conflict, Refusal
from biobank.quality.lot_tests import LotTests, missing_tests
from biobank.quality.reserves import amounts_of, remaining, reserve_of
from biobank.specimens.models import specimen as specimen_table
from biobank.specimens.viability import viability_bp, wilson_bp
from biobank.transparency import canonical
from biobank.viability.queries import expected_dose
from biobank.viability.schemas import BandPublic, DosePublic, EstimatePublic, SetDose
from biobank.withdrawals.case import Case, use_of_tube
from biobank.withdrawals.consents import DonorNotTreated
from biobank.withdrawals.events import Reserved
from biobank.withdrawals.findings import Findings
from biobank.withdrawals.models import withdrawal as withdrawal_table
from biobank.withdrawals.step_rules import Grounds, consents_of
from biobank.withdrawals.workflow import BEFORE_ISSUE

STANDS_FOR = timedelta(days=1)
"""How long a picture may be signed after it was read; a page left open over night is read again."""

_DEVIATIONS = text(
    """
    SELECT d.code, d.severity, d.topic, d.opened_at, s.subject_id
    FROM deviation d JOIN deviation_subject s ON s.deviation_code = d.code
    WHERE d.closed_at IS NULL AND s.subject_id = ANY(:about) ORDER BY d.opened_at, d.code
    """
)


class PictureChanged(Conflict):
    """What is to be signed is not what was seen."""

    code = "picture_changed"
    title = "It changed since you looked"


@dataclass(frozen=True)
class OpenDeviation:
    """A deviation that is open and names the withdrawal, its donor, a tube, its lot or its place."""

    code: str
    severity: str
    topic: str
    opened_at: datetime


class CountSeen(BaseModel):
    """The latest count of a unit, with the 95 % interval that the count supports. Basis points."""

    method: str
    live: int
    dead: int
    viability_bp: int
    lower_bp: int
    upper_bp: int
    measured_at: datetime


class ExpectedSeen(BaseModel):
    """What thawing it may be expected to show; an expectation, not a measurement."""

    expected_bp: int | None
    next_vial: list[BandPublic]
    evidence: str
    dose: DosePublic | None


class UnitSeen(BaseModel):
    """One unit of the donor's material. `chosen`: the request names it; `order`: its place among the usable ones, from 1."""

    specimen: str
    chosen: bool
    order: int | None
    head: str = Field(description="Leaf hash of its latest event.")
    state: str
    condition: str
    quality: str
    site: str | None
    basis: str
    lot: str | None
    amount: int
    unit: str
    banked_at: str | None
    expires_at: datetime | None
    markers_evaluated: bool
    holds: list[str]
    measured: CountSeen | None
    expected: ExpectedSeen | None
    refusals: list[str] = Field(description="Every reason why it cannot be used now; empty when it can.")


class LotSeen(BaseModel):
    """What the tests of a lot say, by kind. `missing`: a release of its material rests on them, and nobody began them."""

    lot: str
    passed: list[str]
    failed: list[str]
    pending: list[str]
    overdue: list[str]
    missing: list[str]


class RequestSeen(BaseModel):
    """What was asked for, and by whom."""

    withdrawal: str
    seq: int
    material: str
    route: str
    clinic_site: str
    units: int
    amounts: dict[str, int] = Field(description="What the chosen units hold together, by unit of measure.")
    needed_at: datetime | None
    requested_by: str
    requested_at: datetime


class DonorSeen(BaseModel):
    """The donor, who is the recipient, and why treatment consent does not cover it, if so."""

    donor: str
    status: str
    consents: list[str] = Field(description="Leaf hashes of the consents that cover it.")
    consent_refusals: list[str]


class RemainsSeen(BaseModel):
    """What is left once the chosen units are gone."""

    sentence: str
    units: int
    amounts: dict[str, int]
    doubtful: int
    takes_the_last: bool
    below_reserve: bool


class DeviationSeen(BaseModel):
    """An open deviation about it."""

    code: str
    severity: str
    topic: str
    opened_at: datetime


class NearMissSeen(BaseModel):
    """Refusals that were kept about its tubes, its donor or itself, by code; attempts to approve it are not counted."""

    code: str
    times: int
    latest: datetime


class Picture(BaseModel):
    """What an approval rests on."""

    seen_at: datetime
    request: RequestSeen
    donor: DonorSeen
    units: list[UnitSeen]
    tests: list[LotSeen]
    dose: SetDose = Field(description="Living cells to be expected of the chosen units together. Not a therapeutic dose.")
    remains: RemainsSeen
    deviations: list[DeviationSeen]
    near_misses: list[NearMissSeen]

    @cached_property
    def parts(self) -> dict[str, str]:
        """The SHA-256 of each part's canonical JSON, in hex, by its name in plain words."""
        whole = self.model_dump(mode="json")
        parts = {
            "the request": whole["request"],
            "the donor or the consent": whole["donor"],
            **{one["specimen"]: one for one in whole["units"]},
            **{f"the tests of {one['lot']}": one for one in whole["tests"]},
            "the expected dose": whole["dose"],
            "what remains": whole["remains"],
            "open deviations": {"items": whole["deviations"]},
            "near misses": {"items": whole["near_misses"]},
        }
        return {name: sha256(canonical.encode(part)).hexdigest() for name, part in parts.items()}

    @cached_property
    def content(self) -> str:
        """Its canonical JSON (RFC 8785 profile)."""
        return canonical.encode(self.model_dump(mode="json")).decode()

    @cached_property
    def sha256(self) -> str:
        """The SHA-256 of its canonical JSON, in hex."""
        return sha256(self.content.encode()).hexdigest()


class PictureAnswer(BaseModel):
    """A picture and what an approval sends back: `sha256` as `picture`, `seen_at` as `picture_at`, `parts` as `picture_parts`."""

    picture: Picture
    sha256: str
    parts: dict[str, str]


def longest_banked(tube: Snapshot) -> tuple[str, str]:
    """Order tubes as they are taken: the longest banked first."""
    return tube.projection.banked_at or "9999", tube.code


def picture_refusal(
    picture: Picture, now: datetime, seen: str | None, seen_at: datetime | None, parts: Mapping[str, str]
) -> Refusal | None:
    """Return why a signature over the picture `seen` does not stand for what is there now, or None. Pure."""
    code = picture.request.withdrawal
    if seen is None or seen_at is None:
        return None
    if now - seen_at > STANDS_FOR or seen_at > now:
        return PictureChanged(
            f"You looked at {code} at {rfc3339(seen_at)}. Look at it again before you sign.", subject=code, picture=picture.sha256
        )
    if seen == picture.sha256:
        return None
    names = picture.parts.keys() | parts.keys()
    changed = sorted(name for name in names if parts and picture.parts.get(name) != parts.get(name))
    what = ", ".join(changed) if changed else "something of it"
    return PictureChanged(
        f"Since you looked at {code} this changed: {what}. Look at it again before you sign.",
        subject=code,
        changed=changed,
        picture=picture.sha256,
    )


def read_picture(
    session: Session,
    actor: Actor,
    case: Case,
    grounds: Grounds,
    seen_at: datetime,
    tubes: Mapping[str, Snapshot],
    markers: Mapping[str, bool],
    deviations: Sequence[OpenDeviation],
) -> Picture:
    """Make the picture of an opened case, with estimates as known at `seen_at`.

    `tubes`: every unit of the donor's material, with its holds and in the case's findings; those that the actor may not know of
    count in what remains and are not shown. `markers`: what `markers_of_donor` says of them.
    """
    shown = {code: tube for code, tube in tubes.items() if code in case.tubes or may_know(actor, tube)}
    dose, _, estimates = expected_dose(session, list(shown.values()), seen_at, together=case.tubes)
    material = case.row["material"]
    left = remaining(
        case.donor,
        material,
        list(tubes.values()),
        {tube.lot_code: case.findings[code].tests for code, tube in tubes.items()},
        case.tubes,
        grounds.at,
        reserve_of(session, case.donor, material),
    )
    return Picture(
        seen_at=seen_at,
        request=_request(case),
        donor=_donor(case, grounds),
        units=_units(case, shown, markers, grounds, estimates),
        tests=_tests(shown, case.findings),
        dose=dose,
        remains=RemainsSeen(
            sentence=left.sentence,
            units=left.units,
            amounts=dict(left.amounts),
            doubtful=left.doubtful,
            takes_the_last=left.takes_the_last,
            below_reserve=left.below_reserve,
        ),
        deviations=[DeviationSeen(**vars(one)) for one in deviations],
        near_misses=_near_misses(session, case),
    )


def case_subjects(case: Case) -> set[str]:
    """Return what a deviation may name to be about a case: it, its donor, its tubes, their lots and boxes."""
    lots = {tube.lot_code for tube in case.tubes.values() if tube.lot_code is not None}
    boxes = {box for tube in case.tubes.values() if (box := tube.projection.container_code) is not None}
    return {case.code, case.donor, *case.tubes, *lots, *boxes}


def deviations_about(session: Session, about: Mapping[str, Collection[str]]) -> dict[str, list[OpenDeviation]]:
    """Return by key the open deviations that name one of its subjects, the oldest first: one statement."""
    every = sorted(set().union(*about.values()))
    found: Sequence[object] = session.execute(_DEVIATIONS, {"about": every}).all() if every else []
    return {
        key: list(dict.fromkeys(OpenDeviation(*one[:4]) for one in found if one.subject_id in named))  # type: ignore[attr-defined, index]
        for key, named in about.items()
    }


def markers_of_donor(session: Session, withdrawal: str) -> dict[str, bool]:
    """Return for every unit of a withdrawal's donor and material whether screening and tests for infection are complete.

    What was found is not said: it is about a person, and the picture's hash stands in the log.
    """
    asked, unit = withdrawal_table.c, specimen_table.c
    of_donor = (asked.donor_code == unit.donor_code) & (asked.material == unit.material)
    rows = session.execute(
        select(unit.code, unit.donor_code, unit.harvest_code, unit.collected_at)
        .join(withdrawal_table, of_donor)
        .where(asked.code == withdrawal)
    ).all()
    told = results_of(session, {row.donor_code for row in rows})
    return {
        row.code: evaluate(told[row.donor_code], None if row.harvest_code is None else row.collected_at).complete for row in rows
    }


def _units(
    case: Case,
    tubes: Mapping[str, Snapshot],
    markers: Mapping[str, bool],
    grounds: Grounds,
    estimates: Mapping[str, EstimatePublic],
) -> list[UnitSeen]:
    against = {
        code: use_of_tube(case, tube, case.findings[code], Reserved, BEFORE_ISSUE[case.route], at=grounds.at, lagging=False)
        for code, tube in tubes.items()
    }
    usable = sorted((tube for code, tube in tubes.items() if not against[code]), key=longest_banked)
    order = {tube.code: number for number, tube in enumerate(usable, 1)}
    return [
        UnitSeen(
            specimen=code,
            chosen=code in case.tubes,
            order=order.get(code),
            head=(tube.head_hash or b"").hex(),
            state=tube.projection.state,
            condition=tube.projection.condition,
            quality=tube.projection.quality,
            site=tube.projection.site_code,
            basis=tube.regulatory_basis,
            lot=tube.lot_code,
            amount=tube.projection.amount,
            unit=tube.unit,
            banked_at=tube.projection.banked_at,
            expires_at=tube.expires_at,
            markers_evaluated=markers[code],
            holds=sorted(hold.kind for hold in tube.holds),
            measured=_count(case.findings[code]),
            expected=_expected(estimates.get(code)),
            refusals=[refusal.detail for refusal in against[code]],
        )
        for code, tube in sorted(tubes.items())
    ]


def _count(found: Findings) -> CountSeen | None:
    row = found.measured
    if row is None:
        return None
    interval = wilson_bp(row.live, row.dead)
    return CountSeen(
        method=row.method,
        live=row.live,
        dead=row.dead,
        viability_bp=viability_bp(row.live, row.dead),
        lower_bp=interval.lower_bp,
        upper_bp=interval.upper_bp,
        measured_at=row.measured_at,
    )


def _expected(one: EstimatePublic | None) -> ExpectedSeen | None:
    if one is None:
        return None
    return ExpectedSeen(expected_bp=one.expected_bp, next_vial=one.next_vial, evidence=one.evidence, dose=one.dose)


def _request(case: Case) -> RequestSeen:
    row = case.row
    return RequestSeen(
        withdrawal=case.code,
        seq=case.seq,
        units=len(case.tubes),
        amounts=amounts_of(case.tubes.values()),
        clinic_site=case.clinic,
        **{name: row[name] for name in ("material", "route", "needed_at", "requested_by", "requested_at")},
    )


def _donor(case: Case, grounds: Grounds) -> DonorSeen:
    consents, refusals = consents_of(case, grounds)
    return DonorSeen(
        donor=case.donor,
        status=case.donor_status,
        consents=[one.hex() for one in consents],
        consent_refusals=[one.detail for one in refusals if not isinstance(one, DonorNotTreated)],
    )


def _tests(tubes: Mapping[str, Snapshot], findings: Mapping[str, Findings]) -> list[LotSeen]:
    lots: dict[str, tuple[LotTests, set[str]]] = {}
    for code, tube in tubes.items():
        if tube.lot_code is not None:
            said, missing = lots.setdefault(tube.lot_code, (findings[code].tests, set()))
            missing.update(missing_tests(tube, said))
    return [
        LotSeen(
            lot=lot,
            passed=list(said.passed),
            failed=list(said.failed),
            pending=list(said.pending),
            overdue=list(said.overdue),
            missing=sorted(missing),
        )
        for lot, (said, missing) in sorted(lots.items())
    ]


def _near_misses(session: Session, case: Case) -> list[NearMissSeen]:
    about = sorted({case.code, case.donor, *case.tubes})
    rows = session.execute(
        select(attempt.c.code, func.count().label("times"), func.max(attempt.c.at).label("latest"))
        .where(attempt.c.subject.in_(about), ~attempt.c.path.endswith("/approve"))
        .group_by(attempt.c.code)
        .order_by(attempt.c.code)
    )
    return [NearMissSeen(code=row.code, times=row.times, latest=row.latest) for row in rows]
