"""A file belongs to each context in which it was given: under that person's key, and gone with it. Quotas bound them."""

import base64
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from tests.conftest import Api, Client, TestBank
from tests.donors.stories import erased_by_two, register
from tests.quality.test_deviations import stored
from tests.seed import USERS
from tests.withdrawals.stories import later, refused

DATA = b"%PDF-1.7 the same letter for two"


def given(client: Client, donor: str, data: bytes = DATA, site: str = "CLINIC") -> Any:
    body = {"media_type": "application/pdf", "content": base64.b64encode(data).decode(), "site": site, "donor": donor}
    return client.post("/attachments", json=body)


def copies(api: Api, sha: str) -> set[str]:
    folder = api.test_bank.bank.settings.state_dir / "attachments" / sha[:2]
    return {path.name.partition(".")[2] for path in folder.iterdir()}


def test_the_same_file_given_for_two_survives_for_the_other_and_is_gone_for_the_first(api: Api) -> None:
    first, other = register(api.clinician), register(api.clinician)
    sha = given(api.clinician, first).json()["sha256"]
    assert given(api.clinic_staff, other).json()["sha256"] == sha
    assert copies(api, sha) == {first, other}
    path = f"/attachments/{sha}"
    assert {api.clinician.get(path, params={"donor": one}).content for one in (first, other)} == {DATA}

    erased_by_two(api, first)

    refused(api.clinician.get(path, params={"donor": first}), 404, "attachment_gone")
    assert api.clinician.get(path, params={"donor": other}).content == DATA
    assert api.clinician.get(path).content == DATA
    assert given(api.clinician, first).status_code in (404, 409)
    erased_by_two(api, other)
    refused(api.clinician.get(path), 404, "attachment_gone")


def test_a_file_is_read_only_where_it_was_given_to_its_readers(api: Api) -> None:
    """That the same bytes were given elsewhere opens neither place to the readers of the other."""
    ours = stored(api, DATA).json()["sha256"]
    donor = register(api.other_clinician, clinic_site="OTHER")
    assert given(api.other_clinician, donor, site="OTHER").json()["sha256"] == ours

    assert api.lab_tech.get(f"/attachments/{ours}").content == DATA
    assert api.other_clinician.get(f"/attachments/{ours}").content == DATA
    refused(api.lab_tech.get(f"/attachments/{ours}", params={"donor": donor}), 404, "not_found")
    refused(api.north_tech.get(f"/attachments/{ours}"), 404, "not_found")
    erased_by_two(api, donor)
    refused(api.other_clinician.get(f"/attachments/{ours}"), 404, "attachment_gone")
    assert api.lab_tech.get(f"/attachments/{ours}").content == DATA


@pytest.fixture
def narrow(make_bank: Callable[..., TestBank], serve: Callable[[TestBank], str]) -> Iterator[Api]:
    """A bank that keeps three files of a person and two of a donor a day, and one mebibyte in all."""
    bank = make_bank(files_per_person_day=3, files_per_donor_day=2, files_total_mib=1)
    api = Api(serve(bank), bank)
    yield api
    api.close()


def test_a_day_has_so_many_files_of_a_person_and_about_a_donor(narrow: Api) -> None:
    donor, other = register(narrow.clinician), register(narrow.clinician)
    for number in range(2):
        assert given(narrow.clinician, donor, b"file %d" % number).status_code == 201
    document = refused(given(narrow.clinic_staff, donor, b"a third one"), 429, "too_many_files")
    assert document["retry_after_s"] <= 24 * 3600 and document["goes_on_at"]
    # What is kept there already may be sent again: it is no further file.
    assert given(narrow.clinician, other, b"a third one").status_code == 201
    refused(given(narrow.clinician, other, b"a fourth one"), 429, "too_many_files")

    later(narrow, seconds=document["retry_after_s"])

    assert given(narrow.clinic_staff, donor, b"a third one").status_code == 201


def test_all_files_together_have_a_size(narrow: Api) -> None:
    assert stored(narrow, b"x" * 700_000).status_code == 201
    refused(stored(narrow, b"y" * 400_000), 409, "no_room_for_files")
    # Under a second key it is kept a second time, and takes its room again.
    refused(given(narrow.clinician, register(narrow.clinician), b"x" * 700_000), 409, "no_room_for_files")
    assert stored(narrow, b"z" * 200_000).status_code == 201


def test_of_a_refused_file_nothing_stays_on_the_disk(api: Api) -> None:
    """One idempotency key for ever: each further file is refused, and would be counted by no quota."""

    def send(data: bytes) -> Any:
        body = {"media_type": "application/pdf", "content": base64.b64encode(data).decode(), "site": "CLINIC", "donor": None}
        return api.clinician.post("/attachments", json=body, headers={"Idempotency-Key": "the-same-for-all"})

    folder = api.test_bank.bank.settings.state_dir / "attachments"
    first = send(DATA)
    assert first.status_code == 201
    before = sorted(path.name for path in folder.rglob("*.*"))
    for number in range(5):
        refused(send(b"file %d" % number), 422, "idempotency_key_reused")
    assert send(DATA).json() == first.json()

    assert sorted(path.name for path in folder.rglob("*.*")) == before
    assert api.clinician.get(f"/attachments/{first.json()['sha256']}").content == DATA


def test_that_somebody_gave_a_file_once_is_no_right_to_read_it(api: Api) -> None:
    donor = register(api.clinician)
    sha = given(api.clinician, donor).json()["sha256"]
    assert api.clinician.get(f"/attachments/{sha}").content == DATA
    with psycopg.connect(api.test_bank.dsn()) as connection:
        connection.execute("UPDATE user_role SET site_code = 'OTHER' WHERE user_code = %s", (USERS["clinician"].code,))

    refused(api.clinician.get(f"/attachments/{sha}"), 404, "not_found")
    assert api.clinician2.get(f"/attachments/{sha}").content == DATA
