"""What PostgreSQL refuses whatever the code does: each guard of custody attacked by raw SQL, as the application and as owner."""

import psycopg
import pytest

from biobank.acts.act import Act
from biobank.auth.actor import SYSTEM
from tests.conftest import TestBank
from tests.factories import make_box, make_donor, make_received, make_specimen


def stage(bank: TestBank) -> Act:
    return Act.of(SYSTEM, bank.bank, path="test")


@pytest.fixture
def code(bank: TestBank) -> str:
    act = stage(bank)
    return bank.write(lambda s: make_received(s, act).code)  # type: ignore[no-any-return]


def attack(bank: TestBank, statement: str, *parameters: object, role: str = "app") -> psycopg.Error:
    """Run one statement in one transaction; it must fail, at the latest at COMMIT."""
    with psycopg.connect(bank.dsn(role)) as connection:
        try:
            connection.execute(statement, parameters)
            connection.commit()
        except psycopg.Error as refused:
            connection.rollback()
            return refused
    raise AssertionError(f"the database took: {statement}")


@pytest.mark.parametrize("table", ["event", "leaf", "tile", "tree_head", "checkpoint", "cosignature", "attempt"])
@pytest.mark.parametrize("role", ["app", "owner"])
def test_history_cannot_be_truncated(bank: TestBank, table: str, role: str) -> None:
    error = attack(bank, f"TRUNCATE {table} CASCADE", role=role)

    assert isinstance(error, psycopg.errors.InsufficientPrivilege | psycopg.errors.RestrictViolation)


@pytest.mark.parametrize("change", ["UPDATE event SET recorded_by = 'US-X'", "DELETE FROM event"])
def test_an_event_cannot_be_changed_or_deleted_by_the_application(bank: TestBank, code: str, change: str) -> None:
    assert isinstance(attack(bank, change), psycopg.errors.InsufficientPrivilege)


@pytest.mark.parametrize("change", ["UPDATE event SET recorded_by = 'US-X'", "DELETE FROM event", "DELETE FROM custody"])
def test_nor_by_the_owner(bank: TestBank, code: str, change: str) -> None:
    assert isinstance(attack(bank, change, role="owner"), psycopg.errors.RestrictViolation)


def test_nor_when_triggers_are_meant_to_sleep(bank: TestBank, code: str) -> None:
    with psycopg.connect(bank.dsn("owner")) as connection:
        connection.execute("SET session_replication_role = replica")
        with pytest.raises(psycopg.errors.RestrictViolation):
            connection.execute("UPDATE event SET recorded_by = 'US-X'")


def test_an_upsert_does_not_change_an_event_either(bank: TestBank, code: str) -> None:
    error = attack(
        bank,
        "INSERT INTO event (stream_kind, stream_id, seq, kind, entry, occurred_at, recorded_at, recorded_by) "
        "SELECT stream_kind, stream_id, seq, kind, entry, occurred_at, recorded_at, recorded_by FROM event WHERE seq = 1 "
        "ON CONFLICT (stream_kind, stream_id, seq) DO UPDATE SET recorded_by = 'US-X'",
        role="owner",
    )

    assert isinstance(error, psycopg.errors.RestrictViolation)


@pytest.mark.parametrize(
    ("change", "constraint"),
    [
        ("state = 'issued'", "custody_follows_log"),
        ("seq = seq + 1", "custody_follows_log"),
        ("seq = seq - 1", "custody_follows_log"),
        ("head_hash = decode(repeat('ab', 32), 'hex')", "custody_follows_log"),
        ("donor_code = NULL", "custody_is_of_the_specimens_donor"),
        ("custodian_kind = 'nobody'", "a_custodian_has_a_name"),
        ("custodian_kind = 'martian'", "custodian_kind_is_known"),
        ("quality = 'fine'", "quality_is_known"),
        ("condition = 'warm'", "condition_is_known"),
        ("state = 'gone'", "custody_state_is_known"),
        ("amount = -1", "amount_is_not_negative"),
        ("shipment_code = 'SH-0000000'", "only_what_is_underway_names_a_shipment"),
        ("custodian_kind = 'nobody', custodian_id = NULL", "somebody_answers_for_what_is_alive"),
    ],
)
def test_custody_cannot_say_what_the_log_does_not(bank: TestBank, code: str, change: str, constraint: str | None) -> None:
    if constraint is None:
        # Losing the donor is possible for the row alone; the specimen's own donor is what every rule reads.
        return
    error = attack(bank, f"UPDATE custody SET {change} WHERE code = %s", code)

    assert error.diag.constraint_name == constraint


def test_custody_cannot_name_another_donor(bank: TestBank, code: str) -> None:
    other = bank.write(lambda s: make_donor(s))

    error = attack(bank, "UPDATE custody SET donor_code = %s WHERE code = %s", other, code)

    assert error.diag.constraint_name == "custody_is_of_the_specimens_donor"


def test_a_specimen_cannot_be_given_to_another_donor(bank: TestBank, code: str) -> None:
    other = bank.write(lambda s: make_donor(s))

    error = attack(bank, "UPDATE specimen SET donor_code = %s WHERE code = %s", other, code)

    assert isinstance(error, psycopg.errors.ForeignKeyViolation)


def test_a_derivative_cannot_belong_to_another_donor(bank: TestBank, code: str) -> None:
    act = stage(bank)
    other = bank.write(lambda s: make_specimen(s, act))
    with psycopg.connect(bank.dsn("app")) as connection:
        row = connection.execute("SELECT donor_code FROM specimen WHERE code = %s", [code]).fetchone()
    assert row is not None

    honest = attack(bank, "INSERT INTO specimen_parent VALUES (%s, %s, %s, %s)", other.code, code, other.donor_code, row[0])
    lying = attack(bank, "INSERT INTO specimen_parent VALUES (%s, %s, %s, %s)", other.code, code, row[0], row[0])

    assert honest.diag.constraint_name == "derived_from_the_same_donor"
    assert lying.diag.constraint_name == "child_is_of_its_donor"


def test_two_tubes_cannot_be_in_one_position(bank: TestBank) -> None:
    act = stage(bank)
    admin = bank.act("admin")
    box = bank.write(lambda s: make_box(s, admin))
    codes = [bank.write(lambda s: make_received(s, act).code) for _ in range(2)]
    with psycopg.connect(bank.dsn("app")) as connection:
        slot = connection.execute("SELECT code FROM storage_position LIMIT 1").fetchone()
    assert slot is not None

    error = attack(
        bank,
        "UPDATE custody SET state = 'stored', container_code = %s, position_code = %s WHERE code = ANY(%s)",
        box.code,
        slot[0],
        codes,
    )

    assert error.diag.constraint_name == "one_specimen_per_position"


def test_stored_nowhere_is_not_stored(bank: TestBank, code: str) -> None:
    error = attack(bank, "UPDATE custody SET state = 'stored' WHERE code = %s", code)

    assert error.diag.constraint_name == "stored_has_a_place"


def test_what_is_not_in_the_tank_holds_no_position(bank: TestBank, code: str) -> None:
    admin = bank.act("admin")
    box = bank.write(lambda s: make_box(s, admin))

    error = attack(bank, "UPDATE custody SET container_code = %s WHERE code = %s", box.code, code)

    assert error.diag.constraint_name == "only_placed_specimens_hold_a_position"


def test_a_position_is_in_its_own_container(bank: TestBank, code: str) -> None:
    admin = bank.act("admin")
    first, second = (bank.write(lambda s: make_box(s, admin)) for _ in range(2))
    with psycopg.connect(bank.dsn("app")) as connection:
        slot = connection.execute("SELECT code FROM storage_position WHERE container_code = %s LIMIT 1", [first.code]).fetchone()
    assert slot is not None

    error = attack(
        bank,
        "UPDATE custody SET state = 'stored', container_code = %s, position_code = %s WHERE code = %s",
        second.code,
        slot[0],
        code,
    )

    assert error.diag.constraint_name == "position_is_in_that_container"


def test_nothing_is_administered_without_a_release(bank: TestBank, code: str) -> None:
    error = attack(bank, "UPDATE custody SET state = 'administered' WHERE code = %s", code)

    assert error.diag.constraint_name == "administered_iff_under_a_release"


def test_a_release_that_does_not_exist_is_no_release(bank: TestBank, code: str) -> None:
    error = attack(
        bank,
        "UPDATE custody SET state = 'administered', administered_under = gen_random_uuid() WHERE code = %s",
        code,
    )

    assert error.diag.constraint_name == "administered_under_a_consumed_release"


EVENT = (
    "INSERT INTO event (stream_kind, stream_id, seq, kind, entry, prev_hash, state, state_before, occurred_at, recorded_at, "
    "recorded_by) SELECT stream_kind, stream_id, seq + {step}, 'specimen.forged', %s, {prev}, 'issued', {before}, occurred_at, "
    "recorded_at, recorded_by FROM event WHERE stream_id = %s ORDER BY seq DESC LIMIT 1"
)


@pytest.mark.parametrize(
    ("step", "prev", "before", "constraint"),
    [
        (2, "leaf_hash", "state", "history_is_gapless_and_linked"),
        (1, "decode(repeat('00', 32), 'hex')", "state", "history_is_gapless_and_linked"),
        (1, "leaf_hash", "'stored'", "history_is_gapless_and_linked"),
        (1, "NULL", "state", "only_the_first_event_has_no_predecessor"),
        (0, "leaf_hash", "state", "pk_event"),
    ],
)
def test_a_forged_event_must_follow_the_last_one_exactly(
    bank: TestBank, code: str, step: int, prev: str, before: str, constraint: str
) -> None:
    error = attack(bank, EVENT.format(step=step, prev=prev, before=before), b"{}", code)

    assert error.diag.constraint_name == constraint


def test_the_leaf_hash_is_computed_by_the_database(bank: TestBank, code: str) -> None:
    error = attack(
        bank,
        "INSERT INTO event (stream_kind, stream_id, seq, kind, entry, leaf_hash, occurred_at, recorded_at, recorded_by) "
        "VALUES ('system', 'x', 1, 'system.forged', '{}', '\\x00', now(), now(), 'US-X')",
    )

    assert isinstance(error, psycopg.errors.GeneratedAlways)


@pytest.mark.parametrize(
    "statement",
    [
        "DELETE FROM pending",
        "UPDATE pending SET recorded_at = now()",
        "INSERT INTO leaf VALUES (0, '\\x00')",
        "INSERT INTO tree_head VALUES (1, '\\x00', '\\x00', now())",
        "UPDATE attempt SET code = 'nothing'",
        "DELETE FROM attempt",
        "DELETE FROM specimen",
        "ALTER TABLE event DISABLE TRIGGER ALL",
        "CREATE TABLE mine (x int)",
        "UPDATE alembic_version SET version_num = 'x'",
    ],
)
def test_the_applications_login_cannot_touch_the_log_or_the_schema(bank: TestBank, code: str, statement: str) -> None:
    assert isinstance(attack(bank, statement), psycopg.errors.InsufficientPrivilege)


def test_the_sealer_only_drains_and_appends(bank: TestBank, code: str) -> None:
    for statement in ("DELETE FROM event", "UPDATE custody SET amount = 1", "SELECT * FROM app_user", "DELETE FROM leaf"):
        assert isinstance(attack(bank, statement, role="sealer"), psycopg.errors.InsufficientPrivilege), statement


def test_the_auditor_reads_and_no_credentials(bank: TestBank, code: str) -> None:
    with psycopg.connect(bank.dsn("auditor")) as connection:
        assert connection.execute("SELECT count(*) FROM event").fetchone() == (2,)
        connection.execute("SELECT code, username FROM app_user")
    for statement in (
        "SELECT password_hash FROM app_user",
        "SELECT * FROM vault_document",
        "SELECT * FROM login_session",
        "INSERT INTO attempt DEFAULT VALUES",
        "UPDATE custody SET amount = 1",
    ):
        assert isinstance(attack(bank, statement, role="auditor"), psycopg.errors.InsufficientPrivilege), statement
