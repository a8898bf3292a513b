"""Changing a secret while the bank runs: a new one at once, all that was under the one before put under it, that one forgotten.

A change that was broken off, at any moment, is gone on with by the same call. What cannot be put under another secret (answers
that are kept for repeated requests, what devices hold, keys of API clients before their next use) is waited for: a second call,
after `WAITED_FOR`, ends the change.
"""

from collections.abc import Callable
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.answers_and_attempts import ANSWERS_KEPT
from biobank.acts.bank import SECRETS, Bank
from biobank.auth import pins, second_factor
from biobank.auth.personal_keys import wrap_enrolments_anew
from biobank.donors.reindexing import index_anew
from biobank.exports.events import SecretChanged
from biobank.exports.log_keys import append_to_log_stream
from biobank.foundation import clock
from biobank.foundation.changing_secrets import begin_change, changed_at, end_change
from biobank.people.credentials import record_credentials

AT_ONCE: Final = 200
WAITED_FOR: Final = ANSWERS_KEPT + timedelta(days=2)
"""Longer than answers are kept by their keys, and than a device may keep a scan."""
PATH: Final = "cli/keys/change"

Say = Callable[[str], None]


def change_secret(bank: Bank, name: str, say: Say) -> datetime | None:
    """Change one of `SECRETS`, or go on with a change; return until when it waits, None when it is done."""
    folder = bank.settings.secrets
    begin_change(folder, name)
    if name in _WAITING:
        ends = changed_at(folder, name) + WAITED_FOR
        if clock.now() < ends:
            return ends
    elif name in _CHANGES:
        _CHANGES[name](bank, say)
    end_change(folder, name)
    if name == "blind-index":
        _index_all(bank, say, alone=True)
    act = Act.system(bank, path=PATH)
    bank.database.write_now(lambda s: append_to_log_stream(s, act, SecretChanged(secret=name)))
    return None


def _wrap_all(bank: Bank, say: Say) -> None:
    """Until a whole round finds nothing: a process that read the secret a moment before may have wrapped one more key."""
    changed = 1
    while changed:
        changed, after = 0, ""
        while True:
            done = bank.keystore_sync.wrap_anew(after, AT_ONCE)
            changed += done.changed
            if done.last is None:
                break
            after = done.last
            say(f"Keys up to {after} are under the new secret.")


def _index_all(bank: Bank, say: Say, *, alone: bool = False) -> None:
    after: str | None = ""
    while after is not None:
        piece = partial(index_anew, act=Act.system(bank, path=PATH), after=after, limit=AT_ONCE, alone=alone)
        after = bank.database.write_now(piece)
        if after is not None:
            say(f"People up to {after} are " + ("found by the new secret alone." if alone else "under both secrets."))


def _encrypt_factors(bank: Bank, say: Say) -> None:
    keys = bank.secrets_of(second_factor.SECRET)

    def factors(session: Session) -> tuple[int, int]:
        whose, of_badges = second_factor.encrypt_anew(session, keys), pins.encrypt_anew(session, keys)
        for user in sorted({*whose, *of_badges}):
            record_credentials(session, Act.system(bank, path=PATH), user)
        return len(whose), len(of_badges)

    apps, of_badges = bank.database.write_now(factors)
    say(f"{apps} second factors and {of_badges} PINs are under the new secret.")
    say(f"{bank.database.write_now(lambda s: wrap_enrolments_anew(s, keys))} enrolments are under the new secret.")


_CHANGES: Final[dict[str, Callable[[Bank, Say], None]]] = {
    "vault-master": _wrap_all,
    "blind-index": _index_all,
    second_factor.SECRET: _encrypt_factors,
}
"""What is put under the new secret. Of `throttle` nothing is: failures are counted anew, and devices are strangers once."""
_WAITING: Final = frozenset({"digests", "device-keys", "client-keys"})

assert set(_CHANGES) | _WAITING < set(SECRETS)
