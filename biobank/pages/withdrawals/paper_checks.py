"""The bedside without network: fetching a sheet, printing it, and entering what two people wrote on it."""

from uuid import UUID

from anyio import to_thread
from fastapi import APIRouter
from fastapi.responses import Response
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.pages.ui.act_pages import ActForm, ActPage, Asked, Done, Opened
from biobank.pages.ui.addresses import WithdrawalCode
from biobank.pages.ui.session import PageReading
from biobank.pages.withdrawals.bedside import given_scanned
from biobank.pages.withdrawals.steps import taken
from biobank.withdrawals import administering, bedside
from biobank.withdrawals.paper_checks import read_sheet
from biobank.withdrawals.paper_sheet import draw
from biobank.withdrawals.schemas import AdministerRequest, BedsideRequest
from biobank.withdrawals.standing import Standing, read_standing
from biobank.withdrawals.step_rules import begin_refusals
from biobank.withdrawals.steps import STEPS
from biobank.withdrawals.workflow import Step

router = APIRouter(include_in_schema=False)

LABELS = {
    **STEPS["administer"].labels,
    "wristband": "Band on the wrist, as written",
    "product": "Product, as written",
    "paper": "The form it was filed as",
    "given": "Given, in the product's unit",
    "residue": "Residue, in the same unit",
    "loss": "Loss, in the same unit",
}


@router.get("/withdrawals/{code}/paper-checks/{sheet}")
async def show_sheet(code: WithdrawalCode, sheet: UUID, reading: PageReading) -> Response:
    """Send the sheet, to be printed."""
    data = await to_thread.run_sync(draw, await reading(read_sheet, code, sheet))
    headers = {"Content-Disposition": f'inline; filename="{code}-paper-check.pdf"'}
    return Response(data, media_type="application/pdf", headers=headers)


def _read(session: Session, actor: Actor, asked: Asked) -> Standing:
    standing = read_standing(session, actor, asked.code, asked.bank)
    asked.opens(begin_refusals(actor, Step.CHECK, standing.case))
    return standing


def _draw_check(_at: Opened[Standing]) -> ActForm:
    return ActForm(
        title="Enter a bedside check from paper",
        submit="Enter it",
        icon="person-check",
        lead="What you yourself wrote on the filed sheet. The second person enters their own lines from their own login.",
        labels={"occurred_at": "When you read the codes"},
    )


def _say_check(at: Opened[Standing], _body: BedsideRequest, answer: dict[str, str]) -> Done:
    if answer["status"] == "released":
        return Done(f"/withdrawals/{at.code}/administer-from-paper", "Both of you agree.", "Enter what was given.")
    return Done(f"/withdrawals/{at.code}", "Your lines are entered.", "The second person enters theirs.")


ActPage(
    address="/withdrawals/{code}/check-from-paper",
    reads=_read,
    form=_draw_check,
    model=BedsideRequest,
    names=("wristband", "product", "paper", "occurred_at"),
    needed=("paper", "occurred_at"),
    labels=LABELS,
    more=(),
    use_case=bedside.check_at_bedside,
    after=_say_check,
).on(router)


def _draw_administer(_at: Opened[Standing]) -> ActForm:
    return ActForm(
        title="Enter an administration from paper",
        submit="Enter it",
        icon="person-check",
        lead="Given, residue and loss together are what was in the tube. Both people have entered their checks before.",
        labels={"occurred_at": "When it ended"},
    )


ActPage(
    address="/withdrawals/{code}/administer-from-paper",
    reads=_read,
    form=_draw_administer,
    model=AdministerRequest,
    names=("paper", *STEPS["administer"].names, "occurred_at"),
    needed=("paper", "occurred_at"),
    labels=LABELS,
    more=(),
    given=lambda at: given_scanned(at, at.read),
    use_case=administering.administer,
    after=taken("administer"),
).on(router)
