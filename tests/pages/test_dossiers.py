"""Dossiers in one click: a specimen's life, an operator's day, a lot's reach, a donor's file, each as PDF."""

import pytest

from biobank.foundation import clock
from biobank.pages.dossiers import contents
from tests import seed
from tests.conftest import Api
from tests.labels.reading import pdf_texts
from tests.pages.visitor import Visit, Visitor
from tests.withdrawals.stories import a_story

BENCH, QUALITY = seed.USERS["lab_tech"], seed.USERS["quality"]


def text_of(visitor: Visitor, path: str) -> str:
    answer = visitor.get(path)
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/pdf"), answer.text[:300]
    return " ".join("".join(pdf_texts(answer.content)).split())


def test_a_specimens_life_holds_consent_approval_and_every_hand_with_its_name_for_whoever_may_know_names(
    api: Api, visit: Visit
) -> None:
    story = a_story(api, lot=True).up_to("administer")
    tube = story.vials[0]
    named = api.admin.patch(f"/users/{BENCH.code}", json={"printed_name": "Tess Bench"})
    assert named.status_code == 200, named.text

    whole = text_of(visit("quality"), f"/specimens/{tube}/dossier")

    for shown in (tube, story.donor, "Treatment", "Approved", "Administered", QUALITY.code):
        assert shown in whole
    assert f"{BENCH.code} Tess Bench" in whole and "no name kept" in whole
    bench = text_of(visit("lab_tech"), f"/specimens/{tube}/dossier")
    assert f"{BENCH.code} name not shown to you" in bench and "Tess Bench" not in bench
    assert visit("north_tech").get(f"/specimens/{tube}/dossier").status_code == 404


def test_an_operators_day_holds_what_was_recorded_that_day_and_no_other(api: Api, visit: Visit) -> None:
    story = a_story(api).up_to("pick")
    today = f"{clock.now():%Y-%m-%d}"
    auditor = visit("auditor")
    whole = text_of(auditor, f"/users/{BENCH.code}/day?on={today}")
    assert story.code in whole and "Picked" in whole
    assert "Nothing was recorded." in text_of(auditor, f"/users/{BENCH.code}/day?on=2020-01-01")
    assert visit("lab_tech").get(f"/users/{BENCH.code}/day").status_code == 403
    assert auditor.get(f"/users/{BENCH.code}/day?on=tomorrow").status_code == 422


def test_a_lots_reach_holds_its_units_and_who_was_given_them(api: Api, visit: Visit) -> None:
    story = a_story(api, 2, lot=True).up_to("administer")
    lot = api.quality.get(f"/specimens/{story.vials[0]}").json()["lot"]
    whole = text_of(visit("quality"), f"/lots/{lot}/dossier")
    assert story.vials[0] in whole and story.code in whole and "given something of it: 1" in whole
    assert visit("lab_tech").get(f"/lots/{lot}/dossier").status_code == 403, "a cause knows no sites"


def test_a_donors_file_holds_everything_but_who_it_is(api: Api, visit: Visit) -> None:
    story = a_story(api).up_to("request")
    whole = text_of(visit("clinician"), f"/donors/{story.donor}/dossier")
    assert story.vials[0] in whole and story.code in whole and "Treatment" in whole
    assert visit("other_clinician").get(f"/donors/{story.donor}/dossier").status_code == 404


def test_what_is_too_long_to_print_is_refused_and_not_cut(api: Api, visit: Visit, monkeypatch: pytest.MonkeyPatch) -> None:
    story = a_story(api).up_to("pick")
    monkeypatch.setattr(contents, "AT_ONCE", 2)
    monkeypatch.setattr(contents, "MOST_EVENTS", 4)
    answer = visit("quality").get(f"/specimens/{story.vials[0]}/dossier")
    assert answer.status_code == 409, answer.text[:300]
    assert contents.DossierTooLong.code == "dossier_too_long"
