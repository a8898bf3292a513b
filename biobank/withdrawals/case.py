"""A withdrawal opened for an act: its row and everything the rules ask about, locked in the order that every act keeps.

Donor first, then the withdrawal, then the specimens by code. Revoking a consent locks the donor too, so an act either sees the
revocation or is finished before it. Nothing is believed that was read before the lock.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType
from typing import Any

from sqlalchemy import ColumnElement, RowMapping, Select, and_, or_, select, update
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.auth.actor import Actor
from biobank.auth.models import user
from biobank.auth.permissions import Permission
from biobank.auth.queries import actor_by, every_login, every_login_of, grants_now
from biobank.custody.custodians import custodian_refusal
from biobank.custody.event import Event
from biobank.custody.ledger import Appended
from biobank.custody.legality import Snapshot
from biobank.custody.locks import locked
from biobank.custody.models import custody
from biobank.custody.recording import AHEAD, Circumstances, ImplausibleTime, Move
from biobank.custody.recording import record as record_on_specimens
from biobank.custody.snapshots import load
from biobank.custody.states import Condition, State, StreamKind
from biobank.donors.models import donor
from biobank.foundation import clock
from biobank.foundation.clock import rfc3339
from biobank.foundation.db import table_of
from biobank.foundation.errors import NotFound, Refusal, StaleSequence
from biobank.quality.findings import Findings, read_findings
from biobank.quality.streams import record_on_stream
from biobank.specimens.models import specimen
from biobank.transparency.models import stream_head
from biobank.withdrawals.approvals import ApprovalNow, read_approvals, units_beside
from biobank.withdrawals.case_columns import CASE_COLUMNS
from biobank.withdrawals.checks import use_refusals
from biobank.withdrawals.models import Administration, WithdrawalPick, withdrawal
from biobank.withdrawals.models import withdrawal_item as item_table
from biobank.withdrawals.telling import follow
from biobank.withdrawals.workflow import Item, Route, WithdrawalState

pick_table = table_of(WithdrawalPick)
administration = table_of(Administration)
STANDS = (
    select(custody.c.code).where(custody.c.administered_under == administration.c.release_id).correlate(administration).exists()
)
"""A giving counts while its tube is given under it by the record: not one that was undone."""
_picker = user.alias("picker")
PICKED = ("container_code", "position_code", "picked_by", "picked_at", "picked_event", "confirmed_by", "confirmed_at")


@dataclass(frozen=True)
class Case:
    """An opened withdrawal: its row with the donor's status, and by code its tubes, their picks, and what was found of them.

    `findings` may hold other tubes that were read with its own.
    """

    row: Mapping[Any, Any]
    seq: int
    tubes: dict[str, Snapshot]
    picks: Mapping[str, Mapping[Any, Any]]
    given: frozenset[str]
    findings: dict[str, Findings]
    approvers: frozenset[str] = frozenset()
    """Every login of whoever approved it."""
    came_after: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """By tube that was given: what was recorded between its giving and the entry of that, and stood against it."""
    approval_now: ApprovalNow | None = None
    """What its approval would rest on now; None before it, and once something has left."""

    @property
    def code(self) -> str:
        """The withdrawal's code."""
        return str(self.row["code"])

    @property
    def donor(self) -> str:
        """The donor, who is the recipient."""
        return str(self.row["donor_code"])

    @property
    def donor_status(self) -> str:
        """Living, deceased, unreachable or erased; as it is under the donor's lock when the case was opened for an act."""
        return str(self.row["donor_status"])

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
        away = self.findings[code].left_the_hand
        stands = tube.state is not State.STORED and (pick is None or away is None or away <= pick["picked_at"])
        stands = stands and (pick is None or _by_two_who_may(pick, tube))
        return Item(
            specimen=code,
            state=State(tube.projection.state),
            condition=Condition(tube.projection.condition),
            # A tube that was put back, or missed, has to be picked again: nobody scanned what came out of its place since. So has
            # one whose first scan is nobody's any more, or both of whose scans are one person's.
            picked=pick is not None and stands,
            confirmed=pick is not None and stands and pick["confirmed_by"] is not None,
            labelled=self.findings[code].final_label is not None,
            given=code in self.given,
            left=self.findings[code].left_for == self.code,
            others=tube.projection.reserved_for not in (None, self.code),
        )

    @property
    def approval(self) -> bytes:
        """The leaf hash of its approval; the database keeps one in every state past it."""
        event = self.row["approval_event"]
        assert event is not None, "approved without an event"
        return bytes(event)

    def moved_on(
        self,
        appended: Sequence[Appended],
        *,
        state: WithdrawalState | None = None,
        picked: Mapping[str, Mapping[Any, Any]] = MappingProxyType({}),
        given: Collection[str] = (),
        returned: Collection[str] = (),
        labelled: Mapping[str, str] = MappingProxyType({}),
    ) -> "Case":
        """Return the case as it stands after this act's own writes, without reading it again. Pure.

        `appended`: what the act wrote; `state`: where the withdrawal was led; `picked`: rows of picks written; `given` and
        `returned`: tubes; `labelled`: the template of the final label, by tube.
        """
        ends = {one.stream_id: one for one in appended}
        tubes = {
            code: replace(tube, projection=end.projection, seq=end.seq, head_hash=end.leaf_hash)
            if (end := ends.get(code)) is not None and end.projection is not None
            else tube
            for code, tube in self.tubes.items()
        }
        return replace(
            self,
            row=self.row if state is None else {**self.row, "state": state.value},
            seq=ends[self.code].seq if self.code in ends else self.seq,
            tubes=tubes,
            picks={**self.picks, **picked},
            given=self.given | frozenset(given),
            findings=self.findings
            | {code: replace(self.findings[code], left_for=None, came_back=False) for code in returned}
            | {code: replace(self.findings[code], final_label=template) for code, template in labelled.items()},
        )


def _by_two_who_may(pick: Mapping[Any, Any], tube: Snapshot) -> bool:
    """Say whether a pick still counts: the first who waits for the second could take it out now, and both are not one person."""
    if pick["confirmed_by"] is not None:
        return pick["confirmed_by"] not in pick.get("pickers", ())
    if "picker_grants" not in pick:
        return True  # it was scanned in this act
    return actor_by(pick["picked_by"], pick["picker_grants"]).may(Permission.WITHDRAWAL_PICK, at=tube.sites)


def streams_of(case: Case) -> list[tuple[StreamKind, str]]:
    """Return the records a case consists of: its withdrawal's, its donor's and its tubes'."""
    tubes = [(StreamKind.SPECIMEN, code) for code in case.tubes]
    return [(StreamKind.WITHDRAWAL, case.code), (StreamKind.DONOR, case.donor), *tubes]


def visible(actor: Actor, permission: Permission = Permission.WITHDRAWAL_READ) -> ColumnElement[bool]:
    """The condition under which the actor holds `permission` for a row of `withdrawal`: at its clinic, or where its tubes are."""
    scope = actor.scope(permission)
    here = (
        select(item_table.c.specimen_code)
        .join(custody, custody.c.code == item_table.c.specimen_code)
        .join(specimen, specimen.c.code == item_table.c.specimen_code)
        .where(
            item_table.c.withdrawal_code == withdrawal.c.code,
            scope.of(custody.c.site_code, specimen.c.home_site_code),
        )
    )
    return or_(scope.of(withdrawal.c.clinic_site_code), here.exists())


def case_rows(actor: Actor, permission: Permission = Permission.WITHDRAWAL_READ) -> Select[Any]:
    """The rows of withdrawals that the actor may know of, with their donor's status."""
    return select(*CASE_COLUMNS).join(donor, donor.c.code == withdrawal.c.donor_code).where(visible(actor, permission))


def find_row(session: Session, actor: Actor, code: str, *, lock: bool = False) -> RowMapping:
    """Return the row; raise NotFound unless the actor may know of it. `lock` takes the donor's row, then the withdrawal's."""
    statement = case_rows(actor).where(withdrawal.c.code == code)
    if lock:
        # One statement locks both rows in the order they are named.
        statement = locked(statement, donor, withdrawal)
    row = session.execute(statement).mappings().first()
    if row is None:
        raise NotFound(f"There is no withdrawal {code} that you may see. Check the code.", subject=code)
    return row


def open_case(
    session: Session, act: Act, code: str, *, expected_seq: int | None = None, also: Collection[str] = ()
) -> tuple[Case, dict[str, Snapshot]]:
    """Lock donor, withdrawal and specimens, and load the case. `also`: further specimens to lock with them.

    Returns the case and the snapshots of `also` that exist. Raises NotFound, StaleSequence when `expected_seq` is given and old.
    """
    row = find_row(session, act.actor, code, lock=True)
    case, others = _load(session, row, also, lock=True)
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
    tubes = read_tubes(session, [row["code"]], also=also, lock=lock)
    its = [tube for tube in tubes if tube["withdrawal_code"] is not None]
    # The rows of custody are locked before this: what stands beside them in the snapshots is as new as they are.
    found = load(session, [*(tube["tube"] for tube in tubes), *units_beside(session, [row])], holds=True)
    at = clock.now()
    findings = read_findings(session, found, at)
    approvals = read_approvals(session, [row], {row["code"]: [tube["tube"] for tube in its]}, found, findings, at)
    return case_of(row, its, found, findings, approvals), {code: found[code] for code in also if code in found}


def read_cases(
    session: Session, rows: Sequence[RowMapping], at: datetime, also: Collection[str] = ()
) -> tuple[list[Case], dict[str, Snapshot]]:
    """Load several without locks: the same statements however many there are.

    Returns the snapshots too, with those of the specimens `also`.
    """
    its: dict[str, list[RowMapping]] = {row["code"]: [] for row in rows}
    for tube in read_tubes(session, its):
        its[tube["withdrawal_code"]].append(tube)
    asked = [*also, *(tube["tube"] for several in its.values() for tube in several), *units_beside(session, rows)]
    found = load(session, asked, holds=True)
    findings = read_findings(session, found, at)
    tubes = {code: [tube["tube"] for tube in several] for code, several in its.items()}
    approvals = read_approvals(session, rows, tubes, found, findings, at)
    return [case_of(row, its[row["code"]], found, findings, approvals) for row in rows], found


_SEQ = (
    select(stream_head.c.seq)
    .where(stream_head.c.stream_kind == StreamKind.WITHDRAWAL.value, stream_head.c.stream_id == item_table.c.withdrawal_code)
    .scalar_subquery()
)


def read_tubes(
    session: Session, codes: Collection[str], *, also: Collection[str] = (), lock: bool = False
) -> Sequence[RowMapping]:
    """Return one row for each tube of these withdrawals, by code: `tube`, its pick with every login of who took it out
    (`pickers`) and what that login may do now (`picker_grants`), whether `given`, the withdrawal's `seq`.

    `also`: further specimens, as rows without a withdrawal; only with one withdrawal. `lock` takes their rows of custody.
    """
    asked = and_(item_table.c.specimen_code == custody.c.code, item_table.c.withdrawal_code.in_(sorted(codes)))
    statement = (
        select(
            custody.c.code.label("tube"),
            item_table.c.withdrawal_code,
            _SEQ.label("seq"),
            administration.c.release_id.is_not(None).label("given"),
            administration.c.came_after,
            *(pick_table.c[name] for name in PICKED),
            every_login(_picker).label("pickers"),
            grants_now(_picker).label("picker_grants"),
            every_login_of(withdrawal.c.approvers).label("approvers"),
        )
        .select_from(
            custody.outerjoin(item_table, asked)
            .outerjoin(
                pick_table,
                and_(
                    pick_table.c.withdrawal_code == item_table.c.withdrawal_code,
                    pick_table.c.specimen_code == item_table.c.specimen_code,
                ),
            )
            .outerjoin(_picker, _picker.c.code == pick_table.c.picked_by)
            .outerjoin(withdrawal, withdrawal.c.code == item_table.c.withdrawal_code)
            .outerjoin(
                administration,
                and_(
                    administration.c.withdrawal_code == item_table.c.withdrawal_code,
                    administration.c.specimen_code == item_table.c.specimen_code,
                    administration.c.release_id == custody.c.administered_under,
                ),
            )
        )
        .where(
            custody.c.code.in_(select(item_table.c.specimen_code).where(item_table.c.withdrawal_code.in_(sorted(codes))))
            | custody.c.code.in_(sorted(also))
        )
        .order_by(custody.c.code)
    )
    if lock:
        statement = locked(statement, custody)
    return session.execute(statement).mappings().all()


def case_of(
    row: RowMapping,
    its: Sequence[RowMapping],
    found: Mapping[str, Snapshot],
    findings: Mapping[str, Findings],
    approvals: Mapping[str, ApprovalNow],
) -> Case:
    """Put a case together from its row, its tubes' rows and what was read of the tubes."""
    return Case(
        row=row,
        seq=max((tube["seq"] or 0 for tube in its), default=0),
        tubes={tube["tube"]: found[tube["tube"]] for tube in its},
        picks={tube["tube"]: tube for tube in its if tube["picked_by"] is not None},
        given=frozenset(tube["tube"] for tube in its if tube["given"]),
        findings=dict(findings),
        approvers=frozenset(login for tube in its for login in tube["approvers"] or ()),
        came_after={tube["tube"]: tuple(tube["came_after"]) for tube in its if tube["came_after"]},
        approval_now=approvals.get(row["code"]),
    )


def held_refusals(actor: Actor, case: Case, codes: Iterable[str], event: type[Event]) -> list[Refusal]:
    """Return why neither the actor nor their site holds one of `codes`, which the step `event` handles, by code. Pure."""
    refusals = (custodian_refusal(actor, event, case.tubes[code]) for code in sorted(codes))
    return [refusal for refusal in refusals if refusal is not None]


def usage_refusals(
    case: Case, codes: Iterable[str], event: type[Event], conditions: frozenset[Condition] | None, *, at: datetime, lagging: bool
) -> list[Refusal]:
    """Return every reason why one of `codes` may not take the step `event` on its way back to its donor, by code. Pure."""
    return [
        refusal
        for code in sorted(codes)
        for refusal in use_of_tube(case, case.tubes[code], case.findings[code], event, conditions, at=at, lagging=lagging)
    ]


def use_of_tube(
    case: Case,
    tube: Snapshot,
    findings: Findings,
    event: type[Event],
    conditions: frozenset[Condition] | None,
    *,
    at: datetime,
    lagging: bool,
) -> list[Refusal]:
    """Return every reason why this tube may not take the step `event` for the case, whether or not it is one of its own. Pure."""
    return use_refusals(
        event,
        tube,
        donor=case.donor,
        at=at,
        route=case.route,
        conditions=conditions,
        withdrawal=case.code,
        lagging=lagging,
        findings=findings,
        treated_under=case.row["clinic_under"],
    )


def record_on_case(
    session: Session,
    act: Act,
    case: Case,
    event: Event,
    given: Circumstances,
    *,
    site: str | None = None,
    relies_on: tuple[bytes, ...] = (),
) -> Appended:
    """Append one event to the withdrawal's stream, and tell those who wait for it."""
    appended = record_on_stream(
        session, act, case.code, event, given, site=site or case.clinic, donor_code=case.donor, relies_on=relies_on
    )
    follow(session, act, case.row, case.tubes, event, appended.leaf_hash)
    return appended


def record_on_tubes(
    session: Session,
    act: Act,
    case: Case,
    moves: list[Move],
    given: Circumstances,
    *,
    lagging: bool | None = None,
    seals_follow: bool = False,
) -> list[Appended]:
    """Append events to specimens on the withdrawal's behalf: its own reservation does not stand in its way.

    `lagging`: whether the log is behind, when the caller asked already.
    """
    return record_on_specimens(session, act, moves, given, withdrawal=case.code, lagging=lagging, seals_follow=seals_follow)


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
