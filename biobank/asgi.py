"""The application as a web server finds it: `uvicorn --factory biobank.asgi:app`. Settings come from the environment."""

import gc
from typing import TYPE_CHECKING

from biobank.foundation.collector import collector_paused

if TYPE_CHECKING:
    from fastapi import FastAPI

COLLECT_AFTER = 20_000
"""Container objects that may come to be before the youngest are looked through; Python's own 700 is a handful of requests."""


def app() -> "FastAPI":
    """Build the application of one worker process."""
    with collector_paused():
        from biobank.acts.bank import Bank
        from biobank.app import create_app
        from biobank.custody.rulebook import adopt_rules
        from biobank.foundation.config import Settings
        from biobank.operations import telemetry

        bank = Bank.open(Settings.from_environment())
        telemetry.begin(bank)
        made = create_app(bank, first=adopt_rules)
    gc.set_threshold(COLLECT_AFTER)
    return made
