"""An identifier that an issuer gave to one person is one person's: a second one is refused where it is registered or changed."""

from sqlmodel import Session

from biobank.acts.act import Act
from biobank.donors.blind_index import Tokens, owners_of_identifiers
from biobank.donors.queries import visible_among
from biobank.foundation.errors import Conflict


class IdentifierTaken(Conflict):
    """Another person is registered under this identifier of this issuer."""

    code = "identifier_taken"
    title = "Somebody else's identifier"


def require_own_identifiers(session: Session, act: Act, tokens: Tokens) -> None:
    """Raise IdentifierTaken; who may not know of the other person is not told who it is."""
    others = sorted(owners_of_identifiers(session, tokens))
    if not others:
        return
    known = visible_among(session, act.actor, others)
    who = ", ".join(code for code in others if code in known) or "Somebody whom you may not see"
    raise IdentifierTaken(
        f"{who}: the same identifier of this issuer stands there already. It is the same person, or one of the two is wrong. "
        "Look there first and correct it; where you may not look, ask quality."
    )
