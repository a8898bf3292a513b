"""The offline verifier, on small bundles written by hand: what it accepts, what it refuses and where it says the fault lies."""

import base64
import json
import random
import shutil
import subprocess
import sys
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from biobank.transparency import verify as module
from biobank.transparency.canonical import encode
from biobank.transparency.note import Signer
from biobank.transparency.tree import hash_leaf
from biobank.vault import commitment
from tests.transparency.tiny import LOG_KEY, ORIGIN, POLICY, RECEIPT_KEY, RULES_ID, TinyLog, first_fault, judge, small_log

SALT = bytes(32)


def test_a_true_bundle_is_true_and_says_what_it_does_not_prove() -> None:
    verdict = judge(small_log().bundle())

    assert (verdict["verdict"], verdict["exit_code"]) == ("true", 0), verdict
    assert verdict["entries"] == 6
    assert verdict["custody"] == {"rows": 2, "agree": 2}
    assert any("no witness" in sentence for sentence in verdict["not_proven"])


def test_without_a_policy_the_verdict_says_that_nobody_vouches_for_the_keys() -> None:
    verdict = judge(small_log().bundle(), policy=None)

    assert (verdict["verdict"], verdict["exit_code"]) == ("true_under_its_own_keys", 3)
    assert any("keys came with the bundle" in sentence for sentence in verdict["not_proven"])


@pytest.mark.slow
def test_every_flipped_byte_of_a_bundle_is_caught_and_located() -> None:
    whole = small_log().bundle()
    dice = random.Random(20261125)
    assert first_fault(whole) is None
    size = len(whole)
    root_matters = []
    for at in range(size):
        spoilt = bytearray(whole)
        spoilt[at] ^= 1 << dice.randrange(8)
        fault = first_fault(bytes(spoilt))
        if fault is None:
            root_matters.append(at)
            continue
        assert fault.where.keys() & {"index", "member", "byte"}, (at, fault.why)
    assert root_matters == []


def test_a_bundle_cut_anywhere_is_caught() -> None:
    whole = small_log().bundle()
    for at in [*range(0, len(whole), 512), 1, 700, len(whole) - 1]:
        fault = first_fault(whole[:at])
        assert fault is not None
        assert fault.code == "truncated"
    assert first_fault(whole + b"\0") is not None


def fault_of(log: TinyLog) -> tuple[str, int | None]:
    verdict = judge(log.bundle())
    assert verdict["exit_code"] == 1, verdict
    return verdict["reason"], (verdict["first_untrue"] or {}).get("index")


def one(**entry: Any) -> TinyLog:
    """A specimen collected and then received, with something odd about its second entry (index 2)."""
    log = TinyLog()
    log.collect()
    log.receive(**entry)
    return log


@pytest.mark.parametrize(
    ("odd", "code"),
    [
        ({"seq": 3}, "sequence"),
        ({"prev": "0" * 64}, "prev"),
        ({"recorded_at": "2026-11-03T11:00:00.000Z"}, "clock"),
        ({"rules": "1" * 64}, "rules"),
        ({"kv": 2}, "rules"),
        ({"kind": "specimen.unheard_of"}, "rules"),
        ({"stream": "lot"}, "rules"),
        ({"source": "dream"}, "schema"),
        ({"comment": "words"}, "schema"),
        ({"v": 2}, "schema"),
        ({"more": 1}, "schema"),
        ({"body": {"site": "LAB"}}, "schema"),
        ({"recorded_at": "yesterday"}, "schema"),
    ],
)
def test_an_odd_entry_is_refused_where_it_stands(odd: dict[str, Any], code: str) -> None:
    assert fault_of(one(**odd)) == (code, 2)


@pytest.mark.parametrize(
    "spelling",
    [
        lambda data: data.replace(b'"seq":2', b'"seq":2,"seq":2'),
        lambda data: data.replace(b'"seq":2', b'"seq": 2'),
        lambda data: data.replace(b'"seq":2', b'"seq":2.0'),
        lambda data: data.replace(b'"by"', b'"\\u0062y"'),
        lambda data: data.replace(b"4000", b"9007199254740992"),
        lambda data: data.replace(b"US-1234567", "e\u0301".encode()),
        lambda data: b"\xef\xbb\xbf" + data,
        lambda data: data + b"\n",
        lambda data: b"[" * 5000,
    ],
)
def test_another_spelling_of_the_same_entry_is_refused(spelling: Any) -> None:
    log = one()
    data = spelling(log.entries.pop())
    log.put(data, "AD26-000001-X", 2)

    assert fault_of(log) == ("not_canonical", 2)


def test_entries_that_the_pattern_does_not_take_are_judged_the_long_way_and_alike() -> None:
    log = one(performed=[{"confirmed": False, "user": "US-7654321"}])
    log.annotate()
    assert judge(log.with_rows().bundle())["verdict"] == "true"

    log.annotate(device="wå")
    assert fault_of(log) == ("schema", 4)  # a device is a word of ASCII


def test_an_event_that_the_rules_of_its_time_forbid_is_refused() -> None:
    log = one()
    log.receive()  # it is received already

    verdict = judge(log.bundle())

    assert (verdict["reason"], verdict["first_untrue"]["index"]) == ("illegal", 3)
    assert "received" in verdict["why"]
    assert verdict["first_untrue"]["kind"] == "specimen.received"


def test_a_record_begins_with_an_event_that_begins_one_and_only_once() -> None:
    log = TinyLog()
    log.receive()
    assert fault_of(log) == ("illegal", 1)

    log = TinyLog()
    log.collect()
    log.collect()
    assert fault_of(log) == ("illegal", 2)


def test_a_hold_on_the_specimen_is_obeyed_and_the_one_that_comes_with_an_event_is_there() -> None:
    hold: dict[str, Any] = {
        "hold": "0" * 36,
        "hold_kind": "identity",
        "scope_kind": "specimen",
        "scope_id": "AD26-000001-X",
        "blocks": ["administer", "destroy", "issue", "process"],
        "reason": "found",
    }
    row = next(row for row in _rows() if row["kind"] == "specimen.process_started")
    body: dict[str, Any] = {
        name: [] if "array" in shape else None if "null" in shape else "x" for name, shape in row["body"].items()
    }
    log = one()
    log.add("specimen", "AD26-000001-X", "specimen.hold_placed", **hold)
    log.add("specimen", "AD26-000001-X", "specimen.process_started", **body)
    assert fault_of(log) == ("illegal", 4)


@pytest.mark.parametrize(("steps", "fault"), [((), None), (("reserved",), ("illegal", 6)), (("reserved", "issued"), None)])
def test_what_is_reserved_for_a_patient_leaves_by_its_issue_in_the_log_too(
    steps: tuple[str, ...], fault: tuple[str, int] | None
) -> None:
    log = TinyLog()
    log.collect()
    for kind in ("received", "stored", "checked_out"):
        log.event(f"specimen.{kind}")
    for step in steps:
        log.event(f"specimen.{step}", withdrawal="WD26-0000001")
    log.event("specimen.dispatched")
    if fault is None:
        assert judge(log.with_rows().bundle())["exit_code"] == 0
        return
    assert fault_of(log) == fault
    assert "had not been issued" in judge(log.bundle())["why"]


def _rows() -> list[dict[str, Any]]:
    from tests.transparency.tiny import table_document

    rows: list[dict[str, Any]] = table_document()["rules"]
    return rows


def test_an_entry_under_rules_that_the_log_adopted_later_is_refused() -> None:
    log = TinyLog()
    adoption = log.entries.pop()
    log.heads.clear()
    log.collect()
    log.put(adoption, "RULES", 1)

    assert fault_of(log) == ("rules", 0)


def test_a_custody_row_that_its_events_do_not_make_is_named_with_its_columns() -> None:
    log = small_log()
    log.rows[1] |= {"site_code": "ELSEWHERE"}

    verdict = judge(log.bundle())

    assert verdict["reason"] == "custody"
    assert "site_code" in verdict["why"]
    assert verdict["first_untrue"]["id"] == "AD26-000002-Y"


def test_a_specimen_that_the_custody_table_lacks_is_missed() -> None:
    log = small_log()
    log.rows.pop()

    assert judge(log.bundle())["reason"] == "custody"


@pytest.mark.parametrize("which", [slice(0, 1), slice(0, None)])
def test_a_row_that_claims_to_be_further_than_its_events_is_a_lie(which: slice) -> None:
    """A raised `seq` was once waved through as "moved after the checkpoint", and so were all rows of a bundle together."""
    log = small_log()
    for row in log.rows[which]:
        row |= {"seq": 9, "state": "administered"}

    verdict = judge(log.bundle())

    assert (verdict["reason"], verdict["first_untrue"]["id"]) == ("custody", "AD26-000001-X")
    assert "seq" in verdict["why"]


def test_a_specimen_that_no_event_made_is_a_lie() -> None:
    log = small_log()
    log.rows.append(log.rows[-1] | {"code": "AD26-000003-Z"})

    verdict = judge(log.bundle())

    assert (verdict["reason"], verdict["first_untrue"]["id"]) == ("custody", "AD26-000003-Z")


def test_a_part_whose_last_event_was_cut_is_true_only_of_what_is_in_it() -> None:
    log = small_log()
    whole = judge(log.bundle())
    log.rows = log.rows[:1]
    with_the_row = judge(log.part("specimen", "AD26-000001-X", [0, 1, 2]))
    cut = TinyLog()
    cut.collect()
    cut.receive()
    log.rows = cut.with_rows().rows

    without = judge(log.part("specimen", "AD26-000001-X", [0, 1, 2]))

    assert whole["complete"] is True
    assert with_the_row["reason"] == "custody"
    assert without["complete"] is False
    assert module.in_words(without).startswith(
        "TRUE OF WHAT IS IN IT. Whether the log holds more about this, a part cannot show."
    )
    assert any("last events may have been left out" in sentence for sentence in without["not_proven"])


@pytest.mark.parametrize(
    ("leaf", "path", "root"),
    [
        (b"", [], b""),
        (bytes(32), [b""], hash_leaf(b"")),
        (bytes(31), [bytes(33)], sha256(b"\1" + bytes(64)).digest()),
    ],
)
def test_an_inclusion_proof_is_made_of_hashes(leaf: bytes, path: list[bytes], root: bytes) -> None:
    with pytest.raises(module.Untrue) as refusal:
        module.check_inclusion(0, 1 + len(path), leaf, path, root)

    assert refusal.value.code == "inclusion"


def test_a_signature_of_a_known_key_that_is_wrong_refuses_the_note() -> None:
    log = small_log()
    forged = log.checkpoint(4).partition("\n\n")[2]
    note = log.checkpoint().partition("\n\n")[0] + "\n\n" + forged

    assert judge(log.bundle(note=note))["reason"] == "signature"


def test_a_note_signed_by_strangers_only_is_refused_under_a_policy() -> None:
    log = small_log()
    stranger = Signer(ORIGIN, bytes(range(1, 33)))

    assert judge(log.bundle(note=log.checkpoint(signer=stranger)))["reason"] == "signature"


def test_a_log_key_counts_only_for_the_sizes_that_the_policy_gives_it() -> None:
    log = small_log()
    policy = POLICY.replace(LOG_KEY.verifier.to_vkey(), LOG_KEY.verifier.to_vkey() + " to 5")

    assert judge(log.bundle(), policy)["reason"] == "signature"
    assert judge(log.bundle(), policy.replace("to 5", "from 3 to 6"))["exit_code"] == 0


class Witness:
    """A witness that cosigns as C2SP tlog-cosignature says."""

    def __init__(self, name: str, seed: int) -> None:
        import hashlib

        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        self._key = Ed25519PrivateKey.from_private_bytes(bytes([seed] * 32))
        material = b"\x04" + self._key.public_key().public_bytes_raw()
        self.name, self.id = name, hashlib.sha256(name.encode() + b"\n" + material).digest()[:4]
        self.vkey = f"{name}+{self.id.hex()}+{base64.b64encode(material).decode()}"

    def line(self, note: str, at: int) -> str:

        text = note.partition("\n\n")[0] + "\n"
        signature = self._key.sign(b"cosignature/v1\ntime %d\n" % at + text.encode())
        return f"\u2014 {self.name} {base64.b64encode(self.id + at.to_bytes(8, 'big') + signature).decode()}\n"


def test_the_quorum_of_the_policy_is_demanded() -> None:
    log = small_log()
    one_, two, three = (Witness(f"witness{n}.example", n) for n in (1, 2, 3))
    policy = POLICY + "".join(f"witness w{n} {w.vkey}\n" for n, w in ((1, one_), (2, two), (3, three)))
    policy += "group two 2 w1 w2 w3\nquorum two\nmax-age 3600\n"
    note = log.checkpoint()
    fresh, old = 1_800_000_000 - 60, 1_800_000_000 - 7200

    alone = judge(log.bundle(note=note + one_.line(note, fresh)), policy)
    stale = judge(log.bundle(note=note + one_.line(note, fresh) + two.line(note, old)), policy)
    both = judge(log.bundle(note=note + one_.line(note, fresh) + three.line(note, fresh)), policy)
    spoilt = judge(log.bundle(note=note + one_.line(log.checkpoint(3), fresh)), policy)
    ahead = [
        judge(log.bundle(note=note + one_.line(note, fresh) + two.line(note, time)), policy)
        for time in (1_800_000_000 + 301, 2**40, 2**63, 2**64 - 1)
    ]
    a_little = judge(log.bundle(note=note + one_.line(note, fresh) + two.line(note, 1_800_000_000 + 299)), policy)

    assert (alone["reason"], stale["reason"], spoilt["reason"]) == ("quorum", "quorum", "signature")
    assert (both["verdict"], set(both["witnesses"])) == ("true", {"w1", "w3"})
    assert {one["reason"] for one in ahead} == {"quorum"}
    assert all("w2 bears a time in the future" in one["why"] for one in ahead)
    assert a_little["verdict"] == "true"


@pytest.mark.parametrize("line", ["log nonsense", "witness w", "group g 2 a", "quorum nobody", "colour red", "skew x", "log"])
def test_a_policy_that_cannot_be_meant_is_refused(line: str) -> None:
    with pytest.raises(module.Unreadable):
        module.Policy.read(line)


def witness_key(name: str, material: str) -> str:
    """The key of a log as if it were one of a witness."""
    public = b"\4" + base64.b64decode(material)[1:]
    identity = sha256(name.encode() + b"\n" + public).digest()[:4]
    return f"{name}+{identity.hex()}+{base64.b64encode(public).decode()}"


def test_one_witness_is_no_quorum_of_two_by_whatever_name() -> None:
    """The same key under two names, a name given again, a member named twice; and what is said twice is not guessed at."""
    one_, two = Witness("witness1.example", 1), Witness("witness2.example", 2)
    renamed = Witness("other.example", 1)
    log_as_witness = witness_key("log.example", LOG_KEY.verifier.to_vkey().split("+", 2)[2])
    for lines in (
        f"witness a {one_.vkey}\nwitness b {one_.vkey}\ngroup g 2 a b\nquorum g",
        f"witness a {one_.vkey}\nwitness b {renamed.vkey}\ngroup g 2 a b\nquorum g",
        f"witness a {one_.vkey}\nwitness b {two.vkey}\ngroup g 2 a a\nquorum g",
        f"witness a {one_.vkey}\nwitness a {two.vkey}\nquorum a",
        f"witness a {one_.vkey}\nwitness b {two.vkey}\ngroup a any b\nquorum a",
        f"witness a {LOG_KEY.verifier.to_vkey()}\nquorum a",
        f"{POLICY}witness a {log_as_witness}\nquorum a",
        "max-age 3600\nmax-age 99999999",
        "max-age -3600",
        "origin a\norigin b",
    ):
        with pytest.raises(module.Unreadable):
            module.Policy.read(lines)


def committed(**change: Any) -> tuple[TinyLog, dict[str, Any], str]:
    document: dict[str, Any] = {"reason": "spilt"} | change
    commit = commitment(SALT, {"reason": "spilt"}).hex()
    log = one()
    log.annotate(comment=commit)
    return log, document, commit


def test_a_disclosed_document_is_the_one_committed_to() -> None:
    log, document, commit = committed()
    log.vault = [{"commit": commit, "document": document, "index": 3, "member": "comment", "salt": SALT.hex()}]
    assert judge(log.with_rows().bundle())["disclosed"] == 1

    log, document, commit = committed(reason="nothing happened")
    log.vault = [{"commit": commit, "document": document, "index": 3, "member": "comment", "salt": SALT.hex()}]
    verdict = judge(log.with_rows().bundle())
    assert (verdict["reason"], verdict["first_untrue"]["index"]) == ("vault", 3)


def test_a_redaction_names_who_and_why_and_one_without_ground_is_refused() -> None:
    log, _, commit = committed()
    log.add("donor", "DN-1", "donor.erased", documents=1, reason="asked_to", first_by="US-7777777", signatures=["a", "b"])
    said = {"commit": commit, "index": 3, "member": "comment"}
    log.vault = [said | {"redacted_by": log.leaves[4].hex()}]
    verdict = judge(log.with_rows().bundle())
    assert verdict["verdict"] == "true"
    (redaction,) = verdict["redactions"]
    assert (redaction["redacted"], redaction["by"], redaction["first_by"]) == (1, "US-1234567", "US-7777777")
    assert (redaction["ground"], redaction["index"], redaction["subject"]) == ("asked_to", 4, "DN-1")

    log.vault = [said | {"redacted_by": None}]
    assert judge(log.bundle())["reason"] == "vault"
    log.vault = [said | {"redacted_by": "0" * 64}]
    assert judge(log.bundle())["reason"] == "vault"


def test_a_part_of_the_log_carries_its_proofs_and_says_that_it_proves_no_absence() -> None:
    log = small_log()
    log.rows = log.rows[:1]
    bundle = log.part("specimen", "AD26-000001-X", [0, 1, 2, 4], known=[3, 4])

    verdict = judge(bundle, checkpoints=[log.checkpoint(3).encode(), log.checkpoint(4).encode()])

    assert verdict["verdict"] == "true", verdict
    assert (verdict["entries"], verdict["size"]) == (4, 6)
    assert [c["agrees"] for c in verdict["your_checkpoints"]] == [True, True]
    assert any("nothing later" in sentence for sentence in verdict["not_proven"])


def test_a_part_with_an_event_left_out_in_the_middle_or_of_somebody_else_is_refused() -> None:
    log = small_log()
    log.rows = log.rows[:1]

    assert judge(log.part("specimen", "AD26-000001-X", [0, 1, 4]))["reason"] == "sequence"
    assert judge(log.part("specimen", "AD26-000002-Y", [0, 1, 2, 4]))["reason"] == "frame"


def test_a_part_may_cite_the_entry_that_is_the_ground_of_a_redaction() -> None:
    log, _, commit = committed()
    log.add(
        "donor", "DN-1", "donor.registered", **{n: None for r in _rows() if r["kind"] == "donor.registered" for n in r["body"]}
    )
    log.entries.pop()
    log.heads.pop("DN-1")
    log.add(
        "donor",
        "DN-1",
        "donor.erased",
        {"seq": 7, "prev": "0" * 64},
        documents=1,
        reason="asked_to",
        first_by="US-7777777",
        signatures=["a", "b"],
    )
    log.vault = [{"commit": commit, "index": 3, "member": "comment", "redacted_by": log.leaves[4].hex()}]
    everything = log.entries
    log.entries = everything[:4]
    log.with_rows()
    log.entries = everything

    verdict = judge(log.part("specimen", "AD26-000001-X", [0, 1, 2, 3], cited=[4]))

    assert verdict["verdict"] == "true", verdict
    assert verdict["redactions"][0]["index"] == 4


def test_shares_of_several_processes_come_to_the_same_verdict(tmp_path: Path) -> None:
    from bench.long_log import write_long_bundle

    path = tmp_path / "log.tar"
    write_long_bundle(path, 700)
    alone = module.verify(str(path), None, module.Evidence(), now=0)
    together = module.verify(str(path), None, module.Evidence(), jobs=2, now=0)
    assert alone == together
    assert alone["verdict"] == "true_under_its_own_keys"

    spoilt = path.read_bytes().replace(b'"seq":3', b'"seq":4', 1)
    path.write_bytes(spoilt)
    assert module.verify(str(path), None, module.Evidence(), jobs=2, now=0) == module.verify(
        str(path), None, module.Evidence(), now=0
    )


def test_the_module_runs_alone_where_the_bank_cannot_be_imported(tmp_path: Path) -> None:
    shutil.copy(module.__file__, tmp_path / "verify.py")
    (tmp_path / "bundle.tar").write_bytes(small_log().bundle())
    (tmp_path / "policy").write_text(POLICY)
    (tmp_path / "two").write_text(small_log().checkpoint(2))
    # -I: no current folder, no environment; the check below fails if the bank can be imported all the same.
    command = [
        "-I",
        "-c",
        "import sys, runpy\nsys.modules['biobank'] = None\nsys.argv = sys.argv[1:]\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')",
        "verify.py",
        "bundle.tar",
    ]

    def run(*more: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run([sys.executable, *command, *more], cwd=tmp_path, capture_output=True, text=True, timeout=60)

    plain, as_json = run("--policy", "policy", "--checkpoint", "two"), run("--json")
    assert (plain.returncode, plain.stdout.splitlines()[0]) == (0, "TRUE."), plain.stderr
    assert "Your checkpoint of 2 entries lies in this history." in plain.stdout
    assert (as_json.returncode, json.loads(as_json.stdout)["entries"]) == (3, 6)
    assert run("--policy", "nowhere").returncode == 2
    (tmp_path / "bundle.tar").write_bytes(small_log().bundle()[:-2000])
    assert run().returncode == 1


def test_standard_input_is_read_in_one_pass() -> None:
    done = subprocess.run(
        [sys.executable, module.__file__, "-", "--json"], input=small_log().bundle(), capture_output=True, timeout=60
    )
    assert (done.returncode, json.loads(done.stdout)["entries"]) == (3, 6)


def test_the_rules_in_the_example_are_those_of_the_bank() -> None:
    assert len(RULES_ID) == 64
    assert {row["kind"] for row in _rows()} >= {"specimen.collected", "donor.erased"}
    assert encode({"a": 1}) == module.canonical({"a": 1})
    assert RECEIPT_KEY.name == ORIGIN + "/receipts"
