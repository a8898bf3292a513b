"""Deviations: opened by whoever sees one, about things; how one ends is in `deviation_ending.py`.

The words are in the vault under the bank's own key; the log holds their commitments and the coded parts.
"""

from collections.abc import Callable, Collection
from typing import Any, Literal

from sqlalchemy import RowMapping, insert, select
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.codes import new_code
from biobank.auth.actor import Actor
from biobank.auth.models import site as site_table
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE, Scope
from biobank.custody.chronology import require_existed
from biobank.custody.ledger import Appended
from biobank.custody.recording import BANK_SUBJECT, Circumstances, acknowledge
from biobank.custody.states import HoldScope
from biobank.foundation.db import table_of
from biobank.foundation.errors import NotFound
from biobank.foundation.from_above import FromAbove
from biobank.foundation.paging import Paging, read_page
from biobank.quality.dispositions import keep_named, known_to, read_units, undecided
from biobank.quality.holds import find_scope
from biobank.quality.incident_events import DeviationOpened
from biobank.quality.models import DeviationAttachment, deviation
from biobank.quality.models import deviation_subject as subject_table
from biobank.quality.schemas import (
    DeviationAnswer,
    DeviationDetail,
    DeviationList,
    DeviationPublic,
    DeviationRequest,
    DeviationSubjectPublic,
)
from biobank.quality.stored_files import require_stored
from biobank.quality.streams import digest_of, record_on_stream
from biobank.vault import Erased, Keystore, open_document, put_document

attachment_table = table_of(DeviationAttachment)
sites_of_withdrawal: FromAbove[Callable[[Session, str], list[str]]] = FromAbove("withdrawals")
"""The clinic of a withdrawal and the sites of its specimens; none when there is no such withdrawal."""

Severity = Literal["minor", "major", "critical"]


def open_deviation(session: Session, act: Act, request: DeviationRequest) -> DeviationAnswer:
    """Open a deviation at a site, about things the one who opens it may see."""
    _require_site(session, act.actor, request.site)
    act.require(Permission.DEVIATION_OPEN, at=request.site)
    for subject in request.affected:
        if subject.kind == "withdrawal":
            _require_withdrawal(session, act.actor, subject.id)
        else:
            find_scope(session, act.actor, HoldScope(subject.kind), subject.id)
    require_existed(session, request.occurred_at, {(subject.kind, subject.id) for subject in request.affected})
    code, appended = add_deviation(
        session,
        act,
        request,
        severity=request.severity,
        topic=request.topic,
        site=request.site,
        description=request.description,
        affected=[(s.kind, s.id) for s in request.affected],
        attachments=request.attachments,
    )
    return DeviationAnswer(**public_of(find_deviation(session, act.actor, code)), receipt=acknowledge(act, [appended]))


def add_deviation(
    session: Session,
    act: Act,
    given: Circumstances,
    *,
    severity: Severity,
    topic: str,
    site: str,
    description: str,
    affected: Collection[tuple[str, str]] = (),
    attachments: Collection[str] = (),
) -> tuple[str, Appended]:
    """Write a deviation and its event; for the use cases that open one by themselves. Returns its code and the event."""
    require_stored(session, attachments)
    code = new_code(session, "DV")
    words = put_document(session, act.keystore, BANK_SUBJECT, {"description": description})
    event = DeviationOpened(
        severity=severity,
        topic=topic,
        site=site,
        description=words.hex(),
        attachments=tuple(dict.fromkeys(attachments)),
        subjects=len(affected),
        subjects_sha256=digest_of({subject for _, subject in affected}),
    )
    appended = record_on_stream(session, act, code, event, given, site=site)
    session.execute(
        insert(deviation).values(
            code=code,
            severity=severity,
            topic=topic,
            site_code=site,
            description_commit=words,
            opened_at=act.at,
            opened_by=act.actor.code,
            opened_event=appended.leaf_hash,
        )
    )
    rows = [{"deviation_code": code, "subject_kind": kind, "subject_id": subject} for kind, subject in dict.fromkeys(affected)]
    if rows:
        session.execute(insert(subject_table), rows)
    keep_named(session, code, [subject for kind, subject in affected if kind == "specimen"])
    attach(session, code, attachments)
    return code, appended


def find_deviation(session: Session, actor: Actor, code: str, *, lock: bool = False) -> RowMapping:
    """Return the row; raise NotFound unless the actor may know of deviations at its site."""
    statement = select(deviation).where(deviation.c.code == code)
    row = session.execute(statement.with_for_update() if lock else statement).mappings().first()
    if row is None or not deviation_scope(actor).covers(row["site_code"]):
        raise NotFound(f"There is no deviation {code} that you may see.", subject=code)
    return row


def describe_deviation(session: Session, actor: Actor, keystore: Keystore, code: str) -> DeviationDetail:
    """Return a deviation with what it affects and its words."""
    row = find_deviation(session, actor, code)
    affected = session.execute(
        select(subject_table.c.subject_kind, subject_table.c.subject_id)
        .where(subject_table.c.deviation_code == code)
        .order_by(subject_table.c.subject_kind, subject_table.c.subject_id)
    ).all()
    files = session.execute(
        select(attachment_table.c.sha256).where(attachment_table.c.deviation_code == code).order_by(attachment_table.c.sha256)
    ).scalars()
    units = read_units(session, code)
    return DeviationDetail(
        **public_of(row),
        units=known_to(actor, units),
        undecided=len(undecided(unit for _, unit in units)),
        affected=[DeviationSubjectPublic(kind=r.subject_kind, id=r.subject_id) for r in affected],
        attachments=list(files),
        description=words_kept(session, keystore, row["description_commit"], "description"),
        corrective_action=words_kept(session, keystore, row["closing_commit"], "corrective_action"),
    )


ORDERS = {"opened_at": deviation.c.opened_at, "code": deviation.c.code}


def list_deviations(session: Session, actor: Actor, *, open_only: bool | None = None, paging: Paging = Paging()) -> DeviationList:
    """List deviations at the sites the actor may know of, newest first."""
    scope = deviation_scope(actor)
    if not scope:
        actor.require(Permission.DEVIATION_OPEN, at=ANYWHERE)
    statement = select(deviation).where(scope.of(deviation.c.site_code))
    if open_only is not None:
        statement = statement.where(deviation.c.closed_at.is_(None) if open_only else deviation.c.closed_at.is_not(None))
    page = read_page(session, statement, paging, key=deviation.c.code, orders=ORDERS, default="-opened_at")
    return DeviationList(items=[DeviationPublic(**public_of(row._mapping)) for row in page.rows], **page.ends)


def deviation_scope(actor: Actor) -> Scope:
    """Whoever may open deviations at a site, or read the log there, sees that site's."""
    return actor.scope(Permission.DEVIATION_OPEN, Permission.LOG_READ)


def _require_site(session: Session, actor: Actor, site: str) -> None:
    if (
        not deviation_scope(actor).covers(site)
        or session.execute(select(site_table.c.code).where(site_table.c.code == site)).first() is None
    ):
        raise NotFound(f"There is no site {site} that you may see.", subject=site)


def _require_withdrawal(session: Session, actor: Actor, code: str) -> None:
    sites = sites_of_withdrawal.get()(session, code)
    if not sites or not actor.may(Permission.WITHDRAWAL_READ, at=sites):
        raise NotFound(f"There is no withdrawal {code} that you may see.", subject=code)


def attach(session: Session, code: str, hashes: Collection[str]) -> None:
    """Add files to a deviation; those it has stay."""
    known = set(session.execute(select(attachment_table.c.sha256).where(attachment_table.c.deviation_code == code)).scalars())
    rows = [{"deviation_code": code, "sha256": sha256} for sha256 in dict.fromkeys(hashes) if sha256 not in known]
    if rows:
        session.execute(insert(attachment_table), rows)


def words_kept(session: Session, keystore: Keystore, commit: bytes | None, name: str) -> str | None:
    """Return free text from the vault; None where there is none or its subject was erased."""
    if commit is None:
        return None
    try:
        return str(open_document(session, keystore, bytes(commit))[name])
    except Erased:
        return None


def public_of(row: RowMapping) -> dict[str, Any]:
    """Return a deviation as it travels, without its words."""
    names = ("code", "severity", "topic", "opened_at", "opened_by", "cause", "decision", "closed_at", "closed_by")
    return {name: row[name] for name in names} | {"site": row["site_code"]}
