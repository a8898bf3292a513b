"""What became of a try to send something, in words; and how what is sent is said."""

from collections.abc import Sequence
from typing import Final

from biobank.custody.states import StreamKind
from biobank.foundation.terms import words
from biobank.webhooks.posting import Outcome

SUBJECTS: Final = [
    ("specimen.*", "Specimens"),
    ("donor.*", "Donors, by their codes"),
    ("withdrawal.*", "Withdrawals"),
    ("shipment.*", "Shipments"),
    ("container.*", "Places: readings, moves, excursions"),
    ("lot.*", "Lots"),
    ("user.*", "Logins and roles"),
    ("system.*", "The bank itself: sites, registers, exports"),
]
assert {one.removesuffix(".*") for one, _ in SUBJECTS} == set(StreamKind)

OUTCOMES: Final = {
    Outcome.DELIVERED: "It took it",
    Outcome.NOT_LISTED: "Its address is not in the settings any more",
    Outcome.NO_ADDRESS: "Its name leads nowhere",
    Outcome.PRIVATE_ADDRESS: "Its name leads into a network that the settings do not list",
    Outcome.NOT_REACHED: "Nobody answers there",
    Outcome.WRONG_CERTIFICATE: "Its certificate is not to be trusted",
    Outcome.TIMED_OUT: "It did not answer in time",
    Outcome.BROKEN_OFF: "It broke the connection off",
    Outcome.REDIRECTED: "It sends to another address, which is not followed",
    Outcome.GONE: "It says that it is gone for good",
    Outcome.REFUSED: "It refused this one",
    Outcome.SAID_NO: "It takes nothing now",
}
assert set(OUTCOMES) == set(Outcome)

STOPPED: Final = {
    "person": "Somebody stopped it. Nothing is lost: it goes on where it stands.",
    "gone": "The other system says that this address is gone for good. Ask whoever runs it, then let it go on or withdraw it.",
    "owner": "Whoever answered for it may not export this any more. Two people who may can open it again.",
}


def what_is_sent(kinds: Sequence[str]) -> str:
    """Return the kinds of a subscription in words."""
    known = dict(SUBJECTS)
    return ", ".join(known.get(one) or words(one) for one in kinds) or "Everything"


def where_from(sites: Sequence[str]) -> str:
    """Return the sites of a subscription in words."""
    return ", ".join(sites) or "Every site"


def outcome_of(outcome: str | None, status: int | None) -> str:
    """Return what became of the latest try."""
    if outcome is None:
        return ""
    said = OUTCOMES[Outcome(outcome)]
    return said if status is None or outcome == Outcome.DELIVERED else f"{said} (answer {status})"
