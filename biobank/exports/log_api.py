"""The log as C2SP tlog-tiles over HTTP, and proofs.

Who may read what, and why:

- **checkpoints, proofs of consistency and of inclusion: everybody.** They are hashes and one number. A witness, a patient's
  lawyer and another auditor must be able to hold the bank to what it has shown without asking the bank for an account first; an
  inclusion proof is asked for by a leaf hash, 256 bits that only a holder of the event or of its acknowledgement has.
- **tiles and entries: whoever may read the whole log** (`log:read` at every site). Entries hold no personal data, but codes of
  donors, specimens and staff, and when what was done; and with all leaf hashes at hand one could confirm guesses about them.
"""

from typing import Annotated

from fastapi import APIRouter, Header, Path, Query, Response

from biobank.acts.web import BankDep, Reading
from biobank.exports import log_queries
from biobank.exports.log_schemas import ConsistencyProof, InclusionProof
from biobank.transparency.checkpoint import MAX_TREE_SIZE
from biobank.transparency.cose import MEDIA_TYPE

router = APIRouter(prefix="/api/v1/log", tags=["custody log"])

NOTE = "text/plain; charset=utf-8"
FOREVER = "private, max-age=31536000, immutable"
"""A tile of one name never changes. Private: a shared cache would hand it to people who may not read the log."""

Size = Annotated[int | None, Query(ge=0, le=MAX_TREE_SIZE)]


@router.get("/checkpoint", responses={200: {"content": {"text/plain": {}}}}, response_class=Response)
async def read_checkpoint(
    bank: BankDep,
    size: Size = None,
    cosigned: Annotated[bool, Query(description="The recent one with the most cosignatures, not the newest.")] = False,
) -> Response:
    """The newest signed checkpoint (C2SP tlog-checkpoint) with the cosignatures it has so far; or the one of a size."""
    note = await bank.database.read(lambda s: log_queries.read_checkpoint(s, size=size, cosigned=cosigned))
    return Response(note, media_type=NOTE, headers={"Cache-Control": "no-cache"})


@router.get(
    "/proofs/{leaf_hash}",
    response_model=InclusionProof,
    responses={
        200: {
            "content": {"text/plain": {}, MEDIA_TYPE: {}},
            "description": "The proof; as `text/plain` the inclusion receipt alone, as `application/cose` that in COSE.",
        }
    },
)
async def read_proof(
    leaf_hash: Annotated[str, Path(pattern=r"^[0-9a-f]{64}$")],
    bank: BankDep,
    size: Size = None,
    key: Annotated[str | None, Query(pattern=r"^[0-9a-f]{8}$", description="Of COSE: the id of the log's key.")] = None,
    accept: Annotated[str | None, Header()] = None,
) -> InclusionProof | Response:
    """Where an event stands in the log, with the path that shows it and the receipt to keep (C2SP tlog-proof, or COSE)."""
    leaf, upper = bytes.fromhex(leaf_hash), bank.upper_tiles
    if accept is not None and accept.startswith(MEDIA_TYPE):
        origin = bank.settings.log_origin
        receipt = await bank.database.read(lambda s: log_queries.cose_receipt(s, leaf, size, origin, key, upper))
        return Response(receipt, media_type=f'{MEDIA_TYPE}; cose-type="cose-sign1"')
    proof = await bank.database.read(lambda s: log_queries.prove_inclusion(s, leaf, size, upper))
    if accept is not None and accept.startswith("text/plain") and proof.receipt is not None:
        return Response(proof.receipt, media_type=NOTE)
    return proof


@router.get("/consistency")
async def read_consistency(
    bank: BankDep,
    old: Annotated[int, Query(alias="from", ge=1, le=MAX_TREE_SIZE)],
    new: Annotated[int | None, Query(alias="to", ge=1, le=MAX_TREE_SIZE)] = None,
) -> ConsistencyProof:
    """That the log of `to` entries (default: all published) begins with the whole log of `from` entries; any two sizes."""
    return await bank.database.read(lambda s: log_queries.prove_consistency(s, old, new, bank.upper_tiles))


@router.get("/tile/{name:path}", responses={200: {"content": {"application/octet-stream": {}}}}, response_class=Response)
async def read_tile(name: Annotated[str, Path(max_length=64)], reading: Reading) -> Response:
    """A tile of hashes `<L>/<N>[.p/W]` or a bundle of entries `entries/<N>[.p/W]` (C2SP tlog-tiles)."""
    data = await reading(log_queries.read_tile, f"tile/{name}")
    return Response(data, media_type="application/octet-stream", headers={"Cache-Control": FOREVER})
