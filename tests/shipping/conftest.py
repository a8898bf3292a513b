"""Visitors of the pages, for what the pages of arrivals ask."""

from tests.pages.conftest import visit

__all__ = ["visit"]
