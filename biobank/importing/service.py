"""Importing what was found ready: donors into the vault, tubes through the ledger, each at its slot, old identifiers kept.

Whole donors go together, some hundred tubes to a transaction. A run that was broken off, or a file that was mended and sent
again, goes on where it stopped: a tube that the same line of a file brought in is here already. Nothing is made up: no harvest,
no consent, no measurement, no test; a tube is `undetermined` and `quarantined` like any that nobody has checked, and its
treatment consent has to be recorded before use. What the bank would have stopped or held is held (`held_at_once.py`).
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby
from typing import Any, TypeAlias

import structlog
from sqlalchemy import func, select
from sqlalchemy.exc import DatabaseError, IntegrityError, OperationalError
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.bank import Bank
from biobank.acts.codes import new_codes
from biobank.auth.actor import SYSTEM_CODE, Actor, RoleGrant
from biobank.auth.permissions import Permission, Role
from biobank.custody.event import Event
from biobank.custody.recording import NOW
from biobank.custody.states import Condition
from biobank.donors.identity import keep_documents
from biobank.donors.visibility import kept_apart_among
from biobank.foundation.clock import rfc3339
from biobank.foundation.errors import NotPermitted, NotSignedIn, Refusal, raise_first
from biobank.foundation.many_rows import insert_rows
from biobank.importing.held_at_once import Standards, hold_at_once
from biobank.importing.known import Known, donors_of, expiry_of, known_tubes, midnight, require_taken_alive
from biobank.importing.places import Places, Stands
from biobank.importing.plan import CheckedRow, Vial
from biobank.importing.profile import Profile, prefix_of
from biobank.specimens.creation import Draft, create_specimens
from biobank.specimens.events import Aliased, Imported
from biobank.specimens.kits import require_bank_site
from biobank.specimens.materials import MaterialName
from biobank.specimens.resolving import alias
from biobank.vault import put_documents

IMPORTER = Actor(SYSTEM_CODE, frozenset(RoleGrant(role, None) for role in Role))
"""The bank itself, at its console."""
TUBES_AT_ONCE = 500
ENDS = (OperationalError, NotSignedIn, NotPermitted)
"""What ends a run as a whole, and is no matter of one donor's tubes."""

_one_at_a_time = select(func.pg_advisory_xact_lock(func.hashtextextended("imports of old inventories", 0)))
"""Held until the transaction ends. Two imports that know nothing of each other would register one new person twice."""

log = structlog.get_logger("biobank.importing")


@dataclass(slots=True)
class Result:
    """What became of a row that was ready."""

    checked: CheckedRow
    outcome: str
    """imported · already · refused"""
    code: str | None = None
    reason: str | None = None
    said: Sequence[str] = ()
    """What is to be said of the place that took it all the same."""


Within: TypeAlias = Callable[[Callable[[Session, Act], list[Result]]], list[Result]]
"""Runs some work as one act in one transaction."""


def at_console(bank: Bank) -> Within:
    """Return what runs work as the bank itself, for its console."""

    def within(work: Callable[[Session, Act], list[Result]]) -> list[Result]:
        act = Act.of(IMPORTER, bank, path="cli/import", source="import")
        return bank.database.write_now(lambda session: work(session, act))

    return within


def import_refusals(actor: Actor, profile: Profile) -> list[Refusal]:
    """Return what stands against an import by the actor: its tubes need rights at the bank's site, its people at the clinic's."""
    asked = (
        (Permission.STORAGE_MANAGE, profile.bank_site),
        (Permission.STORAGE_RECORD, profile.bank_site),
        (Permission.DONOR_REGISTER, profile.clinic_site),
        (Permission.IDENTITY_READ, profile.clinic_site),
    )
    return [refusal for permission, site in asked if (refusal := actor.refusal(permission, at=site)) is not None]


def import_ready(
    within: Within, ready: Sequence[CheckedRow], profile: Profile, tick: Callable[[int, int], None]
) -> Iterator[list[Result]]:
    """Import some hundred tubes after the other, each donor's together; yield what became of them.

    `tick(done, of)` is called after each portion, with numbers of tubes. What refuses one donor's tubes leaves the others' be.
    Raises what ends the run as a whole: a database that went away, a login that lost its rights.
    """
    places, done = Places(profile), 0
    for portion in portions(ready):
        try:
            yield within(partial(import_rows, rows=portion, profile=profile, places=places))
        except ENDS:
            raise
        except (Refusal, DatabaseError):
            places.forget()
            for ones in _by_donor(portion):
                yield _alone(within, ones, profile, places)
        done += len(portion)
        tick(done, len(ready))


def portions(ready: Sequence[CheckedRow]) -> Iterator[list[CheckedRow]]:
    """Divide what is ready into portions of whole donors."""
    portion: list[CheckedRow] = []
    for ones in _by_donor(ready):
        if portion and len(portion) + len(ones) > TUBES_AT_ONCE:
            yield portion
            portion = []
        portion += ones
    if portion:
        yield portion


def _alone(within: Within, rows: list[CheckedRow], profile: Profile, places: Places) -> list[Result]:
    try:
        return within(partial(import_rows, rows=rows, profile=profile, places=places))
    except ENDS:
        raise
    except Refusal as refusal:
        reason = refusal.detail
    except IntegrityError:
        reason = "Somebody took this position, or gave this identifier, at the same moment. Run the import again."
    except DatabaseError as error:
        log.exception("import_failed", sheet=rows[0].where.sheet, line=rows[0].where.line, error=type(error).__name__)
        reason = "The database refused this tube; the reason is in the service's log."
    places.forget()
    return [Result(one, "refused", reason=reason) for one in rows]


def _by_donor(rows: Sequence[CheckedRow]) -> list[list[CheckedRow]]:
    ordered = sorted(rows, key=lambda j: (vial_of(j).patient.lower(), j.where.sheet, j.where.line))
    return [list(ones) for _, ones in groupby(ordered, key=lambda j: vial_of(j).patient.lower())]


def vial_of(checked: CheckedRow) -> Vial:
    """Return the tube of a row that is ready."""
    assert checked.vial is not None
    return checked.vial


def import_rows(session: Session, act: Act, rows: list[CheckedRow], profile: Profile, places: Places) -> list[Result]:
    """Import tubes of whole donors: some twenty statements for any number of them.

    Raises OtherPerson, OtherClinic, CollectedAfterDeath, NotABankSite, NotPermitted.
    """
    raise_first(import_refusals(act.actor, profile))
    require_bank_site(session, profile.bank_site)
    session.execute(_one_at_a_time)
    donors = donors_of(session, act, [vial_of(row).person for row in rows], profile)
    taken = sorted((donors[vial_of(row).patient.lower()], vial_of(row).collected) for row in rows)
    require_taken_alive(session, act, dict(taken))
    known = known_tubes(session, profile.alias_issuer, [vial_of(row).alias for row in rows])
    places.load(session, act, {vial_of(row).place for row in rows})
    apart = kept_apart_among(session, donors.values())
    results: list[Result] = []
    fresh: list[tuple[CheckedRow, str, Stands]] = []
    for row in rows:
        vial, donor = vial_of(row), donors[vial_of(row).patient.lower()]
        here = known.get(vial.alias.lower())
        if here is not None:
            results.append(_met_again(row, here, donor, places))
            continue
        stands = places.put(vial, donor, kept_apart=donor in apart, at=act.at)
        if isinstance(stands, str):
            results.append(Result(row, "refused", reason=stands))
            continue
        fresh.append((row, donor, stands))
    if fresh:
        results += _import_vials(session, act, fresh, profile)
    return results


def _met_again(row: CheckedRow, here: Known, donor: str, places: Places) -> Result:
    """A tube is its identifier and what it is: only what an earlier import brought in just so is here already."""
    other = here.differences(vial_of(row), donor, places.position(vial_of(row)))
    if not other:
        return Result(row, "already", here.code)
    reason = (
        f"The bank has {here.code} under this identifier, and it differs in: {', '.join(other)}. A second tube with one number "
        "is another tube: look at both."
    )
    return Result(row, "refused", here.code, reason)


def _import_vials(session: Session, act: Act, fresh: Sequence[tuple[CheckedRow, str, Stands]], profile: Profile) -> list[Result]:
    vials = [vial_of(row) for row, _, _ in fresh]
    codes = _codes(session, vials)
    worded = [(donor, {"comment": vial.words}) for vial, (_, donor, _) in zip(vials, fresh, strict=True) if vial.words]
    words = iter(put_documents(session, act.keystore, worded))
    named = [
        (donor, {"issuer": profile.alias_issuer, "value": vial.alias}) for vial, (_, donor, _) in zip(vials, fresh, strict=True)
    ]
    commits = keep_documents(session, act, "alias", named)
    drafts = [
        _draft(code, row, donor, stands.event, profile, commit, next(words) if vial_of(row).words else None)
        for code, (row, donor, stands), commit in zip(codes, fresh, commits, strict=True)
    ]
    create_specimens(session, act, drafts, NOW, site=profile.bank_site, clinic_site=profile.clinic_site)
    rows = [
        {"issuer": profile.alias_issuer, "value": vial.alias, "specimen_code": code, "occurred_at": act.at, "recorded_at": act.at}
        for vial, code in zip(vials, codes, strict=True)
    ]
    insert_rows(session, alias, rows)
    standards = Standards.read(session, profile.bank_site, sorted({donor for _, donor, _ in fresh}), act.at)
    against = {code: standards.against(vial_of(row), donor) for code, (row, donor, _) in zip(codes, fresh, strict=True)}
    held = hold_at_once(session, act, against, profile.bank_site)
    return [
        Result(row, "imported", code, said=[*stands.said, *held.get(code, ())])
        for code, (row, _, stands) in zip(codes, fresh, strict=True)
    ]


def _codes(session: Session, vials: Sequence[Vial]) -> list[str]:
    """Return a code for each tube; a code says the kind and the year."""
    kinds = [(prefix_of(MaterialName(vial.material)).value, vial.collected.year % 100) for vial in vials]
    made = {kind: iter(new_codes(session, kind[0], kinds.count(kind), year=kind[1])) for kind in sorted(set(kinds))}
    return [next(made[kind]) for kind in kinds]


def _draft(
    code: str, checked: CheckedRow, donor: str, placed: Event, profile: Profile, alias_commit: bytes, words: bytes | None
) -> Draft:
    vial = vial_of(checked)
    expires = expiry_of(vial)
    row: dict[str, Any] = {
        "code": code,
        "donor_code": donor,
        "material": vial.material,
        "unit": vial.unit,
        "passage": vial.passage,
        "purpose": vial.purpose,
        "home_site_code": profile.bank_site,
        "collected_at": midnight(vial.collected),
        "expires_at": expires,
    }
    imported = Imported(
        donor=donor,
        material=vial.material,
        unit=vial.unit,
        amount=vial.amount,
        site=profile.bank_site,
        expires_at=None if expires is None else rfc3339(expires),
        condition=Condition.FROZEN,
        purpose=vial.purpose,
        freeze_count=vial.freezes,
        banked_at=rfc3339(midnight(vial.frozen)),
        evidence=checked.where.evidence,
    )
    then: tuple[Event, ...] = (
        placed,
        Aliased(issuer=profile.alias_issuer, value_commit=alias_commit.hex()),
    )
    return Draft(row, imported, then=then, words=words)
