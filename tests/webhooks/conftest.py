"""A bank that may send to the loopback."""

import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.conftest import Api, TestBank
from tests.webhooks.receiver import Receiver, Way, receiving, takes


@pytest.fixture
def receive() -> Iterator[Callable[..., Receiver]]:
    """A factory of receiving servers."""
    made: list[Receiver] = []

    def start(way: Way = takes, **given: Any) -> Receiver:
        made.append(receiving(way, **given))
        return made[-1]

    yield start
    for one in made:
        one.close()


@pytest.fixture
def receiver(receive: Callable[..., Receiver]) -> Receiver:
    """A server that takes what it is sent."""
    return receive()


@pytest.fixture
def open_api(make_bank: Callable[..., TestBank], serve: Callable[[TestBank], str]) -> Iterator[Callable[..., Api]]:
    """A factory of served banks with the addresses and networks that they may send to."""
    made: list[Api] = []

    def start(*addresses: str, **settings: Any) -> Api:
        known = {"webhook_networks": "127.0.0.0/8 ::1/128"} | settings
        bank = make_bank(webhook_addresses=" ".join(addresses), **known)
        made.append(Api(serve(bank), bank))
        return made[-1]

    yield start
    for api in made:
        api.close()


@pytest.fixture
def api(open_api: Callable[..., Api], receiver: Receiver) -> Api:
    """A served bank that may send to the receiver."""
    return open_api(receiver.url.removesuffix("/hooks"))


@pytest.fixture
def free_port() -> int:
    """A port at which nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
