"""Whatever a browser, or something that says it is one, sends to a page: it is answered, and never with a fault of ours."""

import random
import re
from pathlib import Path

import pytest

import biobank.pages.ui
from biobank.registries.routes import PAGES
from tests import seed
from tests.conftest import Api
from tests.pages.visitor import Visit

TEMPLATES = Path(biobank.pages.ui.__file__).parent / "templates"
NAMES = sorted({name for path in TEMPLATES.rglob("*.html") for name in re.findall(r'name="([a-z_]{1,40})"', path.read_text())})
"""The fields that forms of this bank have."""
VALUES = [
    *(
        "",
        " ",
        "0",
        "-1",
        "1.0",
        "true",
        "null",
        "NaN",
        "1e999",
        "9" * 30,
        "٣",
        "١٢",
        "2026-13-45",
        "2026-11-29T25:61",
        "0000-00-00",
    ),
    *(
        "AD26-0000000",
        "BX-0000000",
        "US-0000000",
        "LAB",
        "[]",
        "{}",
        '{"a":',
        "[" * 50,
        "a" * 5000,
        "%00",
        "%ff%fe",
        "%ED%A0%80",
        "%0d%0a",
    ),
    *(
        "\u202e",
        "\ufffd",
        "\U0001f9ea",
        "İ",
        "<script>",
        "{{ 7*7 }}",
        "'; --",
        "../../etc/passwd",
        "a|b|c",
        "PS-0000000|AD26-0000000",
    ),
]
HIDDEN = {"csrf_token", "idempotency_key"}


def strange(chance: random.Random) -> str:
    """A form's body, percent-encoded by hand, so that it may also be none."""
    parts = [f"{name}={chance.choice(VALUES)}" for name in chance.sample(NAMES, 25) if name not in HIDDEN]
    parts += [chance.choice(parts), "=", "&&", "nameless", f"{chance.choice(VALUES)}=1"]
    return "&".join(parts)


@pytest.mark.parametrize("role", ["admin", "lab_tech"])
def test_no_form_makes_a_page_fail(api: Api, visit: Visit, role: str) -> None:
    chance = random.Random(f"20261129 {role}")
    codes = {"code": "AD26-0000000", "username": seed.USERS["lab_tech"].code}
    wrong = []
    visitor = visit(role)
    token = re.search(r'name="csrf_token" value="([^"]+)"', visitor.get_page("/account"))
    assert token is not None
    posts = [route.path for route in PAGES.routes if "POST" in getattr(route, "methods", ())]  # type: ignore[attr-defined]
    for path in posts:
        if path in ("/login", "/logout"):
            continue
        address = re.sub(r"\{(\w+)[^}]*\}", lambda found: codes.get(found[1], chance.choice(["x", "1", "AD26-0000000"])), path)
        body = f"csrf_token={token[1]}&idempotency_key={chance.random()}&{strange(chance)}".encode()
        kind = "application/json" if chance.random() < 0.1 else "application/x-www-form-urlencoded"
        answer = visitor.post(address, content=body, headers={"Content-Type": kind}, follow_redirects=False)
        if answer.status_code >= 500:
            wrong.append((address, answer.status_code, body))
    assert len(posts) > 50
    assert wrong == []
