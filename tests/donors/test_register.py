"""Registering and changing a donor, finding one again, and reading who it is."""

from sqlalchemy import text

from tests.conftest import Api
from tests.donors.stories import MARY, died, kinds, register
from tests.factories import make_specimen


def search(api: Api, **body: object) -> list[str]:
    answer = api.clinician.post("/donors/search", json=body)
    assert answer.status_code == 200, answer.text
    return [match["donor"] for match in answer.json()["items"]]


def test_a_clinician_registers_a_person_and_gets_a_code_and_a_receipt(api: Api) -> None:
    answer = api.clinician.post("/donors", json=MARY)

    assert answer.status_code == 201, answer.text
    body = answer.json()
    assert body["donor"].startswith("DN-")
    assert body["look_alikes"] == []
    assert body["events"][0]["leaf_hash"] in body["receipt"]
    assert kinds(api, body["donor"]) == ["donor.registered"]


def test_the_answer_and_the_pseudonymous_record_hold_no_personal_data(api: Api) -> None:
    answer = api.clinician.post("/donors", json=MARY)
    record = api.clinician.get(f"/donors/{answer.json()['donor']}")
    # Hashes and codes are long enough to hold any three digits by chance.
    hashes = [event["leaf_hash"] for event in answer.json()["events"]]
    said = answer.text.replace(answer.json()["receipt"], "")
    for chance in (*hashes, answer.json()["donor"]):
        said = said.replace(chance, "")

    for words in ("Quillfeather", "Mar", "1961-", "778-1234", "7781234", "Zephyrine", "7946 0123", "79460123"):
        assert words not in said
        assert words not in record.text


def test_a_laboratory_registers_nobody(api: Api) -> None:
    assert api.lab_tech.post("/donors", json=MARY).json()["code"] == "not_permitted"
    assert api.clinician.post("/donors", json=MARY | {"clinic_site": "OTHER"}).json()["code"] == "not_permitted"


def test_a_look_alike_at_the_same_clinic_is_named_by_code_and_reason(api: Api) -> None:
    first = register(api.clinician)

    answer = api.clinician.post("/donors", json=MARY | {"external_ids": [], "family_name": "Quillfether Orsted"})

    assert answer.json()["look_alikes"] == [{"donor": first, "reasons": ["similar_name", "similar_family_name_and_birth_date"]}]


def test_a_look_alike_at_a_strange_clinic_is_counted_and_not_named(api: Api) -> None:
    first = register(api.clinician)

    answer = api.other_clinician.post("/donors", json=MARY | {"clinic_site": "OTHER", "external_ids": []})

    assert answer.json()["look_alikes"] == []
    assert answer.json()["look_alikes_elsewhere"] == 1
    assert first not in answer.text
    shown = api.quality.get(f"/donors/{first}").json()["look_alikes"]
    assert [alike["donor"] for alike in shown] == [answer.json()["donor"]]


def test_a_person_is_found_by_any_spelling_and_order_of_the_name(api: Api) -> None:
    code = register(api.clinician)
    register(api.clinician, family_name="Jones", given_names="Robert", date_of_birth="1961-07-23", external_ids=[])

    assert search(api, name="marya quillfeather") == [code]
    assert search(api, name="Quillfeather Ørsted") == [code]
    assert search(api, name="Kwilfeather") == [code]
    assert search(api, name="Quillfeather", date_of_birth="1961-07-23") == [code]
    assert search(api, external_id={"issuer": "CITY-HOSPITAL", "value": "mrn7781234"}) == [code]
    assert len(search(api, date_of_birth="1961-07-23")) == 2
    assert search(api, name="Quillfeather", date_of_birth="1961-07-24") == []


def test_an_exact_match_stands_before_one_that_only_sounds_alike(api: Api) -> None:
    alike = register(api.clinician, family_name="Smyth", external_ids=[])
    exact = register(api.clinician, family_name="Smith", external_ids=[])

    items = api.clinician.post("/donors/search", json={"name": "smith"}).json()["items"]

    assert [(m["donor"], m["exact"]) for m in items] == [(exact, True), (alike, False)]


def test_search_finds_nobody_of_another_clinic_and_is_closed_to_the_laboratory(api: Api) -> None:
    register(api.clinician)

    assert api.other_clinician.post("/donors/search", json={"name": "Quillfeather"}).json()["items"] == []
    assert api.lab_tech.post("/donors/search", json={"name": "Quillfeather"}).json()["code"] == "not_permitted"


def test_a_search_for_nothing_is_malformed(api: Api) -> None:
    assert api.clinician.post("/donors/search", json={}).status_code == 422


def test_reading_identity_shows_who_it_is_and_is_recorded_with_who_asked(api: Api) -> None:
    code = register(api.clinician)

    answer = api.clinic_staff.get(f"/donors/{code}/identity")

    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert (body["family_name"], body["given_names"]) == ("Quillfeather-Ørsted", "Marýa Ann")
    assert body["contact"]["address"] == "7 Zephyrine Row"
    assert kinds(api, code) == ["donor.registered", "donor.identity_read"]


def test_an_idempotency_key_on_an_identity_read_keeps_no_answer(api: Api) -> None:
    code = register(api.clinician)

    api.clinician.get(f"/donors/{code}/identity", headers={"Idempotency-Key": "k1"})
    api.clinician.get(f"/donors/{code}/identity", headers={"Idempotency-Key": "k1"})

    rows = api.test_bank.write(lambda s: s.execute(text("SELECT answer FROM idempotency WHERE key = 'k1'")).all())
    assert rows == []
    assert kinds(api, code).count("donor.identity_read") == 2


def test_the_laboratory_sees_the_donor_whose_cells_it_keeps_and_not_the_identity(api: Api) -> None:
    code = register(api.clinician)
    assert api.lab_tech.get(f"/donors/{code}").status_code == 404

    act = api.test_bank.act("clinician")
    api.test_bank.write(lambda s: make_specimen(s, act, donor=code))

    assert api.lab_tech.get(f"/donors/{code}").status_code == 200
    assert api.lab_tech.get(f"/donors/{code}/identity").json()["code"] == "not_permitted"
    assert api.north_tech.get(f"/donors/{code}").status_code == 404
    assert [d["donor"] for d in api.lab_tech.get("/donors").json()["items"]] == [code]
    assert api.north_tech.get("/donors").json()["items"] == []


def test_a_donor_of_another_clinic_is_not_found_in_any_way(api: Api) -> None:
    code = register(api.clinician)
    stranger = api.other_clinician

    answers = [
        stranger.get(f"/donors/{code}"),
        stranger.get(f"/donors/{code}/identity"),
        stranger.get(f"/donors/{code}/erasure"),
        stranger.patch(f"/donors/{code}", json={"status": "unreachable"}),
    ]

    assert [a.json()["code"] for a in answers] == ["not_found"] * 4
    assert kinds(api, code) == ["donor.registered"]


def test_the_list_is_paged_and_filtered(api: Api) -> None:
    codes = sorted(register(api.clinician, family_name=name, external_ids=[]) for name in ("Ash", "Birch", "Cedar"))

    page = api.clinician.get("/donors", params={"limit": 2}).json()
    rest = api.clinician.get("/donors", params={"limit": 2, "after": page["next"]}).json()

    assert [d["donor"] for d in page["items"] + rest["items"]] == codes
    assert rest["next"] is None
    assert api.quality.get("/donors", params={"site": "OTHER"}).json()["items"] == []
    assert api.quality.get("/donors", params={"status": "deceased"}).json()["items"] == []


def test_after_a_marriage_both_names_find_the_person(api: Api) -> None:
    code = register(api.clinician)

    answer = api.clinician.patch(f"/donors/{code}", json={"family_name": "Brightwater", "reason": "marriage"})

    assert answer.status_code == 200, answer.text
    assert search(api, name="Brightwater") == [code]
    assert search(api, name="Quillfeather") == [code]
    identity = api.clinician.get(f"/donors/{code}/identity").json()
    assert identity["family_name"] == "Brightwater"
    assert identity["former_names"] == [{"family_name": "Quillfeather-Ørsted", "given_names": "Marýa Ann"}]


def test_a_corrected_typing_mistake_leaves_no_former_name(api: Api) -> None:
    code = register(api.clinician, family_name="Quilfeathr")

    api.clinician.patch(
        f"/donors/{code}", json={"family_name": "Brightwater", "date_of_birth": "1962-07-23", "reason": "correction"}
    )

    assert search(api, name="Quilfeathr") == []
    assert search(api, date_of_birth="1961-07-23") == []
    assert search(api, date_of_birth="1962-07-23") == [code]


def test_a_new_contact_replaces_the_old_one_which_is_gone(api: Api) -> None:
    code = register(api.clinician)

    api.clinician.patch(f"/donors/{code}", json={"contact": {"phone": "+44 1"}}).raise_for_status()
    assert api.clinician.get(f"/donors/{code}/identity").json()["contact"] == {"phone": "+44 1", "email": None, "address": None}
    api.clinician.patch(f"/donors/{code}", json={"contact": None}).raise_for_status()
    assert api.clinician.get(f"/donors/{code}/identity").json()["contact"] is None

    count = "SELECT count(*) FROM vault_document WHERE subject = :donor"
    assert api.test_bank.write(lambda s: s.execute(text(count), {"donor": code}).scalar()) == 1


def test_a_death_holds_every_use_of_the_cells_until_quality_decides(api: Api) -> None:
    code = register(api.clinician)

    assert died(api.clinician, code).status_code == 201
    assert api.clinician.get(f"/donors/{code}").json()["status"] == "deceased"
    (hold,) = api.clinician.get(f"/donors/{code}").json()["holds"]
    assert (hold["kind"], hold["blocks"]) == ("donor_deceased", ["administer", "issue"])
    assert kinds(api, code) == ["donor.registered", "donor.status_changed", "donor.death_recorded", "donor.hold_placed"]
    assert api.clinician.patch(f"/donors/{code}", json={"status": "living"}).status_code == 403
    assert len(api.clinician.get(f"/donors/{code}").json()["holds"]) == 1


def test_a_change_that_changes_nothing_is_refused(api: Api) -> None:
    code = register(api.clinician)

    assert api.clinician.patch(f"/donors/{code}", json={"status": "living"}).json()["code"] == "nothing_changes"
    assert api.clinician.patch(f"/donors/{code}", json={"sex": "female"}).json()["code"] == "nothing_changes"
    assert api.clinician.patch(f"/donors/{code}", json={}).status_code == 422
    assert api.clinician.patch(f"/donors/{code}", json={"family_name": None}).status_code == 422
    assert kinds(api, code) == ["donor.registered"]


def test_a_donor_who_came_as_a_code_only_has_no_identity_to_show(api: Api) -> None:
    from tests.factories import make_donor

    code = api.test_bank.write(make_donor)

    assert api.clinician.get(f"/donors/{code}/identity").json()["code"] == "identity_unknown"


def test_what_is_no_name_and_no_date_is_refused_without_being_repeated(api: Api) -> None:
    for changes in (
        {"family_name": "Sm\x00ith"},
        {"family_name": "---"},
        {"date_of_birth": "1961-02-30"},
        {"date_of_birth": "2999-01-01"},
        {"date_of_birth": "23.07.1961"},
        {"nickname": "Smithy"},
        {"contact": {"email": "Smith"}},
        {"external_ids": [{"issuer": "X", "value": "\x07"}]},
    ):
        answer = api.clinician.post("/donors", json=MARY | changes)
        assert answer.status_code == 422, changes
        assert "mith" not in answer.text.replace("nickname", "")


def test_a_registration_sent_twice_under_one_key_makes_one_donor(api: Api) -> None:
    first = api.clinician.post("/donors", json=MARY, headers={"Idempotency-Key": "k1"})
    again = api.clinician.post("/donors", json=MARY, headers={"Idempotency-Key": "k1"})

    assert again.json() == first.json()
    assert len(api.clinician.get("/donors").json()["items"]) == 1


def test_a_site_that_does_not_exist_cannot_register(api: Api) -> None:
    insert = text(
        "INSERT INTO user_role (user_code, role, site_code, granted_at, granted_by)"
        " SELECT code, 'clinician', NULL, now(), 'SYSTEM' FROM app_user WHERE username = 'clinician'"
    )
    api.test_bank.write(lambda s: s.execute(insert))

    assert api.clinician.post("/donors", json=MARY | {"clinic_site": "NOWHERE"}).json()["code"] == "not_found"
