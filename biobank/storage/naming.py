"""Names of containers: no two in one place look the same, and one can be given another.

Two requests that name siblings wait for each other: for the row of the place they stand in, at the top of a site for its names. A
constraint over `name_key` stands behind that.
"""

import json
from collections.abc import Callable
from datetime import datetime

from sqlalchemy import func, select, text, update
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.auth.permissions import Permission
from biobank.custody.ledger import Fact, append
from biobank.custody.locks import locked
from biobank.custody.recording import BANK_SUBJECT, acknowledge, head_of
from biobank.custody.states import StreamKind
from biobank.foundation.errors import Conflict
from biobank.foundation.from_above import FromAbove
from biobank.foundation.names import name_key
from biobank.storage import queries
from biobank.storage.events import ContainerRenamed
from biobank.storage.models import storage_container
from biobank.storage.schemas import RenameAnswer, RenameRequest
from biobank.transparency.models import event
from biobank.vault import Keystore, open_document, put_document

outdated_labels: FromAbove[Callable[[Session, str], list[str]]] = FromAbove("labels")
"""The codes of a container, of what is in it and of its slots whose printed label shows a name from before."""


_RENAMED = text(
    """
    WITH RECURSIVE above AS (
        SELECT code, parent_code, renamed_at, 0 AS depth FROM storage_container WHERE code = :code
        UNION ALL
        SELECT c.code, c.parent_code, c.renamed_at, above.depth + 1
        FROM above JOIN storage_container c ON c.code = above.parent_code WHERE above.depth < 32
    ), below AS (
        SELECT CAST(:code AS text) AS code, (SELECT max(renamed_at) FROM above) AS since
        UNION ALL
        SELECT c.code, greatest(below.since, c.renamed_at) FROM below JOIN storage_container c ON c.parent_code = below.code
    )
    SELECT code, since FROM below WHERE since IS NOT NULL
    UNION ALL
    SELECT p.code, below.since FROM below JOIN storage_position p ON p.container_code = below.code WHERE below.since IS NOT NULL
    """
)


def renamed_around(session: Session, code: str) -> dict[str, datetime]:
    """Return, for a container, what is in it and slots, when a name on their labels last changed; not where none did."""
    return {row.code: row.since for row in session.execute(_RENAMED, {"code": code})}


class ContainerNameTaken(Conflict):
    """Another container in the same place has a name that looks the same."""

    code = "container_name_taken"
    title = "This name is taken"


class ContainerNameUnchanged(Conflict):
    """The container has this name already."""

    code = "container_name_unchanged"
    title = "It is called that"


def earlier_names(session: Session, keystore: Keystore, code: str) -> list[tuple[str, datetime]]:
    """Return the names that a container had, each with until when, the latest first."""
    rows = session.execute(
        select(event.c.entry, event.c.recorded_at)
        .where(event.c.stream_kind == "container", event.c.stream_id == code, event.c.kind == "container.renamed")
        .order_by(event.c.seq.desc())
    )
    said = [(bytes.fromhex(json.loads(bytes(row.entry))["body"]["names_commit"]), row.recorded_at) for row in rows]
    return [(str(open_document(session, keystore, commit)["from"]), until) for commit, until in said]


def name_then(session: Session, keystore: Keystore, code: str, at: datetime, known: datetime) -> str:
    """Return the name that a container had at `at`, as known at `known`: what its first renaming after that gave up."""
    of = event.c
    after = (of.occurred_at > at) | (of.recorded_at > known)
    entry = session.execute(
        select(of.entry)
        .where(of.stream_kind == "container", of.stream_id == code, of.kind == "container.renamed", after)
        .order_by(of.seq)
        .limit(1)
    ).scalar()
    if entry is None:
        return queries.name_of(session, code)
    return str(open_document(session, keystore, bytes.fromhex(json.loads(bytes(entry))["body"]["names_commit"]))["from"])


def twin_of(session: Session, name: str, site: str, parent: str | None, *, but: str | None = None) -> str | None:
    """Return the code of the container in a place whose name looks like `name`; whoever asks first waits for others who name."""
    if parent is None:
        session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"container names at {site}", 0))))
    else:
        session.execute(locked(select(storage_container.c.code).where(storage_container.c.code == parent), storage_container))
    beside = storage_container.c.parent_code.is_(None) if parent is None else storage_container.c.parent_code == parent
    found = session.execute(
        select(storage_container.c.code).where(
            beside,
            storage_container.c.site_code == site,
            storage_container.c.name_key == name_key(name),
            storage_container.c.code != (but or ""),
        )
    ).first()
    return None if found is None else str(found.code)


def require_name_free(session: Session, name: str, site: str, parent: str | None, *, but: str | None = None) -> None:
    """Raise ContainerNameTaken when another container in the place has a name that looks like this one."""
    twin = twin_of(session, name, site, parent, but=but)
    if twin is not None:
        where = parent or site
        raise ContainerNameTaken(
            f"{twin} in {where} has a name that looks like this one. Give a name that nobody can take for it.",
            subject=twin,
            in_place=where,
        )


def rename_container(session: Session, act: Act, code: str, request: RenameRequest) -> RenameAnswer:
    """Give a container another name; the old and the new one are in the vault, and the event commits to both.

    Raises NotFound, NotPermitted, ContainerNameUnchanged, ContainerNameTaken.
    """
    row = queries.get_container(session, act.actor, code)
    act.require(Permission.STORAGE_MANAGE, at=row.site_code)
    for name in sorted({code, row.parent_code or code}):
        row = {name: queries.get_container(session, act.actor, name, lock=True)}.get(code, row)
    if row.name == request.name:
        raise ContainerNameUnchanged(f"{code} is called that already.", subject=code)
    require_name_free(session, request.name, row.site_code, row.parent_code, but=code)
    commit = put_document(session, act.keystore, BANK_SUBJECT, {"from": row.name, "to": request.name})
    renamed = ContainerRenamed(names_commit=commit.hex(), site=row.site_code)
    head = head_of(session, act, request, subject=None, site=row.site_code)
    done = append(session, [Fact(StreamKind.CONTAINER, code, renamed, head)])
    session.execute(
        update(storage_container)
        .where(storage_container.c.code == code)
        .values(name=request.name, name_key=name_key(request.name), renamed_at=act.at)
    )
    labels = outdated_labels.get()(session, code)
    return RenameAnswer(container=code, was=row.name, name=request.name, labels=labels, receipt=acknowledge(act, done))
