"""One-time codes: what opens a login whose owner has no password yet, or lost it.

A code has two halves of 80 random bits, each shown to one of the two people who signed, so neither of them holds a code. It
lives three days, and opens nothing but the choice of a password of one's own. The bank makes each half when it is drawn, so no
colleague chooses it. Of the half that was drawn first a SHA-256 digest is kept until the other is drawn: that many random bits
cannot be searched. Then the Argon2id hash of both digests stands where the password hash stands, and the digest goes.
"""

import hashlib
import secrets
from datetime import timedelta

from biobank.foundation.codes import BODY_ALPHABET

LIFETIME = timedelta(days=3)
LENGTH = 16
"""Characters of 5 bits each in a half: 80 random bits."""
GROUP = 4
_ALIASES = str.maketrans("OIL", "011", "- \t")
_DOMAIN = b"biobank/half-of-a-code/v1\0"


def new_half() -> str:
    """Return a fresh half in groups, as it is printed: `8F3K-Z2QM-0T7V-WXA9`."""
    letters = "".join(secrets.choice(BODY_ALPHABET) for _ in range(LENGTH))
    return "-".join(letters[at : at + GROUP] for at in range(0, LENGTH, GROUP))


def new_code() -> str:
    """Return both halves of a fresh code, for the console of a bank that has nobody who could be the second person yet."""
    return f"{new_half()} {new_half()}"


def digest_of(half: str) -> bytes:
    """Return the 32 bytes that are kept of one half; letter case, spaces and hyphens do not matter, and O is 0."""
    return hashlib.sha256(_DOMAIN + _plain(half).encode("utf-8", "surrogatepass")).digest()


def of_halves(one: bytes, other: bytes) -> str:
    """Return what is hashed of a code with these digests of its halves, in either order. Nobody can type it: see `as_typed`."""
    first, second = sorted((one, other))
    return f"{first.hex()}-{second.hex()}"


def as_typed(text: str) -> str:
    """Return what is hashed and compared of a typed code. Its owner types both halves, in either order."""
    plain = _plain(text)
    if len(plain) != 2 * LENGTH:
        return plain  # no code, and it holds no hyphen and no small letter, as every `of_halves` does
    return of_halves(digest_of(plain[:LENGTH]), digest_of(plain[LENGTH:]))


def _plain(text: str) -> str:
    return text.upper().translate(_ALIASES)
