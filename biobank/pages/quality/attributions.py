"""A record or a harvest that turns out to be another donor's, as forms of quality."""

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter
from sqlmodel import Session

from biobank.acts.signing import Meaning
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.foundation.codes import Prefix
from biobank.pages.donors.about import about_donor
from biobank.pages.ui.act_pages import ActForm, ActPage, Asked, Opened, proposed
from biobank.quality.attributing import OnEvidence
from biobank.quality.merging import MergeDonors, merge_donors
from biobank.quality.reattributing import ReattributeHarvest, reattribute_harvest
from biobank.specimens.harvest_queries import describe_harvest
from biobank.specimens.harvest_schemas import HarvestPublic

router = APIRouter(include_in_schema=False)


def _page(
    of: str,
    act: str,
    reads: Any,
    draw: Callable[[Opened[Any]], ActForm],
    model: type[OnEvidence],
    use_case: Callable[..., Any],
    **asked: str,
) -> None:
    """Declare the form of one such act. `asked`: the donor's code that it asks for, then what shows it, each with its label."""
    donor = next(iter(asked))
    ActPage(
        address=f"/{of}/{{code}}/{act}",
        reads=reads,
        form=draw,
        labels=asked,
        model=model,
        names=tuple(asked),
        scans={donor: (Prefix.DONOR,)},
        meaning=Meaning.DECIDED,
        use_case=use_case,
        after=lambda at, _body, _answer: proposed(f"/{of}/{at.code}"),
    ).on(router)


def _form(title: str, lead: str, attach: dict[str, str], statement: str, said: str) -> ActForm:
    lead = f"{lead} A second person of quality signs."
    return ActForm(
        title=title,
        submit="Sign and propose",
        icon="pen",
        grave=True,
        lead=lead,
        attach=attach,
        statement=statement,
        said=said,
    )


_page(
    "donors",
    "merge",
    about_donor(Permission.QUALITY_DECIDE),
    lambda at: _form(
        "Merge a duplicate",
        f"One person has two records: {at.code}, which stays, and another. Read both first. All that stands under the other "
        "code goes on here, both codes lead here, and it cannot be taken apart again.",
        {"donor": at.code, "site": at.read.clinic_site},
        f"You propose that {at.code} and the other record are one person.",
        "I have read both records and the evidence, and they are of one person.",
    ),
    MergeDonors,
    merge_donors,
    duplicate="The other record",
    evidence_sha256="What shows it (passport, letter)",
)


def _harvest(session: Session, actor: Actor, asked: Asked) -> HarvestPublic:
    harvest = describe_harvest(session, actor, asked.code)
    actor.require(Permission.QUALITY_DECIDE, at=harvest.home_site, subject=asked.code)
    return harvest


_page(
    "harvests",
    "reattribute",
    _harvest,
    lambda at: _form(
        "It is another person's",
        f"By the record {at.code} is of {at.read.donor}. All that came of it goes along: it is in quarantine, under an "
        "identity hold, and its labels count no more.",
        {"donor": at.read.donor, "site": at.read.home_site},
        f"You propose whose {at.code} is.",
        "I have read the evidence, and it shows whose harvest this is.",
    ),
    ReattributeHarvest,
    reattribute_harvest,
    donor="Whose it is",
    evidence_sha256="What shows it (papers of the kit, genotype)",
)
