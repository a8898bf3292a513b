"""Finding a person without storing a name: keyed hashes of normalised names, birth dates and identifiers.

    token = HMAC-SHA256(secret "blind-index", "biobank/index/v1\\0" || kind || "\\0" || value)

Without the secret a token says nothing, and nobody can try all birth dates against it. Whoever holds the database alone
still sees which donors share a token; that is why tokens of a person are deleted with the person.
"""

import hashlib
import hmac
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import delete, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlmodel import Session

from biobank.donors.models import DonorIndex
from biobank.donors.names import joined, sound, words
from biobank.foundation.db import table_of

DOMAIN: Final = b"biobank/index/v1\0"
_index = table_of(DonorIndex)


class TokenKind(StrEnum):
    """What a token is made of."""

    EXTERNAL = "external"
    FAMILY = "family"
    FULL = "full"
    FULL_SOUND = "full_sound"
    BIRTH = "birth"
    FAMILY_BIRTH = "family_birth"
    SOUND_BIRTH = "sound_birth"
    WORD = "word"
    WORD_SOUND = "word_sound"


LOOK_ALIKE: Final = {
    TokenKind.EXTERNAL: "same_external_id",
    TokenKind.FULL: "same_name",
    TokenKind.FAMILY_BIRTH: "same_family_name_and_birth_date",
    TokenKind.FULL_SOUND: "similar_name",
    TokenKind.SOUND_BIRTH: "similar_family_name_and_birth_date",
}
"""The tokens two people may share only with a warning, strongest first, and the warning's code.

A shared family name or birth date alone is no warning: in a bank of any size everyone has one.
"""


@dataclass(frozen=True)
class Named:
    """One way a person is or was known."""

    family_name: str
    given_names: str


@dataclass(frozen=True)
class LookAlike:
    """Another donor who could be taken for this one."""

    donor_code: str
    reasons: tuple[str, ...]


def index_values(
    names: Iterable[Named], birth: str | None, external_ids: Iterable[tuple[str, str]]
) -> set[tuple[TokenKind, str]]:
    """Return the normalised values a person is indexed by. `birth` is an ISO date; external ids are (issuer, value).

    The two halves of a full name are sorted, so that exchanged family and given names (Li Wei, Wei Li) still meet. Pure.
    """
    values: set[tuple[TokenKind, str]] = set()
    for name in names:
        family, given = joined(name.family_name), joined(name.given_names)
        family_words, given_words = words(name.family_name), words(name.given_names)
        if not family:
            continue
        values.add((TokenKind.FAMILY, family))
        values.add((TokenKind.FULL, _pair(family, given)))
        values.add((TokenKind.FULL_SOUND, _pair(sound(family), sound(given_words[0] if given_words else ""))))
        values.update((TokenKind.WORD, word) for word in {*family_words, *given_words, family, given} if word)
        values.update((TokenKind.WORD_SOUND, sound(word)) for word in {*family_words, *given_words, family, given} if word)
        if birth is not None:
            values.add((TokenKind.FAMILY_BIRTH, f"{family}|{birth}"))
            values.add((TokenKind.SOUND_BIRTH, f"{sound(family)}|{birth}"))
    if birth is not None:
        values.add((TokenKind.BIRTH, birth))
    values.update((TokenKind.EXTERNAL, external_value(issuer, value)) for issuer, value in external_ids)
    return values


def external_value(issuer: str, value: str) -> str:
    """Return the normal form of an identifier that someone else gave: `issuer|value`."""
    return f"{joined(issuer)}|{joined(value)}"


def _pair(one: str, other: str) -> str:
    return "|".join(sorted((one, other)))


def token(secret: bytes, kind: TokenKind, value: str) -> bytes:
    """Return the 32-byte token of a normalised value."""
    return hmac.digest(secret, DOMAIN + kind.value.encode() + b"\0" + value.encode(), hashlib.sha256)


def tokens_of(secret: bytes, values: Iterable[tuple[TokenKind, str]]) -> dict[bytes, TokenKind]:
    """Return token → kind for the values of one person."""
    return {token(secret, kind, value): kind for kind, value in values}


def add_tokens(session: Session, donor_code: str, tokens: dict[bytes, TokenKind]) -> None:
    """Add tokens of a donor. Those of former names stay: people come back under the name they had."""
    rows: list[dict[str, Any]] = [{"donor_code": donor_code, "token": t, "kind": k.value} for t, k in sorted(tokens.items())]
    if rows:
        session.execute(insert(_index).on_conflict_do_nothing(), rows)


def forget_tokens(session: Session, donor_code: str, kinds: Iterable[TokenKind] | None = None) -> None:
    """Delete tokens of a donor: all of them, or those of some kinds (a corrected birth date was never theirs)."""
    statement = delete(_index).where(_index.c.donor_code == donor_code)
    if kinds is not None:
        statement = statement.where(_index.c.kind.in_([k.value for k in kinds]))
    session.execute(statement)


def look_alikes_by(session: Session, tokens: dict[bytes, TokenKind], *, besides: str | None) -> list[LookAlike]:
    """Return other donors who share a telling token, strongest reason first."""
    telling = [t for t, kind in tokens.items() if kind in LOOK_ALIKE]
    return _matches(session, select(_index.c.token).where(_index.c.token.in_(telling)), besides) if telling else []


def look_alikes_of(session: Session, donor_code: str) -> list[LookAlike]:
    """Return the present look-alikes of a donor already on the books."""
    own = select(_index.c.token).where(_index.c.donor_code == donor_code, _index.c.kind.in_([kind.value for kind in LOOK_ALIKE]))
    return _matches(session, own, donor_code)


LOOK_ALIKES_SHOWN: Final = 20


def _matches(session: Session, telling: Any, besides: str | None) -> list[LookAlike]:
    rows = session.execute(
        select(_index.c.donor_code, func.array_agg(_index.c.kind.distinct()).label("kinds"))
        .where(_index.c.token.in_(telling), _index.c.donor_code != (besides or ""))
        .group_by(_index.c.donor_code)
        .order_by(_index.c.donor_code)
    )
    found = [
        LookAlike(row.donor_code, tuple(reason for kind, reason in LOOK_ALIKE.items() if kind.value in row.kinds)) for row in rows
    ]
    order = {reason: rank for rank, reason in enumerate(LOOK_ALIKE.values())}
    return sorted(found, key=lambda m: (order[m.reasons[0]], m.donor_code))[:LOOK_ALIKES_SHOWN]
