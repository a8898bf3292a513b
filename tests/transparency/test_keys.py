"""Key files: made once, private, never replaced, and bound to the log's origin."""

import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    KeySerializationEncryption,
    NoEncryption,
    PrivateFormat,
)

from biobank.transparency.keys import (
    KeyFileError,
    create_key_file,
    ensure_keys,
    load_log_signers,
    load_receipt_signer,
    load_signer,
)
from biobank.transparency.note import Signer, Verifier

ORIGIN = "bank.example/custody"


def write_private(path: Path, text: str, mode: int = 0o600) -> None:
    path.write_text(text)
    path.chmod(mode)


def test_missing_keys_are_made_private_and_stay_the_same(tmp_path: Path) -> None:
    folder = tmp_path / "secrets"
    ensure_keys(folder, ORIGIN)
    (log,), receipt = load_log_signers(folder, ORIGIN), load_receipt_signer(folder, ORIGIN)
    assert (log.name, receipt.name) == (ORIGIN, ORIGIN + "/receipts")
    assert log.verifier.public_key != receipt.verifier.public_key
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for name in ("log.skey", "receipt.skey"):
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600
    assert Verifier.from_vkey((folder / "log.vkey").read_text()) == log.verifier
    assert Verifier.from_vkey((folder / "receipt.vkey").read_text()) == receipt.verifier
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    ensure_keys(folder, ORIGIN)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before, "and nothing else is left behind"


def test_processes_that_race_to_make_the_keys_agree_on_them(tmp_path: Path) -> None:
    def start(_: int) -> str:
        ensure_keys(tmp_path, ORIGIN)
        return load_log_signers(tmp_path, ORIGIN)[0].to_skey()

    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(start, range(16)))) == 1


def test_the_logs_private_key_may_lie_in_a_folder_of_its_own(tmp_path: Path) -> None:
    web, sealer = tmp_path / "web", tmp_path / "sealer"
    ensure_keys(web, ORIGIN, sealer)
    ensure_keys(web, ORIGIN, sealer)

    assert sorted(path.name for path in web.iterdir()) == ["log.vkey", "receipt.skey", "receipt.vkey"]
    assert sorted(path.name for path in sealer.iterdir()) == ["log.skey", "log.vkey"]
    assert (web / "log.vkey").read_text() == (sealer / "log.vkey").read_text()


def test_a_lost_public_half_is_written_again(tmp_path: Path) -> None:
    ensure_keys(tmp_path, ORIGIN)
    (tmp_path / "log.vkey").unlink()
    ensure_keys(tmp_path, ORIGIN)
    assert Verifier.from_vkey((tmp_path / "log.vkey").read_text()) == load_log_signers(tmp_path, ORIGIN)[0].verifier


def test_a_key_is_never_overwritten(tmp_path: Path) -> None:
    path = tmp_path / "log.skey"
    first = create_key_file(path, ORIGIN)
    with pytest.raises(KeyFileError, match="never overwritten"):
        create_key_file(path, ORIGIN)
    assert load_signer(path, ORIGIN).to_skey() == first.to_skey()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["log.skey", "log.vkey"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_key_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    write_private(tmp_path / "log.skey", Signer.generate(ORIGIN).to_skey(), mode)
    with pytest.raises(KeyFileError, match="0600"):
        load_log_signers(tmp_path, ORIGIN)


def pem(key: Ed25519PrivateKey, encryption: KeySerializationEncryption | None = None) -> str:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption or NoEncryption()).decode()


def test_a_pem_key_serves_as_well(tmp_path: Path) -> None:
    key = Ed25519PrivateKey.generate()
    write_private(tmp_path / "log.skey", pem(key))
    (signer,) = load_log_signers(tmp_path, ORIGIN)
    assert signer.verifier == Verifier(ORIGIN, key.public_key().public_bytes_raw())


def test_what_is_not_a_usable_key_is_refused_without_being_quoted(tmp_path: Path) -> None:
    key = Ed25519PrivateKey.generate()
    elliptic = generate_private_key(SECP256R1()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    for text in (
        "",
        "nonsense secret",
        pem(key, BestAvailableEncryption(b"secret")),
        elliptic,
        pem(key)[:60],
        "\udcff",
    ):
        (tmp_path / "log.skey").write_bytes(text.encode(errors="surrogateescape"))
        (tmp_path / "log.skey").chmod(0o600)
        with pytest.raises(KeyFileError) as refused:
            load_log_signers(tmp_path, ORIGIN)
        assert "secret" not in str(refused.value)


def test_a_missing_key_is_named(tmp_path: Path) -> None:
    with pytest.raises(KeyFileError, match=r"log\.skey"):
        load_log_signers(tmp_path, ORIGIN)


def test_a_key_of_another_log_is_refused(tmp_path: Path) -> None:
    ensure_keys(tmp_path, "other.example")
    with pytest.raises(KeyFileError, match=r"other\.example"):
        load_log_signers(tmp_path, ORIGIN)
    with pytest.raises(KeyFileError):
        ensure_keys(tmp_path, ORIGIN)


def test_while_rotating_both_keys_sign(tmp_path: Path) -> None:
    ensure_keys(tmp_path, ORIGIN)
    create_key_file(tmp_path / "log.next.skey", ORIGIN)
    current, following = load_log_signers(tmp_path, ORIGIN)
    assert current.verifier != following.verifier
    (tmp_path / "log.next.skey").unlink()
    (tmp_path / "log.next.skey").hardlink_to(tmp_path / "log.skey")
    with pytest.raises(KeyFileError, match="needs a new one"):
        load_log_signers(tmp_path, ORIGIN)
