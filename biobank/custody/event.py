"""The state machine is a page of classes: one frozen payload class per kind of event.

A class says what the event carries (its fields), when it is legal (`from_states`, `from_conditions`, `act`), what it does
(`to_state`, `effect`), who may record it (`permission`) and whether the public events endpoint takes it (`mode`). The JSON
endpoint, the OpenAPI schema, the buttons on a page, the rule table in every bundle and the test matrix follow from it.
A new kind is one class in the `events.py` of the package that owns the rule; it registers itself here, downwards.

A published payload never changes. A change is a new class with the same `kind`, a higher `version` and an `upcast` from
the version before it. A kind is never renamed and never reused.
"""

import hashlib
from enum import StrEnum
from functools import cache
from typing import Any, ClassVar, Final, Self

from pydantic import BaseModel, ConfigDict

from biobank.auth.permissions import ROLE_PERMISSIONS, Permission, Role
from biobank.custody.body_shape import shape_of
from biobank.custody.effects import ENTRY_MEMBERS, Effect, set_to
from biobank.custody.projection import INITIAL, PROJECTED
from biobank.custody.states import HOLDS_A_POSITION, LIVE, TERMINAL, Condition, HoldAct, HoldKind, State, StreamKind
from biobank.foundation.errors import Refusal
from biobank.transparency import canonical


class Mode(StrEnum):
    """Who appends: anyone with the permission through the events endpoint, or only the use case that owns the rule."""

    DIRECT = "direct"
    USE_CASE = "use_case"


SIGNATURES: Final = ("first_signature", "second_signature", "signature", "signatures")
"""The members of a payload that name signatures by their ids; no other does."""


class Event(BaseModel):
    """Base of every payload. Abstract until `kind` is a literal with a default.

    Class attributes:

    - `stream`: the kind of stream it belongs to; state attributes mean something on specimen streams only.
    - `starts`: it is the first event of its stream.
    - `from_states`: legal states before (default: any live state); `annotates`: legal in terminal states too.
    - `from_conditions`: legal conditions before (default: any).
    - `to_state`: the state after, or None to leave it. A state that holds no position vacates it.
    - `act`: the act that a hold may block; `toward_use`: refused while the log lags behind its promise.
    - `unreserved`: refused on behalf of nobody but the withdrawal that the specimen is reserved for, as what a hold may block is.
    - `reserved_from`: what is reserved for a withdrawal takes it from these states only (default: any legal one): it takes the
      specimen away, which what is reserved leaves by its issue.
    - `cold_first`: never refused for state, hold, reservation or lag: cold comes before paperwork.
    - `arrives`: it ends a journey: what was seen is judged, for the tube and what travelled with it (`arriving.py`).
    - `taken_from_its_site`: it may take the specimen to another site, and needs the right where the specimen is.
    - `of_the_keeper`: the right is needed where the specimen is kept, and nowhere else (`Snapshot.keeper`).
    - `open_to_all`: whoever has the permission may, whoever holds the specimen; `in_person`: what a person holds, no colleague
      gives away; `from_courier`: also from a courier who has not left with it (`custodians.py`).
    - `may_end`: it can leave nothing usable of what is kept for treatment; the rule of ending is asked (`quality/ending.py`).
    - `places_hold`: recording it places this hold on the specimen in the same transaction.
    - `sees`: the payload field that names where it was seen without being put there (`monitoring/presence.py`).
    - `never_before`: kinds of its own stream that it is never dated before (`chronology.py`).
    - `amendable`: payload fields that `specimen.amended` may correct later; never one that the effect reads.
    - `signers`: what whoever signs it last must be allowed, one of these; empty: `permission`, where it names signatures.
    - `call`: below /api/v1, the POST that causes a kind which the events endpoint does not take; `label`: what a button says.
    - `verb`: a past participle for sentences, where that of the kind is none.
    - `undone_by`: it is not undone by itself (one step with an event of another record, or a tube nobody has seen since); in
      words, what is done instead.
    - `effect`: further changes of the projection (`effects.py`).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    stream: ClassVar[StreamKind] = StreamKind.SPECIMEN
    version: ClassVar[int] = 1
    mode: ClassVar[Mode] = Mode.USE_CASE
    permission: ClassVar[Permission | None] = None
    starts: ClassVar[bool] = False
    annotates: ClassVar[bool] = False
    from_states: ClassVar[frozenset[State]] = LIVE
    from_conditions: ClassVar[frozenset[Condition] | None] = None
    to_state: ClassVar[State | None] = None
    act: ClassVar[HoldAct | None] = None
    toward_use: ClassVar[bool] = False
    unreserved: ClassVar[bool] = False
    reserved_from: ClassVar[frozenset[State] | None] = None
    cold_first: ClassVar[bool] = False
    arrives: ClassVar[bool] = False
    taken_from_its_site: ClassVar[bool] = False
    of_the_keeper: ClassVar[bool] = False
    open_to_all: ClassVar[bool] = False
    in_person: ClassVar[bool] = False
    from_courier: ClassVar[bool] = False
    places_hold: ClassVar[HoldKind | None] = None
    may_end: ClassVar[bool] = False
    undone_by: ClassVar[str] = ""
    sees: ClassVar[str | None] = None
    never_before: ClassVar[frozenset[str]] = frozenset()
    amendable: ClassVar[frozenset[str]] = frozenset()
    effect: ClassVar[Effect] = {}
    signers: ClassVar[frozenset[Permission]] = frozenset()
    call: ClassVar[str] = ""
    label: ClassVar[str] = ""
    verb: ClassVar[str] = ""

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        """Register a concrete class; refuse an incomplete or contradictory one at import."""
        super().__pydantic_init_subclass__(**kwargs)
        field = cls.model_fields.get("kind")
        if field is None or field.default is None or not isinstance(field.default, str):
            return
        register(cls, field.default)

    @classmethod
    @cache
    def whole_effect(cls) -> Effect:
        """The effect with what follows from `to_state`."""
        whole: Effect = {}
        if cls.to_state is not None:
            whole["state"] = set_to(cls.to_state.value)
            if cls.to_state not in HOLDS_A_POSITION:
                whole["container_code"] = set_to(None)
                whole["position_code"] = set_to(None)
        return whole | cls.effect

    @classmethod
    def upcast(cls, payload: dict[str, Any]) -> dict[str, Any]:
        """Turn the payload of the version before this one into this one's. Pure."""
        return payload

    def amendment_refusal(self) -> Refusal | None:
        """Return why a correction may not leave the payload like this, or None; asked of the corrected payload."""
        return None

    def payload(self) -> dict[str, Any]:
        """Return the body as it stands in the entry: everything but `kind`."""
        return self.model_dump(mode="json", exclude={"kind"})

    def signature_ids(self) -> tuple[str, ...]:
        """Return the ids of the signatures that the payload names, in the order in which they were given."""
        named = [getattr(self, name) for name in SIGNATURES if name in type(self).model_fields]
        return tuple(one for value in named if value for one in ([value] if isinstance(value, str) else value))

    @classmethod
    def of(cls, **fields: Any) -> Self:
        """Build from fields; sugar for use cases that assemble a payload."""
        return cls(**fields)


class Rules:
    """The registered classes, and the rule table they make once every package has registered."""

    def __init__(self) -> None:
        self.by_kind: dict[str, type[Event]] = {}
        self.older: dict[tuple[str, int], type[Event]] = {}
        self._table: list[dict[str, Any]] | None = None
        self._document = b""
        self._id: str | None = None

    def close(self) -> None:
        """Freeze the table. `biobank/registries/event_kinds.py` calls this after importing every events module."""
        self._table = [rule_of(kind, cls) for kind, cls in sorted(self.by_kind.items())]
        roles = {role.value: sorted(p.value for p in ROLE_PERMISSIONS[role]) for role in Role}
        document: Any = {
            "initial": INITIAL,
            "roles": roles,
            "rules": self._table,
            "terminal": sorted(state.value for state in TERMINAL),
        }
        self._document = canonical.encode(document)
        self._id = hashlib.sha256(self._document).hexdigest()

    @property
    def table(self) -> list[dict[str, Any]]:
        """One JSON row per kind."""
        if self._table is None:
            raise RuntimeError("Import biobank.registries.event_kinds before using the ledger: the rule table must be whole.")
        return self._table

    @property
    def document(self) -> bytes:
        """The canonical JSON of the table, with what a specimen is before its first event and which states are final."""
        assert self.id
        return self._document

    @property
    def id(self) -> str:
        """The version of the table: the SHA-256 of its canonical JSON, in hex."""
        if self._id is None:
            raise RuntimeError("Import biobank.registries.event_kinds before using the ledger: the rule table must be whole.")
        return self._id


rules = Rules()


def register(cls: type[Event], kind: str) -> None:
    """Check a class and add it; raise TypeError at import when it is a duplicate or contradicts itself."""
    subject, _, verb = kind.partition(".")
    if subject != cls.stream.value or not verb:
        raise TypeError(f"{cls.__name__}: kind '{kind}' must be '{cls.stream.value}.<past tense>'")
    if cls.mode is Mode.DIRECT and cls.permission is None:
        raise TypeError(f"{cls.__name__}: a direct event names its permission")
    unknown = set(cls.whole_effect()) - set(PROJECTED)
    if unknown:
        raise TypeError(f"{cls.__name__}: effect on unknown columns {sorted(unknown)}")
    for instruction in cls.whole_effect().values():
        ((verb, argument),) = instruction.items()
        if verb in {"elapsed", "elapsed_until_known"} and argument not in PROJECTED:
            raise TypeError(f"{cls.__name__}: no column {argument!r}")
        if verb == "entry" and argument not in ENTRY_MEMBERS:
            raise TypeError(f"{cls.__name__}: no entry member {argument!r}")
        if verb in {"body", "body_or_keep", "plus", "minus", "restore"} and argument not in cls.model_fields:
            raise TypeError(f"{cls.__name__}: no payload member {argument!r}")
        if verb not in {"set", "entry", "increment", "elapsed", "elapsed_until_known"} and argument in cls.amendable:
            raise TypeError(f"{cls.__name__}: {argument!r} changes the projection; it is reversed, never amended")
    if cls.amendable - set(cls.model_fields):
        raise TypeError(f"{cls.__name__}: no payload members {sorted(cls.amendable - set(cls.model_fields))}")
    known = rules.by_kind.get(kind)
    if known is not None and known is not cls:
        if known.version == cls.version:
            raise TypeError(f"{cls.__name__}: kind '{kind}' version {cls.version} is already {known.__name__}")
        old, new = sorted((known, cls), key=lambda c: c.version)
        rules.older[(kind, old.version)] = old
        rules.by_kind[kind] = new
        return
    rules.by_kind[kind] = cls


def rule_of(kind: str, cls: type[Event]) -> dict[str, Any]:
    """Return the row of one kind as the offline verifier reads it."""
    states = sorted(s.value for s in cls.from_states)
    return {
        "kind": kind,
        "version": cls.version,
        "stream": cls.stream.value,
        "mode": cls.mode.value,
        "starts": cls.starts,
        "annotates": cls.annotates,
        "from": [] if cls.starts else states,
        "conditions": None if cls.from_conditions is None else sorted(c.value for c in cls.from_conditions),
        "to": None if cls.to_state is None else cls.to_state.value,
        "permission": None if cls.permission is None else cls.permission.value,
        "signed_with": sorted(permission.value for permission in signers_of(cls)),
        "blocked_by_holds_on": None if cls.act is None else cls.act.value,
        "reserved_from": None if cls.reserved_from is None else sorted(state.value for state in cls.reserved_from),
        "toward_use": cls.toward_use,
        "cold_first": cls.cold_first,
        "places_hold": None if cls.places_hold is None else cls.places_hold.value,
        "effect": cls.whole_effect(),
        "body": shape_of(cls),
    }


def signers_of(cls: type[Event]) -> frozenset[Permission]:
    """Return of which permissions whoever signs this kind of event last must hold one; none for what nobody signs."""
    if not set(SIGNATURES) & set(cls.model_fields):
        return frozenset()
    return cls.signers or (frozenset() if cls.permission is None else frozenset({cls.permission}))


def parse_payload(kind: str, version: int, payload: dict[str, Any]) -> Event:
    """Rebuild an event from its stored body, upcasting older versions. Raises KeyError for an unknown kind."""
    cls = rules.by_kind[kind]
    while version < cls.version:
        version += 1
        step = rules.older.get((kind, version), cls)
        payload = step.upcast(payload)
    return cls.model_validate({"kind": kind, **payload})
