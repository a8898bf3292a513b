"""A text names the same tube, or none, whichever way it comes in: one table of texts, every way tried with each."""

import io
from collections.abc import Callable
from functools import wraps

import pytest
import qrcode

from biobank.foundation.errors import Refusal
from biobank.pages.ui.posted import Form
from biobank.pages.ui.scanned import with_codes, with_scans
from biobank.specimens.resolving import tube_named
from tests.conftest import Api
from tests.scanning.test_lists import Send, a_box, send
from tests.shipping.stories import tubes

__all__ = ["send"]
Way = Callable[[Api, Send, list[str]], list[str | None]]


def each(way: Callable[[Api, Send, str], str | None]) -> Way:
    """One text after the other."""

    @wraps(way)
    def all_of(api: Api, send: Send, texts: list[str]) -> list[str | None]:
        return [way(api, send, text) for text in texts]

    return all_of


@each
def over_rest(api: Api, _send: Send, text: str) -> str | None:
    answer = api.lab_tech.post("/scans", json={"text": text})
    assert answer.status_code in (200, 404, 409, 422), answer.text
    return answer.json()["code"] if answer.status_code == 200 else None


@each
def through_the_find_box(_api: Api, send: Send, text: str) -> str | None:
    visitor = send.visitors["lab_tech"]  # type: ignore[attr-defined]
    answer = visitor.get("/find", params={"q": text}, follow_redirects=False)
    return answer.headers["location"].removeprefix("/specimens/") if answer.status_code == 303 else None


def rows(send: Send, **fields: object) -> list[str | None]:
    return [row["code"] for row in send("lab_tech", "list", **fields).json()["rows"]]


def shot_into_the_list(_api: Api, send: Send, texts: list[str]) -> list[str | None]:
    return rows(send, line=[f"|{text}" for text in texts])


def pasted(_api: Api, send: Send, texts: list[str]) -> list[str | None]:
    return rows(send, codes="\n".join(texts))


def in_a_racks_file(_api: Api, send: Send, texts: list[str]) -> list[str | None]:
    visitor = send.visitors["lab_tech"]  # type: ignore[attr-defined]
    token = visitor.get("/scan").text.split('name="csrf-token" content="')[1].split('"')[0]
    data = "\n".join(["Position;Code", *(f"{'ABCDEFGH'[n // 12]}{n % 12 + 1};{text}" for n, text in enumerate(texts))]).encode()
    answer = visitor.post("/scan/file", content=data, headers={"X-CSRF-Token": token, "Accept": "application/json"})
    assert answer.status_code == 200, answer.text
    return rows(send, line=answer.json()["lines"])


@each
def by_camera(api: Api, send: Send, text: str) -> str | None:
    code = qrcode.QRCode(error_correction=qrcode.constants.ERROR_CORRECT_L, mask_pattern=3, border=4, box_size=6)
    code.add_data(text.encode(), optimize=0)
    code.make()
    held = io.BytesIO()
    code.make_image().get_image().convert("L").save(held, "JPEG")
    answer = api.lab_tech.post("/scans/decode", content=held.getvalue(), headers={"Content-Type": "image/jpeg"})
    return over_rest(api, send, [answer.json()["text"]])[0]


@each
def in_a_count(api: Api, _send: Send, text: str) -> str | None:
    answer = api.lab_tech.post("/counts", json={"container": a_box(api, name=str(id(text))), "scanned": [text]})
    assert answer.status_code == 201, answer.text
    found = answer.json()["misplaced"]
    return found[0] if found else None


@each
def in_a_field_of_a_form(api: Api, _send: Send, text: str) -> str | None:
    bank = api.test_bank
    actor = bank.actor("lab_tech")
    try:
        form = bank.write(lambda s: with_codes(s, actor, Form([("about", text)]), ["about"], bank.bank.settings))
    except Refusal:
        return None
    return str(form["about"])


@each
def at_the_bedside_or_an_arrival(api: Api, _send: Send, text: str) -> str | None:
    try:
        return str(api.test_bank.write(lambda s: tube_named(s, text, api.test_bank.bank.settings)))
    except Refusal:
        return None


WAYS: list[Way] = [
    over_rest,
    through_the_find_box,
    shot_into_the_list,
    pasted,
    in_a_racks_file,
    by_camera,
    in_a_count,
    in_a_field_of_a_form,
    at_the_bedside_or_an_arrival,
]

OURS = [
    "{tube}",
    "HTTPS://BANK.EXAMPLE/S/{tube}",
    "]Q1HTTPS://bAnK.eXaMpLe./S/{tube}",
    "]d2{tube}",
    "\ufeff{tube}",
    '"{tube}"',
    "\u201c{tube}\u201d",
    "\u202d{tube}\u202c",
    "{head} {tail}",
    "{head}{tail}",
    "{head}\u2013{tail}",
    "{head}\u2011{tail}",
    "{tube}\u200b",
    "https%3A%2F%2Fbank.example%2FS%2F{tube}",
    "https://bank.example/S/{head}%2D{tail}",
    "{lower}",
]
OTHERS = {
    "FAT 0042/b": ["FAT 0042/b", "fat 0042/B", "\ufeffFAT  0042/b", "]C0FAT 0042/b", '"FAT 0042/b"', "FAT\u00a00042/b"],
    "a12345678": ["a12345678", "A12345678", "]C0a12345678"],
    "FOOBAR": ["FOOBAR", "foobar"],
    "17": ["17"],
}
NOBODYS = [
    "https://other.example/S/{tube}",
    "HTTPS://OTHER.EXAMPLE/S/{tube}",
    "https%3A%2F%2Fother.example%2FS%2F{tube}",
    "https://other.example/tubes/{tube}",
    "https://bank.example.other.example/S/{tube}",
    "FX0099",
    "{misread}",
    "\u0410{tail}",
]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_a_text_names_the_same_tube_whichever_way_it_comes(api: Api, send: Send, way: Way) -> None:
    tube, *known = tubes(api, 1 + len(OTHERS))
    for code, value in zip(known, OTHERS, strict=True):
        seq = api.lab_tech.get(f"/specimens/{code}").json()["custody"]["seq"]
        body = {"issuer": "legacy", "value": value, "expected_seq": seq}
        assert api.lab_tech.post(f"/specimens/{code}/aliases", json=body).status_code == 201
    send("lab_tech", "list")  # signs in
    head, tail = tube.split("-")
    parts = {"tube": tube, "head": head, "tail": tail, "lower": tube.lower(), "misread": tube[:-1] + "AB"[tube[-1] == "A"]}
    expected: dict[str, str | None] = {text.format(**parts): tube for text in OURS}
    expected |= {text: code for code, texts in zip(known, OTHERS.values(), strict=True) for text in texts}
    expected |= {text.format(**parts): None for text in NOBODYS}

    found = dict(zip(expected, way(api, send, list(expected)), strict=True))

    assert {text: code for text, code in found.items() if code != expected[text]} == {}


def test_a_list_of_what_is_in_a_place_takes_codes_identifiers_and_a_readers_file(api: Api) -> None:
    a, b, old = tubes(api, 3)
    box = a_box(api)
    seq = api.lab_tech.get(f"/specimens/{old}").json()["custody"]["seq"]
    body = {"issuer": "legacy", "value": "FAT 0042, b", "expected_seq": seq}
    assert api.lab_tech.post(f"/specimens/{old}/aliases", json=body).status_code == 201
    bank = api.test_bank
    actor = bank.actor("lab_tech")

    def scans(typed: str) -> list[str]:
        form = Form([("scanned", typed), ("reason", f"{a} {b}")])
        read = bank.write(lambda s: with_scans(s, actor, form, ["scanned"], bank.bank.settings))
        assert read["reason"] == f"{a} {b}"
        return list(read.lines_of("scanned"))

    assert scans(f"Well;Code\nA01;{a}\nA02;NO READ\nA03;NO TUBE\nA04;{b}\n") == [a, "NO READ", b]
    assert scans(f"{a} {b}\r\n{box}") == [a, b, box]
    assert scans(f"{a},{b}\nNOT OURS 17\nFAT 0042, b") == [a, b, "FAT 0042, b", "NOT OURS 17"]
    assert scans("") == []
    found = api.lab_tech.post(
        "/counts", json={"container": box, "scanned": ["fat 0042, B", f"https://other.example/S/{a}"]}
    ).json()
    assert (found["misplaced"], found["extra"]) == ([old], [f"https://other.example/S/{a}"])
