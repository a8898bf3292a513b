"""Stories that withdrawal and quality tests begin with: a consenting donor, released vials, a withdrawal underway."""

from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any
from uuid import uuid4

import httpx
import psycopg
from sqlalchemy import insert, text, update
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.auth.actor import SYSTEM
from biobank.custody.legality import Snapshot
from biobank.custody.recording import NOW, Move, record
from biobank.custody.snapshots import load
from biobank.foundation import clock
from biobank.foundation.clock import rfc3339
from biobank.foundation.codes import label_text, parse_code
from biobank.foundation.db import table_of
from biobank.quality.events import BasisDecided, Decision, QualityDecided, RegulatoryBasis
from biobank.specimens.events import Frozen
from biobank.specimens.materials import material_of
from biobank.specimens.models import Lot, LotTest, Specimen
from biobank.storage.events import Stored
from tests.conftest import Api, Client, TestBank
from tests.donors import stories as donors
from tests.factories import fresh_code, make_box, make_received
from tests.seed import TESTED, USERS
from tests.signing import signed

AMOUNT = 5_000_000


def everyone(bank: TestBank) -> Act:
    """An act that may do everything, for setting the stage."""
    return Act.of(SYSTEM, bank.bank, path="test")


def a_donor(api: Api, *, consented: bool = True, **changes: Any) -> str:
    """A registered donor, with treatment consent."""
    donor = donors.register(api.clinician, **changes)
    if consented:
        answer = donors.consent(api.clinician, donor, "treatment")
        assert answer.status_code == 201, answer.text
    return donor


def a_lot(session: Session, donor: str) -> str:
    """A lot row."""
    code = fresh_code("LT")
    at = clock.now()
    session.execute(
        insert(table_of(Lot)).values(
            code=code,
            donor_code=donor,
            material="adsc",
            process="expansion",
            procedure_version="P-1",
            site_code="LAB",
            started_at=at,
            recorded_at=at,
            recorded_by="SYSTEM",
        )
    )
    return code


def bank_vials(
    api: Api,
    donor: str,
    count: int = 1,
    *,
    released: bool = True,
    basis: str = "us_351_ind",
    frozen: bool = True,
    lot: bool = False,
    **fields: Any,
) -> list[str]:
    """Vials of cultured cells in a box at LAB; return their codes."""
    act = everyone(api.test_bank)
    admin = api.test_bank.act("admin")
    fields = {"material": "adsc", "unit": "cells", "amount": AMOUNT, "passage": 2} | fields

    def work(session: Session) -> list[str]:
        box = make_box(session, admin, rows=9, cols=9)
        lot_code = a_lot(session, donor) if lot else None
        codes = []
        for _ in range(count):
            specimen = make_received(session, act, donor=donor, lot_code=lot_code, **fields)
            moves: list[Move] = []
            if frozen:
                event = Frozen(programme="CRF-1", cryoprotectant="DMSO 10 %", cryoprotectant_contact_s=300)
                moves.append(Move(specimen, event))
            moves.append(Move(specimen, Stored(container=box.code, site="LAB"), site="LAB"))
            if basis != "undetermined":
                moves.append(Move(specimen, basis_event(basis)))
                session.execute(
                    update(table_of(Specimen)).where(table_of(Specimen).c.code == specimen.code).values(regulatory_basis=basis)
                )
            if released:
                moves.append(Move(specimen, released_event(basis)))
            record(session, act, moves, NOW)
            codes.append(specimen.code)
        return codes

    return api.test_bank.write(work)  # type: ignore[no-any-return]


def passed_tests_of(api: Api, vial: str) -> None:
    """A vial that was banked without a lot is of one whose tests have passed: a release rests on them."""

    def work(session: Session) -> None:
        tube, table = load(session, [vial])[vial], table_of(Specimen)
        if tube.lot_code is None and tube.donor_code is not None:
            lot = a_lot(session, tube.donor_code)
            session.execute(update(table).where(table.c.code == vial).values(lot_code=lot))
            _pass_every_test(session, lot, tube)

    api.test_bank.write(work)


def lot_passed(api: Api, vial: str) -> None:
    """The lot of a vial has passed every test that a release rests on."""

    def work(session: Session) -> None:
        tube = load(session, [vial])[vial]
        assert tube.lot_code is not None
        _pass_every_test(session, tube.lot_code, tube)

    api.test_bank.write(work)


def _pass_every_test(session: Session, lot: str, tube: Snapshot) -> None:
    at = clock.now()
    of_it = {"lot_code": lot, "event_hash": tube.head_hash, "recorded_at": at, "recorded_by": "SYSTEM"}
    found = {"sampled_at": at, "result": "passed"} | of_it | TESTED
    tests = material_of(tube.material).release_tests
    session.execute(insert(table_of(LotTest)), [found | {"id": uuid4(), "kind": kind} for kind in tests])


def basis_event(basis: str) -> BasisDecided:
    """Quality's determination, as the stage needs it."""
    return BasisDecided(basis=RegulatoryBasis(basis), before=RegulatoryBasis.UNDETERMINED, reason="stage", signature=str(uuid4()))


def released_event(basis: str) -> QualityDecided:
    """Quality's release, as the stage needs it."""
    return QualityDecided(
        decision=Decision.RELEASED_TO_BANK, reason="stage", basis=RegulatoryBasis(basis), signature=str(uuid4())
    )


def place_of(api: Api, specimen: str) -> str:
    """The code of the box or position a specimen is in."""

    def read(session: Session) -> str:
        projection = load(session, [specimen])[specimen].projection
        return str(projection.position_code or projection.container_code)

    return api.test_bank.write(read)  # type: ignore[no-any-return]


def of_one_person(api: Api, login: str, other: str) -> None:
    """Say that two logins are one person's."""
    body = {"same_person_as": USERS[login].code}
    answer = api.admin.patch(f"/users/{USERS[other].code}", json=body)
    assert answer.status_code == 200, answer.text


def state_of(api: Api, specimen: str) -> dict[str, Any]:
    """The projection of a specimen."""
    return api.test_bank.write(lambda s: load(s, [specimen])[specimen].projection.columns())  # type: ignore[no-any-return]


def kinds_of(api: Api, stream: str, code: str) -> list[str]:
    """The kinds of a stream's events, oldest first."""
    statement = text("SELECT kind FROM event WHERE stream_kind = :stream AND stream_id = :id ORDER BY seq")
    return api.test_bank.write(lambda s: list(s.execute(statement, {"stream": stream, "id": code}).scalars()))  # type: ignore[no-any-return]


def sign_and_post(client: Client, meaning: str, path: str, body: dict[str, Any]) -> httpx.Response:
    """Sign a body as the client and send it."""
    return client.post(path, json=signed(client, meaning, path, body))


def by_two(first: Client, second: Client, path: str, body: dict[str, Any], meaning: str = "decided") -> httpx.Response:
    """Sign and send as the first person; when that was taken, complete it as the second."""
    answer = sign_and_post(first, meaning, path, body)
    if answer.status_code != 200 or answer.json().get("status") != "pending":
        return answer
    return sign_and_post(second, meaning, path, body | {"pending_act": answer.json()["pending_act"]})


def ago(**span: float) -> str:
    """A time back from now, as it travels."""
    return rfc3339(clock.now() - timedelta(**span))


def later(api: Api, **change: float) -> None:
    """Move the bank's clock, and sign everyone in again: tokens last a quarter of an hour."""
    clock.set_offset(clock.offset() + timedelta(**change), test_mode=True)
    api.close()
    api._clients.clear()


def journey_file(api: Api, *degrees: str, client: Client | None = None, **about: str) -> str:
    """Keep a logger's file whose readings are of now and the seconds before, warmest last; return its hash."""
    now = clock.now()
    times = [now - timedelta(seconds=len(degrees) - 1 - n) for n in range(len(degrees))]
    rows = [f"{at:%d.%m.%Y;%H:%M:%S};{value}" for at, value in zip(times, degrees, strict=True)]
    text = "\n".join(["Time zone;UTC+00:00", "Date;Time;Temp °C", *rows])
    body = {"media_type": "text/csv", "content": b64encode(text.encode()).decode()} | (about or {"site": "LAB"})
    answer = (client or api.quality).post("/attachments", json=body)
    assert answer.status_code in (200, 201), answer.text
    return str(answer.json()["sha256"])


def sealed(api: Api) -> None:
    """Bring the log up to date, as the sealer would."""
    with psycopg.connect(api.test_bank.dsn("owner")) as connection:
        connection.execute("DELETE FROM pending")


def a_box(api: Api) -> str:
    """An empty box at LAB."""
    act = api.test_bank.act("admin")
    return api.test_bank.write(lambda s: make_box(s, act).code)  # type: ignore[no-any-return]


def put_away(api: Api, specimen: str) -> None:
    """Store a specimen that is in the laboratory's hands."""
    seq = api.lab_tech.get(f"/specimens/{specimen}/custody").json()["items"][-1]["seq"]
    answer = api.lab_tech.post(f"/specimens/{specimen}/store", json={"container": a_box(api), "expected_seq": seq})
    assert answer.status_code == 201, answer.text


def named(client: Client, code: str) -> dict[str, Any]:
    """The members by which an approval names the picture that this person reads now; none for who may not."""
    answer = client.get(f"/withdrawals/{code}/picture")
    if answer.status_code != 200:
        return {}
    read = answer.json()
    return {"picture": read["sha256"], "picture_at": read["picture"]["seen_at"], "picture_parts": read["parts"]}


def approve(api: Api, code: str, first: Client | None = None, second: Client | None = None, **body: Any) -> httpx.Response:
    """Quality approves and signs; when asked what remains, says so, and a second person of quality signs too."""
    path, one = f"/withdrawals/{code}/approve", first or api.quality
    answer = sign_and_post(one, "approved", path, named(one, code) | body)
    if answer.status_code != 409 or answer.json()["code"] != "remainder_unsaid":
        return answer
    said = {"remains": answer.json()["remains"]} | body
    proposed = sign_and_post(one, "approved", path, named(one, code) | said)
    if proposed.status_code != 200:
        return proposed
    other = second or api.quality2
    return sign_and_post(other, "approved", path, named(other, code) | said | {"pending_act": proposed.json()["pending_act"]})


@dataclass
class Story:
    """A donor with vials and a withdrawal on its way."""

    api: Api
    donor: str
    vials: list[str]
    code: str = ""
    band: str = ""
    release: str = ""
    answers: list[httpx.Response] = field(default_factory=list)
    scans: dict[str, str] = field(default_factory=dict)

    def request(self, **changes: Any) -> httpx.Response:
        """The clinician asks for the first vial."""
        body = {"donor": self.donor, "material": "adsc", "route": "ship_frozen", "specimens": self.vials[:1]} | changes
        answer = self.api.clinician.post("/withdrawals", json=body)
        if answer.status_code == 201:
            self.code = answer.json()["code"]
        return answer

    def approve(self, client: Client | None = None, second: Client | None = None) -> httpx.Response:
        """Quality approves and signs; where it takes two, a second person as well."""
        return approve(self.api, self.code, client, second)

    def pick(self, client: Client | None = None, tube: str | None = None, **body: Any) -> httpx.Response:
        """The first technician takes the tube out."""
        tube = tube or self.vials[0]
        whole = {"tube": tube, "place": place_of(self.api, tube)} | body
        return (client or self.api.lab_tech).post(f"/withdrawals/{self.code}/picks", json=whole)

    def confirm(self, client: Client | None = None, tube: str | None = None) -> httpx.Response:
        """The second technician scans blind."""
        body = {"tube": tube or self.vials[0], "confirm": True}
        return (client or self.api.lab_tech2).post(f"/withdrawals/{self.code}/picks", json=body)

    def issue(self, client: Client | None = None, **body: Any) -> httpx.Response:
        """The tubes leave."""
        return (client or self.api.lab_tech).post(f"/withdrawals/{self.code}/issue", json=body)

    def receive(self, client: Client | None = None, **body: Any) -> httpx.Response:
        """The clinic receives."""
        whole = {"tubes": self.vials[:1], "container_intact": True, "label_legible": True, "temperature_mc": -150_000} | body
        return (client or self.api.clinic_staff).post(f"/withdrawals/{self.code}/receive", json=whole)

    def thaw(self, client: Client | None = None, tube: str | None = None) -> httpx.Response:
        """The tube is thawed."""
        body = {"tube": tube or self.vials[0], "method": "water bath 37 C", "duration_s": 90}
        return (client or self.api.clinic_staff).post(f"/withdrawals/{self.code}/thaw", json=body)

    def print_label(self, tube: str | None = None, template: str = "cryovial-25x13", reason: str = "final_label") -> str:
        """A label of a tube is printed; return what its symbol says."""
        tube = tube or self.vials[0]
        body = {"specimens": [tube], "template": template, "reason": reason}
        answer = self.api.lab_tech.post("/label-sheets", json=body)
        assert answer.status_code == 201, answer.text
        return label_text(parse_code(tube), answer.json()["items"][0]["print_number"])

    def label(self, client: Client | None = None, scan: str | None = None) -> httpx.Response:
        """The final label is put on the thawed tube and scanned there."""
        body = {"tube": scan or self.print_label()}
        return (client or self.api.lab_tech).post(f"/withdrawals/{self.code}/final-label", json=body)

    def check(self, client: Client | None = None, **body: Any) -> httpx.Response:
        """One person's bedside scans."""
        self.band = self.band or donors.band(self.api, self.donor)
        who = client or self.api.clinician
        whole = {"wristband": self.band, "product": self.vials[0], "device": f"tablet-of-{id(who)}"} | body
        answer = who.post(f"/withdrawals/{self.code}/bedside-checks", json=whole)
        if answer.status_code == 201 and answer.json()["release"]:
            self.release = answer.json()["release"]
        return answer

    def administer(self, client: Client | None = None, **body: Any) -> httpx.Response:
        """The cells are given."""
        whole = administered(self) | body
        return (client or self.api.clinician).post(f"/withdrawals/{self.code}/administer", json=whole)

    def given_before(self, first: Client | None = None, second: Client | None = None, **body: Any) -> httpx.Response:
        """Whoever gave it says so after something came against it, and somebody of quality signs too."""
        whole = administered(self) | body
        path = f"/withdrawals/{self.code}/given-before"
        return by_two(first or self.api.clinician, second or self.api.quality, path, whole, "reviewed")

    def take_back(self, client: Client | None = None, **body: Any) -> httpx.Response:
        """A frozen tube comes back, cold by the record of its journey."""
        whole = {
            "tube": self.vials[0],
            "site": "LAB",
            "reason": "treatment_postponed",
            "quality": "released_to_bank",
        } | body
        if "logger_sha256" not in whole:
            whole["logger_sha256"] = journey_file(self.api, "-185.0")
        if whole["quality"] == "released_to_bank":
            passed_tests_of(self.api, whole["tube"])
        return sign_and_post(client or self.api.quality, "decided", f"/withdrawals/{self.code}/return", whole)

    def outcome(self, client: Client | None = None, **body: Any) -> httpx.Response:
        """The clinic says what became of it."""
        whole = {"result": "as_expected"} | body
        return (client or self.api.clinician).post(f"/withdrawals/{self.code}/outcome", json=whole)

    def two_to_the_clinic(self) -> None:
        """Ask for the first two vials, bring both to the clinic, and insist that it works."""
        two = self.vials[:2]
        assert self.request(specimens=two).status_code == 201
        assert self.approve().status_code == 200
        for tube in two:
            assert self.pick(tube=tube).status_code == self.confirm(tube=tube).status_code == 201
        assert self.issue().status_code == 200
        assert self.receive(tubes=two).status_code == 200

    def up_to(self, step: str) -> "Story":
        """Take every step before and including `step`, each by the right people, and insist that it works."""
        steps: dict[str, list[Callable[[], httpx.Response]]] = {
            "request": [self.request],
            "approve": [self.approve],
            "pick": [self.pick],
            "confirm": [self.confirm],
            "issue": [self.issue],
            "receive": [self.receive],
            "thaw": [self.thaw],
            "check": [self.check, lambda: self.check(self.api.clinic_staff)],
            "administer": [self.administer],
        }
        for name, calls in steps.items():
            for call in calls:
                answer = call()
                assert answer.status_code in (200, 201), (name, answer.text)
            if name == step:
                return self
        raise AssertionError(step)


def a_story(api: Api, vials: int = 1, **changes: Any) -> Story:
    """A donor with consent and released vials."""
    donor = a_donor(api)
    return Story(api, donor, bank_vials(api, donor, vials, **changes))


def administered(story: Story) -> dict[str, Any]:
    """What is said of a giving that begins now."""
    return {
        "product": story.vials[0],
        "release": story.release,
        "given": AMOUNT - 300_000,
        "residue": 200_000,
        "loss": 100_000,
        "residue_went": "discarded",
        "volume_ul": 1500,
        "anatomical_site": "scalp",
        "started_at": rfc3339(clock.now()),
        "reaction": False,
    }


def own_notices(api: Api, login: str) -> list[dict[str, Any]]:
    """The open notices to a login itself."""
    found = getattr(api, login).get("/notices", params={"open_only": True}).json()["items"]
    return [one for one in found if one["told"] == USERS[login].code]


def holds_of(api: Api, specimen: str) -> list[dict[str, Any]]:
    """The holds in force on a specimen itself."""
    return list(api.quality.get("/holds", params={"scope": specimen, "active": True}).json()["items"])


def lift_all(api: Api, specimen: str) -> None:
    """Quality lifts what holds a specimen."""
    for one in holds_of(api, specimen):
        answer = sign_and_post(api.quality, "hold_lifted", f"/holds/{one['id']}/lift", {"reason": "reviewed"})
        assert answer.status_code == 200, answer.text


def refused(answer: httpx.Response, status: int, code: str) -> dict[str, Any]:
    """Insist on a refusal and return its document."""
    document: dict[str, Any] = answer.json()
    assert (answer.status_code, document.get("code")) == (status, code), answer.text
    return document
