"""The log over HTTP: checkpoints, proofs for every historical size, tiles and entries, and who may read which."""

import base64
from itertools import pairwise

import httpx
import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from scitt_cose.receipt import verify_receipt

from biobank.acts.act import Act
from biobank.auth.actor import SYSTEM
from biobank.transparency.checkpoint import Checkpoint, open_checkpoint
from biobank.transparency.note import Verifier
from biobank.transparency.proof import InclusionReceipt
from biobank.transparency.sealer import Sealer
from biobank.transparency.tiles import TileName, decode_bundle, tile_names
from biobank.transparency.tree import CompactRange, hash_leaf, verify_consistency, verify_inclusion
from tests.conftest import Api, TestBank
from tests.factories import make_received
from tests.sealing import log_of, seal
from tests.shipping.stories import tubes
from tests.transparency.conftest import record


def fill(bank: TestBank, *batches: int) -> list[bytes]:
    """Record and seal batches of events; return the leaf hashes in log order."""
    hashes: list[bytes] = []
    for size in batches:
        with psycopg.connect(bank.dsn("app"), autocommit=True) as connection:
            hashes += record(connection, size)
        seal(bank)
    return hashes


def root(leaves: list[bytes]) -> bytes:
    compact = CompactRange()
    compact.extend(leaves)
    return compact.root()


def key(bank: TestBank) -> Verifier:
    return Verifier.from_vkey((bank.bank.settings.secrets / "log.vkey").read_text())


def checkpoint(api: Api, **parameters: str) -> Checkpoint:
    answer = api.anonymous.get("/log/checkpoint", params=parameters)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    return open_checkpoint(answer.text, "bank.example/custody", [key(api.test_bank)])


def test_an_acknowledged_event_becomes_a_receipt_that_verifies_offline(api: Api) -> None:
    act = Act.of(SYSTEM, api.test_bank.bank, path="test")
    code = api.test_bank.write(lambda s: make_received(s, act)).code
    event = {
        "kind": "specimen.inspected",
        "expected_seq": 2,
        "container_intact": True,
        "label_legible": True,
        "contents_as_expected": True,
    }
    answer = api.lab_tech.post(f"/specimens/{code}/events", json=event)
    assert answer.status_code == 201, answer.text
    leaf = answer.json()["events"][-1]["leaf_hash"]

    waiting = api.anonymous.get(f"/log/proofs/{leaf}")
    seal(api.test_bank)
    proof = api.anonymous.get(f"/log/proofs/{leaf}").json()
    text = api.anonymous.get(f"/log/proofs/{leaf}", headers={"Accept": "text/plain"})

    assert (waiting.status_code, waiting.json()["code"]) == (404, "not_sealed_yet")
    receipt = InclusionReceipt.from_text(text.text)
    assert receipt.verify(bytes.fromhex(leaf), "bank.example/custody", [key(api.test_bank)]) == checkpoint(api)
    assert (proof["receipt"], proof["index"], proof["size"]) == (text.text, receipt.index, checkpoint(api).size)


def test_the_receipt_as_cose_is_accepted_by_a_verifier_of_others(api: Api) -> None:
    code = tubes(api, 1)[0]
    (event, *_) = api.auditor.get(f"/specimens/{code}/custody").json()["items"]
    address = f"/log/proofs/{event['leaf_hash']}"
    cose = {"Accept": "application/cose"}
    waiting = api.anonymous.get(address, headers=cose)
    seal(api.test_bank)
    leaf = bytes.fromhex(event["leaf_hash"])
    entry_of = "SELECT entry FROM event WHERE leaf_hash = %s"
    written = bytes(api.test_bank.write(lambda s: s.connection().exec_driver_sql(entry_of, (leaf,)).scalar_one()))

    answer = api.anonymous.get(address, headers=cose)
    size = api.anonymous.get(address).json()["size"]
    signer = key(api.test_bank)
    public = Ed25519PublicKey.from_public_bytes(signer.public_key)
    pem = public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    of_key = {"key": signer.key_id.hex()}

    assert (waiting.status_code, waiting.json()["code"]) == (404, "not_sealed_yet")
    assert answer.headers["content-type"] == 'application/cose; cose-type="cose-sign1"'
    found = verify_receipt(answer.content, leaf_entry_hex=written.hex(), log_public_key_pem=pem)
    assert found.ok, found.errors
    assert api.anonymous.get(address, headers=cose, params=of_key | {"size": size}).content == answer.content
    assert api.anonymous.get(address, headers=cose, params={"key": "00000000"}).json()["code"] == "not_found"
    fewer = api.anonymous.get(address, headers=cose, params={"size": size - 1})
    assert (fewer.status_code, fewer.json()["code"]) == (404, "no_checkpoint_of_this_size")


def test_a_proof_exists_for_every_leaf_at_every_historical_size(api: Api) -> None:
    """Sizes around the edges of tiles, most of which were never a checkpoint; a partial tile of an old size is long full."""
    hashes = fill(api.test_bank, 3, 254, 300)
    total = len(hashes)
    for size in (1, 2, 3, 255, 256, 257, 300, 511, 512, 513, total):
        for index in {0, min(1, size - 1), size // 2, size - 1, min(256, size - 1)}:
            proof = api.anonymous.get(f"/log/proofs/{hashes[index].hex()}", params={"size": size}).json()
            path = [base64.b64decode(node) for node in proof["path"]]
            verify_inclusion(index, size, hashes[index], path, root(hashes[:size]))
            assert base64.b64decode(proof["root"]) == root(hashes[:size])
            assert (proof["receipt"] is not None) == (size in (3, 257, 513, 557))


def test_any_two_sizes_are_shown_to_be_consistent(api: Api) -> None:
    hashes = fill(api.test_bank, 7, 300, 250)
    sizes = (1, 2, 6, 7, 8, 255, 256, 257, 307, 512, len(hashes))
    for old, new in [*pairwise(sizes), (1, len(hashes)), (7, 7)]:
        answer = api.anonymous.get("/log/consistency", params={"from": old, "to": new}).json()
        proof = [base64.b64decode(node) for node in answer["proof"]]
        verify_consistency(old, new, root(hashes[:old]), root(hashes[:new]), proof)
        assert (answer["from"], answer["to"]) == (old, new)
    assert api.anonymous.get("/log/consistency", params={"from": 7}).json()["to"] == len(hashes)


def test_the_tiles_rebuild_the_published_root_and_the_entries_hash_to_the_leaves(api: Api) -> None:
    hashes = fill(api.test_bank, 100, 500)
    published = checkpoint(api)
    for name in tile_names(published.size):
        answer = api.auditor.get(f"/log/{name.path()}")
        assert answer.status_code == 200
        assert len(answer.content) == 32 * name.width
        assert answer.headers["cache-control"] == "private, max-age=31536000, immutable"
        if name.level == 0:
            assert answer.content == b"".join(hashes[name.n * 256 : name.n * 256 + name.width])
    bundles = [TileName(None, 0), TileName(None, 1), TileName(None, 2, 88)]
    entries = [entry for name in bundles for entry in decode_bundle(api.auditor.get(f"/log/{name.path()}").content)]
    assert [hash_leaf(entry) for entry in entries] == hashes
    assert root(hashes) == published.root
    assert api.auditor.get("/log/tile/0/000.p/100").content == b"".join(hashes[:100])


def test_nothing_is_shown_that_is_not_published(api: Api) -> None:
    """A head that is sealed while the register's disk is full is nobody's business yet."""
    bank = api.test_bank
    fill(bank, 4)
    with psycopg.connect(bank.dsn("app"), autocommit=True) as connection:
        (late,) = record(connection, 1)
    log = log_of(bank)
    register = bank.bank.settings.register_file
    with psycopg.connect(bank.dsn("sealer"), autocommit=True) as connection:
        sealer = Sealer(connection, log)
        sealer.begin()
        register.with_name("checkpoint.new").mkdir()
        with pytest.raises(OSError):
            sealer.step()

    assert checkpoint(api).size == 4
    assert api.anonymous.get(f"/log/proofs/{late.hex()}").json()["code"] == "not_sealed_yet"
    assert api.anonymous.get("/log/consistency", params={"from": 4, "to": 5}).status_code == 404
    assert api.auditor.get("/log/tile/0/000.p/5").status_code == 404
    register.with_name("checkpoint.new").rmdir()
    seal(bank)
    assert api.anonymous.get(f"/log/proofs/{late.hex()}").status_code == 200


def test_only_the_one_spelling_of_a_published_tile_exists(api: Api) -> None:
    fill(api.test_bank, 5)
    assert api.auditor.get("/log/tile/0/000.p/5").status_code == 200
    wrong = ["0/000", "0/0", "0/000.p/256", "0/000.p/0", "8/000", "0/x000/001", "0/999", "entries/001", "entries/../0/000"]
    for path in [*wrong, "-1/000", "0/%00"]:
        assert api.auditor.get(f"/log/tile/{path}").status_code == 404, path


def test_checkpoints_and_proofs_are_for_everybody_and_entries_for_auditors_of_the_whole_bank(api: Api) -> None:
    (leaf,) = fill(api.test_bank, 1)
    for path in ("/log/checkpoint", f"/log/proofs/{leaf.hex()}", "/log/consistency?from=1"):
        assert api.anonymous.get(path).status_code == 200
    tile = "/log/tile/entries/000.p/1"
    assert api.anonymous.get(tile).status_code == 401
    for role in ("lab_tech", "clinician", "clinic_staff", "admin"):
        assert getattr(api, role).get(tile).status_code == 403
    assert {api.auditor.get(tile).status_code, api.quality.get(tile).status_code} == {200}
    with psycopg.connect(api.test_bank.dsn()) as connection:
        connection.execute("UPDATE user_role SET site_code = 'LAB' WHERE role = 'auditor' AND site_code IS NULL")
    refused = api.auditor.get(tile)
    assert (refused.status_code, refused.json()["code"]) == (403, "not_permitted")


def test_a_checkpoint_of_a_size_is_found_and_rubbish_is_refused(api: Api) -> None:
    assert api.anonymous.get("/log/checkpoint").status_code == 404
    fill(api.test_bank, 2, 3)
    assert checkpoint(api, size="2").size == 2
    assert checkpoint(api).size == 5
    assert api.anonymous.get("/log/checkpoint", params={"size": 3}).status_code == 404
    assert api.anonymous.get("/log/checkpoint", params={"size": -1}).status_code == 422
    assert api.anonymous.get("/log/consistency", params={"from": 0}).status_code == 422
    assert api.anonymous.get("/log/consistency", params={"from": 6}).status_code == 404
    assert api.anonymous.get("/log/proofs/xyz").status_code == 422
    unknown = api.anonymous.get(f"/log/proofs/{'0' * 64}")
    assert (unknown.status_code, unknown.json()["code"]) == (404, "not_found")


def test_a_deleted_event_makes_its_bundle_a_loud_error_and_not_a_shorter_one(api: Api) -> None:
    bank = api.test_bank
    hashes = fill(bank, 3)
    with psycopg.connect(bank.dsn()) as connection:
        connection.execute("ALTER TABLE event DISABLE TRIGGER ALL")
        connection.execute("DELETE FROM event WHERE leaf_hash = %s", (hashes[1],))
    answer = api.auditor.get("/log/tile/entries/000.p/3")
    assert (answer.status_code, answer.json()["code"]) == (500, "log_damaged")


def test_a_proof_reads_a_bounded_number_of_rows(api: Api) -> None:
    """No question of the log scans: at any size it is a handful of statements by primary key."""
    hashes = fill(api.test_bank, 600)
    with psycopg.connect(api.test_bank.dsn()) as connection:
        plans = [
            connection.execute("EXPLAIN SELECT log_index FROM leaf WHERE leaf_hash = %s", (hashes[5],)).fetchall(),
            connection.execute("EXPLAIN SELECT hashes FROM tile WHERE level = 0 AND n = 1").fetchall(),
        ]
    assert all("Index" in str(plan) for plan in plans)
    assert httpx.get(f"{api.url}/api/v1/log/proofs/{hashes[5].hex()}").status_code == 200
