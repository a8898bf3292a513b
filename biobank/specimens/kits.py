"""Kits: prepared with labels whose codes exist already, used once, at one place, for one donor."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Row, or_, select
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.codes import new_code, new_codes
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.custody.ledger import Fact, append
from biobank.custody.recording import acknowledge, head_of
from biobank.custody.service import receipt_of
from biobank.custody.states import StreamKind
from biobank.donors.models import kit_binding as binding
from biobank.foundation.clock import now, rfc3339
from biobank.foundation.errors import Conflict, NotFound
from biobank.foundation.paging import Paging, read_page
from biobank.people.queries import get_site
from biobank.registers.using import Use, keep_warnings, require_fit
from biobank.specimens.events import KitPrepared
from biobank.specimens.harvest_schemas import KitLabelPublic, KitList, KitPublic, KitRecorded, PrepareKit
from biobank.specimens.models import harvest, kit, kit_label
from biobank.specimens.scoping import at_sites_of

ORDERS = {"prepared_at": kit.c.prepared_at, "kit": kit.c.code, "expires_at": kit.c.expires_at}
BOUND = "bound"
"""In the place of a kit's code: the one that is bound to the donor, if there is one."""


class KitExpired(Conflict):
    """The day on the kit has passed."""

    code = "kit_expired"
    title = "Kit expired"


class NotABankSite(Conflict):
    """The site named keeps no specimens."""

    code = "not_a_bank_site"
    title = "Not a bank site"


def require_bank_site(session: Session, code: str) -> None:
    """Raise NotFound for an unknown site, NotABankSite unless it is a working bank."""
    row = get_site(session, code)
    if row.kind != "bank" or not row.active:
        raise NotABankSite(f"{code} is not a bank in use. Name the laboratory that will keep the material.", site=code)


def prepare_kit(session: Session, act: Act, request: PrepareKit) -> KitRecorded:
    """Prepare a kit and allocate the codes of its labels.

    Raises NotPermitted, NotFound, NotABankSite, KitExpired, NotInRegister, NotFitForUse.
    """
    act.require(Permission.KIT_MANAGE, at=request.home_site)
    require_bank_site(session, request.home_site)
    get_site(session, request.site)
    if request.expires_at <= act.at:
        raise KitExpired("This kit would have expired already. Check the date on its media.")
    code, year = new_code(session, "KT"), act.at.year % 100
    labels = new_codes(session, "HF", request.hair_labels, year=year) if request.hair_labels else []
    labels += new_codes(session, "AD", request.adipose_labels, year=year) if request.adipose_labels else []
    media = sorted(set(request.media_lots))
    warned = require_fit(session, act, _use_of(act, request, media)) if media else []
    event = KitPrepared(
        site=request.site,
        home_site=request.home_site,
        specimens=tuple(labels),
        media_lots=tuple(media),
        expires_at=rfc3339(request.expires_at),
    )
    head = head_of(session, act, request, subject=None, site=request.home_site)
    appended = append(session, [Fact(StreamKind.SYSTEM, code, event, head)])
    session.execute(
        kit.insert().values(
            code=code,
            site_code=request.site,
            home_site_code=request.home_site,
            media_lots=media,
            expires_at=request.expires_at,
            prepared_at=act.at,
            prepared_by=act.actor.code,
            prepared_event=appended[0].leaf_hash,
        )
    )
    session.execute(kit_label.insert(), [{"specimen_code": label, "kit_code": code} for label in labels])
    keep_warnings(session, act, warned, request, used_in=code, site=request.home_site)
    return KitRecorded(
        kit=_describe(session, _get(session, act.actor, code), act.at),
        events=[receipt_of(a) for a in appended],
        receipt=acknowledge(act, appended),
    )


def _use_of(act: Act, request: PrepareKit, media: Sequence[str]) -> Use:
    """What the kit is made of is judged where it is made, and when."""
    return Use(
        site=request.home_site,
        used_at=request.occurred_at or act.at,
        people=request.performed_by or [act.actor.code],
        codes=media,
    )


def describe_kit(session: Session, actor: Actor, code: str) -> KitPublic:
    """Answer GET /kits/{code}."""
    return _describe(session, _get(session, actor, code), now())


def bound_kit(session: Session, actor: Actor, donor: str) -> KitPublic | None:
    """Return the kit that was bound to a donor and is not used yet, the one bound last; None where there is none."""
    waiting = _select(actor).where(binding.c.donor_code == donor, kit.c.used_at.is_(None), kit.c.expires_at > now())
    row = session.execute(waiting.order_by(binding.c.bound_at.desc(), kit.c.code).limit(1)).first()
    return None if row is None else _describe(session, row, now())


def list_kits(
    session: Session,
    actor: Actor,
    *,
    site: str | None = None,
    unused: bool | None = None,
    paging: Paging = Paging(),
) -> KitList:
    """Answer GET /kits: newest first."""
    statement = _select(actor)
    if site is not None:
        statement = statement.where(or_(kit.c.site_code == site, kit.c.home_site_code == site))
    if unused is not None:
        statement = statement.where(kit.c.used_at.is_(None) if unused else kit.c.used_at.is_not(None))
    page = read_page(session, statement, paging, key=kit.c.code, orders=ORDERS, default="-prepared_at")
    labels = _labels_of(session, [row.code for row in page.rows])
    at = now()
    return KitList(items=[_public(row, labels[row.code], at) for row in page.rows], **page.ends)


def _select(actor: Actor) -> Any:
    """Kits the actor may know of: those of the place that uses it and of the bank that prepared it."""
    used_for = select(harvest.c.donor_code).where(harvest.c.kit_code == kit.c.code).scalar_subquery()
    return (
        select(kit, binding.c.donor_code.label("bound_to"), used_for.label("used_for"))
        .select_from(kit.outerjoin(binding, binding.c.kit_code == kit.c.code))
        .where(at_sites_of(actor, kit.c.site_code, kit.c.home_site_code))
    )


def _get(session: Session, actor: Actor, code: str) -> "Row[Any]":
    row = session.execute(_select(actor).where(kit.c.code == code)).first()
    if row is None:
        raise unknown_kit(code)
    return row


def unknown_kit(code: str) -> NotFound:
    """The refusal for a kit the caller may not know of."""
    return NotFound(f"There is no kit {code} that you may see. Scan the label on its box.", subject=code)


def _describe(session: Session, row: "Row[Any]", at: datetime) -> KitPublic:
    return _public(row, _labels_of(session, [row.code])[row.code], at)


def _labels_of(session: Session, codes: Sequence[str]) -> dict[str, list[KitLabelPublic]]:
    found: dict[str, list[KitLabelPublic]] = {code: [] for code in codes}
    rows = session.execute(select(kit_label).where(kit_label.c.kit_code.in_(codes)).order_by(kit_label.c.specimen_code))
    for row in rows:
        status: Literal["waiting", "used", "void"] = (
            "used" if row.used_at is not None else "void" if row.voided_at is not None else "waiting"
        )
        found[row.kit_code].append(KitLabelPublic(specimen=row.specimen_code, status=status))
    return found


def _public(row: "Row[Any]", labels: list[KitLabelPublic], at: datetime) -> KitPublic:
    donor = row.used_for or row.bound_to
    status: Literal["waiting", "bound", "used", "expired"] = "waiting"
    if row.used_at is not None:
        status = "used"
    elif row.expires_at <= at:
        status = "expired"
    elif donor is not None:
        status = "bound"
    return KitPublic(
        kit=row.code,
        site=row.site_code,
        home_site=row.home_site_code,
        media_lots=row.media_lots,
        expires_at=row.expires_at,
        prepared_at=row.prepared_at,
        prepared_by=row.prepared_by,
        status=status,
        donor=donor,
        labels=labels,
    )
