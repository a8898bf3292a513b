"""Asking a virus scanner about a file before it is kept: clamd, by its INSTREAM command, over the network of the bank.

The file goes to the scanner as it came and is kept nowhere by it. What the scanner does not answer is not kept.
"""

import socket
from typing import Final

from biobank.foundation.errors import Conflict, Unavailable

_CHUNK: Final = 64 * 1024
PATIENCE_S: Final = 30.0


class FileNotClean(Conflict):
    """The virus scanner found something in the file; nothing was kept."""

    code = "file_not_clean"
    title = "File not clean"


class ScannerAway(Unavailable):
    """The virus scanner does not answer, or not as one does; the file was not kept and may be sent again."""

    code = "scanner_away"
    title = "Virus scanner away"


def require_clean(data: bytes, scanner: str | None, *, patience_s: float = PATIENCE_S) -> None:
    """Raise FileNotClean or ScannerAway unless the scanner at `host:port` finds nothing in the bytes; without one, none is asked.

    Blocks: from a request call it in a thread.
    """
    if scanner is None:
        return
    host, _, port = scanner.rpartition(":")
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=patience_s) as connection:
            connection.sendall(b"zINSTREAM\0")
            for start in range(0, len(data), _CHUNK):
                part = data[start : start + _CHUNK]
                connection.sendall(len(part).to_bytes(4, "big") + part)
            connection.sendall(bytes(4))
            with connection.makefile("rb") as answers:
                answer = answers.readline(1000).rstrip(b"\0\n")
    except OSError as error:
        raise ScannerAway("The virus scanner does not answer, so the file was not kept. Try again in a while.") from error
    if answer.endswith(b" FOUND"):
        raise FileNotClean("The virus scanner found something in this file, so it was not kept. Tell your administrator.")
    if answer != b"stream: OK":
        raise ScannerAway("The virus scanner could not look at the file, so it was not kept. Tell your administrator.")
