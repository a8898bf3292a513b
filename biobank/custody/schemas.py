"""Wire shapes of custody: one request model per direct event, built from its class, and what the API answers."""

from typing import Annotated, Any, Union

from pydantic import AwareDatetime, BaseModel, Field, create_model

from biobank.custody.event import Event, Mode, rules
from biobank.custody.recording import Circumstances
from biobank.foundation.paging import Listed


class EventRequest(Circumstances):
    """What every direct event request carries beside its payload."""

    expected_seq: int | None = Field(
        default=None,
        ge=0,
        le=2**31 - 1,
        description="Sequence of the last event the writer saw. 428 when absent, 409 when old.",
    )


class BatchEventRequest(EventRequest):
    """One event of a batch names its specimen."""

    specimen: str = Field(min_length=3, max_length=20)


class EventReceipt(BaseModel):
    """An event that stands in the log."""

    stream: str
    id: str
    seq: int
    kind: str
    leaf_hash: str
    recorded_at: str


class EventAnswer(BaseModel):
    """The answer to a recorded event: where it stands, the state it led to, and our signature under it."""

    specimen: str
    state: str
    seq: int
    events: list[EventReceipt]
    receipt: str = Field(description="Signed acknowledgement (C2SP signed note) naming every event above.")


class BatchAnswer(BaseModel):
    """The answer to a batch: all or nothing."""

    items: list[EventReceipt]
    receipt: str


class AllowedEvent(BaseModel):
    """An act the caller may do now: the kind it records, and the call that does it."""

    kind: str
    label: str
    mode: str
    call: str = Field(description="The POST that does it. A name in braces is a code of another thing.")
    payload_schema: dict[str, Any] | None = Field(
        description="JSON Schema of a direct kind's members in the body; null for use cases, whose body is their call's."
    )


class AllowedEvents(BaseModel):
    """What may happen next."""

    specimen: str
    seq: int
    items: list[AllowedEvent]


def request_model(cls: type[Event], base: type[EventRequest]) -> type[EventRequest]:
    """Build the request model of a direct event: its payload fields beside the circumstances."""
    fields: dict[str, Any] = {name: (field.annotation, field) for name, field in cls.model_fields.items()}
    fields["kind"] = (cls.model_fields["kind"].annotation, ...)
    return create_model(
        f"{cls.__name__}{'Batch' if base is BatchEventRequest else ''}Request",
        __base__=base,
        __doc__=cls.__doc__,
        **fields,
    )


def direct_events() -> list[type[Event]]:
    """Every class the public endpoint accepts, by kind."""
    return [cls for _, cls in sorted(rules.by_kind.items()) if cls.mode is Mode.DIRECT]


def request_union(base: type[EventRequest]) -> Any:
    """The discriminated union of all direct requests, for the endpoint and its OpenAPI schema."""
    models = tuple(request_model(cls, base) for cls in direct_events())
    return Annotated[Union[models], Field(discriminator="kind")]  # noqa: UP007 - built at run time


def event_of(request: EventRequest) -> Event:
    """Take the payload out of a request."""
    kind: str = request.kind  # type: ignore[attr-defined]  # every model of the union has it
    cls = rules.by_kind[kind]
    return cls(**{name: getattr(request, name) for name in cls.model_fields})


class EventPublic(BaseModel):
    """An entry of the log as JSON, with its hash and, once sealed, its index. The bytes that count are in the export."""

    stream: str
    id: str
    seq: int
    kind: str
    by: str
    performed: list[dict[str, Any]]
    source: str
    site: str | None
    occurred_at: str
    recorded_at: str
    late: bool
    comment: str | None
    relies_on: list[str]
    body: dict[str, Any]
    prev: str | None
    leaf_hash: str
    answers: dict[str, str] = Field(
        default_factory=dict,
        description="What those named unconfirmed in `performed` have said since: badge → open, confirmed or disputed.",
    )
    log_index: int | None = Field(description="Index in the sealed log; null while it waits to be sealed.")

    @classmethod
    def from_entry(
        cls, entry: dict[str, Any], leaf_hash: str, log_index: int | None, answers: dict[str, str] | None = None
    ) -> "EventPublic":
        """Build from a parsed entry, and from what the colleagues it names have said since."""
        known = {name: entry[name] for name in cls.model_fields if name in entry}
        return cls(**known, leaf_hash=leaf_hash, log_index=log_index, answers=answers or {})


class CustodyHistory(BaseModel):
    """Events of one stream, oldest first."""

    items: list[EventPublic]
    next: str | None = None


class AttemptPublic(BaseModel):
    """A kept refusal."""

    id: int
    at: AwareDatetime
    actor_code: str
    method: str
    path: str
    subject: str | None
    site_code: str | None
    status: int
    code: str
    detail: str
    evidence: bool


class AttemptList(Listed[AttemptPublic]):
    """Kept refusals, newest first."""
