"""Visitors of the pages, for what the pages offer of a withdrawal."""

from tests.pages.conftest import visit

__all__ = ["visit"]
