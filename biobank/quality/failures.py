"""What follows at once from a failed test of a lot: a deviation, the rejection of every unit, and notices to whom it concerns.

The holds (on the lot, and on lots of the same run's inputs or reagents for judgement) are placed with the result itself, in
`specimens/lots.py`. 21 CFR 610.12: results can post-date use, so what was given to a patient is told to who treats them first.
"""

from typing import Any

from sqlalchemy import Row
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.custody.ledger import Appended, Fact, append
from biobank.custody.recording import NOW, head_of
from biobank.custody.snapshots import load
from biobank.custody.states import State, StreamKind
from biobank.quality.decisions import DECIDABLE
from biobank.quality.deviations import add_deviation
from biobank.quality.events import RejectedByTest
from biobank.quality.look_back import reached
from biobank.quality.notices import concerned, give_notices
from biobank.quality.releases import end_releases
from biobank.quality.schemas import Criteria
from biobank.quality.stored_files import require_stored
from biobank.specimens.lots import failed_test, reports_stored
from biobank.specimens.processing_schemas import RecordLotTest

reports_stored.give(require_stored)


@failed_test.give
def follow_failure(
    session: Session, act: Act, lot: "Row[Any]", request: RecordLotTest, tested: bytes, held: tuple[str, ...]
) -> list[Appended]:
    """Open the deviation, reject what was made in the lot, tell whom it concerns. `held`: other lots that wait for judgement."""
    units = load(session, [one.specimen for one in reached(session, Criteria(lot=lot.code))], lock=True)
    given = [code for code, unit in units.items() if unit.state is State.ADMINISTERED]
    deviation, opened = add_deviation(
        session,
        act,
        NOW,
        severity="critical" if given else "major",
        topic="failed_test",
        site=lot.site_code,
        description=f"The {request.test} test of lot {lot.code} failed.",
        affected=[("lot", lot.code), *(("lot", one) for one in held)],
    )
    facts = [
        Fact(
            StreamKind.SPECIMEN,
            code,
            RejectedByTest(lot=lot.code, test=request.test, deviation=deviation),
            head_of(
                session,
                act,
                NOW,
                subject=None,
                site=unit.projection.site_code,
                last=unit.last_occurred_at,
                relies_on=(tested, opened.leaf_hash),
            ),
            unit,
            unit.donor_code,
        )
        for code, unit in units.items()
        if unit.lot_code == lot.code and unit.state in DECIDABLE
    ]
    rejected = append(session, facts) if facts else []
    end_releases.get()(session, list(units), at=act.at, because="failed_test")
    donors = {unit.donor_code for unit in units.values() if unit.donor_code is not None}
    told = give_notices(
        session,
        act,
        concerned(session, units, donors),
        reason="failed_after_use" if given else "failed_test",
        about=lot.code,
        deviation=deviation,
        site=lot.site_code,
        relies_on=tested,
    )
    return [opened, *rejected, *told]
