"""Labels of every thing, thousands in the background, printers on the network, print rules."""

import io
import socket
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import zxingcpp
from PIL import Image

from biobank.jobs.running import JOB_KINDS, run_next
from biobank.labels.batches import STEP
from biobank.labels.printers import printers
from tests import seed
from tests.conftest import Api, TestBank
from tests.exports.taking import taken_log
from tests.factories import make_box, make_received
from tests.labels.reading import decoded, pdf_pages, pdf_texts, zpl_symbols
from tests.specimens.stories import kit
from tests.withdrawals.stories import everyone

HOST = "HTTPS://BANK.EXAMPLE/S/"


class Listener:
    """A raw printer on this machine: takes connections on a port of its own and keeps what it was sent."""

    def __init__(self, *, closes_after: int | None = None) -> None:
        self.socket = socket.create_server(("127.0.0.1", 0))
        self.port = self.socket.getsockname()[1]
        self.received = b""
        self._closes_after = closes_after
        self._thread = threading.Thread(target=self._take, daemon=True)
        self._thread.start()

    def _take(self) -> None:
        while True:
            try:
                connection, _ = self.socket.accept()
            except OSError:
                return
            with connection:
                while data := connection.recv(65536):
                    self.received += data
                    if self._closes_after is not None and len(self.received) >= self._closes_after:
                        # A reset, as when somebody pulls the plug.
                        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
                        break

    def labels(self) -> list[bytes]:
        """The labels as they came."""
        return [b"^XA" + part for part in self.received.split(b"^XA")[1:]]

    def close(self) -> None:
        """Stop listening; also a blocked accept ends."""
        self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()
        self._thread.join(timeout=5)


@pytest.fixture
def printer() -> Iterator[Listener]:
    listener = Listener()
    yield listener
    listener.close()


@pytest.fixture
def printing(make_bank: Callable[..., TestBank], serve: Callable[[TestBank], str]) -> Iterator[Callable[..., Api]]:
    """A factory of running banks that may print to the listeners given by name."""
    made: list[Api] = []

    def start(**listeners: Listener) -> Api:
        allowed = " ".join(f"{name}=127.0.0.1:{one.port}/203" for name, one in listeners.items())
        bank = make_bank(printers=allowed)
        made.append(Api(serve(bank), bank))
        return made[-1]

    yield start
    for api in made:
        api.close()


def tubes(bank: TestBank, count: int) -> list[str]:
    act = everyone(bank)
    made: list[str] = bank.write(lambda s: [make_received(s, act).code for _ in range(count)])
    return made


def work_off(api: Api) -> None:
    while run_next(api.test_bank.bank, JOB_KINDS):
        pass


def job(api: Api, answer: Any) -> dict[str, Any]:
    assert answer.status_code == 202, answer.text
    work_off(api)
    return api.lab_tech.get(f"/jobs/{answer.json()['id']}").json()  # type: ignore[no-any-return]


def test_the_label_of_a_box_a_position_a_kit_and_a_label_in_it_reads_back_as_its_code(api: Api) -> None:
    bank = api.test_bank
    box = bank.write(lambda s: make_box(s, bank.act("admin"))).code
    position = next(one["position"] for one in api.lab_tech.get(f"/storage-containers/{box}/map").json()["slots"])
    prepared = kit(api)
    codes = [box, position, prepared["kit"], prepared["labels"][0]["specimen"]]

    for code in codes:
        answer = api.lab_tech.get(f"/labels/{code}/preview", params={"dpi": "600"})
        assert answer.status_code == 200, answer.text
        (symbol,) = zxingcpp.read_barcodes(Image.open(io.BytesIO(answer.content)).convert("L"))
        assert symbol.text in (HOST + code, code)


def test_a_printed_box_label_is_numbered_recorded_on_the_box_and_verified_by_scanning(api: Api) -> None:
    bank = api.test_bank
    box = bank.write(lambda s: make_box(s, bank.act("admin"))).code

    made = api.lab_tech.post("/label-sheets", json={"things": [box], "template": "box-50x25"})
    assert made.status_code == 201, made.text
    serial = made.json()["items"][0]["serial"]
    content = api.lab_tech.get(made.json()["file"].removeprefix("/api/v1")).content
    assert decoded(pdf_pages(content, 300)[0]) == [f"{HOST}{box}-01"]
    verified = api.lab_tech.post(f"/labels/{serial}/verify", json={"scanned": f"{HOST}{box}-01"})

    assert verified.json()["verified"] is True
    rows = taken_log(api)
    assert '"container.labelled"' in rows
    assert '"container.label_verified"' in rows
    assert [p["serial"] for p in api.lab_tech.get(f"/labels/{box}/prints").json()["items"]] == [serial]


def test_what_the_registers_give_a_code_gets_a_label_until_it_is_taken_out_of_use(api: Api) -> None:
    entered = {"site": "LAB", "name": "Hood 3"}
    device = api.quality.post("/registers", json=entered | {"kind": "equipment"}).json()["entry"]["entry"]
    reagent = {"kind": "reagent_lot", "name": "Trypsin", "supplier_lot": "TR-88", "expires_on": "2031-05-02"}
    lot = api.quality.post("/registers", json=entered | reagent).json()["entry"]["entry"]

    body = {"things": [device, lot], "template": "box-50x25"}
    assert api.clinician.post("/label-sheets", json=body).json()["code"] == "not_permitted"
    made = api.lab_tech.post("/label-sheets", json=body)
    assert made.status_code == 201, made.text
    content = api.lab_tech.get(made.json()["file"].removeprefix("/api/v1")).content
    assert {one for page in pdf_pages(content, 300) for one in decoded(page)} == {f"{HOST}{device}-01", f"{HOST}{lot}-01"}
    text = " ".join(" ".join(page.split()) for page in pdf_texts(content))
    assert all(said in text for said in ("Hood 3", "Trypsin", "TR-88", "2031-05-02"))
    serial = made.json()["items"][0]["serial"]
    read_back = api.lab_tech.post(f"/labels/{serial}/verify", json={"scanned": f"{HOST}{device}-01"})
    assert read_back.json()["verified"] is True
    log = taken_log(api)
    assert [kind for kind in ("system.register_labelled", "system.register_label_verified") if kind not in log] == []

    gone = api.quality.post("/registers", json=entered | {"kind": "equipment"}).json()["entry"]["entry"]
    api.quality.post(f"/registers/{gone}/changes", json={"change": "retired"})
    assert api.lab_tech.post("/label-sheets", json=body | {"things": [gone]}).json()["code"] == "kit_label_void"


def test_a_badge_says_roles_and_is_printed_by_who_manages_logins_only(api: Api) -> None:
    code = seed.USERS["lab_tech"].code
    body = {"things": [code], "template": "badge-86x54"}

    assert api.lab_tech.post("/label-sheets", json=body).status_code in (403, 404)
    made = api.admin.post("/label-sheets", json=body)

    assert made.status_code == 201, made.text
    page = pdf_texts(api.admin.get(made.json()["file"].removeprefix("/api/v1")).content)[0]
    assert "Lab tech" in page


def test_specimens_and_things_are_printed_apart(api: Api) -> None:
    (tube,) = tubes(api.test_bank, 1)
    box = api.test_bank.write(lambda s: make_box(s, api.test_bank.act("admin"))).code

    for body in ({"specimens": [tube], "things": [box]}, {}):
        assert api.lab_tech.post("/label-sheets", json=body | {"template": "cryovial-25x13"}).status_code == 422
    mixed = api.lab_tech.post("/label-batches", json={"codes": [tube, box], "template": "cryovial-25x13"})
    assert (mixed.status_code, mixed.json()["code"]) == (409, "label_template_unsuitable")


def test_the_accompanying_sheet_has_every_statement_and_the_establishment(api: Api) -> None:
    codes = tubes(api.test_bank, 2)

    answer = api.lab_tech.get("/label-sheets/accompanying", params={"specimens": ",".join(codes)})

    assert answer.status_code == 200, answer.text
    text = " ".join(" ".join(pdf_texts(answer.content)).split())
    assert "FOR AUTOLOGOUS USE ONLY" in text
    assert "NOT EVALUATED FOR INFECTIOUS SUBSTANCES" in text
    assert set(decoded(pdf_pages(answer.content, 200)[0])) == {HOST + code for code in codes}


def test_a_batch_numbers_every_tube_of_a_box_once_and_makes_one_file(api: Api) -> None:
    bank = api.test_bank
    box = bank.write(lambda s: make_box(s, bank.act("admin"), rows=3, cols=3)).code
    codes = tubes(bank, 5)
    for code in codes:
        stored = api.lab_tech.post(f"/specimens/{code}/store", json={"container": box, "expected_seq": 2})
        assert stored.status_code == 201, stored.text

    done = job(api, api.lab_tech.post("/label-batches", json={"tubes_in": box, "template": "cryovial-25x13"}))

    assert (done["state"], done["done"], len(done["answer"]["serials"])) == ("done", 10, 5)
    pages = pdf_pages(api.lab_tech.get(done["file"].removeprefix("/api/v1")).content, 300)
    assert sorted(decoded(page)[0] for page in pages) == sorted(f"{HOST}{code}-01" for code in codes)
    kept = api.lab_tech.get(f"/labels/{codes[0]}/prints").json()["items"]
    assert [one["copy_number"] for one in kept] == [1]


@pytest.mark.slow
def test_a_long_batch_goes_step_by_step_and_a_cancelled_one_keeps_what_it_numbered(api: Api) -> None:
    bank = api.test_bank
    boxes = [bank.write(lambda s: make_box(s, bank.act("admin"), rows=16, cols=16)).code for _ in range(2)]

    whole = job(api, api.lab_tech.post("/label-batches", json={"positions_of": boxes[0], "template": "position-38x13"}))
    assert (whole["state"], whole["done"]) == ("done", 512)
    assert len(pdf_pages(api.lab_tech.get(whole["file"].removeprefix("/api/v1")).content, 72)) == 256

    queued = api.lab_tech.post("/label-batches", json={"positions_of": boxes[1], "template": "position-38x13"}).json()
    original = JOB_KINDS["labels.print"].run

    def cancelled_after_one_step(run: Any) -> Any:
        step = run.step

        def stepping(*args: Any, **kwargs: Any) -> Any:
            made = step(*args, **kwargs)
            api.lab_tech.post(f"/jobs/{queued['id']}/cancel")
            return made

        run.step = stepping
        return original(run)

    assert run_next(bank.bank, {"labels.print": type(JOB_KINDS["labels.print"])(cancelled_after_one_step)})
    found = api.lab_tech.get(f"/jobs/{queued['id']}").json()
    assert (found["state"], found["done"], len(found["answer"]["serials"])) == ("cancelled", STEP, STEP)


def test_an_empty_box_a_foreign_box_and_a_bare_request_print_nothing(api: Api) -> None:
    bank = api.test_bank
    box = bank.write(lambda s: make_box(s, bank.act("admin"))).code

    empty = api.lab_tech.post("/label-batches", json={"tubes_in": box, "template": "cryovial-25x13"})
    assert (empty.status_code, empty.json()["code"]) == (409, "nothing_to_print")
    foreign = api.north_tech.post("/label-batches", json={"tubes_in": box, "template": "cryovial-25x13"})
    assert foreign.status_code == 404
    bare = api.lab_tech.post("/label-batches", json={"template": "cryovial-25x13"})
    assert bare.status_code == 422
    assert api.lab_tech.get("/jobs").json()["items"] == []


def test_labels_reach_an_allowed_printer_at_its_own_resolution(printing: Callable[..., Api], printer: Listener) -> None:
    api = printing(bench=printer)
    codes = tubes(api.test_bank, 3)

    body = {"codes": codes, "template": "cryovial-25x13", "printer": "bench"}
    done = job(api, api.lab_tech.post("/label-batches", json=body))

    sending = api.lab_tech.get(f"/jobs/{done['answer']['sending']}").json()
    assert (sending["state"], sending["done"]) == ("done", 3)
    assert [decoded(zpl_symbols(label)) for label in printer.labels()] == [[f"{HOST}{code}-01"] for code in codes]
    assert api.lab_tech.get("/printers").json()["items"] == [{"name": "bench", "dpi": 203}]


def test_a_printer_that_is_not_allowed_gets_nothing(api: Api, printer: Listener) -> None:
    (code,) = tubes(api.test_bank, 1)

    answer = api.lab_tech.post("/label-batches", json={"codes": [code], "template": "cryovial-25x13", "printer": "bench"})

    assert (answer.status_code, answer.json()["code"]) == (404, "printer_unknown")
    assert printer.received == b""


def test_a_printer_that_is_off_fails_the_job_and_the_prints_can_be_sent_later(printing: Callable[..., Api]) -> None:
    off, on = Listener(), Listener()
    off.close()
    api = printing(bench=off, spare=on)
    codes = tubes(api.test_bank, 1)
    done = job(api, api.lab_tech.post("/label-batches", json={"codes": codes, "template": "cryovial-25x13", "printer": "bench"}))
    failed = api.lab_tech.get(f"/jobs/{done['answer']['sending']}").json()
    assert (failed["state"], failed["problem"]["code"]) == ("failed", "printer_unreachable")

    again = job(api, api.lab_tech.post("/label-sendings", json={"serials": done["answer"]["serials"], "printer": "spare"}))
    on.close()

    assert again["state"] == "done"
    assert [decoded(zpl_symbols(label)) for label in on.labels()] == [[f"{HOST}{codes[0]}-01"]]


@pytest.mark.slow
def test_a_printer_that_stops_in_the_middle_says_from_which_label_on(printing: Callable[..., Api]) -> None:
    jammed = Listener(closes_after=100_000)
    api = printing(bench=jammed)
    bank = api.test_bank
    box = bank.write(lambda s: make_box(s, bank.act("admin"), rows=16, cols=16)).code

    body = {"positions_of": box, "template": "position-38x13", "printer": "bench"}
    done = job(api, api.lab_tech.post("/label-batches", json=body))
    jammed.close()

    failed = api.lab_tech.get(f"/jobs/{done['answer']['sending']}").json()
    assert (failed["state"], failed["problem"]["code"]) == ("failed", "printer_unreachable")
    assert 0 < failed["done"] < 256
    assert failed["problem"]["serial"] == done["answer"]["serials"][failed["done"]]


@pytest.mark.parametrize("entry", ["bench", "bench=host/203", "bench=host:0/203", "bench=host:9100/204", "BENCH=host:9100/203"])
def test_a_malformed_printer_setting_is_refused(api: Api, entry: str) -> None:
    with pytest.raises(ValueError, match="name=host:port/dpi"):
        printers(api.test_bank.bank.settings.model_copy(update={"printers": entry}))


def test_a_print_rule_is_set_by_an_administrator_kept_in_the_log_and_taken_away_again(api: Api) -> None:
    rule = {"site": "LAB", "prefix": "AD", "template": "cryovial-38x19"}
    assert api.lab_tech.post("/print-rules", json=rule).status_code == 403

    assert api.admin.post("/print-rules", json=rule).status_code == 200
    assert api.lab_tech.get("/print-rules").json()["items"] == [rule | {"printer": None}]
    for wrong, status in (
        ({"template": "box-50x25"}, 409),
        ({"prefix": "ZZ"}, 422),
        ({"printer": "none"}, 404),
        ({"site": "NOWHERE"}, 404),
    ):
        assert api.admin.post("/print-rules", json=rule | wrong).status_code == status, wrong
    assert api.admin.post("/print-rules", json=rule | {"template": None}).json()["items"] == []

    log = taken_log(api, kind="system.print_rule_set")
    assert log.count("system.print_rule_set") == 2
