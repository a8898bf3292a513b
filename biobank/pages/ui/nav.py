"""The main menu: which doors a login sees.

A door is shown when one of its permissions is held. Hiding a door is a courtesy; the page behind it checks for itself.
"""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass


@dataclass(frozen=True)
class Door:
    """A section of the pages: `any_of` permissions open it; none listed means everyone signed in."""

    label: str
    href: str
    icon: str
    any_of: frozenset[str] = frozenset()
    also: tuple[str, ...] = ()
    """Other addresses that lie behind it."""


@dataclass(frozen=True)
class NavItem:
    """A menu entry as the layout draws it."""

    label: str
    href: str
    icon: str
    active: bool


DOORS: tuple[Door, ...] = (
    Door("Today", "/", "home"),
    Door("Scan", "/scan", "scan", frozenset({"custody:record", "storage:record", "handover:take"})),
    Door("Specimens", "/specimens", "vial", frozenset({"specimen:read"})),
    Door("Storage", "/storage", "tank", frozenset({"storage:record", "storage:manage", "specimen:read"})),
    Door("Donors", "/donors", "donor", frozenset({"donor:read"})),
    Door("Labels", "/labels", "print", frozenset({"label:print", "site:manage"})),
    Door("Withdrawals", "/withdrawals", "return", frozenset({"withdrawal:read"})),
    Door("Transport", "/handovers", "truck", frozenset({"handover:take", "shipment:record"}), ("/shipments",)),
    Door("Deviations", "/deviations", "triangle", frozenset({"deviation:open", "log:read"}), ("/look-backs", "/recalls")),
    Door("Viability", "/viability", "flask", frozenset({"specimen:read"})),
    Door("Log", "/log", "log", frozenset({"log:read"})),
    Door("Users", "/users", "users", frozenset({"user:read"})),
)


def nav_for(permissions: AbstractSet[str], path: str) -> list[NavItem]:
    """Return the menu for a login with `permissions` that looks at `path`.

    The entry whose address is the longest prefix of `path`, whole segments only, is the active one; `/` is active only
    on itself.
    """
    open_doors = [door for door in DOORS if not door.any_of or door.any_of & permissions]
    return [
        NavItem(door.label, door.href, door.icon, any(_leads_to(href, path) for href in (door.href, *door.also)))
        for door in open_doors
    ]


def _leads_to(href: str, path: str) -> bool:
    if href == "/":
        return path == "/"
    return path == href or path.startswith(href + "/")
