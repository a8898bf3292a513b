"""The log as a bundle that proves itself: the whole of it, one specimen, one donor."""

from typing import Annotated

from fastapi import APIRouter, Query, Response
from fastapi.responses import StreamingResponse
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.answers_and_attempts import keep_attempt
from biobank.acts.bank import Bank
from biobank.acts.web import BankDep, ClaimsDep, require_own_password
from biobank.auth.identity import load_actor
from biobank.auth.tokens import Claims
from biobank.exports.api import Size, sent
from biobank.exports.bundle import MOST_OLD_SIZES, Wish
from biobank.exports.bundling import start_bundle, stream_bundle
from biobank.exports.selection import Code
from biobank.exports.service import Written
from biobank.foundation.errors import NotPermitted

router = APIRouter(prefix="/api/v1", tags=["custody log"])


@router.get(
    "/custody-log/bundle",
    response_class=StreamingResponse,
    responses={200: {"content": {"application/x-tar": {}}, "description": "A bundle, as docs/custody-log.md specifies it."}},
)
async def read_bundle(
    claims: ClaimsDep,
    bank: BankDep,
    specimen: Annotated[Code | None, Query(description="Only this specimen's events, with inclusion proofs.")] = None,
    donor: Annotated[Code | None, Query(description="Only the events about this donor, with inclusion proofs.")] = None,
    size: Annotated[Size | None, Query(description="Tree size of a published checkpoint; default the newest.")] = None,
    known_size: Annotated[
        list[Size] | None,
        Query(max_length=MOST_OLD_SIZES, description="Sizes of older checkpoints you hold: adds consistency proofs from them."),
    ] = None,
) -> Response:
    """A file that proves itself offline (`biobank verify`); start and end of taking it are events of the log."""
    wish = Wish(
        specimen=None if specimen is None else specimen.upper(),
        donor=None if donor is None else donor.upper(),
        size=size,
        known_sizes=tuple(known_size or ()),
    )
    return await bundled(bank, claims, wish)


async def bundled(bank: Bank, claims: Claims, wish: Wish) -> Response:
    """Stream the bundle that is wished for, and record how taking it ended, also when the reader goes away.

    Raises NothingSealed, NotFound and NotPermitted before the first byte; an attempt that is not permitted is kept.
    """

    def who(session: Session) -> Act:
        actor = load_actor(session, claims.session_id)
        require_own_password(actor)
        return Act(actor=actor, bank=bank, keystore=bank.keystore, method="GET", path="/api/v1/custody-log/bundle")

    act = await bank.database.write(who)
    try:
        bundle = await bank.database.write(lambda session: start_bundle(session, act, wish))
    except NotPermitted as refusal:
        attempt = refusal  # who tried to take the record away is worth knowing; a mistyped code is not
        await bank.database.write(lambda session: keep_attempt(session, act, attempt, evidence=False))
        raise
    written = Written()
    name = f"custody-log-{bundle.cut.size}-{bundle.id}.tar"
    return await sent(bank, act, bundle, bundle.cut, written, stream_bundle(bank, bundle, written), name, "application/x-tar")
