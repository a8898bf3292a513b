"""Keys of the bank."""

from pathlib import Path
from typing import Annotated

import typer

from biobank.commands.console import WRONG_USAGE, console, fail, open_bank, settings_or_exit

Patience = Annotated[float, typer.Option("--wait", min=0.1, help="Seconds to wait until the entry is sealed.")]

keys = typer.Typer(no_args_is_help=True, help="Keys of the bank.")


@keys.command("rotate-token")
def rotate_token_key() -> None:
    """Make a new key for access tokens. Tokens under older keys stay valid until they expire."""
    from biobank.auth import tokens

    settings = settings_or_exit()
    console.print(f"New signing key {tokens.rotate(settings.secrets)}. Running processes use it within a minute.")


@keys.command("change")
def change_secret(
    name: Annotated[
        str, typer.Argument(help="One of vault-master, blind-index, second-factor, throttle, digests, device-keys, client-keys.")
    ],
) -> None:
    """Change a secret while the bank runs, or go on with a change that was broken off. The log keeps that it was changed."""
    from biobank.acts.bank import SECRETS
    from biobank.operations import secret_changes

    if name not in SECRETS:
        raise fail(f"There is no secret {name}. Say one of: {', '.join(SECRETS)}.", WRONG_USAGE)
    with open_bank() as bank:
        ends = secret_changes.change_secret(bank, name, lambda said: console.print(said, highlight=False))
    if ends is None:
        console.print(f"The secret {name} is changed. Back it up: older backups of it do not open what is written from now on.")
    else:
        console.print(f"A new {name} is in use; the one before is needed until {ends:%Y-%m-%d}. Then give this command again.")


@keys.command("create")
def create_keys() -> None:
    """Make the log key and the receipt key where they are missing, and print the public halves. Existing keys stay."""
    from biobank.transparency.keys import LOG_KEY, RECEIPT_KEY, KeyFileError, ensure_keys, public_key

    settings = settings_or_exit()
    try:
        ensure_keys(settings.secrets, settings.log_origin, settings.log_secrets)
        for name in (LOG_KEY, RECEIPT_KEY):
            typer.echo(public_key(settings.secrets, name))
    except KeyFileError as error:
        raise fail(str(error)) from error


@keys.command("token")
def begin_in_token(
    take: Annotated[str | None, typer.Option(help="Take the Ed25519 key with this id (hex) that is in the token.")] = None,
) -> None:
    """Make the log's first key in the security module that the settings name, in place of `keys create`. It never leaves it."""
    from biobank.exports.log_keys import begin_in_token as begin
    from biobank.foundation.config import WeakSettings
    from biobank.transparency.key_in_token import TokenAway
    from biobank.transparency.keys import KeyFileError

    settings = settings_or_exit()
    try:
        taken = None if take is None else bytes.fromhex(take)
    except ValueError:
        raise fail("An id is written in hex, two digits a byte.", WRONG_USAGE) from None
    try:
        key = begin(settings, taken)
    except (WeakSettings, KeyFileError, TokenAway) as error:
        raise fail(str(error)) from error
    typer.echo(key.to_vkey())
    console.print("The log's key is in the token. Back the token up by its maker's means: the bank holds no copy of the key.")


@keys.command("recovery")
def create_recovery_key(
    file: Annotated[Path, typer.Argument(help="Where the private half goes: a medium that then lies in a safe.")],
) -> None:
    """Make the cold recovery key, once, on the first day. Only its public half stays with the bank."""
    from biobank.transparency.keys import KeyFileError
    from biobank.transparency.keys import create_recovery_key as create

    settings = settings_or_exit()
    try:
        signer = create(settings.secrets, file, settings.log_origin)
    except (KeyFileError, OSError) as error:
        raise fail(str(error)) from error
    typer.echo(signer.verifier.to_vkey())
    console.print(f"Put {file} into a safe and take it off this machine. Give verifiers a policy: `biobank log policy`.")


@keys.command("rotate-log")
def rotate_log_key(
    wait: Patience = 60.0,
    token: Annotated[
        bool, typer.Option("--token", help="Make the new key in the security module that the settings name.")
    ] = False,
) -> None:
    """Begin a change of the log's key: announce it in the log; from then on both keys sign. Needs a running sealer."""
    from biobank.exports.log_keys import announce, token_place
    from biobank.transparency.key_in_token import TokenAway
    from biobank.transparency.note import Signer

    with open_bank() as bank:
        try:
            make = token_place(bank.settings).generate if token else Signer.generate
            key, start = announce(bank, patience_s=wait, make=make)
        except TokenAway as error:
            raise fail(str(error)) from error
    typer.echo(f"log {key.to_vkey()} from {start}")
    console.print("Both keys sign from now on. Give verifiers and witnesses the line above, then run `biobank keys retire-log`.")


@keys.command("retire-log")
def retire_log_key(wait: Patience = 60.0) -> None:
    """End a change of the log's key: the old one stops signing and is destroyed. Needs a running sealer."""
    from biobank.exports.log_keys import retire
    from biobank.transparency.keys import KeyFileError

    with open_bank() as bank:
        try:
            key, end = retire(bank, patience_s=wait)
        except KeyFileError as error:
            raise fail(str(error)) from error
    typer.echo(f"log {key.to_vkey()} to {end}")
    console.print("The old key is gone. Give verifiers the new policy: `biobank log policy`.")
