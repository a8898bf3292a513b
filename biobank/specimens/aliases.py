"""Foreign identifiers of specimens. The event carries a commitment: another issuer's identifier may say who the person is."""

from collections.abc import Collection

from pydantic import ValidationError
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.custody.recording import BANK_SUBJECT, Move, acknowledge, record, require_expected
from biobank.custody.service import receipt_of
from biobank.custody.snapshots import get_visible
from biobank.donors.identity import keep_document
from biobank.foundation.codes import ForeignLabel, MalformedCode, resolve_payload
from biobank.foundation.errors import AlreadyExists, Conflict
from biobank.foundation.scanned_text import spellings
from biobank.specimens.events import Aliased
from biobank.specimens.foreign_codes import ForeignCodeWrong, require_readable
from biobank.specimens.resolving import alias, same_identifier
from biobank.specimens.schemas import AddAlias, AliasAdded
from biobank.vault import put_document


class AliasLooksLikeOurs(Conflict):
    """The identifier reads as one of our codes or as a label's address: a scan of it would never reach this entry."""

    code = "alias_looks_like_ours"
    title = "Reads as a code of ours"


def add_alias(session: Session, act: Act, code: str, request: AddAlias) -> AliasAdded:
    """Let another issuer's identifier stand for a specimen.

    Raises NotFound, NotPermitted, StaleSequence, AliasLooksLikeOurs, ForeignCodeWrong, AlreadyExists when the issuer's identifier
    is taken; IllegalTransition and ReservedElsewhere once the specimen is chosen for a patient or out.
    """
    specimen = get_visible(session, act.actor, code, lock=True)
    require_expected(specimen, request.expected_seq)
    if _reads_as_ours(request.value, act.bank.settings.host_name, act.bank.settings.former_hosts):
        raise AliasLooksLikeOurs(
            "This reads as a code of ours or as the address on a label, not as another issuer's identifier. Scan the tube.",
            subject=code,
        )
    require_readable(request.issuer, request.value)
    known = select(alias.c.specimen_code).where(alias.c.issuer == request.issuer, same_identifier.in_(spellings(request.value)))
    added = None
    if session.execute(known.limit(1)).first() is None:
        added = session.execute(
            insert(alias)
            .values(
                issuer=request.issuer,
                value=request.value,
                specimen_code=code,
                occurred_at=request.occurred_at or act.at,
                recorded_at=act.at,
            )
            .on_conflict_do_nothing()
            .returning(alias.c.specimen_code)
        ).first()
    if added is None:
        raise AlreadyExists(
            f"{request.issuer} gave this identifier to a specimen already. Check which tube is in your hand.",
            where_now=specimen.where_now,
            subject=code,
        )
    words = {"issuer": request.issuer, "value": request.value}
    commit = (
        put_document(session, act.keystore, BANK_SUBJECT, words)
        if specimen.donor_code is None
        else keep_document(session, act, specimen.donor_code, "alias", words)
    )
    event = Aliased(issuer=request.issuer, value_commit=commit.hex())
    appended = record(session, act, [Move(specimen, event)], request)
    return AliasAdded(
        specimen=code,
        issuer=request.issuer,
        seq=appended[-1].seq,
        events=[receipt_of(a) for a in appended],
        receipt=acknowledge(act, appended),
    )


def may_be_an_alias(issuer: str, value: str) -> bool:
    """Say whether a value can be another issuer's identifier: what `add_alias` takes. Pure."""
    try:
        AddAlias(issuer=issuer, value=value)
        require_readable(issuer, value)
    except (ValidationError, ForeignCodeWrong):
        return False
    # An address reads as ours whatever its host is.
    return not _reads_as_ours(value, "bank.invalid")


def _reads_as_ours(value: str, host: str, former_hosts: Collection[str] = ()) -> bool:
    try:
        resolve_payload(value, host, former_hosts)
    except ForeignLabel:
        return True
    except MalformedCode:
        return False
    return True
