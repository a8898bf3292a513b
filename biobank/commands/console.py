"""What every verb shares: exit codes, the two consoles, settings, and the bank opened for one command."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer
from rich.console import Console

from biobank.foundation.config import Settings, WeakSettings
from biobank.foundation.errors import Refusal
from biobank.operations.supervisor import NEEDS_A_PERSON, adopt_rules, served_database
from biobank.postgres.embedded import EmbeddedPostgresError

if TYPE_CHECKING:
    from biobank.acts.bank import Bank

REFUSED, WRONG_USAGE, ALREADY_RUNNING, HALTED = 1, 2, 3, NEEDS_A_PERSON
errors = Console(stderr=True)
console = Console()


def settings_or_exit(**changes: object) -> Settings:
    """Read the settings from the environment, with what the command line changes."""
    try:
        settings = Settings.from_environment()
        return Settings.model_validate(settings.model_dump() | {k: v for k, v in changes.items() if v is not None})
    except (WeakSettings, ValueError) as error:
        raise fail(str(error)) from error


def fail(sentence: str, code: int = REFUSED) -> typer.Exit:
    """Print a sentence for a person on standard error; raise what this returns."""
    errors.print(f"biobank: {sentence}", style="red", highlight=False, markup=False)
    return typer.Exit(code)


@contextmanager
def open_bank() -> "Iterator[Bank]":
    """Open the bank for one command: on the given server, or on the embedded one (started, or attached to)."""
    from biobank.acts.bank import Bank

    try:
        with served_database(settings_or_exit()) as settings:
            adopt_rules(settings)
            bank = Bank.open(settings)
            try:
                yield bank
            finally:
                bank.dispose_now()
    except (WeakSettings, EmbeddedPostgresError) as error:
        raise fail(str(error)) from error
    except Refusal as refusal:
        raise fail(refusal.detail) from refusal
