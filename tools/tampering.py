"""Write docs/tampering.md: what each login of the database may do to each table, and what finds a change.

What a login may do, and what refuses the owner too, is asked of a database that the migrations made. What finds a change stands
here: a table that has no line of its own is one that nothing compares with the log, and the page says so.

Run `python -m tools.tampering`; `tools/regenerate_initial.py` does it too.
"""

import tempfile
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import psycopg

from alembic import command
from biobank.postgres.embedded import EmbeddedPostgres
from biobank.postgres.migrate import config
from biobank.registries.tables import metadata

PAGE = Path(__file__).resolve().parent.parent / "docs" / "tampering.md"
LOGINS: Final = ("app", "sealer", "auditor")
_ACTS: Final = {"INSERT": "insert", "UPDATE": "change", "DELETE": "delete", "TRUNCATE": "empty"}

FOUND: Final[dict[str, tuple[str, ...]]] = {
    "log": ("event", "leaf", "tree_head"),
    "publication": ("tile", "checkpoint", "root_signature", "cosignature"),
    "queue": ("pending",),
    "rules": ("rule_table",),
    "compared": ("app_user", "badge_pin", "custody", "hold", "passkey", "personal_key", "second_factor", "user_role"),
    "folded": ("adverse_event", "donor", "specimen", "specimen_parent", "storage_container", "withdrawal", "withdrawal_item"),
    "repeated": (
        *("alarm_step", "excursion_item"),
        *("administration", "api_client", "bank_closing", "bedside_check", "bedside_release", "bench_handling", "bench_session"),
        *("class_limit", "consent", "culture_record", "deviation", "donor_agreement", "donor_allergy", "excursion"),
        *("handover_item", "kit", "sensor_doubt", "shipment_item", "stock_count", "storage_reading"),
        *("donor_marker", "donor_move", "donor_reserve", "ending_notice", "ending_rule", "identification", "lot_test"),
        *("material_limit", "named_performer", "open_act_limit", "recall", "recall_closing", "reporting_rule"),
        *("split_storage_rule", "station", "unit_disposition", "use_up_allowed", "viability_assay", "viability_criterion"),
        *("withdrawal_pick", "wristband"),
    ),
    "followed": (
        *("alarm", "bank_closing_unit", "deviation_subject", "print_rule", "recall_item", "register_authorisation"),
        *("register_entry", "register_rule", "register_warning", "rota_line", "sensor", "sensor_place", "shipment"),
        *("shipment_box", "site", "storage_position", "webhook", "webhook_secret"),
    ),
    "signed": ("pending_act", "signature"),
    "committed": ("vault_document",),
    "no record": (
        *("idempotency", "job", "job_file", "label_print", "log_difference", "log_lock", "log_report", "log_walk"),
        *(
            "badge_failure",
            "login_attempt",
            "login_session",
            "message",
            "message_choice",
            "passkey_challenge",
            "refresh_token",
            "saved_view",
            "user_preferences",
        ),
    ),
}
"""Which tables a change is found in, and how (see WORDS)."""

WORDS: Final = {
    "log": "By the worker, one round later (500 rows of each part every ten seconds), with an alarm within 30 s more; by every "
    "verifier of a bundle, for ever. `reconciliation/test_walk.py: "
    "test_what_the_owner_of_the_database_changes_is_found_and_nothing_else`, `transparency/test_attacks.py: "
    "test_1_an_edited_entry_is_caught_where_it_stands`, `transparency/test_attacks.py: "
    "test_2_a_deleted_event_is_caught_where_it_stood`",
    "publication": "By the sealer at its next publication, which halts; by whoever has an older checkpoint. "
    "`transparency/test_publishing.py: test_a_history_rewritten_consistently_in_the_database_halts_the_log`, "
    "`transparency/test_witnessing.py: test_cosignatures_lost_here_are_asked_for_again_from_where_the_witness_stands`",
    "queue": "By the sealer's audit within a minute; for ever by whoever holds the acknowledgement. "
    "`transparency/test_sealer.py: test_a_pending_row_that_was_deleted_is_noticed`, `transparency/test_attacks.py: "
    "test_3_a_pending_event_that_was_dropped_is_proven_by_its_acknowledgement`",
    "rules": "By every verifier of a bundle: a table is named by its hash. `transparency/test_attacks.py: "
    "test_25_another_rule_table_under_old_entries_is_refused`",
    "compared": "By the worker, one round later, with an alarm; `/readyz` says since when. `reconciliation/test_walk.py: "
    "test_what_the_owner_of_the_database_changes_is_found_and_nothing_else`, `reconciliation/test_credentials.py: "
    "test_each_login_of_the_database_is_refused_or_found`",
    "folded": "As the events of its stream lead it, by the worker as above: of a specimen what it is, whose, of what it was "
    "made, for which lot and bank, its expiry and legal basis; of a withdrawal its state, donor, clinic, approvals, "
    "tubes, confirmed picks, passed checks and used releases; of a donor alive or not, kept apart or not, by which "
    "document known, where a merged record leads; of an adverse event how it is judged; of a container its limits, "
    "how "
    "cold it is, what is kept apart in it, what it is, in what and where it stands, whether it was lifted. Other columns are "
    "not compared. "
    "`reconciliation/test_walk.py: "
    "test_what_the_owner_of_the_database_changes_is_found_and_nothing_else`",
    "repeated": "What it repeats of the events that its rows name, column by column, and that its rows are there: by the worker "
    "as above. What it adds to them (until when a check waits, whether a release was ended) is not compared. "
    "`reconciliation/test_rows.py: "
    "test_a_change_of_any_column_that_an_event_says_is_found_and_so_is_a_row_that_was_deleted`",
    "followed": "The events of its stream are replayed, and every row, every column that they write, and every row that is not "
    "there is compared: by the worker as above. Of a list that an entry quotes by its SHA-256, and of the slots of a box, the "
    "digest is computed again. `reconciliation/test_rows.py: "
    "test_a_change_of_any_column_that_an_event_says_is_found_and_so_is_a_row_that_was_deleted`, "
    "`reconciliation/test_followed.py: test_each_column_is_compared_or_said_to_be_worth_nothing_to_change`",
    "signed": "When it is used: what its signer's key did not sign is completed by nobody. "
    "`transparency/test_personal_signatures.py: "
    "test_a_first_signature_that_somebody_wrote_into_the_table_is_completed_by_nobody`",
    "committed": "When it is read out or bundled: its commitment is in the entry. `transparency/test_attacks.py: "
    "test_26_a_document_that_vanished_without_an_act_is_refused`",
    "no record": "Not at all, and no record of what was done to anything is in it.",
    "not compared": "Not by comparing: what a change does, and what would find it, stands below. The entries stay as they were: "
    "whoever reads the bundle is told what was recorded; whoever reads the page is told what the row says.",
}

UNCOMPARED: Final[dict[str, str]] = {
    **dict.fromkeys(
        ("act_timed_out", "notice"),
        "Who is told what on their pages, and what took too long: it allows nothing, and what it is about stands in the entries.",
    ),
    **dict.fromkeys(
        ("attachment", "attachment_context", "deviation_attachment", "logger_file", "paper_form"),
        "Names files by their hash, which the entries say too; a file is kept under its hash and encrypted, so another file has "
        "another name. Found by whoever asks for the file that the entry names.",
    ),
    "attempt": (
        "What was refused: it allows nothing and no rule reads it. A row that was added is not found; none can be changed."
    ),
    **dict.fromkeys(
        ("deviation_unit", "excursion_item_past"),
        "What a deviation asks about beside what it named, and how a line of an excursion stood before. What they bring about "
        "(holds, custody) and what they follow from (the lists that entries quote) is compared.",
    ),
    **dict.fromkeys(
        ("donor_document", "donor_index"),
        "Finds a person in the vault. Changed, a search finds nobody, or the code of another, who is then identified by "
        "two people from their documents.",
    ),
    **dict.fromkeys(
        ("harvest", "lot", "processing", "processing_input", "kit_binding", "kit_label", "specimen_alias"),
        "How something came about and what others call it. What a unit is, whose, of what made and for which lot is compared "
        "(`custody`, `specimen`); the rest misleads whoever reads the page, until somebody reads the entry.",
    ),
    **dict.fromkeys(
        ("handover", "stock_count_line"),
        "The frame of what is compared unit by unit: who holds it and where it is (`custody`), by which offer or "
        "departure. Its times mislead whoever reads the page, until somebody reads the entry.",
    ),
    **dict.fromkeys(
        ("label_reconciliation", "outcome_measure", "outcome_result", "paper_check", "withdrawal_outcome"),
        "What was told afterwards, and sheets of paper: it allows nothing. The entry says it, or its hash or commitment.",
    ),
    "stream_head": (
        "The end of each stream, which the database computes: one that is wrong makes the next entry of the stream fail."
    ),
    "log_quarantine": (
        "What the sealer could not seal: only the sealer writes it, and each verifier who holds a receipt asks for its entry."
    ),
    **dict.fromkeys(
        ("viability_fit", "viability_parameters", "viability_report", "viability_thaw"),
        "Computed from entries and parameters with a kept seed: computing again finds it. A report bears its own hash, "
        "signature and acknowledgement.",
    ),
    "webhook_delivery": (
        "What is on its way to other systems: an event that was hidden here is not sent, and is in the feed. Only to "
        "addresses of `BIOBANK_WEBHOOK_ADDRESSES`, which no database can change."
    ),
}
"""Tables that nothing compares with the log: what a change of each does, and what would find it."""

_HEAD: Final = """# What each login of the database can change, and what finds it

Written by `python -m tools.tampering` from a migrated database. [SECURITY.md](../SECURITY.md#logins-of-the-database) says what
the logins are for. Every login but the owner's is refused by the database what is not listed here; the owner can do everything,
except what the column before the last names, as long as the triggers stand. A trigger or grant that is gone is said by `/readyz`
at its next question (`operations/test_health.py: test_a_guard_that_was_taken_away_is_noticed`).

"""


def how_found(table: str) -> str:
    """Return which of WORDS is true of a table."""
    return next((how for how, tables in FOUND.items() if table in tables), "not compared")


def rows(connection: psycopg.Connection[Any]) -> list[tuple[str, ...]]:
    """Return for each table: its name, what each login may do to it, what is refused to the owner too, how a change is found."""
    return [
        (
            table,
            *(_may(connection, f"biobank_{login}", table) for login in LOGINS),
            _refused(connection, table),
            how_found(table),
        )
        for table in sorted(metadata.tables)
    ]


def _may(connection: psycopg.Connection[Any], role: str, table: str) -> str:
    said = []
    for privilege, word in _ACTS.items():
        whole, some = f"has_table_privilege(%(role)s, %(table)s, '{privilege}')", "false"
        if privilege in ("INSERT", "UPDATE"):
            some = f"has_any_column_privilege(%(role)s, %(table)s, '{privilege}')"
        found = connection.execute(f"SELECT {whole}, {some}", {"role": role, "table": f"public.{table}"}).fetchall()[0]
        if found[0] or found[1]:
            said.append(word if found[0] else f"{word} some columns")
    return ", ".join(said) or "–"


def _refused(connection: psycopg.Connection[Any], table: str) -> str:
    names = {
        name
        for (name,) in connection.execute(
            "SELECT tgname FROM pg_trigger WHERE tgrelid = %s::regclass AND tgenabled = 'A'", (f"public.{table}",)
        ).fetchall()
    }
    said = [
        word
        for word, some in (
            ("change", {"no_change"}),
            ("delete", {"no_delete", "no_end"} | ({"no_change"} if "no_end" not in names else set())),
            ("empty", {"no_truncate"}),
        )
        if names & some
    ]
    return ", ".join(said) or "–"


def page(found: list[tuple[str, ...]]) -> str:
    """Return the page."""
    lines = [_HEAD + "| found | how, and how soon |", "|---|---|"]
    lines += [f"| {how} | {words} |" for how, words in WORDS.items()]
    lines += [
        "",
        "| table | app | sealer | auditor | refused to the owner too | a change is found |",
        "|---|---|---|---|---|---|",
    ]
    lines += [f"| `{name}` | {' | '.join(rest)} |" for name, *rest in found]
    lines += ["", "## What nothing compares", "", "| tables | what a change does, and what would find it |", "|---|---|"]
    for words, tables in groupby(UNCOMPARED, key=UNCOMPARED.__getitem__):
        lines.append(f"| {', '.join(f'`{table}`' for table in tables)} | {words} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Make a database and write the page about it."""
    with tempfile.TemporaryDirectory() as scratch, EmbeddedPostgres(Path(scratch)) as postgres:
        command.upgrade(config(postgres.dsn("owner")), "head")
        with psycopg.connect(postgres.dsn("owner")) as connection:
            PAGE.write_text(page(rows(connection)))


if __name__ == "__main__":
    main()
