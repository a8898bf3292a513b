"""From a scan to a specimen: our codes, our addresses, other issuers' identifiers, and items nobody can name."""

from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from sqlalchemy import text

from biobank.auth.actor import SYSTEM
from biobank.custody.events import Lost, Missing
from biobank.custody.recording import NOW, Move, record
from biobank.custody.snapshots import load
from biobank.foundation import clock
from biobank.foundation.clock import rfc3339
from biobank.foundation.codes import make_code
from biobank.foundation.errors import NotFound, Refusal
from biobank.specimens.aliases import add_alias
from biobank.specimens.resolving import Resolved, resolve_all, resolve_code
from biobank.specimens.schemas import AddAlias
from tests.conftest import Api
from tests.donors.stories import erased_by_two, register
from tests.factories import make_received
from tests.specimens.stories import Json, donor, fat, harvest, in_a_while, kinds, kit, made, raw_fat, refused
from tests.statements import count_statements
from tests.withdrawals.stories import a_story, place_of


def scan(api: Api, what: str, user: str = "lab_tech") -> Resolved:
    actor = api.test_bank.actor(user)
    found: Resolved = api.test_bank.write(lambda s: resolve_code(s, actor, what, api.test_bank.bank.settings))
    return found


def no(api: Api, what: str, user: str = "lab_tech") -> str:
    with pytest.raises(Refusal) as refusal:
        scan(api, what, user)
    return refusal.value.code


def alias(api: Api, specimen: Json, issuer: str, value: str, **changes: Any) -> Any:
    seq = api.quality.get(f"/specimens/{specimen['code']}").json()["custody"]["seq"]
    body = {"issuer": issuer, "value": value, "expected_seq": seq} | changes
    return api.lab_tech.post(f"/specimens/{specimen['code']}/aliases", json=body)


def test_a_code_and_its_label_address_are_the_same_tube(api: Api) -> None:
    tube = raw_fat(api, donor(api))["code"]

    assert scan(api, tube.lower().replace("-", " ")).code == tube
    found = scan(api, f"HTTPS://BANK.EXAMPLE/S/{tube}")

    assert found.specimen is not None
    assert (found.code, found.specimen.code, found.issuer) == (tube, tube, None)


def test_an_address_on_another_host_is_never_our_tube_even_with_our_code(api: Api) -> None:
    tube = raw_fat(api, donor(api))["code"]

    assert no(api, f"https://other.example/S/{tube}") == "foreign_label"


def test_a_code_of_something_else_is_passed_on(api: Api) -> None:
    assert scan(api, kit(api)["kit"]).specimen is None


def test_a_misread_code_says_so_and_an_unknown_one_is_not_found(api: Api) -> None:
    tube = raw_fat(api, donor(api))["code"]
    wrong = tube[:-1] + ("0" if tube[-1] != "0" else "1")

    assert no(api, wrong) == "check_character_wrong"
    assert no(api, "AD26-KH0KJQL") == "not_found"
    assert no(api, "what is this") == "not_found"
    assert no(api, tube, "north_tech") == "not_found"
    assert no(api, tube, "other_clinician") == "not_found"


def test_a_list_of_unknown_codes_takes_as_many_statements_as_one(api: Api) -> None:
    settings, seen = api.test_bank.bank.settings, []
    actor = api.test_bank.actor("lab_tech")
    for several in (1, 96):
        texts = [make_code("AD", 2026, 900_000 + number).text for number in range(several)]
        found: list[str] = []
        stop = count_statements(api.test_bank.bank.database.sync_engine, found)
        answers = api.test_bank.write(partial(resolve_all, actor=actor, texts=texts, settings=settings))
        stop()
        seen.append(len(found))
        assert all(isinstance(one, NotFound) for one in answers.values())

    assert seen[0] == seen[1]


def test_another_issuers_identifier_resolves_and_is_unique_for_that_issuer(api: Api) -> None:
    person = donor(api)
    one, two = raw_fat(api, person), raw_fat(api, person)

    before = rfc3339(clock.now())
    in_a_while(1)
    answer = made(alias(api, one, "clinic_east", "FAT 0042/b"))
    again = alias(api, two, "clinic_east", "FAT 0042/b")
    same_value_elsewhere = alias(api, two, "legacy", "OLD-7")

    found = scan(api, "FAT 0042/b")
    assert (found.code, found.issuer) == (one["code"], "clinic_east")
    assert refused(again) == (409, "already_exists")
    made(same_value_elsewhere)
    assert answer["seq"] == one["seq"] + 1
    shown = api.lab_tech.get(f"/specimens/{one['code']}").json()
    assert shown["aliases"] == [{"issuer": "clinic_east", "value": "FAT 0042/b"}]
    for asked in ("at", "as_known_at"):
        then = api.lab_tech.get(f"/specimens/{one['code']}", params={asked: before}).json()
        assert then["aliases"] == [], "it was registered later"
    assert no(api, "FAT 0042/b", "north_tech") == "not_found"


def test_an_identifier_of_two_issuers_asks_which_one(api: Api) -> None:
    person = donor(api)
    one, two = raw_fat(api, person), raw_fat(api, person)
    made(alias(api, one, "clinic_east", "17"))
    made(alias(api, two, "legacy", "17"))

    assert no(api, "17") == "ambiguous_identifier"


def test_the_log_commits_to_a_foreign_identifier_and_does_not_carry_it(api: Api) -> None:
    tube = raw_fat(api, donor(api))
    made(alias(api, tube, "clinic_east", "SMITH-MARY-1"))

    entries = api.test_bank.write(lambda s: s.execute(text("SELECT entry FROM event")).scalars().all())

    assert kinds(api, "specimen", tube["code"])[-1] == "specimen.aliased"
    assert not any(b"SMITH" in bytes(entry) for entry in entries)


@pytest.mark.parametrize("value", ["AD26-KH0KJQL", "https://bank.example/S/AD26-KH0KJQL", "https://other.example/x"])
def test_what_reads_as_a_code_or_a_label_address_is_no_foreign_identifier(api: Api, value: str) -> None:
    tube = raw_fat(api, donor(api))

    assert refused(alias(api, tube, "legacy", value)) == (409, "alias_looks_like_ours")


def test_an_identifier_in_the_shape_of_our_codes_with_a_wrong_check_is_found_by_its_issuer(api: Api) -> None:
    tube = raw_fat(api, donor(api))
    made(alias(api, tube, "legacy", "AD26-KH0KJQ0"))

    assert scan(api, "AD26-KH0KJQ0").code == tube["code"]


def test_adding_an_identifier_needs_the_history_and_the_right(api: Api) -> None:
    tube = raw_fat(api, donor(api))
    body = {"issuer": "legacy", "value": "x"}

    assert refused(api.lab_tech.post(f"/specimens/{tube['code']}/aliases", json=body)) == (428, "expected_seq_required")
    old = api.lab_tech.post(f"/specimens/{tube['code']}/aliases", json=body | {"expected_seq": 1})
    assert refused(old) == (409, "stale_sequence")
    away = api.north_tech.post(f"/specimens/{tube['code']}/aliases", json=body | {"expected_seq": 2})
    assert refused(away) == (404, "not_found")
    auditor = api.auditor.post(f"/specimens/{tube['code']}/aliases", json=body | {"expected_seq": 2})
    assert refused(auditor) == (403, "not_permitted")
    assert no(api, "x") == "not_found"


def test_a_label_that_no_harvest_used_or_that_was_destroyed_is_an_alarm_not_a_tube(api: Api) -> None:
    person = donor(api)
    prepared = kit(api)
    used, void = (one["specimen"] for one in prepared["labels"])

    waiting = no(api, used)
    made(harvest(api.clinician, person, fat(specimen=used), kit=prepared["kit"], unused=[void]))

    assert waiting == "label_not_in_use"
    assert no(api, void) == "label_not_in_use"
    assert scan(api, used).code == used


def test_an_item_without_a_name_gets_a_code_and_a_place_to_go(api: Api) -> None:
    body = {"site": "LAB", "condition": "frozen", "photo_sha256": "ab" * 32, "comment": "cap without a label"}

    answer = made(api.lab_tech.post("/specimens/unidentified", json=body))

    code = answer["specimen"]
    assert code.startswith("UN")
    assert "quarantine" in answer["where_now"]
    shown = api.lab_tech.get(f"/specimens/{code}").json()
    assert (shown["donor"], shown["material"], shown["purpose"]) == (None, "unidentified", "retained")
    assert (shown["custody"]["state"], shown["custody"]["condition"], shown["home_site"]) == ("received", "frozen", "LAB")
    assert scan(api, code).code == code
    assert api.north_tech.get(f"/specimens/{code}").status_code == 404
    assert refused(api.north_tech.post("/specimens/unidentified", json=body)) == (403, "not_permitted")
    assert refused(api.auditor.post("/specimens/unidentified", json=body)) == (403, "not_permitted")


def test_a_forgotten_person_is_not_found_by_a_tubes_foreign_identifier_either(api: Api) -> None:
    """The identifier of a living tube stays when contact and free text go; with everything else it goes too."""
    person = register(api.clinician)
    long_ago = -timedelta(days=12 * 366)
    clock.set_offset(long_ago, test_mode=True)
    act = api.test_bank.act("lab_tech")
    tube = api.test_bank.write(lambda s: make_received(s, act, donor=person))
    adding = AddAlias(issuer="clinic_east", value="MRN 778-1234", expected_seq=tube.seq)
    api.test_bank.write(lambda s: add_alias(s, act, tube.code, adding))
    clock.set_offset(timedelta(0), test_mode=True)
    partly = erased_by_two(api, person)
    still = scan(api, "MRN 778-1234").code
    clock.set_offset(long_ago + timedelta(hours=1), test_mode=True)
    lost = replace(api.test_bank.act("quality"), actor=SYSTEM)
    seen = api.test_bank.write(lambda s: load(s, [tube.code])[tube.code])
    moves = [Move(seen, Missing(reason="not_in_its_slot")), Move(seen, Lost(reason="searched"))]
    api.test_bank.write(lambda s: record(s, lost, moves, NOW))
    clock.set_offset(timedelta(0), test_mode=True)

    done = erased_by_two(api, person)

    assert (partly.status_code, still) == (409, tube.code)
    assert (done.status_code, done.json()["status"]) == (200, "done"), done.text
    assert no(api, "MRN 778-1234") == "not_found"
    assert api.test_bank.write(lambda s: s.execute(text("SELECT count(*) FROM specimen_alias")).scalar()) == 0


@pytest.mark.parametrize(
    ("value", "scanned"),
    [
        ("a12345678", "A12345678"),
        ("OLD-7/b", "]C0old-7/B\r"),
        ("4006381333931", "4006381333931"),
        ("AB123", "\ufeffAB123"),
        ("FOOBAR", "foobar"),
        ("ID: 55", '"ID:  55"'),
        ("HF-000123-1", "HF\u2011000123\u20111"),
        ("FX0012", "FX\uff10\uff10\uff11\uff12"),
        ("100%25", "100%25"),
        ("]d1-9", "]d1-9"),
    ],
)
def test_a_registered_identifier_is_found_whatever_it_looks_like(api: Api, value: str, scanned: str) -> None:
    tube = raw_fat(api, donor(api))
    made(alias(api, tube, "legacy", value))

    answer = api.lab_tech.post("/scans", json={"text": scanned})

    assert (answer.status_code, answer.json().get("code")) == (200, tube["code"])


def test_an_issuers_identifiers_differ_by_more_than_letter_case(api: Api) -> None:
    person = donor(api)
    one, two = raw_fat(api, person), raw_fat(api, person)
    made(alias(api, one, "legacy", "Box-A1"))

    assert refused(alias(api, two, "legacy", "bOX-a1")) == (409, "already_exists")
    made(alias(api, two, "clinic_east", "bOX-a1"))
    assert no(api, "BOX-A1") == "ambiguous_identifier"


@pytest.mark.parametrize("before", ["]Q1", "]d2", "\ufeff", "\u200b"])
def test_a_guns_mark_before_our_own_label_is_read_over_http(api: Api, before: str) -> None:
    tube = raw_fat(api, donor(api))["code"]

    for label in (tube, f"HTTPS://BANK.EXAMPLE/S/{tube}"):
        assert api.lab_tech.post("/scans", json={"text": before + label}).json()["code"] == tube


@pytest.mark.parametrize(
    ("text", "status", "code", "cold"),
    [
        ("Erika Mustermann", 404, "not_found", False),
        ("Erika Mustermann 1980", 404, "not_found", False),
        ("4006381333931", 404, "not_found", False),
        ("https://maker.example/x", 409, "foreign_label", False),
        ("https://other.example/S/AD26-KH0KJQL", 409, "foreign_label", False),
        ("AD26-KH0KJQ0", 422, "check_character_wrong", False),
        ("FX0012345678", 404, "not_found", True),
    ],
)
def test_a_scan_of_what_is_not_ours_is_kept_and_never_repeated(api: Api, text: str, status: int, code: str, cold: bool) -> None:
    answer = api.lab_tech.post("/scans", json={"text": text})
    (kept,) = api.auditor.get("/attempts", params={"limit": 1}).json()["items"]

    assert refused(answer) == (status, code)
    assert ("where_now" in answer.json()) == cold
    assert (kept["code"], kept["path"]) == (code, "/api/v1/scans")
    assert "Erika" not in answer.text + str(kept)


def test_a_strange_tube_gets_no_name_at_the_pick_nor_at_the_bedside(api: Api) -> None:
    story = a_story(api, 3).up_to("approve")
    vial, strange = story.vials[0], "BIO-777-X"

    def named() -> tuple[int, str]:
        seq = api.quality.get(f"/specimens/{vial}/custody").json()["items"][-1]["seq"]
        body = {"issuer": "other_bank", "value": strange, "expected_seq": seq}
        answers = [one.post(f"/specimens/{vial}/aliases", json=body) for one in (api.lab_tech, api.clinic_staff, api.quality)]
        (said,) = {refused(one) for one in answers if one.status_code != 403}
        return said

    assert named() == (409, "reserved_elsewhere")
    picked = api.lab_tech.post(f"/withdrawals/{story.code}/picks", json={"tube": strange, "place": place_of(api, vial)})
    assert picked.status_code == 422, "nothing answers to it"
    for step in ("pick", "confirm", "issue", "receive", "thaw"):
        assert getattr(story, step)().status_code in (200, 201)
        assert named()[0] == 409
    assert story.check(product=strange).json()["code"] == "wrong_recipient", "and stops everything"
