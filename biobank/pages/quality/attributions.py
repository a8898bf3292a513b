"""A record or a harvest that turns out to be another donor's, as forms of quality."""

from fastapi import APIRouter
from sqlmodel import Session

from biobank.acts.signing import Meaning
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.foundation.codes import Prefix
from biobank.pages.donors.about import about_donor
from biobank.pages.ui.act_pages import ActForm, ActPage, Asked, proposed
from biobank.quality.merging import MergeDonors, merge_donors
from biobank.quality.reattributing import ReattributeHarvest, reattribute_harvest
from biobank.specimens.harvest_queries import describe_harvest
from biobank.specimens.harvest_schemas import HarvestPublic

router = APIRouter(include_in_schema=False)

ActPage(
    address="/donors/{code}/merge",
    reads=about_donor(Permission.QUALITY_DECIDE),
    form=lambda at: ActForm(
        title="Merge a duplicate",
        submit="Sign and propose",
        icon="pen",
        grave=True,
        lead=f"One person has two records: {at.code}, which stays, and another. Read both first. All that stands under the other "
        "code goes on here, both codes lead here, and it cannot be taken apart again. A second person of quality signs.",
        attach={"donor": at.code, "site": at.read.clinic_site},
        statement=f"You propose that {at.code} and the other record are one person.",
        said="I have read both records and the evidence, and they are of one person.",
    ),
    labels={"duplicate": "The other record", "evidence_sha256": "What shows it (passport, letter)"},
    model=MergeDonors,
    names=("duplicate", "evidence_sha256"),
    scans={"duplicate": (Prefix.DONOR,)},
    meaning=Meaning.DECIDED,
    use_case=merge_donors,
    after=lambda at, _body, _answer: proposed(f"/donors/{at.code}"),
).on(router)


def _harvest(session: Session, actor: Actor, asked: Asked) -> HarvestPublic:
    harvest = describe_harvest(session, actor, asked.code)
    actor.require(Permission.QUALITY_DECIDE, at=harvest.home_site, subject=asked.code)
    return harvest


ActPage(
    address="/harvests/{code}/reattribute",
    reads=_harvest,
    form=lambda at: ActForm(
        title="It is another person's",
        submit="Sign and propose",
        icon="pen",
        grave=True,
        lead=f"By the record {at.code} is of {at.read.donor}. All that came of it goes along: it is in quarantine, under an "
        "identity hold, and its labels count no more. A second person of quality signs.",
        attach={"donor": at.read.donor, "site": at.read.home_site},
        statement=f"You propose whose {at.code} is.",
        said="I have read the evidence, and it shows whose harvest this is.",
    ),
    labels={"donor": "Whose it is", "evidence_sha256": "What shows it (papers of the kit, genotype)"},
    model=ReattributeHarvest,
    names=("donor", "evidence_sha256"),
    scans={"donor": (Prefix.DONOR,)},
    meaning=Meaning.DECIDED,
    use_case=reattribute_harvest,
    after=lambda at, _body, _answer: proposed(f"/harvests/{at.code}"),
).on(router)
