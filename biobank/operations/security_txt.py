"""/.well-known/security.txt (RFC 9116): whom somebody tells who found a hole.

Nothing is made up: without a contact in the settings, or after its day, there is no such file. `Expires` is the day that the
settings give, and never more than a year ahead, so that what is left standing is not believed for ever.
"""

from datetime import timedelta

from fastapi import APIRouter, FastAPI, Response

from biobank.acts.web import BankDep
from biobank.foundation import clock
from biobank.foundation.clock import rfc3339
from biobank.foundation.config import Settings
from biobank.foundation.errors import NotFound

ADDRESS = "/.well-known/security.txt"
LONGEST = timedelta(days=365)

router = APIRouter(include_in_schema=False)


def content(settings: Settings) -> str:
    """Return the file. Raises NotFound when there is no contact, or none that still stands."""
    until, now = settings.security_contact_until, clock.now()
    if not settings.security_contact or until is None or until <= now:
        raise NotFound("This bank names nobody here. Tell whom you know at the bank.")
    lines = [f"Contact: {contact}" for contact in settings.security_contact.split()]
    lines.append(f"Expires: {rfc3339(min(until, now + LONGEST))}")
    lines.append("Preferred-Languages: en")
    lines.append(f"Canonical: https://{settings.host_name.lower()}{ADDRESS}")
    return "\n".join(lines) + "\n"


@router.get(ADDRESS)
async def read_security_txt(bank: BankDep) -> Response:
    """Whom to tell of a hole, until when; for everybody."""
    return Response(content(bank.settings), media_type="text/plain; charset=utf-8")


def install(app: FastAPI) -> None:
    """Add the route."""
    app.include_router(router)
