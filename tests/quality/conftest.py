"""Pages are visited here as they are in tests/web."""

from tests.pages.conftest import visit

__all__ = ["visit"]
