"""Reading a logger's file as readings of a place. What the file leaves open is asked on the same page."""

from dataclasses import dataclass

from anyio import to_thread
from fastapi import APIRouter
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.foundation.terms import counted
from biobank.monitoring.logger_files import LoggerFileAnswer, RecordLoggerFile, record_logger_file
from biobank.monitoring.loggers import LoggerZoneMissing
from biobank.monitoring.readings import ImplausibleReading
from biobank.pages.monitoring.said import held_and_freed, limits_in_words
from biobank.pages.storage.about import about_place, trail_of
from biobank.pages.ui.act_pages import ActForm, Acting, ActPage, Asked, Done, Opened
from biobank.pages.ui.forms import Field, fields_of
from biobank.quality import attachments
from biobank.storage.limits import PlaceLimits, limits_of_place
from biobank.storage.schemas import ContainerPublic

router = APIRouter(include_in_schema=False)

DATES = [("", "The file shows it"), ("day_first", "Day first"), ("month_first", "Month first")]


@dataclass(frozen=True)
class _Place:
    place: ContainerPublic
    limits: PlaceLimits


def _reads(session: Session, actor: Actor, asked: Asked) -> _Place:
    place = about_place(session, actor, asked)
    return _Place(place, limits_of_place(session, place.code))


def _draw(at: Opened[_Place]) -> ActForm:
    place = at.read.place
    values = at.filled(zone=at.zone.key if isinstance(at.refusal, LoggerZoneMissing) else "")
    fields = fields_of(RecordLoggerFile, "logger_sha256", "zone", "dates", values=values, options={"dates": DATES})
    if isinstance(at.refusal, ImplausibleReading):
        fields.append(Field("confirmed", "I looked at the logger, and its values are so", "checkbox", False))
    return ActForm(
        title="Read a logger's file",
        submit="Read it",
        icon="log",
        trail=trail_of(place, "Read a logger's file"),
        lead=f"Every value becomes a reading of {place.name}. It may read: {limits_in_words(at.read.limits)}. "
        "Where the file lies outside, everything that was inside then is put on hold at once.",
        fields=fields,
        attach={"site": place.site},
    )


async def _act(at: Acting[_Place]) -> Done:
    body = at.parse(RecordLoggerFile, *PAGE.all_names)
    _public, subjects = await at.ask(attachments.find_file, body.logger_sha256)
    data = await to_thread.run_sync(attachments.read_file, at.bank, body.logger_sha256, *subjects)
    answer = LoggerFileAnswer.model_validate(await at.performing(record_logger_file, at.code, body, data))
    here = f"/storage/{at.code}/chart?span=month"
    said = f"{counted(answer.values, 'value')} read, {counted(len(answer.gaps), 'gap')}."
    if not answer.excursions:
        return Done(here, "The file is read.", said)
    moved = held_and_freed(answer.added, answer.removed)
    return Done(here, "It was outside its limits.", f"{said} {moved}", "stop")


PAGE: ActPage[_Place, RecordLoggerFile] = ActPage(
    address="/storage/{code}/logger-file",
    reads=_reads,
    form=_draw,
    model=RecordLoggerFile,
    names=("logger_sha256", "zone", "dates", "confirmed"),
    more=(),
    acts=_act,
)
PAGE.on(router)
