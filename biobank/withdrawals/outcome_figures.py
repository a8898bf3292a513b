"""The figures of an outcome protocol as rows for a file: for who treats or decides, and that they took them is recorded."""

from datetime import datetime

from pydantic import BaseModel
from sqlalchemy import select
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.auth.actor import Actor
from biobank.custody.recording import NOW
from biobank.donors.events import WordsRead
from biobank.donors.recording import record_on_donor
from biobank.foundation.errors import NotPermitted, Refusal, raise_first
from biobank.quality.adverse import reads_words
from biobank.quality.kept_words import NoWords
from biobank.withdrawals.case import find_row
from biobank.withdrawals.models import outcome_measure
from biobank.withdrawals.outcomes import LATEST, read_protocol


class Figure(BaseModel):
    """What was measured of a unit that was given: `value` in `unit`, between `low` and `high`."""

    measure: str
    unit: str
    low: int
    high: int
    specimen: str
    due_days: int
    measured_at: datetime
    recorded_by: str
    value: int


class OutcomeFigures(BaseModel):
    """Every figure that stands, by day. What was not done has none."""

    withdrawal: str
    donor: str
    items: list[Figure]


def figures_refusals(actor: Actor, clinic: str, code: str) -> list[Refusal]:
    """Return why the actor may not read the figures of a withdrawal. Pure."""
    if reads_words(actor, clinic):
        return []
    return [NotPermitted(f"The figures of {code} are read by who treats there and by quality.", subject=code)]


def take_figures(session: Session, act: Act, code: str) -> OutcomeFigures:
    """Return the figures, and record of each that it was read. Raises NotFound, NotPermitted, NoWords when none was measured."""
    row = find_row(session, act.actor, code)
    raise_first(figures_refusals(act.actor, row["clinic_site_code"], code))
    protocol = read_protocol(session, act.actor, act.keystore, code)
    members = set(Figure.model_fields)
    items = [Figure(**one.model_dump(include=members)) for one in protocol.items if one.value is not None]
    if not items:
        raise NoWords(f"Nothing was measured for {code}, or it was forgotten with its donor.", subject=code)
    of_it = select(LATEST.c.value_commit).join(outcome_measure, outcome_measure.c.id == LATEST.c.measure_id)
    commits = session.execute(
        of_it.where(outcome_measure.c.withdrawal_code == code, LATEST.c.value_commit.is_not(None))
    ).scalars()
    read = [WordsRead(what="figure", about=code, words=bytes(one).hex()) for one in commits]
    record_on_donor(session, act, protocol.donor, read, NOW, site=row["clinic_site_code"])
    return OutcomeFigures(withdrawal=code, donor=protocol.donor, items=items)
