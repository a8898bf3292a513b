"""Several symbols in one camera frame: which one is meant. Pure but for the decoder, which takes a few ms of CPU.

A bench is full of symbols: the neighbour's label, the maker's article number, a poster. The label that is meant is one of this
bank's (or one that the bank knows by another issuer's identifier), nearest to the middle of the picture. When two are about
equally near nobody can say which, and the person is told to come closer.
"""

import io
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from math import hypot

import zxingcpp
from PIL import Image, ImageFilter, ImageStat, UnidentifiedImageError

from biobank.foundation.codes import is_ours
from biobank.foundation.config import Settings
from biobank.foundation.errors import MalformedRequest
from biobank.scanning.schemas import DecodeAnswer

FRAME_BYTES = 256 * 1024
FRAME_PIXELS = 4_000_000

_OURS = frozenset({zxingcpp.BarcodeFormat.QRCode, zxingcpp.BarcodeFormat.DataMatrix})
"""The symbologies of our labels. Others count only when the bank knows what they say."""
_EQUALLY_NEAR = 0.1
"""Two labels whose distances from the middle differ by less than this share of the picture's side are equally near."""
_DARK = 45
"""Mean brightness (0 to 255) below which more light is asked for."""
_SOFT = 6
"""Mean strength of edges (0 to 255) below which a picture is blurred, or shows nothing."""


class NotAFrame(MalformedRequest):
    """The body is not a JPEG of a sensible size."""

    code = "not_a_camera_frame"
    title = "Not a camera frame"


@dataclass(frozen=True)
class Symbol:
    """A decoded symbol. `distance`: of its middle from the picture's, in shares of the shorter side; `box`: left, top, width and
    height in thousandths of the picture; `own_kind`: of a symbology that our labels have.
    """

    text: str
    own_kind: bool
    distance: float
    box: tuple[int, int, int, int]


@dataclass(frozen=True)
class Frame:
    """What is in a frame; `light` and `sharpness` from 0 to 255."""

    symbols: tuple[Symbol, ...]
    light: float
    sharpness: float


def read_frame(data: bytes) -> Frame:
    """Decode every symbol of a JPEG. Raises NotAFrame."""
    if len(data) > FRAME_BYTES:
        raise NotAFrame(f"A frame has at most {FRAME_BYTES // 1024} KiB. Send a smaller crop.")
    try:
        with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
            if image.width * image.height > FRAME_PIXELS:
                raise NotAFrame("The frame has too many pixels. Send a crop of 480 pixels a side.")
            grey = image.convert("L")
    except (UnidentifiedImageError, Image.DecompressionBombError, Image.DecompressionBombWarning, OSError, ValueError) as error:
        raise NotAFrame("The body is not a JPEG. Send one camera frame as image/jpeg.") from error
    symbols = [_symbol(found, grey.width, grey.height) for found in zxingcpp.read_barcodes(grey) if found.valid and found.text]
    light = ImageStat.Stat(grey).mean[0]
    return Frame(tuple(symbols), light, ImageStat.Stat(grey.filter(ImageFilter.FIND_EDGES)).mean[0])


def _symbol(found: zxingcpp.Barcode, width: int, height: int) -> Symbol:
    at = found.position
    corners = [(one.x, one.y) for one in (at.top_left, at.top_right, at.bottom_right, at.bottom_left)]
    across, down = [x for x, _ in corners], [y for _, y in corners]
    middle = (sum(across) / 4 - width / 2, sum(down) / 4 - height / 2)
    left, top = min(across), min(down)
    box = (left * 1000 // width, top * 1000 // height, (max(across) - left) * 1000 // width, (max(down) - top) * 1000 // height)
    return Symbol(found.text, found.format in _OURS, hypot(*middle) / min(width, height), box)


def choose(frame: Frame, settings: Settings, known: Collection[str] = ()) -> DecodeAnswer:
    """Return the label that is meant, or what to do so that it can be read. `known`: texts that name a tube of this bank."""
    hosts = (settings.host_name, settings.former_hosts)
    labels = [one for one in frame.symbols if one.text in known or (one.own_kind and is_ours(one.text, *hosts))]
    found = _nearest(labels or [one for one in frame.symbols if one.own_kind])
    if not found:
        return DecodeAnswer(text=None, advice=_advice(frame))
    if len(found) > 1 and found[1].distance - found[0].distance < _EQUALLY_NEAR:
        return DecodeAnswer(text=None, advice="Two labels: come closer, until only one is in the middle.")
    return DecodeAnswer(text=found[0].text, box_permille=found[0].box)


def _nearest(symbols: Sequence[Symbol]) -> list[Symbol]:
    """Return the symbols from the middle outwards, each text once."""
    by_text: dict[str, Symbol] = {}
    for one in sorted(symbols, key=lambda symbol: symbol.distance):
        by_text.setdefault(one.text, one)
    return list(by_text.values())


def _advice(frame: Frame) -> str | None:
    if frame.symbols:
        return "This is no label of this bank. Hold the tube's own label in the middle."
    if frame.light < _DARK:
        return "Too dark to read: switch on the light."
    if frame.sharpness < _SOFT:
        return "Nothing sharp to read: hold still, and change the distance."
    return None
