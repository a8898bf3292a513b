"""What the scan page needs to go on without network: the key under which a device keeps scans, and their way in afterwards."""

import base64
from typing import Annotated

from fastapi import APIRouter, Header, Request
from fastapi.responses import JSONResponse, Response
from pydantic import TypeAdapter, ValidationError

from biobank.acts.problems import wants_page
from biobank.acts.web import BankDep
from biobank.custody.recording import Instant
from biobank.foundation import clock
from biobank.foundation.clock import rfc3339
from biobank.foundation.errors import MalformedRequest
from biobank.pages.ui.session import PagePerforming, Visiting, posted_form, see
from biobank.pages.ui.templating import render
from biobank.scanning.committing import RecordedList, words_of
from biobank.scanning.kept import KeptScan, key_for, record_kept, session_began

router = APIRouter(include_in_schema=False)
_INSTANT: TypeAdapter[Instant] = TypeAdapter(Instant)


@router.get("/scan/offline")
async def show_without_network(request: Request) -> Response:
    """Draw what a browser shows of the scan page when there is no network and nobody unlocked what it kept. It says nothing of
    anybody, so it asks for no sign-in."""
    return render(request, "scan_offline.html")


@router.post("/scan/kept/key")
async def give_key(request: Request, page: Visiting, bank: BankDep) -> JSONResponse:
    """Give the key of this session, or of an earlier session of the same person (`of`), and the bank's time."""
    form = await posted_form(request, page, "of")
    of = form.get("of", str(page.id))[:36]
    began = await bank.database.read(lambda s: session_began(s, page.actor.code, of))
    key = base64.b64encode(key_for(bank.settings.secrets, page.actor.code, of, began)).decode()
    return JSONResponse({"of": of, "key": key, "now": rfc3339(clock.now())})


@router.post("/scan/kept")
async def record_kept_scan(
    request: Request, performing: PagePerforming, x_device_clock: Annotated[str | None, Header(max_length=40)] = None
) -> Response:
    """Record one scan that was kept without network."""
    fields = {name: performing.form[name] for name in KeptScan.model_fields if name in performing.form}
    try:
        scan, sent_at = KeptScan.model_validate(fields), _INSTANT.validate_python(x_device_clock)
    except ValidationError:
        raise MalformedRequest("This scan was kept by another release and cannot be read. Scan the tube again.") from None
    answer = await performing(record_kept, scan, sent_at, performing.bank.settings)
    if wants_page(request):
        return see("/scan")
    recorded = RecordedList.model_validate(answer)
    return JSONResponse({"words": words_of(recorded), "specimen": recorded.items[0].specimen})
