"""Wire shapes of the log's pages."""

from pydantic import BaseModel

from biobank.custody.schemas import EventPublic


class LogPage(BaseModel):
    """Events in the order they were recorded."""

    items: list[EventPublic]
    next: str | None = None
