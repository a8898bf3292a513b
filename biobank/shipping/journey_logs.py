"""What the logger of a shipment says of its journey: the file is stored first, hashed by the bank, and read here."""

from datetime import datetime
from typing import Any, NamedTuple

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


def read_journey(
    session: Session, act: Act, row: Any, sha256: str, *, at: datetime, zone: str | None, dates: Dates | None
) -> Logged:
    """Return what the logger read between the departure of a shipment (`row`) and its arrival `at`.

    Raises AttachmentUnknown for the hash of no stored file, NotFound for one that the actor may not read, what `read_logger`
    raises, and LoggerOfAnotherTime.
    """
    file = read_logger(kept_file.get()(session, act, sha256), zone=zone, dates=dates)
    on_the_way = [one.value for one in file.readings if one.measure == "temperature_mc" and row.dispatched_at <= one.at <= at]
    if not on_the_way:
        first, last = rfc3339(file.readings[0].at), rfc3339(file.readings[-1].at)
        raise LoggerOfAnotherTime(
            f"The file goes from {first} to {last} and has no temperature from between the departure of {row.code} and now. "
            "Attach the file of the logger that travelled with it, or receive without one and tell quality.",
            subject=row.code,
        )
    return Logged(min(on_the_way), max(on_the_way))
