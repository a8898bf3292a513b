"""The menu: the sections a login sees, its own work first, the lists of each, and the way back to them.

A list is shown when one of its permissions is held; a section when one of its lists is. Hiding is a courtesy: the page behind
checks for itself. The bar shows as many sections as the width has room for (app.css), “All pages” every list of every one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE, EVERYWHERE

P = Permission

SEES_SPECIMENS: Final = (P.SPECIMEN_READ,)
BENCH: Final = (P.CUSTODY_RECORD, P.STORAGE_RECORD)
WORKS_THERE: Final = (P.STORAGE_RECORD, P.LOG_READ)
KEEPS: Final = (P.STORAGE_MANAGE, *WORKS_THERE)
"""Who works where material is kept, or reads of it: for a clinic alone there is never a place, a sensor or a count."""
SETS_UP: Final = (P.SITE_MANAGE, P.USER_MANAGE, P.STORAGE_MANAGE, P.QUALITY_DECIDE, P.KIT_MANAGE)
REPORTS: Final = (P.DEVIATION_OPEN, P.LOG_READ)


@dataclass(frozen=True)
class Part:
    """A list or page of a section: one of `any_of` opens it, held somewhere or `everywhere`; none named: everyone signed in.

    `job` names the page of `docs/help` that explains it.
    """

    label: str
    href: str
    job: str
    any_of: Sequence[Permission] = ()
    everywhere: bool = False

    def opens_for(self, actor: Actor) -> bool:
        """Whether the actor sees it."""
        at = EVERYWHERE if self.everywhere else ANYWHERE
        return not self.any_of or any(actor.may(one, at=at) for one in self.any_of)


@dataclass(frozen=True)
class Section:
    """A section: its lists, the first that opens being its door. Whoever holds one of `work` has it among the first."""

    label: str
    icon: str
    parts: tuple[Part, ...]
    work: Sequence[Permission] = ()
    also: tuple[str, ...] = ()
    """Other addresses that lie behind it."""

    def part_of(self, path: str) -> Part | None:
        """Return the list under which the page at `path` lies, the nearest one."""
        under = [part for part in self.parts if _leads_to(part.href, path)]
        return max(under, key=lambda part: len(part.href), default=None)

    def holds(self, path: str) -> bool:
        """Whether the page at `path` lies in it."""
        return self.part_of(path) is not None or any(_leads_to(href, path) for href in self.also)


@dataclass(frozen=True)
class NavItem:
    """A section as the layout draws it; `parts` are label, address and whether it is this page."""

    label: str
    href: str
    icon: str
    active: bool
    parts: tuple[tuple[str, str, bool], ...]


SECTIONS: tuple[Section, ...] = (
    Section(
        "Today",
        "home",
        (
            Part("Today", "/", "today"),
            Part("Calendar", "/calendar", "today"),
            Part("Figures", "/figures", "today"),
            Part("Begun and not finished", "/open-acts", "today", SEES_SPECIMENS),
            Part("Waiting for a second person", "/pending", "two-people"),
            Part("Work to confirm", "/confirmations", "two-people", BENCH),
            Part("Notices", "/notices", "today"),
            Part("Roles, resets and holds lifted", "/watched-acts", "today"),
            Part("My background work", "/jobs", "today"),
            Part("Setting up the bank", "/set-up", "setting-up", SETS_UP),
        ),
        tuple(P),
        ("/wrong",),
    ),
    Section(
        "Scan",
        "scan",
        (
            Part("Scan list", "/scan", "scanning", (P.CUSTODY_RECORD, P.STORAGE_RECORD, P.HANDOVER_TAKE)),
            Part("Printed commands", "/scan/sheet", "scanning", (P.CUSTODY_RECORD, P.STORAGE_RECORD)),
            Part("Set up a scanner", "/scan/scanner", "scanning", (P.CUSTODY_RECORD, P.STORAGE_RECORD)),
        ),
        BENCH,
    ),
    Section(
        "Specimens",
        "vial",
        (
            Part("Specimens", "/specimens", "specimens", SEES_SPECIMENS),
            Part("Kits", "/kits", "kits", (P.KIT_MANAGE, P.HARVEST_RECORD)),
            Part("Harvests", "/harvests", "kits", SEES_SPECIMENS),
            Part("Runs", "/processings", "runs", SEES_SPECIMENS),
            Part("Lots", "/lots", "runs", SEES_SPECIMENS),
            Part("Viability", "/viability", "viability", SEES_SPECIMENS),
            Part("Workstations", "/workstations", "workstations", WORKS_THERE),
            Part("Bench sessions", "/bench-sessions", "workstations", WORKS_THERE),
            Part("Registers", "/registers", "registers", SEES_SPECIMENS),
            Part("Limits of materials", "/material-limits", "registers", (P.QUALITY_DECIDE,)),
            Part("Rules of registers", "/register-rules", "registers", (P.QUALITY_DECIDE,)),
        ),
        (P.PROCESSING_RECORD, P.QUALITY_DECIDE),
    ),
    Section(
        "Storage",
        "tank",
        (
            Part("As a tree", "/storage", "places", KEEPS),
            Part("As a list", "/storage/places", "places", KEEPS),
            Part("Counts", "/counts", "counting", KEEPS),
            Part("All in one place", "/all-in-one-place", "places", WORKS_THERE),
            Part("Excursions", "/excursions", "temperatures", WORKS_THERE),
            Part("Sensors", "/sensors", "temperatures", (P.SENSOR_MANAGE, *KEEPS)),
            Part("What places may read", "/place-limits", "temperatures", KEEPS),
            Part("Keep donors' units together", "/split-storage", "places", (P.QUALITY_DECIDE,)),
            Part("Import an old inventory", "/imports/new", "importing", (P.STORAGE_MANAGE,)),
        ),
        (P.STORAGE_RECORD, P.STORAGE_MANAGE),
    ),
    Section("Donors", "donor", (Part("Donors", "/donors", "donors", (P.DONOR_READ,)),), (P.DONOR_IDENTIFY, P.DONOR_REGISTER)),
    Section(
        "Withdrawals",
        "return",
        (
            Part("Withdrawals", "/withdrawals", "withdrawals", (P.WITHDRAWAL_READ,)),
            Part("Waiting for a decision", "/withdrawals/queue", "withdrawals", (P.WITHDRAWAL_APPROVE,)),
            Part("Planned measures", "/outcomes", "outcomes", (P.WITHDRAWAL_READ,)),
        ),
        (P.WITHDRAWAL_REQUEST, P.WITHDRAWAL_APPROVE, P.WITHDRAWAL_PICK, P.WITHDRAWAL_RECEIVE),
    ),
    Section(
        "Quality",
        "triangle",
        (
            Part("Deviations", "/deviations", "deviations", REPORTS),
            Part("Holds", "/holds", "deviations", SEES_SPECIMENS),
            Part("Recalls", "/recalls", "deviations", (P.LOG_READ,), everywhere=True),
            Part("Adverse events", "/adverse-events", "adverse-events", REPORTS),
            Part("Alarms", "/alarms", "alarms", WORKS_THERE),
            Part("Who is called", "/rotas", "alarms", (P.SITE_MANAGE, *KEEPS)),
            Part("Look back", "/look-backs", "deviations", (P.LOG_READ,), everywhere=True),
            Part("File a form on paper", "/paper-forms/new", "paper", (P.DEVIATION_OPEN,)),
            Part("Law of a site", "/jurisdictions", "users-and-sites", (P.QUALITY_DECIDE,)),
            Part("Rule of ending material", "/ending-rules", "deviations", (P.QUALITY_DECIDE,)),
            Part("Closing a bank", "/closings", "deviations", SEES_SPECIMENS),
            Part("Days to report", "/reporting-rules", "adverse-events", (P.DEVIATION_DECIDE,)),
        ),
        (P.QUALITY_DECIDE, P.DEVIATION_DECIDE),
    ),
    Section(
        "Log",
        "log",
        (
            Part("Search", "/log", "log", (P.LOG_READ,)),
            Part("Near misses", "/log/near-misses", "log", (P.LOG_READ,)),
            Part("Counted", "/log/counts", "log", (P.LOG_READ,)),
            Part("Gaps", "/log/gaps", "log", (P.LOG_READ,)),
            Part("Exports", "/log/exports", "log", (P.LOG_READ,)),
            Part("Events to other systems", "/webhooks", "other-systems", (P.LOG_EXPORT,)),
            Part("Verification", "/log/verification", "log", (P.LOG_READ,)),
            Part("Identities read", "/identity-readings", "log", (P.LOG_READ,)),
        ),
        (P.LOG_EXPORT,),
    ),
    Section(
        "Transport",
        "truck",
        (
            Part("Hand-overs", "/handovers", "transport", (P.HANDOVER_TAKE, P.SHIPMENT_RECORD)),
            Part("Shipments", "/shipments", "transport", (P.HANDOVER_TAKE, P.SHIPMENT_RECORD)),
        ),
        (P.SHIPMENT_RECORD,),
    ),
    Section(
        "Labels",
        "print",
        (
            Part("Labels", "/labels", "labels", (P.LABEL_PRINT, P.SITE_MANAGE)),
            Part("Many at once", "/labels/batch", "labels", (P.LABEL_PRINT,)),
            Part("What was printed", "/labels/prints", "labels", (P.LABEL_PRINT, P.SITE_MANAGE)),
            Part("Batches", "/labels/batches", "labels", (P.LABEL_PRINT,)),
        ),
        (P.SITE_MANAGE,),
    ),
    Section(
        "Users",
        "users",
        (
            Part("Users", "/users", "users-and-sites", (P.USER_READ,)),
            Part("Sites", "/sites", "users-and-sites", (P.SITE_MANAGE,)),
            Part("Stations", "/stations", "users-and-sites", (P.SITE_MANAGE,)),
            Part("API clients", "/api-clients", "users-and-sites", (P.USER_READ,)),
            Part("Messages that failed", "/messages/failed", "users-and-sites", (P.USER_MANAGE,)),
        ),
        (P.USER_MANAGE,),
    ),
)


def nav_for(actor: Actor, path: str) -> list[NavItem]:
    """Return the menu for `actor`, who looks at `path`: the sections of their work first, each with the lists that open.

    The section in which the page lies, whole segments of the address compared, is the active one; `/` is active only on itself.
    """
    held = actor.permissions
    shown: list[tuple[bool, NavItem]] = []
    for section in SECTIONS:
        parts = tuple((part.label, part.href, part.href == path) for part in section.parts if part.opens_for(actor))
        if parts:
            item = NavItem(section.label, parts[0][1], section.icon, section.holds(path), parts)
            shown.append((held.isdisjoint(section.work), item))
    return [item for _, item in sorted(shown, key=lambda one: one[0])]


def opens(actor: Actor, href: str) -> bool:
    """Say whether the list at `href` is one of those that `actor` sees in the menu."""
    path = href.partition("?")[0]
    return any(part.href == path and part.opens_for(actor) for section in SECTIONS for part in section.parts)


def parts_for(nav: Sequence[NavItem], path: str) -> Sequence[tuple[str, str, bool]]:
    """Return the lists beside the one at `path`; none on the page of one thing, on Today, or where there is no other."""
    if path == "/":
        return []
    return next((item.parts for item in nav if len(item.parts) > 1 and any(here for _, _, here in item.parts)), [])


def crumbs_for(actor: Actor, path: str) -> list[tuple[str, str | None]]:
    """Return the way back from a page that gives none of its own: its section and its list; nothing for a page of the menu."""
    for section in SECTIONS:
        part = section.part_of(path)
        if part is None or path == part.href:
            continue
        door = next((one for one in section.parts if one.opens_for(actor)), part)
        steps: list[tuple[str, str | None]] = [(section.label, door.href)]
        return steps if part.href == door.href else [*steps, (part.label, part.href)]
    return []


ELSEWHERE: Final = {
    "/account": "account",
    "/keys": "account",
    "/first-login": "account",
    "/find": "specimens",
    "/wrong": "deviations",
    "/slips": "users-and-sites",
    "/attachments": "deviations",
    "/help": "",
    "/docs": "",
}
"""Pages outside the menu → the help that explains them."""


def job_of(path: str) -> str:
    """Return the job of the help page that explains the page at `path`; empty where there is none."""
    for start, job in ELSEWHERE.items():
        if _leads_to(start, path):
            return job
    found = [part for section in SECTIONS if (part := section.part_of(path)) is not None]
    return max(found, key=lambda part: len(part.href)).job if found else "today"


def _leads_to(href: str, path: str) -> bool:
    if href == "/":
        return path == "/"
    return path == href or path.startswith(href + "/")
