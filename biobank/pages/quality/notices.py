"""Notices as their readers see them: the list, and the page on which they say that they have read one."""

from collections.abc import Iterator, Mapping
from typing import Any
from uuid import UUID

from fastapi import APIRouter
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.foundation.terms import words
from biobank.pages.ui.act_pages import ActForm, ActPage, Asked, Done, Opened
from biobank.pages.ui.code_pages import code_href
from biobank.pages.ui.listing import Filter, Listing, Wanted
from biobank.pages.ui.parts import Column
from biobank.quality import notices
from biobank.quality.notices import Acknowledge
from biobank.quality.schemas import NoticeList, NoticePublic

router = APIRouter(include_in_schema=False)

WHAT = {
    "failed_test": "A test of {about} failed. Its units are rejected and held: use none of them, keep them where they are.",
    "failed_after_use": "A test of {about} failed after one of its units was given to a patient. Tell who treats the patient.",
    "unit_missing": "{about}: what you keep, hold or asked for was reported missing. Look for it; only quality gives it up.",
    "bedside_mismatch": "STOP at the bedside of {about}: band, product and withdrawal were not one person's. Find out at once "
    "whose cells and whose band these are.",
    "another_tubes_final_label": "The label of another tube was scanned as the final one of what was thawed for {about}. Both "
    "are held, with what lay at their benches. Find out at once which cells are in which tube.",
    "another_tube_in_hand": "Another tube was in the hand at {about}: somebody scanned what is none of it. It is held. Find out "
    "how it came there, and where the tube is that belonged there.",
    "outdated_label_at_the_bedside": "At the bedside of {about} a label was scanned that should be on nothing any more. Find out "
    "at once which tube it is on.",
    "done_on_paper_against_a_stop": "By a form on paper a tube of {about} was used at the bedside after the bank had stopped it. "
    "It is held. Find out at once whether it was given, and record what happened as an adverse event.",
    "given_unknowing": "Cells of {about} were given, and what stood against it came to light since. The deviation says what.",
    "recall": "{about} recalls units that concern you. Use none of them, keep them where they are.",
    "withdrawal_approved": "Quality approved {about}. Its tubes are reserved and will be picked.",
    "withdrawal_rejected": "Quality rejected {about}. Nothing was taken; its page says why.",
    "withdrawal_ready": "Two people picked everything of {about}. It is ready to be issued.",
    "withdrawal_issued": "The tubes of {about} left the bank.",
    "withdrawal_cancelled": "{about} was called off. Its tubes are free again; what you have in hand goes back into the cold.",
    "withdrawal_expanded": "The cells of {about} went into a new run. Ask for what comes out of it once quality released it.",
    "withdrawal_allergy": "An allergy of the recipient was recorded while {about} is underway. Read it before anything is given.",
    "withdrawal_given": "A tube of {about} was given.",
    "withdrawal_giving_undone": "Quality undid what was recorded as given of {about}.",
    "withdrawal_stopped": "{about} stands still: something stands against it. Its page says what, and who can mend it. What you "
    "have in hand goes back into the cold.",
    "withdrawal_goes_on": "Nothing stands against {about} any more. It goes on.",
}
"""What a notice says, by its reason."""

NEWS = {
    "withdrawal_approved": "Your request was approved",
    "withdrawal_rejected": "Your request was rejected",
    "withdrawal_ready": "What you asked for is ready to be issued",
    "withdrawal_issued": "What you asked for left the bank",
    "withdrawal_cancelled": "A withdrawal was called off",
    "withdrawal_expanded": "What you asked for is being grown",
    "withdrawal_allergy": "An allergy was recorded while cells are on their way",
    "withdrawal_given": "What you asked for was given",
    "withdrawal_giving_undone": "A giving was undone",
    "withdrawal_stopped": "A withdrawal stands still",
    "withdrawal_goes_on": "A withdrawal goes on again",
}
"""What Today says of a notice about a withdrawal."""


def read_notices(session: Session, actor: Actor, asked: Wanted) -> NoticeList:
    """Read one page of the notices that the address asks for."""
    return notices.list_notices(session, actor, open_only=asked.of["state"] == "open", paging=asked.paging)


def row_of(one: NoticePublic) -> Mapping[str, Any]:
    """Return the cells of one notice."""
    return one.model_dump() | {"state": "open" if one.open else "closed", "href": f"/notices/{one.id}"}


Listing(
    address="/notices",
    title="Notices",
    lead="Who must know what, by name, and whether they have said that they do.",
    key="id",
    columns=[
        Column("about", "About", "code", sort="about"),
        Column("reason", "Why", "words"),
        Column("deviation", "Deviation", "code"),
        Column("told", "To", "plain_code"),
        Column("units", "Units", "number"),
        Column("made_at", "Since", "when", sort="made_at"),
        Column("state", "State", "chip"),
        Column("acknowledged_at", "Acknowledged", "when"),
    ],
    read=read_notices,
    row=row_of,
    default="-made_at",
    filters=[Filter("state", "State", "choice", [("open", "Open")])],
    empty="No notices",
    hint="When a test fails, something is recalled or a withdrawal moves on, those whom it concerns are told here.",
).on(router)


def _own(session: Session, actor: Actor, asked: Asked) -> NoticePublic:
    return notices.read_own_notice(session, actor, asked.path["notice"])


def _draw(at: Opened[NoticePublic]) -> ActForm:
    one = at.read
    return ActForm(
        title="Notice",
        subject=one.about,
        submit="I have read it",
        lead=" ".join([WHAT[one.reason].format(about=one.about), *_more(one)]),
        back="/notices",
        trail=[("Notices", "/notices"), (words(one.reason), None)],
    )


def _more(one: NoticePublic) -> Iterator[str]:
    if one.deviation is not None:
        yield f"It concerns {one.units} {'unit' if one.units == 1 else 'units'} that you keep, hold, received or asked for."
        yield f"{one.deviation} says more."
    if one.acknowledged_at is not None:
        yield "You have acknowledged it."
    elif one.ended_at is not None:
        yield "It is no news any more."


def _read(_at: Opened[NoticePublic], _body: Acknowledge, answer: Mapping[str, Any]) -> Done:
    if answer["deviation"] is None:
        return Done(code_href(answer["about"]), "Read.")
    return Done("/notices", "Acknowledged.", f"The bank knows that you know about {answer['about']}.")


ActPage(
    address="/notices/{notice}",
    params={"notice": UUID},
    reads=_own,
    form=_draw,
    model=Acknowledge,
    use_case=notices.acknowledge_notice,
    after=_read,
).on(router)
