"""Symbols from the `qrcode` library with version and mask fixed."""

from concurrent.futures import ThreadPoolExecutor

import pytest
import zxingcpp
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from biobank.foundation.codes import make_code, payload_url
from biobank.labels.matrix import (
    LARGEST_VERSION,
    ErrorCorrection,
    Matrix,
    PayloadTooLong,
    dark_runs,
    modules_of,
    qr_matrix,
    smallest_qr_matrix,
    version_of,
)

unhurried = settings(deadline=None)  # a busy machine is not a failure

URL = payload_url("bank.example", make_code("HF", 2026, 1))
ALPHANUMERIC = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"


def read(matrix: Matrix) -> "zxingcpp.Barcode":
    side = len(matrix)
    picture = Image.new("L", (side + 8, side + 8), 255)
    for y, row in enumerate(matrix):
        for x, dark in enumerate(row):
            picture.putpixel((x + 4, y + 4), 0 if dark else 255)
    found = zxingcpp.read_barcodes(picture.resize((8 * picture.width, 8 * picture.height), Image.Resampling.NEAREST))
    assert len(found) == 1
    return found[0]


@unhurried
@given(st.text(ALPHANUMERIC, min_size=1, max_size=38), st.sampled_from(ErrorCorrection))
def test_any_alphanumeric_payload_reads_back_from_the_smallest_symbol(payload: str, correction: ErrorCorrection) -> None:
    matrix = smallest_qr_matrix(payload, 1, correction)
    found = read(matrix)
    assert found.text == payload
    assert found.ec_level == correction.name
    if version_of(matrix) > 1:
        with pytest.raises(PayloadTooLong):
            qr_matrix(payload, version_of(matrix) - 1, correction)


def test_versions_of_the_payloads_are_those_that_were_planned() -> None:
    assert len(qr_matrix("HF26-MC061ET", 1, ErrorCorrection.Q)) == 21
    assert version_of(smallest_qr_matrix(URL, 1, ErrorCorrection.M)) == 2
    assert version_of(smallest_qr_matrix(URL, 1, ErrorCorrection.Q)) == 3


def test_version_2_m_holds_38_characters_and_not_39() -> None:
    assert len(qr_matrix("A" * 38, 2, ErrorCorrection.M)) == modules_of(2) == 25
    with pytest.raises(PayloadTooLong, match="39 characters"):
        qr_matrix("A" * 39, 2, ErrorCorrection.M)


def test_no_symbol_beyond_the_largest_version() -> None:
    with pytest.raises(PayloadTooLong):
        smallest_qr_matrix("A" * 500, 1, ErrorCorrection.H)
    assert version_of(smallest_qr_matrix("A" * 174, 1, ErrorCorrection.H)) == LARGEST_VERSION


def test_characters_that_would_need_a_larger_mode_are_refused() -> None:
    with pytest.raises(ValueError, match="mode"):
        qr_matrix("https://bank.example", 3, ErrorCorrection.M)


def test_the_mask_is_always_3() -> None:
    # Mask bits of the format information: row 8, columns 2-4, after the standard's own mask 101.
    for number in range(20):
        matrix = qr_matrix(make_code("HF", 2026, number).text, 1, ErrorCorrection.Q)
        bits = [int(matrix[8][column]) for column in (2, 3, 4)]
        assert [bit ^ flip for bit, flip in zip(bits, (1, 0, 1), strict=True)] == [0, 1, 1]


def test_symbols_made_at_the_same_time_do_not_mix() -> None:
    payloads = [make_code("AD", 2026, number).text for number in range(200)]
    alone = [qr_matrix(payload, 1, ErrorCorrection.Q) for payload in payloads]
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(lambda payload: qr_matrix(payload, 1, ErrorCorrection.Q), payloads)) == alone


@unhurried
@given(st.lists(st.lists(st.booleans(), min_size=6, max_size=6), min_size=1, max_size=6))
def test_dark_runs_rebuild_the_matrix_and_never_touch(rows: list[list[bool]]) -> None:
    matrix = tuple(map(tuple, rows))
    rebuilt = [[False] * 6 for _ in rows]
    last: tuple[int, int] | None = None
    for y, x, length in dark_runs(matrix):
        assert length > 0
        assert last is None or (y, x) > (last[0], last[1])
        last = (y, x + length)
        rebuilt[y][x : x + length] = [True] * length
    assert rebuilt == rows
