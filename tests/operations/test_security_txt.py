"""/.well-known/security.txt, read as RFC 9116 says."""

from collections import defaultdict
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from biobank.foundation import clock
from biobank.foundation.clock import rfc3339
from biobank.foundation.config import Settings, WeakSettings
from tests.conftest import TestBank

ADDRESS = "/.well-known/security.txt"
CONTACTS = "mailto:security@bank.example https://bank.example/report"

Read = Callable[..., httpx.Response]


@pytest.fixture
def read(make_bank: Callable[..., TestBank], serve: Callable[[TestBank], str]) -> Read:
    return lambda **settings: httpx.get(f"{serve(make_bank(**settings))}{ADDRESS}")


def fields(text: str) -> dict[str, list[str]]:
    """Read the fields of the file: a name without regard to capitals, a colon, a value."""
    found = defaultdict(list)
    for line in text.splitlines():
        name, separator, value = line.partition(": ")
        assert separator, line
        found[name.lower()].append(value)
    return dict(found)


def test_whoever_found_a_hole_reads_whom_to_tell_and_until_when(read: Read) -> None:
    until = clock.now() + timedelta(days=90)

    answer = read(security_contact=CONTACTS, security_contact_until=until)

    said = fields(answer.text)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/plain; charset=utf-8")
    assert said["contact"] == CONTACTS.split()
    assert said["expires"] == [rfc3339(until)]
    assert said["canonical"] == ["https://bank.example/.well-known/security.txt"]


def test_a_bank_that_names_nobody_has_no_such_file(read: Read) -> None:
    answer = read()

    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


def test_it_never_expires_more_than_a_year_ahead(read: Read) -> None:
    answer = read(security_contact=CONTACTS, security_contact_until=clock.now() + timedelta(days=4000))

    (expires,) = fields(answer.text)["expires"]
    assert timedelta(days=364) < datetime.fromisoformat(expires) - clock.now() <= timedelta(days=365)


def test_after_its_day_nobody_is_named(read: Read) -> None:
    until = clock.now() + timedelta(days=90)
    clock.set_offset(timedelta(days=90, seconds=1), test_mode=True)

    assert read(security_contact=CONTACTS, security_contact_until=until).status_code == 404


@pytest.mark.parametrize(
    "given",
    [
        {"BIOBANK_SECURITY_CONTACT": "mailto:security@bank.example"},
        {"BIOBANK_SECURITY_CONTACT_UNTIL": "2027-06-30T00:00:00Z"},
        {"BIOBANK_SECURITY_CONTACT": "security@bank.example", "BIOBANK_SECURITY_CONTACT_UNTIL": "2027-06-30T00:00:00Z"},
        {"BIOBANK_SECURITY_CONTACT": "http://bank.example", "BIOBANK_SECURITY_CONTACT_UNTIL": "2027-06-30T00:00:00Z"},
        {"BIOBANK_SECURITY_CONTACT": CONTACTS, "BIOBANK_SECURITY_CONTACT_UNTIL": "2027-06-30T00:00:00"},
    ],
)
def test_a_contact_that_cannot_be_meant_stops_the_start(given: dict[str, Any]) -> None:
    with pytest.raises(WeakSettings):
        Settings.from_environment(given)


def test_a_contact_with_its_day_is_read_from_the_environment() -> None:
    made = Settings.from_environment(
        {"BIOBANK_SECURITY_CONTACT": CONTACTS, "BIOBANK_SECURITY_CONTACT_UNTIL": "2027-06-30T00:00:00Z"}
    )

    assert made.security_contact_until is not None
    assert rfc3339(made.security_contact_until) == "2027-06-30T00:00:00.000Z"
