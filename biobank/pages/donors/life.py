"""Forms about what becomes of a donor: a death with its date and source, and the agreement about keeping with its end."""

from fastapi import APIRouter

from biobank.auth.permissions import Permission
from biobank.donors import life
from biobank.donors.life import MakeAgreement, RecordDeath
from biobank.pages.donors.about import about_donor
from biobank.pages.ui.act_pages import ActForm, ActPage, Done
from biobank.pages.ui.filters import day_said
from biobank.pages.ui.forms import NAMELESS

router = APIRouter(include_in_schema=False)

ActPage(
    address="/donors/{code}/death",
    reads=about_donor(Permission.DONOR_REGISTER),
    form=lambda at: ActForm(
        title="Record a death",
        submit="Record the death",
        lead="Every use stops at once. What the person wanted for this case follows; nothing is destroyed by this form.",
        attach={"donor": at.code},
        icon="donor",
        grave=True,
    ),
    labels={"died_on": "Died on", "source": "Known from", "document_sha256": "The certificate or letter"},
    model=RecordDeath,
    names=("died_on", "source", "document_sha256"),
    keeps=("source", "document_sha256", *NAMELESS),
    use_case=life.record_death,
    after=lambda at, _body, answer: Done(f"/donors/{at.code}", "The death is recorded.", answer["follows"], "care"),
).on(router)

ActPage(
    address="/donors/{code}/agreement",
    reads=about_donor(Permission.CONSENT_RECORD),
    form=lambda at: ActForm(
        title="Record an agreement",
        submit="Record the agreement",
        lead="About keeping the cells: which terms were signed, and until when. A new one goes on from there.",
        attach={"donor": at.code},
        icon="pen",
        draft=True,
    ),
    labels={
        "terms": "Version of the terms",
        "document_sha256": "The signed agreement",
        "begins_on": "From",
        "ends_on": "Until the end of",
    },
    model=MakeAgreement,
    names=("terms", "document_sha256", "begins_on", "ends_on"),
    use_case=life.make_agreement,
    after=lambda at, body, _answer: Done(f"/donors/{at.code}", f"Agreed until {day_said(body.ends_on)}."),
).on(router)
