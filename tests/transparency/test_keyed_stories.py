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
from tests.quality.test_reattributing import OTHER, harvest_of
from tests.seed import A_REPORT
from tests.specimens import stories
from tests.transparency.audited import Audited
from tests.withdrawals.stories import by_two


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


def test_a_harvest_is_given_to_another_person_by_two_of_the_bank_that_keeps_it_and_both_records_know_that_bank(
    api: Api, tmp_path: Path
) -> None:
    audited = Audited(api.test_bank, tmp_path)
    donor, other = stories.donor(api), stories.donor(api, **OTHER)
    raw = stories.raw_fat(api, donor)
    stories.raw_fat(api, other)
    harvest = harvest_of(api, raw["code"])
    at_lab = RoleGrant(Role.QUALITY, "LAB")
    people = Keyed(api, quinn=at_lab, quade=at_lab)
    path, body = f"/harvests/{harvest}/reattribution", {"donor": other, "evidence_sha256": A_REPORT}
    done = by_two(people.clients["quinn"], people.clients["quade"], path, body)
    assert (done.status_code, done.json()["status"]) == (200, "done"), done.text
    audited.seal()

    for verdict in (audited.verdict(), audited.verdict(Wish(donor=donor)), audited.verdict(Wish(donor=other))):
        assert (verdict["verdict"], verdict["signatures"]["permitted_elsewhere"]) == ("true", []), verdict
    people.close()
