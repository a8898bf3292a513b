"""The camera of a browser with a detector of its own: the same label is meant as without one, and the bank judges the rest.

Chromium without a phone's libraries has no `BarcodeDetector`. The page gets one that reads what stands before the camera with a
real decoder, and answers as the browser's does: QR symbols, their texts and boxes.
"""

import base64
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import qrcode
import zxingcpp
from PIL import Image, ImageFilter
from playwright.sync_api import Page, Playwright, expect

from biobank.foundation.codes import make_code
from tests.browser.chromium import launch
from tests.browser.conftest import open_signed_in
from tests.browser.test_bursts import register
from tests.browser.test_scan_list import open_list
from tests.browser.watching import Watch
from tests.conftest import Api
from tests.shipping.stories import tubes

pytestmark = pytest.mark.browser

DETECTOR = """
window.detected = 0;
window.BarcodeDetector = class {
  constructor({ formats }) { if (formats.join() !== "qr_code") throw new TypeError("formats"); }
  async detect(source) {
    window.detected += 1;
    if (window.detectorFails?.(window.detected)) throw new DOMException("gone", "InvalidStateError");
    const canvas = document.createElement("canvas");
    Object.assign(canvas, { width: source.width, height: source.height });
    canvas.getContext("2d").drawImage(source, 0, 0);
    return window.symbolsOf(canvas.toDataURL("image/png").split(",")[1]);
  }
};
"""
NO_DECODER = """
const real = window.fetch;
const away = () => Promise.reject(new TypeError("Failed to fetch"));
window.fetch = (to, how) => String(to).includes("/scans/decode") ? away() : real(to, how);
"""
SIDE = 720


def symbols_of(png: str) -> list[dict[str, Any]]:
    picture = Image.open(io.BytesIO(base64.b64decode(png))).convert("L")
    found = zxingcpp.read_barcodes(picture)
    said = []
    for one in (one for one in found if one.format == zxingcpp.BarcodeFormat.QRCode):
        corners = [one.position.top_left, one.position.top_right, one.position.bottom_right, one.position.bottom_left]
        across, down = [c.x for c in corners], [c.y for c in corners]
        box = {"x": min(across), "y": min(down), "width": max(across) - min(across), "height": max(down) - min(down)}
        said.append({"rawValue": one.text, "format": "qr_code", "boundingBox": box})
    return said


def square(text: str, side: int) -> Image.Image:
    code = qrcode.QRCode(error_correction=qrcode.constants.ERROR_CORRECT_M, mask_pattern=3, border=4, box_size=10)
    code.add_data(text)
    code.make()
    drawn: Image.Image = code.make_image().get_image().convert("L")
    return drawn.resize((side, side), Image.Resampling.NEAREST)


def bars(text: str, kind: zxingcpp.BarcodeFormat, width: int) -> Image.Image:
    drawn = Image.fromarray(zxingcpp.create_barcode(text, kind).to_image(scale=3)).convert("L")
    return drawn.resize((width, max(60, drawn.height * width // drawn.width)), Image.Resampling.NEAREST)


def scene(*placed: tuple[Image.Image, int, int], shade: int = 190, blur: int = 0) -> Image.Image:
    """The picture of a camera: symbols, each with how far its middle is from the picture's, in pixels."""
    picture = Image.new("L", (1280, SIDE), shade)
    for symbol, right, down in placed:
        picture.paste(symbol, (640 + right - symbol.width // 2, SIDE // 2 + down - symbol.height // 2))
    return picture.filter(ImageFilter.GaussianBlur(blur)) if blur else picture


def filmed(path: Path, picture: Image.Image) -> None:
    frame = b"FRAME\n" + picture.tobytes() + b"\x80" * (1280 * SIDE // 2)
    path.write_bytes(f"YUV4MPEG2 W1280 H{SIDE} F10:1 Ip A1:1 C420jpeg\n".encode() + frame * 5)


@pytest.fixture
def looking(api: Api, playwright: Playwright, chromium: str, watch: Watch, tmp_path: Path) -> Callable[..., Any]:
    """Return what opens the scan page before a scene, its camera on; `asked` grows with each frame that the bank is sent."""

    @contextmanager
    def before(picture: Image.Image, asked: list[str], script: str = DETECTOR) -> Iterator[Page]:
        filmed(tmp_path / "scene.y4m", picture)
        browser = launch(playwright, chromium, f"--use-file-for-fake-video-capture={tmp_path / 'scene.y4m'}")
        try:
            context = watch.over(browser.new_context(base_url=api.url, permissions=["camera"]))
            open_signed_in(api.test_bank, api.url, context, "lab_tech")
            page = context.new_page()
            page.expose_function("symbolsOf", symbols_of)
            page.add_init_script(script)
            page.on("request", lambda request: asked.append(request.url) if request.url.endswith("/scans/decode") else None)
            open_list(page)
            page.get_by_role("button", name="Camera", exact=True).click()
            yield page
        finally:
            browser.close()

    return before


def ours(code: str) -> str:
    return f"HTTPS://BANK.EXAMPLE/S/{code}"


def test_the_label_in_the_middle_is_read_here_and_marked_and_no_frame_is_sent(api: Api, looking: Callable[..., Any]) -> None:
    mine, neighbour = tubes(api, 2)
    asked: list[str] = []
    picture = scene((square(ours(mine), 220), 20, 10), (square(ours(neighbour), 120), -200, -200))
    with looking(picture, asked) as page:
        expect(page.locator(".camera-dialog")).to_contain_text(f"Scanned {mine}")
        expect(page.locator(".camera-mark")).to_be_visible()
        left, width = (
            float(page.locator(".camera-mark").evaluate(f"e => parseFloat(e.style.{name})")) for name in ("left", "width")
        )
        assert 25 < left < 50 and 20 < width < 50
        expect(page.locator(".tube-code")).to_have_text(mine)
        page.wait_for_function("window.detected > 1")
    assert asked == []


def test_of_two_labels_equally_near_none_is_read_here_either(api: Api, looking: Callable[..., Any]) -> None:
    one, other = tubes(api, 2)
    picture = scene((square(ours(one), 200), -130, 0), (square(ours(other), 200), 130, 0))
    with looking(picture, []) as page:
        expect(page.locator(".camera-dialog")).to_contain_text("Two labels: come closer")
        expect(page.locator(".tube")).to_have_count(0)


@pytest.mark.parametrize(
    "beside", ["a maker's article number", "a poster", "another bank's label", "an identifier that is known"]
)
def test_what_is_not_ours_is_judged_by_the_bank(api: Api, looking: Callable[..., Any], beside: str) -> None:
    """An article number is nothing that the detector sees; of other squares the bank knows which names a tube of ours."""
    mine, old = tubes(api, 2)
    register(api, old, "a12345678")
    foreign = f"HTTPS://OTHER.EXAMPLE/S/{make_code('AD', 2026, 77).text}"
    symbols = {
        "a maker's article number": (bars("4006381333931", zxingcpp.BarcodeFormat.EAN13, 200), 0, -190),
        "a poster": (square("https://maker.example/x", 150), 0, -150),
        "another bank's label": (square(foreign, 150), 0, -80),
        "an identifier that is known": (square("a12345678", 150), 0, -50),
    }
    asked: list[str] = []
    label = (square(ours(mine), 180), 0, 170 if beside == "an identifier that is known" else 110)
    with looking(scene(symbols[beside], label), asked) as page:
        wanted = "a12345678" if beside == "an identifier that is known" else mine
        expect(page.locator(".camera-dialog")).to_contain_text(f"Scanned {wanted}")
        expect(page.locator(".tube-code")).to_have_text(old if wanted == "a12345678" else mine)
    assert bool(asked) == (beside != "a maker's article number")


def test_an_identifier_in_bars_alone_is_read_by_the_bank_when_it_knows_it(api: Api, looking: Callable[..., Any]) -> None:
    (tube,) = tubes(api, 1)
    register(api, tube, "FX0042")
    with looking(scene((bars("FX0042", zxingcpp.BarcodeFormat.Code128, 420), 0, 0)), []) as page:
        expect(page.locator(".camera-dialog")).to_contain_text("Scanned FX0042")
        expect(page.locator(".tube-code")).to_have_text(tube)


@pytest.mark.parametrize(
    ("picture", "words"),
    [
        (lambda: scene((square(ours("AD26-KH0KJQL"), 220), 0, 0), blur=24), "Nothing sharp to read"),
        (lambda: scene(shade=18), "Too dark to read"),
        (lambda: scene((bars("4006381333931", zxingcpp.BarcodeFormat.EAN13, 300), 0, 0)), "This is no label of this bank"),
    ],
    ids=["blurred", "dark", "an article number alone"],
)
def test_what_cannot_be_read_says_what_to_change(
    looking: Callable[..., Any], picture: Callable[[], Image.Image], words: str
) -> None:
    with looking(picture(), []) as page:
        expect(page.locator(".camera-dialog")).to_contain_text(words)
        expect(page.locator(".tube")).to_have_count(0)


@pytest.mark.parametrize(
    "script",
    [
        DETECTOR + "BarcodeDetector.prototype.detect = async () => [];",
        DETECTOR + "window.detectorFails = (times) => times > 1;",
        "window.BarcodeDetector = class { constructor() { throw new TypeError('no formats'); } };",
    ],
    ids=["it finds nothing", "it stops working", "it cannot be made"],
)
def test_a_detector_that_does_not_work_leaves_the_frames_to_the_bank(api: Api, looking: Callable[..., Any], script: str) -> None:
    (mine,) = tubes(api, 1)
    asked: list[str] = []
    with looking(scene((square(ours(mine), 220), 0, 0)), asked, script) as page:
        expect(page.locator(".camera-dialog")).to_contain_text(f"Scanned {mine}")
        expect(page.locator(".tube-code")).to_have_text(mine)
    assert asked


def test_without_network_the_detector_reads_on_and_says_when_it_cannot(api: Api, looking: Callable[..., Any]) -> None:
    (mine,) = tubes(api, 1)
    picture = scene((square(ours(mine), 180), 0, 90), (square("https://maker.example/x", 150), 0, -150))
    script = DETECTOR + NO_DECODER
    with looking(picture, [], script) as page:
        expect(page.locator(".camera-dialog")).to_contain_text(f"Scanned {mine}")
        expect(page.locator(".tube-code")).to_have_text(mine)
    with looking(picture, [], NO_DECODER) as page:
        expect(page.locator(".camera-dialog")).to_contain_text("No network")
