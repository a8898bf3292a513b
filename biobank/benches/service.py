"""Use cases of bench sessions: a line is cleared and opened for one person, tubes are scanned there, the line is cleared again.

A session is opened and closed when it happens and by whoever looks. Where the site asks for a second person (the rule
`cleared_alone`, refused), both look and sign: two persons, as every act of two.
"""

from typing import Any

from sqlalchemy import Row, insert, select, update
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.codes import new_code
from biobank.acts.signing import Meaning
from biobank.acts.two_alike import two_sign
from biobank.acts.two_person import Completed, Proposed, two_person
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE
from biobank.benches.at_bench import NotAWorkstation, keep_handled, require_workstation, stop_of
from biobank.benches.events import BenchClosed, BenchOpened
from biobank.benches.models import bench_session
from biobank.benches.queries import labels_of, row_of_session, summary_of
from biobank.benches.schemas import BenchSessionAnswer, CloseBench, OpenBench, ScanAtBench
from biobank.custody.ledger import Appended, Fact, append
from biobank.custody.recording import NOW, acknowledge, head_of
from biobank.custody.snapshots import get_all_visible, get_visible
from biobank.custody.states import StreamKind
from biobank.donors.visibility import get_visible_donor
from biobank.foundation.errors import Conflict, Refusal, Refused
from biobank.registers.fitness import Problem
from biobank.registers.queries import row_of
from biobank.registers.using import Use, answer_at, keep_warnings, require_fit


class BenchIsOpen(Conflict):
    """A session is open at this workstation; it is closed first."""

    code = "bench_is_open"
    title = "Open for somebody already"


class BenchIsClosed(Conflict):
    """The session has ended."""

    code = "bench_is_closed"
    title = "The session has ended"


class WrongWorkstation(Conflict):
    """The label that was scanned is of another workstation than the one that is cleared."""

    code = "wrong_workstation"
    title = "Another workstation"


class LineNotClear(Conflict):
    """Something of another person is at the workstation."""

    code = "line_not_clear"
    title = "The line is not clear"


class WorkstationOfNoSite(Conflict):
    """The register does not say at which site the workstation stands."""

    code = "workstation_of_no_site"
    title = "It has no site"


class LabelsOfBenchOpen(Conflict):
    """Labels that were printed for the session are not accounted for."""

    code = "labels_of_bench_open"
    title = "Labels to account for"


OPEN, CLOSE = "bench.open", "bench.close"
_SEEN = "I have looked at this workstation myself, and nothing of another person is there."


@two_person(OPEN, "Clear and open a workstation", _SEEN, OpenBench)
def open_bench(session: Session, act: Act, workstation: str, request: OpenBench) -> BenchSessionAnswer | Proposed:
    """Open a workstation for one donor after line clearance.

    Raises NotFound, NotPermitted, NotAWorkstation, WorkstationOfNoSite, WrongWorkstation, LineNotClear, BenchIsOpen,
    NotFitForUse, and what `two_sign` raises where two people clear the line.
    """
    act.require(Permission.PROCESSING_RECORD, at=ANYWHERE)
    donor = request.donor
    if request.specimen is not None:
        donor = get_visible(session, act.actor, request.specimen).donor_code
        if donor is None:
            raise NotAWorkstation(f"{request.specimen} is of nobody known: no workstation is opened for it.", subject=workstation)
    assert donor is not None
    get_visible_donor(session, act.actor, donor, lock=True)
    bench = row_of(session, workstation, lock=True)
    require_workstation(session, workstation)
    if bench.site_code is None:
        raise WorkstationOfNoSite(
            f"{bench.name} stands at no site by its register. Enter it for a site first.", subject=workstation
        )
    act.require(Permission.PROCESSING_RECORD, at=bench.site_code)
    _require_clear(workstation, request)
    stands = session.execute(
        select(bench_session).where(bench_session.c.workstation == workstation, bench_session.c.closed_at.is_(None))
    ).first()
    if stands is not None:
        raise BenchIsOpen(
            f"{workstation} is open for {stands.donor_code} ({stands.code}). Clear it and close that session first.",
            subject=workstation,
            site=bench.site_code,
        )
    use = Use(
        site=bench.site_code,
        used_at=act.at,
        people=[act.actor.code],
        codes=[workstation],
        alone=not needs_two(session, bench.site_code),
    )
    warned = require_fit(session, act, use)
    said = {"donor": donor, "workstation": request.workstation, "cleared": True}
    step = _second(session, act, OPEN, workstation, said, request, bench.site_code)
    if isinstance(step, Proposed):
        return step
    code = new_code(session, "BS")
    second = None if step is None else step.first_user
    event = BenchOpened(workstation=workstation, donor=donor, site=bench.site_code, second=second)
    done = _append(session, act, code, event, bench.site_code, donor)
    session.execute(
        insert(bench_session).values(
            code=code,
            workstation=workstation,
            site_code=bench.site_code,
            donor_code=donor,
            opened_at=act.at,
            opened_by=act.actor.code,
            opened_second=second,
            opened_event=done[0].leaf_hash,
        )
    )
    keep_warnings(session, act, warned, NOW, used_in=code, site=bench.site_code)
    return _answer(session, act, code, done)


def scan_at_bench(session: Session, act: Act, code: str, request: ScanAtBench) -> BenchSessionAnswer | Refused:
    """Record that tubes are handled at the workstation of an open session.

    Raises NotFound, NotPermitted, BenchIsClosed. Another person's tube is a full stop that is kept as evidence.
    """
    act.require(Permission.PROCESSING_RECORD, at=ANYWHERE)
    tubes = get_all_visible(session, act.actor, list(dict.fromkeys(request.specimens)), lock=True)
    row = _locked(session, act, code)
    if (closed := scanning_refusal(row)) is not None:
        raise closed
    stop = stop_of(row, {one.code: one.donor_code for one in tubes})
    if stop is not None:
        return Refused(stop)
    done = keep_handled(session, act, row, request.what, [one.code for one in tubes], None)
    return _answer(session, act, code, done)


def scanning_refusal(row: "Row[Any]") -> Refusal | None:
    """Return why nothing more is handled in a session. Pure."""
    if row.closed_at is None:
        return None
    return BenchIsClosed(f"{row.code} was closed. Clear the workstation and open it anew.", subject=row.code, site=row.site_code)


@two_person(CLOSE, "Clear and close a workstation", _SEEN, CloseBench)
def close_bench(session: Session, act: Act, code: str, request: CloseBench) -> BenchSessionAnswer | Proposed:
    """Close a session: every label is accounted for, and the line is clear.

    Raises NotFound, NotPermitted, BenchIsClosed, WrongWorkstation, LineNotClear, LabelsOfBenchOpen, and what
    `two_sign` raises.
    """
    row = _locked(session, act, code)
    if (closed := scanning_refusal(row)) is not None:
        raise closed
    _require_clear(row.workstation, request)
    batches = labels_of.get()(session, code)
    if left := [str(batch) for batch, reconciled in batches if not reconciled]:
        raise LabelsOfBenchOpen(
            f"Say first what became of the labels of batch {', '.join(left)}: applied, destroyed or missing.",
            subject=code,
            site=row.site_code,
            batches=left,
        )
    said = {"workstation": request.workstation, "cleared": True}
    step = _second(session, act, CLOSE, code, said, request, row.site_code)
    if isinstance(step, Proposed):
        return step
    second = None if step is None else step.first_user
    event = BenchClosed(opened=bytes(row.opened_event).hex(), label_batches=tuple(batch for batch, _ in batches), second=second)
    done = _append(session, act, code, event, row.site_code, row.donor_code)
    values = {"closed_at": act.at, "closed_by": act.actor.code, "closed_second": second, "closed_event": done[0].leaf_hash}
    session.execute(update(bench_session).where(bench_session.c.code == code).values(**values))
    return _answer(session, act, code, done)


def needs_two(session: Session, site: str) -> bool:
    """Say whether a site asks for a second person at every line clearance; the pages ask the same."""
    return answer_at(session, site, Problem.CLEARED_ALONE) == "refuse"


def _second(
    session: Session, act: Act, name: str, subject: str, said: dict[str, Any], request: OpenBench | CloseBench, site: str
) -> Proposed | Completed | None:
    """Take the step of two people where the site asks for it. None: one is enough."""
    if not needs_two(session, site):
        return None
    may = Permission.PROCESSING_RECORD
    return two_sign(
        session,
        act,
        name,
        subject,
        said,
        request,
        may,
        site=site,
        meaning=Meaning.WITNESSED,
    )


def _require_clear(workstation: str, request: OpenBench | CloseBench) -> None:
    if not request.cleared:
        raise LineNotClear(
            "Take away what is there of another person, each tube back where it came from. Then look again.", subject=workstation
        )
    scanned = request.workstation
    if scanned != workstation:
        raise WrongWorkstation(
            f"You scanned {scanned}; this is about {workstation}. Look which one you stand at.", subject=workstation
        )


def _locked(session: Session, act: Act, code: str) -> "Row[Any]":
    """Return a session whose workstation nobody else opens, closes or works at until this act ends."""
    act.require(Permission.PROCESSING_RECORD, at=ANYWHERE)
    row = row_of_session(session, act.actor, code)
    row_of(session, row.workstation, lock=True)
    act.require(Permission.PROCESSING_RECORD, at=row.site_code, subject=code)
    return row_of_session(session, act.actor, code)


def _append(session: Session, act: Act, code: str, event: Any, site: str, donor: str) -> list[Appended]:
    return append(
        session, [Fact(StreamKind.SYSTEM, code, event, head_of(session, act, NOW, subject=None, site=site), donor_code=donor)]
    )


def _answer(session: Session, act: Act, code: str, done: list[Appended]) -> BenchSessionAnswer:
    summary = summary_of(session, row_of_session(session, act.actor, code))
    return BenchSessionAnswer(**summary.model_dump(), receipt=acknowledge(act, done))
