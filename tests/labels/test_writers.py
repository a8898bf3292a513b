"""What the formats promise beyond a readable symbol."""

import itertools
import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from biobank.donors.markers import Evaluation
from biobank.foundation.codes import Prefix
from biobank.labels.catalogue import catalogue
from biobank.labels.geometry import RESOLUTIONS, LabelDoesNotFit
from biobank.labels.layout import compose
from biobank.labels.pdf import Page, SheetStock, StartOutsideSheet
from biobank.labels.render import MEDIA_TYPES, Format, UnknownFormat, render, render_accompanying_sheet, render_roll, render_sheet
from biobank.labels.statements import Region, Statement, StatementPolicy, required_statements
from tests.labels.reading import decoded, pdf_pages, pdf_texts, raster
from tests.labels.samples import DONOR, HOST, sample, sample_for

VIAL = catalogue()["cryovial-25x13"]
BAG = catalogue()["cryobag-76x38"]
BOX = catalogue()["box-50x25"]
ENTRY = catalogue()["accompanying-180x60"]


def test_every_format_has_a_media_type_and_others_are_refused() -> None:
    assert set(MEDIA_TYPES) == set(Format)
    for fmt in ("gif", "PNG", ""):
        with pytest.raises(UnknownFormat, match="png, svg, pdf, zpl") as refused:
            render(VIAL, sample(VIAL), fmt, 300, host=HOST)
        assert refused.value.status == 406


@pytest.mark.parametrize("dpi", RESOLUTIONS)
def test_pdf_text_can_be_searched_and_holds_the_statements(dpi: int) -> None:
    (text,) = pdf_texts(render(BAG, sample(BAG), "pdf", dpi, host=HOST))
    flat = " ".join(text.split())
    assert sample(BAG).code.text in flat
    assert "FOR AUTOLOGOUS USE ONLY" in flat
    assert "NOT EVALUATED FOR INFECTIOUS SUBSTANCES" in flat


def test_svg_pins_every_width_and_needs_no_style_script_or_id() -> None:
    content = render(BAG, sample(BAG), "svg", 300, host=HOST)
    root = ElementTree.fromstring(content)
    layout = compose(BAG, sample(BAG), 300, HOST)
    texts = list(root.iter("{http://www.w3.org/2000/svg}text"))
    assert [text.text for text in texts] == [run.text for run in layout.texts]
    assert [int(text.attrib["textLength"]) for text in texts] == [run.width_dots for run in layout.texts]
    assert {element.tag.split("}")[1] for element in root.iter()} == {"svg", "title", "rect", "path", "g", "text"}
    assert not any({"id", "style", "class"} & set(element.attrib) for element in root.iter())
    assert root.attrib["width"] == "75.946mm"  # the 897 whole dots inside 76 mm


def test_svg_escapes_text() -> None:
    data = replace(sample(BOX), title='<script>alert("1")</script> & more')
    content = render(BOX, data, "svg", 300, host=HOST)
    assert b"<script" not in content
    shown = "".join(ElementTree.fromstring(content).itertext())
    assert '<script>alert("1")</script>' in shown


@pytest.mark.parametrize("title", ["^XZ^XA^FDevil", "~JR reset", "back\\slash", "under_score", "Zürich 5°"])
def test_zpl_commands_in_a_text_are_printed_and_never_obeyed(title: str) -> None:
    content = render(BOX, replace(sample(BOX), title=title), "zpl", 300, host=HOST)
    commands = re.findall(rb"[\^~][A-Z][A-Z0-9]", content)
    assert commands.count(b"^XA") == commands.count(b"^XZ") == 1
    assert b"~" not in content
    assert b"\\" not in content
    assert content.isascii()
    fields = re.findall(rb"\^FH_\^FD(.*?)\^FS", content)
    unescaped = [re.sub(rb"_([0-9A-F]{2})", lambda match: bytes.fromhex(match[1].decode()), field).decode() for field in fields]
    assert title.split()[0] in " ".join(unescaped)
    assert unescaped == [run.text for run in compose(BOX, replace(sample(BOX), title=title), 300, HOST).texts]


def test_zpl_asks_for_no_text_larger_than_the_layout_allows() -> None:
    for template in catalogue().values():
        for dpi in RESOLUTIONS:
            runs = compose(template, sample(template), dpi, HOST).texts
            content = render(template, sample(template), "zpl", dpi, host=HOST).decode()
            sizes = [tuple(map(int, size)) for size in re.findall(r"\^A0[NR],(\d+),(\d+)", content)]
            assert [height for height, _ in sizes] == [run.em_dots for run in runs]
            assert all(0.6 * height < width <= height for height, width in sizes)


def test_zpl_of_a_wristband_is_turned_so_that_the_long_side_is_fed() -> None:
    band = catalogue()["wristband-254x25"]
    content = render(band, sample(band), "zpl", 203, host=HOST)
    assert b"^PW203^LL2030" in content
    assert b"^A0R," in content
    upright = raster("zpl", content, 203).rotate(90, expand=True)
    flat = raster("svg", render(band, sample(band), "svg", 203, host=HOST), 203)
    assert upright.tobytes() == flat.tobytes()


def test_a_roll_has_one_page_or_format_per_label_in_order() -> None:
    labels = [sample(VIAL, number) for number in range(5)]
    pages = pdf_pages(render_roll(VIAL, labels, "pdf", 300, host=HOST), 300)
    expected = [[compose(VIAL, data, 300, HOST).payload] for data in labels]
    assert [decoded(page) for page in pages] == expected
    stream = render_roll(VIAL, labels, "zpl", 300, host=HOST)
    parts = [part + b"^XZ" for part in stream.split(b"^XZ")[:-1]]
    assert [decoded(raster("zpl", part, 300)) for part in parts] == expected
    with pytest.raises(UnknownFormat):
        render_roll(VIAL, labels, "png", 300, host=HOST)


@pytest.mark.parametrize("page", Page)
def test_a_sheet_holds_every_label_and_starts_where_the_last_one_ended(page: Page) -> None:
    stock = SheetStock.filling(page, VIAL)
    labels = [sample(VIAL, number) for number in range(stock.labels + 3)]
    content = render_sheet(VIAL, labels, host=HOST, page=page, first_cell=stock.labels - 2)
    pages = pdf_pages(content, 400)
    read = [sorted(decoded(picture)) for picture in pages]
    payloads = [compose(VIAL, data, 600, HOST).payload for data in labels]
    assert [len(found) for found in read] == [2, stock.labels, 1]
    assert list(itertools.chain(*read)) == sorted(payloads[:2]) + sorted(payloads[2:-1]) + payloads[-1:]
    assert pages[0].size == tuple(-(-points * 400 // 72) for points in page.value)


def test_labels_of_a_sheet_stand_where_the_stock_has_them() -> None:
    stock = SheetStock(Page.A4, 3, 8, left_um=10_000, top_um=20_000, pitch_x_um=60_000, pitch_y_um=30_000)
    content = render_sheet(BOX, [sample(BOX, 1)], host=HOST, stock=stock, first_cell=4)
    (picture,) = pdf_pages(content, 254)  # ten pixels a millimetre
    left, top, right, bottom = picture.point(lambda value: 255 if value < 128 else 0).getbbox() or (0, 0, 0, 0)
    assert 700 <= left <= right <= 700 + 500
    assert 500 <= top <= bottom <= 500 + 250


def test_a_start_outside_the_sheet_and_a_label_larger_than_the_page_are_refused() -> None:
    stock = SheetStock.filling(Page.A4, VIAL)
    for first_cell in (-1, stock.labels):
        with pytest.raises(StartOutsideSheet, match=f"0 to {stock.labels - 1}"):
            render_sheet(VIAL, [sample(VIAL)], host=HOST, first_cell=first_cell)
    band = catalogue()["wristband-254x25"]
    with pytest.raises(LabelDoesNotFit, match="larger than a page"):
        render_sheet(band, [sample(band)], host=HOST)


def test_the_accompanying_sheet_has_every_statement_in_full() -> None:
    policy = StatementPolicy(regions=frozenset(Region), name_reactive_agents=True, advise_recipient=True)
    needed = required_statements(Evaluation(reactive_for=("HBV", "HCV")), policy, DONOR)
    labels = [replace(sample_for(Prefix.ADIPOSE, number), statements=needed) for number in range(6)]
    assert compose(VIAL, labels[0], 300, HOST).on_sheet
    content = render_accompanying_sheet(ENTRY, labels, host=HOST)
    texts = [" ".join(text.split()) for text in pdf_texts(content)]
    assert len(texts) == 2
    for data in labels:
        assert sum(data.code.text in text for text in texts) == 1
    for statement in needed:
        assert sum(text.count(statement.text) for text in texts) == len(labels)
    read = [payload for page in pdf_pages(content, 300) for payload in decoded(page)]
    assert sorted(read) == sorted(compose(ENTRY, data, 600, HOST).payload for data in labels)


def test_statements_too_long_even_for_the_sheet_are_refused() -> None:
    endless = tuple(Statement("own", f"{number} " + "WORDS " * 19, "test", verified=True) for number in range(30))
    with pytest.raises(LabelDoesNotFit, match="accompanying sheet"):
        render_accompanying_sheet(ENTRY, [replace(sample_for(Prefix.ADIPOSE), statements=endless)], host=HOST)
