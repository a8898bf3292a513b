"""Questions about donors. Each takes the actor; what the actor may not know of is not found (`visibility.py`)."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import Row, Select, select, text
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE
from biobank.custody.models import hold
from biobank.custody.states import HoldScope
from biobank.donors import blind_index
from biobank.donors.blind_index import LookAlike, TokenKind, external_value, token
from biobank.donors.consents import consents_of
from biobank.donors.models import donor
from biobank.donors.moving import harvests_left, merged_into
from biobank.donors.names import sound, words
from biobank.donors.schemas import (
    DonorList,
    DonorPublic,
    DonorSummary,
    ExternalId,
    HarvestLeftPublic,
    HoldPublic,
    LookAlikePublic,
    Match,
    MatchList,
    SearchDonors,
)
from biobank.donors.visibility import every_code, get_visible_donor, visible
from biobank.donors.wristbands import band_in_force
from biobank.foundation.paging import Paging, read_page

MATCHES_SHOWN = 50
ORDERS = {"donor": donor.c.code, "created_at": donor.c.created_at}


def list_donors(
    session: Session,
    actor: Actor,
    *,
    site: str | None = None,
    status: str | None = None,
    paging: Paging = Paging(),
) -> DonorList:
    """List the donors the actor may know of, by code unless asked otherwise."""
    actor.require(Permission.DONOR_READ, at=ANYWHERE)
    statement: Select[Any] = select(donor).where(visible(actor), donor.c.merged_into.is_(None))
    if site is not None:
        statement = statement.where(donor.c.clinic_site_code == site)
    if status is not None:
        statement = statement.where(donor.c.status == status)
    page = read_page(session, statement, paging, key=donor.c.code, orders=ORDERS, default="donor")
    return DonorList(items=[summary_of(row) for row in page.rows], **page.ends)


def summary_of(row: "Row[Any]") -> DonorSummary:
    """Turn a donor row into its wire shape."""
    return DonorSummary(
        donor=row.code, clinic_site=row.clinic_site_code, status=row.status, kept_apart=row.kept_apart, created_at=row.created_at
    )


def describe_donor(session: Session, actor: Actor, code: str) -> DonorPublic:
    """Answer GET /donors/{code}: everything but who it is."""
    row = get_visible_donor(session, actor, code)
    shown, elsewhere = shown_look_alikes(session, actor, blind_index.look_alikes_of(session, [code])[code])
    return DonorPublic(
        **summary_of(row).model_dump(),
        consents=consents_of(session, code),
        holds=_holds_of(session, code),
        wristband=band_in_force(session, code),
        look_alikes=shown,
        look_alikes_elsewhere=elsewhere,
        safety_contact=row.safety_commit is not None,
        also=merged_into(session, code),
        left=[HarvestLeftPublic(harvest=one.harvest_code, at=one.recorded_at) for one in harvests_left(session, code)],
    )


def _holds_of(session: Session, code: str) -> list[HoldPublic]:
    rows = session.execute(
        select(hold.c.id, hold.c.kind, hold.c.blocks, hold.c.reason, hold.c.placed_at)
        .where(hold.c.scope_kind == HoldScope.DONOR.value, hold.c.lifted_at.is_(None))
        .where(hold.c.scope_id.in_(sorted(every_code(session, [code]))))
        .order_by(hold.c.placed_at)
    )
    return [HoldPublic.model_validate(dict(row)) for row in rows.mappings()]


def shown_look_alikes(session: Session, actor: Actor, found: Sequence[LookAlike]) -> tuple[list[LookAlikePublic], int]:
    """Return the look-alikes the actor may know of, and how many more there are."""
    known = visible_among(session, actor, [match.donor_code for match in found])
    shown = [LookAlikePublic(donor=m.donor_code, reasons=list(m.reasons)) for m in found if m.donor_code in known]
    return shown, len(found) - len(shown)


def visible_among(session: Session, actor: Actor, codes: Collection[str]) -> set[str]:
    """Return those of these donors that the actor may know of."""
    if not codes:
        return set()
    return set(session.execute(select(donor.c.code).where(donor.c.code.in_(sorted(codes)), visible(actor))).scalars())


_SEARCH = text(
    """
    WITH wanted AS (
        SELECT * FROM unnest(CAST(:tokens AS bytea[]), CAST(:criteria AS int[]), CAST(:exact AS boolean[]))
            AS w(token, criterion, exact)
    ), hit AS (
        SELECT i.donor_code, w.criterion, bool_or(w.exact) AS exact
        FROM wanted w JOIN donor_index i ON i.token = w.token
        GROUP BY i.donor_code, w.criterion
    )
    SELECT d.code, d.clinic_site_code, d.status, bool_and(hit.exact) AS exact
    FROM hit JOIN donor d ON d.code = hit.donor_code
    WHERE :everywhere OR d.clinic_site_code = ANY(:sites)
    GROUP BY d.code
    HAVING count(*) = :asked
    ORDER BY bool_and(hit.exact) DESC, d.code
    LIMIT :most
    """
)


def search_donors(session: Session, actor: Actor, request: SearchDonors, secret: bytes) -> MatchList:
    """Find donors by what is known of a person, through the blind index; answers codes. A word may be the beginning of a name's.

    To be told that a code belongs to a name is to learn an identity, so it takes `identity:read`, and only donors of clinics
    where the actor holds it are found.
    """
    actor.require(Permission.IDENTITY_READ, at=ANYWHERE)
    wanted = [row for number, options in enumerate(_criteria(request)) for row in _numbered(secret, number, options)]
    asked = 1 + max(number for _, number, _ in wanted)
    rows = session.execute(
        _SEARCH,
        {
            "tokens": [t for t, _, _ in wanted],
            "criteria": [number for _, number, _ in wanted],
            "exact": [exact for _, _, exact in wanted],
            "asked": asked,
            "most": MATCHES_SHOWN + 1,
        }
        | actor.scope(Permission.IDENTITY_READ).bound(),
    ).all()
    items = [Match(donor=r.code, clinic_site=r.clinic_site_code, status=r.status, exact=r.exact) for r in rows]
    return MatchList(items=items[:MATCHES_SHOWN], more=len(items) > MATCHES_SHOWN)


def donors_with(session: Session, actor: Actor, wanted: Mapping[str, ExternalId], secret: bytes) -> dict[str, list[str]]:
    """Return who has each of these identifiers of other issuers, by the key it is asked under; absent: nobody.

    Signs within an identifier do not count (1-1 meets 11). As in `search_donors` it takes `identity:read`, and only donors of
    clinics where the actor holds it are found.
    """
    actor.require(Permission.IDENTITY_READ, at=ANYWHERE)
    tokens: dict[bytes, list[str]] = {}
    for key, one in wanted.items():
        tokens.setdefault(token(secret, TokenKind.EXTERNAL, external_value(one.issuer, one.value)), []).append(key)
    index = blind_index.index
    rows = session.execute(
        select(index.c.token, donor.c.code)
        .join(donor, donor.c.code == index.c.donor_code)
        .where(index.c.token.in_(list(tokens)), actor.scope(Permission.IDENTITY_READ).of(donor.c.clinic_site_code))
        .order_by(donor.c.code)
    )
    found: dict[str, list[str]] = {}
    for row in rows:
        for key in tokens[bytes(row.token)]:
            found.setdefault(key, []).append(row.code)
    return found


def _criteria(request: SearchDonors) -> list[list[tuple[TokenKind, str, bool]]]:
    """Return, for each thing that must agree, the values that satisfy it: (kind, value, exact)."""
    criteria: list[list[tuple[TokenKind, str, bool]]] = []
    if request.name is not None:
        for word in words(request.name):
            same = [(TokenKind.WORD, word, True), (TokenKind.WORD_SOUND, sound(word), False)]
            # What is longer than the longest beginning that is indexed would find names that go on otherwise.
            begins = [(TokenKind.WORD_START, word, False)] if len(word) <= blind_index.LONGEST_START else []
            criteria.append([*same, *begins])
    if request.date_of_birth is not None:
        criteria.append([(TokenKind.BIRTH, request.date_of_birth, True)])
    if request.external_id is not None:
        value = external_value(request.external_id.issuer, request.external_id.value)
        criteria.append([(TokenKind.EXTERNAL, value, True)])
    return criteria


def _numbered(secret: bytes, number: int, options: list[tuple[TokenKind, str, bool]]) -> list[tuple[bytes, int, bool]]:
    return [(token(secret, kind, value), number, exact) for kind, value, exact in options]
