"""Labels as people see them: what would be printed, printing it, scanning it back, thousands at once, templates and rules."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any
from urllib.parse import urlencode

from fastapi import APIRouter, Path, Query
from fastapi.responses import Response
from markupsafe import Markup
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE
from biobank.donors.markers import Evaluation
from biobank.foundation.codes import DATED, Prefix, make_code, parse_code
from biobank.foundation.terms import words
from biobank.labels import batches, files, prints, rules
from biobank.labels.catalogue import catalogue
from biobank.labels.data import LabelData
from biobank.labels.printers import printers
from biobank.labels.registered import House, offered
from biobank.labels.schemas import (
    BatchRequest,
    PrintList,
    PrintPublic,
    PrintRequest,
    RuleList,
    RuleRequest,
    SendRequest,
    VerifyRequest,
)
from biobank.labels.statements import required_statements
from biobank.labels.template import Template
from biobank.pages.people.site_choices import Choices, own_sites
from biobank.pages.ui.act_pages import Acting, ActPage, Asked, Done, Opened, OwnPage
from biobank.pages.ui.addresses import AFTER_IT
from biobank.pages.ui.code_pages import code_href
from biobank.pages.ui.forms import Field, FormFault
from biobank.pages.ui.parts import Column
from biobank.pages.ui.posted import Form
from biobank.pages.ui.session import PageReading
from biobank.pages.ui.where_next import comes_back

router = APIRouter(include_in_schema=False)

NO_STORE = {"Cache-Control": "no-store"}
REASONS = [
    ("first_print", "First print"),
    ("damaged", "The old one is damaged"),
    ("lost", "The old one is lost"),
    ("unreadable", "The old one cannot be read"),
    ("wrong_stock", "Printed on the wrong stock"),
    ("final_label", "It was thawed: its final label"),
]
FORMATS = [("pdf", "PDF, a label a page (label printer)"), ("sheet", "PDF, sheets (office printer)"), ("zpl", "ZPL file")]
DPI = [("203", "203 dpi"), ("300", "300 dpi"), ("600", "600 dpi")]
SELECTIONS = [
    ("tubes_in", "Every tube in a box or rack"),
    ("positions_of", "Every position of a box"),
    ("lot", "Every unit of a lot"),
    ("kit", "Every label that lies in a kit"),
]

PRINTS = [
    Column("serial", "Serial", "number", sort="serial"),
    Column("template", "Label"),
    Column("copy_number", "Copy", "number"),
    Column("reason", "Why", "words"),
    Column("printed_at", "Printed", "when", sort="printed_at"),
    Column("printed_by", "By", "plain_code"),
    Column("standing", "Stands as", "chip"),
]
RULES = [
    Column("site", "Site", "plain_code"),
    Column("prefix", "Codes"),
    Column("template", "Label"),
    Column("printer", "Printer"),
]


@dataclass(frozen=True)
class Ruled:
    """The print rules, and the sites for which the actor may set one."""

    rules: RuleList
    sites: Choices


def _read_rules(session: Session, actor: Actor, _asked: Asked) -> Ruled:
    return Ruled(rules.list_rules(session, actor), own_sites(session, actor, Permission.SITE_MANAGE))


async def _draw_templates(at: Opened[Ruled]) -> OwnPage:
    """Draw every template with an example, the print rules, and the form that sets one."""
    house = House.of(at.bank.settings)
    printable = offered(catalogue().values(), house)
    templates = [(one.name, f"{one.title} ({one.name})") for one in printable]
    typed = at.form
    fields = [
        Field("site", "Site", "select", typed.get("site", ""), True, options=at.read.sites),
        Field("prefix", "Codes that begin with", "select", typed.get("prefix", ""), True, options=_prefixes()),
        Field("template", "Label", "select", typed.get("template", ""), False, "Leave empty to take the rule away.", templates),
        Field("printer", "Printer", "select", typed.get("printer", ""), False, options=_printers(at)),
    ]
    return OwnPage(
        "labels.html",
        templates=await asyncio.to_thread(examples, printable, house.host),
        rules=[one.model_dump() for one in at.read.rules.items],
        rule_columns=RULES,
        fields=fields if at.read.sites else None,
    )


def _ruled(_at: Opened[Ruled], body: RuleRequest, _answer: Any) -> Done:
    said = f"{body.prefix} codes at {body.site} are printed on {body.template}." if body.template else "The rule is gone."
    return Done("/labels", said)


ActPage(
    address="/labels",
    reads=_read_rules,
    form=_draw_templates,
    model=RuleRequest,
    names=("site", "prefix", "template", "printer"),
    more=(),
    use_case=rules.set_rule,
    after=_ruled,
).on(router)


def examples(templates: Sequence[Template], host: str) -> list[tuple[Template, Markup]]:
    """Draw an example of each template. They name nothing that exists."""
    drawings = [files.Drawing(template, (example_of(template.name),), host) for template in templates]
    return [(one.template, markup_of(one)) for one in drawings]


def example_of(name: str) -> LabelData:
    """Return what an example label of a template says."""
    template = catalogue()[name]
    prefix = sorted(template.prefixes)[0]
    code = make_code(prefix, 2026 if prefix in DATED else None, 0)
    if prefix in (Prefix.HAIR_FOLLICLE, Prefix.ADIPOSE, Prefix.UNIDENTIFIED):
        statements = required_statements(Evaluation(), files.POLICY)
        return LabelData(
            code=code, material="ADSC", passage=2, amount="1.0 mL", unit_number=3, unit_count=12, statements=statements
        )
    return LabelData(code=code, title="Example", location="Tank 1 / Rack 2", print_serial=1)


@router.get("/labels/file")
async def fetch_file(
    reading: PageReading,
    serials: Annotated[str, Query(pattern=r"^[0-9]+(,[0-9]+)*$", max_length=6500)],
    format: Annotated[str, Query(pattern="^(pdf|zpl|sheet)$")] = "pdf",
    dpi: Annotated[str, Query(pattern="^(203|300|600)$")] = "300",
) -> Response:
    """The file of numbered prints."""
    numbers = [min(int(one), 2**62) for one in serials.split(",")]
    drawing = await reading(files.printed, numbers, House.of(reading.bank.settings))
    made = await asyncio.to_thread(drawing.file, format, int(dpi))  # type: ignore[arg-type]  # the pattern above
    headers = NO_STORE | {"Content-Disposition": f'inline; filename="{made.name}"'}
    return Response(made.content, media_type=made.media_type, headers=headers)


def _printer(_session: Session, actor: Actor, _asked: Asked) -> Actor:
    if not actor.scope(*prints.PRINTERS):
        actor.require(Permission.LABEL_PRINT, at=ANYWHERE)
    return actor


def _draw_batch(at: Opened[Actor]) -> OwnPage:
    templates, typed = [(t.name, t.title) for t in offered(catalogue().values(), House.of(at.bank.settings))], at.form
    ticked = typed.all_of("codes")
    which = [
        Field("selection", "Which", "select", typed.get("selection", ""), True, options=SELECTIONS),
        Field("of", "Of", "scan", typed.get("of", ""), True, "Scan the box, lot or kit.", accepts="BX LT KT"),
    ]
    if ticked:
        which = [Field("codes", "For these", "scans", "\n".join(ticked), True, accepts="HF AD UN")]
    fields = [
        *which,
        Field("template", "Label", "select", typed.get("template", ""), True, options=templates),
        Field("reason", "Why", "select", typed.get("reason", "first_print"), True, options=REASONS),
        *_output_fields(at),
    ]
    return OwnPage("label_batch.html", fields=fields)


def _selected(at: Acting[Actor]) -> dict[str, Any]:
    if codes := at.form.all_of("codes"):
        return {"codes": [one.upper() for one in dict.fromkeys(codes)]}
    chosen = at.form.get("selection", "")
    if chosen not in dict(SELECTIONS):
        raise FormFault({"selection": "Which: choose what the labels are for."})
    return {chosen: at.form.get("of", "").upper()}


ActPage(
    address="/labels/batch",
    asks=("selection", "of", "codes"),
    reads=_printer,
    form=_draw_batch,
    model=BatchRequest,
    names=("template", "reason", "format", "dpi", "printer", "workstation"),
    scans={"workstation": (Prefix.EQUIPMENT,)},
    given=_selected,
    use_case=batches.request_batch,
    after=lambda _at, _body, job: Done(f"/jobs/{job['id']}", "The labels are being made."),
).on(router)


@dataclass(frozen=True)
class Labelled:
    """What the page of a thing's label reads: the prints there were, the label as it would be printed now."""

    prints: PrintList
    chosen: str
    drawing: files.Drawing
    thing: bool
    may_print: bool


def _read_label(session: Session, actor: Actor, asked: Asked) -> Labelled:
    code = asked.code
    site, may_print, thing = files.printing_of(session, actor, code)
    rule = rules.rule_for(session, site, parse_code(code).prefix.value)
    wanted = asked.form.get("template")
    if asked.sent and wanted not in _fitting(code):
        wanted = None  # `_print` says so at its field
    chosen = files.template_for(wanted or (rule.template if rule else None), code).name
    return Labelled(
        prints.prints_of(session, actor, code),
        chosen,
        files.preview(session, actor, code, chosen, House.of(asked.bank.settings)),
        thing,
        may_print,
    )


def _fitting(code: str) -> set[str]:
    """Return the names of the templates that suit a thing."""
    return {one.name for one in catalogue().for_prefix(parse_code(code).prefix)}


async def _draw_label(at: Opened[Labelled]) -> OwnPage:
    """Draw a thing's label, the form that prints it, and every print there was."""
    kept, chosen, typed = at.read.prints.items, at.read.chosen, at.form
    fitting = offered(catalogue().for_prefix(parse_code(at.code).prefix), House.of(at.bank.settings))
    standing = any(one.template == chosen and one.superseded_at is None for one in kept)
    why = typed.get("reason") or ("damaged" if standing else "first_print")
    waiting = [one for one in kept if prints.standing_of(one) == "not_scanned_back"]
    return OwnPage(
        "label.html",
        code=at.code,
        back=code_href(at.code),
        fields=[
            Field("template", "Label", "select", chosen, True, options=[(t.name, t.title) for t in fitting]),
            Field("reason", "Why", "select", why, True, options=REASONS),
            *_output_fields(at),
        ],
        then=AFTER_IT if comes_back(at.form) else None,
        file=_file_asked(typed),
        thing=at.read.thing,
        drawing=await asyncio.to_thread(markup_of, at.read.drawing),
        fitting=[(t.title, f"/labels/{at.code}?template={t.name}", t.name == chosen) for t in fitting],
        prints=[row_of(one) for one in kept],
        columns=PRINTS,
        waiting=[(one.serial, f"#{one.serial}, {_title_of(one.template)}") for one in waiting],
        may_print=at.read.may_print,
        printers=_printers(at),
    )


def _file_asked(typed: Form) -> Mapping[str, str]:
    """Return in which format and for which resolution the files of this page are offered: as the last print was asked for."""
    wanted, dpi = typed.get("format", ""), typed.get("dpi", "")
    return {"format": wanted if wanted in dict(FORMATS) else "pdf", "dpi": dpi if dpi in dict(DPI) else "300"}


async def _print(at: Acting[Labelled]) -> Done:
    """Number the print and offer its file, or send it to the printer."""
    if at.form.get("template", at.read.chosen) not in _fitting(at.code):
        raise FormFault({"template": "Label: choose one of the list."})
    bench = {"workstation": at.scanned("workstation", Prefix.EQUIPMENT)} if "workstation" in at.form else {}
    if "printer" in at.form:
        asked = at.parse(BatchRequest, "template", "reason", "printer", codes=[at.code], **bench)
        job = await at.performing(batches.request_batch, asked)
        return Done(f"/jobs/{job['id']}", "On its way to the printer.")
    named: dict[str, Any] = {"things" if at.read.thing else "specimens": [at.code], **bench}
    body = at.parse(PrintRequest, "template", "reason", "format", "dpi", **named)
    (one,) = (await at.performing(prints.print_labels, body))["items"]
    text = f"Print #{one['serial']} is numbered and recorded. Open the file below, print it, then scan it back."
    asked_for = urlencode({"template": body.template, **_file_asked(at.form)})
    return Done(f"/labels/{at.code}?{asked_for}#prints", "Ready to print.", text, halfway=True)


async def _verify(at: Acting[Labelled]) -> Done:
    """Compare what the scanner read from the printed label with the ledger."""
    serial = at.form.get("serial", "")
    if not serial.isascii() or not serial.isdigit() or len(serial) > 18:
        raise FormFault({"serial": "Serial: choose the print that was scanned."})
    await at.performing(prints.verify_print, int(serial), at.parse(VerifyRequest, "scanned"))
    return Done(f"/labels/{at.code}", f"Label #{serial} says what it should.", "It may go onto its container.")


async def _send(at: Acting[Labelled]) -> Done:
    """Send a numbered print to a printer: again, or for the first time."""
    body = at.parse(SendRequest, "printer", serials=[one for one in at.form.all_of("serial") if one.isascii()])
    job = await at.performing(batches.request_sending, body)
    return Done(f"/jobs/{job['id']}", "On its way to the printer.")


LABEL = ActPage(
    address="/labels/{code}",
    params={"code": Annotated[str, Path(min_length=3, max_length=20, pattern=r"^[A-Z0-9]{2,4}-[0-9A-Z]{7}$")]},
    asks=("template", "reason", "format", "dpi"),
    reads=_read_label,
    form=_draw_label,
    model=PrintRequest,
    acts=_print,
    old_labels="left",
)
LABEL.on(router)
LABEL.also(router, "/labels/{code}/verify", _verify)
LABEL.also(router, "/labels/{code}/send", _send)


def markup_of(drawing: files.Drawing) -> Markup:
    """Return a label as SVG markup of a page: the writer escapes every text and writes neither style nor script."""
    return Markup(drawing.one("svg", 300)[0].decode())  # noqa: S704 - see above


def row_of(one: PrintPublic) -> Mapping[str, Any]:
    """Return the cells of one print."""
    return one.model_dump() | {"template": _title_of(one.template), "standing": prints.standing_of(one)}


def _title_of(template: str) -> str:
    """Return what a template is called; its own word for one that is in the catalogue no more."""
    return catalogue()[template].title if template in catalogue() else template


def _output_fields(at: Opened[Any]) -> list[Field]:
    typed = at.form
    fields = [
        Field("format", "File", "select", typed.get("format", "pdf"), True, options=FORMATS),
        Field("dpi", "Printer resolution", "select", typed.get("dpi", "300"), True, options=DPI),
    ]
    if own := _printers(at):
        fields.insert(0, Field("printer", "Send to", "select", typed.get("printer", ""), False, "Instead of a file.", own))
    hint = "Where they are put on, if it is open for this person."
    return [*fields, Field("workstation", "Workstation", "scan", typed.get("workstation", ""), False, hint, accepts="EQ")]


def _printers(at: Asked) -> list[tuple[str, str]]:
    return [(one.name, f"{one.name} ({one.dpi} dpi)") for one in printers(at.bank.settings).values()]


def _prefixes() -> list[tuple[str, str]]:
    return [(one.value, f"{one.value} · {words(one.name.lower())}") for one in Prefix if catalogue().for_prefix(one)]
