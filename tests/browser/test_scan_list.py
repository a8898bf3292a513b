"""The scan page: to the list by gun, typing, camera and file; recorded once; taken back; kept over reloads and locks."""

import json
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from PIL import Image
from playwright.sync_api import Page, Playwright, expect

from biobank.foundation import clock
from biobank.foundation.codes import make_code
from biobank.scanning.commands import Action, Command, command_code
from tests import seed
from tests.browser.chromium import launch
from tests.browser.conftest import Open, open_signed_in
from tests.browser.scanning import shoot
from tests.browser.watching import Watch
from tests.conftest import Api
from tests.factories import make_box, make_specimen
from tests.pages.test_pages import a_tube
from tests.shipping.stories import tubes
from tests.withdrawals.stories import everyone

pytestmark = pytest.mark.browser

UNKNOWN = make_code("AD", 2026, 4_000_000).text


def open_list(page: Page, path: str = "/scan") -> None:
    page.goto(path)
    expect(page.locator("html[data-list-ready]")).to_have_count(1)


def a_box(api: Api, **fields: Any) -> str:
    act = api.test_bank.act("admin")
    return api.test_bank.write(lambda s: make_box(s, act, **fields).code)  # type: ignore[no-any-return]


def collected(api: Api, count: int) -> list[str]:
    act = everyone(api.test_bank)
    return [api.test_bank.write(lambda s: make_specimen(s, act).code) for _ in range(count)]


def listed(page: Page, verdict: str) -> list[str]:
    return list(page.locator(f".tube.{verdict} .tube-code").all_inner_texts())


def states(api: Api, codes: list[str]) -> list[str]:
    return [api.lab_tech.get(f"/specimens/{code}").json()["custody"]["state"] for code in codes]


def test_a_technician_receives_stores_and_undoes_with_the_gun_alone(api: Api, signed_in: Open) -> None:
    codes, box = collected(api, 3), a_box(api)
    page = signed_in("lab_tech")
    open_list(page)
    shoot(page, command_code(Action.RECEIVE))
    for code in codes:
        shoot(page, f"HTTPS://BANK.EXAMPLE/S/{code}", 4)
        expect(page.locator(".verdict.ready")).to_contain_text(code)
    assert listed(page, "ready") == codes[::-1]
    shoot(page, command_code(Command.COMMIT))
    expect(page.locator("#scan-result")).to_contain_text("Received: 3 tubes.")
    assert states(api, codes) == ["received"] * 3

    shoot(page, box)
    expect(page.locator("#scan-place-name")).to_have_text("Box · 9 free")
    for code in codes:
        shoot(page, code)
        expect(page.locator(".verdict.ready")).to_contain_text(code)
    expect(page.locator(".tube-slot").first).to_contain_text("A3")
    shoot(page, command_code(Command.COMMIT))
    expect(page.locator("#scan-result")).to_contain_text(f"Stored: 3 tubes in {box}.")
    expect(page.locator(".recorded li").last).to_contain_text("A3")
    assert states(api, codes) == ["stored"] * 3

    shoot(page, command_code(Command.UNDO))
    expect(page.locator("#scan-result")).to_contain_text("Undone for 3 tubes.")
    assert states(api, codes) == ["received"] * 3
    kinds = [e["kind"] for e in api.lab_tech.get(f"/specimens/{codes[0]}/custody").json()["items"]]
    assert kinds[-2:] == ["specimen.stored", "specimen.reversed"]


def test_every_tube_says_at_once_what_is_wrong_and_where_it_goes(api: Api, signed_in: Open) -> None:
    good, box = a_tube(api), a_box(api, rows=1, cols=1)
    second, gone = a_tube(api), collected(api, 1)[0]
    page = signed_in("lab_tech")
    open_list(page)
    shoot(page, box)
    for code, verdict, words in (
        (good, "ready", "A1"),
        (UNKNOWN, "unknown", "quarantine"),
        (gone, "blocked", "only when"),
        (second, "blocked", "no free place"),
    ):
        shoot(page, code)
        expect(page.locator(f".verdict.{verdict}")).to_contain_text(words)
    shoot(page, good)
    expect(page.locator(".verdict.again")).to_contain_text("Already in the list")
    assert (listed(page, "ready"), len(listed(page, "blocked")), listed(page, "unknown")) == ([good], 2, [UNKNOWN])

    page.get_by_role("button", name="Record 1 tube").click()
    expect(page.locator("#scan-result")).to_contain_text("Stored: 1 tube")
    expect(page.locator(".tube")).to_have_count(3)
    assert listed(page, "ready") == []
    assert states(api, [good, second]) == ["stored", "received"]


@pytest.mark.parametrize("focus", ["button", "input", "nothing"])
@pytest.mark.parametrize("delay", [0, 15])
def test_the_gun_reaches_the_list_whatever_has_the_focus_and_presses_nothing(
    api: Api, signed_in: Open, watch: Watch, focus: str, delay: int
) -> None:
    first, second = collected(api, 2)
    page = signed_in("lab_tech")
    open_list(page)
    shoot(page, first)
    expect(page.locator(".tube.ready")).to_have_count(1)
    control = {"button": page.get_by_role("button", name="Record 1 tube"), "input": page.locator("#scan-one")}
    if focus == "nothing":
        page.evaluate("document.activeElement.blur()")
    else:
        control[focus].focus()
    shoot(page, second, delay, "Tab" if delay else "Enter")
    expect(page.locator(".tube.ready")).to_have_count(2)
    assert not [answer for answer in watch.answers if answer[1].endswith("/scan/commit")]
    assert states(api, [first, second]) == ["collected", "collected"]


def test_the_list_survives_a_reload_and_a_lost_network(api: Api, signed_in: Open) -> None:
    first, second = collected(api, 2)
    page = signed_in("lab_tech")
    open_list(page)
    shoot(page, first)
    expect(page.locator(".tube.ready")).to_have_count(1)
    page.route("**/scan/list", lambda route: route.abort())
    shoot(page, second)
    expect(page.locator("#scan-status")).to_contain_text("No answer from the bank")
    page.unroute("**/scan/list")
    open_list(page)
    expect(page.locator(".tube.ready")).to_have_count(2)
    assert listed(page, "ready") == [second, first]


def test_a_lost_answer_and_a_second_press_record_the_list_once(api: Api, signed_in: Open) -> None:
    (code,) = collected(api, 1)
    page = signed_in("lab_tech")
    open_list(page)
    shoot(page, code)
    expect(page.locator(".tube.ready")).to_have_count(1)

    def lose(route: Any) -> None:
        route.fetch()  # the bank does it …
        route.abort()  # … and its answer never arrives

    page.route("**/scan/commit", lose)
    page.get_by_role("button", name="Record 1 tube").click()
    expect(page.locator("#scan-status")).to_contain_text("No answer")
    page.unroute("**/scan/commit")
    page.get_by_role("button", name="Record 1 tube").click()
    expect(page.locator("#scan-result")).to_contain_text("Received: 1 tube.")
    events = api.lab_tech.get(f"/specimens/{code}/custody").json()["items"]
    assert [e["kind"] for e in events] == ["specimen.collected", "specimen.received"]


def test_a_tube_that_moved_on_meanwhile_refuses_the_list_and_says_which(api: Api, signed_in: Open) -> None:
    first, second = collected(api, 2)
    page = signed_in("lab_tech")
    open_list(page)
    for code in (first, second):
        shoot(page, code)
        expect(page.locator(".verdict.ready")).to_contain_text(code)
    event = {"kind": "specimen.received", "expected_seq": 1, "site": "LAB"}
    assert api.lab_tech2.post(f"/specimens/{first}/events", json=event).status_code == 201
    page.get_by_role("button", name="Record 2 tubes").click()
    expect(page.locator("#scan-status")).to_contain_text(first)
    expect(page.locator(".tube.blocked .tube-code")).to_have_text(first)
    assert states(api, [second]) == ["collected"]
    page.get_by_role("button", name="Record 1 tube").click()
    expect(page.locator("#scan-result")).to_contain_text("Received: 1 tube.")
    assert states(api, [second]) == ["received"]


def test_a_rack_scanners_file_puts_every_tube_into_its_well(api: Api, signed_in: Open, tmp_path: Path) -> None:
    codes, box = [a_tube(api) for _ in range(2)], a_box(api, rows=8, cols=12)
    file = tmp_path / "rack.csv"
    file.write_text(f"Position;Code\r\nA01;{codes[0]}\r\nB02;NO TUBE\r\nH12;{codes[1]}\r\n")
    page = signed_in("lab_tech")
    open_list(page)
    shoot(page, box)
    page.locator(".scan-many summary").click()
    page.locator("#scan-file").set_input_files(file)
    expect(page.locator(".tube.ready")).to_have_count(2)
    page.get_by_role("button", name="Record 2 tubes").click()
    expect(page.locator("#scan-result")).to_contain_text("Stored: 2 tubes")
    slots = {slot["specimen"]: slot["label"] for slot in api.lab_tech.get(f"/storage-containers/{box}/map").json()["slots"]}
    assert [slots[code] for code in codes] == ["A1", "H12"]


def test_a_tube_then_its_place_are_scanned_one_after_the_other(api: Api, signed_in: Open) -> None:
    tube, box = a_tube(api), a_box(api)
    slot = api.lab_tech.get(f"/storage-containers/{box}/map").json()["slots"][4]
    page = signed_in("lab_tech")
    open_list(page, f"/scan?do=store&place={box}")
    shoot(page, tube)
    expect(page.locator(".tube-slot")).to_contain_text("A1")
    shoot(page, slot["position"])
    expect(page.locator(".tube-slot")).to_contain_text(slot["label"])


def test_tubes_are_offered_to_the_badge_that_was_scanned(api: Api, signed_in: Open) -> None:
    (tube,) = tubes(api, 1)
    page = signed_in("lab_tech")
    open_list(page)
    shoot(page, seed.USERS["lab_tech2"].code)
    shoot(page, tube)
    expect(page.locator(".tube.ready")).to_have_count(1)
    page.get_by_role("button", name="Record 1 tube").click()
    expect(page.locator("#scan-result")).to_contain_text("Offered: 1 tube")
    (offer,) = api.lab_tech2.get("/handovers?waiting=me").json()["items"]
    assert offer["specimens"] == [tube]
    page.locator("#scan-result").get_by_role("button", name="Undo").click()
    expect(page.locator("#scan-result")).to_contain_text("Undone for 1 tube.")
    assert api.lab_tech2.get("/handovers?waiting=me").json()["items"] == []


def test_a_locked_page_keeps_its_list_and_goes_on_after_the_password(api: Api, signed_in: Open) -> None:
    first, second = collected(api, 2)
    page = signed_in("lab_tech")
    open_list(page)
    shoot(page, first)
    expect(page.locator(".tube.ready")).to_have_count(1)
    clock.set_offset(timedelta(minutes=20), test_mode=True)
    shoot(page, second)
    lock = page.locator("#lock-dialog")
    expect(lock).to_be_visible()
    expect(page.locator("main")).to_be_hidden()
    page.keyboard.press("Escape")
    expect(lock).to_be_visible()
    lock.get_by_label("Password").fill("not this one at all")
    lock.get_by_role("button", name="Go on").click()
    expect(page.locator("#lock-error")).to_contain_text("wrong")
    lock.get_by_label("Password").fill(seed.PASSWORD)
    lock.get_by_role("button", name="Go on").click()
    expect(page.locator(".tube.ready")).to_have_count(2)
    expect(lock).to_be_hidden()


def test_without_scripts_the_list_is_checked_recorded_and_undone_by_forms(api: Api, signed_in: Open) -> None:
    codes = collected(api, 2)
    page = signed_in("lab_tech", java_script_enabled=False)
    page.goto("/scan")
    page.locator("#scan-codes").fill("\n".join([*codes, UNKNOWN]))
    page.get_by_role("button", name="Add to the list").click()
    expect(page.locator(".tube.ready")).to_have_count(2)
    assert sorted(listed(page, "ready")) == sorted(codes)
    page.get_by_role("button", name=f"Take off {UNKNOWN}").click()
    expect(page.locator(".tube")).to_have_count(2)
    page.get_by_role("button", name="Record 2 tubes").click()
    expect(page.locator(".banner.ok").first).to_contain_text("Received: 2 tubes.")
    assert states(api, codes) == ["received"] * 2
    page.get_by_role("button", name="Undo").first.click()
    expect(page.locator(".banner.care").first).to_contain_text("Undone for 2 tubes.")
    assert states(api, codes) == ["collected"] * 2


def film(path: Path, label: Image.Image) -> None:
    """Write a second of raw video (YUV4MPEG2) of a label held before a grey wall, for Chromium's fake camera."""
    width, height = 1280, 720
    frame = Image.new("L", (width, height), 0x90)
    scale = min(900 / label.width, 560 / label.height)
    shown = label.convert("L").resize((int(label.width * scale), int(label.height * scale)))
    frame.paste(shown, ((width - shown.width) // 2, (height - shown.height) // 2))
    data = b"FRAME\n" + frame.tobytes() + b"\x80" * (width * height // 2)
    path.write_bytes(f"YUV4MPEG2 W{width} H{height} F10:1 Ip A1:1 C420jpeg\n".encode() + data * 5)


def test_the_camera_reads_our_own_label_into_the_list(
    api: Api, playwright: Playwright, chromium: str, watch: Watch, tmp_path: Path
) -> None:
    (code,) = collected(api, 1)
    picture = tmp_path / "label.png"
    picture.write_bytes(api.lab_tech.get(f"/specimens/{code}/label?template=cap-11&format=png").content)
    with Image.open(picture) as label:
        film(tmp_path / "label.y4m", label)
    browser = launch(playwright, chromium, f"--use-file-for-fake-video-capture={tmp_path / 'label.y4m'}")
    try:
        context = watch.over(browser.new_context(base_url=api.url, permissions=["camera"]))
        open_signed_in(api.test_bank, api.url, context, "lab_tech")
        page = context.new_page()
        open_list(page)
        page.get_by_role("button", name="Camera", exact=True).click()
        expect(page.locator(".camera-dialog")).to_contain_text(f"Scanned {code}")
        page.get_by_role("button", name="Close").click()
        expect(page.locator(".tube.ready .tube-code")).to_have_text(code)
        page.get_by_role("button", name="Record 1 tube").click()
        expect(page.locator("#scan-result")).to_contain_text("Received: 1 tube.")
    finally:
        browser.close()
    assert states(api, [code]) == ["received"]


def test_the_list_costs_the_same_number_of_statements_however_long(api: Api, signed_in: Open) -> None:
    from tests.statements import count_statements

    page = signed_in("lab_tech")
    open_list(page)
    database = api.test_bank.bank.database
    counted = []
    for codes in (tubes(api, 2), tubes(api, 40)):
        seen: list[str] = []
        ends = [count_statements(engine.sync_engine, seen, of="/scan/list") for engine in (database.writer, database.reader)]
        page.locator(".scan-many").evaluate("(e) => { e.open = true; }")
        page.locator("#scan-codes").fill("\n".join(codes))
        page.get_by_role("button", name="Add to the list").click()
        expect(page.locator(f'[data-code="{codes[-1]}"]')).to_have_count(1)
        for end in ends:
            end()
        counted.append(len(seen))
    assert counted[0] == counted[1] <= 8


@pytest.mark.parametrize("width", [360, 820])
def test_everything_a_glove_presses_on_the_scan_page_is_56_pixels_high(api: Api, signed_in: Open, width: int) -> None:
    good, bad = collected(api, 1)[0], a_tube(api)
    page = signed_in("lab_tech", viewport={"width": width, "height": 800})
    open_list(page)
    for code in (good, bad):
        shoot(page, code)
    expect(page.locator(".tube")).to_have_count(2)
    small = page.evaluate(
        """() => [...document.querySelectorAll('main :is(button, input, select, textarea, summary, label.scan-action, a)')]
        .filter((e) => e.checkVisibility({ visibilityProperty: true }) && e.type !== 'radio' && e.type !== 'file')
        .map((e) => [e.outerHTML.slice(0, 60), e.getBoundingClientRect().height]).filter(([, h]) => h < 55.5)"""
    )
    assert small == []
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_printed_command_is_read_by_a_camera_and_by_the_find_box(look: Open) -> None:
    page = look("lab_tech", path="/scan/sheet")
    codes = page.locator(".command .code").all_inner_texts()
    assert codes == [command_code(meaning) for meaning in (*Action, *Command)]
    page.goto(f"/find?q={codes[1]}")
    expect(page).to_have_url(re.compile(r"/scan\?do=store$"))
    expect(page.get_by_label("Store or move")).to_be_checked()


def test_a_list_kept_by_another_release_does_no_harm(look: Open) -> None:
    page = look("lab_tech", path="/scan")
    owner = seed.USERS["lab_tech"].code
    page.evaluate("([k, v]) => localStorage.setItem(k, v)", [f"scan-draft:{owner}", "{not json"])
    open_list(page)
    expect(page.locator(".empty-title")).to_have_text("No tube yet")
    page.evaluate("([k, v]) => localStorage.setItem(k, v)", [f"scan-draft:{owner}", json.dumps({"action": "fly", "lines": []})])
    open_list(page)
    expect(page.locator(".empty-title")).to_have_text("No tube yet")
