"""API clients as administration and quality see them: the list with who called last, one with what it may do, and every act."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

from fastapi import APIRouter, Request
from fastapi.responses import Response
from pydantic import BaseModel
from sqlmodel import Session

from biobank.acts.signing import Meaning
from biobank.auth.actor import Actor
from biobank.auth.permissions import ClientScope, Permission
from biobank.foundation.clock import now
from biobank.foundation.errors import Refusal
from biobank.foundation.terms import words
from biobank.pages.people.logins import REASONS
from biobank.pages.ui.act_pages import ActForm, Acting, ActPage, Asked, Done, Needs, Opened, OwnPage
from biobank.pages.ui.addresses import ClientCode
from biobank.pages.ui.filters import code as code_markup
from biobank.pages.ui.filters import when
from biobank.pages.ui.listing import Filter, Link, Listing, Wanted
from biobank.pages.ui.parts import ActionLink, Column
from biobank.pages.ui.session import PageReading
from biobank.pages.ui.templating import render
from biobank.people.client_schemas import ClientList, ClientPublic, GrantClientKey, MakeClient, RevokeClient
from biobank.people.clients import (
    AGREED,
    STATES,
    draw_client_key,
    drawing_refusals,
    get_client,
    grant_client_key,
    keeping_refusals,
    list_clients,
    make_client,
    proposing_refusals,
    public,
    revoke_client,
)

router = APIRouter(include_in_schema=False)
LABELS = {
    "name": "What the program is called",
    "scopes": "What it may do",
    "sites": "Sites, by their codes (none: every site)",
    "valid_days": "Its key ends after how many days",
}
MAY = {one: Permission(one).words.capitalize() for one in get_args(ClientScope)}
SCOPES = [Column("may", "What it may do")]
NEVER_USED = "Not yet"


def _where(one: ClientPublic) -> str:
    return ", ".join(one.sites) or "Every site"


def _row(one: ClientPublic) -> Mapping[str, Any]:
    return one.model_dump() | {"may": ", ".join(MAY[scope] for scope in one.scopes), "where": _where(one)}


def _read(session: Session, actor: Actor, asked: Wanted) -> ClientList:
    return list_clients(session, actor, state=asked.of["state"], site=asked.of["site"], paging=asked.paging)


Listing(
    address="/api-clients",
    title="API clients",
    lead="Programs that call the bank with a key of their own. None of them signs, decides or handles anything.",
    columns=[
        Column("code", "Client", "code"),
        Column("name", "Program", sort="name"),
        Column("may", "May"),
        Column("where", "At"),
        Column("state", "State", "chip"),
        Column("key_start", "Its key begins"),
        Column("expires_at", "Ends", "when"),
        Column("last_used_at", "Called last", "when", sort="last_used_at"),
        Column("calls", "Calls", "number", usual=False),
        Column("made_at", "Made", "when", sort="made_at", usual=False),
    ],
    read=_read,
    row=_row,
    default="-made_at",
    filters=[
        Filter("state", "State", "choice", [(one, words(one)) for one in STATES]),
        Filter("site", "Site", "code"),
    ],
    links=[Link("Add a program", "/api-clients/new", "plus", Permission.USER_MANAGE)],
    empty="No program has a key",
    hint="Instruments that send readings are under Sensors.",
).on(router)


@dataclass(frozen=True)
class _Seen:
    one: ClientPublic
    proposing: list[Refusal]
    keeping: list[Refusal]
    drawing: list[Refusal]


def _see(session: Session, actor: Actor, code: str) -> _Seen:
    row = get_client(session, actor, code)
    return _Seen(public(row), proposing_refusals(actor, row), keeping_refusals(actor, row), drawing_refusals(actor, row, now()))


def _acts(seen: _Seen) -> list[ActionLink]:
    here, acts = f"/api-clients/{seen.one.code}", []
    if not seen.drawing:
        acts.append(ActionLink("Show its new key, once", f"{here}/draw", "lock", "get", "main"))
    if not seen.proposing:
        acts.append(ActionLink("Give it a new key", f"{here}/key", "lock"))
    if not seen.keeping:
        acts.append(ActionLink("Revoke it", f"{here}/revoke", "octagon", "get", "grave"))
    return acts


@router.get("/api-clients/{code}")
async def show_client(request: Request, code: ClientCode, reading: PageReading) -> Response:
    """Draw one API client: what it may do, until when, and when it called last."""
    seen = await reading.agreeing(_see, code)
    one, zone = seen.one, request.state.zone
    return render(
        request,
        "dossier.html",
        kind=one.name,
        code=one.code,
        chip=one.state,
        tables=[("What it may do", SCOPES, [{"may": MAY[scope]} for scope in one.scopes], "", "")],
        trail=[("API clients", "/api-clients"), (one.code, None)],
        acts=_acts(seen),
        facts=[
            ("At", _where(one)),
            *([("Its key begins", one.key_start)] if one.key_start else []),
            *([("Key since", when(one.keyed_at, zone))] if one.keyed_at else []),
            *([("Ends", when(one.expires_at, zone))] if one.expires_at else []),
            ("A key counts for", f"{one.valid_days} days"),
            *([("New key waits for", code_markup(one.key_for))] if one.key_for else []),
            ("Called last", when(one.last_used_at, zone) if one.last_used_at else NEVER_USED),
            ("Calls", str(one.calls)),
            ("Made", when(one.made_at, zone)),
            ("Made by", code_markup(one.made_by)),
            *([("Revoked", when(one.revoked_at, zone))] if one.revoked_at else []),
        ],
    )


ActPage(
    address="/api-clients/new",
    reads=Needs(Permission.USER_MANAGE),
    form=lambda _at: ActForm(
        title="Add a program",
        submit="Add it",
        icon="plus",
        lead="It gets an account without a key. A key takes you and quality. What it may do stays as it is said here.",
        options={"scopes": list(MAY.items())},
    ),
    model=MakeClient,
    names=("name", "scopes", "sites", "valid_days"),
    labels=LABELS,
    use_case=make_client,
    args=lambda _at: (),
    after=lambda _at, _body, made: Done(f"/api-clients/{made['code']}", "Added.", "Now propose its key.", halfway=True),
).on(router)


def _to(refusals: Any) -> Any:
    def reads(session: Session, actor: Actor, asked: Asked) -> ClientPublic:
        row = get_client(session, actor, asked.code)
        asked.opens(refusals(actor, row))
        return public(row)

    return reads


def _proposed(at: Opened[Any], _body: Any, answer: dict[str, Any]) -> Done:
    here = f"/api-clients/{at.code}"
    if answer["status"] == "pending":
        return Done(here, "Proposed.", "It waits for a second person from quality.", "note")
    return Done(here, "Done.")


ActPage(
    address="/api-clients/{code}/key",
    reads=_to(proposing_refusals),
    form=lambda at: ActForm(
        title="Give an API client a new key",
        submit="Sign and propose",
        lead=f"{at.read.name}, at {_where(at.read)}: {', '.join(MAY[one] for one in at.read.scopes)}. Quality signs too, sees "
        "the key, once, and hands it to whoever runs the program. A key that it has works until then.",
        statement=f"You propose a new key for {at.code}.",
        said=AGREED,
    ),
    model=GrantClientKey,
    meaning=Meaning.DECIDED,
    use_case=grant_client_key,
    after=_proposed,
).on(router)


async def _draw(at: Acting[Any]) -> OwnPage:
    drawn = await at.performing.disclose(draw_client_key, at.code)
    return OwnPage(
        "machine_key.html",
        drawn=drawn,
        care="Put it into the program's settings and nowhere else. Whoever has it reads and acts in this program's name.",
        facts=[
            ("Client", drawn.code),
            ("Sent as the header", "Authorization: Bearer …"),
            ("Ends", when(drawn.expires_at, at.zone)),
        ],
        back=f"/api-clients/{at.code}",
        done="It is in the program",
    )


ActPage(
    address="/api-clients/{code}/draw",
    reads=_to(lambda actor, row: drawing_refusals(actor, row, now())),
    form=lambda at: ActForm(
        title="Show its new key",
        submit="Show it now",
        icon="lock",
        lead=f"The key of {at.read.name} is shown once. Have the program's settings open. The key before it ends now.",
    ),
    model=BaseModel,
    acts=_draw,
).on(router)

ActPage(
    address="/api-clients/{code}/revoke",
    reads=_to(keeping_refusals),
    form=lambda at: ActForm(
        title="Revoke an API client",
        submit="Revoke it",
        icon="octagon",
        grave=True,
        lead=f"{at.read.name}: its key opens nothing from its next call on. It cannot be taken back.",
        options={"reason": REASONS},
    ),
    model=RevokeClient,
    names=("reason",),
    labels={"reason": "Why"},
    use_case=revoke_client,
    after=lambda at, _body, _done: Done(f"/api-clients/{at.code}", "Revoked.", "Its key opens nothing any more."),
).on(router)
