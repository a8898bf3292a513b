"""Entering a thing in the registers: first what it is, then what is to be known of a thing of that kind."""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter
from fastapi.responses import RedirectResponse, Response
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE, EVERYWHERE
from biobank.foundation.terms import words
from biobank.pages.people.site_choices import Choices, only, own_sites
from biobank.pages.registers.registers import KINDS, LABELS, named
from biobank.pages.ui.act_pages import ActForm, Acting, ActPage, Asked, Done, Opened
from biobank.pages.ui.addresses import coming_back
from biobank.pages.ui.faults import term_of
from biobank.pages.ui.forms import FormFault, called, fields_of
from biobank.pages.ui.where_next import comes_back
from biobank.registers import service
from biobank.registers.schemas import PREFIXES, EnterRegister

router = APIRouter(include_in_schema=False)

BOUGHT = ("supplier", "supplier_lot", "gtin", "expires_on")
USED_UP = ("package", *BOUGHT, "use_within_days", "contains", "leaves_nothing")
DEVICE = ("supplier", "supplier_lot", "calibration_due_on")
NAMES_OF: Mapping[str, Sequence[str]] = {
    "reagent_lot": USED_UP,
    "medium": USED_UP,
    "equipment": DEVICE,
    "workstation": DEVICE,
    "shipper": (*DEVICE, "holds_h", "least_charge_g"),
    "cryoprotectant": ("supplier",),
    "test_method": ("result_within_days",),
}
"""What is asked about a thing of each kind, beside its name and where it is used."""
NAMES = ("kind", "name", "site", *dict.fromkeys(name for names in NAMES_OF.values() for name in names))


def _sites(session: Session, actor: Actor, _asked: Asked) -> Choices:
    """The sites where something may be entered; raises NotPermitted for who enters nothing anywhere."""
    if not actor.may(Permission.KIT_MANAGE, at=ANYWHERE):
        actor.require(Permission.QUALITY_DECIDE, at=ANYWHERE)
    found = own_sites(session, actor, Permission.KIT_MANAGE) + own_sites(session, actor, Permission.QUALITY_DECIDE)
    everywhere = [("", "Every site")] if actor.may(Permission.QUALITY_DECIDE, at=EVERYWHERE) else []
    return everywhere + list(dict.fromkeys(found))


CHOOSING = "choosing"
"""The form that asks what the thing is; the next one asks what is to be known of a thing of that kind."""


def _draw_new(at: Opened[Choices]) -> ActForm:
    kind = at.form.get("kind", "")
    if kind not in dict(KINDS):
        return _draw_kinds(at)
    names = ("name", "site", *NAMES_OF.get(kind, ()))
    scanned = "It gets a code: print its label next, and put it on. " if kind in PREFIXES else ""
    return ActForm(
        title=f"Enter: {words(kind).lower()}",
        subject="Registers",
        submit="Enter it",
        icon="plus",
        lead=scanned + "Runs, kits and tests may name it from then on.",
        hidden={"kind": kind},
        fields=fields_of(EnterRegister, *names, values=at.filled(site=only(at.read)), labels=LABELS, options={"site": at.read}),
        draft=True,
    )


def _draw_kinds(at: Opened[Choices]) -> ActForm:
    quality = at.actor.may(Permission.QUALITY_DECIDE, at=ANYWHERE)
    kinds = [(kind, said) for kind, said in KINDS if quality or kind in PREFIXES]
    return ActForm(
        title="Enter something",
        subject="Registers",
        submit="Go on",
        icon="arrow",
        lead="Reagent lots, media, equipment, workstations and shippers get a code; print its label and put it on. The rest goes "
        "by its name, which quality enters.",
        fields=fields_of(EnterRegister, "kind", labels=LABELS, options={"kind": kinds}),
        more=[],
        hidden={CHOOSING: "yes"},
        once=True,
    )


async def _enter(at: Acting[Choices]) -> Done | ActForm | Response:
    """Ask about a thing of the kind that was chosen; told of it, enter it."""
    if at.form.get(CHOOSING):
        kind = at.form.get("kind", "")
        if kind not in dict(KINDS):
            raise FormFault({"kind": f"{called('kind', LABELS)}: choose one of the list."})
        to = f"/registers/new?{urlencode({'kind': kind})}"
        return RedirectResponse(coming_back(to) if comes_back(at.form) else to, 303)
    body = await ENTER.body_of(at)
    answer = await at.performing(service.enter, body)
    return Done(f"/registers/{answer['entry']['entry']}", f"{named(body.kind, body.name)} is in the register.")


def _as_kept(at: Acting[Choices]) -> Mapping[str, Any]:
    """A reason is typed in plain words, and kept as a term."""
    return {"name": term_of(at.form.get("name", ""))} if at.form.get("kind") == "reason" and "name" in at.form else {}


ENTER = ActPage(
    address="/registers/new",
    asks=("kind", "site"),
    again=("kind", "site", "name", "supplier", "gtin", "use_within_days", "result_within_days", "contains", "leaves_nothing"),
    reads=_sites,
    form=_draw_new,
    labels=LABELS,
    model=EnterRegister,
    names=NAMES,
    more=("comment",),
    given=_as_kept,
    acts=_enter,
)
ENTER.on(router)
