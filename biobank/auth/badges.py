"""What a sign-in by badge and PIN may do: one rule, for pages and use cases.

It reads and handles at the site of its station, by the roles that its owner holds there. It signs nothing, and neither reads nor
changes what is worth a password: who a donor is, decisions, logins, settings, the log and what leaves by export. Of what two do
it does neither half: where no signature tells them apart (a pick, taking over, counting again), their full sign-ins do. `Actor`
asks this wherever a permission is asked for, and `Actor.require_full` where something is done without one.
"""

from typing import Any, ClassVar, Final

from biobank.auth.permissions import Permission as P
from biobank.foundation.errors import NotPermitted

BY_BADGE: Final = frozenset(
    {
        P.CUSTODY_RECORD,
        P.DEVIATION_OPEN,
        P.DONOR_READ,
        P.HARVEST_RECORD,
        P.HOLD_PLACE,
        P.LABEL_PRINT,
        P.PROCESSING_RECORD,
        P.REVERSAL_RECORD,
        P.SHIPMENT_RECORD,
        P.SPECIMEN_READ,
        P.STORAGE_RECORD,
        P.WITHDRAWAL_READ,
    }
)


class FullSignInNeeded(NotPermitted):
    """Who is signed in by badge and PIN signs in with password and second factor first: this is signed, or worth a password."""

    code: ClassVar[str] = "full_sign_in_needed"
    title: ClassVar[str] = "Sign in with your password"


def not_by_badge(what: str, **members: Any) -> FullSignInNeeded:
    """Return the refusal of `what`, the end of "By badge you may not …"."""
    said = f"By badge and PIN you may not {what}. Sign in with your password, if your role lets you."
    return FullSignInNeeded(said, **{name: value for name, value in members.items() if value is not None})
