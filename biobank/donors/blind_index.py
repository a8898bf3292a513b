"""Finding a person without storing a name: keyed hashes of normalised names, birth dates and identifiers.

    token = HMAC-SHA256(secret "blind-index", "biobank/index/v1\\0" || kind || "\\0" || value)

Without the secret a token says nothing, and nobody can try all birth dates against it. Whoever holds the database alone
still sees which donors share a token; that is why tokens of a person are deleted with the person.
"""

import hashlib
import hmac
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, TypeAlias

from sqlalchemy import and_, delete, func, select
from sqlmodel import Session

from biobank.donors.models import DonorIndex
from biobank.donors.names import joined, sound, words
from biobank.foundation.db import table_of
from biobank.foundation.many_rows import GIVEN, insert_given, json_of

INDEX_SECRET: Final = "blind-index"  # noqa: S105 - the name of a secret, not a secret
DOMAIN: Final = b"biobank/index/v1\0"
index = table_of(DonorIndex)
_own = index.alias()
_add = insert_given(index, ("donor_code", "token", "kind")).on_conflict_do_nothing(index_elements=["donor_code", "token"])


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
    WORD_START = "word_start"


SHORTEST_START: Final = 3
LONGEST_START: Final = 10
"""Of how many letters of a word its beginning is kept: fewer find everybody, more find nobody else."""

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
        values.update((TokenKind.WORD_START, start) for word in {*family_words, *given_words} for start in starts_of(word))
        if birth is not None:
            values.add((TokenKind.FAMILY_BIRTH, f"{family}|{birth}"))
            values.add((TokenKind.SOUND_BIRTH, f"{sound(family)}|{birth}"))
    if birth is not None:
        values.add((TokenKind.BIRTH, birth))
    values.update((TokenKind.EXTERNAL, external_value(issuer, value)) for issuer, value in external_ids)
    return values


def starts_of(word: str) -> list[str]:
    """Return the beginnings of a word by which it is found before it is typed to its end. Pure."""
    return [word[:length] for length in range(SHORTEST_START, min(len(word) - 1, LONGEST_START) + 1)]


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


Tokens: TypeAlias = Mapping[str, Mapping[bytes, TokenKind]]
"""By donor: token → kind."""


def add_tokens(session: Session, tokens: Tokens) -> None:
    """Add tokens of donors. Those of former names stay: people come back under the name they had."""
    rows: list[dict[str, Any]] = [
        {"donor_code": donor_code, "token": t, "kind": k.value}
        for donor_code, own in tokens.items()
        for t, k in sorted(own.items())
    ]
    if rows:
        session.execute(_add, {GIVEN: json_of(rows)})


def owners_of_identifiers(session: Session, tokens: Tokens) -> set[str]:
    """Return the other donors on the books who have an identifier of these; themselves, where two of them bring the same one."""
    owners: dict[bytes, str] = {}
    shared: set[str] = set()
    for donor_code, own in tokens.items():
        for one in (t for t, kind in own.items() if kind is TokenKind.EXTERNAL):
            if owners.setdefault(one, donor_code) != donor_code:
                shared |= {donor_code, owners[one]}
    if not owners:
        return shared
    known = index.c.token.in_(list(owners)), index.c.kind == TokenKind.EXTERNAL.value, index.c.donor_code.not_in(list(tokens))
    return shared | set(session.execute(select(index.c.donor_code).where(*known)).scalars())


def forget_tokens(session: Session, donor_code: str, kinds: Iterable[TokenKind] | None = None) -> None:
    """Delete tokens of a donor: all of them, or those of some kinds (a corrected birth date was never theirs)."""
    statement = delete(index).where(index.c.donor_code == donor_code)
    if kinds is not None:
        statement = statement.where(index.c.kind.in_([k.value for k in kinds]))
    session.execute(statement)


def look_alikes_of(session: Session, donor_codes: Sequence[str]) -> dict[str, list[LookAlike]]:
    """Return for each donor on the books the others who share a telling token, strongest reason first."""
    telling = [kind.value for kind in LOOK_ALIKE]
    rows = session.execute(
        select(_own.c.donor_code.label("of"), index.c.donor_code, func.array_agg(index.c.kind.distinct()).label("kinds"))
        .join(index, and_(index.c.token == _own.c.token, index.c.donor_code != _own.c.donor_code))
        .where(_own.c.donor_code.in_(donor_codes), _own.c.kind.in_(telling))
        .group_by(_own.c.donor_code, index.c.donor_code)
    )
    found: dict[str, list[LookAlike]] = {code: [] for code in donor_codes}
    for row in rows:
        reasons = tuple(reason for kind, reason in LOOK_ALIKE.items() if kind.value in row.kinds)
        found[row.of].append(LookAlike(row.donor_code, reasons))
    return {code: _strongest(alike) for code, alike in found.items()}


LOOK_ALIKES_SHOWN: Final = 20


def _strongest(found: list[LookAlike]) -> list[LookAlike]:
    order = {reason: rank for rank, reason in enumerate(LOOK_ALIKE.values())}
    return sorted(found, key=lambda m: (order[m.reasons[0]], m.donor_code))[:LOOK_ALIKES_SHOWN]
