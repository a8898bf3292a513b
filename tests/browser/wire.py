"""A wire between a browser and a bank that can be cut: then nobody listens at its address, as when a server is stopped."""

import socket
import threading
from contextlib import suppress
from urllib.parse import urlsplit


class Wire:
    """Passes connections on to the server of `url`; `self.url` is its own address, the same after each `mend`."""

    def __init__(self, url: str) -> None:
        there = urlsplit(url)
        self._to = (there.hostname or "", there.port or 80)
        self._port = 0
        self._open: list[socket.socket] = []
        self.mend()
        self.url = f"http://localhost:{self._port}"

    def mend(self) -> None:
        """Listen."""
        self._listener = socket.create_server(("127.0.0.1", self._port))
        self._port = self._listener.getsockname()[1]
        self._open = [self._listener]
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def cut(self) -> None:
        """Listen no more and drop what is under way."""
        for one in self._open:
            with suppress(OSError):  # its other side was quicker
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                near, _ = listener.accept()
            except OSError:
                return
            far = socket.create_connection(self._to)
            self._open += [near, far]
            for source, sink in ((near, far), (far, near)):
                threading.Thread(target=_pass_on, args=(source, sink), daemon=True).start()


def _pass_on(source: socket.socket, sink: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)
    except OSError:
        return
