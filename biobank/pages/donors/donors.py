"""Donors as people see them: by code. Who it is stands behind a button, and that it was pressed is recorded."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request
from fastapi.responses import Response
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE
from biobank.donors import queries, service
from biobank.donors.schemas import DonorList, DonorPublic, IdentityPublic, MatchList, RegisterDonor, SearchDonors
from biobank.donors.visits import Waiting, bandable_identification, waiting_identifications
from biobank.foundation.errors import NotPermitted, Refusal
from biobank.foundation.paging import Paging
from biobank.foundation.terms import words
from biobank.pages.ui.filters import code as code_markup
from biobank.pages.ui.forms import act_page, drawn, fields_of, parse
from biobank.pages.ui.listing import Filter, Link, Listing, Wanted
from biobank.pages.ui.parts import ActionLink, Column
from biobank.pages.ui.session import PagePerforming, PageReading, or_again
from biobank.pages.ui.templating import render
from biobank.people.queries import list_sites
from biobank.specimens.materials import amount_text
from biobank.specimens.queries import list_specimens
from biobank.specimens.schemas import SpecimenList

router = APIRouter(include_in_schema=False)

DonorCode = Annotated[str, Path(pattern=r"^DN-[0-9A-Z]{7}$")]
STATUSES = ("living", "deceased", "unreachable", "erased")
SPECIMENS_SHOWN = 50
REGISTERED = ("clinic_site", "family_name", "given_names", "date_of_birth", "sex")

MATCH_COLUMNS = [
    Column("donor", "Donor", "code"),
    Column("clinic_site", "Clinic", "plain_code"),
    Column("status", "Status", "chip"),
    Column("how", "Match"),
]


def read_donors(session: Session, actor: Actor, asked: Wanted) -> DonorList:
    """Read one page of the donors that the address asks for."""
    return queries.list_donors(session, actor, site=asked.of["site"], status=asked.of["status"], paging=asked.paging)


def about_search(_session: Session, actor: Actor) -> dict[str, Any]:
    """Return what the list draws of the search by name before anybody searched."""
    return {"may_search": actor.may(Permission.IDENTITY_READ, at=ANYWHERE), "match_columns": MATCH_COLUMNS}


LIST = Listing(
    address="/donors",
    title="Donors",
    lead="By code. A name is looked up, never listed.",
    key="donor",
    columns=[
        Column("donor", "Donor", "code", sort="donor"),
        Column("clinic_site", "Clinic", "plain_code"),
        Column("status", "Status", "chip"),
        Column("created_at", "Registered", "when", sort="created_at"),
    ],
    read=read_donors,
    default="donor",
    template="donors.html",
    more=about_search,
    filters=[Filter("status", "Status", "choice", [(one, words(one)) for one in STATUSES]), Filter("site", "Clinic", "code")],
    links=[Link("Register a donor", "/donors/new", "donor", Permission.DONOR_REGISTER, main=True)],
)


@router.get("/donors")
async def show_donors(request: Request, reading: PageReading) -> Response:
    """List donors by code."""
    return await _draw_list(request, reading)


async def _draw_list(
    request: Request, reading: PageReading, found: MatchList | None = None, refusal: Refusal | None = None
) -> Response:
    matches = None
    if found is not None:
        matches = [one.model_dump() | {"how": "exact" if one.exact else "sounds alike"} for one in found.items]
    more = found is not None and found.more
    return await LIST.answer(request, reading, matches=matches, many=more, **drawn(refusal))


@router.post("/donors/search")
async def search(request: Request, performing: PagePerforming, reading: PageReading) -> Response:
    """Find by name or birth date. What was typed is in no address and is not shown again."""

    async def act() -> Response:
        body = parse(SearchDonors, performing.form, request.state.zone, "name", "date_of_birth")
        found = await reading(queries.search_donors, body, reading.bank.secret(service.INDEX_SECRET))
        return await _draw_list(request, reading, found)

    return await or_again(act(), lambda refusal: _draw_list(request, reading, refusal=refusal))


@router.get("/donors/new")
async def show_new(request: Request, reading: PageReading) -> Response:
    """Draw the form that registers a person."""
    return await _draw_new(request, reading)


async def _draw_new(request: Request, reading: PageReading, refusal: Refusal | None = None, typed: Any = None) -> Response:
    actor: Actor = request.state.actor
    actor.require(Permission.DONOR_REGISTER, at=ANYWHERE)
    sites = await reading(list_sites, active=True)
    own = [(one.code, f"{one.code} · {one.name}") for one in sites.items if actor.may(Permission.DONOR_REGISTER, at=one.code)]
    values = typed if typed is not None else {"clinic_site": own[0][0]} if len(own) == 1 else None
    return act_page(
        request,
        refusal,
        title="Register",
        subject="Donor",
        lead="The name goes to the vault and nowhere else; from here on the donor is a code.",
        back="/donors",
        trail=[("Donors", "/donors"), ("Register", None)],
        fields=fields_of(
            RegisterDonor,
            *REGISTERED,
            values=values,
            options={"clinic_site": own},
            labels={"date_of_birth": "Date of birth (year-month-day)"},
        ),
        submit="Register",
        icon="donor",
    )


@router.post("/donors/new")
async def register(request: Request, performing: PagePerforming, reading: PageReading) -> Response:
    """Register the person; warn of donors they could be taken for."""

    async def act() -> Response:
        body = parse(RegisterDonor, performing.form, request.state.zone, *REGISTERED)
        answer = await performing(service.register_donor, body)
        alike = ", ".join(one["donor"] for one in answer.get("look_alikes", []))
        place = f"/donors/{answer['donor']}"
        if alike:
            return await performing.done(place, "Registered. Look-alikes exist.", f"Compare with {alike}.", "care")
        return await performing.done(place, f"Registered as {answer['donor']}.")

    return await or_again(act(), lambda refusal: _draw_new(request, reading, refusal, performing.form))


@router.get("/donors/{code}")
async def show_donor(request: Request, code: DonorCode, reading: PageReading) -> Response:
    """Draw a donor without identity."""
    return await _draw_donor(request, reading, code)


async def _draw_donor(
    request: Request,
    reading: PageReading,
    code: str,
    identity: IdentityPublic | None = None,
    refusal: Refusal | None = None,
) -> Response:
    def query(session: Session, actor: Actor) -> tuple[DonorPublic, SpecimenList, list[Waiting], bool]:
        donor = queries.describe_donor(session, actor, code)
        bandable = bandable_identification(session, actor, code) is not None
        specimens = list_specimens(session, actor, of_donor=code, paging=Paging(limit=SPECIMENS_SHOWN))
        return donor, specimens, waiting_identifications(session, actor, code), bandable

    donor, specimens, waiting, bandable = await reading.agreeing(query)
    actor: Actor = request.state.actor
    acts = _visit_acts(actor, donor, waiting, bandable)
    if identity is None and actor.may(Permission.IDENTITY_READ, at=donor.clinic_site):
        acts.append(
            ActionLink(
                "Show who this is", f"/donors/{code}/identity", "user", "post", confirm="That you looked will be recorded. Go on?"
            )
        )
    if actor.may(Permission.WITHDRAWAL_REQUEST, at=donor.clinic_site):
        acts.append(ActionLink("Request a withdrawal", f"/withdrawals/new?donor={code}", "return", "get", "main"))
    acts += _record_acts(actor, donor)
    band = donor.wristband
    return render(
        request,
        "donor.html",
        donor=donor,
        facts=[
            ("Clinic", donor.clinic_site),
            ("Status", words(donor.status)),
            ("Wristband", None if band is None else code_markup(band.wristband, link=False)),
            ("Look-alikes elsewhere", donor.look_alikes_elsewhere or None),
        ],
        acts=acts,
        may_consent=actor.may(Permission.CONSENT_RECORD, at=donor.clinic_site) and donor.status != "erased",
        identity=None if identity is None else _identity(identity),
        consents=[
            consent.model_dump() | {"state": "revoked" if consent.revoked_at else "given" if consent.in_force else "expired"}
            for consent in donor.consents
        ],
        consent_columns=[
            Column("kind", "Consent", "words"),
            Column("state", "State", "chip"),
            Column("given_at", "Given", "when"),
            Column("valid_until", "Until", "when"),
            Column("form_version", "Form"),
        ],
        specimens=[one.model_dump() | {"amount": amount_text(one.amount, one.unit)} for one in specimens.items],
        specimen_columns=[
            Column("code", "Code", "code"),
            Column("material", "Material", "words"),
            Column("state", "State", "chip"),
            Column("amount", "Amount"),
            Column("container", "Box", "code"),
            Column("banked_at", "Banked", "when"),
        ],
        **drawn(refusal),
    )


def _visit_acts(actor: Actor, donor: DonorPublic, waiting: list[Waiting], bandable: bool) -> list[ActionLink]:
    """Return what the visit that is going on asks for, in the order in which it is done."""
    here = f"/donors/{donor.donor}"
    if not actor.may(Permission.DONOR_IDENTIFY, at=donor.clinic_site) or donor.status != "living":
        return []
    acts = [
        ActionLink("Identify as the second person", f"{here}/identify?pending={one.id}", "person-check", "get", "main")
        for one in waiting
        if one.first_by != actor.code
    ]
    if bandable:
        acts.append(ActionLink("Put the wristband on", f"{here}/band", "person-check", "get", "main"))
    acts.append(ActionLink("Identify (two people)", f"{here}/identify", "person-check"))
    if donor.wristband is not None:
        acts.append(ActionLink("Label of the wristband", f"/labels/{donor.wristband.wristband}", "print"))
        if not bandable:
            acts.append(ActionLink("Take the wristband off", f"{here}/band", "close"))
    if actor.may(Permission.HARVEST_RECORD, at=ANYWHERE):
        acts.append(ActionLink("Record a harvest", f"/harvests/new?donor={donor.donor}", "tray"))
    return acts


def _record_acts(actor: Actor, donor: DonorPublic) -> list[ActionLink]:
    here = f"/donors/{donor.donor}"
    acts: list[ActionLink] = []
    if donor.status == "erased":
        return acts
    if actor.may(Permission.CONSENT_RECORD, at=donor.clinic_site):
        acts.append(ActionLink("Record a consent", f"{here}/consent", "pen"))
    if actor.may(Permission.DONOR_REGISTER, at=donor.clinic_site):
        acts += [
            ActionLink("Change the record", f"{here}/change", "pen"),
            ActionLink("Change the status", f"{here}/status", "donor"),
        ]
    return acts


def _identity(identity: IdentityPublic) -> list[tuple[str, Any]]:
    return [
        ("Family name", identity.family_name),
        ("Given names", identity.given_names),
        ("Born", identity.date_of_birth),
        ("Sex", words(identity.sex)),
    ]


@router.post("/donors/{code}/identity")
async def show_identity(request: Request, code: DonorCode, performing: PagePerforming, reading: PageReading) -> Response:
    """Record that somebody looked, then draw the donor with identity, once: the page is kept by nobody."""

    async def act() -> Response:
        identity = await performing.disclose(service.read_identity, code)
        if not isinstance(identity, IdentityPublic):
            raise NotPermitted("The identity was not shown.", subject=code)
        return await _draw_donor(request, reading, code, identity)

    return await or_again(act(), lambda refusal: _draw_donor(request, reading, code, refusal=refusal))
