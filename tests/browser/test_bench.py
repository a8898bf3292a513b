"""A technician clears and opens a workstation with the gun, works at it, and another person's tube is a loud stop."""

import pytest
from playwright.sync_api import expect

from biobank.scanning.commands import Action, Command, command_code
from tests.benches.stories import session_of, workstation
from tests.browser.conftest import Open
from tests.browser.scanning import shoot
from tests.browser.test_scan_list import open_list
from tests.conftest import Api
from tests.specimens.stories import donor, raw_fat

pytestmark = pytest.mark.browser


def test_two_peoples_fat_at_one_bench_with_the_gun_alone(api: Api, signed_in: Open) -> None:
    mary, ben = donor(api), donor(api, family_name="Otherworth", external_ids=[])
    bench, hers, his = workstation(api), raw_fat(api, mary)["code"], raw_fat(api, ben)["code"]
    page = signed_in("lab_tech")
    page.goto(f"/workstations/{bench}")
    page.get_by_role("link", name="Clear and open it").click()
    page.locator("[name=workstation]").fill(bench)
    page.locator("[name=cleared]").select_option("true")
    page.locator("[name=specimen]").fill(hers)
    page.get_by_role("button", name="Clear and open").click()
    expect(page.get_by_text(f"Only material of {mary} may be there")).to_be_visible()
    code = page.url.rsplit("/", 1)[1]

    open_list(page)
    shoot(page, command_code(Action.BENCH))
    shoot(page, bench)
    expect(page.locator("#scan-place-name")).to_contain_text(f"open for {mary}")
    shoot(page, hers)
    expect(page.locator(".verdict.ready")).to_contain_text(hers)
    shoot(page, his)
    expect(page.locator(".verdict.blocked")).to_contain_text("is of another person")
    expect(page.locator(".tube.blocked")).to_contain_text("Take it away from this workstation")
    shoot(page, command_code(Command.COMMIT))
    expect(page.locator("#scan-result")).to_contain_text("At the bench: 1 tube")

    found = session_of(api, code)
    assert ([one["specimen"] for one in found["items"]], len(found["stops"])) == ([hers], 1)
    page.goto(f"/bench-sessions/{code}")
    expect(page.get_by_text(f"STOP. {his} is of another person")).to_be_visible()
