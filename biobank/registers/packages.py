"""What a supplier printed on a package: GS1 element strings of a DataMatrix or GS1-128, read by the library `biip`.

Application identifiers of the GS1 General Specifications: 01 article number (GTIN), 10 lot, 17 expiry, 7003 expiry with time.
"""

from dataclasses import dataclass
from datetime import date

from biip import ParseError, parse
from biip.gs1_messages import GS1Message

from biobank.foundation.errors import MalformedRequest


class PackageUnread(MalformedRequest):
    """The text is no GS1 element string."""

    code = "package_unread"
    title = "Package not read"


class PackageSaysOtherwise(MalformedRequest):
    """What was typed is not what stands on the package."""

    code = "package_says_otherwise"
    title = "The package says otherwise"


@dataclass(frozen=True)
class Package:
    """What stands on it; None: it does not say."""

    gtin: str | None = None
    supplier_lot: str | None = None
    expires_on: date | None = None


def read_package(text: str) -> Package:
    """Return what a scanned or printed element string says, with or without its brackets. Raises PackageUnread. Pure."""
    text = text.strip()
    try:
        message = GS1Message.parse_hri(text) if text.startswith("(") else parse(text).gs1_message
    except ParseError:
        message = None
    if message is None:
        raise PackageUnread("This is no GS1 code of a package. Scan the square code beside lot and expiry, or type them.")
    found = {one.ai.ai: one for one in message.element_strings}
    if "01" not in found and "10" not in found:
        raise PackageUnread("This code names neither an article nor a lot. Scan the square code beside lot and expiry.")
    expiry = found.get("17") or found.get("7003")
    at = None if expiry is None else expiry.date or (None if expiry.datetime is None else expiry.datetime.date())
    article, lot = found.get("01"), found.get("10")
    return Package(None if article is None else article.value, None if lot is None else lot.value, at)
