"""A rule that is set counts from when it is recorded."""

from biobank.custody.recording import Circumstances, ImplausibleTime


def require_from_now_on(given: Circumstances) -> None:
    """Raise ImplausibleTime for a rule that is set with a time: it says nothing of another time than from now on."""
    if given.occurred_at is not None:
        raise ImplausibleTime("What is decided here counts from now on. Leave the time out.")
