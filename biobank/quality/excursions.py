"""Assessing an excursion: groups of its set, each released or rejected with a cause under one signature."""

from typing import Any, Literal, Self

from pydantic import Field, model_validator
from sqlalchemy import Row
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.signing import Meaning, use_signature
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.custody.ledger import Fact, append
from biobank.custody.legality import Snapshot
from biobank.custody.recording import Circumstances, Move, acknowledge, head_of, record
from biobank.custody.snapshots import load
from biobank.custody.states import StreamKind
from biobank.foundation.errors import Conflict, Refusal, StaleSequence, raise_first
from biobank.monitoring.events import ExcursionAssessed
from biobank.monitoring.excursions import digest_of, lift_if_settled
from biobank.monitoring.queries import (
    entries_behind,
    get_excursion,
    is_still_inside,
    keep_assessment,
    read_excursion,
    seen_now,
    to_assess,
)
from biobank.monitoring.schemas import ExcursionDetail
from biobank.quality.events import Decision, QualityDecided, RegulatoryBasis
from biobank.quality.independence import Capacity, independence_refusals, read_touches, touches_of_entries
from biobank.quality.releases import end_releases
from biobank.quality.schemas import Code, Reason, Token


class StillOutside(Conflict):
    """The place is outside its limits and something of the set is still in it."""

    code = "excursion_still_open"
    title = "It is not over"


class NothingLeftToAssess(Conflict):
    """Nothing of the set, or of this group, is left to assess."""

    code = "nothing_to_assess"
    title = "Nothing to assess"


class AssessRequest(Circumstances):
    """A group of the set: specimens, or donors, or with neither all that is left; and what is decided of it."""

    specimens: list[Code] | None = Field(default=None, min_length=1, max_length=20_000)
    donors: list[Code] | None = Field(default=None, min_length=1, max_length=5_000)
    decision: Literal["released", "rejected"]
    reason: Reason
    seen: str = Field(pattern=r"^[0-9a-f]{64}$", description="`seen` of the excursion that the person looked at.")
    signature: Token = None

    @model_validator(mode="after")
    def _one_group(self) -> Self:
        if self.specimens is not None and self.donors is not None:
            raise ValueError("name the specimens or the donors of the group, not both")
        return self


class AssessedExcursion(ExcursionDetail):
    """How it stands now, how many were assessed, and our signature."""

    assessed: int
    receipt: str


def assessing_refusals(session: Session, actor: Actor, row: "Row[Any]", group: "list[Row[Any]]") -> list[Refusal]:
    """Return every reason why the actor may not assess this group now: what the page shows and the use case raises."""
    found: list[Refusal] = []
    for site in sorted({one.site for one in group} | {row.site_code}, key=str):
        refusal = actor.refusal(Permission.HOLD_LIFT, at=site, subject=row.code)
        found += [] if refusal is None else [refusal]
    if not group:
        found.append(NothingLeftToAssess(f"Nothing of this group is left to assess in {row.code}.", subject=row.code))
    if row.ended_at is None and is_still_inside(session, row):
        found.append(
            StillOutside(
                f"{row.container_code} has not read within its limits again, and something of {row.code} is still in it. "
                "Bring it to a cold place, or record the reading that shows that it is over.",
                subject=row.code,
            )
        )
    return [*found, *_dependent(session, actor, row, group)]


def _dependent(session: Session, actor: Actor, row: "Row[Any]", group: "list[Row[Any]]") -> list[Refusal]:
    """Return why the actor is not independent: they made, tested or asked for some of it, or entered a reading."""
    leaves = entries_behind(session, row)
    found: list[Refusal] = []
    found += independence_refusals(actor, row.container_code, touches_of_entries(session, leaves, Capacity.READ, row.code))
    units = list(load(session, [one.code for one in group]).values()) if group else []
    for code, touches in sorted(read_touches(session, units, of=actor).items() if units else ()):
        found += independence_refusals(actor, code, touches)
    return found[:1]


def assess(session: Session, act: Act, code: str, request: AssessRequest) -> AssessedExcursion:
    """Assess a group, signed "released" or "rejected". Of the last group the hold is lifted.

    Raises NotFound, NotPermitted, NothingLeftToAssess, StillOutside, StaleSequence when a reading or another assessment changed
    it since the person looked, and what `use_signature` raises.
    """
    get_excursion(session, act.actor, code)
    group = to_assess(session, code, specimens=request.specimens, donors=request.donors)
    rejected = request.decision == "rejected"
    found = load(session, [one.code for one in group], lock=True) if rejected else {}
    row = get_excursion(session, act.actor, code, lock=True)
    raise_first(assessing_refusals(session, act.actor, row, group))
    if seen_now(session, row) != request.seen:
        raise StaleSequence(f"{code} is not any more what you looked at: look at it again, and decide.", subject=code)
    signature = use_signature(session, act, request.signature, Meaning.REJECTED if rejected else Meaning.RELEASED)
    codes = [one.code for one in group]
    appended = []
    if rejected:
        appended += record(session, act, [_rejection(found[one], request, str(signature.id)) for one in codes], request)
        end_releases.get()(session, codes, at=act.at, because="rejected")
    head = head_of(session, act, request, subject=None, site=row.site_code, relies_on=(bytes(row.opened_event),))
    event = ExcursionAssessed(
        excursion=code,
        specimens=len(codes),
        specimens_sha256=digest_of(codes),
        decision=request.decision,
        reason=request.reason,
        left=len(to_assess(session, code)) - len(codes),
        signature=str(signature.id),
    )
    (assessed,) = append(session, [Fact(StreamKind.CONTAINER, row.container_code, event, head)])
    keep_assessment(session, code, codes, request.decision, assessed, head.recorded_at)
    appended += [assessed, *lift_if_settled(session, head, code, str(signature.id))]
    detail = read_excursion(session, act.actor, code)
    return AssessedExcursion(**detail.model_dump(), assessed=len(codes), receipt=acknowledge(act, appended))


def _rejection(specimen: Snapshot, request: AssessRequest, signature: str) -> Move:
    event = QualityDecided(
        decision=Decision.REJECTED,
        reason=request.reason,
        basis=RegulatoryBasis(specimen.regulatory_basis),
        signature=signature,
    )
    return Move(specimen, event)
