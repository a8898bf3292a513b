"""Who is called at a site, in which order and after how many minutes: the page, and setting it, signed."""

from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter
from markupsafe import Markup
from sqlmodel import Session

from biobank.acts.signing import Meaning
from biobank.alarms.events import Told
from biobank.alarms.rota import CALLED, Rota, RotaPublic, SetRota, list_rotas, rota_refusals, rotas, set_rota
from biobank.auth.actor import Actor
from biobank.foundation.paging import Listed
from biobank.foundation.terms import words
from biobank.pages.ui.act_pages import ActForm, Acting, ActPage, Asked, Done, Opened
from biobank.pages.ui.addresses import SiteCode
from biobank.pages.ui.forms import Field, FormFault, parse
from biobank.pages.ui.listing import Listing, Wanted
from biobank.pages.ui.parts import Column
from biobank.pages.ui.posted import Form
from biobank.pages.ui.rows import draw_rows, parse_rows
from biobank.people.queries import get_site, list_sites

router = APIRouter(include_in_schema=False)

LINES = "lines"


@dataclass(frozen=True)
class SiteRota:
    """A site, who is called there, and whether the reader may set it."""

    site: str
    order: str
    may: bool


def read_rotas(session: Session, actor: Actor, _asked: Wanted) -> Listed[SiteRota]:
    """Read who is called at each site."""
    known = {one.site: one for one in list_rotas(session, actor).items}
    found = [
        SiteRota(one.code, _order(known.get(one.code)), not rota_refusals(actor, one.code))
        for one in list_sites(session, actor).items
    ]
    return Listed(items=found, total=len(found))


def _order(rota: RotaPublic | None) -> str:
    lines = [] if rota is None else [(line, line.who in rota.nobody) for line in rota.lines]
    said = ", then ".join(f"{words(line.who)} {'(nobody to call)' if gone else _after(line)}" for line, gone in lines)
    if all(gone for _, gone in lines):
        said = f"{said}. So everybody" if said else "Everybody"
        return f"{said} who handles material there, at once"
    return said


def row_of(one: SiteRota) -> dict[str, Any]:
    """Return the cells of one site."""
    act = Markup('<a href="/rotas/{0}/set">Set who is called at {0}</a>').format(one.site) if one.may else None
    return {"site": one.site, "order": one.order, "act": act}


def _after(line: Told) -> str:
    return "at once" if line.after_min == 0 else f"after {line.after_min} min"


Listing(
    address="/rotas",
    title="Who is called",
    lead="When something is wrong at a site: in which order, and after how many minutes without an answer.",
    columns=[
        Column("site", "Site", "plain_code", sort="site"),
        Column("order", "Who is called", "sentences"),
        Column("act", "To do"),
    ],
    read=read_rotas,
    row=row_of,
    key="site",
    default="site",
    whole=True,
).on(router)


def _read(session: Session, actor: Actor, asked: Asked) -> list[Told]:
    site = str(asked.path["site"])
    get_site(session, site)
    asked.opens(rota_refusals(actor, site))
    return list(rotas(session).get(site, Rota()).lines)


def _fields(row: Any) -> list[Field]:
    return [
        Field("role", "Role", "select", row.get("role", ""), options=[(one, words(one)) for one in CALLED]),
        Field("badge", "or one person (scan the badge)", "text", row.get("badge", "")),
        Field("after_min", "After how many minutes", "number", row.get("after_min", "")),
    ]


def _shown(line: Told) -> dict[str, str]:
    return {"role" if line.who in CALLED else "badge": line.who, "after_min": str(line.after_min)}


def _draw(at: Opened[list[Told]]) -> ActForm:
    known = [_shown(line) for line in at.read]
    return ActForm(
        title=f"Who is called at {at.path['site']}",
        subject=str(at.path["site"]),
        submit="Sign and set",
        icon="pen",
        lead="From the first downwards, the first after 0 minutes. Nobody looks after it: the next is called when its minutes "
        "are over.",
        fields=[],
        rows=[draw_rows(LINES, "Who is called", "Line", _fields, at.form if at.sent else None, at_least=4, given=known)],
        statement="You decide who is called when something is wrong at this site.",
        said="I decide this rota.",
        back="/rotas",
        trail=[("Alarms", "/alarms"), ("Who is called", "/rotas"), (str(at.path["site"]), None)],
    )


def _line(row: Form, zone: ZoneInfo) -> Told:
    badge, role = row.get("badge", "").rsplit("/", 1)[-1], row.get("role", "")
    line = Form([("who", badge or role), ("after_min", row.get("after_min", ""))])
    try:
        return parse(Told, line, zone, "who", "after_min")
    except FormFault as fault:
        typed = {"who": "badge" if badge else "role"}
        raise FormFault({typed.get(name, name): sentence for name, sentence in fault.fields.items()}) from None


def _given(at: Acting[list[Told]]) -> dict[str, Any]:
    return {
        "site": str(at.path["site"]),
        LINES: parse_rows(at.form, LINES, ("role", "badge"), lambda row: _line(row, at.zone)),
    }


ActPage(
    address="/rotas/{site}/set",
    params={"site": SiteCode},
    reads=_read,
    form=_draw,
    model=SetRota,
    given=_given,
    meaning=Meaning.DECIDED,
    use_case=set_rota,
    args=lambda _at: (),
    after=lambda _at, body, _done: Done("/rotas", f"Set for {body.site}."),
).on(router)
