"""The bytes of labels: previews without a serial, and files of numbered prints.

Reading what a label says needs the database; drawing it needs the processor. The two are apart, so that drawing happens in a
thread and never makes another request wait.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

from sqlalchemy import Row, select
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.custody.snapshots import get_visible
from biobank.foundation.codes import parse_code
from biobank.foundation.db import table_of
from biobank.foundation.errors import Conflict, NotFound
from biobank.jobs.queue import MadeFile
from biobank.labels.catalogue import catalogue
from biobank.labels.data import LabelData
from biobank.labels.models import LabelPrint
from biobank.labels.registered import House, identified
from biobank.labels.render import MEDIA_TYPES, Format, render, render_accompanying_sheet, render_roll, render_sheet
from biobank.labels.statements import StatementPolicy, required_statements
from biobank.labels.template import Template
from biobank.labels.things import is_thing, thing_of
from biobank.people.queries import get_site
from biobank.specimens.queries import describe_specimen
from biobank.specimens.schemas import LabelFacts

prints = table_of(LabelPrint)
POLICY = StatementPolicy()
ACCOMPANYING = "accompanying-180x60"

FileFormat = Literal["pdf", "zpl", "sheet"]


class WrongTemplate(Conflict):
    """The template is not for this kind of code."""

    code = "label_template_unsuitable"
    title = "Not a label for this"


@dataclass(frozen=True)
class Drawing:
    """Labels of one template, ready to be drawn away from the database."""

    template: Template
    labels: tuple[LabelData, ...]
    host: str

    def one(self, fmt: str, dpi: int) -> tuple[bytes, str]:
        """Draw the first label; return the bytes and their media type."""
        return render(self.template, self.labels[0], fmt, dpi, host=self.host), MEDIA_TYPES[Format(fmt)]

    def file(self, fmt: FileFormat, dpi: int) -> MadeFile:
        """Draw all of them into one file. `sheet` is PDF with many labels a page."""
        if fmt == "sheet":
            return MadeFile("labels.pdf", "application/pdf", render_sheet(self.template, self.labels, host=self.host))
        content = render_roll(self.template, self.labels, fmt, dpi, host=self.host)
        return MadeFile(f"labels.{fmt}", MEDIA_TYPES[Format(fmt)], content)

    def accompanying(self) -> MadeFile:
        """Draw the sheet that travels with the containers, with every statement in full."""
        content = render_accompanying_sheet(self.template, self.labels, host=self.host)
        return MadeFile("accompanying-sheet.pdf", "application/pdf", content)


def template_for(name: str | None, code: str) -> Template:
    """Return a template that may carry `code`; the first that fits when none is named. Raises UnknownTemplate, WrongTemplate."""
    prefix = parse_code(code).prefix
    fitting = catalogue().for_prefix(prefix)
    if name is None and fitting:
        return fitting[0]
    template = None if name is None else catalogue()[name]
    if template is None or prefix not in template.prefixes:
        names = ", ".join(t.name for t in fitting) or "none"
        raise WrongTemplate(f"{name or 'No template'} is not a label for {code}. Fitting templates: {names}.", subject=code)
    return template


def data_of(facts: LabelFacts) -> LabelData:
    """Return what the label of a specimen with these facts says, without a serial. Pure."""
    recipient = None if facts.recipient is None else parse_code(facts.recipient)
    return LabelData(
        code=parse_code(facts.code),
        material=facts.material,
        passage=facts.passage,
        amount=facts.amount,
        unit_number=facts.unit_number,
        unit_count=facts.unit_count,
        banked_on=facts.banked_on,
        expires_on=facts.expires_on,
        zone=facts.zone,
        storage=facts.storage,
        recipient=recipient,
        statements=required_statements(facts.evaluation, POLICY, recipient),
    )


def preview(session: Session, actor: Actor, code: str, template: str | None, house: House) -> Drawing:
    """Return the label of anything as it would be printed now, without a serial. Raises NotRegistered, NoNumberOfOurs."""
    chosen = template_for(template, code)
    if is_thing(session, code):
        data = identified(thing_of(session, None, actor, code).data, chosen, (), house)
    else:
        data = specimen_data(session, actor, code, chosen, house)
    return Drawing(chosen, (data,), house.host)


def specimen_data(session: Session, actor: Actor, code: str, template: Template, house: House) -> LabelData:
    """Return what the label of a specimen says on this template. Raises NotFound, NotRegistered, NoNumberOfOurs."""
    found = describe_specimen(session, actor, code)
    return identified(data_of(found.label), template, found.aliases, house)


def printed(session: Session, actor: Actor, serials: Sequence[int], house: House) -> Drawing:
    """Return numbered prints, drawn as they were numbered. Raises NotFound, WrongTemplate, NotPermitted."""
    rows = session.execute(select(prints).where(prints.c.serial.in_(serials)).order_by(prints.c.serial)).all()
    if len(rows) != len(set(serials)):
        raise NotFound("One of these prints does not exist.")
    if len({r.template for r in rows}) != 1:
        raise WrongTemplate("One file holds labels of one template. Fetch them apart.")
    template = catalogue()[rows[0].template]
    labels = [_printed_one(session, actor, row, template, house) for row in rows]
    return Drawing(template, tuple(labels), house.host)


def accompanying(session: Session, actor: Actor, codes: Sequence[str], host: str) -> Drawing:
    """Return the accompanying sheet of specimens: every statement, and the establishment that makes them available."""
    labels = []
    for code in dict.fromkeys(codes):
        found = describe_specimen(session, actor, code)
        data = data_of(found.label)
        home = None if found.home_site is None else get_site(session, found.home_site)
        labels.append(data if home is None else replace(data, facility=home.name))
    return Drawing(catalogue()[ACCOMPANYING], tuple(labels), host)


def printing_of(session: Session, actor: Actor, code: str) -> tuple[str | None, bool, bool]:
    """Return the site whose rule says how `code` is printed, whether the actor may print it, and whether it is a thing.

    Raises NotFound when the actor may not know of it.
    """
    if is_thing(session, code):
        thing = thing_of(session, None, actor, code)
        return thing.site, thing.may_print(actor), True
    specimen = get_visible(session, actor, code)
    return specimen.home_site_code, actor.may(Permission.LABEL_PRINT, at=specimen.sites), False


def _printed_one(session: Session, actor: Actor, row: Row[Any], template: Template, house: House) -> LabelData:
    code, numbers = row.code, {"print_serial": row.serial, "copy_number": row.copy_number, "print_number": row.print_number}
    if is_thing(session, code):
        thing = thing_of(session, None, actor, code)
        thing.require_printer(actor)
        return replace(identified(thing.data, template, (), house), **numbers)
    actor.require(Permission.LABEL_PRINT, at=get_visible(session, actor, code).sites, subject=code)
    return replace(specimen_data(session, actor, code, template, house), **numbers)
