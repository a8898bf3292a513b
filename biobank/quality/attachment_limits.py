"""How many files are kept: of one person's giving and about one donor in a day, and of how much in all."""

from datetime import timedelta
from math import ceil
from typing import Any, Final

from sqlalchemy import ColumnElement, func, select
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.auth.queries import logins_of_persons
from biobank.foundation import clock
from biobank.foundation.clock import rfc3339
from biobank.foundation.config import Settings
from biobank.foundation.errors import Conflict, TooManyAttempts
from biobank.quality.stored_files import attachment, context

DAY: Final = timedelta(days=1)
_MIB: Final = 1024 * 1024


class TooManyFiles(TooManyAttempts):
    """As many files as a day allows were kept, by this person or about this donor; `goes_on_at` says when it goes on."""

    code = "too_many_files"
    title = "Too many files in a day"


class NoRoomForFiles(Conflict):
    """The files that are kept fill what the bank set aside for them."""

    code = "no_room_for_files"
    title = "No room for files"


def require_room(session: Session, actor: Actor, settings: Settings, donor: str | None, size_bytes: int) -> None:
    """Raise TooManyFiles or NoRoomForFiles unless one more file of this size may be kept by the actor, about this donor."""
    logins = logins_of_persons(session, [actor.code]).get(actor.code, {actor.code})
    of_person = context.c.stored_by.in_(sorted(logins))
    _require_few(
        session, of_person, settings.files_per_person_day, "You have kept {} files within a day; more than {} nobody may."
    )
    if donor is not None:
        said = f"{{}} files about {donor} were kept within a day, and no more than {{}} are."
        _require_few(session, context.c.subject == donor, settings.files_per_donor_day, said)
    # What was given under two keys is kept twice.
    copies = select(context.c.sha256, context.c.subject).distinct().subquery()
    kept = session.execute(
        select(func.coalesce(func.sum(attachment.c.size_bytes), 0)).join_from(
            copies, attachment, attachment.c.sha256 == copies.c.sha256
        )
    ).scalar_one()
    if int(kept) + size_bytes > settings.files_total_mib * _MIB:
        raise NoRoomForFiles(
            f"The bank keeps files of {settings.files_total_mib} MiB in all, and they are there. Tell whoever runs it: "
            "BIOBANK_FILES_TOTAL_MIB says how much.",
        )


def _require_few(session: Session, which: ColumnElement[bool], most: int, said: str) -> None:
    now = clock.now()
    of: Any = context.c.stored_at
    times = session.execute(select(of).where(which, of > now - DAY).order_by(of.desc()).limit(most)).scalars().all()
    if len(times) < most:
        return
    goes_on = times[-1] + DAY
    raise TooManyFiles(
        f"{said.format(len(times), most)} It goes on at {goes_on:%H:%M} UTC.",
        goes_on_at=rfc3339(goes_on),
        retry_after_s=max(1, ceil((goes_on - now).total_seconds())),
    )
