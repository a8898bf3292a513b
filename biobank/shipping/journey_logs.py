"""What a logger says of a journey, of a shipment or of a tube: the file is stored first, hashed by the bank, and read here."""

from datetime import datetime
from typing import NamedTuple, Protocol

from sqlmodel import Session

from biobank.acts.act import Act
from biobank.foundation.clock import rfc3339
from biobank.foundation.errors import Conflict
from biobank.monitoring.logger_files import kept_file
from biobank.monitoring.loggers import Dates, LoggerFile, read_logger


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


class NamesItsRecord(Protocol):
    """A request that names the stored file of a logger, or none, and what the file itself leaves open."""

    logger_sha256: str | None
    zone: str | None
    dates: Dates | None


def read_record(session: Session, act: Act, request: NamesItsRecord) -> LoggerFile | None:
    """Return the stored file of the logger that travelled; None where none is named, which says so itself.

    Raises AttachmentUnknown for the hash of no stored file, NotFound for one that the actor may not read, and what `read_logger`
    raises.
    """
    if request.logger_sha256 is None:
        return None
    return read_logger(kept_file.get()(session, act, request.logger_sha256), zone=request.zone, dates=request.dates)


def logged_on(file: LoggerFile | None, journey: Journey) -> Logged | None:
    """Return what a logger read between departure and arrival, None without a file; raise LoggerOfAnotherTime. Pure."""
    if file is None:
        return None
    what, left, arrived = journey.what, journey.left.replace(microsecond=0), journey.arrived  # Loggers write whole seconds.
    on_the_way = [one.value for one in file.readings if one.measure == "temperature_mc" and left <= one.at <= arrived]
    if not on_the_way:
        first, last = rfc3339(file.readings[0].at), rfc3339(file.readings[-1].at)
        raise LoggerOfAnotherTime(
            f"The file goes from {first} to {last} and has no temperature from between the departure of {what} and its "
            "arrival. Attach the file of the logger that travelled with it, or go on without one and tell quality.",
            subject=what,
        )
    return Logged(min(on_the_way), max(on_the_way))


def logged_members(logged: Logged | None) -> dict[str, int | None]:
    """Return the members in which an event carries what a logger read."""
    return {
        "logged_lowest_mc": None if logged is None else logged.lowest_mc,
        "logged_highest_mc": None if logged is None else logged.highest_mc,
    }
