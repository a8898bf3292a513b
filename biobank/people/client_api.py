"""Routes of API clients: their accounts, for people. What a key opens are all other calls that its scopes allow."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Response

from biobank.acts.two_person import Proposed
from biobank.acts.web import CodePath, Performing, Reading
from biobank.foundation.paging import Cursor, Paging
from biobank.people import clients
from biobank.people.client_schemas import (
    ClientAnswer,
    ClientList,
    ClientPublic,
    DrawnClientKey,
    GrantClientKey,
    MakeClient,
    RevokeClient,
)
from biobank.people.schemas import SiteCode

router = APIRouter(prefix="/api/v1", tags=["people"])


@router.get("/api-clients")
async def read_api_clients(
    reading: Reading,
    state: Literal["without_key", "in_use", "expired", "revoked"] | None = None,
    site: SiteCode | None = None,
    after: Cursor | None = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> ClientList:
    """Programs that may call the bank: what each may do and where, until when, and when its key was used last."""
    return await reading(clients.list_clients, state=state, site=site, paging=Paging(after, limit))


@router.post("/api-clients", status_code=201)
async def make_api_client(body: MakeClient, performing: Performing) -> ClientAnswer:
    """Make an account for a program. It has no key, so nothing opens before two people grant one."""
    return await performing(clients.make_client, body)


@router.get("/api-clients/{code}")
async def read_api_client(code: CodePath, reading: Reading) -> ClientPublic:
    """One API client."""
    return await reading(clients.read_client, code.upper())


@router.post("/api-clients/{code}/key")
async def grant_api_client_key(code: CodePath, body: GrantClientKey, performing: Performing) -> ClientAnswer | Proposed:
    """Grant a new key: administration proposes, quality completes and draws it. The key before it works until then."""
    return await performing(clients.grant_client_key, code.upper(), body)


@router.post("/api-clients/{code}/key/draw")
async def draw_api_client_key(code: CodePath, performing: Performing, response: Response) -> DrawnClientKey:
    """Show the granted key, once, to the person who completed the grant. The answer is never kept."""
    response.headers["Cache-Control"] = "no-store"
    return await performing.unkept(clients.draw_client_key, code.upper())


@router.post("/api-clients/{code}/revoke")
async def revoke_api_client(code: CodePath, body: RevokeClient, performing: Performing) -> ClientAnswer:
    """End the account at once: its key opens nothing from the next call on."""
    return await performing(clients.revoke_client, code.upper(), body)
