"""Logins, from the console of the machine."""

from typing import Annotated

import typer

from biobank.auth.permissions import Role
from biobank.commands.console import console, open_bank

users = typer.Typer(no_args_is_help=True, help="Logins, from the console of the machine.")


@users.command("create")
def create_user(
    username: str,
    name: Annotated[str, typer.Option(help="Printed name; kept in the vault.", prompt=True)],
    role: Annotated[list[Role], typer.Option(help="A role; repeat for more.")],
    site: Annotated[str | None, typer.Option(help="Site of the roles; everywhere when left out.")] = None,
    password: Annotated[str, typer.Option(prompt=True, hide_input=True, confirmation_prompt=True, help="First password.")] = "",
) -> None:
    """Make a login as the bank itself. For the first administrator and the first quality person; later ones need two people."""
    from biobank.acts.act import Act
    from biobank.auth.actor import RoleGrant
    from biobank.auth.passwords import hash_now
    from biobank.people.bootstrap import set_up_user

    with open_bank() as bank:
        hashed = hash_now(password)
        act = Act.system(bank, path="cli/users/create")
        code = bank.database.write_now(
            lambda s: set_up_user(
                s,
                act,
                username=username,
                printed_name=name,
                password=password,
                password_hash=hashed,
                grants=[RoleGrant(r, site) for r in role],
            )
        )
    console.print(f"{username} is {code}. The password must be changed at the first sign-in.")


@users.command("reset-password")
def reset_password(
    username: str,
    password: Annotated[str, typer.Option(prompt=True, hide_input=True, confirmation_prompt=True)] = "",
) -> None:
    """Set a first password again, as the bank itself; ends every session of the login."""
    from biobank.acts.act import Act
    from biobank.auth.passwords import hash_now
    from biobank.people.bootstrap import set_first_password

    with open_bank() as bank:
        hashed = hash_now(password)
        act = Act.system(bank, path="cli/users/reset-password")
        code = bank.database.write_now(
            lambda s: set_first_password(s, act, username=username, password=password, password_hash=hashed)
        )
    console.print(f"{username} ({code}) signs in with the new password and must change it.")
