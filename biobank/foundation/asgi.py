"""Small things of the server's protocol that more than one middleware needs."""

from starlette.types import Message, Receive


def handing_back(taken: Message, receive: Receive) -> Receive:
    """Return a `receive` that hands out the message already taken, then the rest."""
    waiting = [taken]

    async def replay() -> Message:
        return waiting.pop() if waiting else await receive()

    return replay
