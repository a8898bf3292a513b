"""The application as a web server finds it: `uvicorn --factory biobank.asgi:app`. Settings come from the environment."""

import gc

from fastapi import FastAPI

from biobank.app import create_app
from biobank.bank import Bank
from biobank.config import Settings

COLLECT_AFTER = 20_000
"""Container objects that may come to be before the youngest are looked through; Python's own 700 is a handful of requests."""


def app() -> FastAPI:
    """Build the application of one worker process."""
    made = create_app(Bank.open(Settings.from_environment()))
    # What stands now stands until the process ends: the collector need not walk it again and again while requests wait.
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER)
    return made
