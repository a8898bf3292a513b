"""Wire shapes of subscriptions."""

from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field

from biobank.foundation.paging import Listed


def _each_once(values: list[Any]) -> list[Any]:
    if len(set(values)) != len(values):
        raise ValueError("names one twice")
    return values


Kinds = Annotated[
    list[Annotated[str, Field(pattern=r"^[a-z_]{2,20}\.([a-z_]{2,40}|\*)$")]],
    AfterValidator(_each_once),
    Field(max_length=100, description="What it is told of; none: everything."),
]
Sites = Annotated[
    list[Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9]{1,7}$")]],
    AfterValidator(_each_once),
    Field(max_length=50, description="What is recorded at these sites; none: at every site, and what has no site."),
]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class MakeWebhook(_Body):
    """Another system that is to be told of events. Nothing is sent before it has a secret and two people opened it.

    `kinds`: kinds of event, `specimen.received`, or all about a subject, `specimen.*`.
    """

    name: Annotated[str, Field(min_length=2, max_length=60, pattern=r"^[^\x00-\x1f]+$")]
    url: Annotated[str, Field(min_length=10, max_length=300, description="One that begins with an address the settings list.")]
    kinds: Kinds = Field(default_factory=list)
    sites: Sites = Field(default_factory=list)
    from_beginning: bool = Field(default=False, description="Also what is in the log already; otherwise from its opening on.")


class MakeSecret(_Body):
    """A new secret. The one before signs beside it for a day, or ends at once, if somebody has seen it who should not."""

    end_former: bool = False


class OpenWebhook(_Body):
    """Two people sign "decided"; the second names the first's proposal in `pending_act`."""

    signature: str | None = Field(default=None, max_length=200)
    pending_act: UUID | None = None


class Undelivered(_Body):
    """Deliveries that were given up after many tries."""

    deliveries: Annotated[list[UUID], AfterValidator(_each_once), Field(min_length=1, max_length=500)]


class WebhookPublic(BaseModel):
    """A subscription."""

    code: str
    name: str
    url: str
    kinds: list[str]
    sites: list[str]
    from_beginning: bool
    state: Literal["not_opened", "open", "stopped", "withdrawn"]
    stopped_because: Literal["person", "gone", "owner"] | None
    made_by: str
    made_at: AwareDatetime
    owner: str | None = Field(description="Whose rights bound what is sent.")
    opened_at: AwareDatetime | None
    secrets: int = Field(description="Secrets that sign now: two during a change.")
    behind: int | None = Field(description="Entries of the log that it has not gone through yet.")
    waiting: int = Field(description="Events that are on their way.")
    undeliverable: int = Field(description="Events that were given up after many tries; a person decides.")
    quiet_until: AwareDatetime | None = Field(description="After a failure, when it is tried again.")


class WebhookList(Listed[WebhookPublic]):
    """Subscriptions, the latest first."""


class WebhookAnswer(WebhookPublic):
    """As it stands now, and our signature."""

    status: Literal["done"] = "done"
    receipt: str


class ShownSecret(BaseModel):
    """A secret, shown this once."""

    code: str
    name: str
    secret: str = Field(description="As Standard Webhooks writes it: `whsec_…`.")
    former_until: AwareDatetime | None = Field(description="Until when the one before signs too.")
    receipt: str


class DeliveryPublic(BaseModel):
    """One event on its way to a subscription, or a trial."""

    id: UUID
    event: str | None = Field(description="The entry's leaf hash, which is the `webhook-id`; null for a trial.")
    kind: str
    stream: str
    state: Literal["waiting", "delivered", "undeliverable", "left_out", "withheld", "failed"]
    attempts: int
    made_at: AwareDatetime
    last_at: AwareDatetime | None
    next_at: AwareDatetime | None = Field(description="When it is tried next; null when it is not.")
    outcome: str | None = Field(description="What became of the latest try.")
    status: int | None = Field(description="The latest answer's status.")


class DeliveryList(Listed[DeliveryPublic]):
    """Deliveries, the latest first."""


class TrialAsked(BaseModel):
    """A message without an event is on its way."""

    delivery: UUID
