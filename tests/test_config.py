"""Settings that a bank demands of itself."""

import pytest

from biobank.foundation.config import Settings, WeakSettings

URL = "postgresql://biobank_app_login:x@"


def read(**values: str) -> Settings:
    return Settings.from_environment({f"BIOBANK_{name.upper()}": value for name, value in values.items()})


@pytest.mark.parametrize("name", [name for name in Settings.model_fields if name.endswith("database_url")])
@pytest.mark.parametrize(
    ("address", "taken"),
    [
        ("db.example/biobank?sslmode=verify-full", True),
        ("db.example/biobank", False),
        ("db.example/biobank?sslmode=require", False),
        ("127.0.0.1:5432/biobank", False),
        ("/biobank?host=/run/postgresql", True),
        ("one.example:5432,two.example:5432/biobank?sslmode=prefer", False),
        ("/biobank?hostaddr=10.0.0.5", False),
        ("/biobank?host=/run/postgresql,db.example", False),
    ],
)
def test_a_bank_that_demands_tls_uses_no_database_over_a_network_without_it(name: str, address: str, taken: bool) -> None:
    assert getattr(read(**{name: URL + address}), name) == URL + address
    if taken:
        read(database_tls="true", **{name: URL + address})
        return
    with pytest.raises(WeakSettings, match="verify-full"):
        read(database_tls="true", **{name: URL + address})
