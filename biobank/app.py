"""create_app(): routers, error handlers, static files, lifespan; nothing else."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from biobank import __version__, countersign, document, find, health, home, problems, tables
from biobank.acts.api import router as acts_api
from biobank.acts.lane import Lanes
from biobank.bank import Bank
from biobank.custody.api import LANES
from biobank.custody.api import router as custody_api
from biobank.custody.pages import router as custody_pages
from biobank.donors.api import router as donors_api
from biobank.donors.pages import router as donors_pages
from biobank.donors.record_pages import router as donor_record_pages
from biobank.donors.visit_pages import router as visit_pages
from biobank.doors import Doorkeeper, Doors
from biobank.exports.api import router as exports_api
from biobank.exports.bundle_api import router as bundle_api
from biobank.exports.log_api import router as log_api
from biobank.exports.pages import ROUTERS as exports_pages
from biobank.jobs.api import router as jobs_api
from biobank.jobs.pages import router as jobs_pages
from biobank.labels.api import router as labels_api
from biobank.labels.pages import router as labels_pages
from biobank.people.admin_pages import router as admin_pages
from biobank.people.api import router as people_api
from biobank.people.locking import router as locking_pages
from biobank.people.pages import router as people_pages
from biobank.people.role_pages import router as role_pages
from biobank.people.sign_in_api import keys_router as keys_api
from biobank.people.sign_in_api import router as sign_in_api
from biobank.people.site_pages import router as site_pages
from biobank.quality.api import router as quality_api
from biobank.quality.pages import ROUTERS as quality_pages
from biobank.quality.wrong import router as wrong_page
from biobank.scanning.api import router as scanning_api
from biobank.scanning.pages import router as scanning_pages
from biobank.shipping.api import router as shipping_api
from biobank.shipping.pages import ROUTERS as shipping_pages
from biobank.specimens.api import router as specimens_api
from biobank.specimens.harvest_pages import router as harvest_pages
from biobank.specimens.kit_pages import router as kit_pages
from biobank.specimens.lot_pages import router as lot_pages
from biobank.specimens.pages import router as specimens_pages
from biobank.specimens.run_pages import router as run_pages
from biobank.specimens.treating_pages import router as treating_pages
from biobank.storage.act_pages import router as storage_act_pages
from biobank.storage.api import router as storage_api
from biobank.storage.layout_pages import router as layout_pages
from biobank.storage.pages import router as storage_pages
from biobank.viability.api import router as viability_api
from biobank.viability.pages import router as viability_pages
from biobank.web.assets import STATIC, STATIC_PREFIX
from biobank.web.pages import router as style_guide
from biobank.web.security import SecurityHeaders
from biobank.web.session import refusal_page
from biobank.withdrawals.api import router as withdrawals_api
from biobank.withdrawals.pages import ROUTERS as withdrawals_pages

# The framework tries them in this order, address by address: what is asked most comes first.
ROUTERS = (
    specimens_api,
    custody_api,
    storage_api,
    acts_api,
    donors_api,
    exports_api,
    bundle_api,
    jobs_api,
    keys_api,
    labels_api,
    log_api,
    people_api,
    quality_api,
    sign_in_api,
    scanning_api,
    shipping_api,
    viability_api,
    withdrawals_api,
)

# The order matters where two addresses overlap: a feature's fixed addresses come before those with a code in them.
PAGES = (
    people_pages,
    admin_pages,
    role_pages,
    site_pages,
    locking_pages,
    home.router,
    find.router,
    countersign.router,
    layout_pages,
    storage_pages,
    storage_act_pages,
    kit_pages,
    harvest_pages,
    treating_pages,
    run_pages,
    lot_pages,
    *quality_pages,
    viability_pages,
    specimens_pages,
    donors_pages,
    donor_record_pages,
    visit_pages,
    *withdrawals_pages,
    custody_pages,
    *exports_pages,
    scanning_pages,
    labels_pages,
    jobs_pages,
    *shipping_pages,
    wrong_page,
)


def create_app(bank: Bank) -> FastAPI:
    """Build the application that serves `bank`."""

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        await app.state.doors.opened(bank)
        yield
        await bank.dispose()

    app = FastAPI(
        title="biobank",
        version=__version__,
        description="Inventory and chain of custody for banks of people's own cells.",
        lifespan=lifespan,
        openapi_url=None,
        responses=problems.PROBLEM_RESPONSES,
        # /metrics is ours; looking for exporters that nobody set up costs every request more than counting it does.
        telemetry={"tracing": False, "metrics": False, "logs": False},
    )
    app.state.bank = bank
    app.state.doors = Doors()
    assert tables.metadata.tables, "foreign keys are named across packages: every models.py must be imported"
    problems.install(app, page=refusal_page)
    app.add_middleware(Lanes, lanes=LANES)
    # Outside the lanes: a scan, too, waits until the doors are open.
    app.add_middleware(Doorkeeper, doors=app.state.doors)
    health.install(app)
    document.install(app)
    for router in (*ROUTERS, *PAGES):
        app.include_router(router)
    if bank.settings.test_mode:
        app.include_router(style_guide)
    app.mount(STATIC_PREFIX, STATIC)
    app.add_middleware(SecurityHeaders)
    return app
