"""How many statements a page sends, shown without a browser: a specimen is read once for everything its page says."""

import pytest

from tests.conftest import Api
from tests.pages.visitor import Visitor
from tests.shipping.stories import tubes
from tests.statements import count_statements
from tests.withdrawals.stories import a_donor, bank_vials


@pytest.mark.parametrize(("stored", "most"), [(False, 6), (True, 9)])
def test_the_page_of_a_specimen_reads_it_once(api: Api, stored: bool, most: int) -> None:
    code = bank_vials(api, a_donor(api))[0] if stored else tubes(api, 1)[0]
    visitor = Visitor(base_url=api.url, headers={"Accept": "text/html"}, follow_redirects=True, timeout=60)
    visitor.log_in("lab_tech")
    seen: list[str] = []
    database = api.test_bank.bank.database
    stops = [count_statements(engine.sync_engine, seen) for engine in (database.writer, database.reader)]
    answer = visitor.get(f"/specimens/{code}")
    for stop in stops:
        stop()
    visitor.close()

    assert answer.status_code == 200
    assert len(seen) <= most, seen
    assert sum("FROM custody JOIN specimen" in " ".join(statement.split()) for statement in seen) == 1, seen
