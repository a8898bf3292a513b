"""Printed names keep their letters on every paper that prints them, and a merged donor's file is one under either code."""

import pytest

from tests import seed
from tests.conftest import Api
from tests.pages.test_dossiers import read, text_of
from tests.pages.visitor import Visit
from tests.quality.test_merging import merge
from tests.withdrawals.stories import Story, a_donor, a_story, bank_vials

NAMES = {
    "lab_tech": "Łucja Żółć-Gęślą",
    "lab_tech2": "Přemysl Kůň",
    "clinician": "Γιώργος Παπαδόπουλος",
    "clinic_staff": "Щукина Їжакевич",
    "quality": "Çağrı Şimşek Iğdır",
    "quality2": "王秀英",
}


@pytest.fixture
def named(api: Api) -> dict[str, str]:
    """The people of a bank under names of many languages, by their badges."""
    for login, name in NAMES.items():
        answer = api.admin.patch(f"/users/{seed.USERS[login].code}", json={"printed_name": name})
        assert answer.status_code == 200, answer.text
    return {seed.USERS[login].code: name for login, name in NAMES.items()}


def test_every_dossier_holds_each_name_in_its_own_letters(api: Api, visit: Visit, named: dict[str, str]) -> None:
    story = a_story(api, lot=True).up_to("administer")  # the last vial: two of quality signed
    lot = api.quality.get(f"/specimens/{story.vials[0]}").json()["lot"]
    quality = visit("quality")

    life = text_of(quality, f"/specimens/{story.vials[0]}/dossier")
    of_donor = read(quality.submit(f"/donors/{story.donor}/dossier", {}, draw=f"/donors/{story.donor}"))

    for whole in (life, of_donor):
        assert [f"{badge} {name}" in whole for badge, name in named.items()] == [True] * len(named), whole
        assert "◊" not in whole
        assert "Given: 4 700 000" in whole and "5 × 10⁶ cells" in whole, "a number is the number, and a power a power"
    assert story.vials[0] in text_of(quality, f"/lots/{lot}/dossier")


def test_a_merged_donors_file_is_one_under_either_code(api: Api, visit: Visit, named: dict[str, str]) -> None:
    stays, goes = a_donor(api), a_donor(api, external_ids=[{"issuer": "OTHER-HOSPITAL", "value": "7 7"}])
    before = Story(api, goes, bank_vials(api, goes, 2, lot=True)).up_to("administer")
    assert before.outcome(close=True).status_code == 200
    assert merge(api, stays, goes).status_code == 200
    since = Story(api, stays, before.vials[1:]).up_to("request")

    texts = [text_of(visit("clinician"), f"/donors/{code}/dossier") for code in (stays, goes)]

    for whole in texts:
        for shown in (stays, goes, *before.vials, before.code, since.code):
            assert shown in whole, (shown, whole)
    for tube in before.vials:
        life = text_of(visit("quality"), f"/specimens/{tube}/dossier")
        assert stays in life and goes in life, "whose it was, and whose it is"
