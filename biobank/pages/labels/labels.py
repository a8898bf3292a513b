"""Labels as people see them: what would be printed, printing it, scanning it back, thousands at once, templates and rules."""

import asyncio
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response
from markupsafe import Markup
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE
from biobank.foundation.codes import DATED, Prefix, make_code, parse_code
from biobank.foundation.errors import Refusal
from biobank.foundation.terms import words
from biobank.labels import batches, files, prints, rules
from biobank.labels.catalogue import catalogue
from biobank.labels.data import LabelData
from biobank.labels.printers import printers
from biobank.labels.schemas import BatchRequest, PrintList, PrintRequest, RuleRequest, VerifyRequest
from biobank.labels.statements import Evaluation, required_statements
from biobank.labels.template import Template
from biobank.labels.things import is_thing, thing_of
from biobank.pages.ui.code_pages import code_href
from biobank.pages.ui.forms import Field, FormFault, drawn, parse
from biobank.pages.ui.parts import Column
from biobank.pages.ui.session import PagePerforming, PageReading, or_again
from biobank.pages.ui.templating import render
from biobank.people.queries import list_sites
from biobank.specimens.queries import describe_specimen

router = APIRouter(include_in_schema=False)

PathCode = Annotated[str, Path(min_length=3, max_length=20, pattern=r"^[A-Z0-9]{2,4}-[0-9A-Z]{7}$")]
TemplateName = Annotated[str | None, Query(pattern=r"^[a-z0-9-]{2,60}$")]
NO_STORE = {"Cache-Control": "no-store"}
REASONS = [
    ("first_print", "First print"),
    ("damaged", "The old one is damaged"),
    ("lost", "The old one is lost"),
    ("unreadable", "The old one cannot be read"),
    ("wrong_stock", "Printed on the wrong stock"),
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
    Column("serial", "Serial", "number"),
    Column("template", "Label"),
    Column("copy_number", "Copy", "number"),
    Column("reason", "Why", "words"),
    Column("printed_at", "Printed", "when"),
    Column("printed_by", "By", "plain_code"),
    Column("standing", "Stands as", "chip"),
]
RULES = [
    Column("site", "Site", "plain_code"),
    Column("prefix", "Codes"),
    Column("template", "Label"),
    Column("printer", "Printer"),
]


@router.get("/labels")
async def show_templates(request: Request, reading: PageReading) -> Response:
    """Draw every template with an example, the print rules, and the form that sets one."""
    return await _draw_templates(request, reading)


async def _draw_templates(request: Request, reading: PageReading, refusal: Refusal | None = None, typed: Any = None) -> Response:
    found = await reading(rules.list_rules)
    sites = await reading(list_sites, active=True)
    typed = typed or {}
    templates = [(t.name, f"{t.title} ({t.name})") for t in catalogue().values()]
    fields = [
        Field(
            "site", "Site", "select", typed.get("site", ""), True, options=[(s.code, f"{s.code} · {s.name}") for s in sites.items]
        ),
        Field("prefix", "Codes that begin with", "select", typed.get("prefix", ""), True, options=_prefixes()),
        Field("template", "Label", "select", typed.get("template", ""), False, "Leave empty to take the rule away.", templates),
        Field("printer", "Printer", "select", typed.get("printer", ""), False, options=_printers(request)),
    ]
    templates_drawn = await asyncio.to_thread(examples, reading.bank.settings.host_name)
    return render(
        request,
        "labels.html",
        templates=templates_drawn,
        rules=[one.model_dump() for one in found.items],
        rule_columns=RULES,
        fields=fields if request.state.actor.may(Permission.SITE_MANAGE, at=ANYWHERE) else None,
        **drawn(refusal),
    )


@router.post("/labels")
async def set_rule(request: Request, performing: PagePerforming, reading: PageReading) -> Response:
    """Set a print rule, or take it away."""

    async def act() -> Response:
        body = parse(RuleRequest, performing.form, request.state.zone, "site", "prefix", "template", "printer")
        await performing(rules.set_rule, body)
        said = f"{body.prefix} codes at {body.site} are printed on {body.template}." if body.template else "The rule is gone."
        return await performing.done("/labels", said)

    return await or_again(act(), lambda refusal: _draw_templates(request, reading, refusal, performing.form))


def examples(host: str) -> list[tuple[Template, Markup]]:
    """Draw an example of every template. They name nothing that exists."""
    drawings = [files.Drawing(template, (example_of(name),), host) for name, template in catalogue().items()]
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
    drawing = await reading(files.printed, numbers, reading.bank.settings.host_name)
    made = await asyncio.to_thread(drawing.file, format, int(dpi))  # type: ignore[arg-type]  # the pattern above
    headers = NO_STORE | {"Content-Disposition": f'inline; filename="{made.name}"'}
    return Response(made.content, media_type=made.media_type, headers=headers)


@router.get("/labels/batch")
async def show_batch(
    request: Request,
    reading: PageReading,
    of: Annotated[str, Query(max_length=20, pattern=r"^[A-Z0-9-]*$")] = "",
    selection: Annotated[str, Query(pattern="^[a-z_]*$", max_length=20)] = "",
) -> Response:
    """Draw the form for many labels at once."""
    return await _draw_batch(request, reading, typed={"of": of, "selection": selection})


async def _draw_batch(request: Request, reading: PageReading, refusal: Refusal | None = None, typed: Any = None) -> Response:
    await reading(_require_printer)
    typed = typed or {}
    templates = [(t.name, t.title) for t in catalogue().values()]
    fields = [
        Field("selection", "Which", "select", typed.get("selection", ""), True, options=SELECTIONS),
        Field("of", "Of", "scan", typed.get("of", ""), True, "Scan the box, lot or kit.", accepts="BX LT KT"),
        Field("template", "Label", "select", typed.get("template", ""), True, options=templates),
        Field("reason", "Why", "select", typed.get("reason", "first_print"), True, options=REASONS),
        *_output_fields(request, typed),
    ]
    return render(request, "label_batch.html", fields=fields, **drawn(refusal))


@router.post("/labels/batch")
async def start_batch(request: Request, performing: PagePerforming, reading: PageReading) -> Response:
    """Queue it and show how far it is."""

    async def act() -> Response:
        form = performing.form
        chosen = form.get("selection", "")
        if chosen not in dict(SELECTIONS):
            raise FormFault({"selection": "Which: choose what the labels are for."})
        names = ("template", "reason", "format", "dpi", "printer")
        body = _parse(BatchRequest, performing, request, names, **{chosen: form.get("of", "").upper()})
        job = await performing(batches.request_batch, body)
        return await performing.done(f"/jobs/{job['id']}", "The labels are being made.")

    return await or_again(act(), lambda refusal: _draw_batch(request, reading, refusal, performing.form))


@router.get("/labels/{code}")
async def show_labels(request: Request, code: PathCode, reading: PageReading, template: TemplateName = None) -> Response:
    """Draw a thing's label, the form that prints it, and every print there was."""
    return await _draw_labels(request, reading, code, {"template": template} if template else {})


async def _draw_labels(
    request: Request,
    reading: PageReading,
    code: str,
    typed: Any = None,
    refusal: Refusal | None = None,
    opened: str | None = None,
) -> Response:
    def query(session: Session, actor: Actor) -> tuple[PrintList, str | None, bool]:
        site = _site_of(session, actor, code)
        rule = rules.rule_for(session, site, parse_code(code).prefix.value)
        return prints.prints_of(session, actor, code), None if rule is None else rule.template, is_thing(session, code)

    kept, by_rule, thing = await reading(query)
    fitting = catalogue().for_prefix(parse_code(code).prefix)
    typed = typed or {}
    chosen = files.template_for(typed.get("template") or by_rule, code).name
    drawing = await reading(files.preview, code, chosen, reading.bank.settings.host_name)
    standing = [one for one in kept.items if one.template == chosen and one.superseded_at is None]
    fields = [
        Field("template", "Label", "select", chosen, True, options=[(t.name, t.title) for t in fitting]),
        Field(
            "reason", "Why", "select", typed.get("reason") or ("damaged" if standing else "first_print"), True, options=REASONS
        ),
        *_output_fields(request, typed),
    ]
    return render(
        request,
        "label.html",
        code=code,
        back=code_href(code),
        fields=fields,
        thing=thing,
        drawing=await asyncio.to_thread(markup_of, drawing),
        fitting=[(t.title, f"/labels/{code}?template={t.name}", t.name == chosen) for t in fitting],
        prints=[one.model_dump() | {"standing": _standing(one)} for one in kept.items],
        columns=PRINTS,
        waiting=[
            (one.serial, f"#{one.serial}, {one.template}")
            for one in kept.items
            if one.superseded_at is None and one.verified_at is None
        ],
        may_print=request.state.actor.may(Permission.LABEL_PRINT, at=ANYWHERE) or thing,
        opened=opened,
        **drawn(refusal),
    )


@router.post("/labels/{code}")
async def print_label(request: Request, code: PathCode, performing: PagePerforming, reading: PageReading) -> Response:
    """Number the print and offer its file, or send it to the printer."""

    async def act() -> Response:
        form = performing.form
        of_thing = await reading(lambda session, _actor: is_thing(session, code))
        if form.get("printer"):
            names = ("template", "reason", "printer")
            job = await performing(batches.request_batch, _parse(BatchRequest, performing, request, names, codes=[code]))
            return await performing.done(f"/jobs/{job['id']}", "On its way to the printer.")
        body = _parse(
            PrintRequest,
            performing,
            request,
            ("template", "reason", "format", "dpi"),
            **{"things" if of_thing else "specimens": [code]},
        )
        made = await performing(prints.print_labels, body)
        (one,) = made["items"]
        text = f"Print #{one['serial']} is numbered and recorded. Open the file below, print it, then scan it back."
        return await performing.done(f"/labels/{code}?template={body.template}#prints", "Ready to print.", text)

    return await or_again(act(), lambda refusal: _draw_labels(request, reading, code, performing.form, refusal))


@router.post("/labels/{code}/verify")
async def verify_label(request: Request, code: PathCode, performing: PagePerforming, reading: PageReading) -> Response:
    """Compare what the scanner read from the printed label with the ledger."""

    async def act() -> Response:
        serial = performing.form.get("serial", "")
        if not serial.isascii() or not serial.isdigit() or len(serial) > 18:
            raise FormFault({"serial": "Serial: choose the print that was scanned."})
        body = parse(VerifyRequest, performing.form, request.state.zone, "scanned")
        await performing(prints.verify_print, int(serial), body)
        return await performing.done(f"/labels/{code}", f"Label #{serial} says what it should.", "It may go onto its container.")

    return await or_again(act(), lambda refusal: _draw_labels(request, reading, code, performing.form, refusal, "verify"))


def markup_of(drawing: files.Drawing) -> Markup:
    """Return a label as SVG markup of a page: the writer escapes every text and writes neither style nor script."""
    return Markup(drawing.one("svg", 300)[0].decode())  # noqa: S704 - see above


def _parse(model: Any, performing: PagePerforming, request: Request, names: tuple[str, ...], **given: Any) -> Any:
    """Parse a form whose resolution is a choice of words: `"300"` stands for 300."""
    if "dpi" in names:
        names = tuple(name for name in names if name != "dpi")
        given["dpi"] = int(performing.form.get("dpi", "300")) if performing.form.get("dpi", "300").isdigit() else 300
    return parse(model, performing.form, request.state.zone, *names, **given)


def _output_fields(request: Request, typed: Any) -> list[Field]:
    fields = [
        Field("format", "File", "select", typed.get("format", "pdf"), True, options=FORMATS),
        Field("dpi", "Printer resolution", "select", typed.get("dpi", "300"), True, options=DPI),
    ]
    if _printers(request):
        hint = "Instead of a file."
        fields.insert(0, Field("printer", "Send to", "select", typed.get("printer", ""), False, hint, _printers(request)))
    return fields


def _printers(request: Request) -> list[tuple[str, str]]:
    bank = request.app.state.bank
    return [(one.name, f"{one.name} ({one.dpi} dpi)") for one in printers(bank.settings).values()]


def _prefixes() -> list[tuple[str, str]]:
    return [(one.value, f"{one.value} · {words(one.name.lower())}") for one in Prefix if catalogue().for_prefix(one)]


def _site_of(session: Session, actor: Actor, code: str) -> str | None:
    if is_thing(session, code):
        return thing_of(session, None, actor, code).site
    return describe_specimen(session, actor, code).home_site


def _standing(one: Any) -> str:
    if one.superseded_at is not None:
        return "superseded"
    return "verified" if one.verified_at is not None else "not_scanned_back"


def _require_printer(_session: Session, actor: Actor) -> None:
    if not actor.may(Permission.STORAGE_MANAGE, at=ANYWHERE) and not actor.may(Permission.KIT_MANAGE, at=ANYWHERE):
        actor.require(Permission.LABEL_PRINT, at=ANYWHERE)
