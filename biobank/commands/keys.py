"""Keys of the bank."""

import typer

from biobank.commands.console import console, settings_or_exit

keys = typer.Typer(no_args_is_help=True, help="Keys of the bank.")


@keys.command("rotate-token")
def rotate_token_key() -> None:
    """Make a new key for access tokens. Tokens under older keys stay valid until they expire."""
    from biobank.auth import tokens

    settings = settings_or_exit()
    console.print(f"New signing key {tokens.rotate(settings.secrets)}. Running processes use it within a minute.")
