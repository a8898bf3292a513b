"""Comparing rows with the log, a slice at a time. Every function returns where it ended, and what differs.

Rows and events are read by separate statements. A row that changed in between is not judged: its turn comes again.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import chain, groupby
from typing import Any, Final
from uuid import UUID

from sqlalchemy import Select, func, select
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlmodel import Session

from biobank.auth.credentials import fingerprints_of
from biobank.auth.models import personal_key, second_factor, user, user_role
from biobank.custody.entry import parse_entry
from biobank.custody.models import custody, hold
from biobank.custody.projection import PROJECTED
from biobank.custody.rebuild import fold
from biobank.foundation.clock import rfc3339
from biobank.specimens.materials import UNDETERMINED
from biobank.specimens.models import specimen, specimen_parent
from biobank.specimens.queries import basis_of
from biobank.transparency.models import event

COMPARED: Final = ("seq", "state_seq", *PROJECTED)
MADE: Final = {
    **{"material": "material", "unit": "unit", "purpose": "purpose", "passage": "passage", "vessel_count": "vessel_count"},
    **{"harvest_code": "harvest", "lot_code": "lot", "home_site_code": "home_site", "expires_at": "expires_at"},
    "regulatory_basis": "basis",
}
"""Columns of a specimen, and the member of its first entry that says each; the basis is decided later."""
_WORDS: Final = {
    "seq": "number of events",
    "state_seq": "event of the last step",
    "custodian_kind": "kind of custodian",
    "custodian_id": "custodian",
    "site_code": "site",
    "container_code": "place",
    "position_code": "slot",
    "shipment_code": "shipment",
    "reserved_for": "reserved for",
    "regulatory_basis": "legal basis",
    "person_code": "first login of the person",
    "scope_kind": "kind of scope",
    "scope_id": "scope",
    "lifted": "lifted by an event",
    "credentials": "fingerprint of what opens the login",
    "keys": "personal keys",
}


@dataclass(frozen=True)
class Differs:
    """One thing that the table says otherwise than the log."""

    what: str
    stored: Any
    logged: Any

    def words(self) -> str:
        """Return it as a sentence."""
        name = _WORDS.get(self.what, self.what.replace("_", " "))
        return f"{name}: the table says {_said(self.stored)}, the log says {_said(self.logged)}."


def _said(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value)) or "none"
    return "none" if value in (None, "") else str(value)


@dataclass
class Slice:
    """What one slice found. `last`: where the next begins; None: that was the end. `asked`: of how many rows; None: as many as
    the walk asked for.
    """

    last: str | None = None
    asked: int | None = None
    looked_at: int = 0
    events: int = 0
    differing: dict[str, list[Differs]] = field(default_factory=dict)
    sites: dict[str, str | None] = field(default_factory=dict)


def differences(stored: Mapping[str, Any], logged: Mapping[str, Any]) -> list[Differs]:
    """Return every member of `logged` that `stored` has otherwise."""
    return [Differs(name, stored[name], value) for name, value in logged.items() if plain(stored[name]) != value]


def plain(value: Any) -> Any:
    """Return a stored value as an entry writes it."""
    if isinstance(value, datetime):
        return rfc3339(value)
    if isinstance(value, (UUID, date)):
        return str(value)
    return bytes(value).hex() if isinstance(value, (bytes, memoryview)) else value


Part = Callable[[Session, str, int], Slice]
"""Compares the next rows of something: after which one, how many at most."""


def slice_of(
    session: Session,
    codes: Sequence[str],
    rows: Callable[[Session, Sequence[str]], dict[str, dict[str, Any]]],
    logged: Callable[[Session, Mapping[str, Mapping[str, Any]]], tuple[dict[str, dict[str, Any]], int]],
    *,
    site: str | None = "site",
    named: Callable[[str], str] = str,
) -> Slice:
    """Compare the rows of `codes`; of those that differ, only what still stands as it was read.

    `site`: the member of a row that says where it is; `named`: how a code is shown.
    """
    if not codes:
        return Slice()
    stored = rows(session, codes)
    expected, events = logged(session, stored)
    found = Slice(last=codes[-1], looked_at=len(codes), events=events)
    wrong = {code: told for code, row in stored.items() if (told := differences(row, expected[code]))}
    again = rows(session, sorted(wrong)) if wrong else {}
    stands = {code: told for code, told in wrong.items() if again.get(code) == stored[code]}
    found.differing = {named(code): told for code, told in stands.items()}
    found.sites = {named(code): stored[code].get(site) if site else None for code in stands}
    return found


def codes_of(session: Session, keys: Select[Any]) -> list[str]:
    """Return the codes that a statement finds."""
    return [str(code) for code in session.execute(keys).scalars()]


STREAMS_AT_ONCE: Final = 50


def entries_of_streams(
    session: Session, stream: str, ids: Sequence[str], kinds: Collection[str] = ()
) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Yield each of these streams that there is, with its parsed entries in their order: all, or those of some kinds.

    Few streams are read at a time: the histories of all would be the larger the longer the bank works.
    """
    for start in range(0, len(ids), STREAMS_AT_ONCE):
        some = ids[start : start + STREAMS_AT_ONCE]
        statement = select(event.c.stream_id, event.c.entry).where(event.c.stream_kind == stream, event.c.stream_id.in_(some))
        if kinds:
            statement = statement.where(event.c.kind.in_(sorted(kinds)))
        ordered = statement.order_by(event.c.stream_id, event.c.seq)
        for code, rows in groupby(session.execute(ordered), key=lambda row: str(row.stream_id)):
            yield code, [parse_entry(bytes(row.entry)) for row in rows]


def compare_custody(session: Session, after: str, limit: int) -> Slice:
    """Fold the events of the next specimens and compare with them custody, reservation and place, what each is, whose, of what
    it was made, and its legal basis.
    """

    def rows(session: Session, codes: Sequence[str]) -> dict[str, dict[str, Any]]:
        parent = specimen_parent.c
        of_it = func.array_agg(aggregate_order_by(parent.parent_code, parent.parent_code))
        parents = select(of_it).where(parent.child_code == custody.c.code).scalar_subquery()
        statement = (
            select(custody, *(specimen.c[name] for name in MADE), specimen.c.donor_code.label("donor"), parents.label("parents"))
            .join_from(custody, specimen, specimen.c.code == custody.c.code)
            .where(custody.c.code.in_(codes))
        )
        return {
            row.code: {**row._mapping, "site": row.site_code, "parents": row.parents or []} for row in session.execute(statement)
        }

    def logged(session: Session, stored: Mapping[str, Any]) -> tuple[dict[str, dict[str, Any]], int]:
        expected, events = {}, 0
        without: Iterator[tuple[str, list[dict[str, Any]]]] = ((code, []) for code in stored if code not in expected)
        # One history after the other, each let go of: together they grow with all that was ever recorded.
        for code, of_this in chain(entries_of_streams(session, "specimen", sorted(stored)), without):
            rebuilt = fold(of_this)
            made = rebuilt.projection.columns() | {"seq": rebuilt.seq, "state_seq": rebuilt.state_seq}
            expected[code] = {name: made[name] for name in COMPARED} | made_as(of_this)
            events += len(of_this)
        return expected, events

    keys = select(custody.c.code).where(custody.c.code > after).order_by(custody.c.code).limit(limit)
    return slice_of(session, codes_of(session, keys), rows, logged)


def made_as(entries: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Return what these entries of one specimen say that it is: each member that its first entry has, whose, and its basis."""
    if not entries:
        return {"regulatory_basis": UNDETERMINED}
    first = entries[0]["body"]
    said = {column: first[member] for column, member in MADE.items() if member in first and column != "regulatory_basis"}
    if first.get("home_site") is None:
        said.pop("home_site_code", None)
    moved = [one["body"]["donor"] for one in entries if one["kind"] in ("specimen.donor_merged", "specimen.reattributed")]
    donor = moved[-1] if moved else first["donor"]
    whose = {"donor": donor, "donor_code": donor, "parents": sorted(first.get("parents", []))}
    return said | whose | {"regulatory_basis": basis_of(entries)}


_HOLD = ("kind", "scope_kind", "scope_id", "blocks", "reason", "placed_by")


def compare_holds(session: Session, after: str, limit: int) -> Slice:
    """Compare the next holds with the events that placed and lifted them."""

    def rows(session: Session, codes: Sequence[str]) -> dict[str, dict[str, Any]]:
        found = session.execute(select(hold).where(hold.c.id.in_([UUID(code) for code in codes])))
        return {
            str(row.id): {**{name: row._mapping[name] for name in _HOLD}, "lifted": row.lifted_at is not None, "row": row}
            for row in found
        }

    def logged(session: Session, stored: Mapping[str, Any]) -> tuple[dict[str, dict[str, Any]], int]:
        hashes = {
            bytes(h) for one in stored.values() for h in (one["row"].placed_event, one["row"].lifted_event) if h is not None
        }
        found = session.execute(select(event.c.leaf_hash, event.c.entry).where(event.c.leaf_hash.in_(hashes)))
        entries = {bytes(row.leaf_hash): parse_entry(bytes(row.entry)) for row in found}
        return {code: _hold_of(code, one["row"], entries) for code, one in stored.items()}, len(entries)

    statement = select(hold.c.id).order_by(hold.c.id).limit(limit)
    keys = statement.where(hold.c.id > UUID(after)) if after else statement
    return slice_of(session, codes_of(session, keys), rows, logged)


def _hold_of(code: str, row: Any, entries: Mapping[bytes, dict[str, Any]]) -> dict[str, Any]:
    """Return what the two events say of a hold; an event of something else says nothing."""
    placed = entries.get(bytes(row.placed_event), {"kind": "", "body": {}, "by": None})
    lifted = entries.get(bytes(row.lifted_event or b""), {"kind": "", "body": {}})
    is_placed = placed["kind"].endswith(".hold_placed") and placed["body"]["hold"] == code
    body = placed["body"] if is_placed else {}
    return {
        "kind": body.get("hold_kind"),
        "scope_kind": body.get("scope_kind"),
        "scope_id": body.get("scope_id"),
        "blocks": list(body.get("blocks", [])),
        "reason": body.get("reason"),
        "placed_by": placed["by"] if is_placed else None,
        "lifted": lifted["kind"].endswith(".hold_lifted") and lifted["body"]["hold"] == code,
    }


def compare_logins(session: Session, after: str, limit: int) -> Slice:
    """Compare the next logins with their events: roles, open or shut, of which person, their keys, what opens them."""

    def rows(session: Session, codes: Sequence[str]) -> dict[str, dict[str, Any]]:
        roles: dict[str, list[str]] = defaultdict(list)
        for row in session.execute(select(user_role).where(user_role.c.user_code.in_(codes))):
            roles[row.user_code].append(_role(row.role, row.site_code))
        factor = (
            select(func.count())
            .select_from(second_factor)
            .where(second_factor.c.user_code == user.c.code, second_factor.c.confirmed_at.is_not(None))
            .scalar_subquery()
        )
        of_keys = personal_key.c
        keys: dict[str, list[str]] = defaultdict(list)
        for row in session.execute(select(of_keys.user_code, of_keys.public).where(of_keys.user_code.in_(codes))):
            keys[row.user_code].append(bytes(row.public).hex())
        prints = fingerprints_of(session, codes)
        found = session.execute(select(user, factor.label("factors")).where(user.c.code.in_(codes)))
        return {
            row.code: {
                "roles": sorted(roles[row.code]),
                "open": row.active,
                "person_code": row.person_code,
                "second_factor": row.factors > 0,
                "password_of_the_owner": not row.must_change_password,
                "keys": sorted(keys[row.code]),
                "credentials": prints[row.code],
            }
            for row in found
        }

    def logged(session: Session, stored: Mapping[str, Any]) -> tuple[dict[str, dict[str, Any]], int]:
        entries = dict(entries_of_streams(session, "user", sorted(stored)))
        return {code: login_after(entries.get(code, [])) for code in stored}, sum(map(len, entries.values()))

    keys = select(user.c.code).where(user.c.code > after).order_by(user.c.code).limit(limit)
    return slice_of(session, codes_of(session, keys), rows, logged)


def _role(role: str, site: str | None) -> str:
    return f"{role} at {site}" if site else f"{role} everywhere"


def login_after(entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what a login is after these entries of its stream."""
    roles: set[str] = set()
    after: dict[str, Any] = {
        "open": True,
        "person_code": None,
        "second_factor": False,
        "password_of_the_owner": False,
        "credentials": None,
    }
    keys: set[str] = set()
    for entry in entries:
        body, kind = entry["body"], entry["kind"].removeprefix("user.")
        if kind == "role_granted":
            roles.add(_role(body["role"], body["site"]))
        elif kind == "role_revoked":
            roles.discard(_role(body["role"], body["site"]))
        elif kind in ("deactivated", "reactivated"):
            after["open"] = kind == "reactivated"
        elif kind in ("password_changed", "password_reset"):
            after["password_of_the_owner"] = kind == "password_changed"
        elif kind in ("second_factor_set", "second_factor_removed"):
            after["second_factor"] = kind == "second_factor_set"
        elif kind == "of_person":
            after["person_code"] = body["person"]
        elif kind == "personal_key_set":
            keys.add(body["key"])
        elif kind == "credentials_set":
            after["credentials"] = body["fingerprint"]
    return {"roles": sorted(roles), "keys": sorted(keys), **after}
