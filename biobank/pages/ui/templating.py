"""Pages: one Jinja environment, one `render`.

Every template sees, without importing anything:

| name | is |
|---|---|
| `ui` | the components of `templates/ui/`, bound to this request |
| `actor` | the login, or None |
| `nav` · `parts` · `crumbs` | the menu for it; the lists beside this one; the way back of a page that gives none of its own |
| `job` | the page of `docs/help` that explains this one, if there is one |
| `csrf_token` | the session's token; `ui.form` puts it into every form |
| `flashes` | messages carried over a redirect (`parts.Flash`) |
| `now` | this instant |
| `errors` | field name → sentence, drawn at the field and in the summary |
| `static(name)` · `query(**changes)` · `_()` · `ngettext()` · `new_key()` · `site_name` · `zone` | see below |

What belongs to the request is put on `request.state` by the page session (`actor`, `csrf_token`, `flashes`, `zone`, and
`label_hosts`: the hosts on our labels, present one first; `idle_lock_s`); a keyword of `render` wins over it. Undefined
names are errors:
a page with a hole in it is never sent.

A page is a function that builds records of `parts` and a template of a few lines::

    {% extends "layout.html" %}
    {% block title %}{{ specimen.code }}{% endblock %}
    {% block breadcrumb %}{{ ui.breadcrumb(trail) }}{% endblock %}
    {% block content %}
    {% call ui.heading(_("Specimen"), code=specimen.code) %}{{ ui.chip(specimen.state) }}{% endcall %}
    <div class="split side-first">
      <div class="stack">
        {% call ui.card(_("Identity")) %}{{ ui.facts(identity) }}{% endcall %}
        {% call ui.card(_("Timeline")) %}{{ ui.timeline(entries) }}{% endcall %}
      </div>
      <div class="stack">{% call ui.card(_("Next")) %}{{ ui.acts(acts) }}{% endcall %}</div>
    </div>
    {% endblock %}
"""

import gettext
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode
from zoneinfo import ZoneInfo

from fastapi import Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment, FileSystemLoader, StrictUndefined, pass_context
from jinja2.runtime import Context
from markupsafe import Markup

from biobank.foundation import clock, terms
from biobank.pages.ui import filters
from biobank.pages.ui.assets import STATIC
from biobank.pages.ui.code_pages import code_href, prefix_of
from biobank.pages.ui.marks import chip, icon
from biobank.pages.ui.nav import NavItem, crumbs_for, job_of, nav_for, parts_for
from biobank.pages.ui.parts import Column
from biobank.pages.ui.security import security_headers
from biobank.pages.ui.table_rows import Cells, code_cell, rows_of, value_of
from biobank.pages.ui.typed_times import as_typed, days_meant, shown_twice
from biobank.quality.schemas import ATTACHMENT_MIB

TEMPLATES_DIR = Path(__file__).parent / "templates"
SITE_NAME = "Biobank"
UTC_ZONE = ZoneInfo("UTC")

_translations = gettext.NullTranslations()


def translate(message: str, **values: object) -> str:
    """Return `message` in the reader's language with `%(name)s` filled in. English only for now: the hook is what is kept."""
    translated = _translations.gettext(message)
    return translated % values if values else translated


def translate_plural(one: str, many: str, n: int, **values: object) -> str:
    """Return the singular or plural of a message for `n`, with `%(n)s` and `values` filled in."""
    return _translations.ngettext(one, many, n) % {"n": n, **values}


def script_words() -> dict[str, str]:
    """Return the sentences that scripts say, English → the reader's language; empty while that is English."""
    catalogue: dict[Any, Any] = getattr(_translations, "_catalog", {})
    return {message: text for message, text in catalogue.items() if isinstance(message, str) and message}


def new_key() -> str:
    """Return a fresh idempotency key: two presses of one drawn form are then one act, with or without JavaScript."""
    return str(uuid.uuid4())


@pass_context
def _when(context: Context, value: Any, seconds: bool = False) -> Markup:
    return filters.when(value, context["zone"], seconds=seconds)


@pass_context
def _log_time(context: Context, value: Any) -> Markup:
    return filters.log_time(value, context["zone"])


@pass_context
def _said(context: Context, value: Any) -> Any:
    return filters.said(value, context["zone"])


@pass_context
def _as_typed(context: Context, value: Any) -> Any:
    return as_typed(value, context["zone"])


@pass_context
def _shown_twice(context: Context, value: Any) -> list[tuple[str, str]]:
    return shown_twice(value, context["zone"])


@pass_context
def _code(context: Context, value: Any, link: bool = True) -> Markup:
    return code_cell(context["actor"], value, link=link)


@pass_context
def _rows(
    context: Context,
    columns: Sequence[Column],
    rows: Sequence[Any],
    tick: str | None,
    named: str | None,
    extra: str | None,
    caller: Any,
) -> Markup:
    """Write the rows of `table`, whose parameters these are."""

    def chosen(row: Any) -> tuple[str, str]:
        return value_of(row, str(tick)), translate("Choose %(row)s", row=value_of(row, named or str(tick)))

    return rows_of(
        Cells(context["actor"], context["zone"]),
        columns,
        rows,
        (translate("Choose"), chosen) if tick else None,
        (extra, caller) if extra else None,
    )


def _is_code(value: Any) -> bool:
    """Say whether a value is the text of a code of ours, which no one has written as a link yet."""
    return isinstance(value, str) and not isinstance(value, Markup) and prefix_of(value) is not None


@pass_context
def _query(context: Context, **changes: str | int | None) -> str:
    """Return the present query string with `changes` made (None removes), for links that keep the filters."""
    request: Request = context["request"]
    kept = [(name, value) for name, value in request.query_params.multi_items() if name not in changes and value]
    kept += [(name, str(value)) for name, value in changes.items() if value is not None]
    return "?" + urlencode(kept)


@lru_cache(maxsize=1000)
def _all_pages(nav: tuple[NavItem, ...]) -> Markup:
    return Markup(_environment.get_template("ui/frame.html").make_module().all_pages(nav))  # type: ignore[attr-defined]  # noqa: S704 - a macro


def all_pages_of(nav: Sequence[NavItem]) -> Markup:
    """Draw the panel of every list there is: a hundred links, the same on a page for all with the same rights."""
    return _all_pages(tuple(nav))


def make_environment(directory: Path = TEMPLATES_DIR) -> Environment:
    """Build the environment. Autoescape is on for every template, whatever its name ends in."""
    environment = Environment(
        loader=FileSystemLoader(directory),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters.update(
        when=_when,
        log_time=_log_time,
        shown_twice=_shown_twice,
        said=_said,
        as_typed=_as_typed,
        days_meant=days_meant,
        day=filters.day,
        code=_code,
        quantity=filters.quantity,
        grouped=filters.grouped,
        words=terms.words,
        attributes=filters.attributes,
    )
    environment.tests["code"] = _is_code
    environment.globals.update(
        static=STATIC.url,
        query=_query,
        rows_of=_rows,
        icon=icon,
        chip=chip,
        all_pages_of=all_pages_of,
        new_key=new_key,
        script_words=script_words,
        code_href=code_href,
        _=translate,
        ngettext=translate_plural,
        site_name=SITE_NAME,
        attachment_mib=ATTACHMENT_MIB,
    )
    return environment


_environment = make_environment()

_COMPONENT_FILES = (
    "ui/basics.html",
    "ui/messages.html",
    "ui/frame.html",
    "ui/tables.html",
    "ui/forms.html",
    "ui/listing.html",
    "ui/custody.html",
)


# What a page is about, so that "something is wrong" need not ask: its address says it.
_ABOUT = re.compile(r"^/(?:specimens|storage|donors|shipments|lots)/([A-Z]{2}(?:[0-9]{2})?-[0-9A-Z]{7})(?:/|$)")


def _about(path: str) -> str | None:
    match = _ABOUT.match(path)
    return None if match is None else match[1]


def _base_context(request: Request) -> dict[str, Any]:
    state = request.state
    return {
        "request": request,
        "actor": getattr(state, "actor", None),
        "csrf_token": getattr(state, "csrf_token", ""),
        "flashes": getattr(state, "flashes", []),
        "zone": getattr(state, "zone", UTC_ZONE),
        "language": getattr(state, "language", "en"),
        "label_hosts": getattr(state, "label_hosts", ()),
        "idle_lock_s": getattr(state, "idle_lock_s", None),
        "station": getattr(state, "station", None),
        "about": _about(request.url.path),
        "second_factor": getattr(state, "second_factor", False),
        "gloves": "1" in (request.cookies.get("__Host-gloves"), request.cookies.get("gloves")),
        "now": clock.now(),
        "errors": {},
    }


def _components(names: dict[str, Any]) -> SimpleNamespace:
    """Return every macro of `ui/*.html`, bound to the request's names (token, zone, errors), so that no page passes them on.

    The files are read in order and each sees the macros of those before it; a page's own names never reach them, so a page
    variable called `form` breaks nothing.
    """
    gathered: dict[str, Any] = {"icon": icon, "chip": chip}
    for template in _COMPONENT_FILES:
        module = _environment.get_template(template).make_module({**names, **gathered})
        gathered.update({name: value for name, value in vars(module).items() if not name.startswith("_")})
    return SimpleNamespace(**gathered)


def render(
    request: Request, template_name: str, status: int = 200, headers: Mapping[str, str] | None = None, **context: Any
) -> HTMLResponse:
    """Draw `template_name` with the names above and `context`; answer with the security headers and `no-store`.

    Raises jinja2.UndefinedError when the template uses a name that nobody gave.
    """
    base = _base_context(request)
    names = {**base, **context}
    actor = names["actor"]
    path = request.url.path
    names.setdefault("nav", nav_for(actor, path) if actor is not None else [])
    names.setdefault("parts", parts_for(names["nav"], path))
    names.setdefault("crumbs", crumbs_for(actor, path) if names["nav"] else [])
    names.setdefault("job", job_of(path) if actor is not None else "")
    names["ui"] = _components({name: names[name] for name in base})
    response = HTMLResponse(
        _environment.get_template(template_name).render(names), status_code=status, headers=dict(headers or {})
    )
    security_headers(response)
    return response


_NEXT_STEP = {
    400: "Go back, look at what was entered and send it again.",
    401: "Log in again, then repeat what you have not seen confirmed: the same act is recorded once.",
    403: "Ask somebody with that role to do it.",
    404: "Check the code on the tube, or scan it again. If the label is damaged, look for the person or the box instead.",
    409: "Open the record, look at its latest events, then decide again.",
    413: "Send something smaller.",
    422: "Go back, look at what was entered and send it again.",
    428: "Open the record again, so that you act on its present state.",
    429: "Wait a minute, then try again.",
    500: "Try once more. If it happens again, tell the person on duty the time and the code below.",
    503: "Wait a moment, then send the same form again: a repeated act is recorded once.",
}


def next_step(status: int) -> str:
    """Return what to do now after an answer with `status`."""
    return _NEXT_STEP.get(status, _NEXT_STEP[500] if status >= 500 else _NEXT_STEP[400])


@dataclass(frozen=True)
class Again:
    """A form that was not taken, as it was sent but for its passwords: the same key makes it the same act."""

    address: str
    pairs: Sequence[tuple[str, str]]
    password: bool
    second_factor: bool


def render_problem(
    request: Request,
    problem: Mapping[str, Any],
    *,
    what_now: str | None = None,
    again: Again | None = None,
    sign_in_for: str | None = None,
) -> HTMLResponse:
    """Draw a problem document (`Refusal.problem()`) as a page: what happened, what to do now, where the tube goes.

    Uses `status`, `title`, `detail`, `code` and, when present, `where_now`. `again`: the form that may be sent once more;
    `sign_in_for`: the page that a full sign-in leads back to.
    """
    status = int(problem["status"])
    if again is not None:
        what_now = "Wait a moment, then send it again from here: what was recorded already is not recorded twice."
    if sign_in_for is not None:
        what_now = "Sign in with your password and second factor; you come back to this page. Your badge opens it no further."
    shown: dict[str, Any] = {"again": again, "sign_in_for": sign_in_for}
    return render(request, "error.html", status, problem=problem, next_step=what_now or next_step(status), **shown)
