"""One withdrawal as its readers are told it, by the API and on its page alike: its tubes, what it waits for, what stops it."""

from sqlalchemy import select
from sqlmodel import Session

from biobank.acts.bank import Bank
from biobank.auth.actor import Actor
from biobank.custody.states import TERMINAL
from biobank.quality.adverse import reads_words
from biobank.quality.deviations import words_kept
from biobank.withdrawals.case import Case
from biobank.withdrawals.models import withdrawal_outcome as outcome_table
from biobank.withdrawals.next_acts import stopped_by
from biobank.withdrawals.queries import public_of
from biobank.withdrawals.schemas import ItemPublic, OutcomePublic, ReleasePublic, WithdrawalDetail
from biobank.withdrawals.standing import Standing, read_standing
from biobank.withdrawals.stops import stop_words
from biobank.withdrawals.workflow import shown, waits_for


def describe_withdrawal(session: Session, actor: Actor, bank: Bank, code: str) -> WithdrawalDetail:
    """Answer GET /withdrawals/{code}."""
    return describe(session, bank, read_standing(session, actor, code, bank))


def describe(session: Session, bank: Bank, standing: Standing) -> WithdrawalDetail:
    """Turn a withdrawal into its wire shape, with its outcomes and, for who may read them, their words."""
    case, stopped = standing.case, stopped_by(standing)
    reads = reads_words(standing.actor, case.clinic)
    outcomes = session.execute(
        select(outcome_table).where(outcome_table.c.withdrawal_code == case.code).order_by(outcome_table.c.id)
    ).mappings()
    public = public_of(case.row, sorted(case.tubes), shown(case.state, case.items))
    return WithdrawalDetail(
        **public.model_dump(),
        seq=case.seq,
        items=items_of(case),
        stopped=[one.detail for one in stopped],
        waits_for=[*stop_words(case, stopped), *waits(standing)],
        releases=[
            ReleasePublic(
                specimen=r["specimen_code"],
                killed_at=r["ended_at"],
                killed_because=r["ended_because"],
                **{n: r[n] for n in ("id", "made_at", "expires_at", "consumed_at")},
            )
            for r in standing.releases
        ],
        outcomes=[
            OutcomePublic(
                words=words_kept(session, bank.keystore, o["words_commit"], "outcome") if reads else None,
                **{n: o[n] for n in ("result", "observed_at", "recorded_by")},
            )
            for o in outcomes
        ],
    )


def waits(standing: Standing) -> list[str]:
    """Say what it waits for, whether or not something stands against that."""
    case = standing.case
    return waits_for(case.state, case.route, case.items, again=bool(standing.changed))


def items_of(case: Case) -> list[ItemPublic]:
    """Return the tubes of a withdrawal as they are shown. Pure."""
    answer = []
    for item in case.items:
        tube = case.tubes[item.specimen]
        answer.append(
            ItemPublic(
                specimen=item.specimen,
                state=item.state.value,
                condition=item.condition.value,
                quality=tube.projection.quality,
                site=tube.projection.site_code,
                amount=tube.projection.amount,
                unit=tube.unit,
                picked=item.picked,
                confirmed=item.confirmed,
                administered=item.given,
                came_after=list(case.came_after.get(item.specimen, ())),
                usable_until=None if item.state in TERMINAL else tube.expires_at,
            )
        )
    return answer
