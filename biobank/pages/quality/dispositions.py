"""What becomes of units, as a form: the same of a deviation and of a recall."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeVar

from sqlmodel import Session

from biobank.acts.signing import Meaning
from biobank.auth.actor import Actor
from biobank.foundation.codes import Prefix
from biobank.foundation.terms import words
from biobank.pages.ui.act_pages import ActForm, ActPage, Asked, Done, Opened, Trail
from biobank.pages.ui.parts import Column
from biobank.quality.dispositions import DisposeRequest, undecided
from biobank.quality.schemas import JudgedUnit

R = TypeVar("R")

NAMES = ("specimens", "disposition", "reason", "evidence")
LABELS = {
    "specimens": "Units, one a line",
    "disposition": "What becomes of them",
    "reason": "Why",
    "evidence": "The other bank's acknowledgement, of what another bank has",
}
SCANS = {"specimens": (Prefix.HAIR_FOLLICLE, Prefix.ADIPOSE, Prefix.UNIDENTIFIED)}
CHOICES = {
    "cleared": "Not affected: nothing more is asked of it",
    "kept_held": "A hold on it stays",
    "rejected": "Affected, and rejected by quality: it may be destroyed",
    "followed_up": "Given to its donor, or with another bank: they were told",
}
REACHED = [
    Column("specimen", "Specimen", "code"),
    Column("donor", "Donor", "code"),
    Column("state", "State", "chip"),
    Column("quality", "Quality", "chip"),
    Column("site", "Site", "plain_code"),
    Column("withdrawal", "Given under", "code"),
    Column("later", "Entered after"),
]
"""Columns of units that a look-back reached."""
UNITS = [*REACHED, Column("hold", "Hold", "chip"), Column("disposition", "Decided", "words")]
"""Columns of units with what was decided of each."""


def reached_row(one: Mapping[str, Any]) -> dict[str, Any]:
    """Return the cells of a unit that was reached; `later`: what was recorded between its giving and the entry of that."""
    return {**one, "later": ", ".join(words(code).lower() for code in one["came_after"]) or None}


def disposing_form(
    about: str,
    units: Sequence[JudgedUnit],
    filled: Mapping[str, Any],
    *,
    site: str | None = None,
    but: Sequence[str] = (),
    after: str,
    back: str,
    trail: Trail,
) -> ActForm:
    """Draw the form. `units`: all it reaches; `site`: where its file belongs, if at one; `but`: what is not to
    choose here; `after`: what follows it."""
    left = undecided(units)
    donors = {one.donor for one in units if one.specimen in left}
    count = f"{len(left)} {'unit is' if len(left) == 1 else 'units are'} not decided yet."
    return ActForm(
        title="Decide about units",
        subject=about,
        submit="Sign and record",
        icon="pen",
        lead=f"{count} The last word on a unit counts. {after}",
        labels=LABELS,
        options={"disposition": [(name, said) for name, said in CHOICES.items() if name not in but]},
        values={"specimens": "\n".join(left), **filled},
        statement=f"You decide what becomes of units that {about} reaches.",
        said="I have looked at each of these units, and decide as stated above.",
        attach={"donor": donors.pop() if len(donors) == 1 else None, "site": site},
        back=back,
        trail=trail,
    )


def disposing_page(
    address: str,
    *,
    reads: Callable[[Session, Actor, Asked], R],
    form: Callable[[Opened[R]], ActForm],
    use_case: Callable[..., Any],
    leads: Callable[[Opened[R]], str],
    params: Mapping[str, Any] | None = None,
) -> ActPage[R, DisposeRequest]:
    """Declare the page of the form. `leads`: the address that it leads to."""
    return ActPage(
        address=address,
        params=params or {},
        reads=reads,
        form=form,
        model=DisposeRequest,
        names=NAMES,
        scans=SCANS,
        tubes=("specimens",),
        labels=LABELS,
        meaning=Meaning.DECIDED,
        use_case=use_case,
        after=lambda at, _body, answer: Done(leads(at), "Recorded.", f"{answer['decided']} decided."),
    )
