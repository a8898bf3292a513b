"""The signed acknowledgement: exact bytes, whose key, and what is not one."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biobank.transparency.note import BadSignature, MalformedNote, NoKnownSignature, Signer, sign_note
from biobank.transparency.receipt import (
    AcknowledgedEvent,
    ForeignReceiptKey,
    receipt_key_name,
    sign_acknowledgement,
    verify_acknowledgement,
)

ORIGIN = "bank.example/custody"
KEY = Signer(receipt_key_name(ORIGIN), bytes(range(32)))
AT = datetime(2026, 11, 3, 12, 34, 57, 12_000, tzinfo=UTC)
EVENT = AcknowledgedEvent("specimen", "HF26-7K3Q9M-4", 7, bytes.fromhex("ab" * 32))

events = st.builds(
    AcknowledgedEvent,
    st.from_regex(r"[a-z][a-z_]{0,11}", fullmatch=True),
    st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E), min_size=1, max_size=30),
    st.integers(1, 2**31 - 1),
    st.binary(min_size=32, max_size=32),
)
instants = st.datetimes(datetime(1970, 1, 1), datetime(9998, 1, 1), timezones=st.just(UTC)).map(
    lambda t: t.replace(microsecond=t.microsecond // 1000 * 1000)
)


def test_the_text_of_an_acknowledgement_is_fixed_to_the_byte() -> None:
    note = sign_acknowledgement(KEY, ORIGIN, AT, 60, [EVENT, EVENT._replace(stream_kind="container", seq=8)])
    text, _, signature = note.rpartition("\n\n")
    assert text.split("\n") == [
        "bank.example/custody/receipts",
        "ack v1",
        "recorded_at 2026-11-03T12:34:57.012Z",
        "mmd 60",
        "specimen HF26-7K3Q9M-4 7 " + "ab" * 32,
        "container HF26-7K3Q9M-4 8 " + "ab" * 32,
    ]
    assert signature.startswith("\u2014 bank.example/custody/receipts ")


@given(instants, st.integers(1, 3600), st.lists(events, min_size=1, max_size=20))
def test_what_was_acknowledged_is_what_the_device_reads(at: datetime, mmd: int, named: list[AcknowledgedEvent]) -> None:
    note = sign_acknowledgement(KEY, ORIGIN, at, mmd, named)
    assert note == sign_acknowledgement(KEY, ORIGIN, at, mmd, named)
    read = verify_acknowledgement([KEY.verifier], note)
    assert (read.origin, read.recorded_at, read.mmd_seconds, list(read.events)) == (ORIGIN, at, mmd, named)
    assert read.sealed_by == at + timedelta(seconds=mmd)


def test_a_time_in_another_zone_is_written_in_utc() -> None:
    elsewhere = AT.astimezone(timezone(timedelta(hours=9)))
    assert sign_acknowledgement(KEY, ORIGIN, elsewhere, 60, [EVENT]) == sign_acknowledgement(KEY, ORIGIN, AT, 60, [EVENT])


def test_a_whole_tank_of_twenty_thousand_tubes_fits_one_acknowledgement() -> None:
    many = [EVENT._replace(seq=n) for n in range(1, 20_101)]
    assert len(verify_acknowledgement([KEY.verifier], sign_acknowledgement(KEY, ORIGIN, AT, 60, many)).events) == 20_100


@given(st.data())
def test_an_acknowledgement_with_any_bit_flipped_is_refused(data: st.DataObject) -> None:
    note = bytearray(sign_acknowledgement(KEY, ORIGIN, AT, 60, [EVENT]).encode())
    bit = data.draw(st.integers(0, len(note) * 8 - 1))
    note[bit // 8] ^= 1 << bit % 8
    with pytest.raises((MalformedNote, BadSignature, NoKnownSignature)):
        verify_acknowledgement([KEY.verifier], bytes(note))


GOOD = f"{ORIGIN}/receipts\nack v1\nrecorded_at 2026-11-03T12:34:57.012Z\nmmd 60\nspecimen A 1 {'ab' * 32}\n"


@pytest.mark.parametrize(
    "text",
    [
        GOOD.replace("/receipts", ""),
        GOOD.replace(ORIGIN, ""),
        GOOD.replace("ack v1", "ack v2"),
        GOOD.replace("12:34:57.012Z", "12:34:57Z"),
        GOOD.replace("12:34:57.012Z", "12:34:57.012+00:00"),
        GOOD.replace("11-03T12", "11-31T12"),
        GOOD.replace("T12:34:57.012Z", "T24:00:00.000Z"),
        GOOD.replace("mmd 60", "mmd 060"),
        GOOD.replace("mmd 60", "mmd 0"),
        GOOD.replace("A 1 ", "A 0 "),
        GOOD.replace("A 1 ", "A  1 "),
        GOOD.replace("A 1 ", " 1 "),
        GOOD.replace("specimen", "Specimen"),
        GOOD.replace("ab" * 32, "AB" * 32),
        GOOD.replace("ab" * 32, "ab" * 31),
        GOOD + "\n",
        GOOD + "more\n",
        "\n".join(GOOD.split("\n")[:4]) + "\n",
    ],
)
def test_a_signed_text_that_is_not_an_acknowledgement_is_refused(text: str) -> None:
    with pytest.raises(MalformedNote):
        verify_acknowledgement([KEY.verifier], sign_note(text, [KEY]))


def test_the_well_formed_text_of_these_tests_does_open() -> None:
    assert verify_acknowledgement([KEY.verifier], sign_note(GOOD, [KEY])).mmd_seconds == 60


def test_a_key_speaks_for_its_own_log_only() -> None:
    other = Signer(receipt_key_name("other.example"), bytes(range(32)))
    with pytest.raises(ValueError, match="signed by the key named"):
        sign_acknowledgement(other, ORIGIN, AT, 60, [EVENT])
    with pytest.raises(ForeignReceiptKey):
        verify_acknowledgement([other.verifier], sign_note(GOOD, [other]))
    log_key = Signer(ORIGIN, bytes(range(32)))
    with pytest.raises(ForeignReceiptKey):
        verify_acknowledgement([log_key.verifier], sign_note(GOOD, [log_key]))


@pytest.mark.parametrize(
    ("at", "mmd", "named"),
    [
        (AT.replace(tzinfo=None), 60, [EVENT]),
        (AT, 0, [EVENT]),
        (AT, 60, []),
        (AT, 60, [EVENT._replace(stream_id="two words")]),
        (AT, 60, [EVENT._replace(stream_id="")]),
        (AT, 60, [EVENT._replace(seq=0)]),
        (AT, 60, [EVENT._replace(leaf_hash=b"short")]),
    ],
)
def test_nothing_is_signed_that_could_not_be_read_back(at: datetime, mmd: int, named: list[AcknowledgedEvent]) -> None:
    with pytest.raises(ValueError):
        sign_acknowledgement(KEY, ORIGIN, at, mmd, named)
