"""Logins, from the console of the machine."""

import asyncio
from typing import TYPE_CHECKING, Annotated

import typer

from biobank.auth.permissions import Role
from biobank.commands.console import console, open_bank

if TYPE_CHECKING:
    from biobank.acts.bank import Bank
    from biobank.auth.service import Proven

users = typer.Typer(no_args_is_help=True, help="Logins, from the console of the machine.")
Second = Annotated[
    str | None,
    typer.Option(help="Login name of the second person, from quality; needed as soon as there is one. Asks for the password."),
]


@users.command("create")
def create_user(
    username: str,
    name: Annotated[str, typer.Option(help="Printed name; kept in the vault.", prompt=True)],
    role: Annotated[list[Role], typer.Option(help="A role; repeat for more.")],
    site: Annotated[str | None, typer.Option(help="Site of the roles; everywhere when left out.")] = None,
    second: Second = None,
) -> None:
    """Make a login as the bank itself and print its one-time code: half of it where a second person signs."""
    from biobank.acts.act import Act
    from biobank.auth import one_time
    from biobank.auth.actor import RoleGrant
    from biobank.people.bootstrap import set_up_user
    from biobank.people.slips import other_half_by

    plain = one_time.new_code()
    with open_bank() as bank:
        proven = _proven(bank, second)
        act = Act.system(bank, path="cli/users/create")
        code = bank.database.write_now(
            lambda s: set_up_user(
                s,
                act,
                username=username,
                printed_name=name,
                one_time_code=plain,
                grants=[RoleGrant(r, site) for r in role],
                second=proven,
            )
        )
        other = bank.database.write_now(lambda s: other_half_by(s, code))
    _hand_over(username, code, plain, other)


@users.command("reset-password")
def reset_password(username: str, second: Second = None) -> None:
    """Print a one-time code for a login, as `create` does; its password and every session of it end."""
    from biobank.acts.act import Act
    from biobank.auth import one_time
    from biobank.people.bootstrap import reset_from_console
    from biobank.people.slips import other_half_by

    plain = one_time.new_code()
    with open_bank() as bank:
        proven = _proven(bank, second)
        act = Act.system(bank, path="cli/users/reset-password")
        code = bank.database.write_now(
            lambda s: reset_from_console(s, act, username=username, one_time_code=plain, second=proven)
        )
        other = bank.database.write_now(lambda s: other_half_by(s, code))
    _hand_over(username, code, plain, other)


def _proven(bank: "Bank", second: str | None) -> "Proven | None":
    if second is None:
        return None
    from biobank.acts.proving import password_check_of
    from biobank.auth.service import prove_password
    from biobank.auth.throttle import Asking

    password = typer.prompt(f"Password of {second}", hide_input=True)
    code = typer.prompt(f"Code of {second}'s app (Enter when there is none)", default="", show_default=False)

    async def prove() -> "Proven":
        try:
            return await prove_password(password_check_of(bank), second, password, Asking(), code)
        finally:
            await bank.database.dispose()

    return asyncio.run(prove())


def _hand_over(username: str, code: str, plain: str, other: str | None) -> None:
    if other is None:
        console.print(f"{username} is {code}. One-time code: {plain}", highlight=False)
        console.print("It goes to its owner unread and opens one thing, in three days: the choice of a password of their own.")
        return
    console.print(f"{username} is {code}. First half of the one-time code: {plain.split(' ')[0]}", highlight=False)
    console.print(f"It goes to its owner unread. {other} draws the other half on the page of {code} within three days, and")
    console.print("hands that over. Both halves, one after the other, open one thing: the choice of a password of their own.")
