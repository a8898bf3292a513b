"""Dossiers in one click: a specimen's life, an operator's day, a lot's reach, a donor's file, each as PDF."""

import hashlib
from typing import Any

import httpx
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
    return read(visitor.get(path))


def read(answer: httpx.Response) -> str:
    assert (answer.status_code, answer.headers["content-type"]) == (200, "application/pdf"), answer.text[:300]
    return " ".join("".join(pdf_texts(answer.content)).split())


def exports_of(api: Api, end: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = api.auditor.get("/custody-log", params={"kind": f"system.export_{end}"}).json()["items"]
    return items


def test_a_specimens_life_holds_consent_approval_and_every_hand_with_its_name_for_who_works_with_them(
    api: Api, visit: Visit
) -> None:
    story = a_story(api, lot=True).up_to("administer")
    tube = story.vials[0]
    named = api.admin.patch(f"/users/{BENCH.code}", json={"printed_name": "Tess Bench"})
    assert named.status_code == 200, named.text

    whole = text_of(visit("quality"), f"/specimens/{tube}/dossier")

    for shown in (tube, story.donor, "Treatment", "Approved", "Administered", QUALITY.code):
        assert shown in whole
    assert f"{BENCH.code} Tess Bench" in whole and "Where no name stands, none is kept or it is not told to you." in whole
    assert f"{BENCH.code} Tess Bench" in text_of(visit("lab_tech"), f"/specimens/{tube}/dossier"), "one knows one's own name"
    assert visit("north_tech").get(f"/specimens/{tube}/dossier").status_code == 404


def test_a_name_of_another_sites_person_is_not_told_to_quality_of_one_site(api: Api, visit: Visit) -> None:
    story = a_story(api).up_to("pick")
    clinician = seed.USERS["clinician"].code
    assert api.admin.patch(f"/users/{clinician}", json={"printed_name": "Clara Clinic"}).status_code == 200
    assert api.admin.patch(f"/users/{BENCH.code}", json={"printed_name": "Tess Bench"}).status_code == 200
    assert f"{clinician} Clara Clinic" in text_of(visit("quality"), f"/specimens/{story.vials[0]}/dossier")
    whole = text_of(visit("lab_quality"), f"/specimens/{story.vials[0]}/dossier")
    assert clinician in whole and f"{BENCH.code} Tess Bench" in whole
    assert "Clara Clinic" not in whole


def test_an_operators_day_is_a_copy_of_the_log_that_the_log_knows_of(api: Api, visit: Visit) -> None:
    story = a_story(api).up_to("pick")
    auditor, path, page = visit("auditor"), f"/users/{BENCH.code}/day", f"/users/{BENCH.code}"
    answer = auditor.submit(path, {"on": f"{clock.now():%Y-%m-%d}"}, draw=page)
    whole = read(answer)
    assert story.code in whole and "Picked" in whole
    (started,), (finished,) = exports_of(api, "started"), exports_of(api, "finished")
    assert started["body"]["format"] == "pdf" and started["by"] == seed.USERS["auditor"].code
    assert started["body"]["filters"].keys() == {"actor", "since", "until"} and started["body"]["filters"]["actor"] == BENCH.code
    assert finished["body"]["export"] == started["body"]["export"] and finished["body"]["complete"]
    assert finished["body"]["sha256"] == hashlib.sha256(answer.content).hexdigest() and finished["body"]["rows"] > 0
    assert "Nothing was recorded." in read(auditor.submit(path, {"on": "2020-01-01"}, draw=page))
    assert len(exports_of(api, "started")) == 2

    assert auditor.get(path).status_code == 403, "no copy leaves without its event"
    for day in ("tomorrow", "9999-12-31", "1999-12-31"):
        assert auditor.submit(path, {"on": day}, draw=page).status_code == 422, day
    assert len(exports_of(api, "started")) == 2


def test_ones_own_day_is_read_without_an_event_and_only_by_who_reads_the_log(api: Api, visit: Visit) -> None:
    auditor, own = visit("auditor"), seed.USERS["auditor"].code
    assert "Nothing was recorded." in text_of(auditor, f"/users/{own}/day?on=2020-01-01")
    assert f'href="/users/{own}/day"' in auditor.get_page(f"/users/{own}")
    for day in ("tomorrow", "9999-12-31", "1999-12-31"):
        assert auditor.get(f"/users/{own}/day?on={day}").status_code == 422, day
    assert visit("lab_tech").get(f"/users/{BENCH.code}/day").status_code == 403
    assert exports_of(api, "started") == []


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


def test_a_donors_file_holds_the_log_only_when_the_log_knows_of_it(api: Api, visit: Visit) -> None:
    story = a_story(api).up_to("request")
    quality, path, page = visit("quality"), f"/donors/{story.donor}/dossier", f"/donors/{story.donor}"
    assert "What the log says" not in text_of(quality, path) and exports_of(api, "started") == []
    whole = read(quality.submit(path, {}, draw=page))
    assert "What the log says" in whole and story.code in whole
    (started,), (finished,) = exports_of(api, "started"), exports_of(api, "finished")
    assert started["body"]["filters"] == {"donor": story.donor} and finished["body"]["complete"]
    clinician = visit("clinician")
    assert f'<form method="post" action="{path}"' not in clinician.get_page(page)
    token = clinician.get_page("/account").split('name="csrf-token" content="')[1].split('"')[0]
    refused = clinician.post(path, data={"csrf_token": token, "idempotency_key": "copy"})
    assert refused.status_code == 403 and len(exports_of(api, "started")) == 1


def test_every_specimen_and_withdrawal_of_a_donor_stands_in_the_file_or_it_is_refused(
    api: Api, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    story = a_story(api, 3).up_to("request")
    monkeypatch.setattr(contents, "AT_ONCE", 1)
    whole = text_of(visit("clinician"), f"/donors/{story.donor}/dossier")
    assert all(vial in whole for vial in story.vials)
    assert "Requested" in text_of(visit("quality"), f"/specimens/{story.vials[0]}/dossier")
    monkeypatch.setattr(contents, "MOST_LINES", 2)
    assert visit("clinician").get(f"/donors/{story.donor}/dossier").status_code == 409


def test_what_is_too_long_to_print_is_refused_and_not_cut(api: Api, visit: Visit, monkeypatch: pytest.MonkeyPatch) -> None:
    story = a_story(api).up_to("pick")
    monkeypatch.setattr(contents, "AT_ONCE", 2)
    monkeypatch.setattr(contents, "MOST_LINES", 4)
    answer = visit("quality").get(f"/specimens/{story.vials[0]}/dossier")
    assert answer.status_code == 409, answer.text[:300]
    assert contents.DossierTooLong.code == "dossier_too_long"
