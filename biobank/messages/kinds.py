"""The kinds of message and the words of each. A message says that something waits, and never what, whose or which."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal

KindName = Literal["alarm", "alarm_again", "notice"]
CONFIRM: Final = "address_code"
"""The kind of the one message that goes to an address before it is confirmed; nobody chooses it."""

SENTENCES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "alarm": "An alarm calls you.",
        "alarm_again": "Nobody has answered an alarm yet, and it calls you now.",
        "notice": "There is a notice for you to read.",
        CONFIRM: "Confirm this address.",
    }
)
"""What a message of a kind says. Fixed words: no code, no name, no place can stand in them."""
