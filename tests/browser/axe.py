"""axe-core, run inside a page under the page's own policy.

The engine is evaluated through the debugger, which a content security policy does not govern; the page's policy stays on, and
what the page itself breaks is still reported.
"""

from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from playwright.sync_api import Page

WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]

_RUN = """(options) => axe.run(document, options).then((r) => r.violations.map((v) => [v.id, v.impact, v.help,
  v.nodes.slice(0, 5).map((n) => `${n.target.join(' ')} :: ${(n.any[0] ?? n.all[0] ?? n.none[0])?.message ?? ''}`)]))"""


@cache
def _engine() -> str:
    # Only the engine: the package's own runner puts it into the page by a way that the policy forbids.
    found = find_spec("axe_playwright_python")
    assert found is not None and found.origin is not None
    return (Path(found.origin).parent / "axe.min.js").read_text()


def _run(page: Page, run_only: dict[str, Any]) -> list[str]:
    # Colours that are still fading in would be judged half way.
    page.evaluate("() => document.getAnimations().forEach((a) => a.finish())")
    if not page.evaluate("() => 'axe' in window"):
        session = page.context.new_cdp_session(page)
        session.send("Runtime.evaluate", {"expression": f"{_engine()};0"})
        session.detach()
    options = {"runOnly": run_only, "resultTypes": ["violations"], "preload": False}
    return [f"{rule} ({impact}): {text} {nodes}" for rule, impact, text, nodes in page.evaluate(_RUN, options)]


def violations(page: Page) -> list[str]:
    """Return what breaks WCAG 2.2 AA or axe's best practice on the page as it stands, one line a rule; empty when clean."""
    return _run(page, {"type": "tag", "values": WCAG})


def contrast_violations(page: Page) -> list[str]:
    """Return contrast faults only: what another colour scheme can break."""
    return _run(page, {"type": "rule", "values": ["color-contrast"]})
