"""The HTTP protocol of the web processes: how long a caller may take over the head of a request, and how long it may be.

The web server bounds the pause between two requests only (`operations/supervisor.py: IDLE_S`). Here a head has `HEAD_S` from the
first moment of its connection and `HEAD_BYTES`; what is sent after an answer, the rest of a refused body say, gets no more time
than a head. Bodies are bounded by `operations/doorman.py`.
"""

from asyncio import TimerHandle, Transport

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_S = 15.0
HEAD_BYTES = 32 * 1024
_TOO_LONG = b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"


class HeadTooLong(ValueError):
    """Ends the parsing of a head."""


class BoundedProtocol(HttpToolsProtocol):
    """uvicorn's protocol over httptools, with bounds on the head of a request."""

    head_s = HEAD_S
    _timer: TimerHandle | None = None
    _in_body = False
    _bytes = 0
    """Of a head that comes in pieces."""
    _head = 0
    """Of the part of a head that was read."""
    _heads = 0
    """Heads that came whole."""

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        """Begin to wait for a head."""
        super().connection_made(transport)
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """End the waiting."""
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Pass the bytes on; hang up on a head that is too long."""
        if self._timer is None and (not self._in_body or self._answered):
            self._wait()
        in_head, heads = not self._in_body, self._heads
        super().data_received(data)
        if in_head and heads == self._heads and not self.transport.is_closing():
            self._bytes += len(data)
            if self._bytes > HEAD_BYTES:
                self.send_400_response("")

    def on_message_begin(self) -> None:
        """Begin a head."""
        self._head = 0
        super().on_message_begin()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a header."""
        self._take(len(name) + len(value))
        super().on_header(name, value)

    def on_url(self, url: bytes) -> None:
        """Take a piece of the address."""
        self._take(len(url))
        super().on_url(url)

    def on_headers_complete(self) -> None:
        """The head is there."""
        self._stop_waiting()
        self._in_body, self._bytes, self._heads = True, 0, self._heads + 1
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """The body is there; the next bytes are another head."""
        self._stop_waiting()
        self._in_body, self._bytes = False, 0
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Hang up on what is no request; say so when it is only too long."""
        if max(self._bytes, self._head) > HEAD_BYTES:
            self.transport.write(_TOO_LONG)
            self.transport.close()
        else:
            super().send_400_response(msg)

    def _take(self, size: int) -> None:
        self._head += size
        if self._head > HEAD_BYTES:
            raise HeadTooLong

    @property
    def _answered(self) -> bool:
        return self.cycle is None or bool(self.cycle.response_complete)

    def _wait(self) -> None:
        self._timer = self.loop.call_later(self.head_s, self._too_slow)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _too_slow(self) -> None:
        self._timer = None
        if self._answered:
            self.transport.close()
        else:  # an answer to the request before is under way
            self._wait()
