"""What a logger says of a journey, of a shipment or of a tube: the file is stored first, hashed by the bank, and read here."""

from datetime import datetime
from typing import NamedTuple

from sqlmodel import Session

from biobank.acts.act import Act
from biobank.foundation.clock import rfc3339
from biobank.foundation.errors import Conflict
from biobank.monitoring.logger_files import kept_file
from biobank.monitoring.loggers import Dates, read_logger


class LoggerOfAnotherTime(Conflict):
    """The logger's file has no temperature from between departure and arrival."""

    code = "logger_of_another_time"
    title = "The logger's file is of another journey"


class Logged(NamedTuple):
    """The coldest and the warmest that a logger read on the way, m°C."""

    lowest_mc: int
    highest_mc: int


class Journey(NamedTuple):
    """What travelled, by its code, when it left, and when it arrived."""

    what: str
    left: datetime
    arrived: datetime


def read_journey(
    session: Session, act: Act, journey: Journey, sha256: str | None, *, zone: str | None, dates: Dates | None
) -> Logged | None:
    """Return what the logger read between departure and arrival; None where no file is named, which says so itself.

    Raises AttachmentUnknown for the hash of no stored file, NotFound for one that the actor may not read, what `read_logger`
    raises, and LoggerOfAnotherTime.
    """
    if sha256 is None:
        return None
    what, left, arrived = journey.what, journey.left.replace(microsecond=0), journey.arrived  # Loggers write whole seconds.
    file = read_logger(kept_file.get()(session, act, sha256), zone=zone, dates=dates)
    on_the_way = [one.value for one in file.readings if one.measure == "temperature_mc" and left <= one.at <= arrived]
    if not on_the_way:
        first, last = rfc3339(file.readings[0].at), rfc3339(file.readings[-1].at)
        raise LoggerOfAnotherTime(
            f"The file goes from {first} to {last} and has no temperature from between the departure of {what} and its "
            "arrival. Attach the file of the logger that travelled with it, or go on without one and tell quality.",
            subject=what,
        )
    return Logged(min(on_the_way), max(on_the_way))
