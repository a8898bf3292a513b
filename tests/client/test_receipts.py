"""Receipts as a device keeps them, against a real bank that behaves and banks that do not."""

from datetime import timedelta
from pathlib import Path

import psycopg
import pytest
from typer.testing import CliRunner, Result

from biobank.acts.act import Act
from biobank.auth.actor import SYSTEM
from biobank.cli import app
from biobank.client.client import BankClient
from biobank.client.receipts import BadReceipt, ReceiptStore, TwoHistories
from biobank.foundation import clock
from biobank.transparency.checkpoint import Checkpoint
from biobank.transparency.keys import load_log_signers
from biobank.transparency.note import Signer
from biobank.transparency.verify import Policy, open_checkpoint
from tests import seed
from tests.conftest import Api
from tests.factories import make_specimen
from tests.sealing import seal

ORIGIN = "bank.example/custody"


def policy_text(api: Api) -> str:
    folder = api.test_bank.bank.settings.secrets
    log, receipts = ((folder / f"{name}.vkey").read_text().strip() for name in ("log", "receipt"))
    return f"origin {ORIGIN}\nlog {log}\nreceipts {receipts}\nquorum none\n"


@pytest.fixture
def store(api: Api, tmp_path: Path) -> ReceiptStore:
    return ReceiptStore(tmp_path / "receipts.db", Policy.read(policy_text(api)))


def client(api: Api, store: ReceiptStore) -> BankClient:
    made = BankClient(api.url, receipt_store=store, sleep=lambda _s: None)
    made.sign_in("lab_tech", seed.PASSWORD)
    return made


def receive(api: Api, bank: BankClient) -> str:
    """Receive a new specimen through the client; return the leaf hash of the event."""
    act = Act.of(SYSTEM, api.test_bank.bank, path="test")
    code = api.test_bank.write(lambda s: make_specimen(s, act).code)
    answer = bank.record_event(code, {"kind": "specimen.received", "expected_seq": 1, "site": "LAB"})
    return str(answer["events"][-1]["leaf_hash"])


def check(tmp_path: Path, api: Api, text: str, *words: str) -> Result:
    (tmp_path / "receipt").write_text(text)
    (tmp_path / "policy").write_text(policy_text(api))
    return CliRunner().invoke(app, ["receipt", "check", str(tmp_path / "receipt"), "--policy", str(tmp_path / "policy"), *words])


def said(result: Result) -> str:
    return " ".join((result.stdout + result.stderr).split())


def test_an_acknowledgement_is_kept_and_becomes_an_inclusion_receipt(api: Api, store: ReceiptStore) -> None:
    with client(api, store) as bank:
        receive(api, bank)
        receive(api, bank)
        seal(api.test_bank)
        assert bank.collect_receipts() == []
        receive(api, bank)
        assert (store.count(), len(store.owed())) == ((3, 2), 1)
        assert bank.collect_receipts() == []  # not yet overdue, so nobody is accused
        seal(api.test_bank)
        assert bank.collect_receipts() == []
    newest = store.newest_seen()
    assert newest is not None
    assert (store.count(), store.owed(), store.evidence(), newest.size) == ((3, 3), [], [], 6)


def test_an_event_deleted_before_it_was_sealed_is_evidence_and_the_verb_says_so(
    api: Api, store: ReceiptStore, tmp_path: Path
) -> None:
    """Attack 3: the administrator deletes a pending event. Nothing in the database shows it; the device does."""
    with client(api, store) as bank:
        leaf = receive(api, bank)
        receive(api, bank)
        with psycopg.connect(api.test_bank.dsn()) as connection:
            connection.execute("DELETE FROM pending WHERE leaf_hash = %s", (bytes.fromhex(leaf),))
        seal(api.test_bank)
        assert bank.collect_receipts() == []
        early = check(tmp_path, api, bank.receipts[0], "--bank", api.url)
        clock.set_offset(timedelta(hours=2), test_mode=True)
        (missing,) = bank.collect_receipts()
        late = check(tmp_path, api, bank.receipts[0], "--bank", api.url, "--evidence", str(tmp_path / "evidence"))
        fine = check(tmp_path, api, bank.receipts[1], "--bank", api.url)

    assert missing.leaf_hash.hex() == leaf
    ((what, acknowledgement, checkpoint),) = store.evidence()
    assert (what, acknowledgement) == ("missing", bank.receipts[0])
    assert open_checkpoint(checkpoint.encode(), store.policy, 0).size == 3
    assert (early.exit_code, late.exit_code, fine.exit_code) == (1, 5, 0)
    assert "has not passed yet" in said(early)
    assert "EVIDENCE" in said(late)
    assert (tmp_path / "evidence").read_text().startswith(bank.receipts[0])
    assert "entry" in said(fine)


def test_a_second_history_shown_to_this_device_is_kept_as_evidence(api: Api, store: ReceiptStore) -> None:
    """Attack 17: the bank signs another tree for us than the one it showed before."""
    (signer,) = load_log_signers(api.test_bank.bank.settings.secrets, ORIGIN)
    with client(api, store) as bank:
        receive(api, bank)
        seal(api.test_bank)
        bank.collect_receipts()
        seen = store.newest_seen()
        assert seen is not None
        other = open_checkpoint(Checkpoint(ORIGIN, seen.size, bytes(32)).sign([signer]).encode(), store.policy, 0)
        with pytest.raises(TwoHistories):
            store.see(other, [])
        larger = open_checkpoint(Checkpoint(ORIGIN, seen.size + 3, bytes(32)).sign([signer]).encode(), store.policy, 0)
        with pytest.raises(TwoHistories):
            store.see(larger, [bytes(32)])
    assert [(what, first) for what, first, _ in store.evidence()] == [("two histories", seen.note)] * 2
    assert store.newest_seen() == seen


def test_a_bank_that_was_set_back_is_noticed_by_a_device_that_saw_more(api: Api, store: ReceiptStore) -> None:
    (signer,) = load_log_signers(api.test_bank.bank.settings.secrets, ORIGIN)
    with client(api, store) as bank:
        store.see(open_checkpoint(Checkpoint(ORIGIN, 500, bytes(32)).sign([signer]).encode(), store.policy, 0), [])
        receive(api, bank)
        seal(api.test_bank)
        with pytest.raises(BadReceipt, match="set back"):
            bank.collect_receipts()
    assert [what for what, _, _ in store.evidence()] == ["set back"]


def test_what_is_not_signed_by_a_pinned_key_is_refused(api: Api, store: ReceiptStore, tmp_path: Path) -> None:
    stranger = Signer(f"{ORIGIN}/receipts", bytes(32)).verifier.to_vkey()
    old = Policy.read(policy_text(api)).receipts[0].text
    elsewhere = ReceiptStore(tmp_path / "other.db", Policy.read(policy_text(api).replace(old, stranger)))
    with client(api, elsewhere) as bank, pytest.raises(BadReceipt, match="not genuine"):
        receive(api, bank)
    assert elsewhere.count() == (0, 0)


def test_an_altered_acknowledgement_is_refused_by_the_verb(api: Api, store: ReceiptStore, tmp_path: Path) -> None:
    with client(api, store) as bank:
        receive(api, bank)
        text = bank.receipts[0]
    assert check(tmp_path, api, text).exit_code == 0
    for altered in (
        text.replace(" 2 ", " 3 "),
        text[:-6] + ("A" if text[-6] != "A" else "B") + text[-5:],
        text.replace(ORIGIN, "other.example/log"),
    ):
        assert altered != text
        assert check(tmp_path, api, altered).exit_code == 1


def test_the_verb_checks_an_inclusion_receipt_offline(api: Api, store: ReceiptStore, tmp_path: Path) -> None:
    with client(api, store) as bank:
        leaf = receive(api, bank)
        seal(api.test_bank)
        text = bank.get(f"/log/proofs/{leaf}")["receipt"]
    assert check(tmp_path, api, text, "--leaf", leaf).exit_code == 0
    assert check(tmp_path, api, text, "--leaf", "0" * 64).exit_code == 1
    assert check(tmp_path, api, text).exit_code == 2
    assert check(tmp_path, api, text.replace("index 1", "index 0"), "--leaf", leaf).exit_code == 1
    assert check(tmp_path, api, "rubbish").exit_code == 1
    (tmp_path / "nothing").mkdir()
    assert CliRunner().invoke(app, ["receipt", "check", str(tmp_path / "nothing"), "--policy", "x"]).exit_code == 1


def test_a_store_survives_being_opened_twice_and_answers_that_leave_events_out(api: Api, store: ReceiptStore) -> None:
    with client(api, store) as bank:
        receive(api, bank)
    again = ReceiptStore(store._path, store.policy)
    assert [owed.leaf_hash for owed in again.owed()] == [owed.leaf_hash for owed in store.owed()]
    with pytest.raises(BadReceipt, match="leaves out"):
        again.keep_acknowledgement(bank.receipts[0], ["0" * 64])
