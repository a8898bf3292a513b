"""The stage of the example bank's story: who is there, how they act and sign, which slots are free."""

import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime
from uuid import uuid4

from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.bank import Bank
from biobank.acts.personal_signature import hold, proposal_of
from biobank.acts.signing import Meaning, SignatureUsed, make_signature, use_signature
from biobank.auth.actor import Actor

SEED = 20261122


@dataclass
class Stage:
    """Who is there, what opens their personal keys, which slots are free, and the dice."""

    bank: Bank
    actors: dict[str, Actor]
    unlocks: dict[str, bytes] = field(repr=False)
    slots: list[Iterator[tuple[str, str]]]
    dice: random.Random = field(default_factory=lambda: random.Random(SEED))  # noqa: S311 - example data, no secret

    def act(self, username: str, at: datetime) -> Act:
        """An act of `username` at an instant of the story."""
        return Act(
            actor=self.actors[username], bank=self.bank, keystore=self.bank.keystore_sync, at=at, path="demo", source="import"
        )

    def signs(self, session: Session, act: Act, username: str, meaning: Meaning) -> str:
        """Let `username`, whose act it is, sign it as with their password; return the token."""
        by = self.unlocks[username]
        return make_signature(
            session, user=act.actor.code, meaning=meaning, act_hash=act.request_hash, at=act.at, unlocks=by
        ).signature

    def signature(self, session: Session, username: str, at: datetime) -> SignatureUsed:
        """A signature that `username` gave under an act of theirs at an instant of the story."""
        act = replace(self.act(username, at), request_hash=hashlib.sha256(f"{username} {at}".encode()).digest())
        return use_signature(session, act, self.signs(session, act, username, Meaning.DECIDED), Meaning.DECIDED)

    def two(self, session: Session, first: str, second: str, name: str, code: str, at: datetime) -> tuple[str, str]:
        """The signatures of an act that one proposed about `code` and another completed."""
        proposed = self.signature(session, first, at)
        hold(session, proposed.personal.over_proposal(proposal_of(uuid4(), name, code, {}, at)))
        return str(proposed.id), str(self.signature(session, second, at).id)

    def slot(self, number: int) -> tuple[str, str]:
        """The next free (box, position), turn by turn from different tanks: a person's vials are never all in one."""
        return next(self.slots[number % len(self.slots)])
