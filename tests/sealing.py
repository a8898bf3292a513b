"""Sealing what a test has recorded, with the bank's own keys and register."""

from biobank.transparency.sealer import Log, drain
from tests.conftest import TestBank


def log_of(bank: TestBank) -> Log:
    """The log of a test's bank, as `biobank sealer` would open it."""
    settings = bank.bank.settings
    return Log.open(settings.log_origin, settings.log_secrets, settings.register_file)


def seal(bank: TestBank) -> int:
    """Seal and publish until nothing waits; return how many events that were."""
    return drain(bank.dsn("sealer"), log_of(bank))
