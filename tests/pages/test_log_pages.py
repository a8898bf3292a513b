"""An auditor's pages: saved filters, near misses, gaps, exports, verification, a life on paper, both clocks."""

import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg

from biobank.custody.rulebook import adopt_rules_now
from biobank.foundation import clock
from tests import seed
from tests.conftest import Api, TestBank
from tests.exports.taking import taken_log
from tests.pages.test_pages import a_tube
from tests.pages.visitor import Visit
from tests.quality.test_paper import filed
from tests.quality.test_paper import looked as looked_at
from tests.sealing import seal
from tests.storage.test_every_way_of_placing import a_tube as a_stored_tube
from tests.withdrawals.stories import a_story, ago, later

LOOKED = {"container_intact": True, "label_legible": True, "contents_as_expected": True}


def test_near_misses_are_for_those_who_read_the_log(visit: Visit) -> None:
    assert visit("lab_tech").get("/log/near-misses").status_code == 403


def test_near_misses_are_searched_and_a_persons_words_do_not_break_the_page(api: Api, visit: Visit) -> None:
    story = a_story(api, vials=2).up_to("approve")
    assert story.pick(tube=a_story(api).vials[0]).status_code == 409
    auditor = visit("auditor")
    assert "Wrong specimen" in auditor.get_page("/log/near-misses?evidence=yes")
    assert "Nothing was refused" in auditor.get_page("/log/near-misses?code=no_such_code")
    auditor.get_page("/log/near-misses?subject=%3Cscript%3E", 422)


def test_gaps_show_hands_that_did_not_confirm_late_entries_and_what_the_sealer_set_aside(api: Api, visit: Visit) -> None:
    tube = a_tube(api)
    seq = api.lab_tech.get(f"/specimens/{tube}").json()["custody"]["seq"]
    later(api, hours=2)
    looked = api.lab_tech.post(f"/specimens/{tube}/events", json={"kind": "specimen.inspected", "expected_seq": seq, **LOOKED})
    assert looked.status_code == 201, looked.text
    seq += 1
    earlier = (clock.now() - timedelta(hours=1)).isoformat()
    body = {
        "kind": "specimen.inspected",
        "expected_seq": seq,
        **LOOKED,
        "performed_by": [seed.USERS["lab_tech2"].code],
        "occurred_at": earlier,
        "late_entry": True,
        "reason_text": "Written on paper first.",
    }
    answer = api.lab_tech.post(f"/specimens/{tube}/events", json=body)
    assert answer.status_code == 201, answer.text
    auditor = visit("auditor")
    page = auditor.get_page("/log/gaps")
    assert page.count(seed.USERS["lab_tech2"].code) == 1 and "Every record is numbered without a gap" in page
    assert "Nothing was entered out of order" not in page
    with psycopg.connect(api.test_bank.dsn("owner")) as connection:
        connection.execute("INSERT INTO log_quarantine SELECT leaf_hash, 1, 'bytes_differ', now() FROM event LIMIT 1")
    assert "bytes_differ" in auditor.get_page("/log/gaps")


def test_an_export_is_listed_with_its_end_its_size_and_its_hash(api: Api, visit: Visit) -> None:
    tube = a_tube(api)
    auditor = visit("auditor")
    seal(api.test_bank)
    file = auditor.get(f"/log/export?format=csv&specimen={tube}")
    assert file.status_code == 200
    page = auditor.get_page("/log/exports")
    assert "Complete" in page and tube in page and f"{len(file.content):,}".replace(",", "\u202f") in page
    assert auditor.get("/log/exports/now").json() == {"mark": "1-0", "stop": False}


def test_verification_shows_the_newest_checkpoint_and_says_when_there_is_none(api: Api, visit: Visit) -> None:
    auditor = visit("auditor")
    assert "Nothing is sealed yet" in auditor.get_page("/log/verification")
    assert "python verify.py" in auditor.get_page("/log/verification")
    auditor.get_page("/log/checkpoint", 404)
    assert "Nothing" in auditor.get_page("/log/bundle", 409)


def test_an_auditor_takes_a_copy_and_the_program_in_the_browser_and_checks_it_elsewhere(
    api: Api, bank: TestBank, visit: Visit, tmp_path: Path
) -> None:
    adopt_rules_now(bank.bank)
    tube = a_tube(api)
    auditor = visit("auditor")
    seal(bank)
    for name, path in (("whole", "/log/bundle"), ("one", f"/log/bundle?about={tube.lower()}"), ("verify.py", "/log/verify.py")):
        (tmp_path / name).write_bytes(auditor.get(path).content)

    for name in ("whole", "one"):
        run = [sys.executable, "-I", "verify.py", name]
        checked = subprocess.run(run, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert checked.returncode == 3, checked.stdout + checked.stderr

    assert auditor.get("/log/exports/now").json()["mark"] == "2-0"
    assert auditor.get("/log/bundle?about=KT-ABC").status_code == 422
    technician = visit("lab_tech")
    assert technician.get("/log/bundle").status_code == 403


def test_a_life_names_every_event_with_its_hash_and_what_was_refused_on_the_way(api: Api, visit: Visit) -> None:
    tube = a_tube(api)
    stale = {
        "kind": "specimen.inspected",
        "expected_seq": 1,
        "container_intact": True,
        "label_legible": True,
        "contents_as_expected": True,
    }
    assert api.lab_tech.post(f"/specimens/{tube}/events", json=stale).status_code == 409
    page = visit("auditor").get_page(f"/specimens/{tube}/life")
    for event in api.auditor.get(f"/specimens/{tube}/custody").json()["items"]:
        assert event["leaf_hash"] in page
    assert "Stale sequence" in page
    assert "Stale sequence" not in visit("lab_tech").get_page(f"/specimens/{tube}/life")
    visit("north_tech").get_page(f"/specimens/{tube}/life", 404)


def test_how_it_stood_asks_both_clocks(api: Api, visit: Visit) -> None:
    tube = a_tube(api)
    auditor = visit("auditor")
    before = (clock.now() - timedelta(days=400)).strftime("%Y-%m-%dT%H:%M")
    assert "Nothing was recorded" in auditor.get_page(f"/specimens/{tube}/as-of?as_known_at={before}", 404)
    soon = (clock.now() + timedelta(minutes=1)).strftime("%Y-%m-%dT%H:%M")
    assert "That time lies ahead" in auditor.get_page(f"/specimens/{tube}/as-of?at=2099-01-01T00:00", 422)
    page = auditor.get_page(f"/specimens/{tube}/as-of?at={soon}")
    answer = page.split('id="answer"')[1].split("</section>")[0]
    last = max(api.auditor.get("/custody-log", params={"specimen": tube}).json()["items"], key=lambda event: event["seq"])
    assert f"{tube} was" in answer and last["leaf_hash"] in answer and last["by"] in answer
    assert "Received" in page and "Changed" not in page
    assert "Enter a day and a time" in auditor.get_page(f"/specimens/{tube}/as-of?at=yesterday", 422)
    auditor.get_page(f"/specimens/{tube}/as-of?at=9999999999-01-01", 422)


def test_what_came_from_paper_and_what_came_long_after_its_time_are_found_and_marked(api: Api, visit: Visit) -> None:
    tube = a_stored_tube(api)
    began = ago(seconds=0)
    later(api, hours=4)
    paper = filed(api, began_at=began).json()["code"]
    assert looked_at(api, tube, paper, ago(hours=1)).status_code == 201
    at_once, from_paper = (api.lab_tech.get(f"/specimens/{tube}/custody").json()["items"][place] for place in (0, -1))

    def found(entered: str) -> list[dict[str, Any]]:
        return api.quality.get("/custody-log", params={"entered": entered, "limit": 500}).json()["items"]  # type: ignore[no-any-return]

    assert [one["leaf_hash"] for one in found("paper")] == [from_paper["leaf_hash"]]
    hashes = {one["leaf_hash"] for one in found("late")}
    assert from_paper["leaf_hash"] in hashes and at_once["leaf_hash"] not in hashes
    page = visit("auditor").get_page("/log?entered=paper")
    assert "from paper, 60 minutes later" in page and tube in page
    assert "60 minutes later" in visit("auditor").get_page("/log?entered=late")
    taken = taken_log(api, entered="paper")
    assert '"source":"paper"' in taken and '"source":"live"' not in taken
    assert "Entered from paper." in visit("lab_tech").get_page(f"/specimens/{tube}")
