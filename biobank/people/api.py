"""Routes of logins, roles and sites."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query, Response

from biobank.acts.two_person import Proposed
from biobank.acts.web import Performing, Reading
from biobank.auth.permissions import Role
from biobank.foundation.paging import Cursor, Paging
from biobank.people import jurisdictions, queries, roles, service, sites, slips, watched_acts
from biobank.people.schemas import (
    Done,
    DrawnSlip,
    JurisdictionRequest,
    JurisdictionStated,
    PasswordReset,
    RoleChange,
    SiteChange,
    SiteCode,
    SiteCreate,
    SiteList,
    SitePublic,
    SiteRecorded,
    UserChange,
    UserCreate,
    UserList,
    UserPublic,
)
from biobank.people.watched_acts import WatchedActList

router = APIRouter(prefix="/api/v1", tags=["people"])
UserPath = Annotated[str, Path(pattern=r"^[A-Z0-9-]{1,20}$", description="Badge code, `US-…`.")]
SitePath = Annotated[str, Path(pattern=r"^[A-Z0-9-]{1,20}$", description="Site code.")]


@router.post("/users", status_code=201)
async def create_user(request: UserCreate, performing: Performing) -> Done:
    """Make a login. It has no role and no credential: its first role, signed by two people, brings a one-time code."""
    return await performing(service.create_user, request)


@router.get("/users")
async def read_users(
    reading: Reading,
    active: bool | None = None,
    role: Role | None = None,
    site: SiteCode | None = None,
    after: Cursor | None = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
) -> UserList:
    """Logins by badge code."""
    return await reading(
        queries.list_users,
        reading.bank.keystore,
        active=active,
        role=role,
        at_site=site,
        paging=Paging(after, limit),
    )


@router.get("/users/{code}")
async def read_user(code: UserPath, reading: Reading) -> UserPublic:
    """One login with its roles."""
    return await reading(queries.read_user, reading.bank.keystore, code)


@router.patch("/users/{code}")
async def change_user(code: UserPath, request: UserChange, performing: Performing) -> Done | Proposed:
    """Rename a login, shut it or open it again."""
    return await performing(service.change_user, code, request)


@router.post("/users/{code}/password-reset")
async def reset_password(code: UserPath, request: PasswordReset, performing: Performing) -> Done | Proposed:
    """Let someone choose a new password: an administrator proposes, quality completes, each draws half of a one-time code."""
    return await performing(service.reset_password, code, request)


@router.post("/slips/{slip}/draw")
async def draw_slip(slip: UUID, performing: Performing, response: Response) -> DrawnSlip:
    """Show your half of a one-time code, once: whoever proposed the act draws one half, whoever completed it the other.

    Hand it to its owner sealed and unread; they need both halves, and using them is listed to them. The answer is never kept: the
    half of a lost answer is lost, and the password is reset again.
    """
    response.headers["Cache-Control"] = "no-store"
    return await performing.unkept(slips.draw_slip, slip)


@router.post("/users/{code}/roles")
async def grant_role(code: UserPath, request: RoleChange, performing: Performing) -> Done | Proposed:
    """Give a role: an administrator proposes, quality completes."""
    return await performing(roles.grant_role, code, request)


@router.post("/users/{code}/roles/revoke")
async def revoke_role(code: UserPath, request: RoleChange, performing: Performing) -> Done | Proposed:
    """Take a role away: an administrator proposes, quality completes."""
    return await performing(roles.revoke_role, code, request)


@router.post("/sites", status_code=201)
async def create_site(request: SiteCreate, performing: Performing) -> SiteRecorded:
    """Add a laboratory or a clinic."""
    return await performing(sites.create_site, request)


@router.get("/sites")
async def read_sites(reading: Reading, active: bool | None = None) -> SiteList:
    """Every site."""
    return await reading(queries.list_sites, active=active)


@router.get("/sites/{code}")
async def read_site(code: SitePath, reading: Reading) -> SitePublic:
    """One site."""
    return await reading(queries.read_site, code)


@router.post("/sites/{code}/jurisdiction")
async def state_jurisdiction(
    code: SitePath, request: JurisdictionRequest, performing: Performing
) -> JurisdictionStated | Proposed:
    """Say under whose law a site works: quality, signed "decided"; two of quality change what was said."""
    return await performing(jurisdictions.state_jurisdiction, code, request)


@router.patch("/sites/{code}")
async def change_site(code: SitePath, request: SiteChange, performing: Performing) -> SiteRecorded:
    """Change name, time zone or use of a site."""
    return await performing(sites.change_site, code, request)


@router.get("/watched-acts")
async def list_watched_acts(
    reading: Reading,
    kind: Annotated[str | None, Query(max_length=40, pattern=r"^[a-z_.]+$", description="One kind of event.")] = None,
    days: Annotated[int, Query(ge=1, le=366, description="How far back.")] = 31,
    after: Cursor | None = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
) -> WatchedActList:
    """Roles given and taken, logins made and reset, holds lifted: those that concern you, and those that you may know of."""
    return await reading(watched_acts.list_watched_acts, kind=kind, days=days, paging=Paging(after, limit))
