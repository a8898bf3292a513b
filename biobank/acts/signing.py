"""Electronic signatures: a password entered again, for one act, with one meaning (21 CFR 11.50, 11.70, 11.200).

    POST /signatures {password, meaning, act_hash}  →  {signature: token, …}

The token is used once, within two minutes, by the person who entered the password, in the very request whose act hash was
signed: `acts/act.py: act_hash` over method, path and body without credentials. A signature therefore cannot be lifted off one
act and put under another, and nobody can sign for someone else.

With the password comes the person's own key, which signs what the signature says; the entries of the act then bear it
(`personal_signature.py`), and whoever reads the log can tell it from one that nobody gave.

A use case calls `use_signature(session, act, token, meaning)`. It consumes the token in the act's own transaction: when the
act is refused the transaction rolls back and the token is still good. The event that records the act carries the signature's
id, so act and signature are tied in the log.
"""

import base64
import hashlib
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID, uuid4

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import bindparam, insert, select, update
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.personal_signature import PersonalSignature, Said, hold
from biobank.auth.models import Signature
from biobank.auth.personal_keys import key_in_force, public_of
from biobank.auth.schemas import SECOND
from biobank.foundation.db import table_of
from biobank.foundation.errors import NotPermitted, Refusal
from biobank.foundation.terms import words

LIFETIME = timedelta(minutes=2)
TOKEN_BYTES = 32

_signature = table_of(Signature)
_insert = insert(_signature)
_find = select(_signature).where(_signature.c.token_hash == bindparam("token_hash")).with_for_update()
_consume = update(_signature).where(_signature.c.id == bindparam("signature_id")).values(used_at=bindparam("at"))


class Meaning(StrEnum):
    """What a signature says. The list is closed: a signature whose meaning is free text means nothing in particular."""

    APPROVED = "approved"
    REJECTED = "rejected"
    RELEASED = "released"
    HOLD_LIFTED = "hold_lifted"
    REVERSED = "reversed"
    REVIEWED = "reviewed"
    WITNESSED = "witnessed"
    ERASED = "erased"
    ROLE_CHANGE = "role_change"
    RESOLVED = "resolved"
    DECIDED = "decided"
    CLOSED = "closed"
    PERFORMED = "performed"
    NOT_PERFORMED = "not_performed"


class SignatureRequired(Refusal):
    """The act needs a signature; `meaning` and `act_hash` say what POST /signatures wants."""

    status = 428
    code = "signature_required"
    title = "Signature required"


class SignatureInvalid(NotPermitted):
    """There is no such signature of this person, or it means something else."""

    code = "signature_invalid"
    title = "Signature not valid"


class SignatureExpired(NotPermitted):
    """It was given more than two minutes ago."""

    code = "signature_expired"
    title = "Signature expired"


class SignatureAlreadyUsed(NotPermitted):
    """It stands under another act already."""

    code = "signature_used"
    title = "Signature already used"


class SignatureForAnotherAct(NotPermitted):
    """It was given for a request with another method, path or body."""

    code = "signature_for_another_act"
    title = "Signature for another act"


class SignRequest(BaseModel):
    """What a person signs: `act_hash` of the request they are about to send, hex; a refused request names it too."""

    model_config = ConfigDict(extra="forbid")

    password: str = Field(min_length=1, max_length=256, description="The signer's own password, entered again.")
    second_factor: str | None = SECOND
    meaning: Meaning
    act_hash: str = Field(
        pattern=r"^[0-9a-f]{64}$",
        description="SHA-256, hex, of the RFC 8785 JSON of `{body, method, path}`; the body without top-level `password`, "
        "`signature`, `new_password`, `refresh_token` and `confirmations`.",
    )


class SignatureToken(BaseModel):
    """A signature ready to be used: put `signature` into the body of the act."""

    signature: str
    meaning: Meaning
    act_hash: str
    expires_at: datetime


@dataclass(frozen=True)
class SignatureUsed:
    """A signature that now stands under an act. `id` goes into the event; `user` is the signer's badge code.

    `personal`: as the entry bears it.
    """

    id: UUID
    user: str
    meaning: Meaning
    signed_at: datetime
    personal: PersonalSignature = field(repr=False)


def make_signature(
    session: Session, *, user: str, meaning: Meaning, act_hash: bytes, at: datetime, unlocks: bytes | None = None
) -> SignatureToken:
    """Write a signature of `user` and return its token. The caller has just proved the password of `user`, which `unlocks` a key.

    Raises NoPersonalKey when the login has no key, and others of the bank have.
    """
    token = base64.urlsafe_b64encode(secrets.token_bytes(TOKEN_BYTES)).rstrip(b"=").decode()
    key = key_in_force(session, user, unlocks)
    at = at.replace(microsecond=at.microsecond // 1000 * 1000)  # as entries write times
    said = Said(uuid4(), user, meaning.value, act_hash, at)
    session.execute(
        _insert,
        {
            "id": said.id,
            "token_hash": _hash_of(token),
            "user_code": user,
            "meaning": said.meaning,
            "act_hash": act_hash,
            "signed_at": at,
            "expires_at": at + LIFETIME,
            "key": None if key is None else public_of(key),
            "by_key": None if key is None else said.by(key, token),
        },
    )
    return SignatureToken(signature=token, meaning=meaning, act_hash=act_hash.hex(), expires_at=at + LIFETIME)


def use_signature(session: Session, act: Act, token: str | None, meaning: Meaning) -> SignatureUsed:
    """Consume `token` under this act and return what it says.

    Raises SignatureRequired (428, with what to sign) without a token, SignatureInvalid when it is not this actor's or means
    something else, SignatureAlreadyUsed, SignatureExpired, SignatureForAnotherAct (403 each).
    """
    act.actor.require_full("sign")
    if token is None:
        raise SignatureRequired(
            f"This needs your signature: POST /api/v1/signatures with your password, meaning '{meaning.value}' and the "
            "`act_hash` given here; then send the same request again with the answer in `signature`.",
            meaning=meaning.value,
            act_hash=act.request_hash.hex(),
        )
    row = session.execute(_find, {"token_hash": _hash_of(token)}).first()
    if row is None or row.user_code != act.actor.code:
        raise SignatureInvalid("This is not a signature of yours. Sign again with your own password.")
    if row.meaning != meaning.value:
        raise SignatureInvalid(
            f"You signed “{words(row.meaning)}”; this act needs “{words(meaning)}”. Sign again if that is what you mean.",
            meaning=meaning.value,
            act_hash=act.request_hash.hex(),
        )
    if row.used_at is not None:
        raise SignatureAlreadyUsed("This signature stands under another act already. Sign again.")
    if row.expires_at <= act.at:
        raise SignatureExpired("This signature is older than two minutes. Sign again.")
    if bytes(row.act_hash) != act.request_hash:
        raise SignatureForAnotherAct(
            "You signed another request than this one: method, path or body differ. Sign this one if it is what you mean.",
            meaning=meaning.value,
            act_hash=act.request_hash.hex(),
        )
    session.execute(_consume, {"signature_id": row.id, "at": act.at})
    said = Said(row.id, row.user_code, row.meaning, bytes(row.act_hash), row.signed_at)
    personal = PersonalSignature.of(said, token, row.key, row.by_key, act.actor)
    hold(session, personal)
    return SignatureUsed(row.id, row.user_code, meaning, row.signed_at, personal)


def _hash_of(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
