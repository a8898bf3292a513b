"""Resolving any code, and decoding a camera frame.

A frame is decoded in memory by zxing-cpp and forgotten; nothing of it is stored or logged.
"""

import io

import zxingcpp
from PIL import Image, UnidentifiedImageError
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.foundation.codes import Prefix, parse_code
from biobank.foundation.config import Settings
from biobank.foundation.errors import MalformedRequest
from biobank.scanning.schemas import ScanAnswer
from biobank.specimens.resolving import resolve_code

FRAME_BYTES = 256 * 1024
FRAME_PIXELS = 4_000_000

KINDS: dict[Prefix, tuple[str, str | None]] = {
    Prefix("DN"): ("donor", "/donors/"),
    Prefix("BX"): ("container", "/storage/"),
    Prefix("PS"): ("position", None),
    Prefix("LT"): ("lot", None),
    Prefix("KT"): ("kit", None),
    Prefix("WB"): ("wristband", None),
    Prefix("WD"): ("withdrawal", "/withdrawals/"),
}


class NotAFrame(MalformedRequest):
    """The body is not a JPEG of a sensible size."""

    code = "not_a_camera_frame"
    title = "Not a camera frame"


def resolve_scan(session: Session, actor: Actor, text: str, settings: Settings) -> ScanAnswer:
    """Say what a scanned text names. Raises what `specimens.resolving.resolve_code` raises."""
    found = resolve_code(session, actor, text, settings)
    if found.specimen is not None:
        projection = found.specimen.projection
        return ScanAnswer(
            kind="specimen",
            code=found.code,
            page=f"/specimens/{found.code}",
            issuer=found.issuer,
            state=projection.state,
            seq=found.specimen.seq,
            container=projection.container_code,
            position=projection.position_code,
            where_now=found.specimen.where_now,
        )
    kind, page = KINDS.get(parse_code(found.code).prefix, ("other", None))
    return ScanAnswer(kind=kind, code=found.code, page=None if page is None else page + found.code, issuer=found.issuer)


def decode_frame(data: bytes) -> str | None:
    """Return the text of the first QR or Data Matrix symbol in a JPEG, or None. Raises NotAFrame. Takes a few ms of CPU."""
    if len(data) > FRAME_BYTES:
        raise NotAFrame(f"A frame has at most {FRAME_BYTES // 1024} KiB. Send a smaller crop.")
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
            if image.width * image.height > FRAME_PIXELS:
                raise NotAFrame("The frame has too many pixels. Send a crop of 480 pixels a side.")
            grey = image.convert("L")
    except (UnidentifiedImageError, OSError, ValueError) as error:
        raise NotAFrame("The body is not a JPEG. Send one camera frame as image/jpeg.") from error
    symbols = zxingcpp.read_barcodes(grey)
    return next((s.text for s in symbols if s.valid), None)
