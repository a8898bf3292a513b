"""The registers as people see them: the list, one thing, what happened to it, and who may work by it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE, EVERYWHERE
from biobank.foundation.codes import Prefix
from biobank.foundation.terms import words
from biobank.labels.things import KIT_PRINTERS
from biobank.pages.people.site_choices import Choices, only, own_sites
from biobank.pages.ui.act_pages import ActForm, ActPage, Asked, Done, Opened
from biobank.pages.ui.addresses import EntryKey
from biobank.pages.ui.filters import day_said, quantity_text, when
from biobank.pages.ui.forms import fields_of
from biobank.pages.ui.listing import Filter, Link, Listing, Wanted
from biobank.pages.ui.parts import ActionLink, Column
from biobank.pages.ui.session import PageReading
from biobank.pages.ui.templating import render
from biobank.registers import queries, service
from biobank.registers.fitness import has_code
from biobank.registers.schemas import (
    CALIBRATED,
    Authorise,
    ChangeRegister,
    RegisterDossier,
    RegisterKind,
    RegisterList,
    RegisterPublic,
    RegisterRules,
    SetRegisterRule,
)

router = APIRouter(include_in_schema=False)

KINDS = [(kind, words(kind)) for kind in RegisterKind.__args__]  # type: ignore[attr-defined]  # of a Literal
LABELS = {
    "kind": "What it is",
    "name": "Its name",
    "site": "Used at",
    "package": "The square code on the package (scan it)",
    "supplier": "Supplier",
    "supplier_lot": "Lot of the supplier",
    "gtin": "Article number on the package (GTIN)",
    "contains": "What it may leave in the cells",
    "leaves_nothing": "It leaves none of these",
    "expires_on": "Expires on",
    "use_within_days": "Days of use after opening",
    "result_within_days": "Days until a test's result is due",
    "calibration_due_on": "Next calibration due on",
    "holds_h": "Hours a charged shipper stays cold",
    "least_charge_g": "Nitrogen a shipper leaves with at least, in grams",
    "change": "What happened",
    "reason": "Why",
    "person": "The person (badge or name)",
    "since": "From the beginning of",
    "until": "Until the end of",
    "problem": "When it is",
    "answer": "The bench",
}
WARNED = [
    Column("recorded_at", "When", "when"),
    Column("sentence", "What was said"),
    Column("used_in", "Used in", "plain_code"),
    Column("recorded_by", "By", "plain_code"),
]
PEOPLE = [Column("person", "Badge", "code"), Column("since", "From", "day"), Column("until", "Until", "day")]
ANSWERS = {"accept": "is not told", "warn": "is warned", "refuse": "is refused"}


def read_registers(session: Session, actor: Actor, asked: Wanted) -> RegisterList:
    """Read one page of the registers that the address asks for."""
    return queries.list_register(session, actor, kind=asked.of["kind"], site=asked.of["site"], paging=asked.paging)


def named(kind: str, name: str) -> str:
    """Return what an entry is called: a reason, which is kept as a term, in words."""
    return words(name) if kind == "reason" else name


def row_of(one: RegisterPublic) -> Mapping[str, Any]:
    """Return the cells of one entry."""
    code = one.entry if has_code(one.entry) else None
    return one.model_dump() | {
        "name": named(one.kind, one.name),
        "link": code or one.name,
        "href": f"/registers/{one.entry}",
        "code": code,
        "problems": ", ".join(words(problem).lower() for problem in one.problems) or None,
    }


Listing(
    address="/registers",
    title="Registers",
    lead="What runs, kits and counts may name. What stands in no register is refused.",
    key="entry",
    columns=[
        Column("name", "Name", sort="name"),
        Column("kind", "What", "words"),
        Column("code", "Code", "code"),
        Column("site", "At", "plain_code"),
        Column("supplier_lot", "Supplier's lot"),
        Column("expires_on", "Expires", "day", sort="expires_on"),
        Column("calibration_due_on", "Calibration due", "day"),
        Column("problems", "Against its use"),
        Column("supplier", "Supplier", usual=False),
        Column("recorded_at", "Entered", "when", sort="recorded_at", usual=False),
    ],
    read=read_registers,
    row=row_of,
    default="-recorded_at",
    filters=[Filter("kind", "What", "choice", KINDS), Filter("site", "Site", "code")],
    links=[
        Link("Enter something", "/registers/new", "plus", (Permission.KIT_MANAGE, Permission.QUALITY_DECIDE), main=True),
        Link("What is refused", "/register-rules", "pen", Permission.QUALITY_DECIDE),
    ],
    empty="Nothing is registered",
    hint="Enter the procedures, devices and reagent lots that are in use.",
).on(router)


def _acts(actor: Actor, one: RegisterDossier) -> list[ActionLink]:
    """What the actor may do with an entry; the use cases ask the same."""
    here = f"/registers/{one.entry}"
    decides = actor.may(Permission.QUALITY_DECIDE, at=one.site)
    acts = []
    if decides or service.by_the_bench(actor, one.kind, one.site):
        acts.append(ActionLink("Record what happened", f"{here}/change", "pen"))
    if decides and one.kind == "procedure":
        acts.append(ActionLink("Authorise a person", f"{here}/authorise", "person-check"))
    if one.kind == "workstation":
        acts.insert(0, ActionLink("Who and what is at it", f"/workstations/{one.entry}", "flask"))
    if has_code(one.entry) and any(actor.may(printer, at=ANYWHERE) for printer in KIT_PRINTERS):
        acts.append(ActionLink("Print its label", f"/labels/{one.entry}", "print"))
    if actor.may(Permission.LOG_READ, at=EVERYWHERE):
        acts.append(ActionLink("Look back: what it touched", f"/look-backs?start={one.entry}", "search"))
        acts.append(ActionLink("What was seen afterwards", f"/registers/{one.entry}/consequences", "search"))
    return acts


@router.get("/registers/{code}")
async def show_entry(request: Request, code: EntryKey, reading: PageReading) -> Response:
    """Draw one entry: what is known of it, who may work by it, where it was used despite a warning."""
    one = await reading(queries.describe_entry, code)
    zone = request.state.zone

    def instant(value: Any) -> Any:
        return None if value is None else when(value, zone)

    facts: list[tuple[str, Any]] = [
        ("Name", named(one.kind, one.name)),
        ("Used at", one.site or "Every site"),
        ("Supplier", one.supplier),
        ("Supplier's lot", one.supplier_lot),
        ("Article number (GTIN)", one.gtin),
        (
            "May leave in the cells",
            ", ".join(words(each).lower() for each in one.contains) or ("Nothing" if one.leaves_nothing else None),
        ),
        ("Expires on", one.expires_on),
        ("Use after opening", None if one.use_within_days is None else quantity_text(one.use_within_days, "days")),
        ("Result due after", None if one.result_within_days is None else quantity_text(one.result_within_days, "days")),
        ("Opened", instant(one.opened_at)),
        ("Qualified", instant(one.qualified_at)),
        ("Calibration due on", one.calibration_due_on),
        ("Stays cold for", None if one.holds_h is None else f"{one.holds_h} h"),
        ("Leaves with nitrogen of at least", None if one.least_charge_g is None else f"{one.least_charge_g} g"),
        ("Recalled", instant(one.recalled_at)),
        ("Out of use since", instant(one.retired_at)),
        ("Against its use now", ", ".join(words(each).lower() for each in one.problems) or "Nothing"),
        ("Entered", instant(one.recorded_at)),
        ("Entered by", one.recorded_by),
    ]
    tables: list[Any] = [("Used despite a warning", WARNED, [each.model_dump() for each in one.warnings], "Never", "")]
    if one.kind == "procedure":
        people = [each.model_dump() for each in one.authorised]
        tables.insert(0, ("Who may work by it", PEOPLE, people, "Nobody yet", "Quality authorises people one by one."))
    return render(
        request,
        "dossier.html",
        kind=words(one.kind),
        code=one.entry if has_code(one.entry) else named(one.kind, one.name),
        facts=[(label, value) for label, value in facts if value is not None],
        tables=tables,
        acts=_acts(request.state.actor, one),
        trail=[("Registers", "/registers"), (named(one.kind, one.name), None)],
    )


def _one(session: Session, actor: Actor, asked: Asked) -> RegisterDossier:
    return queries.describe_entry(session, actor, asked.code)


def _draw_change(at: Opened[RegisterDossier]) -> ActForm:
    one = at.read
    said = named(one.kind, one.name)
    names = ["change", "reason"]
    possible = [
        change
        for change in ("opened", "qualified", "calibrated", "recalled", "retired")
        if getattr(one, f"{change}_at", None) is None or change == "qualified"
    ]
    if one.kind not in {"reagent_lot", "medium"}:
        possible = [change for change in possible if change != "opened"]
    if one.kind in CALIBRATED:
        names.insert(1, "calibration_due_on")
    else:
        possible.remove("calibrated")
    if not at.actor.may(Permission.QUALITY_DECIDE, at=one.site):
        possible = [change for change in possible if change in service.STOPS]
    return ActForm(
        title="Record what happened",
        subject=said,
        lead="What was recalled or taken out of use stays so; a lot that is good after all is entered again.",
        fields=fields_of(
            ChangeRegister,
            *names,
            values=at.filled(),
            labels=LABELS,
            options={"change": [(change, words(change)) for change in possible]},
        ),
        back=f"/registers/{one.entry}",
        trail=[("Registers", "/registers"), (said, f"/registers/{one.entry}"), ("Record what happened", None)],
    )


def _changed(at: Opened[RegisterDossier], body: ChangeRegister, _answer: Any) -> Done:
    said = named(at.read.kind, at.read.name)
    return Done(f"/registers/{at.code}", f"{said}: {words(body.change).lower()}.")


ActPage(
    address="/registers/{code}/change",
    reads=_one,
    form=_draw_change,
    labels=LABELS,
    model=ChangeRegister,
    names=("change", "calibration_due_on", "reason"),
    more=("occurred_at", "reason_text", "comment"),
    use_case=service.change,
    after=_changed,
).on(router)


def _procedure(session: Session, actor: Actor, asked: Asked) -> RegisterDossier:
    actor.require(Permission.QUALITY_DECIDE, at=ANYWHERE)
    return _one(session, actor, asked)


def _draw_authorise(at: Opened[RegisterDossier]) -> ActForm:
    return ActForm(
        title="Authorise a person",
        subject=at.read.name,
        lead="From the first day (today, unless you say another) to the end of the last. To take it away, name a last day that "
        "is gone.",
        back=f"/registers/{at.read.entry}",
        trail=[("Registers", "/registers"), (at.read.name, f"/registers/{at.read.entry}"), ("Authorise a person", None)],
    )


ActPage(
    address="/registers/{code}/authorise",
    reads=_procedure,
    form=_draw_authorise,
    labels=LABELS,
    model=Authorise,
    names=("person", "since", "until"),
    more=("comment",),
    scans={"person": (Prefix.BADGE,)},
    use_case=service.authorise,
    after=lambda at, body, _answer: Done(f"/registers/{at.code}", f"{body.person} is authorised until {day_said(body.until)}."),
).on(router)


@dataclass(frozen=True)
class _Rules:
    """What is done about each problem, and the sites that the reader may decide for."""

    stand: RegisterRules
    sites: Choices


def _rules(session: Session, actor: Actor, _asked: Asked) -> _Rules:
    actor.require(Permission.QUALITY_DECIDE, at=ANYWHERE)
    return _Rules(queries.list_register_rules(session, actor), own_sites(session, actor, Permission.QUALITY_DECIDE))


def _draw_rules(at: Opened[_Rules]) -> ActForm:
    said = "; ".join(
        f"{words(one.problem).lower()} {ANSWERS[one.answer]}" + ("" if one.site is None else f" at {one.site}")
        for one in at.read.stand.items
    )
    return ActForm(
        title="What is refused",
        subject="Registers",
        submit="Set",
        lead=f"What a run, kit or count names: {said}. Freezing is never refused for these: living cells come first, and the "
        "warning is kept.",
        fields=fields_of(
            SetRegisterRule,
            "site",
            "problem",
            "answer",
            values=at.filled(site=only(at.read.sites)),
            labels=LABELS,
            options={
                "site": at.read.sites,
                "problem": [(one.problem, words(one.problem)) for one in at.read.stand.items if not (one.fixed or one.site)],
                "answer": list(ANSWERS.items()),
            },
        ),
        back="/registers",
        trail=[("Registers", "/registers"), ("What is refused", None)],
    )


ActPage(
    address="/register-rules",
    reads=_rules,
    form=_draw_rules,
    labels=LABELS,
    model=SetRegisterRule,
    names=("site", "problem", "answer"),
    more=(),
    use_case=service.set_register_rule,
    args=lambda _at: (),
    after=lambda _at, body, _answer: Done("/register-rules", f"Set for {body.site}."),
).on(router)
