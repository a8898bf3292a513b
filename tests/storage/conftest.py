"""Visitors of the pages, for what the pages of places show."""

from tests.pages.conftest import visit

__all__ = ["visit"]
