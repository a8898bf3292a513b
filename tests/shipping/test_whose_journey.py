"""Whose journey it was: the file of the logger that travelled, and a shipment that is over."""

from base64 import b64encode
from datetime import timedelta

import pytest

from biobank.foundation import clock
from biobank.shipping.journey_logs import same_logger
from tests.conftest import Api
from tests.shipping.stories import now_of, refused, shipped, tubes
from tests.shipping.test_shipments import holds_of, receive
from tests.withdrawals import stories as withdrawals


@pytest.mark.parametrize(
    ("put_in", "read_out", "same"),
    [
        ("LOG-7", "LOG-7", True),
        ("log 7", "LOG-7", True),
        ("TempTale 4, S/N 30512345", "30512345", True),
        ("30512345", "30512346", False),
        ("LOG-7", "LOG-9", False),
        (None, "LOG-9", True),
        ("LOG-7", None, True),
        (None, None, True),
    ],
)
def test_two_numbers_are_of_one_logger_as_far_as_both_are_known(put_in: str | None, read_out: str | None, same: bool) -> None:
    assert same_logger(put_in, read_out) is same


def of_serial(api: Api, serial: str) -> str:
    """Keep a file that reads each minute of the last hour, of the logger of this number."""
    start = clock.now() - timedelta(hours=1)
    rows = [f"{start + timedelta(minutes=n):%d.%m.%Y;%H:%M:%S};-185,0" for n in range(60)]
    text = "\n".join([f"Serial number;{serial}", "Time zone;UTC+00:00", "Date;Time;Temp °C", *rows])
    body = {"media_type": "text/csv", "content": b64encode(text.encode()).decode(), "site": "NORTH"}
    answer = api.north_tech.post("/attachments", json=body)
    assert answer.status_code in (200, 201), answer.text
    return str(answer.json()["sha256"])


def test_the_file_of_another_logger_proves_nothing_of_this_journey(api: Api) -> None:
    pair = tubes(api, 2, frozen=True)
    code = shipped(api, pair, temperature_class="ln2_vapour", logger="30512345")
    withdrawals.later(api, hours=1)

    strange = receive(api, code, pair, logger_sha256=of_serial(api, "99887766"))
    refused(strange, 409, "logger_of_another_journey")
    assert now_of(api, pair[0])["state"] == "in_transit"
    without = receive(api, code, pair)

    assert without.status_code == 200, without.text
    assert "no_temperature_record" in holds_of(api, code)


def test_the_file_of_its_own_logger_is_taken(api: Api) -> None:
    pair = tubes(api, 2, frozen=True)
    code = shipped(api, pair, temperature_class="ln2_vapour", logger="30512345")
    withdrawals.later(api, hours=1)

    answer = receive(api, code, pair, logger_sha256=of_serial(api, "30512345"))

    assert answer.status_code == 200, answer.text
    assert "no_temperature_record" not in holds_of(api, code)


def test_an_arrival_is_not_undone_once_its_shipment_is_closed(api: Api) -> None:
    (tube,) = tubes(api, 1, frozen=True)
    code = shipped(api, [tube], temperature_class="ln2_vapour")
    assert receive(api, code, [tube]).status_code == 200
    latest = api.auditor.get("/custody-log", params={"specimen": tube, "kind": "specimen.received"}).json()["items"][-1]

    undone = api.north_tech.post(
        f"/specimens/{tube}/reverse",
        json={"reverses": latest["leaf_hash"], "reason": "wrong_tube", "expected_seq": now_of(api, tube)["seq"]},
    )

    document = refused(undone, 409, "shipment_closed")
    assert "missing" in document["detail"]
    assert now_of(api, tube)["state"] == "received"
