"""The decoder behind a page's camera, where the browser has none of its own: the API's, proved by the page session."""

import asyncio
from typing import Annotated

from fastapi import APIRouter, Header, Request

from biobank.scanning import service
from biobank.scanning.api import body_of_frame
from biobank.scanning.schemas import DecodeAnswer
from biobank.web.session import Visiting

router = APIRouter(include_in_schema=False)


@router.post("/scans/decode")
async def decode_frame(
    request: Request, page: Visiting, x_csrf_token: Annotated[str | None, Header(max_length=200)] = None
) -> DecodeAnswer:
    """Decode one camera frame. It changes nothing and is kept nowhere; the token keeps other sites from using our CPU."""
    page.require_csrf(x_csrf_token)
    data = await body_of_frame(request)
    return DecodeAnswer(text=await asyncio.to_thread(service.decode_frame, data))
