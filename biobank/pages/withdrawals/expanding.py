"""The run in which the cells of a withdrawal are grown, as a form: that of any run, with the withdrawal's tubes in it."""

from dataclasses import dataclass, replace
from typing import Any

from fastapi import APIRouter
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.foundation.terms import counted
from biobank.pages.specimens.runs import BENCH, BENCH_CODES, BENCH_LABELS, Bench, bench_for, draw_run, run_of
from biobank.pages.ui.act_pages import ActForm, Acting, ActPage, Asked, Done, Opened
from biobank.specimens.processes import Process, growing
from biobank.withdrawals.schemas import ExpandRequest
from biobank.withdrawals.standing import Standing, read_standing
from biobank.withdrawals.steps import STEPS

router = APIRouter(include_in_schema=False)

STEP = STEPS["expand"]


@dataclass(frozen=True)
class Growing:
    """What the form reads: the withdrawal, the bench with its tubes, and by which process they grow."""

    standing: Standing
    bench: Bench
    process: Process


def _read(session: Session, actor: Actor, asked: Asked) -> Growing:
    standing = read_standing(session, actor, asked.code, asked.bank)
    asked.opens(standing.refusals("expand"))
    process = growing(standing.case.row["material"])
    assert process is not None, "nothing else is requested by this way"
    return Growing(standing, bench_for(session, actor, sorted(standing.case.tubes)), process)


def _draw(at: Opened[Growing]) -> ActForm:
    read = at.read
    drawn = draw_run(at, read.process, read.bench)
    case = read.standing.case
    return replace(
        drawn,
        title=STEP.label,
        subject=case.code,
        lead=f"{read.process.title}. {STEP.lead}",
        trail=None,
        hidden={"expected_seq": str(case.seq)},
        submit=STEP.label,
    )


async def _run(at: Acting[Growing]) -> dict[str, Any]:
    return await run_of(at, at.read.process.name)


def _after(_at: Any, _body: ExpandRequest, answer: Any) -> Done:
    run = answer["run"]
    text = f"{counted(len(run['specimens']), 'new specimen')}. Print the labels next."
    return Done(f"/lots/{run['lot']}", STEP.done, " ".join([text, *run["warnings"]]))


ActPage(
    address="/withdrawals/{code}/expand",
    reads=_read,
    form=_draw,
    labels=BENCH_LABELS,
    model=ExpandRequest,
    names=BENCH,
    scans=BENCH_CODES,
    tubes=("specimen",),
    given=_run,
    use_case=STEP.use_case,
    after=_after,
).on(router)
