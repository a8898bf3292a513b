"""Tubes in somebody's hands, for tests of hand-overs and shipments."""

from typing import Any

import httpx
from sqlalchemy import text
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.auth.actor import SYSTEM
from biobank.custody.events import Received
from biobank.custody.recording import NOW, Move, record
from biobank.custody.snapshots import load
from biobank.specimens.events import Frozen
from tests import seed
from tests.conftest import Api, Client, TestBank
from tests.factories import make_donor, make_specimen

EVERYONE = {name: person.code for name, person in seed.USERS.items()}


def stage(bank: TestBank) -> Act:
    """An act that may do everything, for setting the stage."""
    return Act.of(SYSTEM, bank.bank, path="test")


def tubes(
    api: Api, count: int = 1, *, holder: str = "lab_tech", site: str = "LAB", frozen: bool = False, **fields: Any
) -> list[str]:
    """Specimens received at `site` by `holder`, who holds them."""
    act, theirs = stage(api.test_bank), api.test_bank.act(holder)

    def work(session: Session) -> list[str]:
        donor, codes = make_donor(session), []
        for _ in range(count):
            specimen = make_specimen(session, act, donor=donor, **fields)
            record(session, theirs, [Move(specimen, Received(site=site), site=site)], NOW)
            if frozen:
                cold = Frozen(programme="CRF-1", cryoprotectant="DMSO 10 %", cryoprotectant_contact_s=300)
                record(session, act, [Move(load(session, [specimen.code])[specimen.code], cold)], NOW)
            codes.append(specimen.code)
        return sorted(codes)

    return api.test_bank.write(work)  # type: ignore[no-any-return]


def now_of(api: Api, code: str) -> dict[str, Any]:
    """The projection of a specimen, and its sequence."""

    def read(session: Session) -> dict[str, Any]:
        specimen = load(session, [code])[code]
        return specimen.projection.columns() | {"seq": specimen.seq}

    return api.test_bank.write(read)  # type: ignore[no-any-return]


def as_seen(api: Api, codes: list[str]) -> list[dict[str, Any]]:
    """The specimens of a request, with the sequences they stand at."""
    return [{"specimen": code, "expected_seq": now_of(api, code)["seq"]} for code in codes]


def kinds_of(api: Api, stream: str, code: str) -> list[str]:
    """The kinds of a stream's events, oldest first."""
    statement = text("SELECT kind FROM event WHERE stream_kind = :stream AND stream_id = :id ORDER BY seq")
    return api.test_bank.write(lambda s: list(s.execute(statement, {"stream": stream, "id": code}).scalars()))  # type: ignore[no-any-return]


def offer(api: Api, client: Client, codes: list[str], to_kind: str, to_id: str, **more: Any) -> httpx.Response:
    """Offer specimens, having just looked at them."""
    return client.post("/handovers", json={"specimens": as_seen(api, codes), "to_kind": to_kind, "to_id": to_id} | more)


def offered(api: Api, codes: list[str], to: str = "lab_tech2", **more: Any) -> str:
    """An offer by the technician that stands; return its id."""
    answer = offer(api, api.lab_tech, codes, "user", EVERYONE[to], **more)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["id"])


def ship(api: Api, client: Client, codes: list[str], **changes: Any) -> httpx.Response:
    """Send specimens from LAB to NORTH."""
    body = {
        "from_site": "LAB",
        "to_site": "NORTH",
        "specimens": as_seen(api, codes),
        "courier": "CRYOGO",
        "evidence": "CG 4711",
        "shipper": seed.SHIPPER,
    } | changes
    return client.post("/shipments", json=body)


def shipped(api: Api, codes: list[str], **changes: Any) -> str:
    """A shipment that left; return its code."""
    answer = ship(api, api.lab_tech, codes, **changes)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["code"])


def refused(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """Insist on a refusal and return its document."""
    document: dict[str, Any] = answer.json()
    assert (answer.status_code, document.get("code")) == (status, code), answer.text
    return document
