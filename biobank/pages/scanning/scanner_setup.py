"""Setting a barcode gun up: a page to print and scan that says what the gun sends and what to change, in ordinary words."""

from fastapi import APIRouter, Request
from fastapi.responses import Response

from biobank.foundation.codes import Prefix, make_code
from biobank.pages.ui.session import PageReading
from biobank.pages.ui.templating import render
from biobank.scanning.sheet import symbol_of

router = APIRouter(include_in_schema=False)

TEST_TEXT = "AZ-QW/MY:0123456789.KX"
"""What the first symbol holds: capitals that keyboards of other countries exchange, digits, and the signs of our labels."""
TEST_CODE = make_code(Prefix.COMMAND, None, 900).text
"""What the second holds: a code like those on labels, whose number means nothing and never will."""


@router.get("/scan/scanner")
async def show_scanner_setup(request: Request, _reading: PageReading) -> Response:
    """Draw the symbols of the test, what to set, and the field that says what arrives."""
    symbols = [(symbol_of(TEST_TEXT), TEST_TEXT), (symbol_of(TEST_CODE), TEST_CODE)]
    return render(request, "scanner_setup.html", symbols=symbols, test_text=TEST_TEXT)
