"""Checking and importing a whole file in the background: the same functions as the command's, with progress and a report.

Progress is in hundredths of the work. An import that was broken off is taken up from the start of its file: what it has brought
in is here already then, and the report says so.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, Final
from uuid import UUID

from sqlmodel import Session

from biobank.acts.act import Act
from biobank.auth.permissions import Permission
from biobank.foundation import clock
from biobank.foundation.clock import rfc3339
from biobank.foundation.errors import Conflict, raise_first
from biobank.importing.plan import CheckedRow, check_rows
from biobank.importing.profile import Profile
from biobank.importing.reading import Row, Rows
from biobank.importing.report import counted, csv_of, line_of
from biobank.importing.service import Result, import_ready, import_refusals
from biobank.importing.uploads import forget_upload, read_upload
from biobank.jobs import queue
from biobank.jobs.queue import MadeFile, enqueue
from biobank.jobs.running import JobRun, job_kind
from biobank.jobs.schemas import JobPublic
from biobank.specimens.kits import require_bank_site

CHECK: Final = "import.check"
COMMIT: Final = "import.commit"
WHOLE: Final = 100
CHECKED_AT: Final = 20
"""Hundredths of an import that its check takes."""
ROWS_BETWEEN: Final = 2000


class NotChecked(Conflict):
    """Only a file whose check has ended is imported."""

    code = "import_not_checked"
    title = "Check the file first"


def request_check(session: Session, act: Act, upload: str, document: Mapping[str, Any]) -> JobPublic:
    """Queue the check of a whole file by a profile. Raises ProfileFault, NotPermitted, NotABankSite."""
    profile = Profile.of(dict(document))
    act.require(Permission.STORAGE_MANAGE, at=profile.bank_site)
    require_bank_site(session, profile.bank_site)
    return enqueue(session, act, CHECK, {"upload": upload, "profile": dict(document)}, total=WHOLE)


def request_import(session: Session, act: Act, check: UUID) -> JobPublic:
    """Queue the import of what a check found ready. Raises NotFound, NotChecked, NotPermitted."""
    checked, params = queue.read_params(session, act.actor, check)
    if checked.kind != CHECK or checked.state != "done":
        raise NotChecked("This check is not finished. Wait for it, or start it again.", job=str(check))
    raise_first(import_refusals(act.actor, Profile.of(params["profile"])))
    return enqueue(session, act, COMMIT, params, total=WHOLE)


@job_kind(CHECK)
def check_file(run: JobRun) -> MadeFile:
    """Check every row; write nothing but the report."""
    _, checked = _checked(run, WHOLE)
    return _report(run, checked, {}, "import-check.csv")


@job_kind(COMMIT)
def import_file(run: JobRun) -> MadeFile:
    """Check every row and import what is ready, then forget the file."""
    profile, checked = _checked(run, CHECKED_AT)
    ready = [one for one in checked if one.outcome == "ready"]
    results: dict[int, Result] = {}

    def within(work: Callable[[Session, Act], list[Result]]) -> list[Result]:
        return run.step(lambda session, act: work(session, replace(act, source="import")))

    def tick(done: int, of: int) -> None:
        _reach(run, CHECKED_AT + (WHOLE - CHECKED_AT) * done // of, counts=Counter(one.outcome for one in results.values()))

    for some in import_ready(within, ready, profile, tick):
        results |= {id(result.checked): result for result in some}
    run.step(lambda session, _act: forget_upload(session, run.params["upload"]))
    return _report(run, checked, results, "import-report.csv")


def _checked(run: JobRun, share: int) -> tuple[Profile, list[CheckedRow]]:
    profile = Profile.of(run.params["profile"])
    _reach(run, 0, started_at=rfc3339(clock.now()), started_with=run.done)
    rows = Rows(read_upload(run.bank, run.requested_by, run.params["upload"]).data, profile)
    return profile, check_rows(_told(run, rows, share), profile, clock.now().date())


def _told(run: JobRun, rows: Rows, share: int) -> Iterator[Row]:
    """Yield the rows, and tell how far they are every so many."""
    of = sum(1 for _ in rows)
    for number, row in enumerate(rows, start=1):
        if number % ROWS_BETWEEN == 0:
            _reach(run, share * number // of)
        yield row


def _reach(run: JobRun, done: int, **answer: Any) -> None:
    run.step(lambda _session, _act: None, adds=max(0, done - run.done), answer=lambda _made: answer)


def _report(run: JobRun, checked: list[CheckedRow], results: Mapping[int, Result], name: str) -> MadeFile:
    lines = [line_of(one, results.get(id(one))) for one in checked]
    _reach(run, WHOLE, counts=counted(lines))
    return MadeFile(name, "text/csv; charset=utf-8", csv_of(lines).encode("utf-8-sig"))
