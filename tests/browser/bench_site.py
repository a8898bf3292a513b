"""A small site that serves the pages' own files under the pages' own policy, for what a gun and a camera do to any page."""

import io
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn
import zxingcpp
from fastapi import FastAPI, Request
from fastapi.responses import HTMLResponse, JSONResponse
from PIL import Image

from biobank.auth.actor import Actor, RoleGrant
from biobank.auth.permissions import Role
from biobank.pages.ui.assets import STATIC, STATIC_PREFIX
from biobank.pages.ui.security import security_headers
from biobank.pages.ui.styleguide import router
from biobank.pages.ui.templating import render

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


@contextmanager
def running_site() -> Iterator[Site]:
    """Serve the small site."""
    site = Site()
    server = uvicorn.Server(uvicorn.Config(make_site_app(site), host="127.0.0.1", port=0, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    deadline = time.monotonic() + 60
    while not server.started:
        assert time.monotonic() < deadline, "the test site did not start"
        time.sleep(0.02)
    port = server.servers[0].sockets[0].getsockname()[1]
    site.url = f"http://127.0.0.1:{port}"
    yield site
    server.should_exit = True
    thread.join(10)
