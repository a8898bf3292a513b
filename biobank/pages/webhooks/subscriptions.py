"""Other systems that are told of events: the list, one with what is on its way to it, and every act on it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel
from sqlmodel import Session

from biobank.acts.signing import Meaning
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.foundation.errors import NotFound
from biobank.foundation.paging import Paging
from biobank.foundation.terms import counted, words
from biobank.pages.ui.act_pages import ActForm, Acting, ActPage, Asked, Done, Needs, Opened, OwnPage, proposed
from biobank.pages.ui.addresses import WebhookCode
from biobank.pages.ui.forms import FormFault
from biobank.pages.ui.listing import Filter, Link, Listing, Wanted
from biobank.pages.ui.parts import ActionLink, Column
from biobank.pages.ui.session import PageReading
from biobank.pages.ui.templating import render
from biobank.pages.webhooks.said import STOPPED, SUBJECTS, outcome_of, what_is_sent, where_from
from biobank.webhooks import service
from biobank.webhooks.queries import get_webhook, list_deliveries, list_webhooks, read_webhook
from biobank.webhooks.schemas import (
    DeliveryPublic,
    MakeSecret,
    MakeWebhook,
    OpenWebhook,
    Undelivered,
    WebhookList,
    WebhookPublic,
)

router = APIRouter(include_in_schema=False)
SHOWN = 50
COLUMNS = [
    Column("what", "Event"),
    Column("about", "About", "code"),
    Column("state", "State", "chip"),
    Column("attempts", "Tries", "number"),
    Column("said", "Latest answer"),
    Column("last_at", "Tried", "when"),
    Column("next_at", "Tried again", "when"),
]
LABELS = {
    "name": "What the other system is called",
    "url": "Its address",
    "kinds": "What it is told of (nothing ticked: everything)",
    "sites": "Sites, by their codes (none: every site)",
    "from_beginning": "Also what is in the log already",
    "end_former": "End the secret before it now: somebody has seen it who should not",
}


def _row(one: WebhookPublic) -> Mapping[str, Any]:
    return one.model_dump() | {"what": what_is_sent(one.kinds), "where": where_from(one.sites)}


def _read(session: Session, actor: Actor, asked: Wanted) -> WebhookList:
    return list_webhooks(session, actor, state=asked.of["state"], paging=asked.paging)


Listing(
    address="/webhooks",
    title="Events sent to other systems",
    lead="Systems outside that are told what happens here, as it happens. They get codes, never who a donor is.",
    columns=[
        Column("code", "Subscription", "code"),
        Column("name", "System", sort="name"),
        Column("what", "Told of"),
        Column("where", "Of"),
        Column("state", "State", "chip"),
        Column("waiting", "On their way", "number"),
        Column("undeliverable", "Given up", "number"),
        Column("made_at", "Made", "when", sort="made_at", usual=False),
    ],
    read=_read,
    row=_row,
    default="-made_at",
    filters=[Filter("state", "State", "choice", [(one, words(one)) for one in ("not_opened", "open", "stopped", "withdrawn")])],
    links=[Link("Add a system", "/webhooks/new", "plus", Permission.LOG_EXPORT)],
    empty="No other system is told of events",
    hint="Files of the log are under Exports.",
).on(router)


@dataclass(frozen=True)
class _Seen:
    one: WebhookPublic
    open_acts: frozenset[str]
    given_up: list[DeliveryPublic]
    latest: list[DeliveryPublic]


def _see(session: Session, actor: Actor, code: str) -> _Seen:
    row = get_webhook(session, actor, code)
    return _Seen(
        read_webhook(session, actor, code),
        frozenset(what for what in service.ACTS_ON_IT if not service.refusals_of(what, row)),
        list_deliveries(session, actor, code, state="undeliverable", paging=Paging(limit=SHOWN)).items,
        list_deliveries(session, actor, code, paging=Paging(limit=SHOWN)).items,
    )


def _acts(seen: _Seen) -> list[ActionLink]:
    here, may, one = f"/webhooks/{seen.one.code}", seen.open_acts, seen.one
    acts = []
    if "decide" in may and one.undeliverable:
        acts.append(ActionLink("Send what was given up again", f"{here}/send-again", "arrow", "get", "main"))
        acts.append(ActionLink("Leave out what was given up", f"{here}/leave-out", "bin", "get", "grave"))
    if "open" in may and one.secrets:
        acts.append(ActionLink("Let events go", f"{here}/open", "pen", "get", "main"))
    if "resume" in may:
        acts.append(ActionLink("Let it go on", f"{here}/resume", "arrow", "get", "main"))
    if "trial" in may and one.secrets:
        acts.append(ActionLink("Send a trial message", f"{here}/trial", "arrow"))
    if "secret" in may:
        label = "Make a new secret" if one.secrets else "Make its secret"
        acts.append(ActionLink(label, f"{here}/secret", "lock", "get", "plain" if one.secrets else "main"))
    if "stop" in may:
        acts.append(ActionLink("Stop it", f"{here}/stop", "octagon"))
    if "withdraw" in may:
        acts.append(ActionLink("Withdraw it", f"{here}/withdraw", "octagon", "get", "grave"))
    return acts


def _delivery(one: DeliveryPublic) -> Mapping[str, Any]:
    return one.model_dump() | {
        "what": "Trial message" if one.event is None else words(one.kind),
        "about": None if one.event is None else one.stream.partition("/")[2],
        "said": outcome_of(one.outcome, one.status),
    }


@router.get("/webhooks/{code}")
async def show_webhook(request: Request, code: WebhookCode, reading: PageReading) -> Response:
    """Draw one subscription: what it is told, how far it is, what was given up and what was sent last."""
    seen = await reading.agreeing(_see, code)
    return render(
        request,
        "webhook.html",
        one=seen.one,
        what=what_is_sent(seen.one.kinds),
        where=where_from(seen.one.sites),
        stopped=STOPPED.get(seen.one.stopped_because or ""),
        acts=_acts(seen),
        columns=COLUMNS,
        given_up=[_delivery(one) for one in seen.given_up],
        latest=[_delivery(one) for one in seen.latest],
    )


ActPage(
    address="/webhooks/new",
    reads=Needs(Permission.LOG_EXPORT),
    form=lambda at: ActForm(
        title="Add a system",
        submit="Add it",
        icon="plus",
        lead="Nothing is sent yet. It gets a secret first, and two people let events go.",
        options={"kinds": SUBJECTS},
        plan=_listed(at),
    ),
    model=MakeWebhook,
    names=("name", "url", "kinds", "sites", "from_beginning"),
    labels=LABELS,
    use_case=service.make_webhook,
    args=lambda _at: (),
    after=lambda _at, _body, made: Done(f"/webhooks/{made['code']}", "Added.", "Now make its secret.", halfway=True),
).on(router)


def _listed(at: Opened[Any]) -> list[str]:
    known = at.bank.settings.webhook_addresses.split()
    if not known:
        return ["Whoever runs the bank has listed no address yet in its settings: nothing can be added."]
    return [f"An address begins with one of: {', '.join(known)}"]


def _to(what: str) -> Any:
    def reads(session: Session, actor: Actor, asked: Asked) -> WebhookPublic:
        row = get_webhook(session, actor, asked.code)
        asked.opens(service.refusals_of(what, row))
        return read_webhook(session, actor, asked.code)

    return reads


async def _secret(at: Acting[WebhookPublic]) -> OwnPage:
    body = at.parse(MakeSecret, "end_former")
    return OwnPage("webhook_secret.html", shown=await at.performing.disclose(service.make_secret, at.code, body))


ActPage(
    address="/webhooks/{code}/secret",
    reads=_to("secret"),
    form=lambda at: ActForm(
        title="Make a new secret" if at.read.secrets else "Make its secret",
        submit="Show it now",
        icon="lock",
        lead=f"It is shown once. Have the settings of {at.read.name} open. "
        + ("The one before signs too for a day, so that nothing is missed." if at.read.secrets else ""),
        fields=None if at.read.secrets else (),
    ),
    model=MakeSecret,
    names=("end_former",),
    labels=LABELS,
    acts=_secret,
).on(router)


def _opened(at: Opened[WebhookPublic], _body: Any, answer: dict[str, Any]) -> Done:
    here = f"/webhooks/{at.code}"
    return proposed(here) if answer["status"] == "pending" else Done(here, "Events go now.")


ActPage(
    address="/webhooks/{code}/open",
    reads=_to("open"),
    form=lambda at: ActForm(
        title="Let events go",
        submit="Sign and propose",
        lead=f"To {at.read.name}, {at.read.url}: {what_is_sent(at.read.kinds)} ({where_from(at.read.sites)}). Whoever signs "
        "second answers for it: what they may not export any more is not sent.",
        statement=f"You propose that events go to {at.read.name}.",
        said=service.AGREED,
    ),
    model=OpenWebhook,
    meaning=Meaning.DECIDED,
    use_case=service.open_webhook,
    after=_opened,
).on(router)


async def _trial(at: Acting[WebhookPublic]) -> Done:
    await at.performing(service.send_trial, at.code)
    return Done(f"/webhooks/{at.code}", "On its way.", "What became of it stands under “Sent last” in a moment.")


async def _stop(at: Acting[WebhookPublic]) -> Done:
    await at.performing(service.stop_webhook, at.code)
    return Done(f"/webhooks/{at.code}", "Stopped.", "Nothing is lost: it goes on where it stands.")


async def _resume(at: Acting[WebhookPublic]) -> Done:
    await at.performing(service.resume_webhook, at.code)
    return Done(f"/webhooks/{at.code}", "It goes on.")


async def _withdraw(at: Acting[WebhookPublic]) -> Done:
    await at.performing(service.withdraw_webhook, at.code)
    return Done(f"/webhooks/{at.code}", "Withdrawn.", "Nothing is sent to it any more.")


def _simple(what: str, title: str, lead: str, acts: Any, *, grave: bool = False) -> None:
    ActPage(
        address=f"/webhooks/{{code}}/{what}",
        reads=_to(what),
        form=lambda at: ActForm(title=title, lead=f"{at.read.name}: {lead}", grave=grave),
        model=BaseModel,
        acts=acts,
    ).on(router)


_simple("trial", "Send a trial message", "a signed message without an event, to see whether it arrives.", _trial)
_simple("stop", "Stop it", "nothing is sent until somebody lets it go on. What happens meanwhile is sent then.", _stop)
_simple("resume", "Let it go on", "what happened meanwhile is sent now, in its order.", _resume)
_simple(
    "withdraw", "Withdraw it", "nothing is sent any more, for good. To begin again, add the system anew.", _withdraw, grave=True
)


@dataclass(frozen=True)
class _GivenUp:
    one: WebhookPublic
    deliveries: tuple[UUID, ...]


def _given_up(session: Session, actor: Actor, asked: Asked) -> _GivenUp:
    row = get_webhook(session, actor, asked.code)
    asked.opens(service.refusals_of("decide", row))
    found = list_deliveries(session, actor, asked.code, state="undeliverable", paging=Paging(limit=500)).items
    if not found and not asked.sent:
        raise NotFound(f"Nothing of {asked.code} is given up.", subject=asked.code)
    return _GivenUp(read_webhook(session, actor, asked.code), tuple(one.id for one in found))


def _deliveries(at: Acting[_GivenUp]) -> dict[str, list[UUID]]:
    if not at.read.deliveries:
        raise FormFault({"": "Nothing is given up here any more: somebody decided before you."})
    return {"deliveries": list(at.read.deliveries)}


def _decided(title: str) -> Any:
    return lambda at, body, _answer: Done(f"/webhooks/{at.code}", f"{counted(len(body.deliveries), 'event')}: {title}.")


ActPage(
    address="/webhooks/{code}/send-again",
    reads=_given_up,
    form=lambda at: ActForm(
        title="Send what was given up again",
        submit="Send it",
        lead=f"{counted(len(at.read.deliveries), 'event')} could not be delivered to {at.read.one.name}. First ask whoever runs "
        "it what was wrong. What came later about the same things follows in its order.",
    ),
    model=Undelivered,
    given=_deliveries,
    use_case=service.send_again,
    after=_decided("tried again"),
).on(router)

ActPage(
    address="/webhooks/{code}/leave-out",
    reads=_given_up,
    form=lambda at: ActForm(
        title="Leave out what was given up",
        submit="Leave it out",
        grave=True,
        lead=f"{counted(len(at.read.deliveries), 'event')} will never be sent to {at.read.one.name}. What came later about the "
        "same things goes on. The log keeps that they were left out.",
    ),
    model=Undelivered,
    given=_deliveries,
    use_case=service.leave_out,
    after=_decided("left out"),
).on(router)
