"""One-time codes: what opens a login whose owner has no password yet, or lost it.

A code stands where the password hash stands, lives three days, and opens nothing but the choice of a password of one's own. It
is made by the bank when its slip is drawn, so no colleague chooses it, and it is kept as its Argon2id hash only.
"""

import secrets
from datetime import timedelta

from biobank.foundation.codes import BODY_ALPHABET

LIFETIME = timedelta(days=3)
LENGTH = 16
"""Characters of 5 bits each: 80 random bits."""
GROUP = 4
_ALIASES = str.maketrans("OIL", "011", "- \t")


def new_code() -> str:
    """Return a fresh code in groups, as it is printed: `8F3K-Z2QM-0T7V-WXA9`."""
    letters = "".join(secrets.choice(BODY_ALPHABET) for _ in range(LENGTH))
    return "-".join(letters[at : at + GROUP] for at in range(0, LENGTH, GROUP))


def as_typed(text: str) -> str:
    """Return what is hashed and compared of a typed code: letter case, spaces and hyphens do not matter, and O is 0."""
    return text.upper().translate(_ALIASES)
