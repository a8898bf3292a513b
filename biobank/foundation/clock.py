"""The time, from one place.

`wall()` is the only call of `datetime.now` in the program (an architecture test checks it). A test or a rehearsal may move
the bank's clock with `set_offset`; that is refused unless test mode is on, and `/readyz` shows the offset, because a bank
whose clock can be moved quietly has no audit trail.
"""

import time
from datetime import UTC, datetime, timedelta

_offset = timedelta(0)
_right: float | None = None
"""What the wall clock shows when no time has passed, as it was last found right: seconds. None: nobody has looked yet."""


def wall() -> datetime:
    """Return what the machine's clock shows, without the offset of a rehearsal."""
    return datetime.now(UTC)


def stepped_s() -> float:
    """Return by how many seconds the machine's clock was set since it was last found right; endless when nobody has looked."""
    return float("inf") if _right is None else wall().timestamp() - time.monotonic() - _right


def found_right() -> None:
    """Take the machine's clock for right, as it is now."""
    global _right
    _right = wall().timestamp() - time.monotonic()


def now() -> datetime:
    """Return the current instant as an aware UTC datetime, truncated to milliseconds.

    Entries of the custody log carry milliseconds; truncating here keeps "the time we compared" and "the time we wrote" equal.
    """
    instant = wall() + _offset
    return instant.replace(microsecond=instant.microsecond // 1000 * 1000)


def offset() -> timedelta:
    """Return how far the clock has been moved (zero outside test mode)."""
    return _offset


def set_offset(value: timedelta, *, test_mode: bool) -> None:
    """Move the clock by `value` from the real time.

    Raises RuntimeError when `test_mode` is off: a production bank has one clock.
    """
    global _offset
    if not test_mode:
        raise RuntimeError("The clock can be moved in test mode only.")
    _offset = value


def rfc3339(instant: datetime) -> str:
    """Format an aware datetime as RFC 3339 in UTC with exactly three decimals, e.g. `2026-11-03T12:34:56.789Z`."""
    return instant.astimezone(UTC).isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"
