"""Every secret is changed while the bank runs: nothing is lost on the way, and a change that was broken off is gone on with."""

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyotp
import pytest
from cryptography.exceptions import InvalidTag
from sqlalchemy import text
from typer.testing import CliRunner

from biobank.acts.bank import SECRETS, ensure_secrets
from biobank.auth.second_factor import begin, typed_step
from biobank.cli import app
from biobank.foundation import changing_secrets, clock
from biobank.foundation.durable_files import write_private
from biobank.operations import secret_changes
from biobank.operations.secret_changes import change_secret
from biobank.scanning.kept import key_for, session_began
from biobank.vault import Keystore
from tests import seed
from tests.conftest import Api, TestBank

ORIGIN = "bank.example/custody"
NAME = {"family_name": "Okafor", "given_names": "Adaeze"}


@pytest.fixture
def own(make_bank: Callable[..., TestBank], tmp_path: Path) -> TestBank:
    """A bank with secrets of its own: the other tests share theirs."""
    secrets = tmp_path / "secrets"
    ensure_secrets(secrets, ORIGIN)
    return make_bank(secrets_dir=secrets)


@pytest.fixture
def api(own: TestBank, serve: Callable[[TestBank], str]) -> Any:
    made = Api(serve(own), own)
    yield made
    made.close()


def registered(api: Api, **changes: Any) -> str:
    body = {"clinic_site": "CLINIC", "date_of_birth": "1980-05-17", "sex": "female"} | NAME | changes
    answer = api.clinician.post("/donors", json=body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["donor"])


def found(api: Api, name: str) -> set[str]:
    answer = api.clinician.post("/donors/search", json={"name": name})
    assert answer.status_code == 200, answer.text
    return {one["donor"] for one in answer.json()["items"]}


def quiet(said: str) -> None:
    """Whoever runs the command reads how far it is; a test does not."""


def logged(bank: TestBank) -> list[str]:
    kinds = "SELECT convert_from(entry, 'UTF8')::jsonb -> 'body' ->> 'secret' FROM event WHERE kind = 'system.secret_changed'"
    return list(bank.write(lambda s: s.execute(text(kinds)).scalars().all()))


@pytest.mark.parametrize("broken_off", [False, True])
def test_keys_of_people_come_under_another_master_and_everybody_is_read_all_the_time(
    api: Api, own: TestBank, monkeypatch: pytest.MonkeyPatch, broken_off: bool
) -> None:
    donors = [registered(api, given_names=f"Adaeze {letter}") for letter in "ABCDE"]
    secrets = own.bank.settings.secrets
    before = (secrets / "vault-master").read_bytes()
    monkeypatch.setattr(secret_changes, "AT_ONCE", 2)
    if broken_off:
        changing_secrets.begin_change(secrets, "vault-master")
        assert own.bank.keystore_sync.wrap_anew("", 2).changed == 2
        donors.append(registered(api, given_names="Born meanwhile"))
        assert all(api.clinician.get(f"/donors/{one}/identity").status_code == 200 for one in donors)

    assert change_secret(own.bank, "vault-master", quiet) is None

    assert all(api.clinician.get(f"/donors/{one}/identity").json()["family_name"] == "Okafor" for one in donors)
    assert not (secrets / "vault-master.former").exists()
    assert (secrets / "vault-master").read_bytes() != before
    with pytest.raises(InvalidTag):
        Keystore(own.bank._keys_sync, lambda: (before,)).find_key(donors[0])
    assert logged(own) == ["vault-master"]


def test_a_key_that_is_destroyed_during_the_change_stays_destroyed(api: Api, own: TestBank) -> None:
    donor = registered(api)
    store = own.bank.keystore_sync
    changing_secrets.begin_change(own.bank.settings.secrets, "vault-master")
    store.destroy(donor)

    assert change_secret(own.bank, "vault-master", quiet) is None

    assert donor in store.destroyed()


def test_people_are_found_by_name_before_during_and_after_a_change_of_the_index(
    api: Api, own: TestBank, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, married = registered(api), registered(api, given_names="Ngozi")
    monkeypatch.setattr(secret_changes, "AT_ONCE", 1)
    tokens = text("SELECT token FROM donor_index")
    before = set(own.write(lambda s: s.execute(tokens).scalars().all()))

    changing_secrets.begin_change(own.bank.settings.secrets, "blind-index")
    assert found(api, "okafor") == {first, married}
    meanwhile = registered(api, given_names="Chidi")
    changed = {"family_name": "Eze", "reason": "marriage"}
    answer = api.clinician.patch(f"/donors/{married}", json=changed)
    assert answer.status_code == 200, answer.text
    assert found(api, "okafor") >= {first, meanwhile}
    assert found(api, "eze") == {married}
    assert change_secret(own.bank, "blind-index", quiet) is None

    assert found(api, "okafor") >= {first, meanwhile}
    assert found(api, "eze") == {married}
    after = set(own.write(lambda s: s.execute(tokens).scalars().all()))
    assert after
    assert not after & before
    alike = api.clinician.get(f"/donors/{registered(api)}").json()["look_alikes"]
    assert first in {one["donor"] for one in alike}


def test_a_second_factor_goes_on_working_through_a_change(own: TestBank) -> None:
    user, bank = seed.USERS["quality"].code, own.bank
    at = clock.now()
    secret, _ = own.write(lambda s: begin(s, bank.secrets_of("second-factor"), user, "bank", "quinn", at))
    stored = text("SELECT secret FROM second_factor")
    old = own.write(lambda s: s.execute(stored).scalar_one())

    assert change_secret(bank, "second-factor", quiet) is None

    new = own.write(lambda s: s.execute(stored).scalar_one())
    code = pyotp.TOTP(secret).at(at)
    assert typed_step(bank.secrets_of("second-factor"), bytes(new), code, at) > 0
    assert new != old


def test_a_request_that_is_repeated_across_a_change_is_answered_as_before_and_the_change_waits(api: Api, own: TestBank) -> None:
    body = {"clinic_site": "CLINIC", "date_of_birth": "1980-05-17", "sex": "female"} | NAME
    key = {"Idempotency-Key": "the-same-key-twice"}
    before = api.clinician.post("/donors", json=body, headers=key)

    ends = change_secret(own.bank, "digests", quiet)
    again = api.clinician.post("/donors", json=body, headers=key)
    other = api.clinician.post("/donors", json=body | {"sex": "male"}, headers=key)

    assert ends is not None
    assert (before.status_code, again.status_code, again.json()) == (201, 201, before.json())
    assert other.json()["code"] == "idempotency_key_reused"
    assert change_secret(own.bank, "digests", quiet) == ends
    clock.set_offset(timedelta(days=93), test_mode=True)
    assert change_secret(own.bank, "digests", quiet) is None
    assert logged(own) == ["digests"]


@pytest.mark.parametrize("disk_ahead", [timedelta(0), timedelta(days=1)], ids=str)
def test_what_a_device_keeps_from_before_a_change_is_opened_by_the_same_key_after_it(
    own: TestBank, disk_ahead: timedelta
) -> None:
    clock.set_offset(-disk_ahead, test_mode=True)
    secrets, user = own.bank.settings.secrets, seed.USERS["lab_tech"].code

    def key(session: str) -> bytes:
        return own.write(lambda s: key_for(secrets, user, session, session_began(s, user, session)))  # type: ignore[no-any-return]

    early = str(own.session_of("lab_tech"))
    before = key(early)
    assert change_secret(own.bank, "device-keys", quiet) is not None
    late = str(own.session_of("lab_tech"))

    assert key(early) == before
    assert key("nobody's session") != key(late)
    assert key(late) == key_for_present(secrets, user, late)


def key_for_present(secrets: Path, user: str, session: str) -> bytes:
    """The key as it would be if there were no former secret."""
    former = secrets / "device-keys.former"
    away = former.rename(secrets / "away")
    try:
        return key_for(secrets, user, session, clock.now())
    finally:
        away.rename(former)


@pytest.mark.parametrize("died", ["before anything", "after the former was written", "after the new one was written"])
def test_dying_anywhere_at_the_beginning_of_a_change_loses_no_secret(
    own: TestBank, monkeypatch: pytest.MonkeyPatch, died: str
) -> None:
    secrets = own.bank.settings.secrets
    present = (secrets / "vault-master").read_bytes()
    steps = ["before anything", "after the former was written", "after the new one was written"].index(died)
    written: list[Path] = []
    write = write_private

    def dying(path: Path, value: bytes, dated: datetime | None = None) -> None:
        if len(written) == steps:
            raise KeyboardInterrupt
        written.append(path)
        write(path, value, dated)

    monkeypatch.setattr(changing_secrets, "write_private", dying)
    if steps < 2:
        with pytest.raises(KeyboardInterrupt):
            changing_secrets.begin_change(secrets, "vault-master")
    else:
        changing_secrets.begin_change(secrets, "vault-master")
    assert present in own.bank.secrets_of("vault-master")
    monkeypatch.undo()

    changing_secrets.begin_change(secrets, "vault-master")

    today, former = own.bank.secrets_of("vault-master")
    assert (former, today != present) == (present, True)
    assert (secrets / "vault-master").stat().st_mode & 0o077 == 0


def test_every_secret_is_changed_by_the_command_and_another_name_is_refused(own: TestBank) -> None:
    settings = own.bank.settings.model_dump(exclude_none=True) | {"owner_database_url": own.dsn("owner")}
    environ = {f"BIOBANK_{name.upper()}": str(value) for name, value in settings.items()}
    for name in SECRETS:
        done = CliRunner().invoke(app, ["keys", "change", name], env=environ)
        assert done.exit_code == 0, done.output
        assert ("is changed" in done.output) is (name not in ("digests", "device-keys", "client-keys")), done.output
    wrong = CliRunner().invoke(app, ["keys", "change", "log"], env=environ)
    assert (wrong.exit_code, "vault-master" in wrong.stderr) == (2, True)
