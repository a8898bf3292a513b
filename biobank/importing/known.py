"""What of an old file the bank has already: people by their old number, tubes by their old identifier."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

from sqlalchemy import and_, select
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.auth.permissions import Permission
from biobank.custody.entry import parse_entry
from biobank.custody.states import StreamKind
from biobank.donors.blind_index import INDEX_SECRET
from biobank.donors.models import donor
from biobank.donors.queries import donors_with
from biobank.donors.schemas import RegisterDonor
from biobank.donors.service import read_identity_document, register_donors
from biobank.donors.visibility import get_visible_donor, require_not_erased
from biobank.foundation.clock import rfc3339
from biobank.foundation.errors import Conflict
from biobank.importing.plan import Vial, identity_of_person
from biobank.importing.profile import Profile
from biobank.specimens.models import specimen
from biobank.specimens.resolving import alias, same_identifier
from biobank.transparency.models import event
from biobank.vault import open_document


class OtherPerson(Conflict):
    """The patient number is on record for somebody else."""

    code = "import_other_person"
    title = "Another person has this number"


class OtherClinic(Conflict):
    """The patient number is on record for a patient of a clinic where this login registers nobody."""

    code = "import_other_clinic"
    title = "A patient of another clinic"


class CollectedAfterDeath(Conflict):
    """By the record its donor was dead when it was taken."""

    code = "import_collected_after_death"
    title = "Taken after the donor's death"


def donors_of(session: Session, act: Act, people: Sequence[RegisterDonor], profile: Profile) -> dict[str, str]:
    """Return the donor's code by patient number in small letters; who is not here is registered.

    Raises OtherPerson when a number is somebody else's, OtherClinic, DonorErased when the person was erased.
    """
    by_number = {person.external_ids[0].value.lower(): person for person in people}
    secret = act.bank.secret(INDEX_SECRET)
    externals = {number: person.external_ids[0] for number, person in by_number.items()}
    found = donors_with(session, act.actor, externals, secret)
    codes: dict[str, str] = {}
    here = sorted({code for alike in found.values() for code in alike})
    rows = {code: get_visible_donor(session, act.actor, code, lock=True) for code in here}
    for number, alike in found.items():
        for row in (rows[code] for code in alike):
            require_not_erased(row)
            on_record = read_identity_document(session, act, row)
            if number not in _numbers_of(on_record, profile.issuer):
                continue
            if number in codes or _identity_on_record(on_record) != identity_of_person(by_number[number]):
                raise OtherPerson(
                    f"The bank has this patient number on record for {row.code} with another name, birth date or sex.",
                    subject=row.code,
                )
            if not act.actor.may(Permission.DONOR_REGISTER, at=row.clinic_site_code):
                raise OtherClinic(
                    f"This is {row.code}, a patient of {row.clinic_site_code}. Somebody who registers patients there imports it.",
                    subject=row.code,
                )
            codes[number] = row.code
    new = [number for number in by_number if number not in codes]
    if new:
        registered = register_donors(session, act, [by_number[number] for number in new])
        codes |= {number: one.code for number, one in zip(new, registered, strict=True)}
    return codes


def require_taken_alive(session: Session, act: Act, taken: Mapping[str, date]) -> None:
    """Raise CollectedAfterDeath where something was taken of a donor later than their death. `taken`: the last day, by donor."""
    died = select(donor.c.code, donor.c.death_commit).where(donor.c.code.in_(taken), donor.c.death_commit.is_not(None))
    for code, commit in session.execute(died):
        died_on = date.fromisoformat(open_document(session, act.keystore, bytes(commit))["died_on"])
        if taken[code] > died_on:
            raise CollectedAfterDeath(
                f"By the record {code} was dead when this was taken. Compare the day of collection with the paper file.",
                subject=code,
            )


def _numbers_of(identity: dict[str, Any], issuer: str) -> set[str]:
    return {one["value"].lower() for one in identity["external_ids"] if one["issuer"] == issuer}


def _identity_on_record(identity: dict[str, Any]) -> tuple[str, str, str, str]:
    family, given = identity["family_name"].casefold(), (identity["given_names"] or "").casefold()
    return family, given, identity["date_of_birth"], identity["sex"]


@dataclass(frozen=True)
class Known:
    """A tube of the bank that has an identifier of the file: what it is, and what its import said (None: it was not imported)."""

    code: str
    donor: str | None
    material: str
    unit: str
    passage: int | None
    purpose: str
    collected_at: datetime | None
    imported: dict[str, Any] | None
    position: str | None

    def differences(self, vial: Vial, donor: str, position: str | None) -> list[str]:
        """Return in what a line's tube is not this one; empty when an import brought just this tube in. Pure."""
        if self.imported is None:
            return ["how it came here"]
        mine = {
            "donor": self.donor,
            "material": self.material,
            "unit": self.unit,
            "amount": self.imported.get("amount"),
            "passage": self.passage,
            "what it is kept for": self.purpose,
            "how often it was frozen": self.imported.get("freeze_count"),
            "day of collection": None if self.collected_at is None else self.collected_at.astimezone(UTC).date(),
            "day of freezing": self.imported.get("banked_at"),
            "day of expiry": self.imported.get("expires_at"),
            "slot": self.position,
        }
        frozen, expires = rfc3339(midnight(vial.frozen)), expiry_of(vial)
        ends = None if expires is None else rfc3339(expires)
        what = (donor, vial.material, vial.unit, vial.amount, vial.passage, vial.purpose, vial.freezes)
        theirs = (*what, vial.collected, frozen, ends, position)
        return [name for (name, one), other in zip(mine.items(), theirs, strict=True) if one != other]


def known_tubes(session: Session, issuer: str, values: Sequence[str]) -> dict[str, Known]:
    """Return the tubes that have an identifier of `values`, by it in small letters: two statements for any number of them."""
    rows = session.execute(
        select(same_identifier.label("spelling"), *specimen.c)
        .join(specimen, specimen.c.code == alias.c.specimen_code)
        .where(alias.c.issuer == issuer, same_identifier.in_([value.lower() for value in values]))
    ).all()
    if not rows:
        return {}
    entries = session.execute(
        select(event.c.stream_id, event.c.seq, event.c.entry).where(
            and_(
                event.c.stream_kind == StreamKind.SPECIMEN.value,
                event.c.stream_id.in_([row.code for row in rows]),
                event.c.seq <= 2,
            )
        )
    )
    said: dict[tuple[str, str], dict[str, Any]] = {}
    for entry in entries:
        document = parse_entry(bytes(entry.entry))
        said[entry.stream_id, document["kind"]] = document["body"]
    return {
        row.spelling: Known(
            row.code,
            row.donor_code,
            row.material,
            row.unit,
            row.passage,
            row.purpose,
            row.collected_at,
            said.get((row.code, "specimen.imported")),
            said.get((row.code, "specimen.stored"), {}).get("position"),
        )
        for row in rows
    }


def expiry_of(vial: Vial) -> datetime | None:
    """Return when a tube's term is over: at the end of the last day that its old record names."""
    return None if vial.expires is None else midnight(vial.expires + timedelta(days=1))


def midnight(day: date) -> datetime:
    """An old file knows days. They are written as 00:00 UTC of that day."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
