"""A signature of a person is checked in the bundle: by whose key, over what, with which role."""

import asyncio
import hashlib
import io
import json
import tarfile
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from sqlalchemy import text
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.bank import Bank
from biobank.acts.personal_signature import PersonalSignature, Said, hold, vouch
from biobank.acts.proving import password_check_of
from biobank.auth import one_time, personal_keys
from biobank.auth.actor import RoleGrant
from biobank.auth.passwords import verify_now
from biobank.auth.permissions import Role
from biobank.auth.service import Proven, prove_password
from biobank.auth.throttle import Asking
from biobank.custody.event import SIGNATURES, rules
from biobank.custody.events import Received
from biobank.custody.recording import NOW, Move, record
from biobank.custody.snapshots import load
from biobank.exports.bundle import Wish
from biobank.foundation import clock
from biobank.people.bootstrap import reset_from_console, set_up_user
from biobank.people.credentials import record_about
from biobank.people.events import UserPersonalKeySet, UserRoleGranted
from biobank.quality.events import Decision, QualityDecided, RegulatoryBasis
from biobank.transparency.verify import Evidence, header_of, in_words, verify
from tests import seed
from tests.conftest import Api
from tests.enrolling import by_two, drawn
from tests.enrolling import half as half_of
from tests.factories import make_specimen
from tests.keyed import PASSWORD, Keyed, any_id, key_of
from tests.signing import signed
from tests.transparency.audited import Audited

LATER = timedelta(minutes=5)
NEW = "another long river of lamps"


class Scene:
    """A keyed bank with one specimen, and the auditor's side of it."""

    def __init__(self, api: Api, folder: Path) -> None:
        self.audited = Audited(api.test_bank, folder)
        self.people = Keyed(api)
        self.audited.live(1)
        self.code = self.audited.codes[0]

    def released(self, name: str, signature: str, given: PersonalSignature | None = None) -> None:
        """Write a release of the specimen with the application's own login, said to be by somebody."""
        self._release(replace(self.people.act(name), source="live"), signature, given)

    def _release(self, act: Act, signature: str, given: PersonalSignature | None) -> None:
        event = QualityDecided(
            decision=Decision.RELEASED_TO_BANK,
            reason="criteria_met",
            basis=RegulatoryBasis.EU_ATMP_HOSPITAL_EXEMPTION,
            signature=signature,
        )

        def unit(session: Session) -> None:
            if given is not None:
                hold(session, given)
            record(session, act, [Move(load(session, [self.code], lock=True)[self.code], event)], NOW)

        self.people.bank.write(unit)
        self.audited.seal()

    def lifted(self, name: str = "quinn", *, by: Any = None) -> Any:
        """Somebody places a hold, and somebody of quality lifts it over HTTP, signed."""
        body = {"scope_kind": "specimen", "scope_id": self.code, "kind": "quality", "reason": "looks_cloudy"}
        placed = self.people.clients["tess"].post("/holds", json=body)
        assert placed.status_code == 201, placed.text
        path = f"/holds/{placed.json()['id']}/lift"
        client = by or self.people.clients[name]
        answer = client.post(path, json=signed(client, "hold_lifted", path, {"reason": "looked_again"}))
        assert answer.status_code == 200, answer.text
        self.audited.seal()
        return answer.json()

    def whole(self) -> dict[str, Any]:
        return told(self.audited.verdict())

    def part(self) -> dict[str, Any]:
        return told(self.audited.verdict(Wish(specimen=self.code)))

    def untrue(self) -> str:
        """What both bundles say is not true; both name the newest entry of the specimen."""
        whole, part = self.whole(), self.part()
        assert [v["verdict"] for v in (whole, part)] == ["untrue"] * 2, (whole, part)
        assert whole["why"] == part["why"]
        assert whole["reason"] == part["reason"] == "signature_of_person"
        assert whole["first_untrue"]["id"] == part["first_untrue"]["id"] == self.code
        assert whole["first_untrue"]["kind"] == "specimen.quality_decided"
        return str(whole["why"])

    def proved(self, name: str) -> tuple[str, bool, bytes | None]:
        """What proving somebody's password gives: the stored hash, no second factor, and what it unlocks with."""
        query, code = text("SELECT password_hash FROM app_user WHERE code = :code"), {"code": self.people.codes[name]}
        stored = str(self.people.bank.write(lambda s: s.scalar(query, code)))
        return stored, False, verify_now(PASSWORD, stored).unlocks

    def private_key(self, name: str, password: str = PASSWORD) -> Ed25519PrivateKey:
        """Somebody's own key, opened with their own password."""
        code = self.people.codes[name]

        def unit(session: Session) -> Ed25519PrivateKey:
            row = session.execute(
                text(
                    "SELECT u.password_hash, k.wrapped FROM app_user u JOIN personal_key k ON k.user_code = u.code "
                    "WHERE u.code = :code AND k.ended_at IS NULL"
                ),
                {"code": code},
            ).one()
            unlocks = verify_now(password, row.password_hash).unlocks
            assert unlocks is not None
            return personal_keys.unwrap(bytes(row.wrapped), unlocks, code)

        return self.people.bank.write(unit)  # type: ignore[no-any-return]

    def signature(self, name: str, key: Ed25519PrivateKey, *, token: str = "t") -> tuple[str, PersonalSignature]:
        """A signature in somebody's name, now, by any key."""
        said = Said(uuid4(), self.people.codes[name], "released", bytes(32), clock.now())
        return str(said.id), PersonalSignature.of(said, token, personal_keys.public_of(key), said.by(key, token))


def told(verdict: dict[str, Any]) -> dict[str, Any]:
    assert in_words(verdict)
    return verdict


@pytest.fixture
def scene(api: Api, tmp_path: Path) -> Iterator[Scene]:
    made = Scene(api, tmp_path)
    yield made
    made.people.close()


def test_what_people_sign_is_by_their_own_keys_and_both_bundles_say_so(scene: Scene) -> None:
    scene.lifted()

    whole, part = scene.whole(), scene.part()

    assert (whole["verdict"], part["verdict"]) == ("true", "true"), (whole, part)
    assert whole["signatures"]["by_key"] == part["signatures"]["by_key"] == 1
    assert whole["signatures"]["without_key"] == part["signatures"]["without_key"] == 0
    assert "signed by personal keys" in in_words(part)


def test_a_release_that_the_applications_login_wrote_by_quinn_is_not_true(scene: Scene) -> None:
    scene.released("quinn", any_id())

    assert scene.untrue() == (
        f"it says that {scene.people.codes['quinn']} signed it, who has a personal key, and no such signature is under it"
    )


def test_a_signature_with_the_key_of_another_is_not_true(scene: Scene) -> None:
    scene.released("quinn", *scene.signature("quinn", scene.private_key("quade")))

    assert scene.untrue() == f"it is signed by a key that was not {scene.people.codes['quinn']}'s by then"


def test_a_signature_that_somebody_gave_is_not_true_under_an_act_of_anothers(scene: Scene) -> None:
    scene.released("quinn", *scene.signature("quade", scene.private_key("quade")))

    assert scene.untrue() == f"it is by {scene.people.codes['quinn']}, and {scene.people.codes['quade']} signed it"


def test_a_signature_that_quinn_gave_is_not_true_under_another_act(scene: Scene) -> None:
    scene.lifted()
    genuine = entries(scene, "specimen.hold_lifted")[-1]["signatures"][0]
    replayed = PersonalSignature(genuine, Ed25519PrivateKey.generate())
    scene.released("quinn", genuine["id"], replayed)

    assert "is not over this entry: it stands under another act" in scene.untrue()


def test_a_key_that_the_applications_login_made_for_quinn_signs_nothing(scene: Scene) -> None:
    mine, enrolment, quinn = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate(), scene.people.codes["quinn"]
    said = UserPersonalKeySet(**vouch(enrolment, quinn, personal_keys.public_of(mine)))
    scene.people.bank.write(lambda s: record_about(s, scene.people.act("quinn"), quinn, said))
    scene.released("quinn", *scene.signature("quinn", mine))

    whole, part = scene.whole(), scene.part()

    assert (whole["verdict"], part["verdict"]) == ("untrue", "untrue")
    assert whole["why"] == part["why"] == f"nothing vouches for this key of {quinn}: no enrolment that waited signed it"
    assert whole["first_untrue"]["kind"] == "user.personal_key_set"


def test_nobody_opens_an_enrolment_without_the_signature_of_somebody_who_cosigns(scene: Scene) -> None:
    """Neither the application's login nor the console goes round quality, once somebody of quality signs by key."""
    from biobank.people.personal_keys import open_enrolment

    tess, system = scene.people.codes["tess"], Act.system(scene.people.bank.bank, path="test")
    scene.people.bank.write(lambda s: record_about(s, system, tess, open_enrolment(s, system, tess, {})))
    scene.audited.seal()

    verdict = scene.whole()

    assert (verdict["verdict"], verdict["first_untrue"]["kind"]) == ("untrue", "user.enrolment_opened")
    assert verdict["why"] == "nobody who co-signs roles signed it with a personal key, and somebody could have"


def test_a_role_that_the_applications_login_wrote_is_not_true(scene: Scene) -> None:
    tess, quinn = scene.people.codes["tess"], scene.people.act("quinn")
    given = UserRoleGranted(role=Role.QUALITY, site=None, completed_by=quinn.actor.code, second_signature=any_id())
    scene.people.bank.write(lambda s: record_about(s, quinn, tess, given))
    scene.audited.seal()

    assert scene.whole()["first_untrue"]["kind"] == "user.role_granted"


def test_an_ended_key_signs_nothing_more(scene: Scene) -> None:
    before = scene.private_key("quinn")
    reset(scene, "quinn")
    clock.set_offset(LATER, test_mode=True)
    scene.released("quinn", *scene.signature("quinn", before))

    assert "had been replaced or ended" in scene.untrue()


def test_a_reset_brings_another_key_and_what_the_one_before_signed_stays_true(scene: Scene) -> None:
    scene.lifted()
    code = scene.people.codes["quinn"]
    before = scene.people.bank.write(lambda s: key_of(s, code))
    client = scene.people.enrol("quinn", reset(scene, "quinn"))
    clock.set_offset(LATER, test_mode=True)
    client = scene.people.sign_in("quinn", PASSWORD)
    scene.people.clients["tess"] = scene.people.sign_in("tess", PASSWORD)
    scene.lifted(by=client)

    assert scene.people.bank.write(lambda s: key_of(s, code)) != before
    whole, part = scene.whole(), scene.part()
    assert (whole["verdict"], part["verdict"]) == ("true", "true"), (whole, part)
    assert part["signatures"]["by_key"] == 4, "two lifts; reset and enrolment, by quade"


def test_a_changed_password_unlocks_the_same_key(scene: Scene) -> None:
    code, quinn = scene.people.codes["quinn"], scene.people.clients["quinn"]
    before = scene.people.bank.write(lambda s: key_of(s, code))
    scene.lifted()
    changed = quinn.post("/auth/password", json={"password": PASSWORD, "new_password": NEW})
    assert changed.status_code == 204, changed.text

    assert scene.people.bank.write(lambda s: key_of(s, code)) == before
    assert scene.private_key("quinn", NEW).public_key().public_bytes_raw() == before
    back = quinn.post("/auth/password", json={"password": NEW, "new_password": PASSWORD})
    assert back.status_code == 204, back.text
    scene.lifted()
    assert scene.whole()["signatures"]["by_key"] == 2


def test_who_holds_the_role_no_more_signs_nothing(scene: Scene) -> None:
    people, key = scene.people, scene.private_key("quade")
    act = people.act("quade")
    revoke = f"/users/{people.codes['quade']}/roles/revoke"
    by_two(people.clients["adam"], people.clients["quinn"], revoke, {"role": "quality", "site": None}, "role_change")
    clock.set_offset(LATER, test_mode=True)
    signature, given = scene.signature("quade", key)
    scene._release(replace(act, at=clock.now()), signature, given)

    assert scene.untrue() == f"{people.codes['quade']} held no role then that includes quality:decide"


def test_who_never_held_the_role_signs_nothing(scene: Scene) -> None:
    quality = frozenset({RoleGrant(Role.QUALITY, None)})
    act = scene.people.act("tess")
    signature, given = scene.signature("tess", scene.private_key("tess"))
    scene._release(replace(act, actor=replace(act.actor, grants=quality)), signature, given)

    assert "held no role then that includes quality:decide" in scene.untrue()


def of_one_site(scene: Scene, name: str, site: str) -> None:
    """A person of quality of every site becomes one of a single site."""
    roles = f"/users/{scene.people.codes[name]}/roles"
    adam, quinn = scene.people.clients["adam"], scene.people.clients["quinn"]
    assert by_two(adam, quinn, roles, {"role": "quality", "site": site}, "role_change").json()["status"] == "done"
    by_two(adam, quinn, f"{roles}/revoke", {"role": "quality", "site": None}, "role_change")
    scene.audited.seal()
    assert scene.whole()["verdict"] == "true"
    clock.set_offset(LATER, test_mode=True)


def pretended(scene: Scene, name: str, key: Ed25519PrivateKey, site: str | None) -> None:
    """A release that somebody signed with their own key, written by the application's login as if they might at that site."""
    signature, given = scene.signature(name, key)
    signer = replace(scene.people.actor(name), grants=frozenset({RoleGrant(Role.QUALITY, site)}))
    everywhere = replace(signer, grants=frozenset({RoleGrant(Role.QUALITY, None)}))
    act = replace(scene.people.act(name), at=clock.now(), actor=everywhere)
    scene._release(act, signature, replace(given, signer=signer))


def test_a_signature_of_a_site_that_has_nothing_to_do_with_the_thing_changes_the_verdict(scene: Scene) -> None:
    key = scene.private_key("quade")
    of_one_site(scene, "quade", "NORTH")
    pretended(scene, "quade", key, "NORTH")

    for verdict in (scene.whole(), scene.part()):
        assert (verdict["verdict"], verdict["exit_code"]) == ("true_but_for_sites", 4), verdict
        assert len(verdict["signatures"]["permitted_elsewhere"]) == 1
        assert "BUT FOR WHO MIGHT SIGN WHERE: who signed 1 entries" in in_words(verdict)


@pytest.mark.parametrize(("said", "why"), [("LAB", "at LAB"), (None, "everywhere")])
def test_who_signs_as_of_a_site_where_they_hold_no_such_role_signs_nothing(scene: Scene, said: str | None, why: str) -> None:
    key = scene.private_key("quade")
    of_one_site(scene, "quade", "NORTH")
    pretended(scene, "quade", key, said)

    assert scene.untrue() == f"{scene.people.codes['quade']} held no role then that includes quality:decide {why}"


def test_quality_of_the_site_that_keeps_a_thing_signs_while_it_is_at_another(scene: Scene) -> None:
    key = scene.private_key("quade")
    of_one_site(scene, "quade", "LAB")
    anybody = scene.audited.act()

    def away(session: Session) -> str:
        collected = make_specimen(session, anybody, home_site="LAB")
        record(session, anybody, [Move(collected, Received(site="NORTH"), site="NORTH")], NOW)
        return collected.code

    scene.code = scene.people.bank.write(away)
    signature, given = scene.signature("quade", key)
    act = replace(scene.people.act("quade"), at=clock.now())
    scene._release(act, signature, replace(given, signer=act.actor))

    (signed_entry,) = entries(scene, "specimen.quality_decided")
    assert (signed_entry["site"], signed_entry["signatures"][0]["stood_at"]) == ("NORTH", "LAB")
    for verdict in (scene.whole(), scene.part()):
        assert (verdict["verdict"], verdict["exit_code"]) == ("true", 0), verdict


def test_an_act_of_two_people_bears_both_signatures(scene: Scene) -> None:
    people = scene.people
    made = people.clients["adam"].post("/users", json={"username": "nina", "printed_name": "Nina"}).json()["code"]
    grant = {"role": "lab_tech", "site": "LAB"}
    done = by_two(people.clients["adam"], people.clients["quade"], f"/users/{made}/roles", grant, "role_change")
    people.codes["nina"] = made
    people.enrol("nina", drawn(people.clients["adam"], people.clients["quade"], done))
    scene.audited.seal()

    first, last = entries(scene, "user.role_granted")[-1]["signatures"]
    assert [one["user"] for one in (first, last)] == [people.codes["adam"], people.codes["quade"]]
    assert (first["proposal"]["act"], first["proposal"]["subject"], last["proposal"]) == ("user.grant_role", made, None)
    assert scene.whole()["verdict"] == "true"
    assert scene.whole()["signatures"]["by_key"] == 2, "the role, and the enrolment that came with it"


def test_what_was_proposed_falls_when_its_first_signers_login_may_have_changed_hands_meanwhile(scene: Scene) -> None:
    """What is recorded stays true; the proposal is made again, by whoever the login belongs to now."""
    people = scene.people
    path, body = f"/users/{people.codes['tess']}/roles", {"role": "auditor", "site": None}
    adam, quade = people.clients["adam"], people.clients["quade"]
    half = adam.post(path, json=signed(adam, "role_change", path, body)).json()
    system = Act.system(people.bank.bank, path="test")
    code = one_time.new_code()
    second = Proven(people.codes["quinn"], False, *scene.proved("quinn"))
    people.bank.write(lambda s: reset_from_console(s, system, username="adam", one_time_code=code, second=second))
    quinn = people.clients["quinn"]
    slip = quinn.get(f"/users/{people.codes['adam']}").json()["slip"]
    people.enrol("adam", f"{code.split(' ')[0]} {half_of(quinn, slip)}")
    clock.set_offset(LATER, test_mode=True)
    quade = people.sign_in("quade", PASSWORD)
    whole = body | {"pending_act": half["pending_act"]}
    refused = quade.post(path, json=signed(quade, "role_change", path, whole))
    assert (refused.status_code, refused.json()["code"]) == (409, "first_signature_gone")
    scene.audited.seal()

    assert scene.whole()["verdict"] == "true", scene.whole()


def test_a_first_signature_that_somebody_wrote_into_the_table_is_completed_by_nobody(scene: Scene) -> None:
    """The application's login may insert a proposal "by adam": without a signature of his, or with one for another act."""
    people = scene.people
    path, body = f"/users/{people.codes['tess']}/roles", {"role": "auditor", "site": None}
    adam, quade = people.clients["adam"], people.clients["quade"]
    given = adam.post(path, json=signed(adam, "role_change", path, body)).json()["pending_act"]
    other = {"role": "quality", "site": None}
    copied = (
        "INSERT INTO pending_act (id, act, subject, body, meaning, needs, site_code, proposed_by, proposed_at, first_signature,"
        " first_signed, expires_at) SELECT :new, act, subject, CAST(:body AS jsonb), meaning, needs, site_code, proposed_by,"
        " proposed_at, first_signature, {signed}, expires_at FROM pending_act WHERE id = :given"
    )
    keyless = 'first_signed || \'{"key":null,"once":null,"by_key":null,"over":null}\''
    strange = "jsonb_set(first_signed, '{by_key}', to_jsonb(repeat('ab', 64)))"
    unlike = "jsonb_set(first_signed, '{proposal,body_sha256}', to_jsonb(repeat('ab', 32)))"
    for said, signature in ((other, "first_signed"), (other, unlike), (body, keyless), (body, strange)):
        new = uuid4()
        values = {"new": new, "given": given, "body": json.dumps(said)}
        statement = text(copied.format(signed=signature).replace(":null", "\\:null").replace(':"', '\\:"'))
        people.bank.write(partial(Session.execute, statement=statement, params=values))
        whole = said | {"pending_act": str(new)}
        answer = quade.post(path, json=signed(quade, "role_change", path, whole))
        assert (answer.status_code, answer.json()["code"]) == (409, "first_signature_gone"), (said, signature, answer.text)
    whole = body | {"pending_act": given}
    assert quade.post(path, json=signed(quade, "role_change", path, whole)).json()["status"] == "done"


def test_a_login_that_nobody_enrolled_signs_nothing_while_others_sign_by_key(scene: Scene) -> None:
    scene.people.bank.write(lambda s: s.execute(text("UPDATE app_user SET active = true WHERE username = 'quality'")))
    body = {"password": seed.PASSWORD, "meaning": "approved", "act_hash": "0" * 64}

    answer = scene.people.api.quality.post("/signatures", json=body)

    assert (answer.status_code, answer.json()["code"]) == (403, "no_personal_key")
    scene.people.codes["seeded"] = seed.USERS["quality"].code
    scene.released("seeded", any_id())
    assert "who had no personal key then, while the bank's people signed by key" in scene.whole()["why"]


def test_signatures_from_before_there_were_keys_are_true_and_named(api: Api, tmp_path: Path) -> None:
    audited = Audited(api.test_bank, tmp_path).live(1)
    body = {"scope_kind": "specimen", "scope_id": audited.codes[0], "kind": "quality", "reason": "looks_cloudy"}
    hold_id = api.lab_tech.post("/holds", json=body).json()["id"]
    path = f"/holds/{hold_id}/lift"
    lifted = api.quality.post(path, json=signed(api.quality, "hold_lifted", path, {"reason": "looked_again"}))
    assert lifted.status_code == 200, lifted.text
    audited.seal()

    verdict = audited.verdict()

    assert (verdict["verdict"], verdict["signatures"]["without_key"]) == ("true", 1)
    assert any("not signed by a personal key" in sentence for sentence in verdict["not_proven"])


def test_the_console_acts_with_the_signature_of_somebody_of_quality_and_not_alone(scene: Scene) -> None:
    people = scene.people
    console = Bank.open(people.bank.bank.settings)

    async def prove() -> Proven:
        try:
            return await prove_password(password_check_of(console), "quade", PASSWORD, Asking())
        finally:
            await console.dispose()

    second, grants = asyncio.run(prove()), [RoleGrant(Role.LAB_TECH, "LAB")]
    act = Act.system(people.bank.bank, path="cli/users/create")
    people.bank.write(lambda s: set_up_user(s, act, username="nora", printed_name="Nora", grants=grants, second=second))
    scene.audited.seal()

    verdict = scene.whole()
    assert verdict["verdict"] == "true", verdict
    assert verdict["signatures"]["by_key"] == 2, "the role, and the enrolment"
    assert len(verdict["signatures"]["by_the_bank_alone"]) == 2 * 4, "roles and enrolments of the first four"


def test_a_part_in_the_format_before_says_that_no_signature_was_checked(scene: Scene) -> None:
    scene.released("quinn", any_id())
    path = scene.audited.bundle(Wish(specimen=scene.code))
    relabelled = path.with_name("before.tar")
    relabelled.write_bytes(summed(path.read_bytes().replace(b"biobank-bundle/2", b"biobank-bundle/1", 1)))

    verdict = told(verify(str(relabelled), scene.audited.policy, Evidence()))

    assert (verdict["verdict"], verdict["signatures"]["unchecked"]) == ("true", 1)
    assert any(sentence.startswith("The signatures of 1 entries") for sentence in verdict["not_proven"])


def summed(bundle: bytes) -> bytes:
    """A bundle whose last member says again what is before it."""
    made, digest = io.BytesIO(), hashlib.sha256()
    with tarfile.open(fileobj=io.BytesIO(bundle)) as archive:
        for member in archive.getmembers():
            file = archive.extractfile(member)
            assert file is not None
            data = digest.hexdigest().encode() + b"\n" if member.name == "sums" else file.read()
            head = header_of(member.name, len(data))
            digest.update(head + data)
            made.write(head + data + bytes(-len(data) % 512))
    return made.getvalue() + bytes(1024)


def test_every_kind_that_names_signatures_says_what_its_signer_must_be_allowed() -> None:
    """Only one's own hands are confirmed without a permission."""
    naming = {row["kind"]: row["signed_with"] for row in rules.table if set(row["body"]) & set(SIGNATURES)}

    assert {kind for kind, needed in naming.items() if not needed} == {"user.hands_confirmed", "user.hands_disputed"}
    assert naming["donor.identity_changed"] == ["quality:decide"], "whoever registers proposes it"
    assert naming["user.password_reset"] == ["role:cosign"]


def test_several_processes_find_the_same(scene: Scene) -> None:
    scene.lifted()
    path = str(scene.audited.bundle())
    one, two = (verify(path, scene.audited.policy, Evidence(), jobs=jobs) for jobs in (1, 2))
    assert one == two

    scene.released("quinn", any_id())
    assert verify(str(scene.audited.bundle()), scene.audited.policy, Evidence(), jobs=2)["reason"] == "signature_of_person"


def test_the_database_alone_opens_no_key(scene: Scene) -> None:
    """What is stored of password and key holds neither half of what the password gives."""
    code = scene.people.codes["quinn"]
    row = scene.people.bank.write(
        lambda s: s.execute(
            text("SELECT password_hash, wrapped FROM app_user JOIN personal_key ON user_code = code WHERE code = :code"),
            {"code": code},
        ).one()
    )
    unlocks = verify_now(PASSWORD, row.password_hash).unlocks
    assert unlocks is not None

    for guess in (bytes(32), row.password_hash.encode(), row.password_hash.split("$")[5].encode()):
        with pytest.raises(personal_keys.NoPersonalKey):
            personal_keys.unwrap(bytes(row.wrapped), guess, code)
    with pytest.raises(personal_keys.NoPersonalKey):
        personal_keys.unwrap(bytes(row.wrapped), unlocks, scene.people.codes["quade"])
    assert personal_keys.unwrap(bytes(row.wrapped), unlocks, code)


def test_an_enrolment_that_waits_is_put_under_a_changed_secret(scene: Scene) -> None:
    code, before, fresh = scene.people.codes["tess"], scene.people.bank.bank.secret("second-factor"), b"n" * 32
    reset(scene, "tess")

    def waits(session: Session) -> bytes:
        return bytes(session.execute(text("SELECT enrolment FROM app_user WHERE code = :code"), {"code": code}).scalar_one())

    assert scene.people.bank.write(lambda s: personal_keys.wrap_enrolments_anew(s, (fresh, before))) == 1
    wrapped = scene.people.bank.write(waits)
    with pytest.raises(personal_keys.NoPersonalKey):
        personal_keys.unwrap(wrapped, before, code)
    pair = scene.people.bank.write(lambda s: personal_keys.take_enrolment(s, code, wrapped, (fresh, before)))
    opened = entries(scene, "user.enrolment_opened", sealed=False)[-1]
    assert personal_keys.public_of(pair).hex() == opened["body"]["enrolment"]


def entries(scene: Scene, kind: str, *, sealed: bool = True) -> list[dict[str, Any]]:
    """The entries of a kind, oldest first."""
    if not sealed:
        scene.audited.seal()
    from biobank.custody.entry import parse_entry

    rows = scene.audited.rows(f"SELECT entry FROM event JOIN leaf USING (leaf_hash) WHERE kind = '{kind}' ORDER BY log_index")
    return [parse_entry(bytes(row[0])) for row in rows]


def reset(scene: Scene, name: str) -> str:
    """Reset somebody's password by two people; return the one-time code."""
    people = scene.people
    done = by_two(people.clients["adam"], people.clients["quade"], f"/users/{people.codes[name]}/password-reset", {}, "approved")
    return drawn(people.clients["adam"], people.clients["quade"], done)
