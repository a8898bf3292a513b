"""Frames with several symbols: which label is meant, and what is said when nobody can know."""

import io

import pytest
import qrcode
import zxingcpp
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFilter

from biobank.foundation.codes import make_code, resolve_payload
from biobank.foundation.errors import Refusal
from biobank.scanning.frames import NotAFrame, read_frame
from tests.conftest import Api
from tests.mutating import mutated
from tests.shipping.stories import tubes

SIDE = 480
MINE, OTHER = (f"HTTPS://BANK.EXAMPLE/S/{make_code('AD', 2026, n).text}" for n in (1, 2))
EAN = "4006381333931"


def square(text: str, side: int) -> Image.Image:
    code = qrcode.QRCode(error_correction=qrcode.constants.ERROR_CORRECT_M, mask_pattern=3, border=4)
    code.add_data(text)
    code.make()
    bits = code.get_matrix()
    drawn = Image.new("L", (len(bits), len(bits)), 255)
    drawn.putdata([0 if dark else 255 for row in bits for dark in row])
    return drawn.resize((side, side), Image.Resampling.NEAREST)


def bars(text: str, width: int) -> Image.Image:
    drawn = Image.fromarray(zxingcpp.create_barcode(text, zxingcpp.BarcodeFormat.EAN13).to_image(scale=3)).convert("L")
    return drawn.resize((width, drawn.height * width // drawn.width), Image.Resampling.NEAREST)


def frame(*placed: tuple[Image.Image, int, int], shade: int = 200) -> Image.Image:
    """A picture with symbols, each with the middle of where it stands."""
    picture = Image.new("L", (SIDE, SIDE), shade)
    for symbol, x, y in placed:
        picture.paste(symbol, (x - symbol.width // 2, y - symbol.height // 2))
    return picture


def jpeg(picture: Image.Image) -> bytes:
    held = io.BytesIO()
    picture.save(held, "JPEG", quality=80)
    return held.getvalue()


def decoded(api: Api, picture: Image.Image) -> tuple[str | None, str | None, list[int] | None]:
    answer = api.lab_tech.post("/scans/decode", content=jpeg(picture), headers={"Content-Type": "image/jpeg"}).json()
    return answer["text"], answer["advice"], answer["box_permille"]


def test_the_label_in_the_middle_is_meant_and_marked_whatever_stands_beside_it(api: Api) -> None:
    middle = (square(MINE, 200), 250, 260)

    neighbour, article = (square(OTHER, 110), 60, 60), (bars(EAN, 200), 110, 60)
    poster = (square("https://maker.example/x", 120), 400, 80)

    for beside in (neighbour, article, poster):
        text, advice, box = decoded(api, frame(beside, middle))
        assert (text, advice) == (MINE, None)
        assert box is not None and all(abs(part - wanted) < 60 for part, wanted in zip(box, (350, 370, 340, 340), strict=True))


def test_of_two_labels_equally_near_none_is_chosen(api: Api) -> None:
    text, advice, _ = decoded(api, frame((square(MINE, 180), 130, 240), (square(OTHER, 180), 350, 240)))

    assert text is None
    assert advice is not None and "Two labels: come closer" in advice


def test_the_same_label_twice_is_one_label(api: Api) -> None:
    assert decoded(api, frame((square(MINE, 180), 130, 240), (square(MINE, 180), 350, 240)))[0] == MINE


def test_another_symbology_counts_only_when_the_bank_knows_what_it_says(api: Api) -> None:
    alone = frame((bars(EAN, 300), 240, 240))
    text, advice, _ = decoded(api, alone)
    (tube,) = tubes(api, 1)
    seq = api.lab_tech.get(f"/specimens/{tube}").json()["custody"]["seq"]
    body = {"issuer": "maker", "value": EAN, "expected_seq": seq}
    assert api.lab_tech.post(f"/specimens/{tube}/aliases", json=body).status_code == 201

    assert text is None and advice is not None and "no label of this bank" in advice
    assert decoded(api, alone)[0] == EAN


def test_a_label_of_somebody_else_alone_is_read_so_that_it_can_be_named(api: Api) -> None:
    assert decoded(api, frame((square("https://elsewhere.example/9", 220), 240, 240)))[0] == "https://elsewhere.example/9"


@pytest.mark.parametrize(
    ("picture", "words"),
    [
        (frame(shade=10), "light"),
        (frame((square(MINE, 200), 240, 240)).filter(ImageFilter.GaussianBlur(30)), "distance"),
    ],
)
def test_a_frame_that_shows_nothing_says_what_to_change(api: Api, picture: Image.Image, words: str) -> None:
    text, advice, _ = decoded(api, picture)

    assert text is None and advice is not None and words in advice


def test_what_is_no_frame_is_refused() -> None:
    for data in (b"", b"\xff\xd8 no picture", b"\0" * 300_000):
        with pytest.raises(NotAFrame):
            read_frame(data)


PICTURE = jpeg(frame((square(MINE, 160), 240, 240)).resize((200, 200)))
HUGE = PICTURE.replace(b"\x00\x11\x08\x00\xc8\x00\xc8", b"\x00\x11\x08\xff\xdc\xff\xdc").replace(
    b"\x00\x0b\x08\x00\xc8\x00\xc8", b"\x00\x0b\x08\xff\xdc\xff\xdc"
)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_a_frame_that_is_almost_a_picture_is_read_or_refused(data: st.DataObject) -> None:
    """Bytes of a real frame changed: also a picture that says to be 65,500 pixels a side."""
    assert HUGE != PICTURE
    changed = data.draw(st.just(HUGE)) if data.draw(st.integers(0, 9)) == 0 else mutated(data, PICTURE)
    try:
        frame = read_frame(changed)
        assert 0 <= frame.light <= 255
    except NotAFrame as refusal:
        assert refusal.detail


@settings(max_examples=100)
@given(st.text(max_size=80), st.sampled_from(["]Q1", "\ufeff", "HTTPS://BANK.EXAMPLE/S/", "%41", "]d2HTTPS://", '="', "\u202e"]))
def test_whatever_a_symbol_says_is_ours_or_refused(text: str, before: str) -> None:
    for said in (text, before + text):
        try:
            assert resolve_payload(said, "BANK.EXAMPLE").text
        except Refusal as refusal:
            assert refusal.detail
