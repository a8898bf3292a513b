"""create_app(): routers, error handlers, static files, lifespan; nothing else."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from biobank import __version__, health, problems, tables
from biobank.acts.api import router as acts_api
from biobank.bank import Bank
from biobank.custody.api import router as custody_api
from biobank.donors.api import router as donors_api
from biobank.exports.api import router as exports_api
from biobank.people.api import router as people_api
from biobank.people.sign_in_api import keys_router as keys_api
from biobank.people.sign_in_api import router as sign_in_api
from biobank.quality.api import router as quality_api
from biobank.specimens.api import router as specimens_api
from biobank.storage.api import router as storage_api
from biobank.withdrawals.api import router as withdrawals_api

ROUTERS = (
    acts_api,
    custody_api,
    donors_api,
    exports_api,
    keys_api,
    people_api,
    quality_api,
    sign_in_api,
    specimens_api,
    storage_api,
    withdrawals_api,
)


def create_app(bank: Bank) -> FastAPI:
    """Build the application that serves `bank`."""

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        await bank.dispose()

    app = FastAPI(
        title="biobank",
        version=__version__,
        description="Inventory and chain of custody for banks of people's own cells.",
        lifespan=lifespan,
        docs_url=None,
        redoc_url=None,
    )
    app.state.bank = bank
    assert tables.metadata.tables, "foreign keys are named across packages: every models.py must be imported"
    problems.install(app)
    health.install(app)
    for router in ROUTERS:
        app.include_router(router)
    return app
