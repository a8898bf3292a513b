"""What the database refuses of subscriptions and deliveries, whatever the code does."""

import psycopg
import pytest

from tests.conftest import Api
from tests.webhooks.receiver import Receiver
from tests.webhooks.stories import made, opened, secret_of


def refused_by(api: Api, statement: str) -> str | None:
    """The constraint that refuses a statement of the application's login."""
    with psycopg.connect(api.test_bank.dsn("app")) as connection, pytest.raises(psycopg.errors.CheckViolation) as refused:
        connection.execute(statement)
    name: str | None = refused.value.diag.constraint_name
    return name


def test_a_subscription_is_whole(api: Api, receiver: Receiver) -> None:
    secret_of(api, made(api, receiver.url))

    assert refused_by(api, "UPDATE webhook SET state = 'lost'") == "webhook_state_is_known"
    assert refused_by(api, "UPDATE webhook SET state = 'stopped'") == "a_stopped_webhook_says_why"
    odd = "UPDATE webhook SET state = 'stopped', stopped_because = 'moon'"
    assert refused_by(api, odd) == "why_a_webhook_stopped_is_known"
    assert refused_by(api, "UPDATE webhook SET state = 'open'") == "an_open_webhook_has_an_owner"
    assert refused_by(api, "UPDATE webhook_secret SET salt = 'short'") == "a_salt_has_32_bytes"


def test_a_delivery_is_whole(api: Api, receiver: Receiver) -> None:
    code, _ = opened(api, receiver.url)
    assert api.quality.post(f"/webhooks/{code}/trial").status_code == 202

    assert refused_by(api, "UPDATE webhook_delivery SET state = 'lost'") == "webhook_delivery_state_is_known"
    assert refused_by(api, "UPDATE webhook_delivery SET log_index = 1") == "a_delivery_is_of_an_entry_or_a_trial"
