"""The attack table: what an administrator, a thief of keys or a broken disk can do to the log, and where an auditor sees it.

Attacks on the bytes of a bundle are in `test_verify.py` (every byte flipped, cut anywhere, spelt otherwise); two sealers at once,
a restored backup behind the register and a rewritten history before signing are in `test_sealer.py`, `test_sealing.py` and
`test_publishing.py`: there the bank itself stops.
"""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from sqlmodel import Session

from biobank.custody.events import Annotated
from biobank.custody.recording import Circumstances, Move, record
from biobank.custody.snapshots import load
from biobank.foundation import clock
from biobank.transparency import verify as module
from biobank.transparency.canonical import encode
from biobank.transparency.checkpoint import Checkpoint
from biobank.transparency.queries import unaccounted_events
from biobank.transparency.tree import CompactRange, consistency_proof, hash_leaf
from tests.conftest import TestBank
from tests.transparency.audited import Audited
from tests.transparency.tiny import LOG_KEY, ORIGIN, POLICY, TinyLog, judge, nodes_of, small_log

EDIT = "convert_to(replace(convert_from(entry, 'UTF8'), '\"container_intact\":null', '\"container_intact\":true'), 'UTF8')"
SECOND_RECEIPT = "kind = 'specimen.received' AND stream_id = (SELECT max(stream_id) FROM event WHERE kind = 'specimen.received')"


@pytest.fixture
def audited(bank: TestBank, tmp_path: Path) -> Audited:
    """A bank with two specimens, sealed."""
    return Audited(bank, tmp_path).live()


def index_of(audited: Audited, where: str) -> int:
    return int(audited.rows(f"SELECT log_index FROM leaf JOIN event USING (leaf_hash) WHERE {where}")[0][0])


def test_an_honest_bank_is_found_true(audited: Audited) -> None:
    verdict = audited.verdict(checkpoints=[audited.checkpoint()])

    assert verdict["verdict"] == "true", verdict
    assert verdict["your_checkpoints"] == [{"size": 5, "agrees": True}]
    assert verdict["custody"] == {"rows": 2, "agree": 2}


def test_1_an_edited_entry_is_caught_where_it_stands(audited: Audited) -> None:
    index = index_of(audited, SECOND_RECEIPT)
    audited.attack(f"UPDATE event SET entry = {EDIT} WHERE {SECOND_RECEIPT}")

    verdict = audited.verdict()

    assert (verdict["reason"], verdict["first_untrue"]["index"]) == ("missing", index)


def test_2_a_deleted_event_is_caught_where_it_stood(audited: Audited) -> None:
    index = index_of(audited, SECOND_RECEIPT)
    audited.attack(f"DELETE FROM event WHERE {SECOND_RECEIPT}")

    verdict = audited.verdict()

    assert (verdict["reason"], verdict["first_untrue"]["index"]) == ("missing", index)


def test_3_a_pending_event_that_was_dropped_is_proven_by_its_acknowledgement(audited: Audited) -> None:
    receipt = audited.remark()
    code = audited.codes[0]
    audited.attack(
        "DELETE FROM pending",
        f"UPDATE custody SET (seq, head_hash) = (SELECT seq, leaf_hash FROM event WHERE stream_id = '{code}' AND seq = 2) "
        f"WHERE code = '{code}'",
        f"DELETE FROM event WHERE stream_id = '{code}' AND seq = 3",
    )
    early = audited.seal().verdict(receipts=[receipt.encode()])
    clock.set_offset(timedelta(hours=2), test_mode=True)
    audited.live(1)

    late = audited.verdict(receipts=[receipt.encode()])

    assert early["verdict"] == "true"  # the promised delay is not over: nothing is proven yet
    assert [a["index"] for a in early["your_acknowledgements"]] == [None]
    assert (late["reason"], late["exit_code"]) == ("broken_promise", 1)
    assert (late["first_untrue"]["id"], late["first_untrue"]["seq"]) == (code, 3)
    assert late["first_untrue"]["acknowledgement"] == receipt


def test_an_acknowledgement_that_was_kept_is_found_in_the_log(audited: Audited) -> None:
    receipt = audited.remark()

    verdict = audited.seal().verdict(receipts=[receipt.encode()])

    assert [a["index"] for a in verdict["your_acknowledgements"]] == [5]


def test_4_an_event_edited_before_it_was_sealed_is_not_the_one_acknowledged(audited: Audited) -> None:
    receipt = audited.remark()
    audited.attack(
        "UPDATE event SET entry = convert_to(replace(convert_from(entry, 'UTF8'), 'other', 'label'), 'UTF8') WHERE seq = 3"
    )
    audited.seal()
    clock.set_offset(timedelta(hours=2), test_mode=True)
    audited.live(1)

    assert audited.verdict(receipts=[receipt.encode()])["reason"] == "broken_promise"


def test_5_an_event_whose_place_in_the_queue_was_dropped_is_missed_by_the_bank_itself(audited: Audited) -> None:
    audited.remark()
    audited.attack("DELETE FROM pending")

    lost = audited.bank.write(lambda s: unaccounted_events(s, datetime(2000, 1, 1, tzinfo=UTC)))

    assert len(lost) == 1


def test_6_a_history_rewritten_consistently_without_the_key_is_not_the_signed_one(audited: Audited) -> None:
    audited.attack(
        f"UPDATE leaf SET leaf_hash = sha256('\\x00'::bytea || (SELECT {EDIT} FROM event WHERE {SECOND_RECEIPT})) "
        f"WHERE leaf_hash = (SELECT leaf_hash FROM event WHERE {SECOND_RECEIPT})",
        f"UPDATE event SET entry = {EDIT} WHERE {SECOND_RECEIPT}",
        "UPDATE custody SET head_hash = e.leaf_hash FROM event e WHERE e.stream_id = custody.code AND e.seq = custody.seq",
    )

    assert audited.verdict()["reason"] == "root"


def test_7_and_17_two_histories_under_one_key_are_evidence_that_anyone_can_check() -> None:
    one, other = small_log(), small_log()
    one.annotate()
    other.annotate("AD26-000002-Y")
    bundle = other.with_rows().bundle()

    verdict = judge(bundle, checkpoints=[one.checkpoint().encode()])
    shown = module.fork([one.checkpoint().encode(), other.checkpoint().encode()], module.Policy.read(POLICY), None)

    assert (verdict["reason"], len(verdict["first_untrue"]["checkpoints"])) == ("fork", 2)
    assert (shown["verdict"], shown["exit_code"]) == ("fork", 1)
    again = module.fork([note.encode() for note in shown["evidence"]["checkpoints"]], module.Policy.read(POLICY), None)
    assert again["verdict"] == "fork"


def test_17_a_split_between_different_sizes_is_shown_by_the_banks_own_consistency_proof() -> None:
    one, other = small_log(), small_log()
    one.annotate()
    for _ in range(3):
        other.annotate("AD26-000002-Y")
    old, new = one.checkpoint(), other.checkpoint()
    proof = consistency_proof(7, 9, nodes_of(other.leaves))
    policy = module.Policy.read(POLICY)

    assert module.fork([new.encode(), old.encode()], policy, proof)["verdict"] == "fork"
    assert module.fork([other.checkpoint(7).encode(), new.encode()], policy, proof)["verdict"] == "one_history"
    assert module.fork([old.encode(), new.encode()], policy, proof[:-1])["verdict"] == "nothing_shown"
    assert module.fork([old.encode(), new.encode()], policy, None)["verdict"] == "nothing_shown"
    assert judge(other.with_rows().bundle(), checkpoints=[old.encode()])["reason"] == "fork"


def test_the_fork_command_prints_evidence(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, other = small_log(), small_log()
    one.annotate()
    other.receive("AD26-000003-Z", seq=1)
    for name, text in (("a", one.checkpoint()), ("b", other.checkpoint()), ("policy", POLICY)):
        (tmp_path / name).write_text(text)
    files = [str(tmp_path / "a"), str(tmp_path / "b")]

    assert module.main(["fork", *files, "--policy", str(tmp_path / "policy"), "--json"]) == 1
    assert len(json.loads(capsys.readouterr().out)["evidence"]["checkpoints"]) == 2
    assert module.main(["fork", *files]) == 2
    assert module.main(["fork", files[0], files[0], "--policy", str(tmp_path / "policy")]) == 0


def test_12_a_clock_that_went_back_is_seen_in_the_stream() -> None:
    log = small_log()
    log.annotate(recorded_at="2026-11-03T09:00:00.000Z")

    verdict = judge(log.bundle())

    assert (verdict["reason"], verdict["first_untrue"]["index"]) == ("clock", 6)
    log.rows = []
    assert judge(log.bundle(), POLICY + "skew 20000\n")["reason"] == "custody"  # the clock is forgiven, the missing rows are not


def test_14_an_export_with_its_tail_dropped_is_refused() -> None:
    log = small_log()
    fewer = {"entries": log.entries[:5], "leaves": log.leaves[:5]}

    assert judge(log.bundle(**fewer))["exit_code"] == 1
    assert judge(log.bundle(**fewer, about={"entries": 5}))["reason"] == "truncated"


def test_15_and_18_an_older_view_than_the_auditors_own_is_refused(audited: Audited) -> None:
    old = audited.bundle()
    newer = audited.live(1).checkpoint()

    verdict = module.verify(str(old), audited.policy, module.Evidence([newer]))

    assert verdict["reason"] == "stale"


def test_16_entries_that_changed_places_are_refused(audited: Audited) -> None:
    audited.attack(
        "UPDATE leaf SET log_index = log_index + 1000",
        "UPDATE leaf SET log_index = CASE log_index WHEN 1002 THEN 4 WHEN 1004 THEN 2 ELSE log_index - 1000 END",
    )
    assert audited.verdict()["exit_code"] == 1

    log = small_log()
    order = [0, 1, 3, 2, 4, 5]
    swapped = judge(log.bundle(entries=[log.entries[i] for i in order]))
    together = judge(log.bundle(entries=[log.entries[i] for i in order], leaves=[log.leaves[i] for i in order]))
    assert (swapped["reason"], swapped["first_untrue"]["index"]) == ("leaf", 2)
    assert together["reason"] == "root"


def test_22_a_repeated_member_is_refused_though_its_hash_is_signed() -> None:
    log = small_log()
    data = encode({"a": 1})[:-1] + b',"a":2}'
    log.put(data, "X", 1)

    verdict = judge(log.bundle())

    assert (verdict["reason"], verdict["first_untrue"]["index"]) == ("not_canonical", 6)


def test_24_a_leaf_hash_that_flipped_before_it_was_sealed_is_located() -> None:
    log = small_log()
    leaves = log.leaves
    leaves[3] = bytes([leaves[3][0] ^ 1]) + leaves[3][1:]
    tree = CompactRange()
    tree.extend(leaves)
    note = note_of(tree)

    verdict = judge(log.bundle(leaves=leaves, note=note))

    assert (verdict["reason"], verdict["first_untrue"]["index"]) == ("leaf", 3)


def note_of(tree: CompactRange) -> str:
    return Checkpoint(ORIGIN, tree.size, tree.root()).sign([LOG_KEY])


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE event SET recorded_by = 'X'",
        "DELETE FROM leaf",
        "TRUNCATE event CASCADE",
        "UPDATE rule_table SET document = ''",
        "DELETE FROM rule_table",
    ],
)
def test_25_the_triggers_hold_for_the_owner_and_in_the_replica_role(audited: Audited, statement: str) -> None:
    for role in ("origin", "replica"):
        with psycopg.connect(audited.bank.dsn("owner")) as connection:
            connection.execute(f"SET session_replication_role = {role}")
            with pytest.raises(psycopg.errors.RestrictViolation):
                connection.execute(statement)
    assert audited.verdict()["verdict"] == "true"


def test_25_another_rule_table_under_old_entries_is_refused(audited: Audited) -> None:
    audited.attack(
        "ALTER TABLE rule_table DISABLE TRIGGER ALL",
        "ALTER TABLE rule_table DROP CONSTRAINT a_rule_table_is_named_by_its_hash",
        "UPDATE rule_table SET document = "
        "convert_to(replace(convert_from(document, 'UTF8'), '\"terminal\":[', '\"terminal\":[\"x\",'), 'UTF8')",
    )

    assert audited.verdict()["reason"] == "rules"


def test_26_a_document_that_vanished_without_an_act_is_refused(audited: Audited) -> None:
    def work(session: Session) -> None:
        specimen = load(session, [audited.codes[0]], lock=True)[audited.codes[0]]
        record(session, audited.act(), [Move(specimen, Annotated(topic="other"))], Circumstances(comment="frozen twice"))

    audited.bank.write(work)
    audited.seal()
    assert audited.verdict()["verdict"] == "true"
    audited.attack("DELETE FROM vault_document")

    verdict = audited.verdict()

    assert (verdict["reason"], verdict["first_untrue"]["index"]) == ("vault", 5)
    assert verdict["first_untrue"]["kind"] == "specimen.annotated"


def test_an_edited_custody_row_is_found_by_its_events(audited: Audited) -> None:
    audited.attack(f"UPDATE custody SET amount = 1 WHERE code = '{max(audited.codes)}'")

    verdict = audited.verdict()

    assert verdict["reason"] == "custody"
    assert verdict["first_untrue"]["id"] == max(audited.codes)
    assert "amount" in verdict["why"]


def test_entries_written_under_rules_nobody_adopted_are_refused(bank: TestBank, tmp_path: Path) -> None:
    audited = Audited(bank, tmp_path).live(1)
    audited.attack(
        "ALTER TABLE rule_table DISABLE TRIGGER ALL",
        "DELETE FROM rule_table",
        "INSERT INTO rule_table (id, document) VALUES (sha256('{\"rules\":[]}'), '{\"rules\":[]}')",
    )
    assert audited.verdict()["reason"] == "rules"


def test_the_small_log_of_these_tests_has_the_hashes_it_says() -> None:
    log = TinyLog()
    assert [hash_leaf(entry) for entry in log.entries] == log.leaves
