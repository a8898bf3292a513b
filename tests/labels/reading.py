"""Reading labels back: each format is rasterised by code that is not ours or shares nothing with the writers."""

import io
import random
import re
from xml.etree import ElementTree

import pypdfium2
import zxingcpp
from PIL import Image, ImageDraw, ImageFilter

SVG = "{http://www.w3.org/2000/svg}"


def raster(fmt: str, content: bytes, dpi: int) -> Image.Image:
    """Return the label as grey pixels. SVG and ZPL: symbols only, one pixel per dot."""
    if fmt == "png":
        return Image.open(io.BytesIO(content)).convert("L")
    if fmt == "pdf":
        return pdf_pages(content, dpi)[0]
    return svg_symbols(content) if fmt == "svg" else zpl_symbols(content)


def pdf_pages(content: bytes, dpi: int) -> list[Image.Image]:
    document = pypdfium2.PdfDocument(content)
    return [page.render(scale=dpi / 72).to_pil().convert("L") for page in document]


def pdf_texts(content: bytes) -> list[str]:
    document = pypdfium2.PdfDocument(content)
    return [page.get_textpage().get_text_range() for page in document]


def svg_symbols(content: bytes) -> Image.Image:
    root = ElementTree.fromstring(content)
    _, _, width, height = map(int, root.attrib["viewBox"].split())
    picture = Image.new("L", (width, height), 128)
    draw = ImageDraw.Draw(picture)
    for ground in root.iter(f"{SVG}rect"):
        assert ground.attrib["fill"] == "#fff"
        draw.rectangle((0, 0, int(ground.attrib["width"]), int(ground.attrib["height"])), fill=255)
    for ground in root.iter(f"{SVG}circle"):
        assert ground.attrib["fill"] == "#fff"
        x, y, r = (float(ground.attrib[key]) for key in ("cx", "cy", "r"))
        draw.ellipse((x - r, y - r, x + r, y + r), fill=255)
    for path in root.iter(f"{SVG}path"):
        drawn = 0
        for run in re.finditer(r"M(\d+) (\d+)h(\d+)v(\d+)h-(\d+)z", path.attrib["d"]):
            x, y, w, h, back = map(int, run.groups())
            assert back == w
            draw.rectangle((x, y, x + w - 1, y + h - 1), fill=0)
            drawn += len(run[0])
        assert drawn == len(path.attrib["d"])
    return picture


def zpl_graphics(content: bytes) -> list[tuple[int, int, Image.Image]]:
    """Return (x, y, bitmap) of every ^GFA; dark dots are black."""
    found = []
    for graphic in re.finditer(rb"\^FO(\d+),(\d+)\^GFA,(\d+),(\d+),(\d+),([0-9A-F]+)\^FS", content):
        x, y, total, again, per_row = (int(graphic[index]) for index in range(1, 6))
        data = bytes.fromhex(graphic[6].decode())
        assert total == again == len(data)
        assert total % per_row == 0
        bitmap = Image.frombytes("1", (per_row * 8, total // per_row), data).convert("L")
        found.append((x, y, bitmap.point(lambda value: 255 - value)))
    return found


def zpl_size(content: bytes) -> tuple[int, int]:
    size = re.search(rb"\^PW(\d+)\^LL(\d+)", content)
    assert size
    return int(size[1]), int(size[2])


def zpl_symbols(content: bytes) -> Image.Image:
    picture = Image.new("L", zpl_size(content), 255)
    for x, y, bitmap in zpl_graphics(content):
        picture.paste(bitmap, (x, y))
    return picture


def decoded(picture: Image.Image) -> list[str]:
    """Return the text of every symbol that an independent decoder finds."""
    return [found.text for found in zxingcpp.read_barcodes(picture)]


def photographed(picture: Image.Image, dpi: int, pixels_per_mm: int = 15) -> Image.Image:
    """Return the label as a camera sees it, on a mid-grey bench."""
    scale = pixels_per_mm * 25.4 / dpi
    size = (round(picture.width * scale), round(picture.height * scale))
    label = picture.resize(size, Image.Resampling.BICUBIC)
    bench = Image.new("L", (label.width + 120, label.height + 120), 110)
    bench.paste(label, (60, 60))
    return bench


def rotated(picture: Image.Image, seed: int) -> Image.Image:
    angle = random.Random(seed).uniform(15, 345)
    return picture.rotate(angle, Image.Resampling.BICUBIC, expand=True, fillcolor=110)


def frosted(picture: Image.Image, seed: int, strength: float = 0.6) -> Image.Image:
    """Cover with an uneven white haze whose mean opacity is `strength`."""
    source = random.Random(seed)
    grains = Image.new("L", (max(2, picture.width // 40), max(2, picture.height // 40)))
    grains.putdata([round(255 * source.uniform(strength - 0.12, strength + 0.12)) for _ in range(grains.width * grains.height)])
    haze = grains.resize(picture.size, Image.Resampling.BICUBIC)
    return Image.composite(Image.new("L", picture.size, 230), picture, haze)


def blurred(picture: Image.Image, millimetres: float = 0.08, pixels_per_mm: int = 15) -> Image.Image:
    return picture.filter(ImageFilter.GaussianBlur(millimetres * pixels_per_mm))
