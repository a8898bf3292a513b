"""After a restore: whoever was forgotten is forgotten again, and a record that does not agree with itself is named."""

import psycopg

from biobank.operations.restore_check import look_after_restore
from tests.conftest import Api, TestBank
from tests.donors.stories import register
from tests.factories import make_received


def test_a_sound_bank_is_found_sound(bank: TestBank) -> None:
    codes = {bank.write(lambda s: make_received(s, bank.act("lab_tech"))).code for _ in range(3)}

    found = look_after_restore(bank.bank)

    assert (found.sound, found.specimens, found.events) == (True, len(codes), 2 * len(codes))


def test_a_custody_row_that_is_not_what_its_events_say_is_named(bank: TestBank) -> None:
    code = bank.write(lambda s: make_received(s, bank.act("lab_tech"))).code
    with psycopg.connect(bank.dsn()) as connection:
        # What no application can do: the owner of the database reaches round the guards.
        connection.execute("SET session_replication_role = replica")
        connection.execute("UPDATE custody SET amount = amount + 1, state_seq = 0 WHERE code = %s", (code,))

    found = look_after_restore(bank.bank)

    assert not found.sound
    assert found.differing == {code: ["state_seq", "amount"]}


def test_an_event_that_nobody_will_ever_seal_is_named(bank: TestBank) -> None:
    bank.write(lambda s: make_received(s, bank.act("lab_tech")))
    with psycopg.connect(bank.dsn()) as connection:
        row = connection.execute("DELETE FROM pending WHERE qid = (SELECT max(qid) FROM pending) RETURNING leaf_hash").fetchone()
    assert row is not None

    assert look_after_restore(bank.bank).unaccounted == [row[0].hex()]


def test_whoever_was_forgotten_after_the_dump_is_forgotten_again(api: Api) -> None:
    donor = register(api.clinician)
    api.test_bank.bank.keystore_sync.destroy(donor)

    assert look_after_restore(api.test_bank.bank).erased_again == [donor]
    assert look_after_restore(api.test_bank.bank).erased_again == []
