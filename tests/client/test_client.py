"""The client library against a real server, and against a network that loses answers."""

import httpx
import pytest

from biobank.acts.act import Act
from biobank.auth.actor import SYSTEM
from biobank.client.client import BankClient, Refused, Unreachable
from tests import seed
from tests.conftest import Api
from tests.factories import make_specimen
from tests.sealing import seal
from tests.specimens.stories import donor


def collected(api: Api) -> str:
    act = Act.of(SYSTEM, api.test_bank.bank, path="test")
    return api.test_bank.write(lambda s: make_specimen(s, act).code)  # type: ignore[no-any-return]


def client(api: Api, transport: httpx.BaseTransport | None = None) -> BankClient:
    made = BankClient(api.url, transport=transport, sleep=lambda _s: None)
    made.sign_in("lab_tech", seed.PASSWORD)
    return made


class LosesAnswers(httpx.HTTPTransport):
    """Sends every request and loses the answer to the first POST of an event."""

    def __init__(self, times: int) -> None:
        super().__init__()
        self.times = times

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        answer = super().handle_request(request)
        if self.times and request.url.path.endswith("/events"):
            self.times -= 1
            answer.close()
            raise httpx.ReadError("the answer was lost")
        return answer


def test_a_lost_answer_is_asked_for_again_and_the_act_happens_once(api: Api) -> None:
    code = collected(api)

    with client(api, LosesAnswers(2)) as bank:
        answer = bank.record_event(code, {"kind": "specimen.received", "expected_seq": 1, "site": "LAB"})
        history = bank.custody(code)

    assert answer["state"] == "received"
    assert [e["kind"] for e in history] == ["specimen.collected", "specimen.received"]
    assert bank.receipts == [answer["receipt"]]


def test_a_network_that_stays_down_is_said_with_the_key_to_try_again(api: Api) -> None:
    code = collected(api)

    with client(api, LosesAnswers(99)) as bank, pytest.raises(Unreachable) as lost:
        bank.record_event(code, {"kind": "specimen.received", "expected_seq": 1, "site": "LAB"})

    assert lost.value.key


def test_a_refusal_carries_its_code_and_where_to_put_the_tube(api: Api) -> None:
    code = collected(api)

    with client(api) as bank, pytest.raises(Refused) as refused:
        bank.record_event(code, {"kind": "specimen.checked_out", "expected_seq": 1, "purpose": "testing"})

    assert (refused.value.status, refused.value.code) == (409, "illegal_transition")
    assert refused.value.where_now


def test_a_wrong_password_is_refused(api: Api) -> None:
    with BankClient(api.url) as bank, pytest.raises(Refused) as refused:
        bank.sign_in("lab_tech", "wrong password entirely")

    assert refused.value.status == 401


def test_the_log_streams_through_the_client(api: Api) -> None:
    code = collected(api)
    seal(api.test_bank)

    with BankClient(api.url) as bank:
        bank.sign_in("auditor", seed.PASSWORD)
        whole = b"".join(bank.export_log("jsonl", specimen=code))

    assert whole.count(b"\n") == 1
    assert code.encode() in whole


@pytest.mark.parametrize("way", ["-", "small letters", " ", "%20", "\u2011", "%E2%80%91"])
def test_a_signature_is_of_the_address_as_the_bank_reads_it(api: Api, way: str) -> None:
    """The bank reads a code in an address as it is printed; what is signed is that address, however it was written."""
    person = donor(api)
    written = person.lower() if way == "small letters" else person.replace("-", way)

    with BankClient(api.url) as bank:
        bank.sign_in("quality", seed.PASSWORD)
        path, body = f"/donors/{written}/reserves", {"material": "adsc", "units": 2}
        answer = bank.post_signed(path, body, password=seed.PASSWORD, meaning="decided")

    assert answer["donor"] == person
