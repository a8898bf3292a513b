"""What people see of subscriptions and of what is on its way to them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row, func, or_, select
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE
from biobank.custody.locks import locked
from biobank.exports.feed import size_now
from biobank.foundation.clock import now
from biobank.foundation.errors import NotFound
from biobank.foundation.paging import Paging, read_page
from biobank.webhooks.models import webhook, webhook_delivery, webhook_secret
from biobank.webhooks.schemas import DeliveryList, DeliveryPublic, WebhookList, WebhookPublic

ORDERS = {"made_at": webhook.c.made_at, "name": webhook.c.name}
DELIVERY_ORDERS = {"made_at": webhook_delivery.c.made_at}
OPEN: Final = ("waiting", "undeliverable")


def get_webhook(session: Session, actor: Actor, code: str, *, lock: bool = False) -> "Row[Any]":
    """Return a subscription's row; raise NotFound when the actor may not know of it: it is of who may export what it is sent."""
    statement = select(webhook).where(webhook.c.code == code)
    row = session.execute(locked(statement, webhook) if lock else statement).first()
    if row is None or not actor.scope(Permission.LOG_EXPORT).covers(row.site_code):
        raise NotFound(f"There is no subscription {code} that you may see.", subject=code)
    return row


def list_webhooks(session: Session, actor: Actor, *, state: str | None = None, paging: Paging = Paging()) -> WebhookList:
    """Return the subscriptions the actor may know of. Raises NotPermitted without log:export."""
    actor.require(Permission.LOG_EXPORT, at=ANYWHERE)
    statement = select(webhook).where(actor.scope(Permission.LOG_EXPORT).of(webhook.c.site_code))
    if state is not None:
        statement = statement.where(webhook.c.state == state)
    page = read_page(session, statement, paging, key=webhook.c.code, orders=ORDERS, default="-made_at")
    return WebhookList(items=public(session, page.rows), **page.ends)


def read_webhook(session: Session, actor: Actor, code: str) -> WebhookPublic:
    """Return one subscription. Raises NotFound."""
    return public(session, [get_webhook(session, actor, code)])[0]


def list_deliveries(
    session: Session, actor: Actor, code: str, *, state: str | None = None, paging: Paging = Paging()
) -> DeliveryList:
    """Return what is or was on its way to a subscription, the latest first. Raises NotFound."""
    row = get_webhook(session, actor, code)
    statement = select(webhook_delivery).where(webhook_delivery.c.webhook_code == row.code)
    if state is not None:
        statement = statement.where(webhook_delivery.c.state == state)
    page = read_page(session, statement, paging, key=webhook_delivery.c.id, orders=DELIVERY_ORDERS, default="-made_at")
    return DeliveryList(items=[_delivery(one) for one in page.rows], **page.ends)


@dataclass(frozen=True)
class Stuck:
    """A subscription that waits for a person: it stopped by itself, or events of it were given up since `since`."""

    code: str
    name: str
    stopped: bool
    undeliverable: int
    since: datetime


def stuck_webhooks(session: Session, actor: Actor, limit: int) -> list[Stuck]:
    """Return the subscriptions that somebody has to look after, those that wait longest first, of what the actor may export."""
    scope, of = actor.scope(Permission.LOG_EXPORT), webhook_delivery.c
    if not scope:
        return []
    given_up = (
        select(of.webhook_code, func.count().label("number"), func.min(of.last_at).label("since"))
        .where(of.state == "undeliverable")
        .group_by(of.webhook_code)
        .subquery()
    )
    by_itself = webhook.c.stopped_because.in_(("gone", "owner"))
    since = func.coalesce(given_up.c.since, webhook.c.turn_at, webhook.c.made_at).label("since")
    found = session.execute(
        select(webhook.c.code, webhook.c.name, by_itself.label("stopped"), given_up.c.number, since)
        .outerjoin(given_up, given_up.c.webhook_code == webhook.c.code)
        .where(webhook.c.state != "withdrawn", or_(by_itself, given_up.c.number.is_not(None)), scope.of(webhook.c.site_code))
        .order_by(since, webhook.c.code)
        .limit(limit)
    )
    return [Stuck(row.code, row.name, bool(row.stopped), row.number or 0, row.since) for row in found]


def public(session: Session, rows: Any) -> list[WebhookPublic]:
    """Return rows as they are shown."""
    codes = [row.code for row in rows]
    of, kept = webhook_delivery.c, webhook_secret.c
    counts: dict[tuple[str, str], int] = {}
    for found in session.execute(
        select(of.webhook_code, of.state, func.count().label("n"))
        .where(of.webhook_code.in_(codes), of.state.in_(OPEN), of.log_index.is_not(None))
        .group_by(of.webhook_code, of.state)
    ):
        counts[found.webhook_code, found.state] = found.n
    signing: dict[str, int] = {}
    for found in session.execute(
        select(kept.webhook_code, func.count().label("n"))
        .where(kept.webhook_code.in_(codes), or_(kept.ends_at.is_(None), kept.ends_at > now()))
        .group_by(kept.webhook_code)
    ):
        signing[found.webhook_code] = found.n
    size = size_now(session)
    return [
        WebhookPublic(
            **{name: getattr(row, name) for name in _SHOWN},
            secrets=signing.get(row.code, 0),
            behind=None if row.log_place is None else max(0, size - row.log_place),
            waiting=counts.get((row.code, "waiting"), 0),
            undeliverable=counts.get((row.code, "undeliverable"), 0),
        )
        for row in rows
    ]


_SHOWN: Final = (
    *("code", "name", "url", "kinds", "sites", "from_beginning", "state", "stopped_because", "made_by", "made_at", "owner"),
    *("opened_at", "quiet_until"),
)


def _delivery(row: "Row[Any]") -> DeliveryPublic:
    return DeliveryPublic(
        id=row.id,
        event=None if row.leaf_hash is None else bytes(row.leaf_hash).hex(),
        kind=row.kind,
        stream=row.stream,
        state=row.state,
        attempts=row.attempts,
        made_at=row.made_at,
        last_at=row.last_at,
        next_at=row.next_at if row.state == "waiting" else None,
        outcome=row.outcome,
        status=row.status,
    )
