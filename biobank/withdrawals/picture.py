"""The picture that quality signs over: one function makes it, the page and the call show it, the approval names its hash.

It holds what the decision rests on and nothing that changes by itself: estimates are read as known at `seen_at`, so the same
picture can be made again at the signature and compared. What differs then is named, part by part.
"""

import hmac
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

from sqlalchemy import select, union
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.custody.legality import Snapshot
from biobank.custody.snapshots import may_know
from biobank.donors.markers import evaluate
from biobank.donors.told import told_of
from biobank.foundation.clock import rfc3339
from biobank.foundation.config import read_secret
from biobank.foundation.errors import Conflict, Refusal
from biobank.quality.models import adverse_event, deviation, deviation_subject
from biobank.quality.reserves import amounts_of, remaining, reserve_of
from biobank.specimens.harvest_queries import identified_at_harvest
from biobank.specimens.models import specimen as specimen_table
from biobank.specimens.residues import allergies_among
from biobank.viability.queries import expected_dose
from biobank.withdrawals.case import Case, use_of_tube
from biobank.withdrawals.consents import DonorNotTreated
from biobank.withdrawals.events import Reserved
from biobank.withdrawals.known import Known, harm_of, lots_seen, near_misses_about, remains_seen, units_seen
from biobank.withdrawals.models import withdrawal as withdrawal_table
from biobank.withdrawals.seen import (
    DeviationSeen,
    DonorSeen,
    Picture,
    RemainsSeen,
    RequestSeen,
)
from biobank.withdrawals.step_rules import Grounds, consents_of
from biobank.withdrawals.workflow import BEFORE_ISSUE

STANDS_FOR = timedelta(days=1)
"""How long a picture may be signed after it was read; a page left open over night is read again."""

# An adverse event is about its donor too, whichever of their withdrawals it was seen with.
_ABOUT = union(
    select(deviation_subject.c.deviation_code, deviation_subject.c.subject_id),
    select(adverse_event.c.deviation_code, adverse_event.c.donor_code),
).subquery()


class PictureChanged(Conflict):
    """What is to be signed is not what was seen."""

    code = "picture_changed"
    title = "It changed since you looked"


class PictureUnnamed(Conflict):
    """A signature says over which picture it was given."""

    code = "picture_unnamed"
    title = "Say what you looked at"


class RemainderUnsaid(Conflict):
    """Approving takes the last usable unit, or goes below the reserve: whoever signs says what remains."""

    code = "remainder_unsaid"
    title = "Say what remains"


@dataclass(frozen=True)
class OpenDeviation:
    """A deviation that is open and names the withdrawal, its donor, a tube, its lot or its place."""

    code: str
    severity: str
    topic: str
    opened_at: datetime


def picture_refusal(
    picture: Picture, now: datetime, seen: str | None, seen_at: datetime | None, parts: Mapping[str, str]
) -> Refusal | None:
    """Return why a signature over the picture `seen` does not stand for what is there now, or None. Pure."""
    code = picture.request.withdrawal
    if seen is None or seen_at is None:
        return PictureUnnamed(f"Say which picture of {code} you looked at. Open its review again.", subject=code)
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


def proposal_of(picture: Picture) -> dict[str, Any]:
    """Return what both people sign who accept what remains: it, how far the request stood, and all that they looked at. Pure."""
    return {"remains": picture.remains.units, "seq": picture.request.seq, "picture": picture.lasting}


def remainder_refusal(code: str, left: RemainsSeen, said: int | None) -> Refusal | None:
    """Return why what the signer of withdrawal `code` said of the remainder does not do, or None. Pure."""
    if not left.takes_two or said == left.units:
        return None
    what = "takes the last usable unit" if left.takes_the_last else "goes below the reserve"
    return RemainderUnsaid(
        f"{left.sentence} Approving {what}: two of quality sign, and each says how many usable units remain.",
        subject=code,
        remains=left.units,
    )


def read_picture(
    session: Session,
    actor: Actor,
    case: Case,
    grounds: Grounds,
    seen_at: datetime,
    tubes: Mapping[str, Snapshot],
    taken: Mapping[str, datetime | None],
    deviations: Sequence[OpenDeviation],
    secrets: Path,
) -> Picture:
    """Make the picture of an opened case, with estimates as known at `seen_at`.

    `tubes`: every unit of the donor's material, with its holds and in the case's findings; those that the actor may not know of
    count in what remains and are not shown. `taken`: what `units_of_donor` says of them; `secrets`: of the bank.
    """
    shown = {code: tube for code, tube in tubes.items() if code in case.tubes or may_know(actor, tube)}
    dose, _, estimates = expected_dose(session, list(shown.values()), seen_at, together=case.tubes)
    material = case.row["material"]
    told = told_of(session, case.donor)
    markers = {code: evaluate(told.results, taken[code]) for code in shown}
    left = remaining(
        case.donor,
        material,
        list(tubes.values()),
        case.findings,
        case.tubes,
        grounds.at,
        reserve_of(session, case.donor, material),
    )
    met = allergies_among(session, dict.fromkeys(sorted(shown), case.donor), {case.donor: told.allergies})
    return Picture(
        seen_at=seen_at,
        salt=_salt(secrets, case.code, rfc3339(seen_at)),
        lasting_salt=_salt(secrets, case.code, "whenever"),
        request=_request(case),
        donor=_donor(case, grounds, told.identity_changed_at),
        units=units_seen(
            Known(shown, case.findings, markers, estimates, identified_at_harvest(session, shown)),
            {code: use_of_case(case, tube, grounds) for code, tube in shown.items()},
            case.tubes,
        ),
        tests=lots_seen(shown, case.findings),
        allergies=[one.sentence for one in met],
        dose=dose,
        remains=remains_seen(left),
        deviations=[DeviationSeen(**vars(one)) for one in deviations],
        harm=harm_of(session, case.donor),
        near_misses=near_misses_about(session, {case.code, case.donor, *case.tubes}),
    )


def use_of_case(case: Case, tube: Snapshot, grounds: Grounds) -> list[Refusal]:
    """Return every reason why a tube may not be reserved for the case now. Pure."""
    conditions = BEFORE_ISSUE[case.route]
    return use_of_tube(case, tube, case.findings[tube.code], Reserved, conditions, at=grounds.at, lagging=False)


def _salt(secrets: Path, code: str, reading: str) -> str:
    """Return a value that the bank alone can make, and makes again for the same reading."""
    read = f"biobank/picture/v1\0{code}\0{reading}".encode()
    return hmac.new(read_secret(secrets, "digests"), read, sha256).hexdigest()


def case_subjects(case: Case) -> set[str]:
    """Return what a deviation may name to be about a case: it, its donor, its tubes, their lots and boxes."""
    lots = {tube.lot_code for tube in case.tubes.values() if tube.lot_code is not None}
    boxes = {box for tube in case.tubes.values() if (box := tube.projection.container_code) is not None}
    return {case.code, case.donor, *case.tubes, *lots, *boxes}


def deviations_about(session: Session, about: Mapping[str, Collection[str]]) -> dict[str, list[OpenDeviation]]:
    """Return by key the open deviations that name one of its subjects, the oldest first: one statement."""
    every = sorted(set().union(*about.values()))
    columns = (*(deviation.c[name] for name in ("code", "severity", "topic", "opened_at")), _ABOUT.c.subject_id)
    open_ones = (deviation.c.closed_at.is_(None), _ABOUT.c.subject_id.in_(every))
    asked = select(*columns).join(_ABOUT, _ABOUT.c.deviation_code == deviation.c.code).where(*open_ones)
    found = session.execute(asked.order_by(deviation.c.opened_at, deviation.c.code)).all() if every else []
    return {
        key: list(dict.fromkeys(OpenDeviation(*one[:4]) for one in found if one.subject_id in named))
        for key, named in about.items()
    }


def units_of_donor(session: Session, withdrawal: str) -> dict[str, datetime | None]:
    """Return every unit of a withdrawal's donor and material, and when it was taken (None: of several harvests)."""
    asked, unit = withdrawal_table.c, specimen_table.c
    of_donor = (asked.donor_code == unit.donor_code) & (asked.material == unit.material)
    rows = session.execute(
        select(unit.code, unit.harvest_code, unit.collected_at).join(withdrawal_table, of_donor).where(asked.code == withdrawal)
    ).all()
    return {row.code: None if row.harvest_code is None else row.collected_at for row in rows}


def _request(case: Case) -> RequestSeen:
    row = case.row
    return RequestSeen(
        withdrawal=case.code,
        seq=case.seq,
        units=len(case.tubes),
        amounts=amounts_of(case.tubes.values()),
        clinic_site=case.clinic,
        indication=None if row["indication_commit"] is None else bytes(row["indication_commit"]).hex(),
        **{name: row[name] for name in ("material", "route", "amount_asked", "needed_at", "requested_by", "requested_at")},
    )


def _donor(case: Case, grounds: Grounds, identity_changed_at: datetime | None) -> DonorSeen:
    consents, refusals = consents_of(case, grounds)
    return DonorSeen(
        donor=case.donor,
        status=case.donor_status,
        identity_changed_at=identity_changed_at,
        consents=[one.hex() for one in consents],
        consent_refusals=[one.detail for one in refusals if not isinstance(one, DonorNotTreated)],
    )
