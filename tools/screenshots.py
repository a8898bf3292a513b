"""Take pictures of every page of a running demonstration, to be looked at. Run: python -m tools.screenshots

    make demo                                            # in another terminal
    python -m tools.screenshots                          # every page, four shapes, into var/screenshots
    python -m tools.screenshots --only specimens,storage --shapes phone,dark

The pages are those of `tests/browser/walk.py`; the codes in their addresses are found by asking the demonstration. Pictures
are whole pages; a page that answers with an error is named at the end, and the exit status is 1.
"""

import argparse
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import httpx
from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser.chromium import find_chromium, launch
from tests.browser.scanning import shoot as scan_code
from tests.browser.walk import STOPS, Stop

SHAPES: dict[str, dict[str, Any]] = {
    "phone": {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2},
    "tablet": {"viewport": {"width": 820, "height": 1180}},
    "desktop": {"viewport": {"width": 1280, "height": 900}},
    "dark": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "dark"},
}

# Where a thing that a page needs is found: (login's role, list, what must be true of it, the key of its code).
FOUND_IN: dict[str, tuple[str, str, dict[str, Any], str]] = {
    "tube": ("quality", "/specimens?state=stored&material=adsc&limit=1", {}, "code"),
    "fresh": ("lab_tech", "/specimens?state=received&limit=1", {}, "code"),
    "on_its_way": ("lab_tech", "/specimens?state=collected&limit=1", {}, "code"),
    "held": ("quality", "/specimens?state=stored&limit=1", {}, "code"),
    "donor": ("clinician", "/donors?limit=1", {}, "donor"),
    "box": ("quality", "/storage-containers?limit=500", {"kind": "box"}, "code"),
    "requested": ("quality", "/withdrawals?state=requested&limit=1", {}, "code"),
    "approved": ("quality", "/withdrawals?state=approved&limit=1", {}, "code"),
    "hold": ("quality", "/holds?active=true&limit=1", {}, "id"),
    "handover": ("quality", "/handovers?limit=1", {}, "id"),
    "shipment": ("quality", "/shipments?limit=1", {}, "code"),
    "quarantine": ("lab_tech", "/storage-containers?purpose=quarantine&limit=1", {}, "code"),
    "consenting": ("clinician", "/donors?status=living&limit=1", {}, "donor"),
    "kit": ("lab_tech", "/kits?limit=1", {}, "kit"),
    "harvest": ("lab_tech", "/harvests?limit=1", {}, "harvest"),
    "run": ("lab_tech", "/processings?limit=1", {}, "processing"),
    "made_lot": ("lab_tech", "/lots?limit=1", {}, "lot"),
    "washed": ("lab_tech", "/specimens?material=adsc&limit=1", {}, "code"),
    "user": ("quality", "/users?role=lab_tech&limit=1", {}, "code"),
    "deviation": ("quality", "/deviations?limit=1", {}, "code"),
    "recall": ("quality", "/recalls?limit=1", {}, "id"),
    "excursion": ("quality", "/excursions?limit=1", {}, "code"),
    "alarm": ("quality", "/alarms?limit=1", {}, "code"),
    "adverse": ("quality", "/adverse-events?limit=1", {}, "deviation"),
    "pending": ("quality", "/pending-acts?limit=1", {}, "id"),
    "sensor": ("quality", "/sensors?limit=1", {}, "code"),
    "closing": ("quality", "/closings?limit=1", {}, "id"),
    "issued": ("quality", "/withdrawals?state=issued&limit=1", {}, "code"),
    "given": ("quality", "/withdrawals?state=administered&limit=1", {}, "code"),
}

SCANNED = ("box", "tube", "fresh", "on_its_way")
"""What is scanned into the list before its page is pictured: an empty one shows nothing of what it does."""


class Demo:
    """A running demonstration and its logins."""

    def __init__(self, answer: dict[str, Any]) -> None:
        self.url: str = answer["url"]
        self.logins: dict[str, dict[str, str]] = answer["logins"]

    def things(self) -> dict[str, str]:
        """Codes by the names that the walk uses; what this demonstration does not have is left out."""
        clients = {role: self._client(role) for role in {role for role, *_ in FOUND_IN.values()}}
        found: dict[str, str] = {}
        for name, (role, path, wanted, key) in FOUND_IN.items():
            answer = clients[role].get(path)
            items = answer.json().get("items", []) if answer.status_code == 200 else []
            for item in items:
                if all(item.get(member) == value for member, value in wanted.items()):
                    found[name] = item[key]
                    break
        for client in clients.values():
            client.close()
        return found

    def _client(self, role: str) -> httpx.Client:
        login = self.logins[role]
        data = {"username": login["username"], "password": login["password"]}
        token = httpx.post(f"{self.url}/api/v1/auth/token", data=data, timeout=30).json()["access_token"]
        return httpx.Client(base_url=f"{self.url}/api/v1", headers={"Authorization": f"Bearer {token}"}, timeout=30)

    def log_in(self, page: Page, role: str) -> None:
        """Go through the door."""
        page.goto("/login")
        page.locator("[name=username]").fill(self.logins[role]["username"])
        page.locator("[name=password]").fill(self.logins[role]["password"])
        page.locator("main form button[type=submit]").click()
        page.wait_for_url(f"{self.url}/")


def fill_scan_list(page: Page, codes: Sequence[str]) -> None:
    """Scan codes into the list as a gun does; each has its verdict before the next comes."""
    page.locator("html[data-list-ready]").wait_for(state="attached")
    for code in codes:
        scan_code(page, code)
        seen = page.locator("#scan-place-name:not(:empty)" if code.startswith("BX") else f".tube-code:text-is('{code}')")
        seen.first.wait_for()


def visits(only: list[str], roles: list[str]) -> Iterator[tuple[str | None, list[Stop]]]:
    """The stops to picture by role: each page once, as the first role that has it, but Today as everyone."""
    by_role: dict[str | None, list[Stop]] = {}
    for stop in STOPS:
        takers: tuple[str | None, ...] = stop.roles or (None,)
        for role in takers if stop.path == "/" else takers[:1]:
            if (not only or any(word in stop.name for word in only)) and (not roles or role in roles):
                by_role.setdefault(role, []).append(stop)
    yield from by_role.items()


def shoot(browser: Browser, demo: Demo, things: dict[str, str], asked: argparse.Namespace) -> list[str]:
    """Take the pictures; return what could not be pictured."""
    missing: list[str] = []
    for role, stops in visits(asked.only, asked.roles):
        context = browser.new_context(base_url=demo.url)
        if role is not None:
            demo.log_in(context.new_page(), role)
        kept = context.storage_state()
        context.close()
        for shape in asked.shapes:
            context = browser.new_context(base_url=demo.url, storage_state=kept, reduced_motion="reduce", **SHAPES[shape])
            page = context.new_page()
            for stop in stops:
                name = f"{stop.name.replace('{', '').replace('}', '')}-{role or 'stranger'}-{shape}.png"
                try:
                    answer = page.goto(stop.path.format(**things))
                except KeyError as thing:
                    missing.append(f"{stop.path}: this demonstration has no {thing}")
                    continue
                if stop.path == "/scan":
                    fill_scan_list(page, [things[name] for name in SCANNED if name in things])
                if answer is None or answer.status != stop.status:
                    missing.append(f"{stop.path} as {role}: {answer.status if answer else 'no answer'}")
                page.screenshot(path=asked.out / name, full_page=not asked.window)
            context.close()
    return sorted(set(missing))


def main() -> int:
    """Parse the words, take the pictures, say what is missing."""
    words = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    words.add_argument("--demo", type=Path, default=Path("var/demo.json"), help="the demonstration's file of logins")
    words.add_argument("--out", type=Path, default=Path("var/screenshots"))
    words.add_argument("--only", type=lambda text: text.split(","), default=[], help="parts of page names, with commas")
    words.add_argument("--roles", type=lambda text: text.split(","), default=[])
    words.add_argument("--shapes", type=lambda text: text.split(","), default=list(SHAPES))
    words.add_argument("--window", action="store_true", help="only what the window shows, not the whole page")
    asked = words.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    demo = Demo(json.loads(asked.demo.read_text()))
    with sync_playwright() as playwright:
        chromium = find_chromium(playwright)
        if chromium is None:
            sys.exit("No Chromium found. Install chromium or set BIOBANK_TEST_CHROMIUM.")
        browser = launch(playwright, chromium)
        missing = shoot(browser, demo, demo.things(), asked)
        browser.close()
    print("\n".join([f"Pictures in {asked.out}.", *missing]))
    return 1 if missing else 0


if __name__ == "__main__":
    sys.exit(main())
