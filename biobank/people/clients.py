"""API clients: programs with a key of their own. Made by an administrator, keyed by two, revoked by either at once.

An account is made without a key, so nothing opens. Administration proposes a key and quality completes; whoever completed draws
it, once. What a client may do and where is said when it is made and stays so: another need is another client. No client signs,
decides, or stands for a person; what it records bears its code.
"""

from datetime import datetime, timedelta
from typing import Any, Final
from uuid import uuid4

from sqlalchemy import ColumnElement, Row, and_, insert, or_, select, update
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.codes import new_code
from biobank.acts.signing import Meaning, use_signature
from biobank.acts.two_person import Proposed, propose_or_complete, two_person
from biobank.auth import machine_keys
from biobank.auth.actor import Actor
from biobank.auth.client_keys import BEGINS, SHOWN, key_hash
from biobank.auth.models import api_client as client
from biobank.auth.models import site as _site
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE
from biobank.custody.event import Event
from biobank.custody.ledger import Appended, Fact, append
from biobank.custody.locks import locked
from biobank.custody.recording import NOW, acknowledge, head_of
from biobank.custody.states import StreamKind
from biobank.foundation import clock
from biobank.foundation.clock import rfc3339
from biobank.foundation.codes import Prefix
from biobank.foundation.errors import AlreadyExists, Conflict, NotFound, Refusal, raise_first
from biobank.foundation.names import name_key
from biobank.foundation.paging import Paging, read_page
from biobank.people.client_events import ClientKeyDrawn, ClientKeyGranted, ClientMade, ClientRevoked
from biobank.people.client_schemas import (
    ClientAnswer,
    ClientList,
    ClientPublic,
    DrawnClientKey,
    GrantClientKey,
    MakeClient,
    RevokeClient,
)
from biobank.people.service import people_of

AGREED: Final = "I know the program, who runs it and what it does with what it reads, and agree that it gets a key."
SECRET: Final = "client-keys"  # noqa: S105  (the name of a file)
KEEPING: Final = (Permission.USER_MANAGE, Permission.ROLE_COSIGN)
"""One of these at its site: who proposes a key and who completes it. Either revokes it."""
ORDERS = {"made_at": client.c.made_at, "name": client.c.name, "last_used_at": client.c.last_used_at}


class ClientRevokedAlready(Conflict):
    """The account is over."""

    code = "client_revoked"
    title = "Revoked"


def get_client(session: Session, actor: Actor, code: str, *, lock: bool = False) -> "Row[Any]":
    """Return a client's row; raise NotFound when the actor may not know of it."""
    statement = select(client).where(client.c.code == code)
    row = session.execute(locked(statement, client) if lock else statement).first()
    if row is None or not actor.scope(Permission.USER_READ).covers(row.site_code):
        raise NotFound(f"There is no API client {code} that you may see.", subject=code)
    return row


def keeping_refusals(actor: Actor, row: "Row[Any]") -> list[Refusal]:
    """Return why the actor may not propose or complete a key of this client, or revoke it."""
    over = ClientRevokedAlready("This API client was revoked. Make a new one.", subject=row.code)
    held = any(actor.may(permission, at=row.site_code) for permission in KEEPING)
    refusal = None if held else actor.refusal(KEEPING[0], at=row.site_code, subject=row.code)
    return [*([] if refusal is None else [refusal]), *([] if row.revoked_at is None else [over])]


def proposing_refusals(actor: Actor, row: "Row[Any]") -> list[Refusal]:
    """Return why the actor may not propose a key: administration does."""
    refusal = actor.refusal(Permission.USER_MANAGE, at=row.site_code, subject=row.code)
    return [*([] if refusal is None else [refusal]), *keeping_refusals(actor, row)]


def drawing_refusals(actor: Actor, row: "Row[Any]", at: datetime) -> list[Refusal]:
    """Return why the actor may not draw the key of this client at `at`: whoever completed its grant does, while they co-sign."""
    refusal = actor.refusal(Permission.ROLE_COSIGN, at=row.site_code, subject=row.code)
    due = machine_keys.nothing_to_draw(actor, row, at)
    return [*([] if refusal is None else [refusal]), *keeping_refusals(actor, row), *due]


def make_client(session: Session, act: Act, request: MakeClient) -> ClientAnswer:
    """Make an account without a key. Raises NotPermitted, NotFound for an unknown site, AlreadyExists."""
    site = request.sites[0] if len(request.sites) == 1 else None
    act.require(Permission.USER_MANAGE, at=site)
    known = set(session.execute(select(_site.c.code).where(_site.c.code.in_(request.sites))).scalars())
    if missing := sorted(set(request.sites) - known):
        raise NotFound(f"There is no site {missing[0]}.", subject=missing[0])
    taken = session.execute(select(client.c.code).where(client.c.name_key == name_key(request.name))).scalar()
    if taken is not None:
        raise AlreadyExists(f"{taken} has this name, or one that looks like it. Choose another.", subject=taken)
    code = new_code(session, Prefix.CLIENT)
    given: dict[str, Any] = {
        "scopes": sorted(request.scopes),
        "sites": sorted(request.sites),
        "valid_days": request.valid_days,
    }
    session.execute(
        insert(client).values(
            code=code,
            name=request.name,
            name_key=name_key(request.name),
            site_code=site,
            made_by=act.actor.code,
            made_at=act.at,
            **given,
        )
    )
    return _recorded(session, act, code, ClientMade(client=code, **given))


@two_person("client.grant_key", "Give an API client a key", AGREED, GrantClientKey)
def grant_client_key(session: Session, act: Act, code: str, request: GrantClientKey) -> ClientAnswer | Proposed:
    """Grant a new key: administration proposes, quality completes and draws it. The key before it works until then.

    Raises NotFound, NotPermitted, ClientRevokedAlready, and what signatures and two-person acts raise.
    """
    row = get_client(session, act.actor, code, lock=True)
    raise_first(keeping_refusals(act.actor, row))
    body = {"scopes": row.scopes, "sites": row.sites, "valid_days": row.valid_days}
    step = propose_or_complete(
        session,
        act,
        "client.grant_key",
        row.code,
        body,
        use_signature(session, act, request.signature, Meaning.DECIDED),
        request.pending_act,
        hands=(),
        needs=Permission.ROLE_COSIGN,
        first_needs=Permission.USER_MANAGE,
        site=row.site_code,
    )
    if isinstance(step, Proposed):
        return step
    session.execute(update(client).where(client.c.code == row.code).values(machine_keys.granted_to(act.actor, act.at)))
    return _recorded(session, act, row.code, ClientKeyGranted(client=row.code, **_said(row), **people_of(step)))


def draw_client_key(session: Session, act: Act, code: str) -> DrawnClientKey:
    """Make the granted key and show it, this once; the one before it opens nothing any more.

    Raises NotFound, NotPermitted, ClientRevokedAlready, NoKeyToDraw.
    """
    row = get_client(session, act.actor, code, lock=True)
    raise_first(drawing_refusals(act.actor, row, act.at))
    key = machine_keys.new_key(BEGINS)
    ends = (act.at + timedelta(days=row.valid_days)).replace(microsecond=0)
    done = _record(session, act, row, ClientKeyDrawn(client=row.code, **_said(row), expires_at=rfc3339(ends)))
    fresh = {
        "key_id": uuid4(),
        "key_hash": key_hash(act.bank.secrets_of(SECRET)[0], key),
        "key_start": key[:SHOWN],
        "keyed_at": act.at,
        "keyed_event": done.leaf_hash,
        "expires_at": ends,
    }
    session.execute(update(client).where(client.c.code == row.code).values(fresh | machine_keys.DRAWN))
    return DrawnClientKey(code=row.code, name=row.name, key=key, expires_at=ends, receipt=acknowledge(act, [done]))


def revoke_client(session: Session, act: Act, code: str, request: RevokeClient) -> ClientAnswer:
    """End an account at once: its key opens nothing from the next call on. One person is enough, as to shut a login.

    Raises NotFound, NotPermitted, ClientRevokedAlready.
    """
    row = get_client(session, act.actor, code, lock=True)
    raise_first(keeping_refusals(act.actor, row))
    over = {"revoked_at": act.at, "key_id": None, "key_hash": None} | machine_keys.DRAWN
    session.execute(update(client).where(client.c.code == row.code).values(over))
    return _recorded(session, act, row.code, ClientRevoked(client=row.code, reason=request.reason))


def _said(row: "Row[Any]") -> dict[str, Any]:
    return {"scopes": tuple(row.scopes), "sites": tuple(row.sites), "valid_days": row.valid_days}


def _record(session: Session, act: Act, row: "Row[Any]", event: Event) -> Appended:
    head = head_of(session, act, NOW, subject=None, site=row.site_code)
    return append(session, [Fact(StreamKind.SYSTEM, row.code, event, head)])[0]


def _recorded(session: Session, act: Act, code: str, event: Event) -> ClientAnswer:
    row = session.execute(select(client).where(client.c.code == code)).one()
    done = _record(session, act, row, event)
    return ClientAnswer(**public(row).model_dump(), receipt=acknowledge(act, [done]))


def _states() -> dict[str, ColumnElement[bool]]:
    of = client.c
    return {
        "in_use": and_(of.key_hash.is_not(None), of.expires_at > clock.now()),
        "expired": and_(of.key_hash.is_not(None), of.expires_at <= clock.now()),
        "without_key": and_(of.revoked_at.is_(None), of.key_hash.is_(None)),
        "revoked": of.revoked_at.is_not(None),
    }


STATES: Final = tuple(_states())


def public(row: "Row[Any]") -> ClientPublic:
    """Return a row as it is shown."""
    if row.revoked_at is not None:
        state = "revoked"
    elif row.key_hash is None:
        state = "without_key"
    else:
        state = "in_use" if row.expires_at > clock.now() else "expired"
    shown = {name: value for name, value in row._mapping.items() if name in ClientPublic.model_fields}
    return ClientPublic.model_validate(shown | {"state": state})


def read_client(session: Session, actor: Actor, code: str) -> ClientPublic:
    """Return one API client. Raises NotFound."""
    return public(get_client(session, actor, code))


def list_clients(
    session: Session, actor: Actor, *, state: str | None = None, site: str | None = None, paging: Paging = Paging()
) -> ClientList:
    """Return the API clients the actor may know of. Raises NotPermitted without user:read."""
    actor.require(Permission.USER_READ, at=ANYWHERE)
    statement = select(client).where(actor.scope(Permission.USER_READ).of(client.c.site_code))
    if state is not None:
        statement = statement.where(_states()[state])
    if site is not None:
        statement = statement.where(or_(client.c.site_code == site, client.c.sites.has_key(site)))
    page = read_page(session, statement, paging, key=client.c.code, orders=ORDERS, default="-made_at")
    return ClientList(items=[public(row) for row in page.rows], **page.ends)
