"""Everything that somebody may read as NDJSON, one file per type: HL7's bulk export, done by the worker.

Patients are pseudonymous whoever asks. That the copy was begun and what it came to are two events of the log, as with every copy.
Each resource stands as it was when its line was written; `transactionTime` is before the first of them.
"""

import hashlib
from collections.abc import Iterator, Sequence
from typing import Any, Final
from uuid import UUID

import orjson
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE
from biobank.exports.selection import Selection
from biobank.exports.service import Copy, Written, finish_export, start_copy
from biobank.foundation.errors import Conflict, NotAcceptable, NotFound
from biobank.interchange.fhir.resources import TYPES
from biobank.interchange.fhir.saying import Release, Saying
from biobank.interchange.fhir.service import all_of, sources_of
from biobank.interchange.naming import Naming
from biobank.jobs.queue import MadeFile, cancel_job, enqueue, file_of, read_params
from biobank.jobs.running import JobRun, job_kind
from biobank.jobs.schemas import JobPublic

KIND: Final = "fhir.export"
MEDIA_TYPE: Final = "application/fhir+ndjson"
LARGEST_MIB: Final = 512
"""What one export holds at most: it is kept as one file until it is fetched. Ours, not from a source."""


class ExportTooLarge(Conflict):
    """What was asked for does not fit into one export."""

    code = "export_too_large"
    title = "Too much for one export"


class ExportNotReady(Conflict):
    """The export is not finished, was stopped or failed: it has no files."""

    code = "export_not_ready"
    title = "Export not finished"


def request_export(
    session: Session, act: Act, release: Release, kinds: Sequence[str], *, in_background: bool = True
) -> JobPublic:
    """Record that a copy begins and queue it. Raises NoSuchResourceType, NotPermitted, NotAcceptable unless `in_background`."""
    act.require(Permission.LOG_EXPORT, at=ANYWHERE)
    if not in_background:
        raise NotAcceptable("A bulk export takes a while: send the header Prefer: respond-async.")
    for kind in kinds:
        sources_of(kind)
    wanted = [kind for kind in TYPES if not kinds or kind in kinds]
    copy = start_copy(session, act, f"fhir{release.value.lower()}", Selection())
    params = {"release": release.value, "types": wanted, "copy": str(copy.id)}
    return enqueue(session, act, KIND, params, total=len(wanted))


def lines_of(session: Session, actor: Actor, say: Saying, kind: str) -> Iterator[bytes]:
    """Yield every resource of a type as a line, page by page."""
    following: str | None = "0:"
    while following is not None:
        page = all_of(session, actor, say, kind, following)
        following = page.next
        for resource in page.resources:
            yield orjson.dumps(resource) + b"\n"


@job_kind(KIND)
def make_export(run: JobRun) -> MadeFile:
    """Write the lines of every type that was asked for, and where each type's begin."""
    say = Saying(Release(run.params["release"]), Naming.of(run.bank.settings))
    copy = Copy(UUID(run.params["copy"]))
    content = bytearray()
    parts: list[dict[str, Any]] = []
    run.done = 0  # the lines of an interrupted run were in memory
    for kind in run.params["types"]:
        begins, lines = len(content), 0

        def write(session: Session, act: Act, kind: str = kind) -> int:
            written = 0
            for line in lines_of(session, act.actor, say, kind):
                content.extend(line)
                written += 1
                if len(content) > LARGEST_MIB * 1024 * 1024:
                    raise ExportTooLarge(f"This is more than {LARGEST_MIB} MiB. Ask for fewer types at a time with _type.")
            return written

        lines = run.step(write, adds=1)
        parts.append({"type": kind, "start": begins, "length": len(content) - begins, "count": lines})
    written = Written(complete=True, digest=hashlib.sha256(content), size=len(content))
    written.rows = sum(part["count"] for part in parts)
    run.step(lambda session, act: finish_export(session, act, copy, written), answer=lambda _: {"parts": parts})
    return MadeFile(f"fhir-{run.params['release']}-{run.id}.ndjson", MEDIA_TYPE, bytes(content))


def describe_export(session: Session, actor: Actor, release: Release, identity: UUID) -> JobPublic:
    """Return one of the actor's exports in a release. Raises NotFound."""
    job, params = read_params(session, actor, identity)
    if job.kind != KIND or params["release"] != release:
        raise NotFound("There is no such export of yours.")
    return job


def cancel_export(session: Session, act: Act, release: Release, identity: UUID) -> JobPublic:
    """Stop an export that is not finished. Raises NotFound, JobEnded."""
    describe_export(session, act.actor, release, identity)
    return cancel_job(session, act, identity)


def part_of(session: Session, actor: Actor, release: Release, identity: UUID, kind: str) -> bytes:
    """Return the lines of one type of a finished export. Raises NotFound, ExportNotReady, JobHasNoFile."""
    job = describe_export(session, actor, release, identity)
    if job.state != "done":
        raise ExportNotReady(f"This export is {job.state}. Ask for its state first; a new one can be begun at any time.")
    part = next((one for one in job.answer["parts"] if one["type"] == kind), None)
    if part is None:
        raise NotFound(f"This export has no resources of the type {kind[:60]}.")
    content = file_of(session, actor, identity).content
    return content[part["start"] : part["start"] + part["length"]]
