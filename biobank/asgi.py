"""The application as a web server finds it: `uvicorn --factory biobank.asgi:app`. Settings come from the environment."""

from fastapi import FastAPI

from biobank.app import create_app
from biobank.bank import Bank
from biobank.config import Settings


def app() -> FastAPI:
    """Build the application of one worker process."""
    return create_app(Bank.open(Settings.from_environment()))
