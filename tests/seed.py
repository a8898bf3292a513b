"""The sites and people every test bank starts with. Passwords are `PASSWORD`; users are past their first login."""

from dataclasses import dataclass
from datetime import UTC, datetime
from uuid import NAMESPACE_OID, uuid5

import psycopg

from biobank.auth.passwords import hash_now
from biobank.foundation import clock
from biobank.foundation.codes import format_code
from biobank.people.sites import keys_of

LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
PASSWORD = "correct horse battery staple"


@dataclass(frozen=True)
class Person:
    """A seeded login."""

    code: str
    grants: tuple[tuple[str, str | None], ...]


_ROLES = ("lab_tech", "clinician", "clinic_staff", "quality", "admin")

_PEOPLE: dict[str, tuple[tuple[str, str | None], ...]] = {
    "lab_tech": (("lab_tech", "LAB"),),
    "lab_tech2": (("lab_tech", "LAB"),),
    "north_tech": (("lab_tech", "NORTH"),),
    "clinician": (("clinician", "CLINIC"),),
    "clinician2": (("clinician", "CLINIC"),),
    "other_clinician": (("clinician", "OTHER"),),
    "clinic_staff": (("clinic_staff", "CLINIC"),),
    "quality": (("quality", None),),
    "quality2": (("quality", None),),
    "auditor": (("auditor", None),),
    "admin": (("admin", None),),
    # Roles at one site, and mixed: what somebody may at one site must count for nothing at another.
    "lab_quality": (("quality", "LAB"),),
    "north_auditor": (("auditor", "NORTH"),),
    "lab_tech_north_quality": (("lab_tech", "LAB"), ("quality", "NORTH")),
    "reads_here_acts_elsewhere": (
        ("auditor", "LAB"),
        ("auditor", "CLINIC"),
        *((role, site) for site in ("NORTH", "OTHER") for role in _ROLES),
    ),
    "acts_here": tuple((role, site) for site in ("LAB", "CLINIC") for role in _ROLES),
}

USERS: dict[str, Person] = {
    name: Person(format_code("US", None, 1_000_000 + number), grants) for number, (name, grants) in enumerate(_PEOPLE.items())
}

SITES = (
    ("LAB", "Main laboratory", "bank"),
    ("NORTH", "Northern laboratory", "bank"),
    ("CLINIC", "City clinic", "clinic"),
    ("OTHER", "Other clinic", "clinic"),
)


EQUIPMENT = format_code("EQ", None, 1_000_000)
REAGENT = format_code("RG", None, 1_000_000)
SHIPPER = format_code("EQ", None, 2_000_000)
MEDIUM = format_code("RG", None, 2_000_000)
REGISTERED: dict[str, tuple[str, ...]] = {
    "procedure": ("SOP-014 v3", "SOP-020 v1", "SOP-031 v1", "SOP-3 v1", "SOP 1", "P-1", "1"),
    "cooling_programme": ("CRF-1 slow v2",),
    "cryoprotectant": ("DMSO 5 %", "DMSO 10 %", "DMSO 5 % in FBS"),
    "laboratory": ("North Lab", "South Lab"),
    "test_method": ("By the book", "Kit 7"),
    "thawing_method": ("bath", "water bath", "water bath 37 C", "Bath"),
    "reason": (
        *("all_well", "looked_again", "looked_at_again", "short_and_cold_enough", "adverse_event"),
        *("again", "another_patient", "asked_to", "away", "both", "broken", "came_back", "checked_with_document"),
        *("cloudy", "counted_again", "court", "donor_moved", "doubt", "excursion", "failed", "fever_same_day"),
        *("fine", "found", "given_after_two_scans", "in_doubt", "judged", "label_unclear", "late_sterility"),
        *("left_over", "looked_at", "looks_fine", "marriage", "missing", "no", "not_found", "not_home"),
        *("not_in_the_shipper", "not_on_the_tray", "not_there", "nothing_happened", "nothing_yet", "patient_away"),
        *("postponed", "product_assessment", "put_into_wrong_box", "quality_control", "reactive", "recalled"),
        *("recount", "removed", "review", "searched", "short", "short_and_known", "spilled", "stage", "stays"),
        *("surplus", "test", "test_reason", "thawed", "thawed_unused", "told", "too_loud", "typed_in_another_unit"),
        *("typed_a_figure_too_few", "typing", "waits_for_a_test", "wrong_word", "x1", "x_y", "short_and_mild"),
    ),
    "courier": ("CRYOGO", "COLD_EXPRESS", "FAST", "OTHERS"),
}
"""What stands in the registers of every test bank, in use at every site; every seeded person may work by the procedures."""
PROCEDURE = str(uuid5(NAMESPACE_OID, "procedure SOP-014 v3"))


A_REPORT = "ef" * 32
"""The hash of a file that the bank keeps: what results rest on."""
A_FORM = "ab" * 32
"""A signed form that the bank keeps."""
TESTED = {"method": "By the book", "laboratory": "North Lab"}
"""Where a lot's samples go. How long the method takes stands in no register, so a pending test says when its result is due."""


def sites_and_users(connection: "psycopg.Connection[tuple[object, ...]]") -> None:
    """Write them with plain SQL: the services that make users have tests of their own."""
    hashed = hash_now(PASSWORD).stored
    instant = clock.now()
    for code, name, kind in SITES:
        connection.execute(
            "INSERT INTO site (code, name, kind, timezone, code_key, name_key) VALUES (%s, %s, %s, 'Europe/London', %s, %s)",
            (code, name, kind, *keys_of(code, name).values()),
        )
    for name, person in USERS.items():
        connection.execute(
            "INSERT INTO app_user (code, username, password_hash, must_change_password, created_at) VALUES (%s,%s,%s,false,%s)",
            (person.code, name, hashed, instant),
        )
        for role, site in person.grants:
            connection.execute(
                "INSERT INTO user_role (user_code, role, site_code, granted_at, granted_by) VALUES (%s,%s,%s,%s,'SYSTEM')",
                (person.code, role, site, instant),
            )
    _registers(connection, instant)
    for kept in (A_REPORT, A_FORM):
        connection.execute("INSERT INTO attachment (sha256, size_bytes) VALUES (%s, 1)", (kept,))
        connection.execute(
            "INSERT INTO attachment_context (sha256, media_type, subject, site_code, stored_at, stored_by) "
            "VALUES (%s, 'application/pdf', 'BANK', 'LAB', %s, 'SYSTEM')",
            (kept, instant),
        )
    connection.commit()


def _registers(connection: "psycopg.Connection[tuple[object, ...]]", instant: datetime) -> None:
    for key, kind, name in (
        (EQUIPMENT, "equipment", "Counter 1"),
        (REAGENT, "reagent_lot", "Collagenase"),
        (SHIPPER, "shipper", "DS-12"),
        (MEDIUM, "medium", "Ringer lactate"),
    ):
        connection.execute(
            "INSERT INTO register_entry (key, kind, name, leaves_nothing, qualified_at, recorded_at, recorded_by) "
            "VALUES (%s,%s,%s,%s,%s,%s,'SYSTEM')",
            (key, kind, name, kind == "medium", LONG_AGO, instant),
        )
    for kind, names in REGISTERED.items():
        for name in names:
            connection.execute(
                "INSERT INTO register_entry (key, kind, name, recorded_at, recorded_by) VALUES (%s,%s,%s,%s,'SYSTEM')",
                (str(uuid5(NAMESPACE_OID, f"{kind} {name}")), kind, name, instant),
            )
    connection.execute(
        "INSERT INTO register_authorisation (entry_key, user_code, since, until, recorded_at, recorded_by) "
        "SELECT e.key, u.code, DATE '2020-01-01', DATE '2999-12-31', %s, 'SYSTEM' FROM register_entry e, app_user u "
        "WHERE e.kind = 'procedure'",
        (instant,),
    )
