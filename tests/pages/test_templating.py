"""What every page promises: escaped, complete, with the headers, without inline code; and the menu by permission."""

import asyncio
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import httpx
import jinja2
import pytest
from fastapi import Request
from starlette.applications import Starlette
from starlette.routing import Mount

from biobank.auth.actor import Actor, RoleGrant
from biobank.auth.permissions import Role
from biobank.foundation import clock
from biobank.foundation.terms import LOOKS
from biobank.pages.ui import templating
from biobank.pages.ui.assets import STATIC, STATIC_DIR, STATIC_PREFIX, VersionedStatic, folder_hash
from biobank.pages.ui.nav import SECTIONS, NavItem, crumbs_for, nav_for, parts_for
from biobank.pages.ui.parts import ActionLink, BoxGrid, BoxPlace, Column, DrawnStep, Entry, Flash
from biobank.pages.ui.styleguide_samples import sample_context

HOSTILE = "<script>alert('1')</script>\"'&"
EXACT_POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; object-src 'none'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
)


def request_for(path: str = "/styleguide", query: str = "", cookie: str = "", **state: Any) -> Request:
    headers = [(b"cookie", cookie.encode())] if cookie else []
    return Request(
        {
            "type": "http",
            "method": "GET",
            "path": path,
            "query_string": query.encode(),
            "headers": headers,
            "server": ("bank.test", 80),
            "scheme": "http",
            "state": state,
        }
    )


def actor_with(*roles: Role) -> Actor:
    return Actor("US-TEST", frozenset(RoleGrant(role, None) for role in roles))


@pytest.fixture
def page(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., str]:
    """Draw a template given as text, inside the real layout, with the real components."""
    directory = tmp_path / "templates"
    directory.mkdir()
    environment = templating.make_environment(templating.TEMPLATES_DIR)
    loaders = [jinja2.FileSystemLoader(directory), jinja2.FileSystemLoader(templating.TEMPLATES_DIR)]
    environment.loader = jinja2.ChoiceLoader(loaders)
    monkeypatch.setattr(templating, "_environment", environment)

    def draw(body: str, request: Request | None = None, **context: Any) -> str:
        text = "{% extends 'layout.html' %}{% block content %}" + body + "{% endblock %}"
        (directory / "sample.html").write_text(text)
        environment.cache.clear()  # type: ignore[union-attr]  # a cache is set unless it is switched off
        response = templating.render(request or request_for(csrf_token="token-1"), "sample.html", **context)
        return bytes(response.body).decode()

    return draw


def test_every_answer_carries_the_exact_policy_and_is_not_kept() -> None:
    response = templating.render(request_for(), "styleguide.html", **sample_context())
    assert response.headers["content-security-policy"] == EXACT_POLICY
    assert response.headers["cache-control"] == "no-store"
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["permissions-policy"].startswith("camera=(self), microphone=()")
    assert response.headers["referrer-policy"] == "same-origin"


def test_no_template_has_inline_code_or_inline_style() -> None:
    drawn = bytes(templating.render(request_for(actor=actor_with(*Role)), "styleguide.html", **sample_context()).body).decode()
    sources = {path.name: path.read_text() for path in templating.TEMPLATES_DIR.rglob("*.html")} | {"drawn": drawn}
    for name, text in sources.items():
        assert not re.search(r"<[^>]*\s(style|on\w+)\s*=", text), name
        assert not re.search(r"<style|javascript:", text), name
        assert not re.search(r"<script(?![^>]*\ssrc=)", text), name
        assert "://" not in text.replace("http://www.w3.org/2000/svg", ""), name


@pytest.mark.parametrize(
    "body",
    [
        "{{ ui.heading(x, code=x, lead=x) }}",
        "{{ ui.chip(x) }}{{ ui.chip('stored', x) }}",
        "{{ ui.facts([(x, x)]) }}",
        "{{ ui.breadcrumb([(x, '/a'), (x, none)]) }}",
        "{% call ui.card(x) %}{{ x }}{% endcall %}",
        "{{ ui.banner('stop', x, x) }}{{ ui.place_now(x) }}{{ ui.empty(x, x) }}",
        "{{ ui.table(x, [column], [{'key': x}]) }}",
        "{{ ui.table(x, [code_column], [{'key': x}]) }}",
        "{{ ui.field('n', x, value=x, hint=x, unit=x, error=x, placeholder=x) }}",
        "{{ ui.select('n', x, [(x, x)], value=x, hint=x) }}{{ ui.textarea('n', x, value=x) }}",
        "{{ ui.radios('n', x, [(x, x, x)]) }}{{ ui.checkbox('n', x, hint=x, value=x) }}{{ ui.scan_field('n', x, accepts=x) }}",
        "{% call ui.form(x, submit=x, confirm=x, cancel=x) %}{{ ui.signature(x, [(x, x)]) }}{% endcall %}",
        "{{ ui.timeline([entry]) }}{{ ui.steps([step]) }}{{ ui.acts([act, refused]) }}{{ ui.box_map(grid, choose_href=x) }}",
        "{{ ui.label_preview(x, x) }}{{ ui.stats([]) }}{{ ui.subnav([(x, x, true)], x) }}{{ ui.pagination(x) }}",
    ],
)
def test_every_component_escapes_what_it_is_given(page: Any, body: str) -> None:
    when = clock.now()
    drawn = page(
        body,
        x=HOSTILE,
        column=Column("key", HOSTILE),
        code_column=Column("key", HOSTILE, "code"),
        entry=Entry(
            HOSTILE, when, when, HOSTILE, 1, HOSTILE, False, HOSTILE, [(HOSTILE, HOSTILE)], HOSTILE, HOSTILE, True, HOSTILE, True
        ),
        step=DrawnStep(HOSTILE, "now", (HOSTILE,), when, HOSTILE),
        act=ActionLink(HOSTILE, HOSTILE, method="post", fields={HOSTILE: HOSTILE}, confirm=HOSTILE),
        refused=ActionLink(HOSTILE, HOSTILE, refused=HOSTILE),
        grid=BoxGrid("BX-1", 1, 2, {"A1": BoxPlace("A1", "taken", HOSTILE, words=HOSTILE)}),
        flashes=[Flash("ok", HOSTILE, HOSTILE)],
        errors={"n": HOSTILE},
    )
    assert "<script>alert" not in drawn
    assert "&lt;script&gt;alert" in drawn
    # Inside an attribute a raw double quote would end it; the hostile text's own one must not appear after `</script>`.
    assert '&lt;/script&gt;"' not in drawn


def test_a_hole_in_a_page_is_an_error_and_not_an_empty_place(page: Any) -> None:
    with pytest.raises(jinja2.UndefinedError):
        page("{{ never_given }}")
    with pytest.raises(jinja2.UndefinedError):
        page("{{ ui.table('t', [column], [{'other': 1}]) }}", column=Column("key", "Key"))


def test_every_form_carries_the_token_and_a_key_of_its_own(page: Any) -> None:
    drawn = page("{% call ui.form('/a', submit='Go') %}{% endcall %}{% call ui.form('/b', submit='Go') %}{% endcall %}")
    assert drawn.count('name="csrf_token" value="token-1"') == 2
    keys = re.findall(r'name="idempotency_key" value="([^"]+)"', drawn)
    assert len(set(keys)) == 2
    assert all(re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", key) for key in keys)


def test_every_post_form_of_the_components_carries_the_token() -> None:
    drawn = bytes(
        templating.render(request_for(actor=actor_with(*Role), csrf_token="token-1"), "styleguide.html", **sample_context()).body
    ).decode()
    forms = re.findall(r'<form[^>]*method="post".*?</form>', drawn, re.DOTALL)
    assert len(forms) > 3
    assert all('name="csrf_token" value="token-1"' in form for form in forms)


def test_a_field_shows_its_error_its_hint_and_never_a_password(page: Any) -> None:
    drawn = page(
        "{{ ui.field('volume_ul', 'Volume', value='1,5', hint='Whole number', unit='µL') }}"
        "{{ ui.field('password', 'Password', type='password', value='secret') }}",
        errors={"volume_ul": "Enter a whole number."},
    )
    assert 'aria-describedby="f-volume_ul-hint f-volume_ul-error"' in drawn
    assert 'aria-invalid="true"' in drawn
    assert 'href="#f-volume_ul"' in drawn
    assert "secret" not in drawn


def test_a_page_variable_named_like_a_component_breaks_nothing(page: Any) -> None:
    drawn = page("{{ ui.chip('stored') }}{{ icon }}{{ form }}", icon="my icon", form="my form")
    assert "my icon" in drawn
    assert "#tank" in drawn


def test_pagination_keeps_the_filters_of_the_address(page: Any) -> None:
    drawn = page("{{ ui.pagination('next-1') }}", request_for(query="state=stored&cursor=here&empty="))
    assert 'href="?state=stored&amp;cursor=next-1"' in drawn
    assert 'href="?state=stored"' in drawn


def test_acts_that_are_refused_say_why_and_cannot_be_pressed(page: Any) -> None:
    drawn = page("{{ ui.acts([act]) }}", act=ActionLink("Issue", "/issue", method="post", refused="Not released yet."))
    assert "Not released yet." in drawn
    assert 'action="/issue"' not in drawn
    assert 'href="/issue"' not in drawn


def test_the_lit_place_of_a_box_is_marked_for_eyes_and_for_screen_readers(page: Any) -> None:
    drawn = page(
        "{{ ui.box_map(grid) }}", grid=BoxGrid("BX-4T8N2WJ", 2, 2, {"B2": BoxPlace("B2", "held", "AD26-KH0KJQL")}, lit="B2")
    )
    assert drawn.count('aria-current="location"') == 1
    assert "B2, on hold, AD26-KH0KJQL, the place looked for" in drawn
    assert drawn.count('class="lit"') == 4  # the place, its row, its column, the legend


def test_the_menu_follows_permissions_and_begins_with_the_work_of_the_one_who_looks() -> None:
    assert [item.label for item in nav_for(actor_with(), "/")] == ["Today"]
    auditor = [item.label for item in nav_for(actor_with(Role.AUDITOR), "/")]
    assert auditor == ["Today", "Log", "Specimens", "Storage", "Donors", "Withdrawals", "Quality", "Users"]
    assert [item.label for item in nav_for(actor_with(Role.ADMIN), "/")][:4] == ["Today", "Storage", "Labels", "Users"]
    technician = {item.label for item in nav_for(actor_with(Role.LAB_TECH), "/")}
    assert technician.isdisjoint({"Log", "Users"})


def test_every_section_opens_for_some_role_and_every_list_is_in_one_section_only() -> None:
    assert len(nav_for(actor_with(*Role), "/")) == len(SECTIONS)
    lists = [part.href for section in SECTIONS for part in section.parts]
    assert len(lists) == len(set(lists))


def test_a_list_that_needs_every_site_is_not_shown_to_whoever_has_one() -> None:
    one_site = Actor("US-TEST", frozenset({RoleGrant(Role.AUDITOR, "LAB")}))
    shown = [href for item in nav_for(one_site, "/") for _, href, _ in item.parts]
    assert "/deviations" in shown and "/recalls" not in shown
    assert "/recalls" in [href for item in nav_for(actor_with(Role.AUDITOR), "/") for _, href, _ in item.parts]


def test_a_page_without_a_trail_of_its_own_leads_back_to_its_list_and_its_section() -> None:
    lab_tech = actor_with(Role.LAB_TECH)
    assert crumbs_for(lab_tech, "/kits/KT-1") == [("Specimens", "/specimens"), ("Kits", "/kits")]
    assert crumbs_for(lab_tech, "/donors/new") == [("Donors", "/donors")]
    assert crumbs_for(lab_tech, "/kits") == crumbs_for(lab_tech, "/") == crumbs_for(lab_tech, "/account") == []


@pytest.mark.parametrize(
    ("path", "active"),
    [
        ("/", "Today"),
        ("/storage", "Storage"),
        ("/storage/BX-1", "Storage"),
        ("/lots/LT-1", "Specimens"),
        ("/shipments", "Transport"),
        ("/storagex", None),
        ("/login", None),
    ],
)
def test_one_menu_entry_is_active_at_most(path: str, active: str | None) -> None:
    found = [item.label for item in nav_for(actor_with(*Role), path) if item.active]
    assert found == ([active] if active else [])


def test_a_list_stands_beside_the_other_lists_of_its_section_and_one_thing_does_not() -> None:
    quality = actor_with(Role.QUALITY)

    def beside(actor: Actor, path: str) -> Sequence[tuple[str, str, bool]]:
        return parts_for(nav_for(actor, path), path)

    assert ("Lots", "/lots", True) in beside(quality, "/lots")
    assert ("Registers", "/registers", False) in beside(quality, "/lots")
    assert beside(quality, "/lots/LT-1") == beside(quality, "/donors") == beside(actor_with(), "/lots") == []
    assert [part[0] for part in beside(actor_with(Role.ADMIN), "/users")] == [
        "Users",
        "Sites",
        "Stations",
        "API clients",
        "Messages that failed",
    ]
    alone = NavItem("Users", "/users", "users", True, (("Users", "/users", True),))
    assert parts_for([alone], "/users") == [], "one list alone is no choice"


def test_nobody_signed_in_sees_neither_menu_nor_find_box_nor_log_out() -> None:
    drawn = bytes(templating.render(request_for("/login"), "login.html", username="", next_url="/").body).decode()
    assert "/logout" not in drawn
    assert "data-find" not in drawn
    assert "scan.js" not in drawn


def test_an_error_page_says_what_to_do_and_where_the_tube_goes() -> None:
    problem = {
        "status": 409,
        "title": "Wrong tube",
        "detail": "It is another person's.",
        "code": "wrong_tube",
        "where_now": "Rack Q1",
    }
    response = templating.render_problem(request_for(actor=actor_with(Role.LAB_TECH)), problem)
    drawn = bytes(response.body).decode()
    assert response.status_code == 409
    for expected in ("Wrong tube", "It is another person", "wrong_tube", "Rack Q1", templating.next_step(409)):
        assert expected in drawn
    without = bytes(templating.render_problem(request_for(), {**problem, "where_now": None}).body).decode()
    assert "Where to put the tube now" not in without


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 409, 418, 422, 428, 429, 500, 502, 503])
def test_every_status_has_a_next_step(status: int) -> None:
    assert templating.next_step(status).endswith(".")


def test_every_icon_that_is_named_is_drawn() -> None:
    drawn = set(re.findall(r'<symbol id="([^"]+)"', (STATIC_DIR / "icons.svg").read_text()))
    page = bytes(templating.render(request_for(actor=actor_with(*Role)), "styleguide.html", **sample_context()).body).decode()
    used = set(re.findall(r'icons\.svg#([^"]+)"', page)) | {look.icon for look in LOOKS.values()} | {one.icon for one in SECTIONS}
    used |= {
        name for path in templating.TEMPLATES_DIR.rglob("*.html") for name in re.findall(r'icon\("([\w-]+)"', path.read_text())
    }
    assert used <= drawn


def test_gloves_come_from_the_device_s_cookie() -> None:
    context: dict[str, Any] = {"username": "", "next_url": "/"}
    assert 'class="gloves"' in bytes(templating.render(request_for(cookie="gloves=1"), "login.html", **context).body).decode()
    assert 'class="gloves"' not in bytes(templating.render(request_for(), "login.html", **context).body).decode()


class TestStaticFiles:
    @staticmethod
    def get(path: str, **headers: str) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(Starlette(routes=[Mount(STATIC_PREFIX, STATIC)]))
            async with httpx.AsyncClient(transport=transport, base_url="http://bank.test") as client:
                return await client.get(path, headers=headers)

        return asyncio.run(ask())

    def test_the_present_version_is_kept_for_a_year(self) -> None:
        answer = self.get(STATIC.url("scan.js"))
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert answer.headers["content-type"].startswith("text/javascript")

    def test_a_file_of_text_is_packed_for_whoever_takes_it_so(self) -> None:
        plain = self.get(STATIC.url("app.css"), **{"accept-encoding": "identity"})
        packed = self.get(STATIC.url("app.css"), **{"accept-encoding": "br, gzip"})
        assert "content-encoding" not in plain.headers and packed.headers["content-encoding"] == "gzip"
        assert packed.content == plain.content and plain.headers["vary"] == packed.headers["vary"] == "Accept-Encoding"
        assert int(packed.headers["content-length"]) * 3 < int(plain.headers["content-length"])
        assert "content-encoding" not in self.get(STATIC.url("app.css"), **{"accept-encoding": "gzip;q=0"}).headers
        known = {"accept-encoding": "gzip", "if-none-match": packed.headers["etag"]}
        assert self.get(STATIC.url("app.css"), **known).status_code == 304

    def test_another_version_gets_the_present_file_and_must_ask_again(self) -> None:
        answer = self.get(f"{STATIC_PREFIX}/{'0' * 16}/app.css")
        assert answer.status_code == 200
        assert answer.headers["cache-control"] == "no-cache"

    def test_nothing_outside_the_folder_is_served(self) -> None:
        assert self.get(f"{STATIC_PREFIX}/{STATIC.version}/../templates/layout.html").status_code == 404
        assert self.get(f"{STATIC_PREFIX}/{STATIC.version}/%2e%2e/templates/layout.html").status_code == 404

    def test_the_version_changes_with_any_byte_and_any_name(self, tmp_path: Path) -> None:
        (tmp_path / "a.js").write_text("1")
        first = folder_hash(tmp_path)
        (tmp_path / "a.js").write_text("2")
        second = folder_hash(tmp_path)
        (tmp_path / "a.js").rename(tmp_path / "b.js")
        assert len({first, second, folder_hash(tmp_path)}) == 3
        assert VersionedStatic(tmp_path).url("b.js") == f"/static/{folder_hash(tmp_path)}/b.js"
