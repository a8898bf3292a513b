"""From what a scanner sent to a specimen: our own code, our label's address, or another issuer's identifier.

Frozen vials are not relabelled: a pre-etched tube, a legacy bank's vial or a clinic's bag keeps the identifier it came with,
and `specimen_alias` says which specimen it is. An address on an unknown host is never our tube, whatever code stands in it.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, bindparam, select
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.custody.legality import TO_QUARANTINE, Snapshot
from biobank.custody.snapshots import get_visible, load, may_know, unknown_specimen
from biobank.foundation.codes import SPECIMENS, CheckCharacterWrong, Code, MalformedCode, resolve_payload
from biobank.foundation.config import Settings
from biobank.foundation.db import table_of
from biobank.foundation.errors import Conflict, NotFound
from biobank.specimens.kits import kit_label
from biobank.specimens.models import SpecimenAlias

alias = table_of(SpecimenAlias)
_find_alias = select(alias.c.issuer, alias.c.specimen_code).where(alias.c.value == bindparam("value")).limit(50)
_find_label = select(kit_label).where(kit_label.c.specimen_code == bindparam("code"))


class AmbiguousIdentifier(Conflict):
    """Several issuers gave this identifier, to different specimens."""

    code = "ambiguous_identifier"
    title = "More than one specimen has this identifier"


class LabelNotInUse(Conflict):
    """The code stands on a pre-printed label that no harvest used, or that was destroyed as unused."""

    code = "label_not_in_use"
    title = "This label belongs to no specimen"


@dataclass(frozen=True)
class Resolved:
    """What was scanned. `specimen` is None when the code names something else (a box, a donor, a kit …).

    `issuer` is None when it was our own code, else who gave the identifier.
    """

    code: str
    specimen: Snapshot | None
    issuer: str | None = None


def resolve_code(session: Session, actor: Actor, text: str, settings: Settings) -> Resolved:
    """Read a scan and find the specimen.

    Raises ForeignLabel (another bank's address), NotFound (nothing the actor may know of), AmbiguousIdentifier, LabelNotInUse,
    and MalformedCode or CheckCharacterWrong when it is neither a code of ours nor a known identifier.
    """
    try:
        code = resolve_payload(text, settings.host_name, settings.former_hosts)
    except MalformedCode as error:
        # A foreign identifier may have the shape of our codes; one that is known is itself, not a misread code.
        known = find_alias(session, actor, text.strip())
        if known is not None:
            return known
        if isinstance(error, CheckCharacterWrong):
            raise
        raise NotFound(
            "Nothing here answers to what was scanned: it is no code of this bank and no identifier it knows. Scan the label "
            "again; if it is right, register the tube as unidentified.",
            where_now=TO_QUARANTINE,
        ) from None
    if code.prefix not in SPECIMENS:
        return Resolved(code.text, None)
    return Resolved(code.text, _own(session, actor, code))


def find_alias(session: Session, actor: Actor, value: str, issuer: str | None = None) -> Resolved | None:
    """Return the specimen another issuer's identifier stands for, or None. Raises NotFound, AmbiguousIdentifier."""
    rows = [row for row in session.execute(_find_alias, {"value": value}) if issuer is None or row.issuer == issuer]
    if not rows:
        return None
    found = load(session, {row.specimen_code for row in rows})
    known = [row for row in rows if may_know(actor, found[row.specimen_code])]
    if not known:
        raise NotFound("There is no specimen with this identifier that you may see.", where_now=TO_QUARANTINE)
    codes = {row.specimen_code for row in known}
    if len(codes) > 1:
        raise AmbiguousIdentifier(
            "Several specimens have this identifier, from different issuers. Say which issuer gave the one in your hand.",
            where_now=TO_QUARANTINE,
            issuers=sorted(row.issuer for row in known),
        )
    first: Row[Any] = known[0]
    return Resolved(first.specimen_code, found[first.specimen_code], first.issuer)


def _own(session: Session, actor: Actor, code: Code) -> Snapshot:
    try:
        return get_visible(session, actor, code.text)
    except NotFound:
        label = session.execute(_find_label, {"code": code.text}).first()
        if label is None or label.used_at is not None:
            raise unknown_specimen(code.text) from None
    what = "was destroyed as unused" if label.voided_at is not None else "was never used in a harvest"
    raise LabelNotInUse(
        f"{code.text} is a label of kit {label.kit_code} that {what}. Whatever it is on is not what it says: call quality.",
        where_now=TO_QUARANTINE,
        subject=code.text,
    )
