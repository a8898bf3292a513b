"""Use cases of a donor's record: register, change, read identity. Identity goes into the vault and nowhere else."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, select, update
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.codes import new_codes
from biobank.auth.models import site as _site
from biobank.auth.permissions import Permission
from biobank.custody.event import Event
from biobank.custody.ledger import Appended, Fact, append
from biobank.custody.recording import head_of
from biobank.custody.states import HoldKind, StreamKind
from biobank.donors import events
from biobank.donors.blind_index import INDEX_SECRET, LookAlike, add_tokens, look_alikes_of
from biobank.donors.identifiers import require_own_identifiers
from biobank.donors.identity import Identity, identity_of, keep_documents, tokens_for
from biobank.donors.identity_change import MEMBERS, changed_identity, takes_two, write_identity
from biobank.donors.identity_reads import TooManyIdentities, record_identity_read
from biobank.donors.models import donor
from biobank.donors.queries import shown_look_alikes
from biobank.donors.recording import hold_donor, record_on_donor, recorded
from biobank.donors.schemas import ChangeDonor, Contact, DonorRecorded, ExternalId, FormerName, IdentityPublic, RegisterDonor
from biobank.donors.visibility import DonorErased, get_visible_donor, require_not_erased
from biobank.foundation.errors import Conflict, NotFound
from biobank.foundation.many_rows import GIVEN, given, insert_rows, json_of
from biobank.vault import open_document, put_document, put_documents
from biobank.vault.models import vault_document as _documents

_NAMED = ("code", "identity_commit", "contact_commit")
_rows = given(*(donor.c[name] for name in _NAMED))
_name_documents = update(donor).where(donor.c.code == _rows.c.code).values({name: _rows.c[name] for name in _NAMED[1:]})


class IdentityUnknown(Conflict):
    """The donor came to the bank as a code without identity: there is nothing to show or to compare with."""

    code = "identity_unknown"
    title = "No identity on record"


def register_donor(session: Session, act: Act, request: RegisterDonor) -> DonorRecorded:
    """Register a person: identity and contact into the vault, tokens into the blind index, a nameless row and event.

    Never refuses a look-alike: it may be a namesake. It warns, and the warning stands in the event. An identifier that its issuer
    gave to one person is one person's: raises IdentifierTaken.
    """
    (one,) = register_donors(session, act, [request])
    shown, elsewhere = shown_look_alikes(session, act.actor, one.alike)
    receipt = recorded(act, one.code, [one.appended])
    return DonorRecorded(**receipt, status="living", look_alikes=shown, look_alikes_elsewhere=elsewhere)


@dataclass(frozen=True)
class RegisteredDonor:
    """A person who was registered: the code, the others who could be taken for them, the event."""

    code: str
    alike: list[LookAlike]
    appended: Appended


def register_donors(session: Session, act: Act, requests: Sequence[RegisterDonor]) -> list[RegisteredDonor]:
    """Register several people, in order, as `register_donor` does one: a handful of statements for any number of them."""
    for site in sorted({request.clinic_site for request in requests}):
        act.require(Permission.DONOR_REGISTER, at=site)
        if session.execute(select(_site.c.code).where(_site.c.code == site, _site.c.active)).first() is None:
            raise NotFound(f"There is no active site {site}.", subject=site)
    codes = new_codes(session, "DN", len(requests))
    rows = [
        {"code": code, "clinic_site_code": r.clinic_site, "status": "living", "created_at": act.at, "created_by": act.actor.code}
        for code, r in zip(codes, requests, strict=True)
    ]
    insert_rows(session, donor, rows)
    identities = [identity_of(request) for request in requests]
    commits = keep_documents(session, act, "identity", list(zip(codes, identities, strict=True)))
    stated = [(code, request.contact.model_dump()) for code, request in zip(codes, requests, strict=True) if request.contact]
    of_contacts = put_documents(session, act.keystore, stated)
    kept = {code: commit for (code, _), commit in zip(stated, of_contacts, strict=True)}
    contacts = [kept.get(code) for code in codes]
    of_each = zip(codes, commits, contacts, strict=True)
    session.execute(_name_documents, {GIVEN: json_of([dict(zip(_NAMED, values, strict=True)) for values in of_each])})
    secrets = act.bank.secrets_of(INDEX_SECRET)
    tokens = {code: tokens_for(secrets, identity) for code, identity in zip(codes, identities, strict=True)}
    require_own_identifiers(session, act, tokens)
    add_tokens(session, tokens)
    alike = look_alikes_of(session, codes)
    facts = []
    for code, request, commit, contact in zip(codes, requests, commits, contacts, strict=True):
        registered = events.Registered(
            clinic_site=request.clinic_site,
            identity=commit.hex(),
            contact=None if contact is None else contact.hex(),
            look_alikes=tuple(match.donor_code for match in alike[code]),
        )
        head = head_of(session, act, request, subject=code, site=request.clinic_site)
        facts.append(Fact(StreamKind.DONOR, code, registered, head, donor_code=code))
    done = append(session, facts)
    return [RegisteredDonor(code, alike[code], appended) for code, appended in zip(codes, done, strict=True)]


def change_donor(session: Session, act: Act, code: str, request: ChangeDonor) -> DonorRecorded:
    """Change identity, contact or status. Every version of the identity stays in the vault.

    Who cannot be reached loses nothing: a hold forbids destroying. That somebody lives after all is said by quality. Raises
    NotFound, NotPermitted, DonorErased, IdentityTakesTwo, IdentifierTaken, NothingChanges.
    """
    row = get_visible_donor(session, act.actor, code, lock=True)
    act.require(Permission.DONOR_REGISTER, at=row.clinic_site_code)
    require_not_erased(row)
    site = row.clinic_site_code
    values: dict[str, Any] = {}
    facts: list[Event] = []
    alike: list[LookAlike] = []
    appended: list[Appended] = []
    if request.model_fields_set & MEMBERS:
        before = read_identity_document(session, act, row)
        identity, changed = changed_identity(before, request)
        refusal = takes_two(session, code, changed)
        if refusal is not None:
            raise refusal
        if changed:
            appended, alike = write_identity(session, act, row, identity, changed, request)
    if "contact" in request.model_fields_set:
        if row.contact_commit is not None:
            session.execute(delete(_documents).where(_documents.c.commit == row.contact_commit))
        values["contact_commit"] = _put_contact(session, act, code, request.contact)
        contact = values["contact_commit"]
        facts.append(events.ContactChanged(contact=None if contact is None else contact.hex()))
    if request.status is not None and request.status != row.status:
        if row.status == "deceased":
            act.require(Permission.QUALITY_DECIDE, at=site)
        values["status"] = request.status
        facts.append(events.StatusChanged(status=request.status, before=row.status))
    if not facts and not appended:
        raise NothingChanges(f"The record of {code} already says that.", subject=code)
    if facts:
        session.execute(update(donor).where(donor.c.code == code).values(**values))
        appended += record_on_donor(session, act, code, facts, request, site=site)
    if values.get("status") == "unreachable":
        placed = hold_donor(session, act, code, HoldKind.DONOR_UNREACHABLE, reason="donor_unreachable", site=site)
        appended += [placed[1]] if placed is not None else []
    shown, elsewhere = shown_look_alikes(session, act.actor, alike)
    status = values.get("status", row.status)
    return DonorRecorded(**recorded(act, code, appended), status=status, look_alikes=shown, look_alikes_elsewhere=elsewhere)


def keep_apart(session: Session, code: str, kept_apart: bool) -> bool:
    """Set whether a locked donor's material is kept apart for infection, as quality decided; say whether that changed it."""
    changed = update(donor).where(donor.c.code == code, donor.c.kept_apart.is_not(kept_apart)).values(kept_apart=kept_apart)
    return bool(session.execute(changed.returning(donor.c.code)).first())


class NothingChanges(Conflict):
    """The change asked for is the present state."""

    code = "nothing_changes"
    title = "Nothing changes"


def read_identity(session: Session, act: Act, code: str) -> IdentityPublic:
    """Open the identity of a donor. That somebody looked is an event, written before the answer leaves.

    Raises NotFound, NotPermitted, DonorErased, IdentityUnknown, TooManyIdentities.
    """
    row = get_visible_donor(session, act.actor, code)
    act.require(Permission.IDENTITY_READ, at=row.clinic_site_code)
    require_not_erased(row)
    identity = read_identity_document(session, act, row)
    contact = None if row.contact_commit is None else open_document(session, act.keystore, row.contact_commit)
    record_identity_read(session, act, row, [bytes(row.identity_commit)])
    return IdentityPublic(
        donor=code,
        family_name=identity["family_name"],
        given_names=identity["given_names"],
        date_of_birth=identity["date_of_birth"],
        sex=identity["sex"],
        former_names=[FormerName.model_construct(**name) for name in identity["former_names"]],
        external_ids=[ExternalId.model_construct(**external) for external in identity["external_ids"]],
        contact=None if contact is None else Contact.model_construct(**contact),
    )


def read_identities(session: Session, act: Act, codes: Sequence[str]) -> list[IdentityPublic]:
    """Open the identities of a few donors that a search found, as `read_identity` does.

    Left out is who is not known any more, and what is more than a person may read in an hour.
    """
    found: list[IdentityPublic] = []
    for code in sorted(codes):
        with suppress(DonorErased, IdentityUnknown, TooManyIdentities):
            found.append(read_identity(session, act, code))
    return found


def read_identity_document(session: Session, act: Act, row: Any) -> Identity:
    """Open the present identity document of a donor row; raise IdentityUnknown when there is none."""
    if row.identity_commit is None:
        raise IdentityUnknown(f"The bank holds no identity of {row.code}, only the code.", subject=row.code)
    return open_document(session, act.keystore, row.identity_commit)


def _put_contact(session: Session, act: Act, code: str, contact: Contact | None) -> bytes | None:
    return None if contact is None else put_document(session, act.keystore, code, contact.model_dump())
