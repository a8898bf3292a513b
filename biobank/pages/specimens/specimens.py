"""Specimens as people see them: the list, one specimen with all that is known of it, and the observations anyone may record."""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass
from typing import Annotated, Any
from uuid import UUID
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Path, Request
from fastapi.responses import Response
from markupsafe import Markup
from sqlmodel import Session

from biobank.acts.bank import Bank
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE
from biobank.custody import service
from biobank.custody.event import Event, Mode, rules
from biobank.custody.queries import events_public
from biobank.custody.schemas import AllowedEvents, EventPublic, EventRequest, request_model
from biobank.custody.states import Condition, Quality
from biobank.foundation.clock import now
from biobank.foundation.errors import NotFound, Refusal
from biobank.foundation.terms import words
from biobank.labels.files import Drawing, data_of, template_for
from biobank.pages.labels.labels import markup_of
from biobank.pages.people.site_choices import Choices, only, own_sites
from biobank.pages.shipping.shipments import asked_again
from biobank.pages.specimens.out_of_cold import out_of_cold
from biobank.pages.storage.box_maps import grid_of
from biobank.pages.ui.act_pages import ActForm, Acting, ActPage, Asked, Done, Opened
from biobank.pages.ui.addresses import SpecimenCode
from biobank.pages.ui.entries import entry_of, files_of
from biobank.pages.ui.filters import code as code_markup
from biobank.pages.ui.filters import quantity_text, when
from biobank.pages.ui.forms import CIRCUMSTANCES, fields_of
from biobank.pages.ui.parts import ActionLink, Node
from biobank.pages.ui.session import PageReading
from biobank.pages.ui.templating import render
from biobank.pages.viability.presentation import MEASURED_COLUMNS, expected, measured_row
from biobank.quality.attachments import readable
from biobank.quality.holds import liftable
from biobank.quality.kept_words import plan_of, plan_refusals
from biobank.specimens.lineage import lineage_of
from biobank.specimens.lineage_graph import draw_lineage
from biobank.specimens.materials import amount_text
from biobank.specimens.preparations import preparation_facts
from biobank.specimens.queries import describe_specimen, find_described, specimen_public
from biobank.specimens.schemas import Lineage, SpecimenPublic
from biobank.storage.maps import map_around
from biobank.storage.schemas import ContainerMap
from biobank.transparency.queries import OWED, lag_of
from biobank.viability.history_queries import read_streams
from biobank.viability.queries import viability_of
from biobank.viability.schemas import ViabilityPublic

router = APIRouter(include_in_schema=False)

EVENTS_SHOWN = 200
RELATIVES_SHOWN = 60

DIRECT_ICONS = {
    "specimen.received": "tray",
    "specimen.checked_out": "hand",
    "specimen.sampled": "flask",
    "specimen.missing": "question",
    "specimen.found": "check",
    "specimen.inspected": "search",
    "specimen.annotated": "pen",
}

PAGES: dict[str, tuple[str, str, str, str]] = {
    "specimen.stored": ("store", "Store", "tank", "main"),
    "specimen.moved": ("store", "Move to another place", "box", "plain"),
    "specimen.hold_placed": ("hold", "Place a hold", "octagon", "grave"),
    "specimen.quality_decided": ("decision", "Decide on quality", "check", "plain"),
    "specimen.basis_decided": ("basis", "Determine the legal basis", "pen", "plain"),
    "specimen.reopened": ("reopen", "Reopen its rejection", "return", "plain"),
    "specimen.discarded": ("discard", "Discard", "octagon", "grave"),
    "specimen.end_announced": ("end", "Announce its end", "octagon", "grave"),
    "specimen.lost": ("lost", "Give up the search", "search", "grave"),
    "specimen.transferred_out": ("transfer-out", "Transferred out for good", "truck", "grave"),
    "specimen.reversed": ("undo", "Undo the latest change", "undo", "plain"),
    "specimen.aliased": ("alias", "Add another identifier", "pen", "plain"),
    "specimen.identified": ("resolve", "Say which specimen it is", "search", "plain"),
    "specimen.use_up_allowed": ("use-up", "Allow to use it up", "drop", "grave"),
}
"""Acts of use cases that have a page: kind → last part of its address, label, icon, weight."""


def state_after(kind: str) -> str | None:
    """Return the state a kind of event leads to, when it always leads to one."""
    cls = rules.by_kind.get(kind)
    return cls.to_state.value if cls is not None and cls.to_state is not None else None


@dataclass(frozen=True)
class Dossier:
    """Everything the page of one specimen shows, read at one instant."""

    specimen: SpecimenPublic
    events: list[EventPublic]
    viability: ViabilityPublic
    lineage: Lineage
    allowed: AllowedEvents
    box: ContainerMap | None
    liftable: Collection[UUID]
    reads_plan: bool
    """Whether this login may read who is told of a late bad result."""
    files: Collection[str]
    """Hashes of the files that this login may open."""
    clinic: str | None
    """Where its donor is cared for."""


def read_dossier(session: Session, actor: Actor, code: str, bank: Bank) -> Dossier:
    """Read a specimen with its latest events, counts, relatives, place and what may happen next; raise NotFound."""
    row, alone = find_described(session, actor, code, *OWED)
    box, snapshot = map_around(session, actor, alone)
    told = read_streams(session, [code])[code]
    events = events_public(session, told.rows[-EVENTS_SHOWN:])
    behind = lag_of((row.pending, row.unpublished), now()) > bank.settings.merge_delay_s
    return Dossier(
        specimen_public(session, row, snapshot),
        events,
        viability_of(session, snapshot, told=told),
        lineage_of(session, actor, code),
        service.allowed_on(session, snapshot, actor, bank, behind=behind),
        box,
        liftable(session, actor, [UUID(one.id) for one in snapshot.holds]),
        snapshot.projection.quality == Quality.RELEASED_CONDITIONALLY
        and not plan_refusals(actor, snapshot, plan_of(session, code)),
        readable(session, actor, {sha256 for event in events for sha256 in files_of(event).values()}),
        snapshot.clinic_site_code,
    )


@router.get("/specimens/{code}")
async def show_specimen(request: Request, code: SpecimenCode, reading: PageReading) -> Response:
    """Draw one specimen."""
    dossier = await reading.agreeing(read_dossier, code, reading.bank)
    specimen, custody = dossier.specimen, dossier.specimen.custody
    corrects = any(item.kind == "specimen.amended" for item in dossier.allowed.items)
    label = next((slot.label for slot in dossier.box.slots if slot.specimen == code), None) if dossier.box else None
    return render(
        request,
        "specimen.html",
        specimen=specimen,
        custody=custody,
        identity=_identity(specimen),
        place=_place(dossier, label, request.state.zone),
        box=dossier.box,
        grid=grid_of(dossier.box, label) if dossier.box else None,
        measured=[measured_row(one) for one in dossier.viability.measured],
        measured_columns=MEASURED_COLUMNS,
        expected=expected(
            dossier.viability.estimated,
            checks=request.state.actor.may(Permission.LOG_READ, at=ANYWHERE),
        ),
        trees=trees_of(dossier.lineage),
        graph=draw_lineage(dossier.lineage),
        drawing=await asyncio.to_thread(_label_of, specimen, reading.bank.settings.host_name),
        relatives=len(dossier.lineage.nodes),
        entries=[
            entry_of(event, state_after, request.state.actor, dossier.clinic, dossier.files, corrects=corrects)
            for event in reversed(dossier.events)
        ],
        acts=[*acts_of(dossier.allowed), *_reading(dossier)],
        liftable=dossier.liftable,
        older=custody.seq > len(dossier.events),
    )


def _reading(dossier: Dossier) -> list[ActionLink]:
    here = f"/specimens/{dossier.specimen.code}/notification-plan"
    return [ActionLink("Who is told of a late bad result", here, "search")] if dossier.reads_plan else []


def _label_of(specimen: SpecimenPublic, host: str) -> Markup | None:
    """Draw its label as it would be printed now; None where nothing fits, which its own page explains."""
    try:
        return markup_of(Drawing(template_for(None, specimen.code), (data_of(specimen.label),), host))
    except Refusal:
        return None


def _identity(specimen: SpecimenPublic) -> list[tuple[str, Any]]:
    facts: list[tuple[str, Any]] = [
        ("Donor", code_markup(specimen.donor)),
        ("Material", specimen.title + (f", passage {specimen.passage}" if specimen.passage is not None else "")),
        ("Amount", amount_text(specimen.custody.amount, specimen.unit)),
        ("Purpose", words(specimen.purpose)),
        ("Lot", None if specimen.lot is None else code_markup(specimen.lot)),
        ("Harvest", None if specimen.harvest is None else code_markup(specimen.harvest)),
        ("Legal basis", words(specimen.regulatory_basis)),
        ("Home", specimen.home_site),
        ("Expires", specimen.label.expires_on),
    ]
    facts += preparation_facts(specimen.preparations)
    if specimen.aliases:
        facts.append(("Also known as", ", ".join(f"{alias.value} ({alias.issuer})" for alias in specimen.aliases)))
    return facts


def exposure_facts(specimen: SpecimenPublic, zone: ZoneInfo) -> list[tuple[str, Any]]:
    """Say how long it was out of the cold and when it becomes too old; nothing of what was never frozen or has no clock."""
    out, custody = specimen.exposure, specimen.custody
    facts: list[tuple[str, Any]] = []
    if custody.freeze_count or out.total_s or (out.at_least and custody.condition == Condition.FROZEN):
        parts = [out_of_cold(out)]
        parts += ["and running"] if out.running_since is not None else []
        if out.budget is not None:
            amber, red = quantity_text(out.amber_s, "seconds"), quantity_text(out.red_s, "seconds")
            parts.append(f"{words(out.budget).lower()}: amber {amber}, red {red}")
        facts.append(("Time out of cold, in all", " · ".join(parts)))
    if custody.use_by is not None:
        facts.append(("Too old for use from", when(custody.use_by, zone)))
    return facts


def _place(dossier: Dossier, label: str | None, zone: ZoneInfo) -> list[tuple[str, Any]]:
    custody = dossier.specimen.custody
    holder = custody.custodian.id or words(custody.custodian.kind)
    facts: list[tuple[str, Any]] = [("Custodian", f"{words(custody.custodian.kind)} · {holder}"), ("Site", custody.site)]
    if custody.offered_to is not None:
        facts.append(("Offered to", custody.offered_to.id))
    if dossier.box is not None:
        facts.append(("Place", " · ".join([*dossier.box.container.path, label or "position unknown"])))
    elif custody.container is not None:
        facts.append(("Box", code_markup(custody.container, link=False)))  # at a site whose places this login may not see
    facts += exposure_facts(dossier.specimen, zone)
    if custody.reserved_for is not None:
        facts.append(("Reserved for", code_markup(custody.reserved_for)))
    return facts


RUNS: dict[str, tuple[str, str, str]] = {
    "specimen.frozen": ("Freeze", "/processings/freezing?specimen=", "snow"),
    "specimen.thawed": ("Thaw", "/processings/thawing?specimen=", "drop"),
}
"""Acts that are runs of their own: kind → label, address that ends in the specimen, icon."""


def acts_of(allowed: AllowedEvents) -> list[ActionLink]:
    """Return the buttons: each allowed observation has a form of its own, other acts the page that leads to them."""
    here = f"/specimens/{allowed.specimen}"
    acts: dict[str, ActionLink] = {}
    for item in allowed.items:
        if item.kind in PAGES:
            part, label, icon, weight = PAGES[item.kind]
            acts.setdefault(part, ActionLink(label, f"{here}/{part}", icon, "get", weight))  # type: ignore[arg-type]  # weights above
        elif item.kind in RUNS:
            label, address, icon = RUNS[item.kind]
            acts[item.kind] = ActionLink(label, address + allowed.specimen, icon)
            if item.kind == "specimen.thawed":
                acts["use-up"] = ActionLink("Allow to use it up", f"{here}/use-up", "drop", "get", "grave")
        elif item.kind in ("specimen.process_started", "specimen.part_used", "specimen.consumed"):
            acts["run"] = ActionLink("Process", f"/processings/new?specimen={allowed.specimen}", "flask")
        elif item.kind in ("specimen.culture_seen", "specimen.medium_changed", "specimen.vessels_discarded"):
            acts["culture"] = ActionLink("Look after the culture", f"{here}/culture", "flask")
        elif item.kind == "specimen.viability_measured":
            acts["assay"] = ActionLink("Record a viability assay", f"{here}/assay", "flask")
        elif item.mode == Mode.DIRECT.value:
            verb = item.kind.partition(".")[2]
            weight = "main" if verb == "received" else "grave" if verb == "missing" else "plain"
            icon = DIRECT_ICONS.get(item.kind, "pen")
            acts[verb] = ActionLink(item.label, f"{here}/record/{verb}", icon, "get", weight)  # type: ignore[arg-type]  # as above
    order = {"main": 0, "plain": 1, "grave": 2}
    return sorted(acts.values(), key=lambda act: order[act.weight])


def trees_of(lineage: Lineage) -> list[Node]:
    """Return the graph as trees from what has no parent in it; a specimen of several parents hangs below its first."""
    by_code = {node.code: node for node in lineage.nodes[:RELATIVES_SHOWN]}
    children: dict[str, list[str]] = {}
    also: dict[str, list[str]] = {}
    placed: set[str] = set()
    for edge in lineage.edges:
        if edge.parent in by_code and edge.child in by_code:
            (also if edge.child in placed else children).setdefault(edge.parent, []).append(edge.child)
            placed.add(edge.child)

    def node(code: str) -> Node:
        one = by_code[code]
        title = words(one.material) + (f", passage {one.passage}" if one.passage is not None else "")
        if code in also:
            title += f", also into {', '.join(also[code])}"
        below = [node(child) for child in children.get(code, ())]
        return Node(code, title, one.state or "elsewhere", below, code == lineage.specimen)

    return [node(code) for code in by_code if code not in placed]


@dataclass(frozen=True)
class Observed:
    """What the form of an observation reads: its class, the specimen, the sites at which it may be recorded."""

    event: type[Event]
    specimen: SpecimenPublic
    sites: Choices

    @property
    def names(self) -> list[str]:
        """The members that are typed. What is asked back (`asked_again`) is asked only when there is a reason."""
        return [name for name in self.event.model_fields if name not in ("kind", "confirmed")]


def _observed(session: Session, actor: Actor, asked: Asked) -> Observed:
    cls = rules.by_kind.get(f"specimen.{asked.path['verb']}")
    if cls is None or cls.mode is not Mode.DIRECT or cls.permission is None:
        raise NotFound("There is no such act to record on a specimen.")
    return Observed(cls, describe_specimen(session, actor, asked.code), own_sites(session, actor, cls.permission))


def _draw_record(at: Opened[Observed]) -> ActForm:
    """The form of an observation, made from the fields of its class."""
    cls, verb = at.read.event, at.path["verb"]
    return ActForm(
        title=cls.label,
        lead=(cls.__doc__ or "").split("\n")[0],
        fields=[
            *fields_of(
                request_model(cls, EventRequest),
                *at.read.names,
                values=at.filled(site=only(at.read.sites)),
                options={"site": at.read.sites},
                labels={"amount": f"Amount ({at.read.specimen.unit})"},
            ),
            *asked_again(at.refusal),
        ],
        hidden={"expected_seq": str(at.read.specimen.custody.seq)},
        icon=DIRECT_ICONS.get(f"specimen.{verb}", "pen"),
        grave=verb == "missing",
    )


async def _record(at: Acting[Observed]) -> Done:
    """Record it, as the API's events endpoint does."""
    cls = at.read.event
    model = request_model(cls, EventRequest)
    again = ["confirmed"] if "confirmed" in at.form else []
    body = at.parse(model, *at.read.names, *again, *CIRCUMSTANCES, "expected_seq", kind=f"specimen.{at.path['verb']}")
    answer = await at.performing(service.record_event, at.code, body)
    return Done(f"/specimens/{at.code}", f"{words(at.path['verb'])}.", f"Event {answer['seq']} of {at.code}.")


ActPage(
    address="/specimens/{code}/record/{verb}",
    params={"verb": Annotated[str, Path(pattern=r"^[a-z_]{2,40}$")]},
    reads=_observed,
    form=_draw_record,
    model=EventRequest,
    acts=_record,
).on(router)
