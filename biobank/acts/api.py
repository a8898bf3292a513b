"""Routes around every act: give a signature, see what waits for a second person, take a proposal back."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query

from biobank.acts.proving import act_of, actor_of_session, sign_act
from biobank.acts.signing import SignatureToken, SignRequest
from biobank.acts.two_person import PendingActList, PendingActPublic, cancel_pending, list_pending
from biobank.acts.web import Performing, Reading
from biobank.foundation.errors import Refusal
from biobank.foundation.paging import Cursor, Paging

router = APIRouter(prefix="/api/v1", tags=["signatures"])


@router.post("/signatures", status_code=201)
async def sign(request: SignRequest, performing: Performing) -> SignatureToken:
    """Give a signature for one request: enter your password again and say what the signature means.

    The answer is a credential, so it is not kept: repeating this request makes another signature and the unused one lapses.
    """
    actor, username = await actor_of_session(performing.bank, performing.claims.session_id)
    act = act_of(performing.unbound_act, actor)
    try:
        session, signed = performing.claims.session_id, bytes.fromhex(request.act_hash)
        proof = (username, request.password, request.meaning, signed, request.second_factor)
        return await sign_act(performing.bank, act, session, *proof)
    except Refusal as refusal:
        await performing.refuse(act, refusal)
        raise


@router.get("/pending-acts")
async def read_pending_acts(
    reading: Reading, after: Cursor | None = None, limit: Annotated[int, Query(ge=1, le=500)] = 100
) -> PendingActList:
    """The acts that wait for a second person: those you proposed and those you may complete, oldest first."""
    return await reading(list_pending, Paging(after, limit))


@router.post("/pending-acts/{pending_act}/cancel")
async def cancel_pending_act(pending_act: UUID, performing: Performing) -> PendingActPublic:
    """Take back a proposal. The one who proposed it may, and whoever could have completed it."""
    return await performing(cancel_pending, pending_act)
