"""Routes of messages: one's own choice, and what could not be sent."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query

from biobank.acts.web import Performing, Reading
from biobank.foundation.paging import Cursor, Paging
from biobank.messages.choices import MessagesChosen, OwnMessages, OwnMessagesNow, own_messages, set_own_messages
from biobank.messages.failures import MessageFailed, MessageFailedList, SendAgain, list_failed, send_again

router = APIRouter(prefix="/api/v1", tags=["messages"])


@router.get("/messages/own")
async def read_own_messages(reading: Reading) -> OwnMessagesNow:
    """What you are written, and to which address."""
    return await reading(own_messages, reading.bank.keystore)


@router.post("/messages/own")
async def choose_own_messages(body: OwnMessages, performing: Performing) -> MessagesChosen:
    """Choose what you are written from now on. What is set here replaces what was.

    A new address is mailed a code; nothing else is sent there before you send the same choice with that `code`.
    """
    return await performing(set_own_messages, body)


@router.get("/messages/failed")
async def list_failed_messages(
    reading: Reading, after: Cursor | None = None, limit: Annotated[int, Query(ge=1, le=500)] = 100
) -> MessageFailedList:
    """Messages that could not be sent so far, newest first."""
    return await reading(list_failed, paging=Paging(after, limit))


@router.post("/messages/failed/{message}/send")
async def send_message_again(message: UUID, body: SendAgain, performing: Performing) -> MessageFailed:
    """Try a message that failed again now."""
    return await performing(send_again, message, body)
