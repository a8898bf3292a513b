"""Fixtures of label tests."""

from tests.pages.conftest import visit

__all__ = ["visit"]
