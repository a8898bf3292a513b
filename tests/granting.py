"""A second role for a seeded login: what one site allows must not be allowed at another."""

from sqlalchemy import text

from tests import seed
from tests.conftest import Api


def also(api: Api, user: str, role: str, site: str | None) -> None:
    """Give a seeded login one more role, at a site or everywhere."""
    row = {"user": seed.USERS[user].code, "role": role, "site": site}
    statement = text(
        "INSERT INTO user_role (user_code, role, site_code, granted_at, granted_by) VALUES (:user, :role, :site, now(), 'SYSTEM')"
    )
    api.test_bank.write(lambda s: s.execute(statement, row))
