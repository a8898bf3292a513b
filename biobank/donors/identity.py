"""The identity document: who a donor is, as the vault keeps it, and how it is compared with what a patient says."""

from collections.abc import Sequence
from typing import Any

from sqlmodel import Session

from biobank.acts.act import Act
from biobank.donors.blind_index import Named, TokenKind, external_value, index_values, tokens_of
from biobank.donors.events import IdentifierKind
from biobank.donors.models import donor_document as _kept
from biobank.donors.names import same_family_name, same_given_names
from biobank.donors.schemas import FormerName, RegisterDonor
from biobank.donors.visit_schemas import Stated
from biobank.foundation.many_rows import insert_rows
from biobank.vault import put_documents

Identity = dict[str, Any]
"""family_name, given_names (or null), date_of_birth (ISO), sex, former_names [{family_name, given_names}],
external_ids [{issuer, value}]."""


def identity_of(request: RegisterDonor) -> Identity:
    """Return the document of a registration."""
    return {
        "family_name": request.family_name,
        "given_names": request.given_names,
        "date_of_birth": request.date_of_birth,
        "sex": request.sex,
        "former_names": [name.model_dump() for name in request.former_names],
        "external_ids": [external.model_dump() for external in request.external_ids],
    }


def keep_document(session: Session, act: Act, donor_code: str, kind: str, document: dict[str, Any]) -> bytes:
    """Put a document into the vault that a partial erasure keeps; return its commitment.

    Contact and free text do not come this way: they go when the donor asks.
    """
    return keep_documents(session, act, kind, [(donor_code, document)])[0]


def keep_documents(session: Session, act: Act, kind: str, said: Sequence[tuple[str, dict[str, Any]]]) -> list[bytes]:
    """Do the same for several documents, each with its donor; return the commitments in order."""
    commits = put_documents(session, act.keystore, said)
    rows = [{"commit": commit, "donor_code": donor, "kind": kind} for commit, (donor, _) in zip(commits, said, strict=True)]
    insert_rows(session, _kept, rows)
    return commits


def tokens_for(secrets: Sequence[bytes], identity: Identity) -> dict[bytes, TokenKind]:
    """Return the blind index of a person: present and former names, birth date, identifiers; under each of the secrets."""
    names = [(identity["family_name"], identity["given_names"])]
    names += [(name["family_name"], name["given_names"]) for name in identity["former_names"]]
    values = index_values(
        [Named(family, given or "") for family, given in names],
        identity["date_of_birth"],
        [(external["issuer"], external["value"]) for external in identity["external_ids"]],
    )
    return {one: kind for secret in secrets for one, kind in tokens_of(secret, values).items()}


def differing(identity: Identity, stated: Stated) -> tuple[IdentifierKind, ...]:
    """Return the kinds of identifiers whose stated value is not the one on record. Pure.

    Spelling does not matter (case, accents, apostrophes, dashes, spaces); sound does not help. Of several given names the
    first may stand alone. A former name is not the name on record: change the record first, with its evidence. Given names that
    were not asked for are no difference here (`not_asked`).
    """
    wrong: list[IdentifierKind] = []
    if stated.name is not None and not same_name(stated.name, identity["family_name"], identity["given_names"]):
        wrong.append("name")
    if stated.date_of_birth is not None and stated.date_of_birth != identity["date_of_birth"]:
        wrong.append("date_of_birth")
    if stated.external_id is not None:
        known = {external_value(external["issuer"], external["value"]) for external in identity["external_ids"]}
        if external_value(stated.external_id.issuer, stated.external_id.value) not in known:
            wrong.append("external_id")
    return tuple(wrong)


def same_name(stated: FormerName, family_name: str, given_names: str | None) -> bool:
    """Say whether what was stated of a name is the name on record."""
    if not same_family_name(stated.family_name, family_name):
        return False
    if stated.given_names is None:
        return True
    return given_names is not None and same_given_names(stated.given_names, given_names)


def not_asked(identity: Identity, stated: Stated) -> bool:
    """Say whether the record has given names and the patient was asked for the family name only. Pure."""
    return stated.name is not None and stated.name.given_names is None and identity["given_names"] is not None
