"""While the database is away every request is told so, and that it is safe to send it again; afterwards it works again."""

import httpx
import psycopg

from biobank.acts.act import Act
from biobank.auth.actor import SYSTEM
from tests.conftest import Api
from tests.factories import make_specimen


def shut(api: Api) -> None:
    """Take the bank's database away, as a restart does."""
    name = api.test_bank.database
    with psycopg.connect(api.test_bank.cluster.dsn("owner", "postgres"), autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name,))


def open_again(api: Api) -> None:
    with psycopg.connect(api.test_bank.cluster.dsn("owner", "postgres"), autocommit=True) as connection:
        connection.execute(f"ALTER DATABASE {api.test_bank.database} ALLOW_CONNECTIONS true")


def test_reads_scans_and_pages_are_told_to_come_back_while_the_database_is_away(api: Api) -> None:
    act = Act.of(SYSTEM, api.test_bank.bank, path="test")
    code = api.test_bank.write(lambda s: make_specimen(s, act).code)
    scan = {"kind": "specimen.received", "site": "LAB", "expected_seq": 1}
    key = {"Idempotency-Key": "once-and-no-more"}
    tech = api.lab_tech
    assert tech.get(f"/specimens/{code}").status_code == 200

    shut(api)
    try:
        for _ in range(3):  # the first finds a dead connection, the next cannot open one
            answers = [tech.get(f"/specimens/{code}"), tech.post(f"/specimens/{code}/events", json=scan, headers=key)]
            for answer in answers:
                assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
                assert answer.headers["Retry-After"] == "1"
                assert "same key" in answer.json()["detail"]
        page = httpx.get(f"{api.url}/specimens/{code}", headers={"Accept": "text/html"}, cookies={"session": "x" * 43})
        assert page.status_code == 503
        assert "The database did not answer" in page.text
    finally:
        open_again(api)

    recorded = tech.post(f"/specimens/{code}/events", json=scan, headers=key)
    if recorded.status_code == 503:  # a pooled connection that has not been tried since
        recorded = tech.post(f"/specimens/{code}/events", json=scan, headers=key)
    assert (recorded.status_code, recorded.json()["seq"]) == (201, 2), recorded.text
