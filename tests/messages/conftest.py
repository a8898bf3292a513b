"""A bank that sends, and a mail server that takes, refuses or is away."""

from collections.abc import Callable, Iterator
from email import message_from_bytes
from email.message import Message as Mail
from typing import Any

import pytest
from aiosmtpd.controller import Controller

from biobank.acts.act import Act
from biobank.messages.sending import send_messages
from tests.conftest import TestBank
from tests.pages.conftest import visit


class Post:
    """What the mail server got, newest last; `refuses` names the addresses that it does not take."""

    def __init__(self, port: int) -> None:
        self.mails: list[Mail] = []
        self.refuses: set[str] = set()
        self._port = port
        self._controller: Controller | None = None

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any) -> str:
        if address in self.refuses:
            return "550 no such person"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:
        self.mails.append(message_from_bytes(envelope.content))
        return "250 OK"

    def open(self) -> None:
        self._controller = Controller(self, hostname="127.0.0.1", port=self._port)
        self._controller.start()

    def close(self) -> None:
        if self._controller is not None:
            self._controller.stop()
            self._controller = None


@pytest.fixture
def post(free_tcp_port: int) -> Iterator[Post]:
    """An open mail server."""
    post = Post(free_tcp_port)
    post.open()
    yield post
    post.close()


@pytest.fixture
def bank(make_bank: Callable[..., TestBank], free_tcp_port: int) -> TestBank:
    return make_bank(smtp_server=f"127.0.0.1:{free_tcp_port}", smtp_security="none", smtp_from="bank@bank.example")


@pytest.fixture
def send(bank: TestBank) -> Callable[[], int]:
    """One turn of the worker's timer."""
    return lambda: bank.write(lambda s: send_messages(s, Act.system(bank.bank, path="timer/send_messages")))


__all__ = ["visit"]
