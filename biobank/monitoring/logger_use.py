"""A logger stays in a place or travels: a file that was read for the one is no record of the other."""

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlmodel import Session

from biobank.custody.event import rules
from biobank.custody.states import StreamKind
from biobank.foundation.errors import Conflict
from biobank.monitoring.models import logger_file
from biobank.transparency.models import event


class LoggerOfAJourney(Conflict):
    """The file is of a logger that travelled, and a place did not."""

    code = "logger_of_a_journey"
    title = "The file is of a journey"


def place_of_file(session: Session, sha256: str) -> str | None:
    """Return the code of the container of which a file was read; None: of none."""
    return session.execute(select(logger_file.c.container_code).where(logger_file.c.sha256 == sha256)).scalar()


def require_stayed(session: Session, sha256: str, place: str) -> None:
    """Raise LoggerOfAJourney for a file that was read for a journey, of a shipment or of a tube."""
    kinds = [
        kind
        for kind, one in rules.by_kind.items()
        if "logger_sha256" in one.model_fields and one.stream is not StreamKind.CONTAINER
    ]
    named = func.convert_from(event.c.entry, "UTF8").cast(JSONB)["body"]["logger_sha256"].astext
    read = select(event.c.seq).where(event.c.kind.in_(kinds), named == sha256).limit(1)
    if session.execute(read).first() is not None:
        raise LoggerOfAJourney(
            "This file was read already as that of a journey, on which the logger travelled. Attach the file of the logger "
            f"that stayed in {place}.",
            subject=place,
        )
