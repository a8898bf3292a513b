"""Patients, and what they consented to."""

from typing import Any

from sqlalchemy import Row, Select, select

from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.donors.models import consent, donor
from biobank.donors.schemas import IdentityPublic
from biobank.donors.visibility import visible
from biobank.interchange.fhir.saying import Resource, Saying, instant, slim
from biobank.interchange.fhir.sources import Source, equal, holds, referring

_PSEUDONYM = {"system": "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code": "PSEUDED"}
_SCOPES = {"research": "research", "treatment": "treatment"}
"""Kinds of consent for which HL7 has a scope of its own."""


def _donors(actor: Actor) -> "Select[Any]":
    return select(donor).where(visible(actor), donor.c.merged_into.is_(None))


def patient(say: Saying, row: "Row[Any]", who: IdentityPublic | None = None) -> Resource:
    """Return a donor as a Patient: by code alone, or as the person where it is known who it is."""
    return slim(
        resourceType="Patient",
        id=row.code,
        meta={"security": [_PSEUDONYM]} if who is None else None,
        identifier=[say.identifier("donor", row.code), *([] if who is None else _known_elsewhere(who))],
        **({} if who is None else _named(who)),
        deceasedBoolean=True if row.status == "deceased" else None,
        managingOrganization={"type": "Organization", "identifier": say.identifier("site", row.clinic_site_code)},
    )


def _known_elsewhere(who: IdentityPublic) -> list[Resource]:
    return [{"value": one.value, "assigner": {"display": one.issuer}} for one in who.external_ids]


def _named(who: IdentityPublic) -> Resource:
    names = [_name("official", who.family_name, who.given_names)]
    names += [_name("old", one.family_name, one.given_names) for one in who.former_names]
    reached = [] if who.contact is None else [("phone", who.contact.phone), ("email", who.contact.email)]
    address = None if who.contact is None else who.contact.address
    return slim(
        name=names,
        telecom=[{"system": system, "value": value} for system, value in reached if value],
        gender=who.sex,
        birthDate=who.date_of_birth,
        address=[{"text": address}] if address else None,
    )


def _name(use: str, family: str, given: str | None) -> Resource:
    return slim(use=use, family=family, given=[given] if given else None)


PATIENTS = Source(
    permissions=(Permission.DONOR_READ,),
    rows=_donors,
    key=donor.c.code,
    donor=donor.c.code,
    build=patient,
    has_id=equal(donor.c.code),
    filters={"identifier": equal(donor.c.code)},
)


def _consents(actor: Actor) -> "Select[Any]":
    return select(consent).join(donor, donor.c.code == consent.c.donor_code).where(visible(actor))


def _consent(say: Saying, row: "Row[Any]") -> Resource:
    until = slim(end=instant(row.valid_until))
    about = [say.coding("tissue", one) for one in row.tissues or []]
    same = slim(
        resourceType="Consent",
        id=str(row.id),
        status="inactive" if row.revoked_at is not None else "active",
        category=[say.concept("consent", row.kind)],
        extension=[
            *say.extension("revoked-at", valueDateTime=instant(row.revoked_at)),
            *say.extension("on-death", valueCodeableConcept=say.concept("consent-on-death", row.on_death)),
            *say.extension("at-end-of-term", valueCodeableConcept=say.concept("consent-at-end-of-term", row.at_end_of_term)),
        ],
    )
    covered = slim(period=until, code=[{"coding": about}] if about else None)
    if say.r5:
        return same | slim(
            subject=say.reference("Patient", row.donor_code),
            decision="permit",
            period=slim(start=instant(row.given_at)) | until,
            sourceAttachment=[{"title": row.form_version}],
            provision=[covered] if covered else None,
        )
    standard = _SCOPES.get(row.kind)
    scope = (
        say.concept("consent", row.kind)
        if standard is None
        else {"coding": [{"system": "http://terminology.hl7.org/CodeSystem/consentscope", "code": standard}]}
    )
    return same | slim(
        scope=scope,
        patient=say.reference("Patient", row.donor_code),
        dateTime=instant(row.given_at),
        sourceAttachment={"title": row.form_version},
        policyRule={"text": row.form_version},
        provision={"type": "permit"} | covered,
    )


CONSENTS = Source(
    permissions=(Permission.DONOR_READ,),
    rows=_consents,
    key=consent.c.id,
    donor=consent.c.donor_code,
    build=_consent,
    has_id=holds(consent.c.id),
    filters={"patient": referring(consent.c.donor_code, "Patient"), "category": equal(consent.c.kind)},
)
