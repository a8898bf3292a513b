"""Label printers on the network: an allow-list from the settings, and raw bytes to TCP port 9100.

A request names a printer, never an address, so that nobody can make the bank talk to an arbitrary machine. A raw printer
confirms nothing: `sent` means that its side took the bytes, not that a label came out. That is why labels are scanned back.
"""

import re
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Final

from biobank.foundation.config import Settings
from biobank.foundation.errors import NotFound, Unavailable
from biobank.foundation.names import name_key
from biobank.labels.geometry import RESOLUTIONS

CONNECT_S: Final = 5.0
SEND_S: Final = 20.0
"""A printer that takes nothing for this long is out of labels, open or off."""

_ENTRY = re.compile(r"(?P<name>[a-z0-9-]{2,40})=(?P<host>[A-Za-z0-9.-]+|\[[0-9a-fA-F:]+\]):(?P<port>\d{1,5})/(?P<dpi>\d{3})")


class UnknownPrinter(NotFound):
    """No printer of this name is allowed."""

    code = "printer_unknown"
    title = "No such printer"


class PrinterUnreachable(Unavailable):
    """The printer did not take the bytes."""

    code = "printer_unreachable"
    title = "Printer does not answer"


@dataclass(frozen=True)
class Printer:
    """One allowed printer."""

    name: str
    host: str
    port: int
    dpi: int


def printers(settings: Settings) -> dict[str, Printer]:
    """Return the allowed printers of `BIOBANK_PRINTERS` by name. Raises ValueError for a malformed or doubled one."""
    found: dict[str, Printer] = {}
    for entry in settings.printers.split():
        match = _ENTRY.fullmatch(entry)
        if match is None or int(match["dpi"]) not in RESOLUTIONS or not 0 < int(match["port"]) < 65536:
            raise ValueError(f"'{entry}' is not name=host:port/dpi with dpi one of {', '.join(map(str, RESOLUTIONS))}")
        if match["name"] in found:
            raise ValueError(f"'{match['name']}' stands there twice")
        found[match["name"]] = Printer(match["name"], match["host"].strip("[]"), int(match["port"]), int(match["dpi"]))
    return {name: found[name] for name in sorted(found, key=name_key)}


def printer_named(settings: Settings, name: str) -> Printer:
    """Return an allowed printer. Raises UnknownPrinter."""
    known = printers(settings)
    if name not in known:
        names = ", ".join(known) or "none"
        raise UnknownPrinter(f"There is no printer '{name}'. Printers of this bank: {names}. An administrator allows more.")
    return known[name]


@contextmanager
def connected(printer: Printer) -> Iterator["Connection"]:
    """Open a connection to a printer for one job. Raises PrinterUnreachable."""
    try:
        stream = socket.create_connection((printer.host, printer.port), timeout=CONNECT_S)
    except OSError as error:
        raise PrinterUnreachable(f"The printer {printer.name} does not answer. Is it on, and on the network?") from error
    with stream:
        stream.settimeout(SEND_S)
        yield Connection(printer, stream)


class Connection:
    """An open connection to a printer."""

    def __init__(self, printer: Printer, stream: socket.socket) -> None:
        self._printer = printer
        self._stream = stream

    def send(self, content: bytes, labels: Sequence[int]) -> None:
        """Send one piece. Raises PrinterUnreachable naming the first label that may not have come out."""
        try:
            self._stream.sendall(content)
        except OSError as error:
            raise PrinterUnreachable(
                f"The printer {self._printer.name} stopped taking data at label #{labels[0]}. Look at labels, ribbon and "
                f"cover, destroy what came out after #{labels[0]}, and send the rest again.",
                serial=labels[0],
            ) from error
