"""Every template, in every format and at every resolution, read back by an independent decoder."""

import math

import pytest
from PIL import Image, ImageChops, ImageDraw

from biobank.foundation.codes import resolve_payload
from biobank.labels.catalogue import catalogue
from biobank.labels.geometry import MIN_MODULE_UM, RESOLUTIONS, Shape
from biobank.labels.layout import Layout, compose
from biobank.labels.png import png
from biobank.labels.render import Format, render
from biobank.labels.template import Template
from tests.labels.reading import blurred, decoded, frosted, photographed, raster, rotated, zpl_graphics, zpl_size
from tests.labels.samples import HOST, sample

TEMPLATES = list(catalogue().values())
by_template = pytest.mark.parametrize("template", TEMPLATES, ids=lambda template: template.name)
by_dpi = pytest.mark.parametrize("dpi", RESOLUTIONS)


def test_the_templates_of_the_plan_are_there() -> None:
    assert {"cryovial-25x13", "cap-9", "cap-11", "cryobag-76x38", "box-50x25", "position-38x13"} <= set(catalogue())
    assert {"wristband-254x25", "badge-86x54", "kit-76x51", "accompanying-180x60"} <= set(catalogue())
    assert all(template.resolutions == RESOLUTIONS for template in TEMPLATES)


@by_template
@by_dpi
@pytest.mark.parametrize("fmt", Format)
def test_every_template_in_every_format_reads_back_as_its_payload(template: Template, dpi: int, fmt: Format) -> None:
    data = sample(template)
    picture = raster(fmt, render(template, data, fmt, dpi, host=HOST), dpi)
    expected = compose(template, data, dpi, HOST).payload
    assert decoded(picture) == [expected] * len(template.symbol.boxes_um)
    assert resolve_payload(expected, HOST) == data.code


@by_template
@by_dpi
@pytest.mark.parametrize("damage", ["rotation", "frost", "blur"])
def test_every_template_reads_back_rotated_frosted_and_blurred(template: Template, dpi: int, damage: str) -> None:
    layout = compose(template, sample(template), dpi, HOST)
    seen = photographed(raster("png", png(layout), dpi), dpi)
    match damage:
        case "rotation":
            seen = rotated(seen, seed=dpi)
        case "frost":
            seen = frosted(seen, seed=dpi)
        case "blur":
            seen = blurred(seen)
    assert layout.payload in decoded(seen)


@by_template
@by_dpi
def test_a_printed_module_is_whole_dots_and_never_under_a_quarter_millimetre(template: Template, dpi: int) -> None:
    content = render(template, sample(template), "zpl", dpi, host=HOST)
    side = 17 + 4 * compose(template, sample(template), dpi, HOST).version
    graphics = zpl_graphics(content)
    assert len(graphics) == len(template.symbol.boxes_um)
    for _, _, bitmap in graphics:
        left, top, right, bottom = ImageChops.invert(bitmap).getbbox() or (0, 0, 0, 0)
        assert right - left == bottom - top
        dots, rest = divmod(right - left, side)
        assert rest == 0
        assert dots * 25_400 / dpi >= MIN_MODULE_UM


@by_template
@by_dpi
def test_the_quiet_zone_is_empty_and_inside_the_label(template: Template, dpi: int) -> None:
    layout = compose(template, sample(template), dpi, HOST)
    picture = raster("png", png(layout), dpi)
    for symbol in layout.symbols:
        side = len(symbol.matrix) * symbol.module_dots
        if layout.shape is Shape.CIRCLE:
            corner = math.hypot(symbol.x_dots + side - layout.width_dots / 2, symbol.y_dots + side - layout.height_dots / 2)
            clear_modules = (template.width_um * dpi / 25_400 / 2 - corner) / symbol.module_dots
            assert clear_modules >= 3.4  # 3.5, less half a dot of centring
            continue
        quiet = 4 * symbol.module_dots
        box = (symbol.x_dots - quiet, symbol.y_dots - quiet, symbol.x_dots + side + quiet, symbol.y_dots + side + quiet)
        assert min(box) >= 0
        assert box[2] <= layout.width_dots
        assert box[3] <= layout.height_dots
        frame = picture.crop(box)
        frame.paste(255, (quiet, quiet, quiet + side, quiet + side))
        assert frame.getextrema() == (255, 255)


@by_template
@by_dpi
def test_nothing_is_printed_outside_the_margin_or_the_circle(template: Template, dpi: int) -> None:
    picture = raster("png", png(compose(template, sample(template), dpi, HOST)), dpi)
    allowed = Image.new("L", picture.size, 255)
    pen = ImageDraw.Draw(allowed)
    if template.shape is Shape.CIRCLE:
        pen.ellipse((0, 0, picture.width - 1, picture.height - 1), fill=0)
    else:
        margin = max(1, template.margin_um * dpi // 25_400)
        pen.rectangle((margin, margin, picture.width - 1 - margin, picture.height - 1 - margin), fill=0)
    outside = Image.composite(picture, Image.new("L", picture.size, 255), allowed)
    assert outside.getextrema() == (255, 255)


@by_template
@by_dpi
def test_texts_stay_in_the_label_whoever_draws_them(template: Template, dpi: int) -> None:
    layout = compose(template, sample(template), dpi, HOST)
    for run in layout.texts:
        below = run.em_dots / 4 if set(run.text) & set("gjpqy,#()/") else 1
        assert 0 <= run.x_dots <= run.x_dots + run.width_dots <= layout.width_dots
        assert run.em_dots * 0.73 <= run.baseline_dots <= layout.height_dots - below


@by_template
@by_dpi
@pytest.mark.parametrize("fmt", [Format.PNG, Format.PDF])
def test_ink_is_only_where_the_layout_has_a_symbol_or_a_text(template: Template, dpi: int, fmt: Format) -> None:
    layout = compose(template, sample(template), dpi, HOST)
    picture = raster(fmt, render(template, sample(template), fmt, dpi, host=HOST), dpi)
    pen = ImageDraw.Draw(picture)
    for symbol in layout.symbols:
        side = len(symbol.matrix) * symbol.module_dots
        left, top = symbol.x_dots, symbol.y_dots
        for x, y in ((left, top), (left + side - 2, top), (left, top + side - 2)):
            # The outer corners of the three finder patterns; the page raster may be off by a part of a dot.
            assert min(picture.crop((x, y, x + 2, y + 2)).tobytes()) < 64
        pen.rectangle((left - 1, top - 1, left + side, top + side), fill=255)
    for run in layout.texts:
        # Up to a dot more for soft edges; letters may lean out of their advance width by a twentieth of an em.
        lean = 1 + run.em_dots // 20
        box = (run.x_dots - lean, run.baseline_dots - run.em_dots, run.x_dots + run.width_dots + lean)
        pen.rectangle((*box, run.baseline_dots + run.em_dots // 3), fill=255)
    assert min(picture.tobytes()) > 128


@by_template
@by_dpi
def test_all_formats_have_the_size_of_the_stock(template: Template, dpi: int) -> None:
    data = sample(template)
    exact = (template.width_um * dpi / 25_400, template.height_um * dpi / 25_400)
    for fmt in Format:
        content = render(template, data, fmt, dpi, host=HOST)
        size = zpl_size(content) if fmt is Format.ZPL else raster(fmt, content, dpi).size
        if template.turned and fmt is Format.ZPL:
            size = (size[1], size[0])
        assert all(-1 < real - wanted <= 1 for real, wanted in zip(size, exact, strict=True)), fmt


@by_template
def test_the_same_label_gives_the_same_bytes(template: Template) -> None:
    for fmt in Format:
        first = render(template, sample(template), fmt, 300, host=HOST)
        assert render(template, sample(template), fmt, 300, host=HOST) == first


def test_two_hundred_neighbouring_codes_read_back_from_a_vial() -> None:
    vial = catalogue()["cryovial-25x13"]
    layouts: list[Layout] = [compose(vial, sample(vial, number), 203, HOST) for number in range(200)]
    assert [decoded(raster("png", png(layout), 203)) for layout in layouts] == [[layout.payload] for layout in layouts]
