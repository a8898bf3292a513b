"""What a gun sends that nobody set up: it reaches the list whole or says so, and presses nothing."""

from pathlib import Path

import pytest
from playwright.sync_api import Page, Playwright, expect

from biobank.foundation.codes import make_code
from tests.browser.bench_site import Site
from tests.browser.chromium import launch
from tests.browser.conftest import Open, open_signed_in
from tests.browser.scanning import burst, shoot
from tests.browser.test_guns_and_cameras import fake_camera, open_bench
from tests.browser.test_scan_list import a_box, listed, open_list
from tests.browser.watching import Watch
from tests.conftest import Api
from tests.shipping.stories import tubes

pytestmark = pytest.mark.browser

Strokes = list[str]


def register(api: Api, code: str, value: str) -> None:
    seq = api.lab_tech.get(f"/specimens/{code}").json()["custody"]["seq"]
    body = {"issuer": "legacy", "value": value, "expected_seq": seq}
    assert api.lab_tech.post(f"/specimens/{code}/aliases", json=body).status_code == 201


def endings(code: str) -> dict[str, Strokes]:
    return {
        "a blank for the hyphen": [*code.replace("-", " "), "Enter"],
        "a blank after it": [*code, " ", "Enter"],
        "a function key": [*code, "F8", "Enter"],
        "ETX": [*code, "Control+c", "Enter"],
        "EOT": [*code, "Control+d", "Enter"],
        "STX and ETX": ["Control+b", *code, "Control+c", "Enter"],
        "no suffix": [*code],
        "lower case": [*code.swapcase(), "Enter"],
        "ALT and the number pad": [*(f"Alt+{ord(c):03d}" for c in code), "Enter"],
        "ALT to the end": [*(f"Alt+{ord(c):03d}" for c in code + "\r")],
        "an AIM prefix": [*f"]d2{code}", "Enter"],
        "Escape": [*code, "Escape", "Enter"],
    }


def on_the_list(api: Api, signed_in: Open, first: str) -> Page:
    page = signed_in("lab_tech")
    open_list(page)
    page.locator("input[name=action][value=look]").check(force=True)
    burst(page, [*first, "Enter"])
    expect(page.locator(".tube")).to_have_count(1)
    page.evaluate("document.addEventListener('submit', () => { window.pressed = true; }, true)")
    return page


def test_a_burst_reaches_the_list_whatever_the_gun_adds_and_presses_nothing(api: Api, signed_in: Open) -> None:
    first, *codes = tubes(api, 13)
    page = on_the_list(api, signed_in, first)
    for number, (code, name) in enumerate(zip(codes, endings(codes[0]), strict=True), 2):
        page.locator("[data-do=new_list]").focus()
        burst(page, endings(code)[name])
        expect(page.locator(".tube"), name).to_have_count(number)
        assert listed(page, "ready")[0] == code, name
    assert page.evaluate("window.pressed") is None
    assert page.locator("html[data-list-ready]").count() == 1


def test_identifiers_of_others_and_two_codes_before_one_enter_are_listed(api: Api, signed_in: Open) -> None:
    first, old, spaced, word, one, two = tubes(api, 6)
    register(api, old, "a12345678")
    register(api, spaced, "FAT 0042 b")
    register(api, word, "FOOBAR")
    page = on_the_list(api, signed_in, first)
    for focus, value, code in (
        ("body", "a12345678", old),
        ("[data-do=new_list]", "FAT 0042 b", spaced),
        ("#scan-one", "FOOBAR", word),
    ):
        page.evaluate("(s) => { document.activeElement.blur(); document.querySelector(s).focus?.(); }", focus)
        burst(page, [*value, "Enter"])
        expect(page.locator(".verdict.ready")).to_contain_text(code)
    page.locator("[data-do=new_list]").focus()
    burst(page, [*one, *two, "Enter"])
    expect(page.locator(".tube")).to_have_count(6)
    assert sorted(listed(page, "ready")) == sorted([first, old, spaced, word, one, two])
    assert page.evaluate("window.pressed") is None


def test_after_a_misread_the_tube_before_does_not_stay_as_ready(api: Api, signed_in: Open) -> None:
    first, other = tubes(api, 2)
    page = on_the_list(api, signed_in, first)
    expect(page.locator(".verdict.ready")).to_contain_text(first)

    burst(page, [*other[:-1], "0" if other[-1] != "0" else "1", "Enter"])

    expect(page.locator(".verdict.ready")).to_have_count(0)
    expect(page.locator("#verdict")).to_contain_text("Not read")
    expect(page.locator(".tube")).to_have_count(1)


def before_and_after(code: str) -> dict[str, Strokes]:
    """What a gun sends around a code, by what has the focus while it does."""
    return {
        "[data-do=remove_last]": [*code, "Enter", " ", "Enter"],
        "input[name=action]:checked": [*code.replace("-", " "), "Enter"],
        "[data-do=new_list]": [*code, " ", "F8", "Enter"],
        "a[href='/scan/scanner']": [*code, "Control+d"],
        "details.menu summary": [*code, "Escape", "Enter"],
        "#scan-place": [*code, "Control+m"],
        "textarea[name=codes]": [*f"]Q1HTTPS://BANK.EXAMPLE/S/{code}", "Control+c", "Enter"],
        "[data-find]": [*code.swapcase().replace("-", ""), "Enter", "Enter"],
        "#scan-one": [*f"https%3A%2F%2Fbank.example%2FS%2F{code}", "Enter"],
    }


def test_wherever_the_focus_is_a_burst_is_listed_and_presses_nothing(api: Api, signed_in: Open) -> None:
    first, *codes = tubes(api, 10)
    page = on_the_list(api, signed_in, first)
    page.evaluate(
        "() => { window.clicked = []; addEventListener('click', (e) => window.clicked.push(e.target.outerHTML), true); }"
    )
    for number, (code, focus) in enumerate(zip(codes, before_and_after(codes[0]), strict=True), 2):
        page.locator(focus).first.focus()
        burst(page, before_and_after(code)[focus])
        expect(page.locator(".tube"), focus).to_have_count(number)
        assert listed(page, "ready")[0] == code, focus
        assert page.evaluate("[window.pressed, window.clicked]") == [None, []], focus
        assert (page.locator("#scan-place").input_value(), page.locator("[data-find]").input_value()) == ("", ""), focus
    assert page.url.endswith("/scan")


def test_the_bank_is_asked_before_a_burst_is_judged_by_its_shape(api: Api, signed_in: Open) -> None:
    first, *codes, ours = tubes(api, 6)
    values = ["HF-000123-1", "AD26-KH0KJQ0", "a12345678", "NOTES"]
    for code, value in zip(codes, values, strict=True):
        register(api, code, value)
    page = on_the_list(api, signed_in, first)
    for number, (focus, value, suffix) in enumerate(
        (
            ("[data-do=new_list]", values[0], ["Enter"]),
            ("#scan-one", values[1], ["Enter"]),
            ("#scan-one", values[2], []),
            ("[data-find]", values[3], ["Enter"]),
        ),
        2,
    ):
        page.locator(focus).focus()
        burst(page, [*value, *suffix])
        expect(page.locator(".tube"), value).to_have_count(number)
        assert listed(page, "ready")[0] == codes[number - 2], value

    page.locator("#scan-one").focus()
    burst(page, [*f"https://other.example/tubes/{ours}", "Enter"])
    expect(page.locator("#verdict")).to_contain_text("somebody else")
    assert ours not in listed(page, "ready")

    burst(page, [*values[2], *ours, "Enter"])
    expect(page.locator("#scan-status")).to_contain_text("Not read properly")
    expect(page.locator(".verdict.blocked")).to_be_visible()


FRENCH = dict(zip("0123456789-/:.AQZWM", "à&é\"'(-è_ç)!/:QAWZ,", strict=True))
RUSSIAN = dict(zip("ABCDEFGHJKMNPQRSTVWXYZ/:.", "ФИСВУАПРОЛЬТЗЙКЫЕМЦЧНЯ.ЖЮ", strict=True))


def test_other_keyboards_than_the_guns_read_the_same_labels(api: Api, signed_in: Open) -> None:
    first, *codes = tubes(api, 5)
    page = on_the_list(api, signed_in, first)
    ways = [(FRENCH, "{}"), (FRENCH, "HTTPS://BANK.EXAMPLE/S/{}"), (RUSSIAN, "{}"), (RUSSIAN, "HTTPS://BANK.EXAMPLE/S/{}")]
    for number, (code, (layout, label)) in enumerate(zip(codes, ways, strict=True), 2):
        page.locator("[data-do=new_list]").focus()
        shoot(page, label.format(code), 4, layout=layout)
        expect(page.locator(".tube"), label).to_have_count(number)
        assert listed(page, "ready")[0] == code


def test_a_burst_answers_no_question_and_sends_no_form(tab: Page, site: Site) -> None:
    one, two, three = (make_code("HF", 2026, number).text for number in (1, 2, 3))
    tab.clock.install()  # what waits a moment for a gun waits for this test: a busy machine is slower than any gun
    open_bench(tab, "confirm=Discard these cells?")
    tab.locator("#withdraw").click()
    tab.clock.pause_at(tab.evaluate("Date.now()") + 1000)
    for strokes in (
        [" ", *one, "Enter"],
        ["Enter", *two, "Control+c", "Enter"],
        [*three, "Escape", "Enter"],
        [*"a12345678", "Enter"],
        [*one[:-1], "Enter"],
    ):
        tab.locator("#yes").focus()
        tab.evaluate("document.getElementById('scan-status').replaceChildren()")
        burst(tab, strokes)
        tab.clock.run_for(2000)
        expect(tab.locator("#scan-status .banner.stop"), str(strokes)).to_be_visible()
        expect(tab.locator("#confirm-dialog")).to_be_visible()
    tab.evaluate("document.getElementById('confirm-dialog').close()")

    tab.locator("#note").fill("")
    burst(tab, [*"010400638133393117", "Enter"])
    tab.clock.run_for(2000)
    expect(tab.locator("#note")).to_have_value("010400638133393117")
    assert site.posts == []
    assert "/bench" in tab.url


def test_a_hand_presses_buttons_links_and_ticks_with_the_keyboard(tab: Page, site: Site) -> None:
    open_bench(tab)
    tab.evaluate(
        """() => {
          document.body.insertAdjacentHTML('beforeend', `<input type="checkbox" id="tick"><a id="link" href="#there">there</a>
            <details><summary>More</summary></details><button id="plain" type="button">x</button>`);
          document.getElementById('plain').addEventListener('click', ({ target }) => target.append('+'));
        }"""
    )
    tab.locator("#tick").press(" ")
    expect(tab.locator("#tick")).to_be_checked()
    tab.locator("summary").press("Enter")
    expect(tab.locator("details")).to_have_attribute("open", "")
    tab.locator("#plain").press(" ")
    expect(tab.locator("#plain")).to_have_text("x+")
    tab.locator("#plain").press("Enter")
    expect(tab.locator("#plain")).to_have_text("x++")
    tab.locator("#link").press("Enter")
    tab.wait_for_url("**#there")
    tab.locator("#withdraw").press("Enter")
    expect(tab).to_have_title("Done")
    assert len(site.posts) == 1


def test_the_camera_takes_an_old_identifier_that_the_bank_knows(
    api: Api, playwright: Playwright, chromium: str, watch: Watch, tmp_path: Path
) -> None:
    (tube,) = tubes(api, 1)
    register(api, tube, "a12345678")
    fake_camera(tmp_path / "label.y4m", "a12345678")
    browser = launch(playwright, chromium, f"--use-file-for-fake-video-capture={tmp_path / 'label.y4m'}")
    try:
        context = watch.over(browser.new_context(base_url=api.url, permissions=["camera"]))
        open_signed_in(api.test_bank, api.url, context, "lab_tech")
        page = context.new_page()
        open_list(page)
        page.get_by_role("button", name="Camera", exact=True).click()
        expect(page.locator(".camera-dialog")).to_contain_text("Scanned a12345678")
        expect(page.locator(".tube-code")).to_have_text(tube)
    finally:
        browser.close()


def test_a_list_of_a_form_keeps_identifiers_with_blanks_whole(api: Api, signed_in: Open) -> None:
    old, ours = tubes(api, 2)
    register(api, old, "FAT 0042 b")
    box = a_box(api)
    page = signed_in("lab_tech", path=f"/storage/{box}/compare")
    page.locator("html[data-scan-ready]").wait_for(state="attached")
    for text in ("FAT 0042 b", ours, "FAT 0042 b"):
        burst(page, [*text, "Enter"])
    expect(page.locator("[data-scan-list]")).to_have_value(f"FAT 0042 b\n{ours}")
    page.get_by_role("button", name="Compare").click()
    expect(page.get_by_text("2 belong elsewhere")).to_be_visible()
