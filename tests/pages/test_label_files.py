"""A label printed on a page: the file that was asked for, whose symbol, read by a decoder that is not ours, leads to its tube."""

import re
from html import unescape

import pytest

from biobank.foundation.codes import Prefix
from biobank.labels.catalogue import catalogue
from tests.conftest import Api
from tests.labels.reading import decoded, pdf_pages, zpl_symbols
from tests.pages.visitor import Visit
from tests.withdrawals.stories import a_story

TEMPLATE = catalogue().for_prefix(Prefix.ADIPOSE)[0].name


@pytest.mark.parametrize(("fmt", "dpi"), [("pdf", "300"), ("zpl", "203"), ("sheet", "600")])
def test_the_file_is_offered_as_it_was_asked_for_and_its_symbol_leads_to_the_tube(
    api: Api, visit: Visit, fmt: str, dpi: str
) -> None:
    tube = a_story(api).vials[0]
    tech = visit("lab_tech")
    form = {"template": TEMPLATE, "reason": "first_print", "format": fmt, "dpi": dpi}
    printed = tech.submit(f"/labels/{tube}", form)
    (link,) = re.findall(r'href="(/labels/file[^"]+)"', printed.text)
    assert f"format={fmt}&dpi={dpi}" in unescape(link)
    content = tech.get(unescape(link)).content
    assert content.startswith(b"^XA" if fmt == "zpl" else b"%PDF")
    picture = zpl_symbols(content) if fmt == "zpl" else pdf_pages(content, 600)[0]
    (said,) = decoded(picture)
    found = tech.submit("/find", {"q": said}, follow_redirects=True)
    assert (found.status_code, found.url.path) == (200, f"/specimens/{tube}")
