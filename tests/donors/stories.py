"""Short stories over HTTP that the donor tests begin with."""

import itertools
from typing import Any

import httpx

from tests import seed
from tests.conftest import Api, Client
from tests.signing import signed

MARY: dict[str, Any] = {
    "clinic_site": "CLINIC",
    "family_name": "Quillfeather-Ørsted",
    "given_names": "Marýa Ann",
    "date_of_birth": "1961-07-23",
    "sex": "female",
    "external_ids": [{"issuer": "CITY-HOSPITAL", "value": "MRN 778-1234"}],
    "contact": {"phone": "+44 20 7946 0123", "email": "marya@quillfeather.example", "address": "7 Zephyrine Row"},
}
STATED: dict[str, Any] = {
    "name": {"family_name": "QUILLFEATHER ORSTED", "given_names": "Marya"},
    "date_of_birth": "1961-07-23",
}


_numbers = itertools.count(1)


def of_hospital(number: int) -> dict[str, str]:
    """An identifier that nobody else has."""
    return {"issuer": "CITY-HOSPITAL", "value": f"MRN 900-{number}"}


def register(client: Client, **changes: Any) -> str:
    """Register Mary, or somebody else, and return the donor code. A second Mary is a namesake with a number of her own."""
    answer = client.post("/donors", json=MARY | changes)
    if answer.status_code == 409 and "external_ids" not in changes:
        answer = client.post("/donors", json=MARY | {"external_ids": [of_hospital(next(_numbers))]} | changes)
    assert answer.status_code == 201, answer.text
    code: str = answer.json()["donor"]
    return code


def consent(client: Client, donor: str, kind: str = "banking", **changes: Any) -> httpx.Response:
    """Record a consent."""
    body = {
        "kind": kind,
        "form_version": "B-3.1",
        "document_sha256": "ab" * 32,
        "given_at": "2026-01-05T09:00:00Z",
        "witnessed_by": seed.USERS["clinic_staff"].code,
    }
    return client.post(f"/donors/{donor}/consents", json=body | changes)


def died(client: Client, donor: str, **changes: Any) -> httpx.Response:
    """Record a death."""
    body = {"died_on": "2026-01-06", "source": "hospital"}
    return client.post(f"/donors/{donor}/death", json=body | changes)


def half(client: Client, donor: str, purpose: str = "wristband", **changes: Any) -> httpx.Response:
    """Record one person's half of an identification."""
    body = {"purpose": purpose, "stated": STATED, "document_kind": "passport"}
    return client.post(f"/donors/{donor}/identifications", json=body | changes)


def identified(api: Api, donor: str, purpose: str = "wristband", **changes: Any) -> str:
    """Let two people identify the donor; return the identification's id."""
    first = half(api.clinician, donor, purpose, **changes)
    assert first.status_code == 201, first.text
    second = half(api.clinic_staff, donor, purpose, pending=first.json()["identification"], **changes)
    assert (second.status_code, second.json()["state"]) == (201, "completed"), second.text
    identification: str = second.json()["identification"]
    return identification


def band(api: Api, donor: str) -> str:
    """Identify the donor and put a band on."""
    answer = api.clinician.post("/wristbands", json={"identification": identified(api, donor)})
    assert answer.status_code == 201, answer.text
    code: str = answer.json()["wristband"]
    return code


def erase(client: Client, donor: str, **members: Any) -> httpx.Response:
    """Sign and send one half of an erasure."""
    body = {"reason": "asked_by_donor"} | members
    return client.post(f"/donors/{donor}/erase", json=signed(client, "erased", f"/donors/{donor}/erase", body))


def erased_by_two(api: Api, donor: str) -> httpx.Response:
    """Let two people of quality sign an erasure; return the answer to the second."""
    first = erase(api.quality, donor)
    assert (first.status_code, first.json()["status"]) == (200, "pending"), first.text
    return erase(api.quality2, donor, pending_act=first.json()["pending_act"])


def kinds(api: Api, donor: str) -> list[str]:
    """The kinds of the donor's events, oldest first."""

    def read(session: Any) -> list[str]:
        from sqlalchemy import text

        rows = session.execute(
            text("SELECT kind FROM event WHERE stream_kind = 'donor' AND stream_id = :donor ORDER BY seq"), {"donor": donor}
        )
        return list(rows.scalars())

    found: list[str] = api.test_bank.write(read)
    return found
