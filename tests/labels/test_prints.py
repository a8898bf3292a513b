"""Numbered prints and camera frames, over HTTP; every picture is read back by a decoder we did not write."""

import io
from typing import Any

import pytest
import zxingcpp
from PIL import Image

from biobank.acts.act import Act
from biobank.auth.actor import SYSTEM
from tests.conftest import Api
from tests.factories import make_received


def a_tube(api: Api) -> str:
    act = Act.of(SYSTEM, api.test_bank.bank, path="test")
    return api.test_bank.write(lambda s: make_received(s, act).code)  # type: ignore[no-any-return]


def printed(api: Api, code: str, **fields: Any) -> dict[str, Any]:
    answer = api.lab_tech.post("/label-sheets", json={"specimens": [code], "template": "cryovial-25x13"} | fields)
    assert answer.status_code == 201, answer.text
    return answer.json()["items"][0]  # type: ignore[no-any-return]


def test_a_preview_decodes_to_the_specimens_address(api: Api) -> None:
    code = a_tube(api)

    answer = api.lab_tech.get(f"/specimens/{code}/label", params={"template": "cryovial-25x13", "format": "png"})

    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png"), answer.text
    (symbol,) = zxingcpp.read_barcodes(Image.open(io.BytesIO(answer.content)).convert("L"))
    assert symbol.text == f"HTTPS://BANK.EXAMPLE/S/{code}"


@pytest.mark.parametrize("fmt", ["png", "svg", "pdf", "zpl"])
def test_every_format_is_served(api: Api, fmt: str) -> None:
    answer = api.lab_tech.get(f"/specimens/{a_tube(api)}/label", params={"template": "cryovial-25x13", "format": fmt})

    assert answer.status_code == 200
    assert len(answer.content) > 100


def test_a_print_has_a_serial_a_reason_and_an_event(api: Api) -> None:
    code = a_tube(api)

    first = printed(api, code)
    second = printed(api, code, reason="damaged")

    assert (first["copy_number"], second["copy_number"]) == (1, 2)
    assert second["serial"] > first["serial"]
    history = api.lab_tech.get(f"/specimens/{code}/custody").json()["items"]
    assert [e["body"]["reason"] for e in history if e["kind"] == "specimen.labelled"] == ["first_print", "damaged"]
    newest, oldest = api.lab_tech.get(f"/specimens/{code}/labels").json()["items"]
    assert newest["superseded_at"] is None
    assert oldest["superseded_at"] is not None


def test_a_second_print_says_why(api: Api) -> None:
    code = a_tube(api)
    printed(api, code)

    answer = api.lab_tech.post("/label-sheets", json={"specimens": [code], "template": "cryovial-25x13"})

    assert (answer.status_code, answer.json()["code"]) == (409, "reprint_needs_reason")


@pytest.mark.parametrize(("fmt", "media"), [("pdf", "application/pdf"), ("zpl", "application/zpl"), ("sheet", "application/pdf")])
def test_the_file_of_a_print_can_be_fetched(api: Api, fmt: str, media: str) -> None:
    body = {"specimens": [a_tube(api)], "template": "cryovial-25x13", "format": fmt}
    made = api.lab_tech.post("/label-sheets", json=body).json()

    answer = api.lab_tech.get(made["file"].removeprefix("/api/v1"))

    assert (answer.status_code, answer.headers["content-type"]) == (200, media), answer.text


def test_scanning_a_label_back_verifies_it(api: Api) -> None:
    code = a_tube(api)
    serial = printed(api, code)["serial"]

    answer = api.lab_tech.post(f"/labels/{serial}/verify", json={"scanned": f"HTTPS://BANK.EXAMPLE/S/{code}"})

    assert (answer.status_code, answer.json()["verified"]) == (200, True), answer.text


def test_a_label_that_says_something_else_is_stopped_and_the_stop_is_kept(api: Api) -> None:
    code, other = a_tube(api), a_tube(api)
    serial = printed(api, code)["serial"]

    answer = api.lab_tech.post(f"/labels/{serial}/verify", json={"scanned": other})

    assert (answer.status_code, answer.json()["code"]) == (409, "label_mismatch")
    kept = api.auditor.get("/attempts", params={"subject": code}).json()["items"]
    assert [(a["code"], a["evidence"]) for a in kept] == [("label_mismatch", True)]


def test_an_outdated_label_alarms(api: Api) -> None:
    code = a_tube(api)
    old = printed(api, code)["serial"]
    printed(api, code, reason="damaged")

    answer = api.lab_tech.post(f"/labels/{old}/verify", json={"scanned": code})

    assert (answer.status_code, answer.json()["code"]) == (409, "label_superseded")


def test_a_template_for_something_else_is_refused(api: Api) -> None:
    answer = api.lab_tech.get(f"/specimens/{a_tube(api)}/label", params={"template": "wristband-254x25"})

    assert (answer.status_code, answer.json()["code"]) == (409, "label_template_unsuitable")


def test_a_camera_frame_of_our_label_is_decoded_and_resolved(api: Api) -> None:
    code = a_tube(api)
    picture = api.lab_tech.get(f"/specimens/{code}/label", params={"template": "cryovial-25x13", "dpi": "600"}).content
    frame = io.BytesIO()
    Image.open(io.BytesIO(picture)).convert("RGB").save(frame, "JPEG", quality=70)

    text = api.lab_tech.post("/scans/decode", content=frame.getvalue(), headers={"Content-Type": "image/jpeg"}).json()["text"]
    answer = api.lab_tech.post("/scans", json={"text": text})

    assert (answer.json()["kind"], answer.json()["code"], answer.json()["state"]) == ("specimen", code, "received")


@pytest.mark.parametrize("data", [b"", b"rubbish", b"\xff\xd8\xff\xe0" + b"\0" * 100])
def test_what_is_no_frame_is_malformed(api: Api, data: bytes) -> None:
    answer = api.lab_tech.post("/scans/decode", content=data, headers={"Content-Type": "image/jpeg"})

    assert (answer.status_code, answer.json()["code"]) == (422, "not_a_camera_frame")


def test_an_enormous_frame_is_refused_before_it_is_read(api: Api) -> None:
    answer = api.lab_tech.post("/scans/decode", content=b"\xff" * 400_000, headers={"Content-Type": "image/jpeg"})

    assert answer.status_code == 413


@pytest.mark.parametrize("text", ["HTTPS://OTHER.EXAMPLE/S/AD26-0000000", "AD26-000000", "scribble", "\u0000"])
def test_a_scan_of_nothing_of_ours_is_a_typed_no(api: Api, text: str) -> None:
    answer = api.lab_tech.post("/scans", json={"text": text})

    assert answer.status_code in (404, 409, 422)
    assert answer.json()["code"]
