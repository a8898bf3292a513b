"""Quality's desk: the requests that wait, each with everything needed to decide, and the signature under the decision."""

from datetime import datetime
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import orjson
from fastapi import APIRouter
from markupsafe import Markup
from sqlmodel import Session

from biobank.acts.signing import Meaning
from biobank.auth.actor import Actor
from biobank.custody.legality import Snapshot
from biobank.foundation.errors import MalformedRequest
from biobank.foundation.paging import Listed
from biobank.foundation.terms import words
from biobank.pages.ui.act_pages import Acting, ActPage, Done, Opened, OwnPage
from biobank.pages.ui.filters import code as code_markup
from biobank.pages.ui.filters import quantity, when
from biobank.pages.ui.forms import CIRCUMSTANCES, fields_of
from biobank.pages.ui.listing import Listing, Wanted
from biobank.pages.ui.parts import Column
from biobank.pages.viability.presentation import dose_text
from biobank.pages.withdrawals.known import DEVIATIONS, known_of
from biobank.pages.withdrawals.requests import route_words
from biobank.pages.withdrawals.steps import statement_of, taken
from biobank.specimens.materials import MATERIALS, amount_text
from biobank.withdrawals import service
from biobank.withdrawals.picture import PictureChanged
from biobank.withdrawals.review import Review, read_queue, read_review
from biobank.withdrawals.schemas import ApproveRequest
from biobank.withdrawals.seen import Picture
from biobank.withdrawals.steps import STEPS

router = APIRouter(include_in_schema=False)

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


REMAINS = {"remains": "How many usable units remain for the donor afterwards"}

EVIDENCE = {"columns": TUBES, "deviation_columns": DEVIATIONS}
"""What draws the evidence about one request."""


def read_waiting(session: Session, actor: Actor, asked: Wanted) -> Listed[dict[str, Any]]:
    """Read one page of what waits for quality, each with the cells of its row and its evidence."""
    reviews, page = read_queue(session, actor, asked.bank, asked.paging)
    rows = [
        {**one.case.row, "against": len(one.against), "recipient": one.case.donor, "review": _shown(asked.zone, one)}
        for one in reviews
    ]
    return Listed(items=rows, **page.ends)


Listing(
    address="/withdrawals/queue",
    title="Waiting for a decision",
    lead="The most urgent first. What would be refused at the signature is said here.",
    template="withdrawals_queue.html",
    columns=[
        Column("code", "Withdrawal", "code", sort="code"),
        Column("recipient", "Donor", "code", sort="donor"),
        Column("material", "Material", "words"),
        Column("clinic_site_code", "Clinic", "plain_code"),
        Column("needed_at", "Needed", "when", sort="needed_at"),
        Column("requested_at", "Asked", "when", sort="requested_at"),
        Column("requested_by", "Asked by", "plain_code", usual=False),
        Column("against", "Against it", "number"),
    ],
    read=read_waiting,
    row=lambda row: row,
    default="urgency",
    more=lambda _session, _actor: EVIDENCE,
    empty="Nothing waits for you",
    hint="A clinician's request appears here the moment it is made.",
).on(router)


def _draw(at: Opened[Review]) -> OwnPage:
    review, step = at.read, STEPS["approve"]
    return OwnPage(
        "withdrawal_review.html",
        review=_shown(at.zone, review),
        **EVIDENCE,
        **_picture(review.picture),
        waiting=review.case.row["state"] == "requested" or bool(review.changed),
        statement=statement_of(review.case, step.label),
        meaning=(Meaning.APPROVED.value, step.said),
        by_two=_by_two(at),
        more=fields_of(ApproveRequest, *CIRCUMSTANCES, values=at.filled()),
    )


def _by_two(at: Opened[Review]) -> dict[str, Any] | None:
    """What the page asks of each of the two who accept what remains, and whether the other signed already."""
    review = at.read
    if review.picture is None or not review.picture.remains.takes_two:
        return None
    first = review.pending
    return {
        "fields": fields_of(ApproveRequest, "remains", values=at.filled(), labels=REMAINS),
        "pending": None if first is None else first.id,
        "first": None if first is None else first.proposed_by,
        "mine": first is not None and first.is_first(at.actor.code),
    }


def _approved(at: Opened[Review], body: ApproveRequest, answer: dict[str, Any]) -> Done:
    if answer["status"] == "pending":
        return Done(f"/withdrawals/{at.code}", "Signed by one.", "A second person of quality signs too; it is on their Today.")
    return taken("approve")(at, body, answer)


def _picture(picture: Picture | None) -> dict[str, Any]:
    """Return what draws the picture, and the fields by which the form says which one was seen."""
    if picture is None:
        return {}
    return {
        **known_of(picture.units, picture.tests, picture.harm, picture.near_misses),
        "remains": picture.remains,
        "allergies": picture.allergies,
        "dose": None if picture.dose.dose is None else dose_text(picture.dose.dose),
        "dose_of": picture.dose.vials,
        "seen": {
            "picture": picture.sha256,
            "picture_at": picture.seen_at.isoformat(),
            "picture_parts": orjson.dumps(picture.parts).decode(),
        },
    }


def _seen(at: Acting[Review]) -> dict[str, Any]:
    """Return the members by which the form names the picture that its reader saw."""
    form = at.form
    if "picture" not in form or "picture_at" not in form:
        raise PictureChanged("The form does not say what you looked at. Look at it again before you sign.", subject=at.code)
    try:
        return {
            "picture": form["picture"],
            "picture_at": datetime.fromisoformat(form["picture_at"]),
            "picture_parts": orjson.loads(form.get("picture_parts", "{}")),
            "pending_act": UUID(form["pending_act"]) if form.get("pending_act") else None,
        }
    except ValueError:
        raise MalformedRequest("The form was changed on its way. Open the page again.") from None


ActPage(
    address="/withdrawals/{code}/approve",
    reads=lambda session, actor, asked: read_review(session, actor, asked.code, asked.bank),
    form=_draw,
    model=ApproveRequest,
    names=("remains",),
    labels=REMAINS,
    given=_seen,
    meaning=Meaning.APPROVED,
    use_case=service.approve_withdrawal,
    after=_approved,
).on(router)


def _shown(zone: ZoneInfo, review: Review) -> dict[str, Any]:
    row = review.case.row
    lag = quantity(int(review.grounds.lag_s), "seconds")
    return {
        "code": row["code"],
        "state": row["state"],
        "seq": review.case.seq,
        "against": review.against,
        "facts": [
            ("Donor and recipient", code_markup(row["donor_code"])),
            ("Donor is", words(review.case.donor_status)),
            ("Name, birth date or identifiers changed", _changed(review, zone)),
            ("Treatment consent", "In force" if review.consent is None else review.consent.title),
            ("Material", MATERIALS[row["material"]].title if row["material"] in MATERIALS else words(row["material"])),
            ("Asked for, at least", _asked_for(review)),
            ("Why it was asked for", "Kept in words" if row["indication_commit"] is not None else "Not said"),
            ("Route", route_words(row["route"])),
            ("Clinic", row["clinic_site_code"]),
            ("Needed", when(row["needed_at"], zone)),
            ("Asked", when(row["requested_at"], zone)),
            ("Asked by", code_markup(row["requested_by"], link=False)),
            ("Log behind by", lag),
            ("Time out of the cold", _unlimited(review)),
            ("Changed since it was approved", "; ".join(review.changed) or None),
        ],
        "resets": review.resets,
        "tubes": [_tube(review, tube) for tube in review.case.tubes.values()],
        "deviations": review.deviations,
        "indication": row["indication_commit"] is not None,
    }


def _unlimited(review: Review) -> str | None:
    """That nothing limits how long the tubes may be out of the cold, of one request."""
    if not review.without_limit:
        return None
    return f"No limit is set for {', '.join(review.without_limit)}: nothing stops it however long it is out"


def _changed(review: Review, zone: ZoneInfo) -> Markup | None:
    """When who the donor is was last changed, of one request."""
    at = None if review.picture is None else review.picture.donor.identity_changed_at
    return None if at is None else when(at, zone)


def _asked_for(review: Review) -> str | None:
    """The least that the tubes must hold together, in their measure."""
    amount, units = review.case.row["amount_asked"], {tube.unit for tube in review.case.tubes.values()}
    return None if amount is None else amount_text(amount, units.pop() if len(units) == 1 else "")


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
