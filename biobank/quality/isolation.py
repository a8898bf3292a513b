"""Keeping a donor's material apart for infection: decided by quality, asked by every way of placing (`storage/rules.py`)."""

from pydantic import BaseModel, Field
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.auth.permissions import Permission
from biobank.auth.scope import WHOLE
from biobank.custody.recording import Circumstances, acknowledge
from biobank.custody.states import HoldScope
from biobank.donors.markers import reactive_stands
from biobank.donors.service import keep_apart
from biobank.foundation.errors import Conflict
from biobank.quality.events import IsolationDecided
from biobank.quality.holds import find_scope, site_of_act
from biobank.quality.schemas import Reason
from biobank.quality.streams import record_on_stream
from biobank.storage.queries import kept_with_others


class IsolationStands(Conflict):
    """The donor's material is kept apart already, or never was."""

    code = "isolation_stands"
    title = "Nothing changes"


class ReactiveResultStands(Conflict):
    """A marker of infection is reactive; what follows from it is not lifted by hand."""

    code = "reactive_result_stands"
    title = "A reactive result stands"


class IsolationRequest(Circumstances):
    """Whether everything of the donor is kept apart for infection, and why (a coded reason, no finding)."""

    kept_apart: bool
    reason: Reason


class IsolationAnswer(BaseModel):
    """What was decided."""

    donor: str
    kept_apart: bool
    to_move: int = Field(description="Stored tubes of the donor that may not stand where they do: tasks of their sites.")
    receipt: str


def decide_isolation(session: Session, act: Act, code: str, request: IsolationRequest) -> IsolationAnswer:
    """Decide whether a donor's material stands in isolated places only. Raises NotFound, NotPermitted, IsolationStands,
    ReactiveResultStands.
    """
    scope = find_scope(session, act.actor, HoldScope.DONOR, code, lock=True)
    act.require(Permission.QUALITY_DECIDE, at=scope.sites, subject=code)
    if not request.kept_apart and reactive_stands(session, code):
        raise ReactiveResultStands(
            f"A reactive result of {code} stands, so its material is kept apart. Decide about that result first.", subject=code
        )
    if not keep_apart(session, code, request.kept_apart):
        raise IsolationStands(f"The record of {code} already says that.", subject=code)
    event = IsolationDecided(kept_apart=request.kept_apart, reason=request.reason)
    site = site_of_act(act.actor, Permission.QUALITY_DECIDE, scope)
    done = record_on_stream(session, act, code, event, request, site=site, donor_code=code)
    to_move = len(kept_with_others(session, WHOLE, donor=code))
    return IsolationAnswer(donor=code, kept_apart=request.kept_apart, to_move=to_move, receipt=acknowledge(act, [done]))
