"""A model of personal signatures: every short history of honest people, and after each everything a thief can write.

The people are an administrator, two of quality and a technician. A history is a series of steps as the program takes them: the
console makes the first logins, each owner chooses a password, two people give and take roles and reset passwords, quality signs.
The thief holds the application's database login, so any entry may follow, under anybody's badge; the keys and the password of one
person of quality, of the technician, and of nobody else; and every signature that ever stood in the log.

The judge is the verifier's own (`verify.py: People`), with real keys and signatures. Every honest step must be accepted without a
remark; whatever the thief writes must be untrue, or, while nobody else could sign for it, named in the verdict as resting on the
bank's word.
"""

import hashlib
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID, uuid5

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from biobank.transparency.canonical import encode
from biobank.transparency.verify import People, Rule, Table, Untrue

ADMIN, QUINN, RUTH, TESS, VERA = (f"US-000000{n}" for n in range(5))
"""Ruth of quality, Tess of the laboratory and Vera, who decides at LAB alone, are in the thief's hands."""
ROLE = {ADMIN: "admin", QUINN: "quality", RUTH: "quality", TESS: "lab_tech", VERA: "reviewer"}
OWNERS = (ADMIN, QUINN, RUTH, TESS)
"""Who comes and goes; Vera has her key from the beginning and keeps it."""
ROLES = {
    "admin": ["user:manage"],
    "lab_tech": ["custody:record"],
    "quality": ["quality:decide", "role:cosign"],
    "reviewer": ["quality:decide"],
}
_TWO = dict.fromkeys(("completed_by", "first_signature", "proposed_by", "second_signature"), "null|string")
KINDS: dict[str, tuple[str | None, dict[str, str]]] = {
    "specimen.quality_decided": ("quality:decide", {"signature": "string"}),
    "user.deactivated": ("user:manage", {}),
    "user.enrolment_opened": ("role:cosign", _TWO | {"enrolment": "string"}),
    "user.password_reset": ("role:cosign", _TWO),
    "user.personal_key_set": (None, {"enrolment": "string", "key": "string", "vouched": "string"}),
    "user.role_granted": ("role:cosign", _TWO | {"role": "string", "site": "null|string"}),
    "user.role_revoked": ("role:cosign", _TWO | {"role": "string", "site": "null|string"}),
}
APART_S = 600
"""Between two steps: further than what counts as one moment."""


def _table() -> Table:
    rest: dict[str, Any] = {
        "annotates": True,
        "blocked_by_holds_on": None,
        "cold_first": False,
        "conditions": None,
        "effect": {},
        "from": [],
    }
    rest |= {"mode": "use_case", "places_hold": None, "starts": False, "to": None, "toward_use": False, "version": 1}
    rows: list[dict[str, Any]] = [
        rest
        | {
            "kind": kind,
            "stream": kind.partition(".")[0],
            "signed_with": [permission] if permission else [],
            "body": dict(sorted(body.items())),
        }
        for kind, (permission, body) in KINDS.items()
    ]
    table = Table("0" * 64, {"initial": {}, "roles": ROLES, "rules": rows, "terminal": []})
    table.rules = {row["kind"].encode(): Rule(row, table.name, {}, frozenset(), set()) for row in rows}
    return table


TABLE = _table()


def key(*name: object) -> Ed25519PrivateKey:
    """A pair by its name: the same one always."""
    return Ed25519PrivateKey.from_private_bytes(hashlib.sha256(repr(name).encode()).digest())


def public(pair: Ed25519PrivateKey) -> str:
    return pair.public_key().public_bytes_raw().hex()


def signed(pair: Ed25519PrivateKey, purpose: str, said: Any) -> str:
    return pair.sign(f"biobank/{purpose}/v1\0".encode() + encode(said)).hex()


def at(step: int, second: int = 0) -> str:
    """The time of a step, as entries write it."""
    minutes = step * APART_S // 60
    return f"2026-11-03T{minutes // 60:02d}:{minutes % 60:02d}:{second:02d}.000Z"


@dataclass(frozen=True)
class World:
    """What happened so far: what the judge knows, how many resets each had, whose key is in force, what was signed."""

    people: People = field(default_factory=lambda: People([TABLE], 5))
    step: int = 0
    resets: tuple[tuple[str, int], ...] = tuple((user, 0) for user in ROLE)
    keyed: frozenset[str] = frozenset()
    held: frozenset[str] = frozenset(ROLE)
    shut: frozenset[str] = frozenset()
    seen: tuple[dict[str, Any], ...] = ()

    def shape(self) -> Any:
        """What makes two worlds differ for whatever comes next."""
        return self.resets, self.keyed, self.held, self.shut, bool(self.seen)

    def key_of(self, user: str) -> Ed25519PrivateKey:
        """The key that a login has, or would get."""
        return key("personal", user, dict(self.resets)[user])

    def enrolment_of(self, user: str) -> Ed25519PrivateKey:
        return key("enrolment", user, dict(self.resets)[user])

    def cosigns(self, user: str) -> bool:
        return user in self.keyed and user in self.held and user not in self.shut and ROLE[user] == "quality"

    def entry(self, kind: str, about: str, by: str, **body: Any) -> dict[str, Any]:
        """An entry as its kind has it; what of two people is not said is null."""
        head = {"by": by, "id": about, "kind": kind, "prev": None, "recorded_at": at(self.step, 2), "seq": self.step + 1}
        return head | {"body": dict.fromkeys(KINDS[kind][1]) | body, "site": None, "stream": kind.partition(".")[0], "v": 1}

    def signature(self, user: str, pair: Ed25519PrivateKey, name: str = "") -> dict[str, Any]:
        """What a login's signature says, by any key; `over` is still open."""
        said: dict[str, Any] = {
            "act": "11" * 32,
            "id": str(uuid5(UUID(int=0), f"{self.step} {user} {name}")),
            "meaning": "decided",
        }
        said |= {"once": public(self.once(user)), "signed_at": at(self.step, 1), "user": user}
        return said | {
            "by_key": signed(pair, "signature", said),
            "key": public(pair),
            "over": None,
            "proposal": None,
            "stood_at": None,
        }

    def once(self, user: str) -> Ed25519PrivateKey:
        return key("once", self.step, user)

    def proposed(self, user: str, about: str) -> dict[str, Any]:
        """The first of two signatures."""
        proposal = {"act": "user.act", "body_sha256": "00" * 32, "pending_act": str(UUID(int=self.step))}
        proposal |= {"proposed_at": at(self.step, 1), "subject": about}
        over = signed(self.once(user), "signed-proposal", proposal)
        return self.signature(user, self.key_of(user)) | {"over": over, "proposal": proposal}

    def seal(
        self, entry: dict[str, Any], pair: Ed25519PrivateKey, last: dict[str, Any], *first: dict[str, Any]
    ) -> dict[str, Any]:
        """Put signatures under an entry; `pair` signs it."""
        ids = [one["id"] for one in (*first, last)]
        named = {"signature": ids[0]} if "signature" in entry["body"] else {"second_signature": ids[-1]}
        named |= {"first_signature": ids[0]} if first else {}
        whole = entry | {"body": entry["body"] | named, "signatures": [*first, last], "v": 2}
        whole["signatures"] = [*first, last | {"over": signed(pair, "signed-entry", whole)}]
        return whole

    def decided(self, user: str, stood: str | None = None) -> dict[str, Any]:
        """A decision at LAB that somebody signs with their own key, as of a site or of all."""
        entry = self.entry("specimen.quality_decided", "AD26-000001-X", user) | {"site": "LAB"}
        return self.seal(entry, self.once(user), self.signature(user, self.key_of(user)) | {"stood_at": stood})

    def chosen(self, user: str) -> dict[str, Any]:
        """Somebody chooses a password, and with it a key that their enrolment vouches for."""
        said = {"enrolment": public(self.enrolment_of(user)), "key": public(self.key_of(user))}
        vouched = signed(self.enrolment_of(user), "personal-key", said | {"user": user})
        return self.entry("user.personal_key_set", user, user, **said, vouched=vouched)

    def by_two(self, kind: str, about: str, first: str, second: str, **body: Any) -> dict[str, Any]:
        """An act about a login that two people sign."""
        entry = self.entry(kind, about, second, proposed_by=first, completed_by=second, **body)
        return self.seal(entry, self.once(second), self.signature(second, self.key_of(second)), self.proposed(first, about))


Step = tuple[str, list[dict[str, Any]], dict[str, Any]]
"""What it is, the entries it writes, and what changes in the world."""


def begun() -> World:
    """The console has made four logins; nobody has chosen a password yet."""
    world = World()
    for user, role in ROLE.items():
        granted = world.entry("user.role_granted", user, "SYSTEM", role=role, site="LAB" if user == VERA else None)
        opened = world.entry("user.enrolment_opened", user, "SYSTEM", enrolment=public(world.enrolment_of(user)))
        world = after(world, [granted, opened], {})
    return after(world, [world.chosen(VERA)], {})


def after(world: World, entries: list[dict[str, Any]], changed: dict[str, Any]) -> World:
    """The world after entries that the judge accepts. Raises Untrue."""
    people = deepcopy(world.people)
    for number, entry in enumerate(entries):
        people.judge(2 * world.step + number, TABLE.rules[entry["kind"].encode()], TABLE, deepcopy(entry))
    seen = (*world.seen, *(entry for entry in entries if "signatures" in entry))
    return replace(world, people=people, step=world.step + 1, seen=seen, **changed)


def honest(world: World) -> Iterator[Step]:
    """Every step that the program lets honest people take."""
    yield "Vera decides at LAB", [world.decided(VERA, "LAB")], {}
    for user in OWNERS:
        if user not in world.keyed and user not in world.shut:
            yield f"{user} chooses a password", [world.chosen(user)], {"keyed": world.keyed | {user}}
        if user not in world.shut:
            yield f"{user} is shut", [world.entry("user.deactivated", user, ADMIN)], {"shut": world.shut | {user}}
    if world.cosigns(QUINN):
        yield "Quinn decides", [world.decided(QUINN)], {}
    if world.cosigns(QUINN) and ADMIN in world.keyed and ADMIN not in world.shut:
        for user in (RUTH, TESS):
            held = {"role": ROLE[user]}
            if user in world.held:
                taken = world.by_two("user.role_revoked", user, ADMIN, QUINN, **held)
                yield f"{user} loses the role", [taken], {"held": world.held - {user}}
            resets = tuple((u, n + (u == user)) for u, n in world.resets)
            ahead = replace(world, resets=resets)
            pair = public(ahead.enrolment_of(user))
            both = [
                world.by_two("user.password_reset", user, ADMIN, QUINN),
                world.by_two("user.enrolment_opened", user, ADMIN, QUINN, enrolment=pair),
            ]
            yield f"{user} is reset", both, {"resets": resets, "keyed": world.keyed - {user}}


def thefts(world: World) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Everything of the kinds that a thief can write: nothing of it is what an honest person signed."""
    mine = key("thief")
    release = "specimen.quality_decided"
    plain = world.entry(release, "AD26-000001-X", QUINN, signature=str(UUID(int=7)))
    yield "a release by Quinn without a signature", [plain]
    for name, pair in (("the thief's key", mine), ("Ruth's key", world.key_of(RUTH)), ("Tess's key", world.key_of(TESS))):
        yield (
            f"a release by Quinn, signed in her name with {name}",
            [world.seal(world.entry(release, "AD26-000001-X", QUINN), world.once(QUINN), world.signature(QUINN, pair))],
        )
    other = world.signature(RUTH, world.key_of(RUTH))
    yield "a release by Quinn that Ruth signed", [world.seal(world.entry(release, "X", QUINN), world.once(RUTH), other)]
    alone = world.entry("user.role_granted", TESS, RUTH, completed_by=RUTH, role="quality")
    yield "a role for Tess by Ruth alone", [world.seal(alone, world.once(RUTH), world.signature(RUTH, world.key_of(RUTH)))]
    if TESS in world.keyed:
        both = world.by_two("user.role_granted", TESS, TESS, RUTH, role="quality")
        yield "a role for Tess by Tess and Ruth", [both]
    yield "a release by Tess, who may not", [world.decided(TESS)]
    for stood in (None, "NORTH"):
        yield f"a release by Vera as of {stood or 'every site'}", [world.decided(VERA, stood)]
    again, first = world.signature(RUTH, world.key_of(RUTH), "again"), world.proposed(RUTH, QUINN)
    twice = world.entry("user.password_reset", QUINN, RUTH, proposed_by=RUTH, completed_by=RUTH)
    yield "a reset of Quinn by Ruth and Ruth", [world.seal(twice, world.once(RUTH), again, first)]
    if RUTH in world.shut or RUTH not in world.held or RUTH not in world.keyed:
        yield "a release by Ruth, who may no more", [world.decided(RUTH)]
    if dict(world.resets)[RUTH]:
        before = replace(world, resets=tuple((u, n - (u == RUTH)) for u, n in world.resets))
        yield "a release by Ruth with the key before", [before.decided(RUTH)]
    for old in world.seen:
        last = old["signatures"][-1]
        if last["user"] == QUINN:
            replayed = world.entry(release, "AD26-000002-Y", QUINN, signature=last["id"]) | {"v": 2, "signatures": [last]}
            yield "a signature of Quinn's under another act", [replayed]
        if len(old["signatures"]) == 2:
            granted = world.entry("user.role_granted", TESS, RUTH, proposed_by=ADMIN, completed_by=RUTH, role="quality")
            ruths = world.signature(RUTH, world.key_of(RUTH))
            yield (
                "what the administrator proposed, completed again by Ruth",
                [world.seal(granted, world.once(RUTH), ruths, old["signatures"][0])],
            )
    for by in ("SYSTEM", ADMIN, QUINN):
        yield f"a role for Tess by {by}", [world.entry("user.role_granted", TESS, by, role="quality")]
        yield f"an enrolment of Quinn by {by}", [world.entry("user.enrolment_opened", QUINN, by, enrolment=public(mine))]
        yield f"a reset of Ruth by {by}", [world.entry("user.password_reset", RUTH, by)]
    said = {"enrolment": public(mine), "key": public(mine)}
    vouched = signed(mine, "personal-key", said | {"user": QUINN})
    yield (
        "a key for Quinn that nothing vouches for",
        [world.entry("user.personal_key_set", QUINN, QUINN, **said, vouched=vouched)],
    )
    said = {"enrolment": public(world.enrolment_of(QUINN)), "key": public(mine)}
    vouched = signed(mine, "personal-key", said | {"user": QUINN})
    yield "a key for Quinn under her own enrolment", [world.entry("user.personal_key_set", QUINN, QUINN, **said, vouched=vouched)]


def explore(depth: int, *, most: int | None = None) -> tuple[int, list[str]]:
    """Walk every history of so many steps; return how many worlds were met, and every theft that passed, up to `most`."""
    worlds, met, passed = [(begun(), ["begun"])], set[Any](), list[str]()
    for left in range(depth, -1, -1):
        following = []
        for world, told in worlds:
            remarks = _remarks(world.people)
            for name, entries in thefts(world):
                try:
                    judged = after(world, entries, {})
                except Untrue:
                    continue
                if _remarks(judged.people) == remarks or _could_be_signed(world, entries[0]):
                    passed.append(f"{name}, after: {', '.join(told)}")
                    if len(passed) == most:
                        return len(met) + 1, passed
            for name, entries, changed in honest(world) if left else ():
                later = after(world, entries, changed)
                assert _remarks(later.people) == remarks, f"{name} was remarked on, after {told}"
                if later.shape() not in met:
                    met.add(later.shape())
                    following.append((later, [*told, name]))
        worlds = following
    return len(met) + 1, passed


def _could_be_signed(world: World, entry: dict[str, Any]) -> bool:
    """Say whether somebody else had a key and co-signed, so that the bank's word alone was not enough."""
    about = entry["id"] if entry["stream"] == "user" else entry["by"]
    return any(world.cosigns(user) for user in ROLE if user != about)


def _remarks(people: People) -> tuple[int, int, int]:
    """How much of a verdict rests on the bank's word."""
    return people.found.without_key, len(people.found.alone), len(people.found.elsewhere)
