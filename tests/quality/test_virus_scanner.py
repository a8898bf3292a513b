"""A virus scanner is asked before a file is kept. Here a stand-in answers, which reads the protocol of clamd byte by byte."""

import socketserver
import threading
from collections.abc import Callable, Iterator
from typing import Any, ClassVar

import pytest

from biobank.quality import virus_scanner
from biobank.quality.virus_scanner import FileNotClean, ScannerAway, require_clean
from tests.conftest import Api
from tests.quality.test_deviations import stored
from tests.withdrawals.stories import refused

BAD = b"X5O!P%@AP the part of a file that a scanner knows"


class Clamd(socketserver.StreamRequestHandler):
    """Reads `zINSTREAM`, the chunks with their lengths, and answers as clamd does."""

    answers: bytes | None = None
    heard: ClassVar[list[bytes]] = []

    def handle(self) -> None:
        assert self.rfile.read(10) == b"zINSTREAM\0"
        whole = b""
        while size := int.from_bytes(self.rfile.read(4), "big"):
            whole += self.rfile.read(size)
        self.heard.append(whole)
        said = self.answers
        if said is None:
            said = b"stream: Eicar-Signature FOUND\0" if BAD in whole else b"stream: OK\0"
        self.wfile.write(said)


@pytest.fixture
def scanner() -> Iterator[str]:
    """The address of one that runs."""
    Clamd.heard.clear()
    Clamd.answers = None
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Clamd) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.fixture
def scanned(make_bank: Callable[..., Any], serve: Callable[[Any], str], scanner: str) -> Iterator[Api]:
    """A bank that has a scanner."""
    bank = make_bank(virus_scanner=scanner)
    api = Api(serve(bank), bank)
    yield api
    api.close()


def kept(api: Api) -> int:
    return sum(1 for one in (api.test_bank.bank.settings.state_dir / "attachments").rglob("*") if one.is_file())


def test_a_file_in_which_the_scanner_finds_something_is_not_kept(scanned: Api) -> None:
    assert stored(scanned, b"%PDF-1.7 a report").status_code == 201
    before = kept(scanned)
    refused(stored(scanned, b"%PDF-1.7 " + BAD), 409, "file_not_clean")
    assert kept(scanned) == before
    assert Clamd.heard == [b"%PDF-1.7 a report", b"%PDF-1.7 " + BAD]


@pytest.mark.parametrize("answer", [b"", b"INSTREAM size limit exceeded. ERROR\0", b"stream: OK, or so\0"])
def test_what_the_scanner_does_not_answer_is_not_kept(scanned: Api, answer: bytes) -> None:
    Clamd.answers = answer
    refused(stored(scanned, b"%PDF-1.7 unlooked at"), 503, "scanner_away")
    assert kept(scanned) == 0


def test_a_long_file_arrives_whole(scanner: str) -> None:
    data = bytes(range(256)) * 2000 + BAD
    with pytest.raises(FileNotClean):
        require_clean(data, scanner)
    assert Clamd.heard == [data]


def test_a_scanner_that_is_not_there_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ScannerAway):
        require_clean(b"x", "127.0.0.1:1", patience_s=0.5)
    require_clean(b"x", None)
    assert virus_scanner.PATIENCE_S <= 60
