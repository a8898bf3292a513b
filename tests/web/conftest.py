"""A real Chromium and a small site that serves the pages' own files under the pages' own policy."""

import io
import os
import re
import shutil
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import uvicorn
import zxingcpp
from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse
from PIL import Image
from playwright.sync_api import Browser, Page, Playwright, sync_playwright

from biobank.auth.actor import Actor, RoleGrant
from biobank.auth.permissions import Role
from biobank.web.assets import STATIC, STATIC_PREFIX
from biobank.web.pages import router
from biobank.web.security import security_headers
from biobank.web.templating import render

ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
]

# The layout's parts that scan.js needs, and things a gun must not disturb.
BENCH = """<!doctype html><html lang="en"><head><title>Bench</title><link rel="icon" href="data:,">
<meta name="label-hosts" content="BANK.EXAMPLE"><meta name="csrf-token" content="token-1">
<script type="module" src="{scan}"></script><script type="module" src="{forms}"></script></head><body>
<form action="/find" method="get"><input id="find" name="q" data-find></form>
<div id="scan-status" role="status"></div>
<form action="/act" method="post" data-once{confirm}>
  <input id="note" name="note" value="so far"><textarea id="prose"></textarea>
  {fields}
  <button id="withdraw">Withdraw all</button>
</form>
<dialog id="confirm-dialog"><form method="dialog"><p id="confirm-text"></p>
<button value="no" autofocus>Go back</button><button id="yes" value="yes">Yes, do it</button></form></dialog>
</body></html>"""

FIELDS = {
    "plain": "",
    "scan": '<input id="tube" name="tube" data-scan-field="HF AD UN"><input id="box" name="box" data-scan-field="BX PS">',
    "submit": '<input id="tube" name="tube" data-scan-field="HF AD UN" data-scan-submit>',
}


@dataclass
class Site:
    """The small site: `posts` counts what reached it."""

    url: str = ""
    posts: list[dict[str, Any]] = field(default_factory=list)
    frames: int = 0
    hold_post_s: float = 0.0


def make_site_app(site: Site) -> FastAPI:
    app = FastAPI()

    @app.middleware("http")
    async def sign_in(request: Request, call_next: Any) -> Any:
        request.state.actor = Actor("US-TEST", frozenset({RoleGrant(Role.LAB_TECH, None)}))
        request.state.csrf_token = "token-1"
        response = await call_next(request)
        if not request.url.path.startswith(STATIC_PREFIX):
            security_headers(response)
        return response

    @app.get("/bench")
    async def bench(fields: str = "plain", confirm: str = "") -> HTMLResponse:
        confirmed = f' data-confirm="{confirm}"' if re.fullmatch(r"[\w ?]+", confirm) else ""
        urls = {"scan": STATIC.url("scan.js"), "forms": STATIC.url("forms.js")}
        return HTMLResponse(BENCH.format(fields=FIELDS[fields], confirm=confirmed, **urls))

    @app.get("/find")
    async def find(request: Request) -> HTMLResponse:
        return render(request, "first_login.html", minimum_length=12)

    @app.get("/bare")
    async def bare(request: Request) -> HTMLResponse:
        return render(request, "layout.html")

    @app.post("/act")
    async def act(request: Request) -> HTMLResponse:
        site.posts.append(dict(await request.form()))
        time.sleep(site.hold_post_s)
        return HTMLResponse("<!doctype html><title>Done</title>done")

    @app.post("/scans/decode")
    async def decode(request: Request) -> JSONResponse:
        body = await request.body()
        assert request.headers["content-type"] == "image/jpeg"
        assert request.headers["x-csrf-token"] == "token-1"
        assert request.headers["idempotency-key"]
        assert len(body) < 64_000
        site.frames += 1
        found = zxingcpp.read_barcodes(Image.open(io.BytesIO(body)))
        return JSONResponse({"text": found[0].text if found else None})

    app.include_router(router)
    app.mount(STATIC_PREFIX, STATIC)
    return app


@pytest.fixture(scope="session")
def site() -> Iterator[Site]:
    site = Site()
    server = uvicorn.Server(uvicorn.Config(make_site_app(site), host="127.0.0.1", port=0, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 20
    while not server.started:
        assert time.monotonic() < deadline, "the test site did not start"
        time.sleep(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    site.url = f"http://127.0.0.1:{port}"
    yield site
    server.should_exit = True
    thread.join(10)


# While Playwright runs, its event loop occupies the thread and `asyncio.run` elsewhere would fail: it lives for a module only.
@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as playwright:
        yield playwright


@pytest.fixture(scope="module")
def chromium(playwright: Playwright) -> str:
    """Return the Chromium to use: `BIOBANK_TEST_CHROMIUM`, one on the PATH, or Playwright's own."""
    for candidate in (os.environ.get("BIOBANK_TEST_CHROMIUM"), "chromium", "chromium-browser", "google-chrome"):
        if candidate and (found := shutil.which(candidate)):
            return found
    own = playwright.chromium.executable_path
    if not Path(own).exists():
        pytest.skip("NO CHROMIUM FOUND: browser tests did not run. Install chromium or set BIOBANK_TEST_CHROMIUM.")
    return own


@pytest.fixture(scope="module")
def browser(playwright: Playwright, chromium: str) -> Iterator[Browser]:
    browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
    yield browser
    browser.close()


@pytest.fixture
def tab(browser: Browser, site: Site) -> Iterator[Page]:
    """A fresh tab; the test fails on any script error or breach of the content security policy."""
    site.posts.clear()
    site.hold_post_s = 0.0
    context = browser.new_context(base_url=site.url)
    page = context.new_page()
    faults: list[str] = []
    page.on("pageerror", lambda error: faults.append(str(error)))
    page.on("console", lambda message: faults.append(message.text) if "Content Security Policy" in message.text else None)
    yield page
    context.close()
    assert faults == []
