"""Every act of the API that a person performs is done on a page too, by the same use case."""

import ast
import importlib
import inspect
import pkgutil
import textwrap
from collections.abc import Iterator
from types import ModuleType
from typing import Any

from fastapi.routing import APIRoute

from biobank import pages
from biobank.registries.routes import PAGES, ROUTERS
from biobank.withdrawals.steps import STEPS

BY_PROGRAMS = {
    "POST /auth/refresh": "a program keeps its sign-in alive; a browser's lasts as long as it is used",
    "POST /sensor-readings": "sensors post what they read",
    "POST /scans": "what a code means is asked by the bench's own program; a page asks with the same function",
    "POST /custody-events": "events gathered by a program; a person's scan list is committed as one",
}
"""Act → why no person performs it on a page."""
BY_OTHER_NAMES = {
    "POST /auth/logout": "/logout",
    "POST /auth/password": "/first-login",
    "POST /auth/second-factor": "/account/second-factor",
    "POST /auth/second-factor/confirm": "/account/second-factor/confirm",
    "POST /auth/second-factor/remove": "/account/second-factor/remove",
    "POST /auth/passkeys": "/account/passkeys",
    "POST /auth/passkeys/{passkey}/remove": "/account/passkeys/remove",
    "POST /auth/sessions/end-others": "/account/sessions/end",
    "POST /auth/sessions/{session_id}/end": "/account/sessions/end",
    "POST /auth/token": "/login",
    "POST /donors/search": "/donors/search",
    "POST /scans/decode": "/scans/decode",
    "POST /sensors/{code}/key/draw": "/sensors/{code}/draw",
    "POST /api-clients/{code}/key/draw": "/api-clients/{code}/draw",
    "DELETE /fhir/{release}/$export-status/{job}": "/jobs/{identity}/cancel",
    "POST /slips/{slip}/draw": "/slips/{slip}",
    "POST /webhooks/{code}/secret": "/webhooks/{code}/secret",
    "POST /storage-containers": "/storage/new",
    "POST /storage-containers/{code}/placements": "/scan/commit",
    "POST /bench-sessions/{code}/scans": "/scan/commit",
    # The password that signs stands in the form of the act itself.
    "POST /signatures": "/withdrawals/{code}/approve",
}
"""Act → the page that does it in its own way: several acts at once, or the session of a browser instead of a token."""


def named_in(module: ModuleType) -> Iterator[Any]:
    """Every function that the source of a module names."""
    for node in ast.walk(ast.parse(inspect.getsource(module))):
        if isinstance(node, ast.Name | ast.Attribute):
            found = resolved(node, module)
            if inspect.isfunction(found):
                yield found


def resolved(node: ast.expr, module: ModuleType) -> Any:
    """What a dotted name means in a module; None for what is no such name."""
    if isinstance(node, ast.Name):
        return vars(module).get(node.id)
    if isinstance(node, ast.Attribute):
        return getattr(resolved(node.value, module), node.attr, None)
    return None


def performed_by(route: APIRoute) -> Any:
    """The use case of a route: what its endpoint hands to `performing`."""
    module = inspect.getmodule(route.endpoint)
    assert module is not None
    for node in ast.walk(ast.parse(textwrap.dedent(inspect.getsource(route.endpoint)))):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "performing":
            return resolved(node.args[0], module)
    return None


def acts() -> dict[str, Any]:
    """METHOD and address of every act of the API → its use case, or None where the endpoint does more than hand one on."""
    return {
        f"{method} {route.path.removeprefix('/api/v1')}": performed_by(route)
        for router in ROUTERS
        if router is not PAGES
        for route in router.routes
        if isinstance(route, APIRoute)
        for method in sorted((route.methods or set()) - {"GET", "HEAD"})
    }


def done_on_pages() -> set[Any]:
    """Every function that a page names, and the use cases of the steps of a withdrawal, each of which has a page."""
    found = pkgutil.walk_packages(pages.__path__, f"{pages.__name__}.")
    named = {function for one in found for function in named_in(importlib.import_module(one.name))}
    return named | {step.use_case for step in STEPS.values()}


def test_every_act_that_a_person_performs_has_a_page() -> None:
    on_pages = done_on_pages()
    left = {act for act, use_case in acts().items() if use_case is None or use_case not in on_pages}
    assert left == BY_PROGRAMS.keys() | BY_OTHER_NAMES.keys()


def test_pages_that_act_in_their_own_way_are_there() -> None:
    posts = {route.path for route in PAGES.routes if isinstance(route, APIRoute) and "POST" in (route.methods or ())}
    assert set(BY_OTHER_NAMES.values()) <= posts
