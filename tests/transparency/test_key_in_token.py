"""The log's key in a security module, on SoftHSM: made and taken, signing, away and back, changed; never given out."""

import os
import re
import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pkcs11
import psycopg
import pytest
from pkcs11 import Attribute, ObjectClass
from structlog.testing import capture_logs
from typer.testing import CliRunner, Result

from biobank.acts.bank import ensure_secrets
from biobank.cli import app
from biobank.exports.log_keys import policy_text
from biobank.foundation import clock
from biobank.transparency.attending import seal_and_attend
from biobank.transparency.cose import sign_root
from biobank.transparency.key_in_token import Place, TokenAway, TokenSigner, opened
from biobank.transparency.keys import KeyFileError, load_log_signers
from biobank.transparency.note import MalformedKey, Signer, Verifier, open_note, sign_note
from biobank.transparency.queries import seal_lag_s
from biobank.transparency.verify import Policy, open_checkpoint
from tests.conftest import TestBank
from tests.exports.test_log_keys import ORIGIN, environment, newest, queue, wait_until
from tests.sealing import log_of

MODULE = next(Path("/usr/lib").rglob("libsofthsm2.so"), Path("/usr/lib/softhsm/libsofthsm2.so"))
PIN = "73519"


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """A fresh token of SoftHSM, which `apt-get install softhsm2` brings and `.ci/run` installs."""
    assert shutil.which("softhsm2-util"), "these tests need SoftHSM: apt-get install softhsm2"
    tokens, configuration, pin = tmp_path / "tokens", tmp_path / "softhsm2.conf", tmp_path / "pin"
    tokens.mkdir()
    configuration.write_text(f"directories.tokendir = {tokens}\nobjectstore.backend = file\nlog.level = ERROR\n")
    pin.write_text(PIN + "\n")
    pin.chmod(0o600)
    monkeypatch.setenv("SOFTHSM2_CONF", str(configuration))
    words = ["softhsm2-util", "--init-token", "--free", "--label", "bank", "--pin", PIN, "--so-pin", "99999"]
    subprocess.run(words, check=True, capture_output=True)
    yield Place(MODULE, "bank", pin)
    shutil.rmtree(tokens, ignore_errors=True)


@pytest.fixture
def own(make_bank: Any, tmp_path: Path) -> TestBank:
    """A bank whose log has no key yet."""
    secrets, of_the_log = tmp_path / "secrets", tmp_path / "log-secrets"
    ensure_secrets(secrets, ORIGIN, tmp_path / "other")
    (secrets / "log.vkey").unlink()
    bank: TestBank = make_bank(secrets_dir=secrets, log_secrets_dir=of_the_log)
    return bank


def command(bank: TestBank, place: Place, *words: str) -> Result:
    where = {"pkcs11_module": place.module, "pkcs11_token": place.token, "pkcs11_pin_file": place.pin_file}
    env = environment(bank.bank.settings, owner_database_url=bank.dsn("owner"), **where)
    return CliRunner().invoke(app, list(words), env=env, catch_exceptions=False)


@pytest.fixture
def sealer(own: TestBank) -> Iterator[Any]:
    """Start sealers of the bank in threads; end them with the test."""
    ends: list[Any] = []

    def start() -> None:
        stop, log = threading.Event(), log_of(own)
        options = {"poll_seconds": 0.02, "allow_unsafe_database": True}
        thread = threading.Thread(target=lambda: seal_and_attend(own.dsn("sealer"), stop, log, [], **options))
        thread.start()
        ends.append((stop, thread))

    yield start
    for stop, thread in ends:
        stop.set()
        thread.join(timeout=60)
        assert not thread.is_alive()


def test_a_key_in_the_token_signs_notes_and_receipts_that_the_public_half_opens(place: Place, tmp_path: Path) -> None:
    signer = place.generate(ORIGIN)
    note = sign_note("a text\n", [signer])
    assert open_note(note, [signer.verifier]).text == "a text\n"
    assert note == sign_note("a text\n", [signer]), "Ed25519 is deterministic"
    assert len(sign_root(signer, ORIGIN, bytes(32))) == 64
    again = TokenSigner.from_text(signer.to_skey())
    assert again == signer
    assert PIN not in signer.to_skey()
    assert PIN not in repr(signer)
    private = next((tmp_path / "tokens").rglob("*.object")).parent
    assert signer.verifier.public_key in b"".join(f.read_bytes() for f in private.glob("*.object")), "the halves lie in the token"


def test_the_private_half_is_not_given_out(place: Place) -> None:
    signer = place.generate(ORIGIN)

    def shown(session: Any) -> tuple[bool, bool]:
        key = session.get_key(object_class=ObjectClass.PRIVATE_KEY, id=signer.key_id)
        with pytest.raises(pkcs11.exceptions.AttributeSensitive):
            key[Attribute.VALUE]
        return key[Attribute.SENSITIVE], key[Attribute.EXTRACTABLE]

    assert opened(place).ask(shown) == (True, False)


def test_a_new_bank_begins_with_its_key_in_the_token(own: TestBank, place: Place, sealer: Any) -> None:
    made = command(own, place, "keys", "token")
    assert made.exit_code == 0, made.stderr
    key = Verifier.from_vkey(made.stdout.split()[0])
    folder, public = own.bank.settings.log_secrets, own.bank.settings.secrets
    assert (folder / "log.skey").read_text().startswith("pkcs11:token=bank;id=")
    assert "PRIVATE" not in (folder / "log.skey").read_text()
    assert Verifier.from_vkey((public / "log.vkey").read_text()) == key
    assert command(own, place, "keys", "create").exit_code == 0, "which leaves it alone"
    again = command(own, place, "keys", "token")
    assert again.exit_code == 1
    assert "rotate-log --token" in " ".join(again.stderr.split())

    sealer()
    queue(own, 3)
    wait_until(lambda: published_size(own) == 3)
    policy = Policy.read(policy_text(own.bank))
    assert open_checkpoint(newest(own)[1], policy, 0).size == 3


def test_a_key_that_is_in_the_token_already_is_taken_by_its_id(own: TestBank, place: Place) -> None:
    there = place.generate("made-elsewhere")
    taken = command(own, place, "keys", "token", "--take", there.key_id.hex())
    assert taken.exit_code == 0, taken.stderr
    assert Verifier.from_vkey(taken.stdout.split()[0]) == Verifier(ORIGIN, there.verifier.public_key)
    (own.bank.settings.log_secrets / "log.skey").unlink()
    assert command(own, place, "keys", "token", "--take", "00ff").exit_code == 1
    assert command(own, place, "keys", "token", "--take", "no hex").exit_code == 2


def test_while_the_token_is_away_work_is_acknowledged_and_waits_and_everything_is_sealed_when_it_is_back(
    own: TestBank, place: Place, sealer: Any, tmp_path: Path
) -> None:
    assert command(own, place, "keys", "token").exit_code == 0
    with capture_logs() as heard:
        sealer()
        queue(own, 2)
        wait_until(lambda: published_size(own) == 2)
        with out_of_the_reader(place, tmp_path):
            queue(own, 2)
            queue(own, 2)
            wait_until(lambda: said_away(heard))
            assert published_size(own) == 2, "nothing is published that is not signed"
            assert own.write(lambda s: seal_lag_s(s, clock.now() + timedelta(hours=1))) > 3500, "and the bank knows that it waits"
        wait_until(lambda: published_size(own) == 6)


def test_a_sealer_that_starts_while_the_token_is_away_waits_for_it(
    own: TestBank, place: Place, sealer: Any, tmp_path: Path
) -> None:
    assert command(own, place, "keys", "token").exit_code == 0
    with capture_logs() as heard:
        with out_of_the_reader(place, tmp_path):
            queue(own, 2)
            sealer()
            wait_until(lambda: said_away(heard))
        wait_until(lambda: published_size(own) == 2)
    assert PIN not in str(heard)


def test_a_log_moves_from_a_file_into_the_token_and_on_to_another_key_of_it(own: TestBank, place: Place, sealer: Any) -> None:
    settings = own.bank.settings
    ensure_secrets(settings.secrets, ORIGIN, settings.log_secrets)
    first = load_log_signers(settings.log_secrets, ORIGIN)[0]
    sealer()
    queue(own)
    wait_until(lambda: published_size(own) == 1)
    for _ in range(2):
        before = load_log_signers(settings.log_secrets, ORIGIN)[0]
        begun = command(own, place, "keys", "rotate-log", "--token")
        assert begun.exit_code == 0, begun.stderr
        wait_until(lambda: signatures_after_one_more(own) == 2)
        ended = command(own, place, "keys", "retire-log")
        assert ended.exit_code == 0, ended.stderr
        wait_until(lambda: signatures_after_one_more(own) == 1)
        if isinstance(before, TokenSigner):
            with pytest.raises(TokenAway):
                before.sign(b"a retired key is destroyed in its token")
    assert isinstance(first, Signer)
    assert isinstance(load_log_signers(settings.log_secrets, ORIGIN)[0], TokenSigner)
    policy = Policy.read(policy_text(own.bank))
    assert len(policy.log) == 3
    assert len(open_checkpoint(newest(own)[1], policy, 0).log_keys) == 1


def test_another_key_under_the_same_id_signs_nothing(place: Place) -> None:
    mine, other = place.generate(ORIGIN), place.generate(ORIGIN)
    with pytest.raises(TokenAway, match="not the one whose public half"):
        TokenSigner(place, other.key_id, mine.verifier).sign(b"text")


def test_a_key_file_that_does_not_say_where_the_key_is_is_refused(place: Place, tmp_path: Path) -> None:
    signer = place.generate(ORIGIN)
    where, public = signer.to_skey().split("\n")
    for text in (where, f"pkcs11:token=bank\n{public}", re.sub("file:", "http:", where) + f"\n{public}", f"{where}\nnonsense"):
        with pytest.raises(MalformedKey):
            TokenSigner.from_text(text)
    path = tmp_path / "log.skey"
    path.write_text("pkcs11:token=bank\n" + public)
    path.chmod(0o600)
    with pytest.raises(KeyFileError, match="does not say which key"):
        load_log_signers(tmp_path, ORIGIN)
    path.write_text(signer.to_skey())
    path.chmod(0o644)
    with pytest.raises(KeyFileError, match="open to other accounts"):
        load_log_signers(tmp_path, ORIGIN)


def test_without_the_settings_the_command_says_which_are_missing(own: TestBank) -> None:
    env = environment(own.bank.settings)
    refused = CliRunner().invoke(app, ["keys", "token"], env=env, catch_exceptions=False)
    assert refused.exit_code == 1
    assert "BIOBANK_PKCS11_MODULE" in refused.stderr


def published_size(bank: TestBank) -> int:
    with psycopg.connect(bank.dsn()) as connection:
        return int(connection.execute("SELECT COALESCE(max(size), 0) FROM checkpoint").fetchall()[0][0])


def signatures_after_one_more(bank: TestBank) -> int:
    before = published_size(bank)
    queue(bank)
    wait_until(lambda: published_size(bank) > before)
    return newest(bank)[1].decode().partition("\n\n")[2].count("\n")


@contextmanager
def out_of_the_reader(place: Place, tmp_path: Path) -> Iterator[None]:
    """As pulling a device out of its reader and putting it back: its sessions end, its tokens are gone for a while."""
    os.rename(tmp_path / "tokens", tmp_path / "drawer")
    (tmp_path / "tokens").mkdir()
    pkcs11.lib(str(place.module)).reinitialize()
    yield
    (tmp_path / "tokens").rmdir()
    os.rename(tmp_path / "drawer", tmp_path / "tokens")


def said_away(heard: Any) -> bool:
    return any(line["event"] == "sealing_interrupted" and line["fault"] == "TokenAway" for line in heard)
