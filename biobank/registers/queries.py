"""Questions to the registers: lists, one entry, and the names that forms choose from. They hold no personal data."""

from collections.abc import Collection
from dataclasses import fields
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Row, or_, select
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import ANYWHERE
from biobank.custody.locks import locked
from biobank.donors.allergies import Substance
from biobank.foundation.clock import now
from biobank.foundation.errors import NotFound
from biobank.foundation.paging import Paging, read_page
from biobank.registers.fitness import FIXED, USUAL, Entry, problems_of
from biobank.registers.models import register_authorisation, register_entry, register_rule, register_warning
from biobank.registers.schemas import (
    AuthorisationPublic,
    RegisterDossier,
    RegisterKind,
    RegisterList,
    RegisterPublic,
    RegisterRulePublic,
    RegisterRules,
    WarningPublic,
)

_E = register_entry.c
ORDERS = {"name": _E.name, "recorded_at": _E.recorded_at, "expires_on": _E.expires_on}
MOST_WARNINGS = 100
_ENTRY = [one.name for one in fields(Entry)]


def entry_of(row: "Row[Any]") -> Entry:
    """Return a row as the rule reads it."""
    return Entry(**{name: getattr(row, name) for name in _ENTRY})


def at_site(site: str) -> Any:
    """Select what may be used at a site: its own entries, and those of every site."""
    return or_(_E.site_code.is_(None), _E.site_code == site)


def result_due(session: Session, site: str, method: str, sampled_at: datetime) -> datetime | None:
    """Return when the result of a sample is due by its test method, a site's own before the one of every site; None: not said."""
    asked = select(_E.result_within_days).where(at_site(site), _E.kind == "test_method", _E.name == method)
    days = session.execute(asked.order_by(_E.site_code.is_(None)).limit(1)).scalar()
    return None if days is None else sampled_at + timedelta(days=days)


def is_in_use(session: Session, kind: str, name: str) -> bool:
    """Say whether any site has something of this kind and name in use."""
    asked = select(_E.key).where(_E.kind == kind, _E.name == name, _E.retired_at.is_(None), _E.recalled_at.is_(None))
    return session.execute(asked.limit(1)).first() is not None


def names_in_use(session: Session, actor: Actor, kind: RegisterKind) -> list[str]:
    """Return the names of a kind that are in use at any site, for a field that offers them; a name says nothing of a person."""
    actor.require(Permission.SPECIMEN_READ, at=ANYWHERE)
    asked = select(_E.name).where(_E.kind == kind, _E.retired_at.is_(None), _E.recalled_at.is_(None)).distinct()
    return sorted(session.execute(asked).scalars())


def list_register(
    session: Session, actor: Actor, *, kind: str | None = None, site: str | None = None, paging: Paging = Paging()
) -> RegisterList:
    """Answer GET /registers: entries, newest first; of a site, what may be used there."""
    actor.require(Permission.SPECIMEN_READ, at=ANYWHERE)
    statement = select(register_entry)
    if kind is not None:
        statement = statement.where(_E.kind == kind)
    if site is not None:
        statement = statement.where(at_site(site))
    page = read_page(session, statement, paging, key=_E.key, orders=ORDERS, default="-recorded_at")
    at = now()
    return RegisterList(items=[RegisterPublic(**members_of(row, at)) for row in page.rows], **page.ends)


def describe_entry(session: Session, actor: Actor, key: str) -> RegisterDossier:
    """Answer GET /registers/{entry}. Raises NotFound, NotPermitted."""
    actor.require(Permission.SPECIMEN_READ, at=ANYWHERE)
    row = row_of(session, key)
    a, w = register_authorisation.c, register_warning.c
    people = session.execute(select(a.user_code, a.since, a.until).where(a.entry_key == key).order_by(a.user_code))
    warned = session.execute(
        select(register_warning).where(w.entry_key == key).order_by(w.recorded_at.desc(), w.id).limit(MOST_WARNINGS)
    )
    return RegisterDossier(
        **members_of(row, now()),
        authorised=[AuthorisationPublic(person=one.user_code, since=one.since, until=one.until) for one in people],
        warnings=[_warning(one) for one in warned],
    )


def warnings_of(session: Session, used_in: Collection[str]) -> dict[str, list[str]]:
    """Return what runs, kits or counts used despite a warning, each as sentences. The caller has checked who may know of them."""
    w = register_warning.c
    found: dict[str, list[str]] = {one: [] for one in used_in}
    asked = select(w.used_in, w.sentence).where(w.used_in.in_(sorted(used_in))).order_by(w.recorded_at, w.sentence)
    for row in session.execute(asked):
        found[row.used_in].append(row.sentence)
    return found


def _warning(row: "Row[Any]") -> WarningPublic:
    return WarningPublic(**{name: getattr(row, name) for name in WarningPublic.model_fields})


def list_register_rules(session: Session, actor: Actor) -> RegisterRules:
    """Answer GET /register-rules: the usual answers, then what sites decided."""
    actor.require(Permission.SPECIMEN_READ, at=ANYWHERE)
    usual = [
        RegisterRulePublic(site=None, problem=problem, answer=answer, fixed=problem in FIXED) for problem, answer in USUAL.items()
    ]
    rows = session.execute(select(register_rule).order_by(register_rule.c.site_code, register_rule.c.problem))
    return RegisterRules(
        items=usual + [RegisterRulePublic(site=row.site_code, problem=row.problem, answer=row.answer) for row in rows]
    )


def row_of(session: Session, key: str, *, lock: bool = False) -> "Row[Any]":
    """Return an entry's row, locked if asked; raise NotFound."""
    statement = select(register_entry).where(_E.key == key)
    row = session.execute(locked(statement, register_entry) if lock else statement).first()
    if row is None:
        raise NotFound(f"{key} is in no register. Scan its label again, or look it up in the list.", subject=key)
    return row


def members_of(row: "Row[Any]", at: datetime) -> dict[str, Any]:
    """Return the members of RegisterPublic."""
    names = set(RegisterPublic.model_fields) - {"entry", "site", "problems"}
    given = {name: getattr(row, name) for name in names}
    return given | {"entry": row.key, "site": row.site_code, "problems": problems_of(entry_of(row), at, at)}


def contents_of(session: Session, keys: Collection[str]) -> dict[str, frozenset[Substance]]:
    """Return what each of these entries may leave in cells, by its code; what nobody said, and an unknown code, is missing."""
    rows = session.execute(
        select(register_entry.c.key, register_entry.c.contains, register_entry.c.leaves_nothing).where(
            register_entry.c.key.in_(sorted(keys))
        )
    )
    return {row.key: frozenset(map(Substance, row.contains)) for row in rows if row.contains or row.leaves_nothing}
