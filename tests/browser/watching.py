"""What a page must never do, collected while a test drives it: script errors, console errors, breaches of the policy."""

from typing import Any

from playwright.sync_api import BrowserContext, Page

from biobank.pages.ui.security import CONTENT_SECURITY_POLICY

# A page under a strict policy reports what it refused by an event; the console repeats most of them, but not all.
REPORT = """document.addEventListener('securitypolicyviolation', (e) =>
  console.error(`policy: ${e.violatedDirective} ${e.blockedURI} ${e.sourceFile ?? ''}:${e.lineNumber} ${e.sample}`));"""

# Chromium notes every refused form and fetch as an error, and every request that a test's broken network lost: both are what
# a test asks for.
EXPECTED = ("Failed to load resource: the server responded with a status of 4", "Failed to load resource: net::ERR_")


class Watch:
    """Collects the faults of every page of the contexts given to it; `answers` are (method, address, status) as they came."""

    def __init__(self) -> None:
        self.faults: list[str] = []
        self.answers: list[tuple[str, str, int]] = []

    def over(self, context: BrowserContext) -> BrowserContext:
        """Watch a context and every page it opens."""
        context.add_init_script(REPORT)
        context.on("page", self._page)
        return context

    def _page(self, page: Page) -> None:
        page.on("pageerror", lambda error: self.faults.append(f"{page.url}: {error}"))
        page.on("console", lambda message: self._console(page, message))
        page.on("response", self._response)

    def _console(self, page: Page, message: Any) -> None:
        if message.type == "error" and not message.text.startswith(EXPECTED):
            self.faults.append(f"{page.url}: {message.text}")

    def _response(self, response: Any) -> None:
        self.answers.append((response.request.method, response.url, response.status))
        if response.status >= 500:
            self.faults.append(f"{response.status} from {response.url}")
        ours = "text/html" in response.headers.get("content-type", "")
        if ours and response.headers.get("content-security-policy") != CONTENT_SECURITY_POLICY:
            self.faults.append(f"no policy on {response.url}")
