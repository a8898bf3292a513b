"""One's own choices as a form: time zone, language, what the bell counts; and the page of keys."""

from fastapi import APIRouter, Request
from fastapi.responses import Response
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.pages.ui.act_pages import ActForm, ActPage, Asked, Done, Opened
from biobank.pages.ui.session import Visiting
from biobank.pages.ui.templating import render
from biobank.people.preferences import OwnPreferences, own_preferences, set_preferences

router = APIRouter(include_in_schema=False)

LABELS = {
    "timezone": "Time zone",
    "language": "Language",
    "bell": "The bell also counts",
}
BELL = [("due", "What falls due in the next days"), ("expected", "What is expected to arrive")]
LANGUAGES = [("en", "English")]
KEYS = [
    ("?", "This page"),
    ("Tab, Shift and Tab", "To the next or the former control"),
    ("Enter", "Press the button, follow the link, send the form"),
    ("Space", "Tick a box, open a part that is folded"),
    ("Escape", "Close a menu or a question"),
    ("Arrow keys", "Walk the map of a box, and what the search box lists"),
    ("A scanner", "Shoots into the field that waits for it, wherever you are on the page"),
]


def _own(session: Session, actor: Actor, _asked: Asked) -> OwnPreferences:
    return own_preferences(session, actor)


def _draw(at: Opened[OwnPreferences]) -> ActForm:
    return ActForm(
        title="My choices",
        subject="My account",
        submit="Keep them",
        lead="Times on pages are shown and typed in this time zone; without one, in that of your site. Papers keep "
        "the site's own. Alarms, what is overdue and what waits for you are always counted at the bell.",
        values=at.form if at.sent else at.read.model_dump(),
        options={"language": LANGUAGES, "bell": BELL},
        back="/account",
        trail=[("My account", "/account"), ("My choices", None)],
    )


ActPage(
    address="/account/choices",
    reads=_own,
    form=_draw,
    model=OwnPreferences,
    names=("timezone", "language", "bell"),
    given=lambda at: {"bell": at.form.all_of("bell")},
    labels=LABELS,
    use_case=set_preferences,
    args=lambda _at: (),
    after=lambda _at, _body, _answer: Done("/account", "Kept.", "They hold from this page on."),
).on(router)


@router.get("/keys")
async def show_keys(request: Request, _page: Visiting) -> Response:
    """Draw which keys do what."""
    return render(request, "keys.html", keys=KEYS)
