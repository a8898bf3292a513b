"""Small things of the server's protocol that more than one place needs."""

from starlette.datastructures import Headers
from starlette.types import Message, Receive


def handing_back(taken: Message, receive: Receive) -> Receive:
    """Return a `receive` that hands out the message already taken, then the rest."""
    waiting = [taken]

    async def replay() -> Message:
        return waiting.pop() if waiting else await receive()

    return replay


def takes_packed(asked: Headers) -> bool:
    """Whether whoever asked takes an answer packed with gzip."""
    return "gzip" in [one.split(";")[0].strip() for one in asked.get("accept-encoding", "").split(",") if "q=0" not in one]
