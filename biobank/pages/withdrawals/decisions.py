"""Quality's desk: the requests that wait, each with everything needed to decide, and the signature under the decision."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from fastapi.responses import Response

from biobank.acts.signing import Meaning
from biobank.custody.legality import Snapshot
from biobank.foundation.errors import Refusal
from biobank.foundation.terms import words
from biobank.pages.ui.filters import code as code_markup
from biobank.pages.ui.filters import quantity, when
from biobank.pages.ui.forms import CIRCUMSTANCES, drawn, fields_of, parse
from biobank.pages.ui.parts import Column
from biobank.pages.ui.session import PagePerforming, PageReading, or_again
from biobank.pages.ui.templating import render
from biobank.pages.withdrawals.requests import route_words
from biobank.specimens.materials import MATERIALS, amount_text
from biobank.withdrawals import service
from biobank.withdrawals.review import Review, read_queue, read_review
from biobank.withdrawals.schemas import ApproveRequest

router = APIRouter(include_in_schema=False)

WithdrawalCode = Annotated[str, Path(pattern=r"^WD[0-9]{2}-[0-9A-Z]{7}$")]
SAID = "I have reviewed donor, consent, legal basis, quality, holds, amounts, expiry and deviations, and approve."

TUBES = [
    Column("specimen", "Tube", "code"),
    Column("state", "State", "chip"),
    Column("condition", "Condition", "chip"),
    Column("amount", "Amount"),
    Column("quality", "Quality", "chip"),
    Column("basis", "Legal basis", "words"),
    Column("holds", "Holds"),
    Column("expires", "Expires", "when"),
    Column("verdict", "Now", "chip"),
]
DEVIATIONS = [
    Column("code", "Deviation", "code"),
    Column("severity", "Class", "words"),
    Column("topic", "About", "words"),
    Column("opened_at", "Open since", "when"),
]


@router.get("/withdrawals/queue")
async def show_queue(request: Request, reading: PageReading) -> Response:
    """Draw what waits for quality, the most urgent first."""
    queue = await reading.agreeing(read_queue, reading.bank)
    return render(
        request,
        "withdrawals_queue.html",
        reviews=[_shown(request, one) for one in queue],
        columns=TUBES,
        deviation_columns=DEVIATIONS,
    )


@router.get("/withdrawals/{code}/approve")
async def show_review(request: Request, code: WithdrawalCode, reading: PageReading) -> Response:
    """Draw one request with what stands for and against it, and the signature."""
    return await _draw(request, reading, code)


async def _draw(request: Request, reading: PageReading, code: str, refusal: Refusal | None = None, typed: Any = None) -> Response:
    review = await reading.agreeing(read_review, code, reading.bank)
    row = review.case.row
    tubes = ", ".join(review.case.tubes)
    return render(
        request,
        "withdrawal_review.html",
        review=_shown(request, review),
        columns=TUBES,
        deviation_columns=DEVIATIONS,
        waiting=row["state"] == "requested",
        statement=f"Approve: withdrawal {code} of {tubes} for {row['donor_code']}, {route_words(row['route']).lower()}.",
        meaning=(Meaning.APPROVED.value, SAID),
        more=fields_of(ApproveRequest, *CIRCUMSTANCES, values=typed),
        **drawn(refusal),
    )


@router.post("/withdrawals/{code}/approve")
async def approve(request: Request, code: WithdrawalCode, performing: PagePerforming, reading: PageReading) -> Response:
    """Sign it: everything is checked once more, and the tubes are reserved."""

    async def act() -> Response:
        body = parse(ApproveRequest, performing.form, request.state.zone, *CIRCUMSTANCES, "expected_seq")
        signed = body.model_copy(update={"signature": await performing.sign(Meaning.APPROVED)})
        answer = await performing(service.approve_withdrawal, code, signed)
        return await performing.done(f"/withdrawals/{code}", "Done: approve.", f"Next: {answer['waits_for'][0]}.")

    return await or_again(act(), lambda refusal: _draw(request, reading, code, refusal, performing.form))


def _shown(request: Request, review: Review) -> dict[str, Any]:
    row, zone = review.case.row, request.state.zone
    lag = quantity(int(review.grounds.lag_s), "seconds")
    return {
        "code": row["code"],
        "state": row["state"],
        "seq": review.case.seq,
        "against": review.against,
        "facts": [
            ("Donor and recipient", code_markup(row["donor_code"])),
            ("Donor is", words(review.case.donor_status)),
            ("Treatment consent", "In force" if review.consent is None else review.consent.title),
            ("Material", MATERIALS[row["material"]].title if row["material"] in MATERIALS else words(row["material"])),
            ("Route", route_words(row["route"])),
            ("Clinic", row["clinic_site_code"]),
            ("Needed", when(row["needed_at"], zone)),
            ("Asked", when(row["requested_at"], zone)),
            ("Asked by", code_markup(row["requested_by"], link=False)),
            ("Log behind by", lag),
        ],
        "tubes": [_tube(review, tube) for tube in review.case.tubes.values()],
        "deviations": review.deviations,
    }


def _tube(review: Review, tube: Snapshot) -> dict[str, Any]:
    return {
        "specimen": tube.code,
        "state": tube.projection.state,
        "condition": tube.projection.condition,
        "amount": amount_text(tube.projection.amount, tube.unit),
        "quality": tube.projection.quality,
        "basis": tube.regulatory_basis,
        "holds": ", ".join(words(hold.kind) for hold in tube.holds) or None,
        "expires": tube.expires_at,
        "verdict": "pass" if review.is_usable(tube) else "fail",
    }
