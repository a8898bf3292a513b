"""The main menu: which sections a login sees.

A section is shown when one of its permissions is held. Hiding it is a courtesy; the page behind it checks for itself.
"""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass


@dataclass(frozen=True)
class Section:
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


SECTIONS: tuple[Section, ...] = (
    Section("Today", "/", "home"),
    Section("Scan", "/scan", "scan", frozenset({"custody:record", "storage:record", "handover:take"})),
    Section("Specimens", "/specimens", "vial", frozenset({"specimen:read"})),
    Section("Storage", "/storage", "tank", frozenset({"storage:record", "storage:manage", "specimen:read"})),
    Section("Donors", "/donors", "donor", frozenset({"donor:read"})),
    Section("Labels", "/labels", "print", frozenset({"label:print", "site:manage"})),
    Section("Withdrawals", "/withdrawals", "return", frozenset({"withdrawal:read"})),
    Section("Transport", "/handovers", "truck", frozenset({"handover:take", "shipment:record"}), ("/shipments",)),
    Section(
        "Deviations",
        "/deviations",
        "triangle",
        frozenset({"deviation:open", "log:read"}),
        ("/holds", "/look-backs", "/recalls", "/excursions", "/alarms", "/rotas"),
    ),
    Section("Viability", "/viability", "flask", frozenset({"specimen:read"})),
    Section("Log", "/log", "log", frozenset({"log:read"})),
    Section("Users", "/users", "users", frozenset({"user:read"})),
)


def nav_for(permissions: AbstractSet[str], path: str) -> list[NavItem]:
    """Return the menu for a login with `permissions` that looks at `path`.

    The entry whose address is the longest prefix of `path`, whole segments only, is the active one; `/` is active only
    on itself.
    """
    shown = [section for section in SECTIONS if not section.any_of or section.any_of & permissions]
    return [
        NavItem(section.label, section.href, section.icon, any(_leads_to(href, path) for href in (section.href, *section.also)))
        for section in shown
    ]


def _leads_to(href: str, path: str) -> bool:
    if href == "/":
        return path == "/"
    return path == href or path.startswith(href + "/")
