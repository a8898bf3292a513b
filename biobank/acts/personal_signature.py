"""What a personal signature says, and how it comes under an entry (docs/custody-log.md, section 19).

The personal key is open only while its owner's password is being proved, and the act that is signed comes later, in a request of
its own. So the key signs what the signature says and the public half of a pair made for this one signature. The private half is
the signature's token: the client holds it, the database a hash of it. With the act it comes back, signs the very bytes of each
entry that names the signature, and is forgotten. Of two people the first signs what is proposed in the same way.
"""

import hashlib
from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any
from uuid import UUID

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.personal_keys import public_of
from biobank.foundation.clock import rfc3339
from biobank.transparency import canonical

_STATEMENT, _ENTRY, _PROPOSAL, _ENROLMENT = (
    f"biobank/{name}/v1\0".encode() for name in ("signature", "signed-entry", "signed-proposal", "personal-key")
)
_SIGNERS = "personal_signatures"


@dataclass(frozen=True)
class Said:
    """What one signature says: whose it is, what it means, under which act, when."""

    id: UUID
    user: str
    meaning: str
    act: bytes
    signed_at: datetime

    def members(self) -> dict[str, Any]:
        """Return it as it stands in entries, times and bytes as text."""
        return {
            "act": self.act.hex(),
            "id": str(self.id),
            "meaning": self.meaning,
            "signed_at": rfc3339(self.signed_at),
            "user": self.user,
        }

    def by(self, key: Ed25519PrivateKey, token: str) -> bytes:
        """Sign it with a personal key; return the 64 bytes."""
        return key.sign(_STATEMENT + canonical.encode(self.members() | {"once": public_of(_once(token)).hex()}))


@dataclass(frozen=True)
class PersonalSignature:
    """A signature as entries bear it. `once` can still sign, an entry or a proposal; None when it did, or there was no key.

    `signer`: who gave it, with the roles of that moment; None when it stands under a proposal already.
    """

    members: dict[str, Any]
    once: Ed25519PrivateKey | None = None
    signer: Actor | None = None

    @classmethod
    def of(
        cls, said: Said, token: str, key: bytes | None, by_key: bytes | None, signer: Actor | None = None
    ) -> "PersonalSignature":
        """Put together a signature whose token came back; `key` and `by_key` None: the login had no key."""
        once = None if key is None else _once(token)
        shown = {
            "by_key": None if by_key is None else by_key.hex(),
            "key": None if key is None else key.hex(),
            "once": None if once is None else public_of(once).hex(),
            "over": None,
            "proposal": None,
            "stood_at": None,
        }
        return cls(said.members() | shown, once, signer)

    def standing(self, permissions: Collection[Permission], places: Iterable[str | None]) -> "PersonalSignature":
        """Return it with the site at which its signer held one of the permissions: the first of the places where they do.

        None where they hold it at every site, or none is needed.
        """
        scope = None if self.signer is None else self.signer.scope(*permissions)
        if not permissions or scope is None or scope.everywhere:
            return self
        named = next((site for site in places if site in scope.sites), min(scope.sites, default=None))
        return replace(self, members=self.members | {"stood_at": named})

    def over_proposal(self, proposal: dict[str, Any]) -> "PersonalSignature":
        """Return it as the first of two: it stands under what is proposed, and can sign nothing more."""
        over = None if self.once is None else self.once.sign(_PROPOSAL + canonical.encode(proposal)).hex()
        return PersonalSignature(self.members | {"over": over, "proposal": proposal})


def stands(members: dict[str, Any], proposal: dict[str, Any], key: bytes | None) -> bool:
    """Say whether a first signature, as it is kept with what was proposed, is still what its signer's `key` in force signed.

    `key` None: the signer has none, and had none.
    """
    if members["proposal"] != proposal or members["user"] is None or members["key"] != (None if key is None else key.hex()):
        return False
    if key is None:
        return True
    said = {name: members[name] for name in ("act", "id", "meaning", "once", "signed_at", "user")}
    try:
        _check(key, members["by_key"], _STATEMENT + canonical.encode(said))
        _check(bytes.fromhex(members["once"]), members["over"], _PROPOSAL + canonical.encode(proposal))
    except (InvalidSignature, ValueError, TypeError):
        return False
    return True


def _check(public: bytes, signature: str, message: bytes) -> None:
    Ed25519PublicKey.from_public_bytes(public).verify(bytes.fromhex(signature), message)


def proposal_of(pending: UUID, act: str, subject: str, body: dict[str, Any], at: datetime) -> dict[str, Any]:
    """Return what the first of two people signs: the body as a hash, because it may be long."""
    digest = hashlib.sha256(canonical.encode(body)).hexdigest()
    return {"act": act, "body_sha256": digest, "pending_act": str(pending), "proposed_at": rfc3339(at), "subject": subject}


def signed_entry(document: dict[str, Any], signatures: tuple[PersonalSignature, ...]) -> dict[str, Any]:
    """Return an entry with its signatures; the last of them signs all the rest of it."""
    *first, last = signatures
    whole = document | {"v": 2, "signatures": [*(one.members for one in first), last.members]}
    if last.once is not None:
        over = last.once.sign(_ENTRY + canonical.encode(whole)).hex()
        whole["signatures"][-1] = last.members | {"over": over}
    return whole


def vouch(enrolment: Ed25519PrivateKey, owner: str, key: bytes) -> dict[str, str]:
    """Return what an enrolment says of a login's new personal key, as members of its event."""
    said = {"enrolment": public_of(enrolment).hex(), "key": key.hex()}
    signed = enrolment.sign(_ENROLMENT + canonical.encode({**said, "user": owner}))
    return said | {"vouched": signed.hex()}


def hold(session: Session, signature: PersonalSignature) -> None:
    """Keep a signature at hand for the entries of this transaction that name it."""
    session.info.setdefault(_SIGNERS, {})[signature.members["id"]] = signature


def held(session: Session, ids: tuple[str, ...]) -> tuple[PersonalSignature, ...]:
    """Return the signatures with these ids, given in this transaction or under its proposal; none unless the last is by key."""
    at_hand = session.info.get(_SIGNERS, {})
    whole = bool(ids) and all(one in at_hand for one in ids) and at_hand[ids[-1]].once is not None
    return tuple(at_hand[one] for one in ids) if whole else ()


def _once(token: str) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(b"biobank/once/v1\0" + token.encode()).digest())
