"""One shape for every no: RFC 9457 problem+json for programs, a page with the same words for people."""

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import structlog
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, RedirectResponse
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.exc import DataError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as NoConnectionFree
from starlette.exceptions import HTTPException as StarletteHTTPException
from starlette.routing import Match
from structlog.contextvars import bound_contextvars

from biobank.acts.answers_and_attempts import Replayed
from biobank.acts.malformed import refusal_of_errors
from biobank.acts.web import missing_proof
from biobank.foundation.errors import (
    PROBLEM_TYPE,
    GoesOnElsewhere,
    InternalError,
    MalformedRequest,
    MethodNotAllowed,
    NotFound,
    Refusal,
    Unavailable,
    title_of,
)
from biobank.foundation.logs import REQUEST, REQUEST_HEADER, request_name
from biobank.transparency.canonical import CanonicalError

log = structlog.get_logger()


class Problem(BaseModel):
    """RFC 9457 problem document; every refusal has this shape. Further members say more, e.g. `head`, `subject`, `errors`."""

    model_config = ConfigDict(extra="allow")

    type: str
    title: str
    status: int
    code: str = Field(description="Stable; react to this one.")
    detail: str = Field(description="One sentence a person can act on.")
    where_now: str | None = Field(default=None, description="Where to put the tube now.")
    request_id: str | None = Field(default=None, description="Of a fault of ours: its name in the service's log.")


_STATUSES: dict[int, str] = {
    400: "Idempotency-Key missing",
    401: "Not signed in",
    403: "Not permitted",
    404: "Not found, or not for the caller to know of",
    405: "Method not allowed",
    406: "No such format",
    409: "The state of the world forbids it now",
    413: "Too large",
    415: "No such media type",
    422: "Malformed",
    428: "expected_seq or a signature is missing",
    429: "Too many attempts",
    503: "Not available now; safe to repeat with the same key",
}
PROBLEM_RESPONSES: dict[int | str, dict[str, Any]] = {
    status: {"description": text, "content": {PROBLEM_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}}}
    for status, text in _STATUSES.items()
}
"""What every operation may answer beside its success; given to the application once."""


def document_problems(app: FastAPI) -> None:
    """Put the problem's schema where the responses refer to it."""
    made = app.openapi

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            schema = made()
            components = schema.setdefault("components", {}).setdefault("schemas", {})
            components["Problem"] = Problem.model_json_schema()
        assert app.openapi_schema is not None
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # the documented way to extend the schema


Shape = Callable[[Refusal], Any]
"""How a refusal is said to programs of another protocol, as JSON."""


def problem_response(refusal: Refusal, shape: tuple[Shape, str] | None = None) -> Response:
    """Render a refusal as problem+json, or in another protocol's shape, with its media type."""
    headers = {}
    if refusal.status == 401:
        headers["WWW-Authenticate"] = getattr(refusal, "challenge", "Bearer")
    wait_s = refusal.members.get("retry_after_s", getattr(refusal, "retry_after_s", None))
    if wait_s is not None:
        headers["Retry-After"] = str(wait_s)
    if shape is not None:
        return JSONResponse(shape[0](refusal), refusal.status, headers, shape[1])
    return JSONResponse(refusal.problem(), refusal.status, headers, PROBLEM_TYPE)


def allowed_at(request: Request) -> list[str]:
    """Return the methods that the address of a request takes."""
    asked = {"type": "http", "path": request.scope["path"], "root_path": "", "headers": [], "path_params": {}, "app": request.app}

    def taken(method: str) -> bool:
        return any(one.matches({**asked, "method": method})[0] is Match.FULL for one in request.app.router.routes)

    methods = [method for method in ("DELETE", "GET", "PATCH", "POST", "PUT") if taken(method)]
    return sorted([*methods, "HEAD"] if "GET" in methods else methods)


FOR_PROGRAMS = ("/api/", "/fhir/")
"""Where the addresses of programs begin; all others are pages."""


def wants_page(request: Request) -> bool:
    """Say whether a person's browser asked, outside the API."""
    return not request.url.path.startswith(FOR_PROGRAMS) and "text/html" in request.headers.get("accept", "")


Page = Callable[[Request, Refusal], Awaitable[Response]]
"""Draws a refusal for a browser."""


async def refused_ahead(request: Request, refusal: Refusal, page: Page) -> Response:
    """Return the answer of what stands ahead of the routes: a page for a browser, a problem for a program."""
    return await page(request, refusal) if wants_page(request) else problem_response(refusal)


_NO_BODY = frozenset({"missing", "model_attributes_type", "model_type", "dict_type"})


def unreadable() -> MalformedRequest:
    """Say that a body cannot be read at all."""
    return MalformedRequest(
        "The body cannot be read. Send whole JSON in UTF-8 as application/json, or the form as its page has it."
    )


def validation_refusal(error: RequestValidationError) -> MalformedRequest:
    """Say which fields are wrong and what to send in them, never their values: they may be personal data."""
    if any(e["type"] == "json_invalid" or (e["loc"] == ("body",) and e["type"] in _NO_BODY) for e in error.errors()):
        return unreadable()
    return refusal_of_errors(error.errors())


def _with_code(request: Request, before: str, now: str) -> str | None:
    """Return the address of a request with another code in it; None where the code does not stand in it."""
    asked = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    there = re.sub(re.escape(before), now, asked, flags=re.IGNORECASE)
    return None if there == asked else there


def install(
    app: FastAPI,
    page: Page | None = None,
    shapes: Mapping[str, tuple[Shape, str]] = {},
) -> None:
    """Register the handlers on `app`; `page` renders a refusal for a browser.

    `shapes`: beginning of an address → how refusals are said there, and as which media type.
    """

    document_problems(app)

    async def answer(request: Request, refusal: Refusal) -> Response:
        if refusal.status == Unavailable.status:
            cause = refusal.__cause__ or refusal.__context__
            log.warning("not_available", path=request.url.path, code=refusal.code, cause=type(cause).__name__)
        if refusal.status >= InternalError.status and (name := request_name()) is not None:
            refusal.members[REQUEST] = name
        if isinstance(refusal, GoesOnElsewhere) and request.method in ("GET", "HEAD"):
            moved = _with_code(request, refusal.before, refusal.now)
            if moved is not None:
                return RedirectResponse(moved, 308)
        if page is not None and wants_page(request):
            return await page(request, refusal)
        there = next((shape for begins, shape in shapes.items() if request.url.path.startswith(begins)), None)
        return problem_response(refusal, there)

    async def refused(request: Request, error: Any) -> Response:
        return await answer(request, error)

    async def malformed(request: Request, error: Any) -> Response:
        return await answer(request, await missing_proof(request) or validation_refusal(error))

    async def framework(request: Request, error: Any) -> Response:
        if error.status_code == 404:
            return await answer(request, NotFound("There is nothing at this address."))
        if error.status_code == 405:
            allowed = allowed_at(request)
            refusal: Refusal = MethodNotAllowed(f"This address does not take this method. It takes {', '.join(allowed)}.")
            response = await answer(request, refusal)
            response.headers["Allow"] = ", ".join(allowed)
            return response
        refusal = await missing_proof(request) or (
            unreadable() if error.status_code == 400 else MalformedRequest(title_of(error.status_code) + ".")
        )
        return await answer(request, refusal)

    async def replayed(_request: Request, error: Any) -> Response:
        media = PROBLEM_TYPE if error.status >= 400 else "application/json"
        return Response(error.answer, error.status, {"Idempotent-Replayed": "true"}, media)

    async def unstorable(request: Request, _error: Any) -> Response:
        # The last net under the schemas: the text of the error may hold the value, so it is not repeated.
        return await answer(
            request,
            MalformedRequest(
                "A value has a form that cannot be stored: a NUL character, text that is not in Unicode normal form C, "
                "or a number out of range."
            ),
        )

    async def unanswered(request: Request, error: Any) -> Response:
        refusal = Unavailable("The database did not answer. Send it again with the same key: it is recorded once.")
        refusal.__cause__ = getattr(error, "orig", error)
        return await answer(request, refusal)

    async def failed(request: Request, error: Exception) -> Response:
        # The exception's text may hold personal data, so only its type and place are logged.
        name = getattr(request.state, REQUEST, "none")
        with bound_contextvars(**{REQUEST: name}):
            log.error("unhandled", path=request.url.path, error=type(error).__name__, exc_info=False)
            response = await answer(request, InternalError("Something went wrong on our side. It was logged; try again."))
        response.headers[REQUEST_HEADER] = name
        return response

    app.add_exception_handler(Refusal, refused)
    app.add_exception_handler(RequestValidationError, malformed)
    app.add_exception_handler(StarletteHTTPException, framework)
    app.add_exception_handler(Replayed, replayed)
    app.add_exception_handler(DataError, unstorable)
    app.add_exception_handler(CanonicalError, unstorable)
    for fault in (OperationalError, InterfaceError, NoConnectionFree):
        app.add_exception_handler(fault, unanswered)
    app.add_exception_handler(Exception, failed)
