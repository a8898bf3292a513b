"""A withdrawal opened for an act: its row and everything the rules ask about, locked in the order that every act keeps.

Donor first, then the withdrawal, then the specimens by code. Revoking a consent locks the donor too, so an act either sees the
revocation or is finished before it. Nothing is believed that was read before the lock.
"""

from collections.abc import Collection, Iterable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, RowMapping, or_, select, text, update
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.custody.event import Event
from biobank.custody.ledger import Appended
from biobank.custody.legality import Snapshot
from biobank.custody.models import Custody
from biobank.custody.recording import AHEAD, NOW, Circumstances, ImplausibleTime, Move, is_lagging
from biobank.custody.recording import record as record_on_specimens
from biobank.custody.snapshots import load
from biobank.custody.states import Condition, State, StreamKind
from biobank.donors.consents import consents_given
from biobank.donors.visibility import lock_donor
from biobank.foundation.clock import rfc3339
from biobank.foundation.db import table_of
from biobank.foundation.errors import NotFound, Refusal, StaleSequence
from biobank.quality.streams import record_on_stream
from biobank.specimens.models import Specimen
from biobank.transparency.models import StreamHead
from biobank.withdrawals.checks import use_refusals
from biobank.withdrawals.consents import treatment_consents
from biobank.withdrawals.models import Administration, Withdrawal, WithdrawalItem, WithdrawalPick
from biobank.withdrawals.workflow import Item, Route, Step, WithdrawalState, step_refusal

withdrawal = table_of(Withdrawal)
item_table = table_of(WithdrawalItem)
pick_table = table_of(WithdrawalPick)
administration = table_of(Administration)
custody = table_of(Custody)
specimen_table = table_of(Specimen)
stream_head = table_of(StreamHead)


@dataclass(frozen=True)
class Case:
    """An opened withdrawal. `tubes` are its specimens by code; `came_back` those that returned without a decision; `donor_status`
    is read with the donor's lock.
    """

    row: RowMapping
    seq: int
    tubes: dict[str, Snapshot]
    picks: dict[str, RowMapping]
    given: frozenset[str]
    came_back: frozenset[str]
    donor_status: str = ""

    @property
    def code(self) -> str:
        """The withdrawal's code."""
        return str(self.row["code"])

    @property
    def donor(self) -> str:
        """The donor, who is the recipient."""
        return str(self.row["donor_code"])

    @property
    def clinic(self) -> str:
        """The site that asked and will receive."""
        return str(self.row["clinic_site_code"])

    @property
    def state(self) -> WithdrawalState:
        """Where it stands."""
        return WithdrawalState(self.row["state"])

    @property
    def route(self) -> Route:
        """How its tubes travel."""
        return Route(self.row["route"])

    @property
    def items(self) -> list[Item]:
        """Its tubes as the workflow's rules see them, by code."""
        return [self.item(code) for code in sorted(self.tubes)]

    def item(self, code: str) -> Item:
        """One tube as the workflow's rules see it."""
        tube, pick = self.tubes[code], self.picks.get(code)
        stands = tube.state is not State.STORED
        return Item(
            specimen=code,
            state=State(tube.projection["state"]),
            condition=Condition(tube.projection["condition"]),
            # A tube that was put back has to be picked again.
            picked=pick is not None and stands,
            confirmed=pick is not None and stands and pick["confirmed_by"] is not None,
            given=code in self.given,
        )

    @property
    def approval(self) -> bytes:
        """The leaf hash of its approval; the database keeps one in every state past it."""
        event = self.row["approval_event"]
        assert event is not None, "approved without an event"
        return bytes(event)

    def require_step(self, step: Step) -> None:
        """Raise WrongStep unless the withdrawal is where `step` begins."""
        refusal = step_refusal(step, self.code, self.state)
        if refusal is not None:
            raise refusal


def visible(actor: Actor, permission: Permission = Permission.WITHDRAWAL_READ) -> ColumnElement[bool]:
    """The condition under which the actor holds `permission` for a row of `withdrawal`: at its clinic, or where its tubes are."""
    scope = actor.scope(permission)
    here = (
        select(item_table.c.specimen_code)
        .join(custody, custody.c.code == item_table.c.specimen_code)
        .join(specimen_table, specimen_table.c.code == item_table.c.specimen_code)
        .where(
            item_table.c.withdrawal_code == withdrawal.c.code,
            scope.of(custody.c.site_code, specimen_table.c.home_site_code),
        )
    )
    return or_(scope.of(withdrawal.c.clinic_site_code), here.exists())


def find_row(session: Session, actor: Actor, code: str) -> RowMapping:
    """Return the row; raise NotFound unless the actor may know of it."""
    row = session.execute(select(withdrawal).where(withdrawal.c.code == code, visible(actor))).mappings().first()
    if row is None:
        raise NotFound(f"There is no withdrawal {code} that you may see. Check the code.", subject=code)
    return row


def open_case(
    session: Session, act: Act, code: str, *, expected_seq: int | None = None, also: Collection[str] = ()
) -> tuple[Case, dict[str, Snapshot]]:
    """Lock donor, withdrawal and specimens, and load the case. `also`: further specimens to lock with them.

    Returns the case and the snapshots of `also` that exist. Raises NotFound, DonorNotTreated (only for the erased: a death
    refuses use, not what must still be recorded), StaleSequence when `expected_seq` is given and old.
    """
    donor_code = find_row(session, act.actor, code)["donor_code"]
    donor_status = lock_donor(session, donor_code).status
    row = session.execute(select(withdrawal).where(withdrawal.c.code == code).with_for_update()).mappings().one()
    case, others = _load(session, row, also, lock=True)
    case = replace(case, donor_status=donor_status)
    if expected_seq is not None and expected_seq != case.seq:
        raise StaleSequence(
            f"The record of {code} moved on: it stands at {case.seq}. Look at its present state and decide again.",
            subject=code,
            head=case.seq,
            state=row["state"],
        )
    return case, others


def read_case(session: Session, row: RowMapping) -> Case:
    """Load a case without locks, to be looked at."""
    return _load(session, row, (), lock=False)[0]


def _load(session: Session, row: RowMapping, also: Collection[str], *, lock: bool) -> tuple[Case, dict[str, Snapshot]]:
    code = row["code"]
    items = session.execute(select(item_table.c.specimen_code).where(item_table.c.withdrawal_code == code)).scalars().all()
    wanted = sorted({*items, *also})
    if lock:
        # The rows are locked before they are read: what stands beside custody in the snapshot is then as new as custody is.
        session.execute(select(custody.c.code).where(custody.c.code.in_(wanted)).order_by(custody.c.code).with_for_update()).all()
    found = load(session, wanted, lock=lock, holds=True)
    picks = session.execute(select(pick_table).where(pick_table.c.withdrawal_code == code)).mappings()
    given = session.execute(select(administration.c.specimen_code).where(administration.c.withdrawal_code == code)).scalars()
    seq = session.execute(
        select(stream_head.c.seq).where(stream_head.c.stream_kind == StreamKind.WITHDRAWAL.value, stream_head.c.stream_id == code)
    ).scalar()
    case = Case(
        row=row,
        seq=seq or 0,
        tubes={c: found[c] for c in items if c in found},
        picks={p["specimen_code"]: p for p in picks},
        given=frozenset(given),
        came_back=came_back(session, found),
    )
    return case, {c: found[c] for c in also if c in found}


_CAME_BACK = text(
    """
    SELECT DISTINCT ON (stream_id) stream_id, kind FROM event
    WHERE stream_kind = 'specimen' AND stream_id = ANY(:codes) AND kind IN ('specimen.issued', 'specimen.returned')
    ORDER BY stream_id, seq DESC
    """
)
_OURS = frozenset({State.RECEIVED, State.IN_PROCESS, State.STORED, State.CHECKED_OUT})


def came_back(session: Session, tubes: dict[str, Snapshot]) -> frozenset[str]:
    """Return the tubes that left for a patient and are in our hands again without a decision about their return."""
    ours = [code for code, tube in tubes.items() if tube.state in _OURS]
    rows = session.execute(_CAME_BACK, {"codes": ours})
    return frozenset(row.stream_id for row in rows if row.kind == "specimen.issued")


def require_treatment_consent(
    session: Session, act: Act, donor: str, material: str, specimens: Iterable[str]
) -> tuple[bytes, ...]:
    """Return the leaf hashes of the treatment consents that cover these specimens; the donor's row is locked.

    Raises ConsentMissing, ConsentIsRevoked, DonorNotTreated.
    """
    row = lock_donor(session, donor)
    given = consents_given(session, [donor], "treatment", act.at)[donor]
    consents, refusals = treatment_consents(donor, row.status, given, material, specimens, act.at)
    if refusals:
        raise refusals[0]
    return tuple(consents)


def require_usable(
    session: Session, act: Act, case: Case, codes: Iterable[str], event: type[Event], conditions: frozenset[Condition] | None
) -> None:
    """Raise the first reason for which one of `codes` may not take the step `event` on its way back to its donor."""
    refusals = usage_refusals(case, codes, event, conditions, at=act.at, lagging=is_lagging(session, act, [event]))
    if refusals:
        raise refusals[0]


def usage_refusals(
    case: Case, codes: Iterable[str], event: type[Event], conditions: frozenset[Condition] | None, *, at: datetime, lagging: bool
) -> list[Refusal]:
    """Return every reason why one of `codes` may not take the step `event` on its way back to its donor, by code. Pure."""
    return [
        refusal
        for code in sorted(codes)
        for refusal in use_refusals(
            event,
            case.tubes[code],
            donor=case.donor,
            at=at,
            route=case.route,
            conditions=conditions,
            withdrawal=case.code,
            lagging=lagging,
            came_back=code in case.came_back,
        )
    ]


def record_on_case(
    session: Session,
    act: Act,
    case: Case,
    event: Event,
    given: Circumstances = NOW,
    *,
    site: str | None = None,
    relies_on: tuple[bytes, ...] = (),
) -> Appended:
    """Append one event to the withdrawal's stream."""
    return record_on_stream(
        session, act, case.code, event, given, site=site or case.clinic, donor_code=case.donor, relies_on=relies_on
    )


def record_on_tubes(
    session: Session,
    act: Act,
    case: Case,
    moves: list[Move],
    given: Circumstances = NOW,
) -> list[Appended]:
    """Append events to specimens on the withdrawal's behalf: its own reservation does not stand in its way."""
    return record_on_specimens(session, act, moves, given, withdrawal=case.code)


def set_state(session: Session, case: Case, state: WithdrawalState, **values: Any) -> None:
    """Write where the withdrawal stands now."""
    session.execute(update(withdrawal).where(withdrawal.c.code == case.code).values(state=state.value, **values))


def moment_of(act: Act, given: Circumstances, stated: datetime | None) -> datetime:
    """Return when something began or was seen: as stated, else when the act happened. Raises ImplausibleTime for the future."""
    moment = stated or given.occurred_at or act.at
    if moment - act.at > AHEAD:
        raise ImplausibleTime(
            f"The stated time lies ahead of the bank's clock ({rfc3339(act.at)}). Say when it began or was seen."
        )
    return moment
