"""Resolving any code."""

from collections.abc import Collection

from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.foundation.codes import Prefix, parse_code
from biobank.foundation.config import Settings
from biobank.scanning.schemas import ScanAnswer
from biobank.specimens.resolving import matching_aliases, resolve_code

KINDS: dict[Prefix, tuple[str, str | None]] = {
    Prefix("DN"): ("donor", "/donors/"),
    Prefix("BX"): ("container", "/storage/"),
    Prefix("PS"): ("position", None),
    Prefix("LT"): ("lot", None),
    Prefix("KT"): ("kit", None),
    Prefix("WB"): ("wristband", None),
    Prefix("WD"): ("withdrawal", "/withdrawals/"),
}


def resolve_scan(session: Session, actor: Actor, text: str, settings: Settings) -> ScanAnswer:
    """Say what a scanned text names. Raises what `specimens.resolving.resolve_code` raises."""
    found = resolve_code(session, actor, text, settings)
    if found.specimen is not None:
        projection = found.specimen.projection
        return ScanAnswer(
            kind="specimen",
            code=found.code,
            page=f"/specimens/{found.code}",
            issuer=found.issuer,
            state=projection.state,
            seq=found.specimen.seq,
            container=projection.container_code,
            position=projection.position_code,
            where_now=found.specimen.where_now,
        )
    kind, page = KINDS.get(parse_code(found.code).prefix, ("other", None))
    return ScanAnswer(kind=kind, code=found.code, page=None if page is None else page + found.code, issuer=found.issuer)


def known_texts(session: Session, _actor: Actor, texts: Collection[str]) -> frozenset[str]:
    """Return which of the texts are identifiers that another issuer gave to a tube of this bank."""
    return frozenset(matching_aliases(session, texts))
