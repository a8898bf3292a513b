"""Deviations and their files."""

import base64
import hashlib
from typing import Any

import pytest

from tests.conftest import Api
from tests.withdrawals.stories import a_story, kinds_of, refused, sign_and_post


def opened(api: Api, **more: Any) -> Any:
    """A technician opens a deviation."""
    body = {"severity": "major", "topic": "tank_low", "site": "LAB", "description": "Level fell at night."} | more
    return api.lab_tech.post("/deviations", json=body)


def stored(api: Api, data: bytes = b"%PDF-1.7 logger", **more: Any) -> Any:
    """A technician stores a file."""
    body = {"media_type": "application/pdf", "content": base64.b64encode(data).decode(), "site": "LAB"} | more
    return api.lab_tech.post("/attachments", json=body)


CLOSING = {"cause": "auto_fill_failed", "decision": "no_effect_shown", "corrective_action": "Valve replaced."}


def test_a_deviation_is_opened_by_whoever_sees_it_and_closed_by_quality(api: Api) -> None:
    story = a_story(api)
    sha = stored(api).json()["sha256"]
    answer = opened(api, affected=[{"kind": "specimen", "id": story.vials[0]}], attachments=[sha])
    assert answer.status_code == 201, answer.text
    code = answer.json()["code"]
    assert code.startswith("DV-")

    refused(api.lab_tech.post(f"/deviations/{code}/close", json=CLOSING), 403, "not_permitted")
    cleared = {"disposition": "cleared", "reason": "not_affected"}
    assert sign_and_post(api.quality, "decided", f"/deviations/{code}/dispositions", cleared).status_code == 200
    refused(api.quality.post(f"/deviations/{code}/close", json=CLOSING), 428, "signature_required")
    closed = sign_and_post(api.quality, "closed", f"/deviations/{code}/close", CLOSING)

    assert closed.status_code == 200, closed.text
    assert kinds_of(api, "system", code) == [
        "system.deviation_opened",
        "system.units_disposed",
        "system.deviation_closed",
    ]
    detail = api.quality.get(f"/deviations/{code}").json()
    assert (detail["description"], detail["corrective_action"]) == ("Level fell at night.", "Valve replaced.")
    assert (detail["attachments"], detail["affected"][0]["id"]) == ([sha], story.vials[0])
    refused(sign_and_post(api.quality, "closed", f"/deviations/{code}/close", CLOSING), 409, "deviation_closed")
    assert api.quality.get("/deviations", params={"open": True}).json()["items"] == []


def test_deviations_of_other_sites_are_not_found(api: Api) -> None:
    code = opened(api).json()["code"]
    refused(api.north_tech.get(f"/deviations/{code}"), 404, "not_found")
    assert api.north_tech.get("/deviations").json()["items"] == []
    assert [d["code"] for d in api.auditor.get("/deviations").json()["items"]] == [code]
    refused(opened(api, site="NORTH"), 404, "not_found")
    refused(opened(api, affected=[{"kind": "specimen", "id": "AD26-0000000"}]), 404, "not_found")


def test_a_deviation_about_a_withdrawal_needs_one_you_may_see(api: Api) -> None:
    story = a_story(api).up_to("request")
    affected = [{"kind": "withdrawal", "id": story.code}]
    assert opened(api, affected=affected).status_code == 201
    body = {"severity": "minor", "topic": "other", "site": "NORTH", "description": "x", "affected": affected}
    refused(api.north_tech.post("/deviations", json=body), 404, "not_found")


def test_deviations_are_listed_page_by_page(api: Api) -> None:
    codes = [opened(api).json()["code"] for _ in range(3)]
    first = api.quality.get("/deviations", params={"limit": 2}).json()
    second = api.quality.get("/deviations", params={"limit": 2, "after": first["next"]}).json()
    assert [d["code"] for d in first["items"] + second["items"]] == codes[::-1]


def test_a_file_is_kept_encrypted_and_comes_back_by_its_hash(api: Api) -> None:
    data = b"temperature;-196\n" * 1000
    answer = stored(api, data, media_type="text/csv")
    sha = answer.json()["sha256"]
    assert (answer.status_code, sha, answer.json()["size_bytes"]) == (201, hashlib.sha256(data).hexdigest(), len(data))

    read = api.quality.get(f"/attachments/{sha}")

    assert (read.content, read.headers["content-type"].split(";")[0]) == (data, "text/csv")
    assert read.headers["content-disposition"] == f'attachment; filename="{sha[:16]}"'
    assert read.headers["x-content-type-options"] == "nosniff"
    (path,) = (api.test_bank.bank.settings.state_dir / "attachments" / sha[:2]).iterdir()
    assert b"temperature" not in path.read_bytes()
    assert stored(api, data, media_type="text/csv").json() == answer.json()


def test_a_file_of_another_site_is_not_found(api: Api) -> None:
    sha = stored(api).json()["sha256"]
    refused(api.north_tech.get(f"/attachments/{sha}"), 404, "not_found")
    refused(api.quality.get(f"/attachments/{'00' * 32}"), 404, "not_found")


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"content": "!!!!"}, 422, "malformed_request"),
        ({"content": "AAAAA"}, 422, "malformed_request"),
        ({"media_type": "text/html"}, 422, "malformed_request"),
        ({"donor": "DN-0000000"}, 404, "not_found"),
        ({"site": "NORTH"}, 403, "not_permitted"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(api: Api, changes: dict[str, Any], status: int, code: str) -> None:
    refused(stored(api, **changes), status, code)


def test_ten_megabytes_are_kept_and_more_is_refused(api: Api) -> None:
    whole = b"x" * (10 * 1024 * 1024)
    assert stored(api, whole).status_code == 201
    assert stored(api, whole + b"y" * 3).status_code == 422


def test_a_hash_that_was_never_stored_is_no_attachment(api: Api) -> None:
    refused(opened(api, attachments=["0f" * 32]), 409, "attachment_unknown")
