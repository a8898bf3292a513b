"""QR symbols as a matrix of modules, from the `qrcode` library with version and mask fixed.

Fixing both makes the symbol a function of the payload alone (the audited symbol is the printed symbol) and is nine
times faster than letting the library search; see docs/adr/0005-qr-matrix-and-writers.md.
"""

from collections.abc import Iterator
from enum import Enum
from typing import ClassVar, Final

from qrcode import constants
from qrcode.exceptions import DataOverflowError
from qrcode.main import QRCode
from qrcode.util import QRData

from biobank.foundation.errors import Conflict

Matrix = tuple[tuple[bool, ...], ...]
"""Square rows of modules, True is dark, without quiet zone."""

LARGEST_VERSION: Final = 10
"""Beyond this no label of ours has room; a payload that needs more is a mistake."""

_MASK: Final = 3
_ALPHANUMERIC: Final = 2  # qrcode.util.MODE_ALPHA_NUM, whose stub type (int) its own stub of QRData does not take


class ErrorCorrection(Enum):
    """How much of the symbol may be lost: about 7, 15, 25 and 30 % of its code words."""

    L = constants.ERROR_CORRECT_L
    M = constants.ERROR_CORRECT_M
    Q = constants.ERROR_CORRECT_Q
    H = constants.ERROR_CORRECT_H


class PayloadTooLong(Conflict):
    """The payload does not fit into a symbol of the wanted version."""

    code: ClassVar[str] = "label_payload_too_long"
    title: ClassVar[str] = "Label payload too long"


def modules_of(version: int) -> int:
    """Modules per side of a symbol of this version."""
    return 17 + 4 * version


def version_of(matrix: Matrix) -> int:
    """The version of a symbol, from its size."""
    return (len(matrix) - 17) // 4


def qr_matrix(payload: str, version: int, correction: ErrorCorrection) -> Matrix:
    """Return the modules of a symbol.

    :param payload: upper-case alphanumeric text (0-9 A-Z space $%*+-./:), which every payload of ours is
    :raises PayloadTooLong: the payload needs a larger version
    :raises ValueError: the payload has other characters
    """
    # One object per symbol: a reused one keeps modules of the one before.
    code = QRCode(version=version, error_correction=correction.value, mask_pattern=_MASK, border=0)
    code.add_data(QRData(payload, mode=_ALPHANUMERIC))
    try:
        code.make(fit=False)
    except DataOverflowError as overflow:
        raise PayloadTooLong(
            f"The label payload has {len(payload)} characters, more than a version {version} symbol with error"
            f" correction {correction.name} holds; use a shorter label host or a larger label."
        ) from overflow
    return tuple(tuple(map(bool, row)) for row in code.modules)


def smallest_qr_matrix(payload: str, first_version: int, correction: ErrorCorrection) -> Matrix:
    """Return the modules of the smallest symbol, from `first_version` on, that holds the payload.

    :raises PayloadTooLong: not even LARGEST_VERSION does
    """
    for version in range(first_version, LARGEST_VERSION):
        try:
            return qr_matrix(payload, version, correction)
        except PayloadTooLong:
            continue
    return qr_matrix(payload, LARGEST_VERSION, correction)


def text_qr_matrix(text: str, correction: ErrorCorrection) -> Matrix:
    """Return the modules of the smallest symbol that holds any text, for a screen: no label of ours says more than its code."""
    code = QRCode(error_correction=correction.value, border=0)
    code.add_data(text)
    code.make(fit=True)
    return tuple(tuple(map(bool, row)) for row in code.modules)


def dark_runs(matrix: Matrix) -> Iterator[tuple[int, int, int]]:
    """Yield (row, first column, length) for every horizontal run of dark modules."""
    for y, row in enumerate(matrix):
        start: int | None = None
        for x, dark in enumerate((*row, False)):
            if dark and start is None:
                start = x
            elif not dark and start is not None:
                yield y, start, x - start
                start = None
