"""Pages are visited here as they are in tests/web."""

from tests.web.conftest import visit

__all__ = ["visit"]
