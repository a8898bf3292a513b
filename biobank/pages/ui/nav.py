"""The main menu: which sections a login sees, and the lists of the section it is in.

A section or a list is shown when one of its permissions is held. Hiding it is a courtesy; the page behind it checks for itself.
"""

from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final

READS_SPECIMENS: Final = frozenset({"specimen:read"})


@dataclass(frozen=True)
class Part:
    """A list within a section; `any_of` permissions open it; none listed means those of the section."""

    label: str
    href: str
    any_of: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Section:
    """A section of the pages: `any_of` permissions open it; none listed means everyone signed in."""

    label: str
    href: str
    icon: str
    any_of: frozenset[str] = frozenset()
    parts: tuple[Part, ...] = ()
    """Its lists, the one at `href` among them."""
    also: tuple[str, ...] = ()
    """Other addresses that lie behind it."""

    def opens_for(self, permissions: AbstractSet[str]) -> bool:
        """Whether a login with `permissions` sees it."""
        return not self.any_of or bool(self.any_of & permissions)

    def holds(self, path: str) -> bool:
        """Whether the page at `path` lies in it."""
        return any(_leads_to(href, path) for href in (self.href, *self.also, *(part.href for part in self.parts)))


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
    Section(
        "Specimens",
        "/specimens",
        "vial",
        READS_SPECIMENS,
        (
            Part("Specimens", "/specimens"),
            Part("Kits", "/kits", frozenset({"kit:manage"})),
            Part("Harvests", "/harvests"),
            Part("Runs", "/processings"),
            Part("Lots", "/lots"),
            Part("Registers", "/registers"),
        ),
        ("/material-limits", "/register-rules"),
    ),
    Section(
        "Storage",
        "/storage",
        "tank",
        frozenset({"storage:record", "storage:manage", "specimen:read"}),
        (
            Part("As a tree", "/storage"),
            Part("As a list", "/storage/places"),
            Part("Counts", "/counts"),
            Part("All in one place", "/all-in-one-place", READS_SPECIMENS),
            Part("What places may read", "/place-limits"),
            Part("Sensors", "/sensors"),
        ),
    ),
    Section("Donors", "/donors", "donor", frozenset({"donor:read"})),
    Section("Labels", "/labels", "print", frozenset({"label:print", "site:manage"})),
    Section("Withdrawals", "/withdrawals", "return", frozenset({"withdrawal:read"})),
    Section(
        "Transport",
        "/handovers",
        "truck",
        frozenset({"handover:take", "shipment:record"}),
        (Part("Hand-overs", "/handovers"), Part("Shipments", "/shipments")),
    ),
    Section(
        "Deviations",
        "/deviations",
        "triangle",
        frozenset({"deviation:open", "log:read"}),
        (
            Part("Deviations", "/deviations"),
            Part("Holds", "/holds"),
            Part("Excursions", "/excursions"),
            Part("Alarms", "/alarms"),
        ),
        ("/look-backs", "/recalls", "/notices", "/ending-rules", "/adverse-events", "/reporting-rules"),
    ),
    Section("Viability", "/viability", "flask", READS_SPECIMENS),
    Section(
        "Log",
        "/log",
        "log",
        frozenset({"log:read"}),
        (
            Part("Search", "/log"),
            Part("Near misses", "/log/near-misses"),
            Part("Gaps", "/log/gaps"),
            Part("Exports", "/log/exports"),
            Part("Verification", "/log/verification"),
        ),
    ),
    Section(
        "Users",
        "/users",
        "users",
        frozenset({"user:read"}),
        (Part("Users", "/users"), Part("Sites", "/sites", frozenset({"site:manage"}))),
    ),
)


def nav_for(permissions: AbstractSet[str], path: str) -> list[NavItem]:
    """Return the menu for a login with `permissions` that looks at `path`.

    The section in which the page lies, whole segments of the address compared, is the active one; `/` is active only on itself.
    """
    shown = [section for section in SECTIONS if section.opens_for(permissions)]
    return [NavItem(section.label, section.href, section.icon, section.holds(path)) for section in shown]


def parts_for(permissions: AbstractSet[str], path: str) -> list[tuple[str, str, bool]]:
    """Return the lists beside the one at `path` as label, address and whether it is this one; none on the page of one thing."""
    for section in SECTIONS:
        if section.opens_for(permissions) and any(part.href == path for part in section.parts):
            shown = [part for part in section.parts if not part.any_of or part.any_of & permissions]
            return [(part.label, part.href, part.href == path) for part in shown] if len(shown) > 1 else []
    return []


def _leads_to(href: str, path: str) -> bool:
    if href == "/":
        return path == "/"
    return path == href or path.startswith(href + "/")
