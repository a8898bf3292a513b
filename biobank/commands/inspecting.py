"""What a script asks of the service itself."""

from rich.table import Table

from biobank.commands.console import console, settings_or_exit
from biobank.operations.supervisor import served_database


def routes() -> None:
    """List every route with its method, for operators who write firewall rules."""
    from biobank.acts.bank import Bank
    from biobank.app import create_app

    with served_database(settings_or_exit()) as settings:
        made = create_app(Bank.open(settings))
    table = Table("method", "path")
    for path, operations in sorted(made.openapi()["paths"].items()):
        for method in sorted(operations):
            table.add_row(method.upper(), path)
    console.print(table)
