"""Visitors of the pages."""

from typing import Any

import pytest

from tests.conftest import Api
from tests.pages.visitor import BROWSER, Visitor


@pytest.fixture
def visit(api: Api) -> Any:
    """A factory of visitors: `visit("lab_tech")` is logged in, `visit()` is a stranger."""
    made: list[Visitor] = []

    def start(name: str | None = None) -> Visitor:
        visitor = Visitor(base_url=api.url, headers=BROWSER, follow_redirects=True, timeout=60)
        made.append(visitor)
        if name is not None:
            answer = visitor.log_in(name)
            assert answer.status_code == 200 and "Log out" in answer.text, answer.text
        return visitor

    yield start
    for visitor in made:
        visitor.close()
