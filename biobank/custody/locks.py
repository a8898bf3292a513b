"""The one order in which an act locks rows, and the function that locks them.

Two acts that want the same rows wait for each other, and do not block each other for ever, only if both take them in the same
order: tables as in `ORDER`, rows of one table by their code. What was read before a lock is read again under it.
"""

from typing import Any, Final, TypeVar

from sqlalchemy import Select, Table

S = TypeVar("S", bound=Select[Any])

ORDER: Final = (
    "donor",
    "withdrawal",
    "handover",
    "shipment",
    "custody",
    "sensor",
    "api_client",
    "storage_container",
    "register_entry",
    "alarm",
    "excursion",
    "webhook",
)
"""Tables by name, the first to be locked first."""

_REFERRED_TO: Final = {"donor", "withdrawal"}
"""New rows of other tables may refer to these while they are locked (FOR NO KEY UPDATE): the lock is about status and consent."""


def locked(statement: S, *tables: Table, skip_locked: bool = False, shared: bool = False) -> S:
    """Make a SELECT lock its rows of `tables`, which are named in the order of `ORDER`, until the transaction ends.

    A SELECT of several rows says ORDER BY their code. `skip_locked` leaves out rows that somebody else holds;
    `shared` keeps others from changing them and lets them read them in the same way.
    """
    names = tuple(table.name for table in tables)
    assert names == tuple(sorted(set(names), key=ORDER.index)), names
    referred = _REFERRED_TO.issuperset(names)
    return statement.with_for_update(of=tables, read=shared, key_share=referred, skip_locked=skip_locked).execution_options(
        locks=names
    )
