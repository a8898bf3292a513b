"""Scanning and forms in a real browser, under the production policy."""

import random
import re
from pathlib import Path
from urllib.parse import quote

import pytest
import qrcode
from playwright.sync_api import Page, Playwright, expect

from biobank.foundation.codes import CHECK_ALPHABET, DATED, NUMBERS, Prefix, is_code, make_code, resolve_payload
from biobank.pages.ui.assets import STATIC
from tests.browser.bench_site import Site
from tests.browser.chromium import launch
from tests.browser.scanning import shoot

pytestmark = pytest.mark.browser

TUBE = make_code("HF", 2026, 1).text
BOX = make_code("BX", None, 1).text
ADDRESS = f"HTTPS://BANK.EXAMPLE/S/{TUBE}"
FOREIGN = f"HTTPS://OTHER.EXAMPLE/S/{TUBE}"


def open_bench(tab: Page, query: str = "") -> None:
    tab.goto(f"/bench?{query}")
    expect(tab.locator("html[data-scan-ready]")).to_have_count(1)


def found(text: str) -> re.Pattern[str]:
    return re.compile(re.escape(f"/find?q={quote(text, safe='')}") + "$")


def test_the_check_character_agrees_with_python(tab: Page) -> None:
    chance = random.Random(20261103)
    samples = []
    for prefix in Prefix:
        for _ in range(20):
            code = make_code(prefix, 2026 if prefix in DATED else None, chance.randrange(NUMBERS)).text
            wrong = list(code)
            place = chance.choice([i for i, c in enumerate(code) if c != "-"])
            wrong[place] = chance.choice(CHECK_ALPHABET)
            samples += [code, "".join(wrong), code.replace("-", ""), code.lower()]
    open_bench(tab)
    module = STATIC.url("codes.js")
    verdicts = tab.evaluate(
        "([url, texts]) => import(url).then((m) => texts.map((t) => m.readLabel(t) !== null))", [module, samples]
    )
    disagreements = [text for text, verdict in zip(samples, verdicts, strict=True) if verdict != is_code(text)]
    assert disagreements == []
    assert 0 < verdicts.count(False) < len(samples) / 2


def test_aliases_are_read_as_python_reads_them(tab: Page) -> None:
    open_bench(tab)
    read = "([url, t]) => import(url).then((m) => m.readLabel(t)?.code ?? null)"
    assert tab.evaluate(read, [STATIC.url("codes.js"), "hf26-mco6iet"]) == "HF26-MC061ET"
    assert tab.evaluate(read, [STATIC.url("codes.js"), "HF26-MC061EU"]) is None


def test_the_page_reads_which_print_a_label_is_and_keeps_it(tab: Page) -> None:
    open_bench(tab)
    read = "([url, t]) => import(url).then((m) => (({ code, label }) => [code, label])(m.readLabel(t)))"
    for text in (f"{ADDRESS}-0Z", "hf26 mco6iet oz", f"]Q1{TUBE}-0Z"):
        assert tab.evaluate(read, [STATIC.url("codes.js"), text]) == [TUBE, f"{TUBE}-0Z"]
        code = resolve_payload(text, "bank.example")
        assert (code.text, code.label) == (TUBE, f"{TUBE}-0Z")


@pytest.mark.parametrize("focus", ["#withdraw", "#note", "#find", "nothing"])
@pytest.mark.parametrize("delay", [0, 2, 8, 15])
@pytest.mark.parametrize("label", [TUBE, ADDRESS], ids=["bare", "address"])
def test_a_gun_is_caught_whatever_has_the_focus(tab: Page, site: Site, focus: str, delay: int, label: str) -> None:
    open_bench(tab)
    if focus != "nothing":
        tab.locator(focus).focus()
    shoot(tab, label, delay, "Enter" if delay % 4 == 0 else "Tab")
    tab.wait_for_url(found(label))
    assert site.posts == []


def test_what_the_gun_typed_is_taken_back(tab: Page, site: Site) -> None:
    open_bench(tab)
    tab.evaluate("document.addEventListener('code-scanned', (e) => { e.preventDefault(); window.seen = e.detail; })")
    note = tab.locator("#note")
    note.focus()
    note.press("End")
    shoot(tab, ADDRESS)
    expect(note).to_have_value("so far")
    assert tab.evaluate("window.seen") == {"code": TUBE, "prefix": "HF", "text": ADDRESS, "label": TUBE}
    assert tab.url.endswith("/bench?")
    assert site.posts == []


def test_a_return_and_line_feed_after_a_scan_press_nothing(tab: Page, site: Site) -> None:
    open_bench(tab)
    tab.evaluate("document.addEventListener('code-scanned', (e) => e.preventDefault())")
    tab.evaluate("document.addEventListener('submit', () => { window.pressed = true; })")
    tab.locator("#withdraw").focus()
    shoot(tab, TUBE, 8, "Enter Enter")
    assert (tab.evaluate("window.pressed"), tab.title(), site.posts) == (None, "Bench", [])


def test_a_german_keyboard_layout_reads_the_same_label(tab: Page) -> None:
    open_bench(tab)
    tube = make_code("AD", 2026, 1).text
    german = {"-": "ß", "Y": "Z", "Z": "Y", "/": "-", ":": "Ö"}
    shoot(tab, f"HTTPS://BANK.EXAMPLE/S/{tube}", layout=german)
    tab.wait_for_url(found(f"HTTPS://BANK.EXAMPLE/S/{tube}"))


@pytest.mark.parametrize("text", [TUBE[:-1] + ("A" if TUBE[-1] != "A" else "B"), "HF26-MC06", "garbage"])
def test_a_broken_scan_never_presses_the_focused_button(tab: Page, site: Site, text: str) -> None:
    open_bench(tab)
    tab.locator("#withdraw").focus()
    shoot(tab, text)
    expect(tab.locator("#scan-status")).to_contain_text("Scan it again")
    assert site.posts == []


def test_a_hand_on_the_enter_key_still_presses_buttons(tab: Page, site: Site) -> None:
    open_bench(tab)
    tab.locator("#withdraw").focus()
    tab.keyboard.press("Enter")
    expect(tab).to_have_title("Done")
    assert len(site.posts) == 1


def test_a_code_somebody_types_into_prose_stays_there(tab: Page) -> None:
    open_bench(tab)
    tab.locator("#prose").focus()
    shoot(tab, f"see {TUBE}", delay=250, suffix="Tab")
    expect(tab.locator("#prose")).to_have_value(f"see {TUBE}")
    assert "/bench" in tab.url


def test_a_half_filled_form_is_not_thrown_away(tab: Page) -> None:
    open_bench(tab)
    tab.locator("#prose").fill("The label was frosted.")
    tab.locator("#withdraw").focus()
    shoot(tab, TUBE)
    expect(tab.locator("#scan-status")).to_contain_text("What you entered is kept")
    expect(tab.locator("#scan-status a")).to_have_attribute("href", f"/find?q={TUBE}")
    expect(tab.locator("#prose")).to_have_value("The label was frosted.")


def test_scan_fields_are_filled_by_kind_in_any_order(tab: Page, site: Site) -> None:
    open_bench(tab, "fields=scan")
    tab.locator("#note").focus()
    shoot(tab, BOX)
    expect(tab.locator("#box")).to_have_value(BOX)
    expect(tab.locator("#tube")).to_be_focused()
    shoot(tab, ADDRESS)
    expect(tab.locator("#tube")).to_have_value(TUBE)
    shoot(tab, make_code("DN", None, 1).text)
    expect(tab.locator("#scan-status")).to_contain_text("fits no field here")
    expect(tab.locator("#note")).to_have_value("so far")
    assert site.posts == []


def test_another_organisation_s_address_is_kept_whole_for_the_server(tab: Page) -> None:
    open_bench(tab, "fields=scan")
    shoot(tab, FOREIGN)
    expect(tab.locator("#tube")).to_have_value(FOREIGN)


def test_the_same_label_twice_in_a_moment_is_one_scan(tab: Page) -> None:
    tab.clock.install()  # a moment is one of the page's clock: on a busy machine two shots lie seconds apart
    open_bench(tab)
    tab.clock.pause_at(tab.evaluate("Date.now()") + 1000)
    tab.evaluate("window.n = 0; document.addEventListener('code-scanned', (e) => { e.preventDefault(); window.n += 1; })")
    shoot(tab, TUBE)
    tab.clock.run_for(150)
    shoot(tab, TUBE)
    shoot(tab, BOX)
    assert tab.evaluate("window.n") == 2
    shoot(tab, TUBE)
    tab.clock.run_for(2500)
    shoot(tab, TUBE)
    assert tab.evaluate("window.n") == 4


def test_a_code_typed_by_hand_into_a_scan_field_counts_as_a_scan(tab: Page, site: Site) -> None:
    open_bench(tab, "fields=submit")
    tab.locator("#tube").press_sequentially(TUBE.lower(), delay=300)
    tab.keyboard.press("Enter")
    expect(tab).to_have_title("Done")
    assert [post["tube"] for post in site.posts] == [TUBE]


def test_a_scan_does_not_answer_a_question(tab: Page, site: Site) -> None:
    open_bench(tab, "confirm=Discard these cells?")
    tab.locator("#withdraw").click()
    expect(tab.locator("#confirm-dialog")).to_be_visible()
    tab.locator("#yes").focus()
    shoot(tab, TUBE)
    expect(tab.locator("#scan-status")).to_contain_text("a question is open")
    expect(tab.locator("#confirm-dialog")).to_be_visible()
    tab.keyboard.press("Escape")
    assert site.posts == []
    tab.locator("#withdraw").click()
    tab.locator("#yes").click()
    expect(tab).to_have_title("Done")
    assert len(site.posts) == 1


def test_two_presses_send_one_form(tab: Page, site: Site) -> None:
    site.hold_post_s = 1.0
    open_bench(tab)
    tab.evaluate("() => { const b = document.getElementById('withdraw'); b.click(); setTimeout(() => b.click(), 300); }")
    expect(tab).to_have_title("Done")
    assert len(site.posts) == 1


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 820, 1280])
def test_no_page_is_wider_than_its_window_and_none_breaks_the_policy(tab: Page, site: Site, width: int, scheme: str) -> None:
    tab.set_viewport_size({"width": width, "height": 900})
    tab.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    for gloves in ("0", "1"):
        tab.context.add_cookies([{"name": "gloves", "value": gloves, "url": site.url}])
        tab.goto("/styleguide")
        assert tab.evaluate("document.documentElement.scrollWidth") <= width


def test_with_gloves_every_target_is_56_pixels_high(tab: Page, site: Site) -> None:
    tab.context.add_cookies([{"name": "gloves", "value": "1", "url": site.url}])
    tab.goto("/styleguide")
    script = """() => [...document.querySelectorAll('.button, .icon-button, .field input, .find input, select, .menu summary')]
      .filter((e) => e.checkVisibility() && !['radio', 'checkbox'].includes(e.type))
      .map((e) => [e.className || e.tagName, e.getBoundingClientRect().height]).filter(([, h]) => h < 55.5)"""
    assert tab.evaluate(script) == []


def test_the_wish_for_large_buttons_is_remembered(tab: Page) -> None:
    tab.goto("/styleguide")
    tab.locator(".menu summary").click()
    tab.locator("[data-gloves]").click()
    expect(tab.locator("html.gloves")).to_have_count(1)
    tab.reload()
    expect(tab.locator("html.gloves")).to_have_count(1)


def test_what_scripts_say_is_said_in_the_language_of_the_page(tab: Page) -> None:
    open_bench(tab)
    said = tab.evaluate(
        """async (url) => {
          const words = document.createElement('meta');
          words.name = 'script-words';
          words.content = '{"Scanned %(code)s": "%(code)s gelesen"}';
          document.head.append(words);
          const { t } = await import(url + '?again');
          return [t('Scanned %(code)s', { code: 'X1' }), t('Place: %(code)s', { code: 'X2' })];
        }""",
        STATIC.url("words.js"),
    )
    assert said == ["X1 gelesen", "Place: X2"]


def test_arrow_keys_walk_the_box_map(tab: Page) -> None:
    tab.goto("/styleguide")
    tab.locator("[data-grid] tbody tr:nth-child(1) td:nth-of-type(1) a").focus()
    tab.keyboard.press("ArrowDown")
    tab.keyboard.press("ArrowRight")
    assert tab.evaluate("document.activeElement.querySelector('.well-label').textContent") == "B2"


def test_the_first_tab_stop_skips_to_the_content(tab: Page) -> None:
    tab.goto("/bare")
    tab.keyboard.press("Tab")
    assert tab.evaluate("document.activeElement.textContent") == "Skip to the content"


def fake_camera(path: Path, text: str, width: int = 640, height: int = 480) -> None:
    """Write a one-second raw video (YUV4MPEG2) of a QR symbol on grey, for Chromium's fake camera."""
    code = qrcode.QRCode(error_correction=qrcode.constants.ERROR_CORRECT_M, mask_pattern=3, border=4)
    code.add_data(text)
    code.make()
    matrix = code.get_matrix()
    module = 300 // len(matrix)
    left, top = (width - module * len(matrix)) // 2, (height - module * len(matrix)) // 2
    luma = bytearray(b"\x90" * (width * height))
    for row, line in enumerate(matrix):
        pixels = b"".join((b"\x10" if dark else b"\xeb") * module for dark in line)
        for y in range(top + row * module, top + (row + 1) * module):
            luma[y * width + left : y * width + left + len(pixels)] = pixels
    frame = b"FRAME\n" + bytes(luma) + b"\x80" * (width * height // 2)
    path.write_bytes(f"YUV4MPEG2 W{width} H{height} F10:1 Ip A1:1 C420jpeg\n".encode() + frame * 10)


@pytest.mark.parametrize("text", [ADDRESS, "https://elsewhere.example/tube/9"])
def test_the_camera_reads_a_label_through_the_decoder(
    playwright: Playwright, chromium: str, site: Site, tmp_path: Path, text: str
) -> None:
    fake_camera(tmp_path / "label.y4m", text)
    browser = launch(playwright, chromium, f"--use-file-for-fake-video-capture={tmp_path / 'label.y4m'}")
    try:
        page = browser.new_context(base_url=site.url, permissions=["camera"]).new_page()
        page.goto("/styleguide")
        page.locator(".find [data-camera]").click()
        if text == ADDRESS:  # the style guide has a field that waits for a tube
            expect(page.locator("[data-scan-field]").first).to_have_value(re.compile(TUBE))
            expect(page.locator(".camera-dialog")).to_have_count(0)
        else:
            page.wait_for_url(found(text))
    finally:
        browser.close()
    assert site.frames > 0
