"""create_app(): routers, error handlers, static files, lifespan; nothing else."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from fastapi import Depends, FastAPI
from sqlmodel import Session

from biobank import __version__
from biobank.acts import problems
from biobank.acts.act import Act
from biobank.acts.addresses import CodesAsPrinted
from biobank.acts.bank import Bank
from biobank.acts.head import HeadAsGet
from biobank.acts.strict import as_documented
from biobank.custody.scan_path.middleware import ScanPath
from biobank.interchange.fhir.bundles import MEDIA_TYPE, outcome
from biobank.operations import health, openapi_document, security_txt, telemetry
from biobank.operations.clock_gate import ClockGate
from biobank.operations.decision_log import DecisionLog
from biobank.operations.doorman import Doorman
from biobank.operations.request_names import RequestNames
from biobank.operations.startup_gate import StartupGate, StartupGateMiddleware
from biobank.pages.help.api_docs import SWAGGER
from biobank.pages.ui.assets import STATIC, STATIC_PREFIX
from biobank.pages.ui.security import SecurityHeaders
from biobank.pages.ui.session import cookie_name, page_for_nobody, refusal_page
from biobank.pages.ui.styleguide import router as style_guide
from biobank.registries import tables
from biobank.registries.routes import PAGES, ROUTERS, SCAN_ROUTES, by_first_word


def create_app(bank: Bank, first: Callable[[Session, Act], object] | None = None) -> FastAPI:
    """Build the application that serves `bank`; `first` is done before it answers anything, once the database is there."""

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        await app.state.startup_gate.open_for(bank)
        watching = asyncio.create_task(bank.database.watch())
        yield
        watching.cancel()
        await asyncio.to_thread(telemetry.finish)
        await bank.dispose()

    app = FastAPI(
        title="biobank",
        version=__version__,
        description="Inventory and chain of custody for banks of people's own cells.",
        lifespan=lifespan,
        openapi_url=None,
        # A redirect of the framework's would name whatever host the request names.
        redirect_slashes=False,
        responses=problems.PROBLEM_RESPONSES,
        # /metrics is ours; looking for exporters that nobody set up costs every request more than counting it does.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.state.bank = bank
    app.state.startup_gate = StartupGate(first=first)
    assert tables.metadata.tables, "foreign keys are named across packages: every models.py must be imported"
    problems.install(app, page=refusal_page, shapes={"/fhir/": (outcome, MEDIA_TYPE)})
    app.add_middleware(DecisionLog)
    app.add_middleware(ScanPath, routes=SCAN_ROUTES)
    app.add_middleware(HeadAsGet)
    app.add_middleware(CodesAsPrinted)
    # Outside the scan path: a scan, too, waits until the startup gate is open and the clock is right.
    app.add_middleware(ClockGate, page=refusal_page)
    app.add_middleware(StartupGateMiddleware, gate=app.state.startup_gate, page=page_for_nobody)
    health.install(app)
    openapi_document.install(app)
    security_txt.install(app)
    # Before the calls: whether a request is for a page is seen from its first word.
    app.include_router(by_first_word(PAGES.routes))
    for router in ROUTERS:
        app.include_router(router, dependencies=[Depends(as_documented)])
    if bank.settings.test_mode:
        app.include_router(style_guide)
    app.mount(STATIC_PREFIX, STATIC)
    app.mount(SWAGGER.prefix, SWAGGER)
    app.add_middleware(Doorman, page=refusal_page, session_cookie=cookie_name)
    app.add_middleware(SecurityHeaders)
    app.add_middleware(telemetry.FollowedRequests)
    app.add_middleware(RequestNames)
    return app
