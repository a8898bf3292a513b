"""Acts of two people, told by people who sign by key: what the program lets happen, the verifier finds true."""

from pathlib import Path
from typing import Any, cast

from biobank.auth.actor import RoleGrant
from biobank.auth.permissions import Role
from biobank.exports.bundle import Wish
from tests.conftest import Api
from tests.donors.stories import erased_by_two, register
from tests.keyed import Keyed
from tests.quality.test_identity_changes import complete, propose
from tests.transparency.audited import Audited


class Told:
    """The clients of a keyed bank under the names that stories use."""

    def __init__(self, people: Keyed, clients: dict[str, str]) -> None:
        self.test_bank = people.bank
        for name, person in clients.items():
            setattr(self, name, people.clients[person])


def test_a_person_is_erased_by_two_who_sign_by_key(api: Api, tmp_path: Path) -> None:
    audited = Audited(api.test_bank, tmp_path)
    people = Keyed(api, clara=RoleGrant(Role.CLINICIAN, "CLINIC"))
    told = Told(people, {"clinician": "clara", "quality": "quinn", "quality2": "quade", "lab_tech": "tess", "admin": "adam"})
    donor = register(cast(Any, told).clinician)
    erased_by_two(cast(Api, told), donor)
    audited.seal()

    verdict = audited.verdict()

    assert verdict["verdict"] == "true", verdict
    assert (verdict["signatures"]["by_key"], verdict["signatures"]["without_key"]) == (1, 0)
    people.close()


def test_who_a_donor_is_is_changed_by_clinic_and_quality_who_sign_by_key(api: Api, tmp_path: Path) -> None:
    """Whoever completes it may not begin it, and the other way round: each is judged by what their half needs."""
    audited = Audited(api.test_bank, tmp_path)
    people = Keyed(api, clara=RoleGrant(Role.CLINICIAN, "CLINIC"))
    clara, quade = people.clients["clara"], people.clients["quade"]
    donor = register(clara)
    audited.live(1, donor=donor)
    half = propose(clara, donor)
    assert half.status_code == 200, half.text
    assert quade.get(f"/donors/{donor}/proposed-identity").status_code == 200
    done = complete(quade, donor)
    assert (done.status_code, done.json()["status"]) == (200, "done"), done.text
    audited.seal()

    whole, part = audited.verdict(), audited.verdict(Wish(donor=donor))

    assert (whole["verdict"], part["verdict"]) == ("true", "true"), (whole, part)
    assert whole["signatures"]["by_key"] == part["signatures"]["by_key"] == 1
    people.close()
