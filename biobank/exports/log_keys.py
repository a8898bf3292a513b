"""Changing the log's key without a gap: announced in the log, both keys sign for a while, then the old one stops.

1. ``announce``: an entry names the new key, under a checkpoint that only the old key signs. Then the key file is put beside the
   old one; the running sealer takes it up and both sign.
2. ``retire``: an entry names the old key and the size up to which it counts, under a checkpoint that both sign. Then the new key
   takes the old one's place.

Whoever verifies holds a policy with the sizes between which each key counts; ``policy_text`` writes it from what the log says.
"""

import time
from collections.abc import Callable
from pathlib import Path

from sqlalchemy import text
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.bank import Bank
from biobank.custody.entry import parse_entry
from biobank.custody.event import Event
from biobank.custody.ledger import Appended, Fact, append
from biobank.custody.recording import NOW, head_of
from biobank.custody.states import StreamKind
from biobank.exports.events import LogKeyAnnounced, LogKeyRetired, LogRecovered
from biobank.exports.log_queries import fetch_in
from biobank.foundation.config import Settings, WeakSettings
from biobank.transparency import keys, stored_log
from biobank.transparency.key_in_token import Place, TokenAway, TokenSigner
from biobank.transparency.note import NoteSigner, Signer, Verifier, open_note

STREAM = "LOG"

_HISTORY = text("""
    SELECT event.entry, leaf.log_index FROM event LEFT JOIN leaf ON leaf.leaf_hash = event.leaf_hash
    WHERE stream_kind = 'system' AND kind IN ('system.log_key_announced', 'system.log_key_retired', 'system.log_recovered')
    ORDER BY leaf.log_index NULLS LAST, stream_id, seq
""")


class RotationRefused(WeakSettings):
    """A rotation cannot begin or end now; the sentence says why."""


def append_to_log_stream(session: Session, act: Act, event: Event, stream: str = STREAM) -> Appended:
    """Append an event about the log itself."""
    head = head_of(session, act, NOW, subject=None, site=None)
    return append(session, [Fact(StreamKind.SYSTEM, stream, event, head)])[0]


def token_place(settings: Settings) -> Place:
    """Return the security module that the settings name. Raises WeakSettings when they do not."""
    module, token, pin_file = settings.pkcs11_module, settings.pkcs11_token, settings.pkcs11_pin_file
    if module is None or token is None or pin_file is None:
        raise WeakSettings("Set BIOBANK_PKCS11_MODULE, BIOBANK_PKCS11_TOKEN and BIOBANK_PKCS11_PIN_FILE.")
    return Place(module.absolute(), token, pin_file.absolute())


def begin_in_token(settings: Settings, taken: bytes | None) -> Verifier:
    """Make the first key of the log in a security module, or take the one with the id `taken`. Returns its public half.

    Raises WeakSettings, KeyFileError when the log has a key, TokenAway.
    """
    place, path = token_place(settings), settings.log_secrets / f"{keys.LOG_KEY}.skey"
    if path.exists():
        raise keys.KeyFileError(f"{path.name} exists: the log has a key. Change it with `biobank keys rotate-log --token`.")
    origin = settings.log_origin
    signer = place.generate(origin) if taken is None else place.take(origin, taken)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    keys.write_key_files(path, signer)
    keys.ensure_keys(settings.secrets, origin, settings.log_secrets)
    return signer.verifier


def announce(bank: Bank, *, patience_s: float, make: Callable[[str], NoteSigner] = Signer.generate) -> tuple[Verifier, int]:
    """Begin a rotation. Returns the new key and the first size at which it may sign.

    `make` makes a key of a name: in a file, or in a security module. Raises RotationRefused when one is under way, or when the
    announcement is not published in time (is the sealer running?), TokenAway.
    """
    folder, origin = bank.settings.log_secrets, bank.settings.log_origin
    if (folder / f"{keys.NEXT_LOG_KEY}.skey").exists():
        raise RotationRefused("A rotation is under way. End it with `biobank keys retire-log`.")
    signer = make(origin)
    event = LogKeyAnnounced(log_key=signer.verifier.to_vkey())
    index = _append_and_wait(bank, event, "cli/keys/rotate-log", patience_s)
    keys.publish_public_half(bank.settings.secrets, keys.NEXT_LOG_KEY, signer)
    keys.write_key_files(folder / f"{keys.NEXT_LOG_KEY}.skey", signer)
    return signer.verifier, index + 1


def retire(bank: Bank, *, patience_s: float) -> tuple[Verifier, int]:
    """End a rotation. Returns the old key and the size up to which it counts.

    Raises RotationRefused when none is under way or no checkpoint bears both signatures yet, KeyFileError, also when the
    old key no longer counts and its security module does not destroy it.
    """
    folder, origin = bank.settings.log_secrets, bank.settings.log_origin
    if not (folder / f"{keys.NEXT_LOG_KEY}.skey").exists():
        raise RotationRefused("No rotation is under way. Begin one with `biobank keys rotate-log`.")
    signers = keys.load_log_signers(folder, origin)
    old, new = (signer.verifier for signer in signers)
    newest = bank.database.write_now(lambda s: stored_log.newest_checkpoint(fetch_in(s)))
    if newest is None or len(open_note(newest.note, [old, new]).verified) != 2:
        raise RotationRefused("No checkpoint bears both signatures yet. Wait until the next event is sealed, then try again.")
    event = LogKeyRetired(log_key=old.to_vkey(), to_size=newest.size)
    _append_and_wait(bank, event, "cli/keys/retire-log", patience_s)
    keys.promote_next_log_key(folder, old, bank.settings.secrets)
    if isinstance(signers[0], TokenSigner):
        try:
            signers[0].destroy()
        except TokenAway as exc:
            key_id = signers[0].key_id.hex()
            raise keys.KeyFileError(f"The old key counts no more; destroy it in its token yourself (id {key_id}): {exc}") from exc
    return old, newest.size


def policy_text(bank: Bank, *, kept: str = "") -> str:
    """Return the policy that a verifier of this bank's log needs: every key with its sizes, and the receipt and recovery keys.

    ``kept`` is an older policy whose lines about witnesses, groups, quorum and age are carried over; without any the quorum is
    none. A bank that has no recovery key yet says so in a comment. Raises KeyFileError when another key's file is missing.
    """
    folder, origin = bank.settings.secrets, bank.settings.log_origin
    lines = [f"origin {origin}"]
    entries = bank.database.write_now(lambda s: [(parse_entry(bytes(e)), i) for e, i in s.execute(_HISTORY)])
    spans: dict[str, list[int | None]] = {}
    for entry, index in entries:
        body = entry["body"]
        if entry["kind"] == LogRecovered.model_fields["kind"].default and body["new_origin"] == origin:
            lines.insert(0, f"# continues {body['old_origin']} at {body['old_size']} entries, root {body['old_root']}")
        elif entry["kind"] == LogKeyAnnounced.model_fields["kind"].default and index is not None:
            spans[body["log_key"]] = [index + 1, None]
        elif entry["kind"] == LogKeyRetired.model_fields["kind"].default:
            spans.setdefault(body["log_key"], [0, None])[1] = body["to_size"]
    spans = {key: span for key, span in spans.items() if key.startswith(f"{origin}+")}
    spans.setdefault(keys.public_key(folder, keys.LOG_KEY), [0, None])
    for key, (start, end) in sorted(spans.items(), key=lambda item: item[1][0] or 0):
        lines.append(f"log {key}" + (f" from {start}" if start else "") + ("" if end is None else f" to {end}"))
    lines.append(f"receipts {keys.public_key(folder, keys.RECEIPT_KEY)}")
    lines.append(_recovery_line(folder))
    carried = [line for line in kept.splitlines() if line.split(" ")[0] in ("witness", "group", "quorum", "max-age", "skew")]
    lines += carried
    if not any(line.startswith("quorum ") for line in carried):
        lines.append("quorum none")
    return "\n".join(lines) + "\n"


def _recovery_line(folder: Path) -> str:
    if not (folder / f"{keys.RECOVERY_KEY}.vkey").exists():
        return "# no recovery key yet: make it with `biobank keys recovery FILE`, then hand out this policy again"
    return f"recovery {keys.public_key(folder, keys.RECOVERY_KEY)}"


def _append_and_wait(bank: Bank, event: Event, path: str, patience_s: float) -> int:
    """Append an event and return its log index once a published checkpoint covers it."""
    act = Act.system(bank, path=path)
    leaf = bank.database.write_now(lambda s: append_to_log_stream(s, act, event)).leaf_hash
    deadline = time.monotonic() + patience_s

    def place(session: Session) -> int | None:
        fetch = fetch_in(session)
        index = stored_log.index_of(fetch, leaf)
        return index if index is not None and index < stored_log.published_size(fetch) else None

    while (index := bank.database.write_now(place)) is None:
        if time.monotonic() > deadline:
            raise RotationRefused("The entry was recorded but not sealed in time. Is `biobank sealer` running? Then try again.")
        time.sleep(0.1)
    return index
