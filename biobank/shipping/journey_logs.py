"""What a logger says of a journey, of a shipment or of a tube: the file is stored first, hashed by the bank, and read here."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any, Final, NamedTuple, Protocol

from sqlmodel import Session

from biobank.acts.act import Act
from biobank.foundation.clock import rfc3339
from biobank.foundation.errors import Conflict
from biobank.monitoring.logger_files import kept_file
from biobank.monitoring.logger_use import place_of_file
from biobank.monitoring.loggers import Dates, LoggerFile, read_logger


class LoggerOfAnotherTime(Conflict):
    """The logger's file has no temperature from between departure and arrival."""

    code = "logger_of_another_time"
    title = "The logger's file is of another journey"


class LoggerOfAnotherJourney(Conflict):
    """The file is of another logger than the one that left with the shipment."""

    code = "logger_of_another_journey"
    title = "The file is of another logger"


MOST_SHOWN: Final = 20
"""Of the times that a file leaves open, the longest are named one by one; all are counted in."""


class Unread(NamedTuple):
    """A part of a journey of which a logger's file says nothing."""

    since: datetime
    until: datetime

    @property
    def seconds(self) -> int:
        """How long it lasted."""
        return int((self.until - self.since).total_seconds())

    def __str__(self) -> str:
        """As an event says it: an ISO 8601 interval."""
        return f"{rfc3339(self.since)}/{rfc3339(self.until)}"


class Logged(NamedTuple):
    """The coldest and the warmest that a logger read on the way, m°C, and the parts of the way without a reading."""

    lowest_mc: int
    highest_mc: int
    unread: tuple[Unread, ...] = ()

    @property
    def unread_s(self) -> int:
        """Seconds of the way without a reading, in all."""
        return sum(one.seconds for one in self.unread)


class Journey(NamedTuple):
    """What travelled, by its code, when it left, and when it arrived; `logger`: the number of the one that was put in."""

    what: str
    left: datetime
    arrived: datetime
    logger: str | None = None


class NamesItsRecord(Protocol):
    """A request that names the stored file of a logger, or none, and what the file itself leaves open."""

    logger_sha256: str | None
    zone: str | None
    dates: Dates | None


def read_record(session: Session, act: Act, request: NamesItsRecord) -> LoggerFile | None:
    """Return the stored file of the logger that travelled; None where none is named, which says so itself.

    Raises AttachmentUnknown for the hash of no stored file, NotFound for one that the actor may not read, LoggerOfAnotherJourney
    for one that was read as that of a tank or freezer, and what `read_logger` raises.
    """
    if request.logger_sha256 is None:
        return None
    if place_of_file(session, request.logger_sha256) is not None:
        raise LoggerOfAnotherJourney(
            "This file was read already as that of a tank or freezer, which stayed where it was. Attach the file of the logger "
            "that travelled, or go on without one and tell quality."
        )
    return read_logger(kept_file.get()(session, act, request.logger_sha256), zone=request.zone, dates=request.dates)


def unread_parts(times: Iterable[datetime], journey: Journey, longest: timedelta) -> list[Unread]:
    """Return the parts of a journey, from departure to arrival, that are longer than `longest` without a reading. Pure.

    The time before the first reading and after the last one counts like the time between two.
    """
    inside = sorted(one for one in times if journey.left < one < journey.arrived)
    return [Unread(a, b) for a, b in pairwise([journey.left, *inside, journey.arrived]) if b - a > longest]


def longest_gap(act: Act) -> timedelta:
    """Return how long a logger may read nothing before its file does not cover that part of a journey."""
    return timedelta(minutes=act.bank.settings.logger_gap_min)


def logged_on(file: LoggerFile | None, journey: Journey, longest: timedelta) -> Logged | None:
    """Return what a logger read between departure and arrival and what of it is without a reading (`unread_parts`), None without
    a file; raise LoggerOfAnotherTime, LoggerOfAnotherJourney. Pure.
    """
    if file is None:
        return None
    if not same_logger(journey.logger, file.serial):
        raise LoggerOfAnotherJourney(
            f"{journey.what} left with the logger {journey.logger}, and the file is of {file.serial}. Attach the file of the "
            "logger that travelled with it, or go on without one and tell quality.",
            subject=journey.what,
        )
    what, left, arrived = journey.what, journey.left.replace(microsecond=0), journey.arrived  # Loggers write whole seconds.
    on_the_way = [one for one in file.readings if one.measure == "temperature_mc" and left <= one.at <= arrived]
    if not on_the_way:
        first, last = rfc3339(file.readings[0].at), rfc3339(file.readings[-1].at)
        raise LoggerOfAnotherTime(
            f"The file goes from {first} to {last} and has no temperature from between the departure of {what} and its "
            "arrival. Attach the file of the logger that travelled with it, or go on without one and tell quality.",
            subject=what,
        )
    values = [one.value for one in on_the_way]
    unread = unread_parts([one.at for one in on_the_way], journey, longest)
    return Logged(min(values), max(values), tuple(unread))


def same_logger(put_in: str | None, read_out: str | None) -> bool:
    """Say whether two numbers can be those of one logger: as far as both are known, whatever stands around the digits. Pure."""
    numbers = ["".join(char for char in one.upper() if char.isalnum()) for one in (put_in, read_out) if one]
    first, *others = numbers or [""]
    return all(first in other or other in first for other in others)


def logged_members(logged: Logged | None) -> dict[str, Any]:
    """Return the members in which an event carries what a logger read, and what it did not."""
    longest = [] if logged is None else sorted(logged.unread, key=lambda one: -one.seconds)[:MOST_SHOWN]
    return {
        "unread_s": None if logged is None else logged.unread_s,
        "unread": tuple(str(one) for one in sorted(longest)),
        "logged_lowest_mc": None if logged is None else logged.lowest_mc,
        "logged_highest_mc": None if logged is None else logged.highest_mc,
    }
