"""A tube that nobody can name, as forms: it gets a code, and later two people of quality say which specimen it is."""

from fastapi import APIRouter
from sqlmodel import Session

from biobank.acts.signing import Meaning
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.custody.legality import Snapshot
from biobank.custody.recording import permission_refusal
from biobank.custody.snapshots import get_visible
from biobank.foundation.codes import Prefix
from biobank.pages.people.site_choices import Choices, only, sites_for
from biobank.pages.quality.attachments import about
from biobank.pages.ui.act_pages import ActForm, ActPage, Asked, Done, Opened, proposed
from biobank.quality.events import Identified
from biobank.quality.identifying import resolve
from biobank.quality.schemas import ResolveRequest
from biobank.specimens.schemas import RegisterUnidentified
from biobank.specimens.unidentified import register_unidentified

router = APIRouter(include_in_schema=False)


def _draw_new(at: Opened[Choices]) -> ActForm:
    return ActForm(
        title="A tube that nobody can name",
        subject="Unidentified",
        submit="Give it a code",
        icon="vial",
        lead="Its label is gone or cannot be read. If it is frozen, put it into the nearest quarantine place first.",
        options={"site": at.read},
        values=at.filled(site=only(at.read)),
        back="/specimens",
        trail=[("Specimens", "/specimens"), ("A tube that nobody can name", None)],
    )


ActPage(
    address="/specimens/unidentified/new",
    reads=sites_for(Permission.CUSTODY_RECORD),
    form=_draw_new,
    labels={"condition": "It is", "photo_sha256": "Photograph", "place": "Where it was found", "site": "At"},
    model=RegisterUnidentified,
    names=("site", "condition", "place", "photo_sha256"),
    scans={"place": (Prefix.CONTAINER, Prefix.POSITION)},
    use_case=register_unidentified,
    args=lambda _at: (),
    after=lambda _at, _body, answer: Done(
        f"/specimens/{answer['specimen']}", f"It is {answer['specimen']} now.", answer["where_now"], "care"
    ),
).on(router)


def _item(session: Session, actor: Actor, asked: Asked) -> Snapshot:
    item = get_visible(session, actor, asked.code, holds=True)
    refusal = permission_refusal(actor, Identified, item)
    if refusal is not None:
        raise refusal
    return item


ActPage(
    address="/specimens/{code}/resolve",
    reads=_item,
    form=lambda at: ActForm(
        title="Say which specimen it is",
        submit="Sign and propose",
        icon="pen",
        grave=True,
        lead="Two people of quality sign, on evidence. The specimen must be missing or lost by its record; it is found where "
        "this item is, and stays under a hold until its identity is proved.",
        hidden={"expected_seq": str(at.read.seq)},
        statement=f"You propose which specimen {at.code} is.",
        said="The evidence shows that it is this specimen.",
        attach=about(at.actor, [at.read]),
    ),
    labels={"same_as": "It is the specimen", "evidence_sha256": "What shows it"},
    model=ResolveRequest,
    names=("same_as", "evidence_sha256"),
    scans={"same_as": (Prefix.HAIR_FOLLICLE, Prefix.ADIPOSE)},
    meaning=Meaning.DECIDED,
    use_case=resolve,
    after=lambda at, _body, _answer: proposed(f"/specimens/{at.code}"),
).on(router)
