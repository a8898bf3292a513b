"""Donors as people see them: by code. Who it is stands behind a button, and that it was pressed is recorded."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Literal
from uuid import UUID

from fastapi import APIRouter
from fastapi.responses import Response
from pydantic import BaseModel
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE
from biobank.custody.states import State
from biobank.donors import life, queries, safety_contact, service
from biobank.donors.blind_index import INDEX_SECRET
from biobank.donors.life import AgreementList
from biobank.donors.schemas import DonorList, DonorPublic, IdentityPublic, Match, RegisterDonor, SearchDonors
from biobank.donors.visits import Waiting, bandable_identification, waiting_identifications
from biobank.foundation.clock import rfc3339
from biobank.foundation.errors import NotPermitted
from biobank.foundation.paging import Paging
from biobank.foundation.terms import words
from biobank.pages.donors.records import look_alikes_of
from biobank.pages.people.site_choices import only, sites_for
from biobank.pages.specimens.specimen_rows import specimen_rows
from biobank.pages.ui.act_pages import ActForm, Acting, ActPage, Asked, Needs, Opened, OwnPage
from biobank.pages.ui.filters import code as code_markup
from biobank.pages.ui.filters import day
from biobank.pages.ui.forms import drawn
from biobank.pages.ui.listing import Filter, Link, Listing, Wanted
from biobank.pages.ui.parts import ActionLink, Column
from biobank.quality.holds import liftable
from biobank.specimens import kits
from biobank.specimens.queries import list_specimens
from biobank.specimens.schemas import SpecimenList

router = APIRouter(include_in_schema=False)

STATUSES = ("living", "deceased", "unreachable", "erased")
SPECIMENS_SHOWN = 50

NAMED = 8
"""Up to so many people found are shown by name, and that they were shown is recorded with each."""

MATCH_COLUMNS = [
    Column("donor", "Donor", "code"),
    Column("name", "Name"),
    Column("born", "Born", "day"),
    Column("clinic_site", "Clinic", "plain_code"),
    Column("status", "Status", "chip"),
    Column("how", "Match"),
]
CONSENT_COLUMNS = [
    Column("kind", "Consent", "words"),
    Column("state", "State", "chip"),
    Column("given_at", "Given", "when"),
    Column("valid_until", "Until", "when"),
    Column("form_version", "Form"),
]
AGREEMENT_COLUMNS = [
    Column("terms", "Terms"),
    Column("begins_on", "From", "day"),
    Column("ends_on", "Until", "day"),
    Column("recorded_by", "Recorded by", "plain_code"),
]
Told = list[tuple[str, Any]]
"""What the vault says, as (label, value)."""
SPECIMEN_COLUMNS_OF_DONOR = [
    Column("code", "Code", "code"),
    Column("material", "Material", "words"),
    Column("state", "State", "chip"),
    Column("amount", "Amount"),
    Column("container", "Box"),
    Column("banked_at", "Banked", "when"),
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


ActPage(
    address="/donors/new",
    reads=sites_for(Permission.DONOR_REGISTER),
    form=lambda at: ActForm(
        title="Register",
        subject="Donor",
        lead="The name goes to the vault and nowhere else; from here on the donor is a code.",
        icon="donor",
        values={"clinic_site": only(at.read)},
        options={"clinic_site": at.read},
    ),
    labels={"date_of_birth": "Date of birth"},
    model=RegisterDonor,
    names=("clinic_site", "family_name", "given_names", "date_of_birth", "sex"),
    more=(),
    use_case=service.register_donor,
    after=lambda _at, _body, answer: look_alikes_of(answer, "Registered.", f"Registered as {answer['donor']}."),
).on(router)

DONORS = ActPage(
    address="/donors",
    reads=Needs(Permission.DONOR_READ),
    form=lambda at: LIST.answer(at.request, at.reading, matches=None, unnamed=False, withheld=False, **drawn(at.refusal)),
    model=SearchDonors,
    asks=LIST.parameters,
    keeps=(),
)
DONORS.shows(router)


async def _search(at: Acting[Actor]) -> Response:
    """Find by name or birth date. What was typed is in no address and is not shown again.

    Of a few people found the names are shown, which is recorded as looking at each is; of many only the codes.
    """
    body = at.parse(SearchDonors, "name", "date_of_birth")
    found = await at.reading(queries.search_donors, body, at.bank.secret(INDEX_SECRET))
    few = [one.donor for one in found.items] if 0 < len(found.items) <= NAMED else []
    shown: list[IdentityPublic] = await at.performing.disclose(service.read_identities, few) if few else []
    people = {one.donor: one for one in shown}
    matches = [_match(one, people.get(one.donor)) for one in found.items]
    unnamed, withheld = len(found.items) > NAMED, len(shown) < len(few)
    return await LIST.answer(at.request, at.reading, matches=matches, many=found.more, unnamed=unnamed, withheld=withheld)


def _match(one: Match, person: IdentityPublic | None) -> dict[str, Any]:
    name = None if person is None else ", ".join(filter(None, (person.family_name, person.given_names)))
    how = "exact" if one.exact else "begins so, or sounds alike"
    return one.model_dump() | {"how": how, "name": name, "born": None if person is None else person.date_of_birth}


DONORS.also(router, "/donors/search", _search)


@dataclass(frozen=True)
class Known:
    """What the page of a donor reads."""

    donor: DonorPublic
    specimens: SpecimenList
    waiting: list[Waiting]
    bandable: bool
    liftable: Collection[UUID]
    agreements: AgreementList


def _read(session: Session, actor: Actor, asked: Asked) -> Known:
    code = asked.code
    donor = queries.describe_donor(session, actor, code)
    return Known(
        donor,
        list_specimens(session, actor, of_donor=code, paging=Paging(limit=SPECIMENS_SHOWN)),
        waiting_identifications(session, actor, code),
        bandable_identification(session, actor, code) is not None,
        liftable(session, actor, [one.id for one in donor.holds]),
        life.list_agreements(session, actor, code),
    )


def _draw(at: Opened[Known], told: Told | None = None) -> OwnPage:
    """Draw a donor; with what the vault says once, for whoever asked: the page is kept by nobody."""
    donor, actor = at.read.donor, at.actor
    acts = _visit_acts(actor, at.read)
    if told is None:
        acts += _vault_acts(actor, donor)
    if actor.may(Permission.WITHDRAWAL_REQUEST, at=donor.clinic_site):
        kept = {one.material for one in at.read.specimens.items if one.state == State.STORED}
        of = f"&material={next(iter(kept))}" if len(kept) == 1 else ""
        usual = bool(kept) and any(one.kind == "treatment" and one.in_force for one in donor.consents)
        weight: Literal["main", "plain"] = "main" if usual else "plain"
        acts.append(ActionLink("Request a withdrawal", f"/withdrawals/new?donor={at.code}{of}", "return", "get", weight))
    acts += _record_acts(actor, donor)
    if actor.may(Permission.SPECIMEN_READ, at=ANYWHERE):
        acts.append(ActionLink("Every hold there was on this donor", f"/holds?on={at.code}&state=all", "octagon"))
    acts.append(ActionLink("Print the file", f"/donors/{at.code}/dossier", "print"))
    acts.append(ActionLink("Files for other systems", f"/donors/{at.code}/files", "download"))
    if actor.may(Permission.LOG_EXPORT, at=ANYWHERE):
        asked = "That you took this copy of the log will be recorded. Go on?"
        acts.append(ActionLink("Print the file with its log", f"/donors/{at.code}/dossier", "print", "post", confirm=asked))
    if actor.may(Permission.LOG_READ, at=ANYWHERE):
        acts.append(ActionLink("Its log of the last 30 days", f"/log?donor={at.code}&days=30", "log"))
    band = donor.wristband
    return OwnPage(
        "donor.html",
        donor=donor,
        facts=[
            ("Clinic", donor.clinic_site),
            ("Status", words(donor.status)),
            ("Kept apart for infection", "Yes: isolated places only" if donor.kept_apart else None),
            ("Wristband", None if band is None else code_markup(band.wristband, link=False)),
            ("Look-alikes elsewhere", donor.look_alikes_elsewhere or None),
            ("Other codes", ", ".join(donor.also) or None),
            *((f"Harvest {one.harvest}", f"Turned out to be another person's on {rfc3339(one.at)}") for one in donor.left),
        ],
        acts=acts,
        acts_to=lambda part: [one for one in acts if part in one.href],
        liftable=at.read.liftable,
        may_consent=actor.may(Permission.CONSENT_RECORD, at=donor.clinic_site) and donor.status != "erased",
        identity=told,
        agreements=[one.model_dump() for one in at.read.agreements.items],
        agreement_columns=AGREEMENT_COLUMNS,
        consents=[
            consent.model_dump() | {"state": "revoked" if consent.taken_back_at else "given" if consent.in_force else "expired"}
            for consent in donor.consents
        ],
        consent_columns=CONSENT_COLUMNS,
        specimens=specimen_rows(at.read.specimens.items, actor),
        specimen_columns=SPECIMEN_COLUMNS_OF_DONOR,
    )


def _vault_acts(actor: Actor, donor: DonorPublic) -> list[ActionLink]:
    """Return what of the vault the actor may look at; that somebody looked is recorded each time."""
    here, confirm = f"/donors/{donor.donor}", "That you looked will be recorded. Go on?"
    reads = actor.may(Permission.IDENTITY_READ, at=donor.clinic_site)
    decides = actor.may(Permission.QUALITY_DECIDE, at=donor.clinic_site)
    acts = []
    if reads and donor.status != "erased":
        acts.append(ActionLink("Show who this is", f"{here}/identity", "user", "post", confirm=confirm))
    if donor.status == "deceased" and (reads or decides):
        acts.append(ActionLink("Show when they died", f"{here}/death/read", "donor", "post", confirm=confirm))
    if donor.safety_contact and decides:
        acts.append(ActionLink("Show the contact for safety", f"{here}/safety-contact", "user", "post", confirm=confirm))
    return acts


def _visit_acts(actor: Actor, known: Known) -> list[ActionLink]:
    """Return what the visit that is going on asks for, in the order in which it is done."""
    donor = known.donor
    here = f"/donors/{donor.donor}"
    if not actor.may(Permission.DONOR_IDENTIFY, at=donor.clinic_site) or donor.status != "living":
        return []
    acts = [
        ActionLink("Identify as the second person", f"{here}/identify?pending={one.id}", "person-check", "get", "main")
        for one in known.waiting
        if actor.code not in one.first_logins
    ]
    if known.bandable:
        acts.append(ActionLink("Put the wristband on", f"{here}/band", "person-check", "get", "main"))
    acts.append(ActionLink("Identify (two people)", f"{here}/identify", "person-check"))
    if donor.wristband is not None:
        acts.append(ActionLink("Label of the wristband", f"/labels/{donor.wristband.wristband}", "print"))
        if not known.bandable:
            acts.append(ActionLink("Take the wristband off", f"{here}/band", "close"))
    if actor.may(Permission.HARVEST_RECORD, at=ANYWHERE):
        # A harvest that is entered late may rest on a consent that was taken back since.
        asked = any(one.kind == "banking" for one in donor.consents)
        without = None if asked else "Record the donor's consent to banking first."
        acts.append(
            ActionLink("Record a harvest", f"/harvests/new?donor={donor.donor}&kit={kits.BOUND}", "tray", refused=without)
        )
    return acts


def _record_acts(actor: Actor, donor: DonorPublic) -> list[ActionLink]:
    here = f"/donors/{donor.donor}"
    acts: list[ActionLink] = []
    if donor.status == "erased":
        return acts
    if actor.may(Permission.CONSENT_RECORD, at=donor.clinic_site):
        first = not donor.consents and donor.status == "living"
        acts.append(ActionLink("Record a consent", f"{here}/consent", "pen", weight="main" if first else "plain"))
        acts.append(ActionLink("Record an allergy", f"{here}/allergies", "pen"))
        acts.append(ActionLink("Record an agreement", f"{here}/agreement", "pen"))
    if actor.may(Permission.DONOR_REGISTER, at=donor.clinic_site):
        acts += [
            ActionLink("Change the record", f"{here}/change", "pen"),
            ActionLink("Change who this is (two people)", f"{here}/identity-change", "pen"),
            ActionLink("Change the status", f"{here}/status", "donor"),
        ]
        if donor.status != "deceased":
            acts.append(ActionLink("Record a death", f"{here}/death", "donor"))
    if actor.may(Permission.DONOR_ERASE, at=donor.clinic_site):
        acts.append(ActionLink("Forget the person", f"{here}/erase", "octagon", weight="grave"))
    acts.append(ActionLink("Markers of infection", f"{here}/markers", "drop"))
    if actor.may(Permission.QUALITY_DECIDE, at=ANYWHERE):
        title = "No longer keep apart" if donor.kept_apart else "Keep apart for infection"
        acts += [ActionLink(title, f"{here}/isolation", "octagon"), ActionLink("Set the reserve", f"{here}/reserve", "pen")]
    if actor.may(Permission.QUALITY_DECIDE, at=donor.clinic_site):
        acts.append(ActionLink("Merge a duplicate (two people)", f"{here}/merge", "pen"))
    return acts


def _identity(identity: IdentityPublic) -> list[tuple[str, Any]]:
    return [
        ("Family name", identity.family_name),
        ("Given names", identity.given_names),
        ("Born", identity.date_of_birth),
        ("Sex", words(identity.sex)),
    ]


async def _show_identity(at: Acting[Known]) -> OwnPage:
    """Record that somebody looked, then draw the donor with identity."""
    identity = await at.performing.disclose(service.read_identity, at.code)
    if not isinstance(identity, IdentityPublic):
        raise NotPermitted("The identity was not shown.", subject=at.code)
    return _draw(at, _identity(identity))


DONOR = ActPage(address="/donors/{code}", reads=_read, form=_draw, model=BaseModel)
DONOR.shows(router)
DONOR.also(router, "/donors/{code}/identity", _show_identity)


async def _show_death(at: Acting[Known]) -> OwnPage:
    """Record that somebody looked, then draw the donor with when they died and from whom the bank knows it."""
    found = await at.performing.disclose(life.read_death, at.code)
    facts = [("Died on", day(found.died_on)), ("Known from", words(found.source)), ("What follows", found.follows)]
    return _draw(at, facts)


async def _show_safety_contact(at: Acting[Known]) -> OwnPage:
    """Record that somebody looked, then draw the donor with how they are reached for safety."""
    kept = (await at.performing.disclose(safety_contact.read_safety_contact, at.code)).contact
    facts = [("For safety only", "A recall or a late result, and nothing else.")]
    facts += [
        (name, value) for name, value in (("Phone", kept.phone), ("E-mail", kept.email), ("Address", kept.address)) if value
    ]
    return _draw(at, facts)


DONOR.also(router, "/donors/{code}/death/read", _show_death)
DONOR.also(router, "/donors/{code}/safety-contact", _show_safety_contact)
