"""Visitors of the pages, for what the pages ask at an identification."""

from tests.pages.conftest import visit

__all__ = ["visit"]
