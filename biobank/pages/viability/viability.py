"""Pages of viability: how good the forecasts were, what counts must show, and the report of a lot."""

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID

from anyio import to_thread
from fastapi import APIRouter, Request
from fastapi.responses import Response
from sqlmodel import Session

from biobank.acts.signing import Meaning
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE
from biobank.foundation.terms import words
from biobank.pages.people.site_choices import sites_for
from biobank.pages.ui.act_pages import ActForm, ActPage, Asked, Done, Opened
from biobank.pages.ui.addresses import LotCode
from biobank.pages.ui.parts import Column
from biobank.pages.ui.session import PageReading
from biobank.pages.ui.templating import render
from biobank.pages.viability.presentation import MEASURED_COLUMNS, measured_row
from biobank.specimens.materials import MATERIALS
from biobank.viability import criteria, records, service
from biobank.viability.calibration import ALARM_BAND, ALARM_BELOW_PERCENT, BINS, WINDOW
from biobank.viability.paper import draw
from biobank.viability.plots import histogram, rolling
from biobank.viability.schemas import SetCriterion, SignReport, StratumCalibration

router = APIRouter(include_in_schema=False)

COVERAGE_COLUMNS = [
    Column("interval", "Interval"),
    Column("newest", f"Held of the newest {WINDOW}"),
    Column("whole", "Held of all"),
]
PIT_COLUMNS = [Column("part", "Place in the forecast"), Column("count", "Thaws", "number")]
ROLLING_COLUMNS = [Column("last", "Window ending at thaw", "number"), Column("held", "Held by the 90 % interval")]
WINDOWS_SHOWN = 10
CRITERIA_COLUMNS = [
    Column("site", "Site"),
    Column("material", "Material", "words"),
    Column("minimum", "At least alive"),
    Column("confidence", "Shown with"),
    Column("decided_by", "Decided by", "plain_code"),
    Column("decided_at", "Since", "when"),
]


@router.get("/viability")
async def show_calibration(request: Request, reading: PageReading) -> Response:
    """Draw how good the forecasts were."""

    def query(session: Session, actor: Actor) -> tuple[Any, Any]:
        return records.calibration(session, actor), criteria.list_criteria(session, actor)

    found, standing = await reading.agreeing(query)
    return render(
        request,
        "viability.html",
        strata=[_drawn(one) for one in found.strata],
        alarms=found.alarms,
        excluded=[{"reason": name, "count": count} for name, count in found.excluded.items()],
        excluded_columns=[Column("reason", "Why", "words"), Column("count", "Counts", "number")],
        coverage_columns=COVERAGE_COLUMNS,
        pit_columns=PIT_COLUMNS,
        rolling_columns=ROLLING_COLUMNS,
        criteria=[
            one.model_dump()
            | {"minimum": f"{one.minimum_bp / 100:g} %", "confidence": f"{one.confidence_bp / 100:g} % confidence"}
            for one in standing.items
        ],
        criteria_columns=CRITERIA_COLUMNS,
        may_decide=request.state.actor.may(Permission.QUALITY_DECIDE, at=ANYWHERE),
    )


def _drawn(one: StratumCalibration) -> dict[str, Any]:
    windows = one.rolling[ALARM_BAND]
    return {
        "title": f"{words(one.material)}, {one.procedure_version}, {words(one.assay)}"
        + (", −80 °C" if one.storage == "minus_80" else ""),
        "thaws": one.thaws,
        "alarm": one.alarm,
        "coverage": [
            {"interval": f"{new.percent} %", "newest": _held(new.held, new.of), "whole": _held(whole.held, whole.of)}
            for new, whole in zip(one.coverage, one.whole, strict=True)
        ],
        "pit": [
            {"part": f"{100 * part // BINS} to {100 * (part + 1) // BINS} %", "count": count}
            for part, count in enumerate(one.pit)
        ],
        "histogram": histogram(one.pit),
        "windows": [
            {"last": WINDOW + k, "held": _held(held, WINDOW)} for k, held in list(enumerate(windows))[: -WINDOWS_SHOWN - 1 : -1]
        ],
        "rolling": rolling(windows, WINDOW, ALARM_BAND, ALARM_BELOW_PERCENT) if windows else None,
    }


def _held(held: int, of: int) -> str:
    return f"{held} of {of} ({100 * held / of:.0f} %)" if of else "–"


COUNTABLE = [(name.value, entry.title) for name, entry in sorted(MATERIALS.items()) if entry.assays]

ActPage(
    address="/viability/criterion",
    reads=sites_for(Permission.QUALITY_DECIDE),
    form=lambda at: ActForm(
        title="What a count must show",
        subject="",
        lead="A claim, not a reading: 70 of 100 alive does not show 70 %. Counts recorded before are judged by it too.",
        submit="Sign and set",
        options={"site": at.read, "material": COUNTABLE},
        statement="You decide what a count of this material must show.",
        said="I decide this acceptance criterion.",
    ),
    labels={
        "minimum_bp": "At least alive, in hundredths of a per cent (7000 is 70 %)",
        "confidence_bp": "Confidence, in hundredths of a per cent (9500 is 95 %)",
    },
    model=SetCriterion,
    names=("site", "material", "minimum_bp", "confidence_bp"),
    meaning=Meaning.DECIDED,
    use_case=criteria.set_criterion,
    after=lambda _at, _body, _answer: Done("/viability", "Set.", "Counts of this material are judged by it from now on."),
).on(router)


@router.get("/lots/{code}/viability")
async def show_lot(request: Request, code: LotCode, reading: PageReading) -> Response:
    """Draw what was counted in a lot after thawing, and its signed reports."""

    def query(session: Session, actor: Actor) -> tuple[Any, Any]:
        return service.counts_after_thaw(session, actor, code), service.list_reports(session, actor, code)

    (lot, counted), reports = await reading.agreeing(query)
    rows = [{"specimen": specimen} | measured_row(one) for specimen, counts in counted.items() for one in counts]
    return render(
        request,
        "lot_viability.html",
        lot=lot,
        rows=rows,
        columns=[Column("specimen", "Vial", "code"), *MEASURED_COLUMNS],
        reports=[
            one.model_dump() | {"counts": len(one.content["counts"]), "href": f"/lots/{code}/viability/reports/{one.id}"}
            for one in reports.items
        ],
        report_columns=[
            Column("signed_at", "Signed", "when"),
            Column("signed_by", "By", "plain_code"),
            Column("counts", "Counts", "number"),
        ],
        may_sign=request.state.actor.may(Permission.QUALITY_DECIDE, at=lot.site),
    )


Counts = Mapping[str, Sequence[Any]]


def _to_report(session: Session, actor: Actor, asked: Asked) -> Counts:
    lot, counted = service.counts_after_thaw(session, actor, asked.code)
    actor.require(Permission.QUALITY_DECIDE, at=lot.site, subject=asked.code)
    return counted


def _draw_report(at: Opened[Counts]) -> ActForm:
    here = f"/lots/{at.code}/viability"
    return ActForm(
        title="Sign a viability report",
        lead=f"From {sum(map(len, at.read.values()))} counts of {len(at.read)} thawed vials. Nothing expected enters it.",
        back=here,
        trail=[("Viability", "/viability"), (at.code, here), ("Sign a report", None)],
        submit="Sign the report",
        statement=f"You sign the post-thaw viability report of {at.code}.",
        said="I have reviewed the counts of this lot.",
    )


ActPage(
    address="/lots/{code}/viability/report",
    reads=_to_report,
    form=_draw_report,
    model=SignReport,
    meaning=Meaning.REVIEWED,
    use_case=service.sign_report,
    after=lambda at, _body, _answer: Done(f"/lots/{at.code}/viability", "Signed.", "The report can be printed."),
).on(router)


@router.get("/lots/{code}/viability/reports/{report}")
async def show_paper(code: LotCode, report: UUID, reading: PageReading) -> Response:
    """Send the report on paper."""
    found, signer = await reading(service.report_for_paper, code, report, reading.bank.keystore)
    data = await to_thread.run_sync(draw, found, signer)
    return Response(
        data, media_type="application/pdf", headers={"Content-Disposition": f'inline; filename="{code}-viability.pdf"'}
    )
