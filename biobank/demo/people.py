"""The people and sites of the example bank. Names are invented."""

from typing import Any

from biobank.auth.actor import RoleGrant
from biobank.auth.permissions import Role

BANK, CLINIC = "HARBOUR", "MEADOW"

PEOPLE: dict[str, tuple[str, tuple[RoleGrant, ...]]] = {
    "tess": ("Tess Ngata", (RoleGrant(Role.LAB_TECH, BANK),)),
    "tomas": ("Tomas Reyes", (RoleGrant(Role.LAB_TECH, BANK),)),
    "clara": ("Clara Voss", (RoleGrant(Role.CLINICIAN, CLINIC),)),
    "cyrus": ("Cyrus Adeyemi", (RoleGrant(Role.CLINICIAN, CLINIC),)),
    "stella": ("Stella Okafor", (RoleGrant(Role.CLINIC_STAFF, CLINIC),)),
    "quinn": ("Quinn Halloran", (RoleGrant(Role.QUALITY, None),)),
    "quade": ("Quade Lindqvist", (RoleGrant(Role.QUALITY, None),)),
    "audrey": ("Audrey Sato", (RoleGrant(Role.AUDITOR, None),)),
    "adam": ("Adam Brandt", (RoleGrant(Role.ADMIN, None),)),
}
"""Login name → printed name and roles. Two of those whose acts take two people."""

FAMILY = [
    "Abara",
    "Bello",
    "Castro",
    "Dietrich",
    "Eklund",
    "Ferrari",
    "Goldberg",
    "Haddad",
    "Ivanova",
    "Jansen",
    "Kowalski",
    "Lambert",
    "Moreau",
    "Novak",
    "Osei",
    "Petrov",
    "Quintero",
    "Rossi",
    "Schneider",
    "Tanaka",
    "Ueda",
    "Varga",
    "Weber",
    "Xiang",
    "Yilmaz",
    "Zeller",
]
GIVEN = [
    "Ada",
    "Ben",
    "Chloe",
    "Dario",
    "Elif",
    "Finn",
    "Grete",
    "Hugo",
    "Ines",
    "Jonas",
    "Kira",
    "Leo",
    "Mina",
    "Noah",
    "Olga",
    "Pablo",
    "Rosa",
    "Sven",
    "Tara",
    "Umar",
    "Vera",
    "Wim",
    "Yara",
    "Zoe",
]


def logins(passwords: dict[str, str]) -> dict[str, Any]:
    """Return one login per role, and the second persons."""
    first: dict[str, dict[str, str]] = {}
    more: dict[str, dict[str, str]] = {}
    for username, (_, grants) in PEOPLE.items():
        role = grants[0].role.value
        login = {"username": username, "password": passwords[username]}
        (more if role in first else first)[role] = login
    return {"logins": first, "second_logins": more}
