"""What the log's proofs look like on the wire. Hashes in a proof are base64 as in C2SP; an event is named by hex."""

from pydantic import BaseModel, Field


class InclusionProof(BaseModel):
    """An event's place in the log and the path that shows it."""

    leaf_hash: str = Field(description="SHA-256(0x00 || entry), 64 hex digits.")
    index: int = Field(description="Position in the log, from 0.")
    size: int = Field(description="Number of entries of the tree the path leads to.")
    root: str = Field(description="Root of that tree, base64.")
    path: list[str] = Field(description="Hashes from the leaf upwards, base64.")
    receipt: str | None = Field(
        description="The same as one text for keeping (c2sp.org/tlog-proof@v1), with the signed checkpoint and its cosignatures; "
        "null when no checkpoint of exactly this size was published."
    )


class ConsistencyProof(BaseModel):
    """That the tree of `to` entries begins with the whole tree of `from` entries."""

    old_size: int = Field(serialization_alias="from")
    new_size: int = Field(serialization_alias="to")
    proof: list[str] = Field(description="Hashes in the order of RFC 6962 section 2.1.2, base64.")
