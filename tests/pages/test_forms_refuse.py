"""Rubbish sent to a form by who may not open its page, as every role: a refusal, and no trace.

What those get who may open it: `tests/browser/test_every_form.py`.
"""

import re
from uuid import UUID

import pytest
from sqlalchemy import text

from tests import seed
from tests.conftest import Api
from tests.pages.visitor import BROWSER, Visit
from tests.specimens import stories as lab

ROLES = ("lab_tech", "clinician", "clinic_staff", "quality", "auditor", "admin")
RUBBISH = {
    "kind": "banking",
    "given_at": "yesterday",
    "family_name": "\u202e<script>",
    "date_of_birth": "1970-02-31",
    "phone": "call me",
    "purpose": "wristband",
    "document_kind": "library_card",
    "pending": "x",
    "identification": "x",
    "reason": "'; DROP TABLE donor",
    "site": "NOWHERE",
    "home_site": "CLINIC",
    "expires_at": "9999",
    "adipose_labels": "-1",
    "rows-containers": "999999",
    "rows-inputs": "2",
    "rows-outputs": "٣",
    "specimen-containers-0": "AD26-0000000",
    "amount-containers-0": "1e99",
    "what-containers-0": "gold",
    "specimen-inputs-0": "https://evil.example/S/AD26-KH0KJQL",
    "specimen-inputs-1": "US-1",
    "amount-outputs-0": "NaN",
    "process": "alchemy",
    "loss": "-1",
    "live": "1.5",
    "dead": "-1",
    "method": "guess",
    "expected_seq": "-9",
    "completes": "x",
    "result": "passed",
    "username": "A B",
    "printed_name": "\n",
    "role": "king",
    "password": seed.PASSWORD,
    "code": "a b",
    "timezone": "Mars/Base",
    "how_many": "1000000",
    "name": "",
    "parent": "PS-0000000",
    "contact_min": "-3",
    "document_sha256": "0",
    "status": "cured",
}


def pages(api: Api) -> list[str]:
    donor = lab.donor(api)
    harvest = lab.made(lab.harvest(api.clinician, donor))
    fat = harvest["specimens"][0]["code"]
    kit, user = lab.kit(api)["kit"], seed.USERS["lab_tech2"].code
    return [
        *(f"/donors/{donor}/{act}" for act in ("change", "status", "consent", "identify", "band")),
        f"/donors/{donor}/consents/{UUID(int=0)}/revoke",
        "/kits/new",
        "/harvests/new",
        f"/harvests/new?kit={kit}",
        "/processings/new?process=wash",
        "/processings/freezing",
        "/processings/thawing",
        f"/specimens/{fat}/assay",
        "/users/new",
        *(f"/users/{user}/{act}" for act in ("rename", "state", "reset", "roles/give")),
        "/sites/new",
        "/sites/LAB",
        "/storage/new",
    ]


def events_of(api: Api) -> int:
    return int(api.test_bank.write(lambda s: s.execute(text("SELECT count(*) FROM event")).scalar()))


@pytest.mark.parametrize("role", ROLES)
def test_rubbish_of_who_may_not_open_the_page_is_refused_and_leaves_no_trace(api: Api, visit: Visit, role: str) -> None:
    shut, visitor = [], visit(role)
    addresses = pages(api)
    before = events_of(api)
    for address in addresses:
        drawn = visitor.get(address, headers=BROWSER)
        assert drawn.status_code in (200, 403, 404), (address, drawn.status_code)
        if drawn.status_code == 200:
            continue
        shut.append(address)
        token = re.search(r'name="csrf_token" value="([^"]+)"', drawn.text)
        assert token is not None, address
        for number, fields in enumerate(({}, RUBBISH)):
            key = {"csrf_token": token[1], "idempotency_key": f"rubbish{address}{number}"}
            answer = visitor.post(address.partition("?")[0], data=fields | key, headers=BROWSER, follow_redirects=False)
            assert answer.status_code in (403, 404, 422), (address, answer.status_code)
            assert "<script>" not in answer.text.replace("<script type", "")
    assert len(shut) > 3
    assert events_of(api) == before
