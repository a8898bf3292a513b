"""What may come between two steps of a withdrawal and stands against the next: each done in the session of the step."""

from datetime import timedelta
from uuid import uuid4

from sqlalchemy import insert, select, text, update
from sqlmodel import Session

from biobank.custody.models import custody
from biobank.custody.recording import NOW, Move, record
from biobank.custody.snapshots import load
from biobank.donors.allergies import RecordAllergy, Substance, record_allergy
from biobank.donors.consents import revoke_consent
from biobank.donors.life import RecordDeath, record_death
from biobank.donors.schemas import RevokeConsent
from biobank.donors.visibility import get_visible_donor
from biobank.donors.wristbands import void_band_in_force
from biobank.foundation import clock
from biobank.foundation.clock import rfc3339
from biobank.foundation.db import table_of
from biobank.quality.events import Decision
from biobank.quality.hold_schemas import HoldRequest
from biobank.quality.holds import place_hold
from biobank.quality.look_back import start_recall
from biobank.quality.schemas import RecallRequest
from biobank.specimens.limit_models import MaterialLimit
from biobank.specimens.models import LotTest, Specimen
from biobank.transparency.models import event
from tests import seed
from tests.conftest import Api
from tests.withdrawals.stories import Story, everyone, released_event, state_of

AT_NORTH = (
    "UPDATE specimen SET home_site_code = 'NORTH' WHERE code = :code",
    "UPDATE custody SET site_code = 'NORTH' WHERE code = :code",
)
"""How a specimen comes to be kept, and to lie, at another bank."""


def revoked(session: Session, api: Api, story: Story) -> None:
    given = api.clinician.get(f"/donors/{story.donor}").json()["consents"]
    consent = next(one for one in given if one["kind"] == "treatment")
    revoke_consent(session, api.test_bank.act("clinician"), story.donor, consent["id"], RevokeConsent())


def held(session: Session, api: Api, story: Story) -> None:
    asked = HoldRequest(scope_kind="specimen", scope_id=story.vials[0], kind="quality", reason="result_awaited")
    place_hold(session, api.test_bank.act("quality"), asked)


def expired(session: Session, _api: Api, story: Story) -> None:
    past = clock.now() - timedelta(seconds=1)
    specimen = table_of(Specimen)
    session.execute(update(specimen).where(specimen.c.code == story.vials[0]).values(expires_at=past))


def lot_failed(session: Session, _api: Api, story: Story) -> None:
    specimen = table_of(Specimen)
    lot = session.execute(select(specimen.c.lot_code).where(specimen.c.code == story.vials[0])).scalar_one()
    leaf = session.execute(select(event.c.leaf_hash).limit(1)).scalar_one()
    at = clock.now()
    row = {"lot_code": lot, "kind": "sterility", "sampled_at": at, "result": "failed", "recorded_at": at, "recorded_by": "SYSTEM"}
    session.execute(insert(table_of(LotTest)).values(id=uuid4(), event_hash=leaf, **row, **seed.TESTED))


def rejected(session: Session, api: Api, story: Story) -> None:
    """Quality rejects it."""
    tube = load(session, story.vials[:1])[story.vials[0]]
    said = released_event(str(tube.regulatory_basis)).model_copy(update={"decision": Decision.REJECTED})
    record(session, everyone(api.test_bank), [Move(tube, said)], NOW)


def died(session: Session, api: Api, story: Story) -> None:
    known = RecordDeath(died_on=clock.now().date(), source="family")
    record_death(session, api.test_bank.act("clinician"), story.donor, known)


def recalled(session: Session, api: Api, story: Story) -> None:
    asked = RecallRequest.model_validate(
        {"criteria": {"specimen": story.vials[0]}, "reason": "complaint", "site": "LAB", "description": "A complaint."}
    )
    start_recall(session, api.test_bank.act("quality"), asked)


def outdated(session: Session, api: Api, story: Story) -> None:
    record_allergy(session, api.test_bank.act("clinician"), story.donor, RecordAllergy(substance=Substance.DMSO))


def out_too_long(session: Session, api: Api, story: Story) -> None:
    """It has been out of the cold for ten hours, and its site allows half of one."""
    leaf = session.execute(select(event.c.leaf_hash).limit(1)).scalar_one()
    allowed = {"warm_amber_s": 900, "warm_red_s": 1800, "source": "A study.", "set_by": "SYSTEM", "event_hash": leaf}
    of = {"site_code": "LAB", "material": "adsc", "condition": "frozen"}
    session.execute(insert(table_of(MaterialLimit)).values(**of, **allowed))
    if state_of(api, story.vials[0])["condition"] == "frozen":
        since = rfc3339(clock.now() - timedelta(hours=10))
        session.execute(update(custody).where(custody.c.code == story.vials[0]).values(out_since=since))


def band_replaced(session: Session, api: Api, story: Story) -> None:
    get_visible_donor(session, api.test_bank.act("clinician").actor, story.donor, lock=True)
    void_band_in_force(session, api.test_bank.act("clinician"), story.donor, "replaced", site="CLINIC")


def of_two_banks(session: Session, _api: Api, story: Story) -> None:
    for moved in AT_NORTH:
        session.execute(text(moved), {"code": story.vials[2]})


BEFOREHAND = {
    "recalled in between": recalled,
    "approval outdated": outdated,
    "out of the cold too long": out_too_long,
    "wristband replaced": band_replaced,
    "tubes of two banks": of_two_banks,
    "consent revoked in between": revoked,
    "hold placed in between": held,
    "expired": expired,
    "lot failed in between": lot_failed,
    "rejected in between": rejected,
    "the donor died in between": died,
}
