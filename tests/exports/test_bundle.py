"""Bundles over HTTP: who may take which, what is recorded of it, and what the verifier says of them."""

from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from biobank.cli import app
from biobank.custody.rulebook import adopt_rules_now
from biobank.transparency.verify import Evidence, Policy, in_words, verify
from tests.conftest import Api, Client
from tests.donors.stories import band, consent, erase, erased_by_two, register
from tests.transparency.audited import Audited


@pytest.fixture
def audited(api: Api, tmp_path: Path) -> Audited:
    """The bank behind `api`, with two specimens sealed."""
    return Audited(api.test_bank, tmp_path).live()


def taken(client: Client, audited: Audited, **params: Any) -> dict[str, Any]:
    """Take a bundle and verify it under the bank's keys."""
    answer = client.get("/custody-log/bundle", params=params)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/x-tar"
    path = audited.folder / "taken.tar"
    path.write_bytes(answer.content)
    return verify(str(path), audited.policy, Evidence())


def test_the_whole_log_and_one_specimen_and_one_donor_prove_themselves(api: Api, audited: Audited) -> None:
    donor = register(api.clinician)
    audited.live(1, donor=donor)

    whole = taken(api.auditor, audited)
    specimen = taken(api.auditor, audited, specimen=audited.codes[0].lower())
    of_donor = taken(api.auditor, audited, donor=donor)

    assert [v["verdict"] for v in (whole, specimen, of_donor)] == ["true"] * 3, (whole, specimen, of_donor)
    assert (whole["entries"], specimen["entries"], of_donor["entries"]) == (8, 3, 4)
    assert specimen["scope"] == {"kind": "specimen", "id": audited.codes[0]}
    assert of_donor["streams"]["specimen"] == 1


def test_taking_a_bundle_is_an_event_with_its_size_and_hash(api: Api, audited: Audited) -> None:
    answer = api.auditor.get("/custody-log/bundle", params={"specimen": audited.codes[0]})

    started, finished = (
        api.auditor.get("/custody-log", params={"kind": f"system.export_{which}"}).json()["items"][-1]["body"]
        for which in ("started", "finished")
    )
    assert (started["format"], started["filters"]) == ("bundle", {"specimen": audited.codes[0]})
    assert (finished["complete"], finished["rows"], finished["size_bytes"]) == (True, 3, len(answer.content))
    assert answer.headers["x-export-id"] == finished["export"]


@pytest.mark.parametrize("user", ["lab_tech", "clinician", "admin"])
def test_bundles_are_for_those_who_may_export_the_log_and_the_attempt_is_kept(api: Api, audited: Audited, user: str) -> None:
    answer = getattr(api, user).get("/custody-log/bundle")

    assert (answer.status_code, answer.json()["code"]) == (403, "not_permitted")
    assert any(a["code"] == "not_permitted" for a in api.auditor.get("/attempts").json()["items"])


@pytest.mark.parametrize(
    ("params", "status"),
    [
        ({"specimen": "AD26-0000000"}, 404),
        ({"donor": "DN-0000000"}, 404),
        ({"specimen": "AD26-0000000", "donor": "DN-0000000"}, 422),
        ({"size": 0}, 422),
        ({"size": 4}, 409),
        ({"known_size": [1] * 17}, 422),
        ({"specimen": "' OR 1=1"}, 422),
    ],
)
def test_rubbish_is_refused_before_the_first_byte(api: Api, audited: Audited, params: dict[str, Any], status: int) -> None:
    assert api.auditor.get("/custody-log/bundle", params=params).status_code == status


def test_a_bank_that_has_sealed_nothing_says_so(api: Api) -> None:
    answer = api.auditor.get("/custody-log/bundle")

    assert (answer.status_code, answer.json()["code"]) == (409, "nothing_sealed")
    assert api.auditor.get("/custody-log", params={"kind": "system.export_started"}).json()["items"] == [], "no copy was begun"


def test_a_bundle_of_an_older_tree_is_that_trees_and_a_part_proves_consistency(api: Api, audited: Audited) -> None:
    older = audited.checkpoint()
    audited.remark(audited.codes[0])
    audited.seal()

    again = taken(api.auditor, audited, size=5)
    api.auditor.get("/custody-log/bundle", params={"specimen": audited.codes[0], "known_size": 5})
    part = verify(str(_saved(api, audited, specimen=audited.codes[0], known_size=5)), audited.policy, Evidence([older]))

    assert again["size"] == 5
    assert again["custody"]["rows"] == again["custody"]["agree"] > 0, "the row of a specimen that moved on is the older one"
    assert part["your_checkpoints"] == [{"size": 5, "agrees": True}]


def _saved(api: Api, audited: Audited, **params: Any) -> Path:
    path = audited.folder / "part.tar"
    path.write_bytes(api.auditor.get("/custody-log/bundle", params=params).content)
    return path


def test_after_an_erasure_every_proof_is_valid_and_the_bundle_says_who_redacted_and_why(api: Api, audited: Audited) -> None:
    donor = register(api.clinician)
    consent(api.clinician, donor, "representative", representative="Zebedee Quillfeather")
    band(api, donor)
    audited.seal()
    before = audited.checkpoint()
    receipts = audited.rows("SELECT count(*) FROM leaf")[0][0]
    erased_by_two(api, donor)
    audited.seal()

    answer = api.auditor.get("/custody-log/bundle")
    (audited.folder / "whole.tar").write_bytes(answer.content)
    whole = verify(str(audited.folder / "whole.tar"), audited.policy, Evidence([before]))
    part = taken(api.auditor, audited, donor=donor)

    assert (whole["verdict"], part["verdict"]) == ("true", "true"), (whole, part)
    assert whole["your_checkpoints"] == [{"size": receipts, "agrees": True}]
    for verdict in (whole, part):
        (redaction,) = verdict["redactions"]
        assert (redaction["subject"], redaction["kind"], redaction["ground"]) == (donor, "donor.erased", "asked_by_donor")
        assert redaction["redacted"] >= 3
        assert redaction["by"] != redaction["first_by"]
        assert f"documents about {donor}" in in_words(verdict)
    assert b"Quillfeather" not in answer.content
    assert "Ørsted".encode() not in answer.content


def test_contact_that_goes_while_the_rest_stays_is_redacted_by_that_act(api: Api, audited: Audited) -> None:
    mary = register(api.clinician)
    first = api.clinician.patch(f"/donors/{mary}", json={"contact": {"phone": "+44 1"}, "reason": "other"})
    assert first.status_code == 200, first.text
    audited.seal()

    verdict = taken(api.auditor, audited)

    assert [(r["kind"], r["redacted"]) for r in verdict["redactions"]] == [("donor.contact_changed", 1)]
    assert erase(api.quality, mary).status_code == 200


def test_a_specimen_bundle_cites_the_erasure_of_its_donor_without_the_donors_record(api: Api, audited: Audited) -> None:
    from biobank.custody.events import Annotated
    from biobank.custody.recording import NOW, Circumstances, Move, record
    from biobank.custody.snapshots import load
    from biobank.donors import events as donor_events
    from biobank.donors.recording import record_on_donor

    code = audited.codes[0]
    donor = audited.rows(f"SELECT donor_code FROM specimen WHERE code = '{code}'")[0][0]

    def work(session: Any) -> None:
        specimen = load(session, [code], lock=True)[code]
        record(session, audited.act(), [Move(specimen, Annotated(topic="other"))], Circumstances(comment="asked after"))
        erased = donor_events.Erased(documents=1, reason="asked_by_donor", first_by="US-0000000", signatures=("a", "b"))
        record_on_donor(session, audited.act(), donor, [erased], NOW, site=None)

    audited.bank.write(work)
    audited.attack(f"DELETE FROM vault_document WHERE subject = '{donor}'")
    audited.seal()

    verdict = taken(api.auditor, audited, specimen=code)

    assert verdict["verdict"] == "true", verdict
    assert "donor" not in verdict["streams"]
    assert [(r["subject"], r["kind"], r["redacted"]) for r in verdict["redactions"]] == [(donor, "donor.erased", 1)]


def test_rules_are_adopted_once_however_often_a_bank_starts(api: Api, audited: Audited) -> None:
    assert not adopt_rules_now(audited.bank.bank)
    assert audited.rows("SELECT count(*) FROM event WHERE kind = 'system.rules_adopted'") == [(1,)]


def test_the_command_line_verifies_what_it_is_given(audited: Audited, tmp_path: Path) -> None:
    path = audited.bundle()

    answer = CliRunner().invoke(app, ["verify", str(path), "--quiet"])
    spoilt = tmp_path / "spoilt.tar"
    spoilt.write_bytes(path.read_bytes()[:-1])
    broken = CliRunner().invoke(app, ["verify", str(spoilt), "--json"])
    nothing = CliRunner().invoke(app, ["verify", str(tmp_path / "nothing")])

    assert (answer.exit_code, broken.exit_code, nothing.exit_code) == (3, 1, 2)
    assert "Proven:" in answer.output
    assert Policy.read("quorum none\n").quorum == "none"
