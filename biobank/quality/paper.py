"""What was done on paper, because the network was down, is entered by a route of its own.

The form is kept as a file, whose hash the bank computes; two different people stand for it: the one who did it and a second who
was there or checks it; a reason is given and a deviation opened, whose code names the form. Acts that are then entered with that
code (`Circumstances.paper`) say when they happened, are of these two people, are marked as entered from paper for ever, and rest
on the form in the log. Whatever else an act asks for, a signature or a consent of its time, it asks for here too.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, Field
from sqlalchemy import func, insert, select
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.auth.permissions import Permission
from biobank.custody.chronology import require_existed, require_since_site
from biobank.custody.recording import Badge, Circumstances, FreeText, Instant, acknowledge, paper_forms
from biobank.custody.states import StreamKind
from biobank.foundation.clock import rfc3339
from biobank.foundation.errors import Conflict, NotFound, Refusal, raise_first
from biobank.foundation.kept_files import FileHash
from biobank.foundation.listed import Handling
from biobank.people.queries import get_site
from biobank.quality.deviations import add_deviation
from biobank.quality.incident_events import PaperFormFiled
from biobank.quality.models import deviation, paper_form
from biobank.quality.streams import record_on_stream

ENTERED_WITHIN = timedelta(days=14)
"""From the filing of a form until its acts are entered. A starting value of ours, without a source."""


class OneBadge(Conflict):
    """Two different people stand for what was done on paper."""

    code = "one_badge"
    title = "Two people are needed"


class PaperOfOthers(Conflict):
    """Only the two people of a form enter what it says."""

    code = "paper_of_others"
    title = "Somebody else's form"


class PaperTimeMissing(Conflict):
    """What was done on paper says when."""

    code = "paper_time_missing"
    title = "Time missing"


class NotOnThatPaper(Conflict):
    """A form bears only what happened between its beginning and its filing, and is entered within its time."""

    code = "not_on_that_paper"
    title = "Not on that form"


class FormFiledBefore(Conflict):
    """A form stands for what was done once; the same sheet is not filed a second time."""

    code = "form_filed_before"
    title = "Filed already"


class PaperFormRequest(Circumstances):
    """A form that was filled in by hand. `form_sha256` is of the file as it was stored here before."""

    site: Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9]{1,7}$")]
    form_sha256: FileHash
    did_by: Badge
    second: Badge
    began_at: Instant = Field(description="When the form begins; nothing on it happened before.")
    reason: Handling
    description: FreeText


class PaperFormPublic(BaseModel):
    """A filed form. `code` is its deviation's and names it: acts are entered with it."""

    code: str
    site: str
    form_sha256: str
    did_by: str
    second: str
    began_at: AwareDatetime
    filed_at: AwareDatetime
    filed_by: str


class PaperFormFiledAnswer(PaperFormPublic):
    """The form, and our signature."""

    receipt: str


def filing_refusals(actor: str, request: PaperFormRequest, at: datetime) -> list[Refusal]:
    """Return why a form may not be filed like this. Pure."""
    refusals: list[Refusal] = []
    if request.did_by == request.second:
        refusals.append(OneBadge("Scan two badges: of who did it, and of a second person who was there or checks it."))
    if actor not in (request.did_by, request.second):
        refusals.append(PaperOfOthers("You are neither of the two people of this form. One of them files it."))
    if request.began_at > at:
        refusals.append(NotOnThatPaper("The form begins in the future. Check the date and the time."))
    return refusals


def _require_first(session: Session, sha256: str, at: datetime) -> None:
    """Raise FormFiledBefore while a filing of the same bytes can be entered from; filings of one file wait for each other."""
    session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"paper form {sha256}", 0))))
    before = session.execute(
        select(paper_form.c.deviation_code)
        .join(deviation, deviation.c.code == paper_form.c.deviation_code)
        .where(paper_form.c.form_sha256 == sha256, paper_form.c.filed_at >= at - ENTERED_WITHIN, deviation.c.closed_at.is_(None))
    ).scalar()
    if before is not None:
        raise FormFiledBefore(
            f"This file was filed already, as {before}: enter what it says with that code. If that filing has wrong people or "
            "times, quality closes it first. Another sheet is a file of its own.",
            subject=before,
        )


def file_paper(session: Session, act: Act, request: PaperFormRequest) -> PaperFormFiledAnswer:
    """File a form and open its deviation. Raises NotFound, NotPermitted, AttachmentUnknown, BeforeItExisted (before its
    site or one of its badges), FormFiledBefore, what `filing_refusals` returns."""
    get_site(session, request.site)
    act.require(Permission.DEVIATION_OPEN, at=request.site)
    raise_first(filing_refusals(act.actor.code, request, act.at))
    require_since_site(session, request.began_at, request.site)
    badges = [(StreamKind.USER.value, badge) for badge in (request.did_by, request.second)]
    require_existed(session, request.began_at, badges, to_the_minute=True)
    _require_first(session, request.form_sha256, act.at)
    given = request.model_copy(update={"performed_by": sorted({request.did_by, request.second})})
    code, opened = add_deviation(
        session,
        act,
        given,
        severity="minor",
        topic="entered_from_paper",
        site=request.site,
        description=request.description,
        attachments=[request.form_sha256],
    )
    event = PaperFormFiled(
        deviation=code,
        form_sha256=request.form_sha256,
        did_by=request.did_by,
        second=request.second,
        form_from=rfc3339(request.began_at),
        reason=request.reason,
    )
    filed = record_on_stream(session, act, code, event, given, site=request.site, relies_on=(opened.leaf_hash,))
    values: dict[str, Any] = {
        "deviation_code": code,
        "site_code": request.site,
        "form_sha256": request.form_sha256,
        "did_by": request.did_by,
        "second": request.second,
        "began_at": request.began_at,
        "filed_at": act.at,
        "filed_by": act.actor.code,
        "event_hash": filed.leaf_hash,
    }
    session.execute(insert(paper_form).values(**values))
    return PaperFormFiledAnswer(**_public(values), receipt=acknowledge(act, [opened, filed]))


def _public(row: Mapping[str, Any]) -> dict[str, Any]:
    names = ("form_sha256", "did_by", "second", "began_at", "filed_at", "filed_by")
    return {"code": row["deviation_code"], "site": row["site_code"]} | {name: row[name] for name in names}


def entering_refusals(actor: str, form: Mapping[Any, Any], occurred_at: datetime | None, at: datetime) -> list[Refusal]:
    """Return why an act may not be entered from a form. Pure."""
    code = form["deviation_code"]
    refusals: list[Refusal] = []
    if actor not in (form["did_by"], form["second"]):
        refusals.append(PaperOfOthers(f"You are neither of the two people of {code}. One of them enters it.", subject=code))
    if occurred_at is None:
        refusals.append(PaperTimeMissing("Say when it happened, as the form has it.", subject=code))
    elif not form["began_at"] <= occurred_at <= form["filed_at"]:
        span = f"{rfc3339(form['began_at'])} to {rfc3339(form['filed_at'])}"
        refusals.append(NotOnThatPaper(f"The form {code} is of {span}. Check the date and the time.", subject=code))
    if form["closed_at"] is not None:
        refusals.append(NotOnThatPaper(f"Quality closed {code}. File the form again, then enter what it says.", subject=code))
    if at - form["filed_at"] > ENTERED_WITHIN:
        refusals.append(NotOnThatPaper(f"{code} was filed over {ENTERED_WITHIN.days} days ago. File it again.", subject=code))
    return refusals


@paper_forms.give
def enter_from_paper(session: Session, act: Act, code: str, occurred_at: datetime | None) -> tuple[bytes, tuple[str, str]]:
    """Return the event of a form and its two people. Raises NotFound, and what `entering_refusals` returns."""
    forms = select(paper_form, deviation.c.closed_at).join(deviation, deviation.c.code == paper_form.c.deviation_code)
    form = session.execute(forms.where(paper_form.c.deviation_code == code)).mappings().first()
    if form is None:
        raise NotFound(f"No form was filed as {code}. File the form first.", subject=code)
    raise_first(entering_refusals(act.actor.code, form, occurred_at, act.at))
    return bytes(form["event_hash"]), (form["did_by"], form["second"])
