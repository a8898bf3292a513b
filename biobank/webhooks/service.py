"""Use cases of subscriptions: made by one, opened by two who may export what it is sent, stopped by any of them.

What follows for one of a single site: the right is asked there. One of several sites, or of all, is of who may export everywhere.
"""

import hashlib
from collections.abc import Collection
from typing import Any
from uuid import UUID, uuid4

from sqlalchemy import Row, insert, select, update
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.codes import new_code
from biobank.acts.two_alike import two_sign
from biobank.acts.two_person import Proposed, two_person
from biobank.auth.actor import Actor
from biobank.auth.models import site as _site
from biobank.auth.permissions import Permission
from biobank.custody.event import Event, rules
from biobank.custody.ledger import Fact, append
from biobank.custody.recording import NOW, acknowledge, head_of
from biobank.custody.states import StreamKind
from biobank.exports.feed import size_now
from biobank.foundation.codes import Prefix
from biobank.foundation.errors import AlreadyExists, Conflict, MalformedRequest, NotFound, Refusal, raise_first
from biobank.foundation.names import name_key
from biobank.people.service import people_of
from biobank.webhooks import events
from biobank.webhooks.addresses import require_listed
from biobank.webhooks.models import webhook, webhook_delivery
from biobank.webhooks.queries import get_webhook, public, read_webhook
from biobank.webhooks.schemas import (
    MakeSecret,
    MakeWebhook,
    OpenWebhook,
    ShownSecret,
    TrialAsked,
    Undelivered,
    WebhookAnswer,
    WebhookPublic,
)
from biobank.webhooks.signing import add_secret, signing_now

TRIAL = "webhook.trial"
"""What stands as the kind of a message without an event."""
AGREED = "I know the system that these events go to and what it does with them, and agree that they leave the bank."


class WebhookNotInThisState(Conflict):
    """The subscription is not in the state that this act takes it from."""

    code = "webhook_not_in_this_state"
    title = "Not now"


class WebhookHasNoSecret(Conflict):
    """Nothing can be signed: the other system has no secret to check it with."""

    code = "webhook_has_no_secret"
    title = "No secret yet"


class NotUndeliverable(Conflict):
    """What is named was not given up, or somebody has decided about it already."""

    code = "not_undeliverable"
    title = "Nothing to decide here"


_FROM = {
    "secret": ("not_opened", "open", "stopped"),
    "trial": ("not_opened", "open", "stopped"),
    "open": ("not_opened", "stopped"),
    "stop": ("open",),
    "resume": ("stopped",),
    "withdraw": ("not_opened", "open", "stopped"),
    "decide": ("open", "stopped"),
}
ACTS_ON_IT = tuple(_FROM)
"""What may be done with a subscription, each as `refusals_of` names it."""
_SAID = {"not_opened": "is not opened yet", "open": "is open", "stopped": "is stopped", "withdrawn": "was withdrawn"}


def refusals_of(what: str, row: "Row[Any]") -> list[Refusal]:
    """Return why an act (a key of `_FROM`) cannot be done with a subscription as it stands; pages and use cases ask this."""
    if row.state not in _FROM[what]:
        return [WebhookNotInThisState(f"{row.code} {_SAID[row.state]}. Look at its page for what can be done.", subject=row.code)]
    if what == "resume" and row.stopped_because == "owner":
        return [
            WebhookNotInThisState(
                f"{row.owner} may not export what {row.code} is sent any more. Two people who may open it anew.", subject=row.code
            )
        ]
    return []


def make_webhook(session: Session, act: Act, request: MakeWebhook) -> WebhookAnswer:
    """Make a subscription to which nothing is sent yet. Raises NotPermitted, AddressNotListed, AlreadyExists and others."""
    site = request.sites[0] if len(request.sites) == 1 else None
    act.require(Permission.LOG_EXPORT, at=site)
    known = set(session.execute(select(_site.c.code).where(_site.c.code.in_(request.sites))).scalars())
    if missing := sorted(set(request.sites) - known):
        raise NotFound(f"There is no site {missing[0]}.", subject=missing[0])
    _require_kinds(request.kinds)
    address = require_listed(act.bank.settings, request.url)
    taken = session.execute(select(webhook.c.code).where(webhook.c.name_key == name_key(request.name))).scalar()
    if taken is not None:
        raise AlreadyExists(f"{taken} has this name, or one that looks like it. Choose another.", subject=taken)
    code = new_code(session, Prefix.WEBHOOK)
    given = {
        "kinds": sorted(request.kinds),
        "sites": sorted(request.sites),
        "from_beginning": request.from_beginning,
    }
    session.execute(
        insert(webhook).values(
            code=code,
            name=request.name,
            name_key=name_key(request.name),
            url=request.url,
            site_code=site,
            state="not_opened",
            made_by=act.actor.code,
            made_at=act.at,
            **given,
        )
    )
    digest = hashlib.sha256(request.url.encode()).hexdigest()
    event = events.WebhookMade(webhook=code, host=address.authority, address_sha256=digest, **given)
    return _recorded(session, act, code, event)


def _require_kinds(kinds: Collection[str]) -> None:
    subjects = {kind.partition(".")[0] for kind in rules.by_kind}
    for kind in kinds:
        if kind not in rules.by_kind and not (kind.endswith(".*") and kind.removesuffix(".*") in subjects):
            raise MalformedRequest(f"There is no kind of event {kind}. docs/custody-rules.md lists them.")


def make_secret(session: Session, act: Act, code: str, request: MakeSecret) -> ShownSecret:
    """Make a new secret and show it, this once; the one before signs too for a day, or ends now.

    Raises NotFound, WebhookNotInThisState.
    """
    row = _get(session, act, code, "secret")
    number, salt, secret, former = add_secret(session, act.keystore, row.code, act.at, end_former=request.end_former)
    ended = request.end_former and number > 1
    event = events.WebhookSecretMade(webhook=row.code, number=number, former_ended=ended, salt_sha256=salt)
    receipt = _record(session, act, row, event)
    return ShownSecret(code=row.code, name=row.name, secret=secret, former_until=former, receipt=receipt)


@two_person("webhook.open", "Let events go to another system", AGREED, OpenWebhook)
def open_webhook(session: Session, act: Act, code: str, request: OpenWebhook) -> WebhookAnswer | Proposed:
    """Let events go, by two people who may export them; whoever completes it owns it. Stopped, it goes on where it stood.

    Raises NotFound, WebhookNotInThisState, WebhookHasNoSecret, AddressNotListed, and what signatures and two-person acts raise.
    """
    row = _get(session, act, code, "open")
    require_listed(act.bank.settings, row.url)
    if not signing_now(session, act.keystore, row.code, act.at):
        raise WebhookHasNoSecret(f"Make a secret for {row.code} first, and give it to the other system.", subject=row.code)
    body = {"kinds": row.kinds, "sites": row.sites, "from_beginning": row.from_beginning}
    step = two_sign(session, act, "webhook.open", row.code, body, request, Permission.LOG_EXPORT, site=row.site_code)
    if isinstance(step, Proposed):
        return step
    place = row.log_place
    if place is None:
        place = 0 if row.from_beginning else size_now(session)
    now_open = {"state": "open", "stopped_because": None, "owner": act.actor.code, "opened_at": act.at, "log_place": place}
    session.execute(update(webhook).where(webhook.c.code == row.code).values(now_open | _AT_ONCE))
    return _recorded(session, act, row.code, events.WebhookOpened(webhook=row.code, log_place=place, **people_of(step)))


_AT_ONCE = {"failures": 0, "quiet_until": None}
"""What makes a subscription be tried again without a pause."""


def stop_webhook(session: Session, act: Act, code: str) -> WebhookAnswer:
    """Send nothing until it goes on; nothing is lost. Raises NotFound, WebhookNotInThisState."""
    row = _get(session, act, code, "stop")
    _stop(session, row, "person")
    return WebhookAnswer(**_shown(session, act.actor, row.code), receipt=_record(session, act, row, _stopped(row, "person")))


def _stop(session: Session, row: "Row[Any]", because: str) -> None:
    """Write that it stopped."""
    session.execute(update(webhook).where(webhook.c.code == row.code).values(state="stopped", stopped_because=because))


def stop_by_itself(session: Session, act: Act, row: "Row[Any]", because: str) -> None:
    """Stop it because the address is gone or its owner has no right left, and record that."""
    _stop(session, row, because)
    _record(session, act, row, _stopped(row, because))


def _stopped(row: "Row[Any]", because: Any) -> Event:
    return events.WebhookStopped(webhook=row.code, because=because)


def resume_webhook(session: Session, act: Act, code: str) -> WebhookAnswer:
    """Go on where it stopped. Raises NotFound, WebhookNotInThisState."""
    row = _get(session, act, code, "resume")
    session.execute(
        update(webhook).where(webhook.c.code == row.code).values({"state": "open", "stopped_because": None} | _AT_ONCE)
    )
    _try_now(session, act, row.code)
    return _recorded(session, act, row.code, events.WebhookResumed(webhook=row.code))


def withdraw_webhook(session: Session, act: Act, code: str) -> WebhookAnswer:
    """End it: nothing is sent any more. Raises NotFound, WebhookNotInThisState."""
    row = _get(session, act, code, "withdraw")
    session.execute(update(webhook).where(webhook.c.code == row.code).values(state="withdrawn", stopped_because=None))
    return _recorded(session, act, row.code, events.WebhookWithdrawn(webhook=row.code))


def send_trial(session: Session, act: Act, code: str) -> TrialAsked:
    """Let the worker send a message without an event, at once. Raises NotFound, WebhookNotInThisState, WebhookHasNoSecret."""
    row = _get(session, act, code, "trial")
    if not signing_now(session, act.keystore, row.code, act.at):
        raise WebhookHasNoSecret(f"Make a secret for {row.code} first, and give it to the other system.", subject=row.code)
    identity = uuid4()
    session.execute(
        insert(webhook_delivery).values(
            id=identity,
            webhook_code=row.code,
            kind=TRIAL,
            stream=f"trial/{identity}",
            site_code=None,
            state="waiting",
            made_at=act.at,
            next_at=act.at,
        )
    )
    session.execute(update(webhook).where(webhook.c.code == row.code).values(quiet_until=None))
    return TrialAsked(delivery=identity)


def send_again(session: Session, act: Act, code: str, request: Undelivered) -> WebhookPublic:
    """Try what was given up anew, as if for the first time. Raises NotFound, WebhookNotInThisState, NotUndeliverable."""
    row = _get(session, act, code, "decide")
    _decide(session, row.code, request.deliveries, {"state": "waiting", "attempts": 0, "next_at": act.at})
    session.execute(update(webhook).where(webhook.c.code == row.code).values(_AT_ONCE))
    return read_webhook(session, act.actor, row.code)


def leave_out(session: Session, act: Act, code: str, request: Undelivered) -> WebhookAnswer:
    """Give events up for good, so that what follows in their streams goes on. Raises what `send_again` raises."""
    row = _get(session, act, code, "decide")
    decided = _decide(session, row.code, request.deliveries, {"state": "left_out"})
    left = [events.WebhookLeftOut(webhook=row.code, entry=one.hex()) for one in decided]
    return _recorded(session, act, row.code, *left)


def _decide(session: Session, code: str, deliveries: list[UUID], values: dict[str, Any]) -> list[bytes]:
    of = webhook_delivery.c
    changed = session.execute(
        update(webhook_delivery)
        .where(of.webhook_code == code, of.id.in_(deliveries), of.state == "undeliverable")
        .values(values)
        .returning(of.leaf_hash)
    ).all()
    if len(changed) != len(deliveries):
        raise NotUndeliverable(
            "What you name is not given up, or somebody has decided about it. Look at the list again.", subject=code
        )
    return [bytes(row.leaf_hash) for row in changed]


def _try_now(session: Session, act: Act, code: str) -> None:
    of = webhook_delivery.c
    waiting = (of.webhook_code == code, of.state == "waiting")
    session.execute(update(webhook_delivery).where(*waiting).values(next_at=act.at))


def _get(session: Session, act: Act, code: str, what: str) -> "Row[Any]":
    row = get_webhook(session, act.actor, code, lock=True)
    raise_first(refusals_of(what, row))
    return row


def _record(session: Session, act: Act, row: "Row[Any]", *said: Event) -> str:
    head = head_of(session, act, NOW, subject=None, site=row.site_code)
    return acknowledge(act, append(session, [Fact(StreamKind.SYSTEM, row.code, event, head) for event in said]))


def _recorded(session: Session, act: Act, code: str, *said: Event) -> WebhookAnswer:
    row = get_webhook(session, act.actor, code)
    receipt = _record(session, act, row, *said)
    return WebhookAnswer(**_shown(session, act.actor, code), receipt=receipt)


def _shown(session: Session, actor: Actor, code: str) -> dict[str, Any]:
    return public(session, [get_webhook(session, actor, code)])[0].model_dump()
