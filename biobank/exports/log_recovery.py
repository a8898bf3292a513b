"""A new log for a bank whose old log cannot go on: it lost what it had published, or its key was stolen.

Going on under the old name would be a fork that anybody with an older checkpoint can prove. So the bank begins a log of another
name, with other keys and another register, whose **first entry commits to the last checkpoint of the old log and to the
incident**, and seals everything it still has again, in the old order. Anybody can compare: the old checkpoint says what was
lost, acknowledgements and receipts say which events those were.

Nothing is deleted: the rows of the old log move into a schema ``retired_log_<n>``, its keys into the folder ``retired-…``, its
register is renamed. A statement, signed by the recovery key that verifiers have held since the first day, tells them that the new
name is the bank's. Every step can be repeated after an interruption.
"""

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Final

from sqlalchemy import text
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.bank import Bank
from biobank.exports.events import LogRecovered
from biobank.exports.log_keys import append_to_log_stream
from biobank.foundation import clock
from biobank.foundation.config import Settings, WeakSettings
from biobank.foundation.db import Database
from biobank.transparency import keys
from biobank.transparency.checkpoint import Checkpoint
from biobank.transparency.note import Signer, Verifier, open_note, sign_note, to_base64

LOG_TABLES: Final = ("cosignature", "root_signature", "checkpoint", "tree_head", "tile", "leaf", "log_quarantine")
KEY_FILES: Final = tuple(f"{n}.{s}" for n in (keys.LOG_KEY, keys.NEXT_LOG_KEY, keys.RECEIPT_KEY) for s in ("skey", "vkey"))
SILENCE: Final = timedelta(seconds=60)

_REQUEUE = """
    INSERT INTO pending (leaf_hash, recorded_at)
    SELECT event.leaf_hash, :at FROM event
    LEFT JOIN {schema}.leaf ON leaf.leaf_hash = event.leaf_hash
    LEFT JOIN queue_before ON queue_before.leaf_hash = event.leaf_hash
    WHERE event.leaf_hash <> :first
    ORDER BY leaf.log_index NULLS LAST, queue_before.qid NULLS LAST,
             event.recorded_at, event.stream_kind, event.stream_id, event.seq
"""


class RecoveryRefused(WeakSettings):
    """The log is not to be, or cannot be, continued under another name; the sentence says why."""


@dataclass(frozen=True)
class Plan:
    """A recovery about to happen."""

    settings: Settings
    new_origin: str
    incident_sha256: str
    final: Checkpoint
    new_key: str
    statement: str

    @property
    def stream(self) -> str:
        """The stream of the first entry: its own, because it must not have a predecessor in the new log."""
        return f"LOG-{hashlib.sha256(self.new_origin.encode()).hexdigest()[:8].upper()}"


def plan_recovery(settings: Settings, new_origin: str, incident: bytes, recovery: Signer, final_note: str) -> Plan:
    """Check everything that can be checked, make the new keys and the signed statement; changes nothing else.

    Raises RecoveryRefused, KeyFileError, NoteError for a final checkpoint that the log's key did not sign.
    """
    old_origin = settings.log_origin
    if new_origin == old_origin:
        raise RecoveryRefused("The new log needs a name of its own, for example the old one with the year behind it.")
    if recovery.verifier.to_vkey() != keys.public_key(settings.secrets, keys.RECOVERY_KEY):
        raise RecoveryRefused("That is not the recovery key whose public half is in recovery.vkey, which verifiers hold.")
    final = Checkpoint.from_text(open_note(final_note, _log_keys(settings)).text)
    if final.origin != old_origin:
        raise RecoveryRefused(f"The final checkpoint is of {final.origin}, and this bank's log is {old_origin}.")
    fresh = _fresh(settings.secrets, new_origin)
    keys.ensure_keys(fresh, new_origin, _fresh(settings.log_secrets, new_origin))
    new_key = keys.public_key(fresh, keys.LOG_KEY)
    digest = hashlib.sha256(incident).hexdigest()
    statement = sign_note(
        f"{recovery.name}\nrecover v1\nold {final.size} {to_base64(final.root)}\n"
        f"new {new_origin}\nkey {new_key}\nincident {digest}\n",
        [recovery],
    )
    return Plan(settings, new_origin, digest, final, new_key, statement)


def carry_out(bank: Bank, plan: Plan) -> int:
    """Begin the new log and return how many events wait to be sealed into it.

    Raises RecoveryRefused when the sealer is running or the owner's address is missing.
    """
    if plan.settings.owner_database_url is None:
        raise RecoveryRefused("Set BIOBANK_OWNER_DATABASE_URL: only the owner may put a log aside.")
    database = Database(plan.settings.owner_database_url)
    try:
        waiting = database.write_now(lambda s: _begin_again(s, bank, plan))
    finally:
        database.sync_engine.dispose()
    _change_files(plan)
    return waiting


def _begin_again(session: Session, bank: Bank, plan: Plan) -> int:
    if session.execute(text("SELECT 1 FROM event WHERE stream_id = :s"), {"s": plan.stream}).first() is None:
        _require_silence(session)
        session.execute(text("LOCK TABLE event, pending IN EXCLUSIVE MODE"))
        session.execute(text("SELECT 1 FROM log_lock WHERE id = 1 FOR UPDATE"))
        schema = _put_aside(session)
        session.execute(text("CREATE TEMPORARY TABLE queue_before ON COMMIT DROP AS TABLE pending"))
        session.execute(text("DELETE FROM pending"))
        act = Act.system(bank, path="cli/log/recover")
        first = append_to_log_stream(session, act, _first_entry(plan), plan.stream)
        requeue = text(_REQUEUE.format(schema=schema))
        session.execute(requeue, {"at": clock.now(), "first": first.leaf_hash})
        session.execute(text("DELETE FROM log_report"))
    return int(session.execute(text("SELECT count(*) FROM pending")).scalar_one())


def _first_entry(plan: Plan) -> LogRecovered:
    return LogRecovered(
        old_origin=plan.final.origin,
        old_size=plan.final.size,
        old_root=plan.final.root.hex(),
        new_origin=plan.new_origin,
        log_key=plan.new_key,
        incident_sha256=plan.incident_sha256,
    )


def _require_silence(session: Session) -> None:
    """Two logs at once would be worse than none: the old one's sealer must have ended."""
    running = session.execute(
        text("SELECT 1 FROM log_report WHERE part = 'sealer' AND state = 'running' AND reported_at > :since"),
        {"since": clock.now() - SILENCE},
    ).first()
    if running is not None:
        raise RecoveryRefused(f"The sealer reported itself running less than {SILENCE.seconds} s ago. Stop the bank first.")


def _put_aside(session: Session) -> str:
    """Copy the old log's tables into a schema of their own and empty them; return the schema's name."""
    taken = session.execute(text("SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'retired_log_%'")).scalar_one()
    schema = f"retired_log_{taken + 1}"
    session.execute(text(f"CREATE SCHEMA {schema}"))
    for table in LOG_TABLES:
        session.execute(text(f"CREATE TABLE {schema}.{table} AS TABLE public.{table}"))
        session.execute(text(f"ALTER TABLE {table} DISABLE TRIGGER no_truncate"))
    session.execute(text(f"TRUNCATE {', '.join(LOG_TABLES)}"))
    for table in LOG_TABLES:
        session.execute(text(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER no_truncate"))
    session.execute(text(f"GRANT USAGE ON SCHEMA {schema} TO biobank_auditor"))
    session.execute(text(f"GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO biobank_auditor"))
    return schema


def _change_files(plan: Plan) -> None:
    """Put the old keys and the old register aside and the new keys in place; rename by rename, so that it can be repeated."""
    settings = plan.settings
    # The folder that everybody has comes last: while its fresh keys are there, this is not done.
    for folder in dict.fromkeys((settings.log_secrets, settings.secrets)):
        fresh, aside = _fresh(folder, plan.new_origin), _aside(folder, settings.log_origin)
        if not fresh.exists():
            continue
        aside.mkdir(mode=0o700, exist_ok=True)
        for name in KEY_FILES:
            replaced = (fresh / name).exists() or name.startswith(keys.NEXT_LOG_KEY)
            if replaced and (folder / name).exists() and not (aside / name).exists():
                (folder / name).rename(aside / name)
            if (fresh / name).exists():
                (fresh / name).rename(folder / name)
        if folder == settings.secrets:
            # The new log needs a cold key of its own; `biobank log policy` asks for it.
            (folder / f"{keys.RECOVERY_KEY}.vkey").rename(aside / f"{keys.RECOVERY_KEY}.vkey")
        fresh.rmdir()
    register = plan.settings.register_file
    if register.exists() and register.read_text(encoding="utf-8").startswith(plan.final.origin + "\n"):
        register.rename(register.with_name(f"{register.name}.final-{plan.final.size}"))


def _fresh(folder: Path, new_origin: str) -> Path:
    """Where the new keys wait until the database is done."""
    return folder / f"next-{hashlib.sha256(new_origin.encode()).hexdigest()[:8]}"


def _aside(folder: Path, old_origin: str) -> Path:
    return folder / f"retired-{hashlib.sha256(old_origin.encode()).hexdigest()[:8]}"


def _log_keys(settings: Settings) -> list[Verifier]:
    """Return the public keys of the log, wherever an interrupted recovery has left them."""
    aside = _aside(settings.secrets, settings.log_origin)
    folder = aside if (aside / f"{keys.LOG_KEY}.vkey").exists() else settings.secrets
    names = [n for n in (keys.LOG_KEY, keys.NEXT_LOG_KEY) if (folder / f"{n}.vkey").exists()]
    return [Verifier.from_vkey(keys.public_key(folder, name)) for name in names]
