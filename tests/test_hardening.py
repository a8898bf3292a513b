"""What holds for the whole program, answer by answer and call by call: heads of answers, cookies, dangerous calls, hashes."""

import ast
import asyncio
import re
import ssl
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import httpx
import pytest
from fastapi.routing import APIRoute
from sqlalchemy import text
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from biobank.app import create_app
from biobank.auth import one_time
from biobank.foundation import clock
from biobank.foundation.config import Settings
from biobank.operations.supervisor import web_command
from biobank.registries.routes import PAGES, ROUTERS
from tests import seed
from tests.conftest import Api, TestBank
from tests.test_architecture import dependencies

ROOT = Path(__file__).resolve().parent.parent
SOURCES = {path.relative_to(ROOT).as_posix(): path.read_text() for path in sorted((ROOT / "biobank").rglob("*.py"))}
UI = ROOT / "biobank" / "pages" / "ui"
SCRIPTS = {path.name: path.read_text() for path in sorted((UI / "static").glob("*.js"))}
TEMPLATES = {path.name: path.read_text() for path in sorted((UI / "templates").rglob("*.html"))}

DANGEROUS = {"eval", "exec", "compile", "__import__", "os.system", "os.popen", "pickle.loads", "pickle.load", "marshal.loads"}
DANGEROUS |= {"yaml.load", "shelve.open", "tempfile.mktemp", "environment.from_string", "jinja2.Template"}
HASHES = {"sha256", "blake2b", "blake2s"}


def calls(source: str) -> Iterator[ast.Call]:
    yield from (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call))


def test_nothing_runs_text_as_code_and_no_shell_is_asked() -> None:
    """Nor is anything read that says itself what it is made of (pickles), nor a template made of text that came in."""
    found = {(name, ast.unparse(call.func)) for name, source in SOURCES.items() for call in calls(source)}
    shells = [name for name, source in SOURCES.items() for c in calls(source) for k in c.keywords if k.arg == "shell"]

    assert {(name, called) for name, called in found if called in DANGEROUS} == set()
    assert shells == []
    assert ("biobank/postgres/backup.py", "subprocess.run") in found, "this look would see them"


def test_hashes_are_of_the_approved_kinds_only() -> None:
    named = {
        (name, node.attr)
        for name, source in SOURCES.items()
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "hashlib"
    }

    # Lists of breached passwords are published as SHA-1; nothing rests on it.
    assert {one for one in named if one[1] not in HASHES} == {("biobank/auth/breaches.py", "sha1")}
    assert {"sha256", "blake2b"} <= {one for _, one in named}


def test_unguessable_values_come_from_the_systems_generator() -> None:
    """`random` draws the demonstration's data and nothing else."""
    using = {
        name
        for name, source in SOURCES.items()
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.Import) and any(alias.name == "random" for alias in node.names)
    }

    assert {name for name in using if not name.startswith("biobank/demo/")} == set()


def test_scripts_run_no_text_and_put_html_in_one_place_only() -> None:
    forbidden = re.compile(
        r"\beval\(|new Function|document\.write|insertAdjacentHTML|outerHTML\s*=|set(?:Timeout|Interval)\(\s*[\"'`]"
    )
    with_html = {name for name, source in SCRIPTS.items() if re.search(r"innerHTML\s*\+?=", source)}

    assert {name: found for name, source in SCRIPTS.items() if (found := forbidden.findall(source))} == {}
    assert with_html == {"list.js"}, "the list of scans, which the bank has drawn"
    assert not any(re.search(r"__proto__|Object\.assign\(\s*Object\.prototype", source) for source in SCRIPTS.values())


def test_password_fields_are_masked_and_take_what_a_manager_fills_in() -> None:
    fields = [
        (name, line)
        for name, source in TEMPLATES.items()
        for line in source.splitlines()
        if re.search(r"autocomplete=\"(current|new)-password\"", line)
    ]

    assert len(fields) >= 5
    assert [(name, line) for name, line in fields if 'type="password"' not in line] == []
    assert not any("onpaste" in source for source in TEMPLATES.values())
    assert [name for name, source in SCRIPTS.items() if "clipboardData" in source or re.search(r"[\"']paste[\"']", source)] == []


HEADERS = {
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}
ANSWERS: dict[str, Callable[[Api], httpx.Response]] = {
    "a page": lambda api: httpx.get(f"{api.url}/login"),
    "a redirect": lambda api: httpx.get(f"{api.url}/", headers={"Accept": "text/html"}),
    "an answer of the API": lambda api: api.lab_tech.get("/specimens"),
    "not signed in": lambda api: httpx.get(f"{api.url}/api/v1/specimens"),
    "not there": lambda api: httpx.get(f"{api.url}/nothing"),
    "another method": lambda api: httpx.request("TRACE", f"{api.url}/login"),
    "a body that is too large": lambda api: httpx.post(f"{api.url}/login", content=b"x" * 100_000),
    "a file": lambda api: httpx.get(httpx.URL(api.url).join(static_of(api))),
    "another host": lambda api: httpx.get(f"{api.url}/login", headers={"Host": "evil.example"}),
}


def static_of(api: Api) -> str:
    found = re.search(r'href="(/static/[^"]+\.css)"', httpx.get(f"{api.url}/login").text)
    assert found is not None
    return found[1]


@pytest.mark.parametrize("name", ANSWERS)
def test_every_kind_of_answer_carries_the_policy_and_opens_itself_to_no_other_origin(api: Api, name: str) -> None:
    answer = ANSWERS[name](api)

    policy = answer.headers["content-security-policy"]
    assert {header: answer.headers.get(header) for header in HEADERS} == HEADERS
    assert all(word in policy for word in ("object-src 'none'", "base-uri 'none'", "frame-ancestors 'none'"))
    assert not [header for header in answer.headers if header.startswith("access-control-")]
    if answer.content:
        kind = answer.headers["content-type"]
        assert "json" in kind or "charset=utf-8" in kind.lower(), kind


def test_a_preflight_of_another_origin_is_given_nothing(api: Api) -> None:
    asked = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}

    answer = httpx.options(f"{api.url}/api/v1/scans", headers=asked)

    assert answer.status_code == 405
    assert not [header for header in answer.headers if header.startswith("access-control-")]


def test_trace_is_no_method_of_any_address(api: Api) -> None:
    for path in ("/login", "/healthz", "/api/v1/specimens", "/nothing"):
        assert httpx.request("TRACE", f"{api.url}{path}").status_code in (404, 405), path


def test_under_tls_every_cookie_of_the_server_is_bound_to_the_host(
    make_bank: Callable[..., TestBank], serve: Callable[[TestBank], str]
) -> None:
    with httpx.Client(base_url=serve(make_bank(secure_cookies=True)), headers={"Accept": "text/html"}) as browser:
        door = browser.get("/login").headers["set-cookie"]
        pair = door.split(";")[0]
        form = {"username": "lab_tech", "password": seed.PASSWORD, "csrf_token": pair.partition("=")[2]}
        answer = browser.post("/login", data=form, headers={"Cookie": pair})
    cookies = [door, *answer.headers.get_list("set-cookie")]

    assert answer.status_code == 303
    assert {cookie.partition("=")[0] for cookie in cookies} == {"__Host-sign_in", "__Host-session", "__Host-device"}
    for cookie in cookies:
        assert all(word in cookie for word in ("Secure", "HttpOnly", "Path=/")), cookie
        assert "domain" not in cookie.lower()


def signed_in(browser: httpx.Client) -> str:
    """Sign in as a browser does; return its session cookie."""
    token = re.search(r'name="csrf_token" value="([^"]+)"', browser.get("/login").text)
    assert token is not None
    form = {"username": "lab_tech", "password": seed.PASSWORD, "csrf_token": token[1]}
    assert browser.post("/login", data=form).status_code == 303
    return browser.cookies["session"]


def test_signing_in_again_ends_what_was_open_in_that_browser(
    make_bank: Callable[..., TestBank], serve: Callable[[TestBank], str]
) -> None:
    url = serve(make_bank(secure_cookies=False))

    def page(cookie: str) -> int:
        return httpx.get(f"{url}/account", headers={"Accept": "text/html", "Cookie": f"session={cookie}"}).status_code

    with httpx.Client(base_url=url, headers={"Accept": "text/html"}) as browser:
        first = signed_in(browser)
        assert page(first) == 200
        second = signed_in(browser)

    assert first != second
    assert (page(first), page(second)) == (303, 200)


def test_a_password_does_not_run_out(api: Api) -> None:
    clock.set_offset(timedelta(days=3 * 365), test_mode=True)

    answer = httpx.post(f"{api.url}/api/v1/auth/token", data={"username": "lab_tech", "password": seed.PASSWORD})

    assert answer.status_code == 200


CIPHERS = {"AESGCM", "Fernet", "MultiFernet"}
"""Authenticated both: AES-GCM, and AES-CBC with HMAC-SHA-256."""


def test_ciphers_are_authenticated_and_signatures_of_two_curves() -> None:
    taken: dict[str, set[str]] = {}
    for source in SOURCES.values():
        for node in ast.walk(ast.parse(source)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("cryptography."):
                taken.setdefault((node.module or "").removeprefix("cryptography."), set()).update(a.name for a in node.names)

    assert {name for module in taken if "ciphers" in module or module == "fernet" for name in taken[module]} == CIPHERS
    assert {module for module in taken if "asymmetric" in module} <= {
        "hazmat.primitives.asymmetric",
        "hazmat.primitives.asymmetric.ed25519",
    }
    assert taken["hazmat.primitives.asymmetric"] == {"ec"}


def test_the_application_is_never_in_debug_mode(api: Api) -> None:
    made = create_app(api.test_bank.bank)

    assert made.debug is False
    assert Settings().test_mode is False


def test_no_question_of_the_server_follows_a_redirect() -> None:
    """httpx follows none unless it is told to."""
    told = [name for name, source in SOURCES.items() for c in calls(source) for k in c.keywords if k.arg == "follow_redirects"]
    seen = {ast.unparse(c.func) for c in calls(SOURCES["biobank/transparency/witnessing.py"])}

    assert told == []
    assert "httpx.post" in seen, "this look would see them"


async def address_behind(setting: str, peer: str, claimed: str) -> str:
    """Say whose address the application sees, as the web server of these settings is started."""
    command = web_command(Settings(proxy_addresses=setting))
    believed = command[command.index("--forwarded-allow-ips") + 1]
    seen: list[str] = []

    async def application(scope: Any, _receive: Any, _send: Any) -> None:
        seen.append(scope["client"][0])

    scope = {"type": "http", "scheme": "http", "client": (peer, 1), "headers": [(b"x-forwarded-for", claimed.encode())]}
    await ProxyHeadersMiddleware(application, trusted_hosts=believed)(cast("Any", scope), cast("Any", None), cast("Any", None))
    assert "--no-proxy-headers" not in command
    return seen[0]


@pytest.mark.parametrize(
    ("peer", "sees"),
    [("10.1.2.3", "203.0.113.9"), ("192.0.2.7", "203.0.113.9"), ("198.51.100.1", "198.51.100.1"), ("127.0.0.1", "127.0.0.1")],
)
def test_a_callers_address_is_believed_of_our_proxies_only(peer: str, sees: str) -> None:
    assert asyncio.run(address_behind("10.0.0.0/8 192.0.2.7", peer, "203.0.113.9")) == sees


def test_acts_are_posted_and_what_a_question_writes_is_that_it_was_asked() -> None:
    """Who makes a browser fetch an address acts in nobody's name. A GET runs a use case only to say what was read."""
    acting = {"performer", "page_performer", "disclosing", "proven_key"}
    routes = [route for router in ROUTERS for route in router.routes] + list(PAGES.routes)
    got = {
        route.path
        for route in routes
        if isinstance(route, APIRoute) and "GET" in (route.methods or ()) and acting & set(dependencies(route.dependant))
    }
    posted = [route for route in routes if isinstance(route, APIRoute) and acting & set(dependencies(route.dependant))]

    assert got == {
        "/api/v1/donors/{code}/death",
        "/api/v1/donors/{code}/identity",
        "/api/v1/donors/{code}/proposed-identity",
        "/api/v1/donors/{code}/safety-contact",
        "/api/v1/entries/{leaf_hash}/words",
        "/api/v1/specimens/{code}/notification-plan",
        "/api/v1/withdrawals/{code}/indication",
        "/api/v1/withdrawals/{code}/outcome-figures",
        "/fhir/{release}/$export",
        "/fhir/{release}/Patient/{code}",
        "/fhir/{release}/Patient/{code}/$everything",
    }
    assert len(posted) > 150


PROXY = (ROOT / "deploy" / "proxy" / "nginx.conf").read_text()


def test_the_proxys_file_names_new_protocols_good_ciphers_and_hsts_of_a_year() -> None:
    (protocols,) = re.findall(r"ssl_protocols (.+);", PROXY)
    (named,) = re.findall(r"ssl_ciphers (.+);", PROXY)
    (age,) = re.findall(r'Strict-Transport-Security "max-age=(\d+); includeSubDomains" always', PROXY)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers(named)
    twelve = [cipher for cipher in context.get_ciphers() if cipher["protocol"] != "TLSv1.3"]

    assert protocols.split() == ["TLSv1.2", "TLSv1.3"]
    assert {cipher["name"] for cipher in twelve} == set(named.split(":")), "each is one that OpenSSL knows"
    assert all(cipher["aead"] and cipher["kea"] == "kx-ecdhe" for cipher in twelve)
    assert int(age) >= 365 * 24 * 3600


def test_each_half_of_a_printed_code_has_eighty_random_bits() -> None:
    halves = {half for _ in range(250) for half in one_time.new_code().split(" ")}

    assert len(halves) == 500
    assert {len(half.replace("-", "")) for half in halves} == {16}
    assert len(set("".join(halves)) - {"-"}) == 32


def test_a_code_is_typed_in_any_way_and_its_halves_in_either_order_and_nothing_else_is_one() -> None:
    one, other = one_time.new_half(), one_time.new_half()
    digests = one_time.digest_of(one), one_time.digest_of(other)
    hashed = one_time.of_halves(*digests)

    assert hashed == one_time.of_halves(*reversed(digests))
    for typed in (f"{one} {other}", f"{other}{one}", f"{one}-{other}".lower(), f" {other.replace('-', '')}\t{one}"):
        assert one_time.as_typed(typed) == hashed
    for wrong in (one, other, f"{one} {one}", f"{other} {other}", hashed, hashed.upper(), digests[0].hex() + digests[1].hex()):
        assert one_time.as_typed(wrong) != hashed


def attempts(api: Api) -> list[tuple[str, str, int]]:
    read = text("SELECT actor_code, path, status FROM attempt ORDER BY id")
    return [tuple(row) for row in api.test_bank.write(lambda s: s.execute(read).all())]


def test_a_question_that_one_may_not_ask_is_kept_as_an_attempt(api: Api) -> None:
    assert api.lab_tech.get("/custody-log").status_code == 403

    assert attempts(api) == [(seed.USERS["lab_tech"].code, "/api/v1/custody-log", 403)]


def test_a_question_about_nothing_is_no_attempt(api: Api) -> None:
    assert api.lab_tech.get("/specimens/AD26-0000000").status_code in (404, 422)

    assert attempts(api) == []
