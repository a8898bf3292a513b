"""Every route of the API with what it asks for. A new route adds its row here; `test_matrix.py` sends it as every role.

A row names the permission (None: any login), a path, and a well-formed body about things that exist in the test's `World`. A list
that is scoped asks for no permission: who may see nothing gets an empty list. `elsewhere` are roles that hold the permission but
not at the site the row is about; `also` are roles that another permission lets in. `missing` marks a path whose last thing does
not exist in the World, so that those who are allowed get a 404 as well.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any
from uuid import uuid4

from PIL import Image

from biobank.auth.permissions import Permission as P
from biobank.auth.permissions import Role
from biobank.foundation.codes import format_code
from biobank.registries.routes import ROUTERS
from tests import seed

SOME_HASH = "0" * 64
SOME_ID = str(uuid4())
A_MARKER = {
    "marker": "hbsag",
    "result": "negative",
    "sampled_at": "2026-01-01T00:00:00Z",
    "laboratory": "Laboratory",
    "kit": "Kit",
    "report_sha256": "ab" * 32,
}
SOME_TUBE = format_code("AD", 2026, 1)
SOME_BAND = format_code("WB", None, 1)
LAB_ONLY = frozenset({Role.CLINICIAN, Role.CLINIC_STAFF})
CLINIC_ONLY = frozenset({Role.LAB_TECH})


@dataclass(frozen=True)
class World:
    """What the rows are about: a specimen of a CLINIC donor that LAB received, and an empty box at LAB."""

    specimen: str
    donor: str
    last_event: str
    """The leaf hash of the specimen's receipt at LAB."""
    box: str
    own_site: str
    """A site of the caller."""
    seq: Callable[[], int]
    """The specimen's sequence now."""
    user: str = seed.USERS["north_tech"].code


@dataclass(frozen=True)
class Row:
    """One route as a caller sends it."""

    method: str
    route: str
    permission: P | None
    body: Callable[[World], dict[str, Any]] | None = None
    path: Callable[[World], dict[str, str]] = field(default=lambda _: {})
    elsewhere: frozenset[Role] = frozenset()
    also: frozenset[Role] = frozenset()
    image: bytes | None = None
    missing: bool = False


def all_routes() -> set[tuple[str, str]]:
    """Return (method, path) of every route of the application that is part of its API document."""
    return {
        (method, str(route.path))  # type: ignore[attr-defined]  # every route of our routers has a path
        for router in ROUTERS
        for route in router.routes
        if getattr(route, "include_in_schema", False)
        for method in route.methods  # type: ignore[attr-defined]  # and methods
    }


PUBLIC = {
    ("POST", "/api/v1/auth/token"),
    ("POST", "/api/v1/auth/refresh"),
    ("GET", "/api/v1/auth/passkey-challenge"),
    ("GET", "/.well-known/jwks.json"),
    ("GET", "/api/v1/log/checkpoint"),
    ("GET", "/api/v1/log/proofs/{leaf_hash}"),
    ("GET", "/api/v1/log/consistency"),
    ("POST", "/api/v1/sensor-readings"),
    ("GET", "/fhir/{release}/metadata"),
}
"""Routes that ask for no token: two that give one, what a passkey is asked, the keys to check a token with, the proofs of the
log, what the FHIR server can do, and the one that asks for the key of a sensor (`tests/monitoring/test_sensors.py`)."""


class _Slashed(str):
    """A value of a path parameter that may hold slashes (`{name:path}`)."""

    def __format__(self, spec: str) -> str:
        return str(self)


def _specimen(w: World) -> dict[str, str]:
    return {"code": w.specimen}


def _webhook(_: World) -> dict[str, str]:
    return {"code": "WH-0000000"}


def _closing(_: World) -> dict[str, str]:
    return {"closing_id": SOME_ID}


def _donor(w: World) -> dict[str, str]:
    return {"code": w.donor}


def _box(w: World) -> dict[str, str]:
    return {"code": w.box}


def _user(w: World) -> dict[str, str]:
    return {"code": w.user}


def _site(_: World) -> dict[str, str]:
    return {"code": "LAB"}


def _nothing(_: World) -> dict[str, Any]:
    return {}


def _paper(w: World) -> dict[str, Any]:
    people = {"did_by": seed.USERS["lab_tech"].code, "second": seed.USERS["lab_tech2"].code}
    said = {"reason": "network_down", "description": "No network.", "began_at": "2026-01-01T00:00:00Z"}
    return {"site": w.own_site, "form_sha256": "00" * 32} | people | said


def _blank_frame() -> bytes:
    frame = BytesIO()
    Image.new("L", (64, 64), 255).save(frame, "JPEG")
    return frame.getvalue()


def _no_kit(_: World) -> dict[str, str]:
    return {"code": "KT-0000000"}


def _no_lot(_: World) -> dict[str, str]:
    return {"code": "LT-0000000"}


def _no_session(_: World) -> dict[str, str]:
    return {"code": "BS-0000000"}


def _no_shipment(_: World) -> dict[str, str]:
    return {"code": "SH-0000000"}


def _no_handover(_: World) -> dict[str, str]:
    return {"handover_id": SOME_ID}


def _no_deviation(_: World) -> dict[str, str]:
    return {"code": "DV-0000000"}


def _no_withdrawal(_: World) -> dict[str, str]:
    return {"code": "WD26-0000000"}


SOME_GIVING: dict[str, Any] = {
    "product": SOME_TUBE,
    "release": SOME_ID,
    "given": 1,
    "residue": 0,
    "loss": 0,
    "volume_ul": 1,
    "anatomical_site": "scalp",
    "started_at": "2026-11-01T00:00:00Z",
    "reaction": False,
}


def _step(name: str, permission: P, **body: Any) -> "Row":
    """A step of a withdrawal that does not exist."""
    return Row("POST", f"/api/v1/withdrawals/{{code}}/{name}", permission, lambda _: body, _no_withdrawal, missing=True)


def _annotate(w: World) -> dict[str, Any]:
    return {"kind": "specimen.annotated", "topic": "handling", "expected_seq": w.seq()}


def _blocked(_: World) -> dict[str, Any]:
    return {"positions": ["C3"], "mark": "blocked", "reason": "damaged"}


def _alarm(_: World) -> dict[str, str]:
    return {"code": "AL-0000000"}


def _silence(_: World) -> dict[str, Any]:
    return {"until": "2026-11-29T12:00:00Z", "reason": "test"}


def _client(_: World) -> dict[str, str]:
    return {"code": "AC-0000000"}


def _a_client(_: World) -> dict[str, Any]:
    return {"name": f"Program {uuid4().hex[:8]}", "scopes": ["log:read"], "sites": [], "valid_days": 30}


def _sensor(_: World) -> dict[str, str]:
    return {"code": "SE-0000000"}


def _reads(w: World) -> dict[str, Any]:
    return {"containers": [w.box], "measures": ["temperature_mc"], "silent_after_min": 15}


def _a_sensor(w: World) -> dict[str, Any]:
    return _reads(w) | {"name": f"Probe {uuid4().hex[:8]}"}


def _answer_doubts(_: World) -> dict[str, Any]:
    return {"answer": "wrong", "reason_text": "The probe was out."}


def _rota(_: World) -> dict[str, Any]:
    return {"site": "LAB", "lines": [{"who": "lab_tech", "after_min": 0}]}


def _reading(_: World) -> dict[str, Any]:
    return {"reading": "temperature_mc", "value": -180_000}


def _consent(_: World) -> dict[str, Any]:
    return {
        "kind": "banking",
        "form_version": "1",
        "document_sha256": seed.A_FORM,
        "given_at": "2026-01-01T10:00:00Z",
        "witnessed_by": seed.USERS["clinic_staff"].code,
    }


ACTS = (
    Row("POST", "/api/v1/signatures", None, lambda _: {"password": seed.PASSWORD, "meaning": "approved", "act_hash": SOME_HASH}),
    Row("GET", "/api/v1/pending-acts", None),
    Row("POST", "/api/v1/pending-acts/{pending_act}/cancel", None, _nothing, lambda _: {"pending_act": SOME_ID}, missing=True),
)

SIGN_IN = (
    Row("GET", "/api/v1/auth/me", None),
    Row("POST", "/api/v1/auth/password", None, lambda _: {"password": seed.PASSWORD, "new_password": "short"}),
    Row("POST", "/api/v1/auth/second-factor/confirm", None, lambda _: {"second_factor": "123456"}),
    Row("POST", "/api/v1/auth/second-factor", None, lambda _: {"password": seed.PASSWORD}),
    Row("POST", "/api/v1/auth/second-factor/remove", None, lambda _: {"password": seed.PASSWORD}),
    Row("GET", "/api/v1/auth/passkeys", None),
    Row("POST", "/api/v1/auth/passkeys", None, lambda _: {"password": seed.PASSWORD, "credential": "{}"}),
    Row(
        "POST",
        "/api/v1/auth/passkeys/{passkey}/remove",
        None,
        lambda _: {"password": seed.PASSWORD},
        lambda _: {"passkey": SOME_ID},
        missing=True,
    ),
    Row("GET", "/api/v1/auth/sessions", None),
    Row("POST", "/api/v1/auth/sessions/end-others", None),
    Row("POST", "/api/v1/auth/sessions/{session_id}/end", None, path=lambda _: {"session_id": SOME_ID}, missing=True),
    Row("POST", "/api/v1/auth/logout", None),
)

PEOPLE = (
    Row(
        "POST",
        "/api/v1/users",
        P.USER_MANAGE,
        lambda _: {"username": f"u{uuid4().hex[:8]}", "printed_name": f"A Person {uuid4()}"},
    ),
    Row("GET", "/api/v1/users", P.USER_READ),
    Row("GET", "/api/v1/watched-acts", None),
    Row("GET", "/api/v1/messages/own", None),
    Row("POST", "/api/v1/messages/own", None, lambda _: {"e_mail": None}),
    Row("GET", "/api/v1/messages/failed", P.USER_MANAGE),
    Row(
        "POST",
        "/api/v1/messages/failed/{message}/send",
        P.USER_MANAGE,
        _nothing,
        lambda _: {"message": str(uuid4())},
        missing=True,
    ),
    Row("GET", "/api/v1/users/{code}", P.USER_READ, None, _user),
    Row("PATCH", "/api/v1/users/{code}", P.USER_MANAGE, lambda _: {"printed_name": "New Name"}, _user),
    Row("POST", "/api/v1/users/{code}/password-reset", P.USER_MANAGE, _nothing, _user),
    Row("POST", "/api/v1/slips/{slip}/draw", None, _nothing, lambda _: {"slip": SOME_ID}, missing=True),
    Row("POST", "/api/v1/users/{code}/roles", P.USER_MANAGE, lambda _: {"role": "auditor"}, _user),
    Row("POST", "/api/v1/users/{code}/roles/revoke", P.USER_MANAGE, lambda _: {"role": "lab_tech", "site": "NORTH"}, _user),
    Row(
        "POST",
        "/api/v1/sites",
        P.SITE_MANAGE,
        lambda _: {"code": "WEST", "name": "West", "kind": "bank", "timezone": "Europe/London"},
    ),
    Row("GET", "/api/v1/sites", None),
    Row("GET", "/api/v1/sites/{code}", None, None, _site),
    Row("PATCH", "/api/v1/sites/{code}", P.SITE_MANAGE, lambda _: {"name": "Main laboratory"}, _site),
)

CUSTODY = (
    Row("POST", "/api/v1/specimens/{code}/events", P.CUSTODY_RECORD, _annotate, _specimen),
    Row(
        "POST",
        "/api/v1/custody-events",
        P.CUSTODY_RECORD,
        lambda w: {"events": [_annotate(w) | {"specimen": w.specimen, "expected_seq": w.seq()}]},
    ),
    Row("GET", "/api/v1/specimens/{code}/custody", P.SPECIMEN_READ, None, _specimen),
    Row("GET", "/api/v1/specimens/{code}/allowed-events", P.SPECIMEN_READ, None, _specimen),
    Row("GET", "/api/v1/attempts", P.LOG_READ),
    Row("GET", "/api/v1/attempt-counts", P.LOG_READ),
    Row("GET", "/api/v1/bedside-compliance", P.WITHDRAWAL_READ),
    Row("GET", "/api/v1/confirmations", None),
    Row("POST", "/api/v1/confirmations", None, lambda w: {"events": [w.last_event]}, missing=True),
    Row(
        "POST",
        "/api/v1/specimens/{code}/reverse",
        P.REVERSAL_RECORD,
        lambda w: {"reverses": w.last_event, "reason": "wrong_tube", "expected_seq": w.seq()},
        _specimen,
    ),
    Row(
        "POST",
        "/api/v1/specimens/{code}/amend",
        P.CUSTODY_RECORD,
        lambda w: {
            "corrects": w.last_event,
            "field": "label_legible",
            "value": False,
            "reason": "typing",
            "expected_seq": w.seq(),
        },
        _specimen,
    ),
    Row("GET", "/api/v1/custody-log", P.LOG_EXPORT),
    Row("GET", "/api/v1/custody-log/bundle", P.LOG_EXPORT),
    Row("GET", "/api/v1/events", P.LOG_EXPORT),
    Row("GET", "/api/v1/webhooks", P.LOG_EXPORT),
    Row("POST", "/api/v1/webhooks", P.LOG_EXPORT, lambda _: {"name": "Ward", "url": "https://ward.example/in"}),
    Row("GET", "/api/v1/webhooks/{code}", P.LOG_EXPORT, None, _webhook, missing=True),
    Row("GET", "/api/v1/webhooks/{code}/deliveries", P.LOG_EXPORT, None, _webhook, missing=True),
    *(
        Row("POST", f"/api/v1/webhooks/{{code}}/{act}", P.LOG_EXPORT, lambda _: {}, _webhook, missing=True)
        for act in ("secret", "open", "stop", "resume", "withdraw", "trial")
    ),
    *(
        Row("POST", f"/api/v1/webhooks/{{code}}/{act}", P.LOG_EXPORT, lambda _: {"deliveries": [SOME_ID]}, _webhook, missing=True)
        for act in ("send-again", "leave-out")
    ),
    Row("GET", "/api/v1/log/differences", P.LOG_READ),
    Row("GET", "/api/v1/log/tile/{name:path}", P.LOG_READ, None, lambda _: {"name": _Slashed("0/000")}, missing=True),
)

DONORS = (
    Row(
        "POST",
        "/api/v1/donors",
        P.DONOR_REGISTER,
        lambda _: {"clinic_site": "CLINIC", "family_name": "Roe", "given_names": "Jane", "date_of_birth": "1980-01-01"},
    ),
    Row("GET", "/api/v1/donors", P.DONOR_READ),
    Row("GET", "/api/v1/identity-readings", P.LOG_READ),
    Row("POST", "/api/v1/donors/search", P.IDENTITY_READ, lambda _: {"name": "Roe"}),
    Row("GET", "/api/v1/donors/{code}", P.DONOR_READ, None, _donor),
    Row("PATCH", "/api/v1/donors/{code}", P.DONOR_REGISTER, lambda _: {"status": "living"}, _donor),
    Row("GET", "/api/v1/donors/{code}/identity", P.IDENTITY_READ, None, _donor, missing=True),
    Row("POST", "/api/v1/donors/{code}/consents", P.CONSENT_RECORD, _consent, _donor),
    Row("POST", "/api/v1/donors/{code}/death", P.DONOR_REGISTER, lambda _: {"died_on": "2026-01-01", "source": "family"}, _donor),
    Row("GET", "/api/v1/donors/{code}/death", P.IDENTITY_READ, None, _donor, missing=True),
    Row("GET", "/api/v1/donors/{code}/safety-contact", P.QUALITY_DECIDE, None, _donor, missing=True),
    Row("GET", "/api/v1/donors/{code}/agreements", P.DONOR_READ, None, _donor),
    Row(
        "POST",
        "/api/v1/donors/{code}/agreements",
        P.CONSENT_RECORD,
        lambda _: {"terms": "1", "document_sha256": seed.A_FORM, "begins_on": "2026-01-01", "ends_on": "2036-01-01"},
        _donor,
    ),
    Row(
        "POST",
        "/api/v1/donors/{code}/consents/{consent}/revoke",
        P.CONSENT_RECORD,
        _nothing,
        lambda w: {"code": w.donor, "consent": SOME_ID},
        missing=True,
    ),
    Row(
        "POST",
        "/api/v1/donors/{code}/identifications",
        P.DONOR_IDENTIFY,
        lambda _: {
            "purpose": "wristband",
            "document_kind": "passport",
            "stated": {"name": {"family_name": "Roe", "given_names": "Jane"}, "date_of_birth": "1980-01-01"},
        },
        _donor,
    ),
    Row("POST", "/api/v1/donors/{code}/isolation", P.QUALITY_DECIDE, lambda _: {"kept_apart": False, "reason": "test"}, _donor),
    Row("POST", "/api/v1/donors/{code}/reserves", P.QUALITY_DECIDE, lambda _: {"material": "adsc", "units": 1}, _donor),
    Row("GET", "/api/v1/donors/{code}/reserves", P.WITHDRAWAL_READ, None, _donor),
    Row("GET", "/api/v1/donors/{code}/proposed-identity", P.IDENTITY_READ, None, _donor, missing=True),
    Row("GET", "/api/v1/entries/{leaf_hash}/words", None, None, lambda w: {"leaf_hash": SOME_HASH}, missing=True),
    Row("POST", "/api/v1/closings", P.QUALITY_DECIDE, lambda w: {"site": w.own_site, "to": "OTHER_BANK"}),
    Row("GET", "/api/v1/closings", P.SPECIMEN_READ),
    Row("GET", "/api/v1/closings/{closing_id}", P.SPECIMEN_READ, None, _closing, missing=True),
    Row(
        "POST",
        "/api/v1/closings/{closing_id}/acceptance",
        P.QUALITY_DECIDE,
        lambda _: {"evidence": "ab" * 32},
        _closing,
        missing=True,
    ),
    Row(
        "POST",
        "/api/v1/closings/{closing_id}/transfer",
        P.QUALITY_DECIDE,
        lambda _: {"receipt": "ab" * 32},
        _closing,
        missing=True,
    ),
    Row(
        "POST", "/api/v1/closings/{closing_id}/withdraw", P.QUALITY_DECIDE, lambda _: {"reason": "other"}, _closing, missing=True
    ),
    Row(
        "POST",
        "/api/v1/donors/{code}/merge",
        P.QUALITY_DECIDE,
        lambda w: {"duplicate": w.donor, "evidence_sha256": "ab" * 32},
        _donor,
    ),
    Row(
        "POST",
        "/api/v1/harvests/{code}/reattribution",
        P.QUALITY_DECIDE,
        lambda w: {"donor": w.donor, "evidence_sha256": "ab" * 32},
        lambda _: {"code": "KT-0000000"},
        missing=True,
    ),
    Row(
        "POST",
        "/api/v1/donors/{code}/identity-changes",
        P.DONOR_REGISTER,
        lambda _: {"family_name": "Roe", "evidence_sha256": "ab" * 32},
        _donor,
        missing=True,
    ),
    Row(
        "POST",
        "/api/v1/donors/{code}/allergies",
        P.CONSENT_RECORD,
        lambda _: {"substance": "dmso"},
        _donor,
        elsewhere=CLINIC_ONLY,
    ),
    Row("GET", "/api/v1/donors/{code}/allergies", P.DONOR_READ, None, _donor),
    Row("POST", "/api/v1/donors/{code}/markers", P.HARVEST_RECORD, lambda _: A_MARKER, _donor),
    Row("GET", "/api/v1/donors/{code}/markers", P.DONOR_READ, None, _donor),
    Row(
        "POST",
        "/api/v1/donors/{code}/markers/{marker}/decide",
        P.QUALITY_DECIDE,
        lambda _: {"confirmed": True},
        lambda w: _donor(w) | {"marker": SOME_ID},
        missing=True,
    ),
    Row("GET", "/api/v1/donors/{code}/erasure", P.DONOR_READ, None, _donor),
    Row("POST", "/api/v1/donors/{code}/erase", P.DONOR_ERASE, lambda _: {"reason": "asked_by_donor"}, _donor),
    Row("POST", "/api/v1/wristbands", P.DONOR_IDENTIFY, lambda _: {"identification": SOME_ID}, missing=True),
    Row("GET", "/api/v1/wristbands/{code}", P.DONOR_READ, None, lambda _: {"code": "WB-0000000"}, missing=True),
    Row(
        "POST",
        "/api/v1/wristbands/{code}/void",
        P.DONOR_IDENTIFY,
        lambda _: {"reason": "damaged"},
        lambda _: {"code": "WB-0000000"},
        missing=True,
    ),
)


def _reopening(_: World) -> dict[str, Any]:
    return {"deviation": "DV-0000000", "reason": "test"}


STORAGE = (
    Row("POST", "/api/v1/storage-containers", P.STORAGE_MANAGE, lambda _: {"site": "LAB", "kind": "room", "name": "Cold room"}),
    Row("GET", "/api/v1/storage-containers", None),
    Row("GET", "/api/v1/storage-containers/{code}", None, None, _box, LAB_ONLY),
    Row("GET", "/api/v1/storage-containers/{code}/map", None, None, _box, LAB_ONLY),
    Row("POST", "/api/v1/storage-containers/{code}/move", P.STORAGE_RECORD, lambda w: {"to": w.box}, _box),
    Row("POST", "/api/v1/storage-containers/{code}/rename", P.STORAGE_MANAGE, lambda _: {"name": "Another name"}, _box),
    Row("POST", "/api/v1/storage-containers/{code}/slots", P.STORAGE_RECORD, _blocked, _box),
    Row("POST", "/api/v1/storage-containers/{code}/lift", P.STORAGE_RECORD, _nothing, _box),
    Row("POST", "/api/v1/storage-containers/{code}/put-back", P.STORAGE_RECORD, _nothing, _box),
    Row("POST", "/api/v1/storage-containers/{code}/readings", P.STORAGE_RECORD, _reading, _box),
    Row("GET", "/api/v1/storage-containers/{code}/readings", None, None, _box, LAB_ONLY),
    Row(
        "POST",
        "/api/v1/storage-containers/{code}/logger-files",
        P.STORAGE_RECORD,
        lambda w: {"logger_sha256": SOME_HASH},
        _box,
        missing=True,
    ),
    Row("GET", "/api/v1/storage-containers/{code}/logger-files", None, None, _box, LAB_ONLY),
    Row(
        "POST",
        "/api/v1/storage-containers/{code}/readings/{reading_id}/withdraw",
        P.STORAGE_RECORD,
        lambda _: {"reason": "misread"},
        lambda w: _box(w) | {"reading_id": "999999"},
        missing=True,
    ),
    Row("GET", "/api/v1/notices", None),
    Row("POST", "/api/v1/notices/{notice}/acknowledge", None, _nothing, lambda _: {"notice": SOME_ID}, missing=True),
    Row("GET", "/api/v1/excursions", P.SPECIMEN_READ),
    Row("GET", "/api/v1/excursions/{code}", P.SPECIMEN_READ, None, lambda _: {"code": "EX-0000000"}, missing=True),
    Row(
        "POST",
        "/api/v1/excursions/{code}/assess",
        P.HOLD_LIFT,
        lambda _: {"decision": "released", "reason": "test", "seen": "0" * 64},
        lambda _: {"code": "EX-0000000"},
        missing=True,
    ),
    Row("GET", "/api/v1/alarms", P.SPECIMEN_READ),
    Row("GET", "/api/v1/alarms/{code}", P.SPECIMEN_READ, None, _alarm, missing=True),
    Row("POST", "/api/v1/alarms/{code}/acknowledge", P.CUSTODY_RECORD, _nothing, _alarm, missing=True),
    Row("POST", "/api/v1/alarms/{code}/silence", P.CUSTODY_RECORD, _silence, _alarm, missing=True),
    Row("GET", "/api/v1/api-clients", P.USER_READ),
    Row("POST", "/api/v1/api-clients", P.USER_MANAGE, _a_client),
    Row("GET", "/api/v1/api-clients/{code}", P.USER_READ, None, _client, missing=True),
    Row("POST", "/api/v1/api-clients/{code}/key", P.USER_MANAGE, _nothing, _client, missing=True),
    Row("POST", "/api/v1/api-clients/{code}/key/draw", P.ROLE_COSIGN, _nothing, _client, missing=True),
    Row("POST", "/api/v1/api-clients/{code}/revoke", P.USER_MANAGE, lambda _: {"reason": "other"}, _client, missing=True),
    Row("GET", "/api/v1/sensors", P.SPECIMEN_READ, also=frozenset({Role.ADMIN})),
    Row("POST", "/api/v1/sensors", P.SENSOR_MANAGE, _a_sensor),
    Row("GET", "/api/v1/sensors/{code}", P.SPECIMEN_READ, None, _sensor, also=frozenset({Role.ADMIN}), missing=True),
    Row("POST", "/api/v1/sensors/{code}/change", P.SENSOR_MANAGE, _reads, _sensor, missing=True),
    Row("POST", "/api/v1/sensors/{code}/key", P.SENSOR_MANAGE, _nothing, _sensor, missing=True),
    Row("POST", "/api/v1/sensors/{code}/key/draw", P.SENSOR_MANAGE, _nothing, _sensor, missing=True),
    Row("POST", "/api/v1/sensors/{code}/withdraw", P.SENSOR_MANAGE, lambda _: {"reason": "broken"}, _sensor, missing=True),
    Row("POST", "/api/v1/sensors/{code}/answer", P.STORAGE_RECORD, _answer_doubts, _sensor, missing=True),
    Row("GET", "/api/v1/rotas", P.SPECIMEN_READ, also=frozenset({Role.ADMIN})),
    Row("POST", "/api/v1/rotas", P.QUALITY_DECIDE, _rota, also=frozenset({Role.ADMIN})),
    Row("GET", "/api/v1/storage-containers/{code}/limits", None, None, _box, LAB_ONLY),
    Row("GET", "/api/v1/place-limits", None, also=frozenset({Role.ADMIN})),
    Row(
        "POST",
        "/api/v1/place-limits",
        P.QUALITY_DECIDE,
        lambda _: {"site": "LAB", "temperature_class": "minus_80", "highest_mc": -70_000},
    ),
    Row("POST", "/api/v1/storage-containers/{code}/evacuate", P.STORAGE_RECORD, lambda w: {"scanned": [w.specimen]}, _box),
    Row(
        "POST",
        "/api/v1/storage-containers/{code}/placements",
        P.STORAGE_RECORD,
        lambda w: {"placements": [{"specimen": w.specimen, "expected_seq": w.seq()}]},
        _box,
    ),
    Row(
        "POST",
        "/api/v1/specimens/{code}/store",
        P.STORAGE_RECORD,
        lambda w: {"container": w.box, "expected_seq": w.seq()},
        _specimen,
    ),
    Row("POST", "/api/v1/counts", P.STORAGE_RECORD, lambda w: {"container": w.box, "scanned": []}),
)

SPECIMENS = (
    Row(
        "POST",
        "/api/v1/kits",
        P.KIT_MANAGE,
        lambda _: {"site": "CLINIC", "home_site": "LAB", "hair_labels": 1, "expires_at": "2090-01-01T00:00:00Z"},
    ),
    Row("GET", "/api/v1/kits", None),
    Row("GET", "/api/v1/kits/{code}", P.SPECIMEN_READ, None, _no_kit, missing=True),
    Row(
        "POST",
        "/api/v1/harvests",
        P.HARVEST_RECORD,
        lambda w: {
            "donor": w.donor,
            "site": "CLINIC",
            "home_site": "LAB",
            "method": "lipoaspiration",
            "anatomical_site": "abdomen",
            "containers": [{"material": "lipoaspirate", "unit": "ul_raw", "amount": 5}],
        },
        elsewhere=CLINIC_ONLY,
    ),
    Row("GET", "/api/v1/harvests", None),
    Row("GET", "/api/v1/harvests/{code}", P.SPECIMEN_READ, None, _no_kit, missing=True),
    Row(
        "POST",
        "/api/v1/processings",
        P.PROCESSING_RECORD,
        lambda w: {
            "process": "wash",
            "procedure_version": "SOP 1",
            "site": "LAB",
            "inputs": [{"specimen": w.specimen}],
            "outputs": [{"material": "lipoaspirate", "unit": "ul_washed", "amount": 5}],
        },
    ),
    Row("GET", "/api/v1/processings", None),
    Row("GET", "/api/v1/processings/{processing_id}", P.SPECIMEN_READ, None, lambda _: {"processing_id": SOME_ID}, missing=True),
    Row("GET", "/api/v1/specimens/{code}/culture", P.SPECIMEN_READ, None, lambda w: {"code": w.specimen}),
    Row(
        "POST",
        "/api/v1/specimens/{code}/culture",
        P.PROCESSING_RECORD,
        lambda w: {"what": "looked_at", "vessels": 1, "finding": "as_expected", "expected_seq": w.seq()},
        lambda w: {"code": w.specimen},
    ),
    Row(
        "POST",
        "/api/v1/specimens/{code}/culture/discard",
        P.CUSTODY_RECORD,
        lambda w: {"vessels": 1, "amount": 1, "reason": "broken", "expected_seq": w.seq()},
        lambda w: {"code": w.specimen},
    ),
    Row("GET", "/api/v1/workstations/{code}", P.SPECIMEN_READ, None, lambda _: {"code": seed.EQUIPMENT}, missing=True),
    Row(
        "POST",
        "/api/v1/workstations/{code}/sessions",
        P.PROCESSING_RECORD,
        lambda _: {"workstation": seed.EQUIPMENT, "cleared": True, "donor": "DN-0000000"},
        lambda _: {"code": seed.EQUIPMENT},
        missing=True,
    ),
    Row("GET", "/api/v1/bench-sessions", P.SPECIMEN_READ),
    Row("GET", "/api/v1/bench-sessions/{code}", P.SPECIMEN_READ, None, _no_session, missing=True),
    Row(
        "POST",
        "/api/v1/bench-sessions/{code}/scans",
        P.PROCESSING_RECORD,
        lambda w: {"specimens": [w.specimen]},
        _no_session,
        missing=True,
    ),
    Row(
        "POST",
        "/api/v1/bench-sessions/{code}/close",
        P.PROCESSING_RECORD,
        lambda _: {"workstation": seed.EQUIPMENT, "cleared": True},
        _no_session,
        missing=True,
    ),
    Row(
        "POST",
        "/api/v1/registers",
        P.KIT_MANAGE,
        lambda _: {"kind": "equipment", "name": "Hood", "site": "LAB"},
        also=frozenset({Role.QUALITY}),
    ),
    Row("GET", "/api/v1/registers", P.SPECIMEN_READ),
    Row("GET", "/api/v1/registers/{entry}", P.SPECIMEN_READ, None, lambda _: {"entry": seed.EQUIPMENT}),
    Row(
        "POST",
        "/api/v1/registers/{entry}/changes",
        P.QUALITY_DECIDE,
        lambda _: {"change": "qualified"},
        lambda _: {"entry": seed.EQUIPMENT},
    ),
    Row(
        "POST",
        "/api/v1/registers/{entry}/authorisations",
        P.QUALITY_DECIDE,
        lambda w: {"person": w.user, "until": "2099-12-31"},
        lambda _: {"entry": seed.PROCEDURE},
    ),
    Row("GET", "/api/v1/register-rules", P.SPECIMEN_READ),
    Row(
        "POST",
        "/api/v1/register-rules",
        P.QUALITY_DECIDE,
        lambda _: {"site": "LAB", "problem": "unqualified", "answer": "refuse"},
    ),
    Row("GET", "/api/v1/lots", None),
    Row("GET", "/api/v1/lots/{code}", P.SPECIMEN_READ, None, _no_lot, missing=True),
    Row(
        "POST",
        "/api/v1/lots/{code}/tests",
        P.PROCESSING_RECORD,
        lambda _: (
            {"test": "sterility", "sampled_at": "2026-01-01T00:00:00Z", "due_at": "2026-01-09T00:00:00Z", "result": "pending"}
            | seed.TESTED
        ),
        _no_lot,
        missing=True,
    ),
    Row("GET", "/api/v1/specimens", None),
    Row(
        "POST",
        "/api/v1/specimens/unidentified",
        P.CUSTODY_RECORD,
        lambda _: {"site": "LAB", "condition": "frozen"},
        elsewhere=LAB_ONLY,
    ),
    Row("GET", "/api/v1/specimens/{code}", P.SPECIMEN_READ, None, _specimen),
    Row("GET", "/api/v1/specimens/{code}/lineage", P.SPECIMEN_READ, None, _specimen),
    Row(
        "POST",
        "/api/v1/specimens/{code}/aliases",
        P.CUSTODY_RECORD,
        lambda w: {"issuer": "legacy", "value": "X1", "expected_seq": w.seq()},
        _specimen,
    ),
    Row(
        "POST",
        "/api/v1/specimens/{code}/viability-assays",
        P.PROCESSING_RECORD,
        lambda w: {"method": "trypan_blue", "live": 90, "dead": 10, "expected_seq": w.seq()},
        _specimen,
    ),
    Row("GET", "/api/v1/specimens/{code}/viability", P.SPECIMEN_READ, None, _specimen),
)

QUALITY = (
    Row(
        "POST",
        "/api/v1/holds",
        P.HOLD_PLACE,
        lambda w: {"scope_kind": "specimen", "scope_id": w.specimen, "kind": "quality", "reason": "to_check"},
    ),
    Row("GET", "/api/v1/holds", P.SPECIMEN_READ),
    Row(
        "POST",
        "/api/v1/holds/several",
        P.HOLD_PLACE,
        lambda w: {"specimens": [w.specimen], "kind": "quality", "reason": "to_check"},
    ),
    Row("POST", "/api/v1/holds/lift", P.HOLD_LIFT, lambda _: {"holds": [SOME_ID], "reason": "checked"}, missing=True),
    Row(
        "POST",
        "/api/v1/specimens/decision",
        P.QUALITY_DECIDE,
        lambda w: {"specimens": [w.specimen], "decision": "rejected", "reason": "test"},
    ),
    Row(
        "POST",
        "/api/v1/specimens/basis",
        P.QUALITY_DECIDE,
        lambda w: {"specimens": [w.specimen], "basis": "research_only", "reason": "test"},
    ),
    Row(
        "POST",
        "/api/v1/holds/{hold}/lift",
        P.HOLD_LIFT,
        lambda _: {"reason": "checked"},
        lambda _: {"hold": SOME_ID},
        missing=True,
    ),
    Row(
        "POST",
        "/api/v1/specimens/{code}/decision",
        P.QUALITY_DECIDE,
        lambda _: {"decision": "rejected", "reason": "test"},
        _specimen,
    ),
    Row("GET", "/api/v1/specimens/{code}/notification-plan", P.QUALITY_DECIDE, None, _specimen, missing=True),
    Row(
        "POST",
        "/api/v1/lots/{code}/decision",
        P.QUALITY_DECIDE,
        lambda _: {"decision": "rejected", "reason": "test"},
        _no_lot,
        missing=True,
    ),
    Row(
        "POST",
        "/api/v1/specimens/{code}/basis",
        P.QUALITY_DECIDE,
        lambda _: {"basis": "research_only", "reason": "test"},
        _specimen,
    ),
    Row(
        "POST",
        "/api/v1/lots/{code}/basis",
        P.QUALITY_DECIDE,
        lambda _: {"basis": "research_only", "reason": "test"},
        _no_lot,
        missing=True,
    ),
    Row("POST", "/api/v1/specimens/{code}/reopen", P.QUALITY_DECIDE, _reopening, _specimen),
    Row("POST", "/api/v1/lots/{code}/reopen", P.QUALITY_DECIDE, _reopening, _no_lot, missing=True),
    Row(
        "POST",
        "/api/v1/specimens/{code}/discard",
        P.STORAGE_RECORD,  # custody:record at the bank that keeps it
        lambda w: {"reason": "expired", "method": "autoclave", "expected_seq": w.seq()},
        _specimen,
    ),
    Row(
        "POST",
        "/api/v1/specimens/{code}/end",
        P.QUALITY_DECIDE,
        lambda w: {"reason": "expired", "expected_seq": w.seq()},
        _specimen,
    ),
    Row(
        "POST",
        "/api/v1/specimens/{code}/end/withdraw",
        P.QUALITY_DECIDE,
        lambda w: {"reason": "test", "expected_seq": w.seq()},
        _specimen,
    ),
    Row(
        "POST",
        "/api/v1/specimens/{code}/use-up",
        P.PROCESSING_RECORD,
        lambda w: {"use": "quality_control", "expected_seq": w.seq()},
        _specimen,
    ),
    Row("GET", "/api/v1/adverse-events", P.DEVIATION_OPEN, also=frozenset({Role.AUDITOR})),
    Row("GET", "/api/v1/adverse-events/{code}", P.DEVIATION_OPEN, None, _no_deviation, missing=True),
    Row(
        "POST",
        "/api/v1/adverse-events/{code}/assess",
        P.DEVIATION_DECIDE,
        lambda _: {"seriousness": "serious", "causality": "possible", "in_lot": True, "reason": "test"},
        _no_deviation,
        missing=True,
    ),
    Row(
        "POST",
        "/api/v1/adverse-events/{code}/report",
        P.DEVIATION_DECIDE,
        lambda _: {"authority": "FDA", "reference": "1234", "reported_at": "2026-01-01T00:00:00Z"},
        _no_deviation,
        missing=True,
    ),
    Row(
        "POST",
        "/api/v1/reporting-rules",
        P.DEVIATION_DECIDE,
        lambda w: {"site": w.own_site, "seriousness": "serious", "days": 15, "authority": "FDA"},
    ),
    Row(
        "POST",
        "/api/v1/sites/{code}/jurisdiction",
        P.QUALITY_DECIDE,
        lambda w: {"site": w.own_site, "jurisdiction": "EU"},
        _site,
    ),
    Row(
        "POST",
        "/api/v1/ending-rules",
        P.QUALITY_DECIDE,
        lambda w: {"site": w.own_site, "cooling_off_days": 7, "usable_rest_percent": 50},
    ),
    Row(
        "POST",
        "/api/v1/specimens/{code}/transfer-out",
        P.QUALITY_DECIDE,
        lambda w: {"to": "OTHER_BANK", "reason": "donor_moved", "evidence": SOME_HASH, "expected_seq": w.seq()},
        _specimen,
    ),
    Row(
        "POST",
        "/api/v1/specimens/{code}/resolve",
        P.SPECIMEN_RESOLVE,
        lambda _: {"same_as": SOME_TUBE, "evidence_sha256": SOME_HASH},
        _specimen,
        missing=True,
    ),
    Row(
        "POST",
        "/api/v1/specimens/{code}/lost",
        P.STORAGE_RECORD,  # custody:record at the bank that keeps it
        lambda w: {"reason": "test", "expected_seq": w.seq()},
        _specimen,
    ),
    Row(
        "POST",
        "/api/v1/deviations",
        P.DEVIATION_OPEN,
        lambda w: {"severity": "minor", "topic": "test", "site": w.own_site, "description": "A cap was loose."},
    ),
    Row("GET", "/api/v1/deviations", P.DEVIATION_OPEN, also=frozenset({Role.AUDITOR})),
    Row("GET", "/api/v1/deviations/{code}", P.DEVIATION_OPEN, None, _no_deviation, missing=True),
    Row(
        "POST",
        "/api/v1/deviations/{code}/dispositions",
        P.DEVIATION_DECIDE,
        lambda _: {"disposition": "cleared", "reason": "test"},
        _no_deviation,
        missing=True,
    ),
    Row(
        "POST",
        "/api/v1/deviations/{code}/close",
        P.DEVIATION_DECIDE,
        lambda _: {"cause": "test", "decision": "none", "corrective_action": "None."},
        _no_deviation,
        missing=True,
    ),
    Row(
        "POST",
        "/api/v1/attachments",
        P.DEVIATION_OPEN,
        lambda w: {"media_type": "text/csv", "content": "YSxiCg==", "site": w.own_site},
    ),
    Row("GET", "/api/v1/attachments/{sha256}", P.LOG_READ, None, lambda _: {"sha256": SOME_HASH}, missing=True),
    Row("POST", "/api/v1/look-backs", P.LOG_READ, lambda w: {"donor": w.donor}),
    Row("GET", "/api/v1/recalls", P.LOG_READ),
    Row("GET", "/api/v1/recalls/{recall}", P.LOG_READ, None, lambda _: {"recall": SOME_ID}, missing=True),
    Row(
        "POST",
        "/api/v1/recalls",
        P.RECALL_START,
        lambda w: {"criteria": {"specimen": w.specimen}, "reason": "test", "site": "LAB", "description": "A test."},
    ),
    Row(
        "POST",
        "/api/v1/recalls/{recall}/dispositions",
        P.RECALL_START,
        lambda _: {"disposition": "cleared", "reason": "test"},
        lambda _: {"recall": SOME_ID},
        missing=True,
    ),
    Row(
        "POST",
        "/api/v1/recalls/{recall}/close",
        P.RECALL_START,
        lambda _: {"reason": "test"},
        lambda _: {"recall": SOME_ID},
        missing=True,
    ),
)

SCANS = (
    Row("POST", "/api/v1/scans", P.SPECIMEN_READ, lambda w: {"text": w.specimen}),
    Row("POST", "/api/v1/scans/decode", None, image=_blank_frame()),
)

JOBS = (
    Row("GET", "/api/v1/jobs", None),
    Row("GET", "/api/v1/jobs/{id}", None, None, lambda _: {"id": SOME_ID}, missing=True),
    Row("GET", "/api/v1/jobs/{id}/file", None, None, lambda _: {"id": SOME_ID}, missing=True),
    Row("POST", "/api/v1/jobs/{id}/cancel", None, None, lambda _: {"id": SOME_ID}, missing=True),
)

LABELS = (
    Row("GET", "/api/v1/label-templates", None),
    Row("GET", "/api/v1/specimens/{code}/label", P.SPECIMEN_READ, None, _specimen),
    Row("GET", "/api/v1/specimens/{code}/labels", P.SPECIMEN_READ, None, _specimen),
    Row("POST", "/api/v1/label-sheets", P.LABEL_PRINT, lambda w: {"specimens": [w.specimen], "template": "cryovial-25x13"}),
    Row("GET", "/api/v1/label-sheets/file?serials={serial}", P.LABEL_PRINT, None, lambda _: {"serial": "999"}, missing=True),
    Row(
        "POST",
        "/api/v1/labels/{serial}/verify",
        P.LABEL_PRINT,
        lambda w: {"scanned": w.specimen},
        lambda _: {"serial": "999"},
        missing=True,
    ),
    Row("GET", "/api/v1/labels/{code}/preview", P.SPECIMEN_READ, None, _specimen),
    Row("GET", "/api/v1/labels/{code}/prints", P.SPECIMEN_READ, None, _specimen),
    Row("GET", "/api/v1/label-sheets/accompanying?specimens={code}", P.SPECIMEN_READ, None, _specimen),
    Row("POST", "/api/v1/label-batches", P.LABEL_PRINT, lambda w: {"codes": [w.specimen], "template": "cryovial-24x13"}),
    Row("GET", "/api/v1/label-batches", P.LABEL_PRINT, also=frozenset({Role.ADMIN})),
    Row("GET", "/api/v1/label-batches/{batch}", P.LABEL_PRINT, None, lambda _: {"batch": "999"}, missing=True),
    Row(
        "POST",
        "/api/v1/label-batches/{batch}/reconciliation",
        P.LABEL_PRINT,
        lambda _: {"applied": 1, "destroyed": []},
        lambda _: {"batch": "999"},
        missing=True,
    ),
    Row("POST", "/api/v1/label-sendings", P.LABEL_PRINT, lambda _: {"serials": [999], "printer": "none"}, missing=True),
    Row("GET", "/api/v1/printers", None),
    Row("GET", "/api/v1/print-rules", None),
    Row("POST", "/api/v1/print-rules", P.SITE_MANAGE, lambda _: {"site": "LAB", "prefix": "AD", "template": "cryovial-25x13"}),
)

SHIPPING = (
    Row(
        "POST",
        "/api/v1/handovers",
        P.HANDOVER_TAKE,
        lambda w: {"specimens": [{"specimen": w.specimen, "expected_seq": w.seq()}], "to_kind": "site", "to_id": "LAB"},
        elsewhere=LAB_ONLY,
    ),  # the technician at LAB holds it
    Row("GET", "/api/v1/handovers", None),
    Row("GET", "/api/v1/handovers/{handover_id}", None, None, _no_handover, missing=True),
    Row("POST", "/api/v1/handovers/{handover_id}/accept", P.HANDOVER_TAKE, _nothing, _no_handover, missing=True),
    Row(
        "POST",
        "/api/v1/handovers/{handover_id}/decline",
        P.HANDOVER_TAKE,
        lambda _: {"reason": "test"},
        _no_handover,
        missing=True,
    ),
    Row(
        "POST",
        "/api/v1/shipments",
        P.SHIPMENT_RECORD,
        lambda w: {
            "from_site": "LAB",
            "to_site": "NORTH",
            "courier": "FAST",
            "specimens": [{"specimen": w.specimen, "expected_seq": w.seq()}],
        },
        elsewhere=LAB_ONLY,
    ),
    Row("GET", "/api/v1/shipments", None),
    Row("GET", "/api/v1/shipments/{code}", P.SPECIMEN_READ, None, _no_shipment, missing=True),
    Row(
        "POST",
        "/api/v1/shipments/{code}/receive",
        P.SHIPMENT_RECORD,
        lambda w: {"scanned": [{"specimen": w.specimen}]},
        _no_shipment,
        missing=True,
    ),
    Row("POST", "/api/v1/shipments/{code}/refuse", P.SHIPMENT_RECORD, lambda _: {"reason": "test"}, _no_shipment, missing=True),
)

WITHDRAWALS = (
    Row(
        "POST",
        "/api/v1/withdrawals",
        P.WITHDRAWAL_REQUEST,
        lambda w: {"donor": w.donor, "material": "lipoaspirate", "route": "ship_fresh"},
    ),
    Row("GET", "/api/v1/withdrawals", P.WITHDRAWAL_READ),
    Row("GET", "/api/v1/withdrawals/feasibility?donor={donor}", P.WITHDRAWAL_READ, None, lambda w: {"donor": w.donor}),
    Row("GET", "/api/v1/withdrawals/{code}", P.WITHDRAWAL_READ, None, _no_withdrawal, missing=True),
    Row(
        "GET",
        "/api/v1/withdrawals/{code}/paper-checks/{sheet}",
        P.WITHDRAWAL_READ,
        None,
        lambda w: _no_withdrawal(w) | {"sheet": SOME_ID},
        missing=True,
    ),
    Row("GET", "/api/v1/withdrawals/{code}/picture", P.WITHDRAWAL_APPROVE, None, _no_withdrawal, missing=True),
    Row("GET", "/api/v1/withdrawals/{code}/indication", P.WITHDRAWAL_APPROVE, None, _no_withdrawal, missing=True),
    Row("GET", "/api/v1/withdrawals/{code}/history", P.WITHDRAWAL_READ, None, _no_withdrawal, missing=True),
    _step("approve", P.WITHDRAWAL_APPROVE),
    _step("reject", P.WITHDRAWAL_APPROVE, reason="test"),
    _step("cancel", P.WITHDRAWAL_REQUEST, reason="test"),
    _step("replace", P.WITHDRAWAL_REQUEST, tube=SOME_TUBE, by=SOME_TUBE, reason="test"),
    _step("picks", P.WITHDRAWAL_PICK, tube=SOME_TUBE),
    _step("thaw", P.WITHDRAWAL_PICK, tube=SOME_TUBE, method="bath"),
    _step(
        "expand",
        P.WITHDRAWAL_PICK,
        process="passage",
        procedure_version="SOP-014 v3",
        site="LAB",
        inputs=[{"specimen": SOME_TUBE}],
        outputs=[{"material": "adsc", "unit": "cells", "amount": 1, "passage": 1, "vessel_count": 1}],
    ),
    _step("final-label", P.WITHDRAWAL_PICK, tube=SOME_TUBE),
    _step("issue", P.WITHDRAWAL_ISSUE),
    _step("receive", P.WITHDRAWAL_RECEIVE, tubes=[SOME_TUBE], container_intact=True, label_legible=True),
    _step("bedside-checks", P.WITHDRAWAL_ADMINISTER, wristband=SOME_BAND, product=SOME_TUBE, device="tablet-1"),
    _step("paper-checks", P.WITHDRAWAL_ADMINISTER),
    _step("administer", P.WITHDRAWAL_ADMINISTER, **SOME_GIVING),
    _step("given-before", P.WITHDRAWAL_ADMINISTER, **SOME_GIVING, occurred_at="2026-11-01T00:01:00Z"),
    _step("return", P.QUALITY_DECIDE, tube=SOME_TUBE, site="LAB", reason="test", quality="quarantined"),
    _step("outcome", P.WITHDRAWAL_ADMINISTER, result="as_expected"),
    _step(
        "outcome-measures",
        P.WITHDRAWAL_REQUEST,
        measure="count",
        unit="hairs",
        low=0,
        high=1,
        due_days=1,
        window_days=0,
        photograph=False,
    ),
    Row(
        "POST",
        "/api/v1/withdrawals/{code}/outcome-measures/{measure}/take-back",
        P.WITHDRAWAL_REQUEST,
        lambda _: {"reason": "test"},
        lambda w: _no_withdrawal(w) | {"measure": SOME_ID},
        missing=True,
    ),
    _step("outcome-results", P.WITHDRAWAL_ADMINISTER, measure=SOME_ID, specimen=SOME_TUBE, value=1),
    _step("photograph-readings", P.WITHDRAWAL_ADMINISTER, photograph_sha256=SOME_HASH),
    Row("GET", "/api/v1/withdrawals/{code}/outcome-protocol", P.WITHDRAWAL_READ, None, _no_withdrawal, missing=True),
    Row("GET", "/api/v1/withdrawals/{code}/outcome-figures", P.WITHDRAWAL_READ, None, _no_withdrawal, missing=True),
    Row(
        "GET",
        "/api/v1/withdrawals/{code}/photographs/{sha256}",
        P.WITHDRAWAL_ADMINISTER,
        None,
        lambda w: _no_withdrawal(w) | {"sha256": SOME_HASH},
        missing=True,
    ),
    Row("GET", "/api/v1/outcome-measures", P.WITHDRAWAL_READ),
    Row("GET", "/api/v1/adverse-events/{code}/look-back", P.LOG_READ, None, _no_deviation, missing=True),
    Row("GET", "/api/v1/lots/{code}/consequences", P.LOG_READ, None, _no_lot, missing=True),
    Row("GET", "/api/v1/registers/{entry}/consequences", P.LOG_READ, None, lambda _: {"entry": SOME_ID}, missing=True),
    _step(
        "adverse-events",
        P.WITHDRAWAL_ADMINISTER,
        kind="event",
        seriousness="serious",
        in_lot=True,
        seen_at="2026-01-01T00:00:00Z",
        words="Fever.",
    ),
)

VIABILITY = (
    Row("GET", "/api/v1/specimens/{code}/viability/estimate", P.SPECIMEN_READ, None, _specimen),
    Row("GET", "/api/v1/viability/dose?specimens={code}", P.SPECIMEN_READ, None, _specimen),
    Row("GET", "/api/v1/viability/calibration", P.SPECIMEN_READ),
    Row("GET", "/api/v1/viability/parameters", P.SPECIMEN_READ),
    Row("GET", "/api/v1/viability/fits", P.SPECIMEN_READ),
    Row("GET", "/api/v1/viability/fits/{fit}", P.SPECIMEN_READ, None, lambda _: {"fit": SOME_ID}, missing=True),
    Row("POST", "/api/v1/storage-containers/{code}/counts", P.STORAGE_RECORD, lambda _: {"scanned": []}, _box),
    Row("POST", "/api/v1/storage-containers/{code}/counts/resolve", P.QUALITY_DECIDE, lambda _: {"reason": "recount"}, _box),
    Row("GET", "/api/v1/counts", None, also=frozenset({Role.ADMIN})),
    Row("GET", "/api/v1/single-failure-report", P.SPECIMEN_READ),
    Row("GET", "/api/v1/split-storage", P.SPECIMEN_READ),
    Row("POST", "/api/v1/split-storage", P.QUALITY_DECIDE, lambda _: {"site": "LAB", "spread": False}),
    Row("GET", "/api/v1/placing-suggestions?site=LAB&specimen={code}", P.STORAGE_RECORD, None, _specimen),
    Row(
        "POST",
        "/api/v1/placements",
        P.STORAGE_RECORD,
        lambda w: {"site": "LAB", "placements": [{"specimen": w.specimen, "expected_seq": w.seq()}]},
    ),
    Row("POST", "/api/v1/paper-forms", P.DEVIATION_OPEN, _paper),
    Row("GET", "/api/v1/open-acts", P.SPECIMEN_READ),
    Row("GET", "/api/v1/open-act-limits", P.SPECIMEN_READ),
    Row("POST", "/api/v1/open-act-limits", P.QUALITY_DECIDE, lambda _: {"site": "LAB", "act": "lift", "minutes": 10}),
    Row("GET", "/api/v1/material-limits", P.SPECIMEN_READ),
    Row(
        "POST",
        "/api/v1/material-limits",
        P.QUALITY_DECIDE,
        lambda _: {"site": "LAB", "material": "adsc", "condition": "thawed", "use_by_s": 3600},
    ),
    Row("GET", "/api/v1/viability/criteria", P.SPECIMEN_READ),
    Row(
        "POST", "/api/v1/viability/criteria", P.QUALITY_DECIDE, lambda _: {"site": "LAB", "material": "adsc", "minimum_bp": 7000}
    ),
    Row("POST", "/api/v1/lots/{code}/viability-reports", P.QUALITY_DECIDE, _nothing, _no_lot, missing=True),
    Row("GET", "/api/v1/lots/{code}/viability-reports", P.SPECIMEN_READ, None, _no_lot, missing=True),
    Row(
        "GET",
        "/api/v1/lots/{code}/viability-reports/{report}/paper",
        P.SPECIMEN_READ,
        None,
        lambda w: _no_lot(w) | {"report": SOME_ID},
        missing=True,
    ),
)


def _fhir(kind: str, code: Callable[[World], str] = lambda _: "") -> Callable[[World], dict[str, str]]:
    return lambda w: {"release": "R4", "kind": kind, "id": code(w), "job": SOME_ID, "code": w.donor}


FHIR: tuple[Row, ...] = (
    Row("GET", "/api/v1/specimens/{code}/files/{format}", P.SPECIMEN_READ, None, lambda w: _specimen(w) | {"format": "epcis"}),
    Row("GET", "/api/v1/donors/{code}/files/{format}", P.DONOR_READ, None, lambda w: _donor(w) | {"format": "fhir-r4"}),
    Row("GET", "/fhir/{release}/$export", P.LOG_EXPORT, None, _fhir("")),
    Row("GET", "/fhir/{release}/$export-status/{job}", None, None, _fhir(""), missing=True),
    Row("DELETE", "/fhir/{release}/$export-status/{job}", None, None, _fhir(""), missing=True),
    Row("GET", "/fhir/{release}/$export-file/{job}/{kind}", None, None, _fhir("Patient"), missing=True),
    Row("GET", "/fhir/{release}/Patient/{code}", P.DONOR_READ, None, _fhir("")),
    Row("GET", "/fhir/{release}/Patient/{code}/$everything", P.DONOR_READ, None, _fhir("")),
    Row("GET", "/fhir/{release}/{kind}", P.SPECIMEN_READ, None, _fhir("Specimen")),
    Row("GET", "/fhir/{release}/{kind}/{id}", P.SPECIMEN_READ, None, _fhir("Specimen", lambda w: w.specimen)),
)

TABLE: tuple[Row, ...] = (
    *ACTS,
    *PEOPLE,
    *DONORS,
    *SPECIMENS,
    *STORAGE,
    *LABELS,
    *JOBS,
    *SCANS,
    *SHIPPING,
    *WITHDRAWALS,
    *CUSTODY,
    *QUALITY,
    *VIABILITY,
    *FHIR,
    *SIGN_IN,
)
"""Sign-in comes last: signing out ends the caller's session."""
