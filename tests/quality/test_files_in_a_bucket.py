"""Attachments in a bucket of an S3-compatible store: there before they are acknowledged, missed when lost, moved there."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import obstore
import psycopg
import pytest
from typer.testing import CliRunner, Result

from biobank.acts.act import Act
from biobank.acts.bank import Bank
from biobank.cli import app
from biobank.foundation.config import WeakSettings
from biobank.foundation.file_store import Bucket, Folder, Moving, StoreAway, move
from biobank.quality import attachments
from biobank.reconciliation.kept_files import look_for_kept_files
from tests.bucket import LOGIN, Server, bucket
from tests.conftest import Api, TestBank
from tests.donors.stories import erased_by_two, register
from tests.quality.test_attachment_contexts import DATA, given
from tests.quality.test_deviations import stored
from tests.sealing import seal
from tests.withdrawals.stories import refused


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with bucket(monkeypatch) as server:
        yield server


Opening = Callable[[Server], Api]


@pytest.fixture
def opening(
    make_bank: Callable[..., TestBank], serve: Callable[[TestBank], str], secrets_dir: Path, tmp_path: Path
) -> Iterator[Opening]:
    """A factory of banks that keep their files in a bucket."""
    made: list[Api] = []
    own = shutil.copytree(secrets_dir, tmp_path / "own-secrets")
    (own / "file-store").write_text("\n".join(LOGIN))
    (own / "file-store").chmod(0o600)

    def opened(store: Server) -> Api:
        bank = make_bank(secrets_dir=own, file_store=f"s3://{store.name}/bank-one/", file_store_endpoint=store.endpoint)
        with psycopg.connect(bank.dsn()) as connection:  # the seed names files that nobody stored
            connection.execute("ALTER TABLE attachment_context DISABLE TRIGGER ALL")
            connection.execute("DELETE FROM attachment_context")
        made.append(Api(serve(bank), bank))
        return made[-1]

    yield opened
    for api in made:
        api.close()


@pytest.fixture
def in_bucket(opening: Opening, store: Server) -> Api:
    return opening(store)


def rows(api: Api) -> int:
    with psycopg.connect(api.test_bank.dsn()) as connection:
        return len(connection.execute("SELECT FROM attachment_context").fetchall())


def look(api: Api) -> int:
    act = Act.system(api.test_bank.bank, path="timer/look_for_kept_files")
    return int(api.test_bank.write(lambda session: look_for_kept_files(session, act)))


def ready(api: Api) -> tuple[int, str, str]:
    answer = httpx.get(f"{api.url}/readyz")
    return answer.status_code, answer.json()["records"], answer.json()["files"]


def command(api: Api, *words: str) -> Result:
    """A command of the bank, in this process: the same code, without three seconds of starting."""
    settings = api.test_bank.bank.settings.model_dump(exclude_none=True)
    environ = {f"BIOBANK_{name.upper()}": str(value) for name, value in settings.items()}
    return CliRunner().invoke(app, list(words), env=environ)


def files(api: Api, *words: str) -> tuple[int, str]:
    answer = command(api, "files", *words)
    return answer.exit_code, " ".join(answer.output.split())


def test_a_file_is_in_the_bucket_encrypted_before_it_is_acknowledged_and_gone_with_its_person(
    in_bucket: Api, store: Server
) -> None:
    donor = register(in_bucket.clinician)
    answer = given(in_bucket.clinician, donor)
    sha = answer.json()["sha256"]
    name = f"bank-one/attachments/{sha[:2]}/{sha}.{donor}"
    assert (answer.status_code, store.names()) == (201, {name})
    assert DATA not in bytes(obstore.get(store.store(), name).bytes())
    assert not (in_bucket.test_bank.bank.settings.state_dir / "attachments").exists()
    assert in_bucket.clinician.get(f"/attachments/{sha}").content == DATA
    assert (given(in_bucket.clinician, donor).status_code, len(store.names())) == (201, 1)

    erased_by_two(in_bucket, donor)

    refused(in_bucket.clinician.get(f"/attachments/{sha}", params={"donor": donor}), 404, "attachment_gone")
    obstore.delete(store.store(), name)
    assert (look(in_bucket), ready(in_bucket)[2]) == (0, "ok")  # nobody could read it


def test_while_the_store_is_away_nothing_is_acknowledged_nothing_recorded_and_the_bank_goes_on(
    opening: Opening, monkeypatch: pytest.MonkeyPatch
) -> None:
    with bucket(monkeypatch, stand_in=True) as store:
        _with_the_store_away(opening(store), store)


def _with_the_store_away(in_bucket: Api, store: Server) -> None:
    sha = stored(in_bucket, b"kept before").json()["sha256"]
    store.close()

    refused(stored(in_bucket, b"sent meanwhile"), 503, "file_store_away")
    refused(in_bucket.lab_tech.get(f"/attachments/{sha}"), 503, "file_store_away")
    assert rows(in_bucket) == 1
    with pytest.raises(StoreAway):
        look(in_bucket)  # that it does not answer is not that its files are lost
    assert ready(in_bucket) == (200, "ok", "ok")
    code, sentence = files(in_bucket, "check")
    assert (code, "does not answer" in sentence) == (1, True)


def test_what_is_refused_leaves_no_object_behind(in_bucket: Api, store: Server) -> None:
    refused(given(in_bucket.clinician, "DN-0000000"), 404, "not_found")
    first = stored(in_bucket, b"a file")
    key = first.request.headers["Idempotency-Key"]
    before = store.names()
    body = {"media_type": "application/pdf", "content": "bmV3", "site": "LAB", "donor": None}
    refused(in_bucket.lab_tech.post("/attachments", json=body, headers={"Idempotency-Key": key}), 422, "idempotency_key_reused")
    assert store.names() == before


def test_a_lost_object_is_missed_and_said_and_its_return_too(in_bucket: Api, store: Server) -> None:
    shas = [stored(in_bucket, b"file %d" % number).json()["sha256"] for number in range(3)]
    assert (look(in_bucket), ready(in_bucket)) == (0, (200, "ok", "ok"))
    (name,) = [name for name in store.names() if shas[1] in name]
    sealed = bytes(obstore.get(store.store(), name).bytes())
    obstore.delete(store.store(), name)

    assert look(in_bucket) == 1
    status, records, lost = ready(in_bucket)
    assert (status, records) == (200, "ok")  # cold first: an alarm, and work goes on
    assert lost.startswith("1 are lost, known since ")
    (item,) = in_bucket.auditor.get("/log/differences").json()["items"]
    assert (item["part"], item["subject"]) == ("files", shas[1][:32])
    assert files(in_bucket, "check") == (1, f"lost: {shas[1]} 3 files looked for, 1 lost.")

    obstore.put(store.store(), name, b"x" * len(sealed))
    assert files(in_bucket, "check")[0] == 0
    assert files(in_bucket, "check", "--read")[0] == 1  # there, and not what it was
    obstore.put(store.store(), name, sealed)
    assert files(in_bucket, "check", "--read")[0] == 0
    assert (look(in_bucket), ready(in_bucket)[2]) == (0, "ok")


def test_files_of_before_are_read_at_once_and_moved_while_the_bank_works(in_bucket: Api, store: Server) -> None:
    bank = in_bucket.test_bank.bank
    before = Bank.open(bank.settings.model_copy(update={"file_store": None}))
    here = bank.settings.state_dir / "attachments"
    assert isinstance(bank.files, Moving)
    shas = [stored(in_bucket, b"file %d" % number).json()["sha256"] for number in range(3)]
    for name in list(bank.files.bucket.names()):  # as if they had been given before the bucket was set
        before.files.put(name, bank.files.bucket.get(name))
        bank.files.bucket.remove(name)
    assert (store.names(), files(in_bucket, "check", "--read")[0]) == (set(), 0)
    assert in_bucket.lab_tech.get(f"/attachments/{shas[0]}").content == b"file 0"

    first = min(bank.files.before.names())
    bank.files.bucket.put(first, bank.files.before.get(first))  # a run that was broken off after its first file
    assert "3 files moved" in files(in_bucket, "move")[1]
    assert [path for path in here.rglob("*") if path.is_file()] == []
    assert len(store.names()) == 3
    assert [in_bucket.lab_tech.get(f"/attachments/{sha}").content for sha in shas] == [b"file 0", b"file 1", b"file 2"]
    assert "0 files moved" in files(in_bucket, "move")[1]


def test_a_file_leaves_the_folder_only_when_the_bucket_gives_back_the_same(tmp_path: Path) -> None:
    class Forgetful(Folder):
        def put(self, name: str, data: bytes, *, durable: bool = True) -> None:
            super().put(name, data[:-1], durable=durable)

    folder = Folder(tmp_path / "here")
    folder.put("ab/file", b"whole")
    with pytest.raises(StoreAway):
        move(Moving(Forgetful(tmp_path / "there"), folder))
    assert folder.get("ab/file") == b"whole"


def test_the_tiles_of_the_log_go_into_a_bucket_as_into_a_folder(in_bucket: Api, store: Server, tmp_path: Path) -> None:
    register(in_bucket.clinician)
    seal(in_bucket.test_bank)
    for place in (str(tmp_path / "tiles"), f"s3://{store.name}/log"):
        assert command(in_bucket, "log", "tiles", place).exit_code == 0
    folder, there = Folder(tmp_path / "tiles"), Bucket(f"s3://{store.name}/log", store.endpoint, LOGIN)
    assert {name: folder.get(name) for name in folder.names()} == {name: there.get(name) for name in there.names()}
    assert "checkpoint" in set(there.names())


def test_a_bucket_that_is_not_there_is_no_place_of_lost_files_and_an_odd_address_is_refused(store: Server) -> None:
    nowhere = Bucket("s3://nowhere-at-all", store.endpoint, LOGIN)
    for ask in (lambda: nowhere.holds("x"), lambda: nowhere.get("x"), lambda: nowhere.put("x", b"1"), lambda: [*nowhere.names()]):
        with pytest.raises(StoreAway):
            ask()
    with pytest.raises(WeakSettings):
        Bucket("https://bucket")


def test_a_disk_that_takes_no_more_is_the_store_away_and_leaves_no_part(tmp_path: Path) -> None:
    (tmp_path / "ab").write_text("a file where a folder should be")
    with pytest.raises(StoreAway):
        Folder(tmp_path).put("ab/file", b"data")
    assert [path.name for path in tmp_path.rglob("*")] == ["ab"]
    assert attachments.name_of("ab" * 32, "BANK") == f"ab/{'ab' * 32}.BANK"
