"""The kinds of message and the words of each. A message says that something waits, and never what, whose or which."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final, Literal

KindName = Literal["alarm", "alarm_again", "notice"]

SENTENCES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "alarm": "An alarm calls you.",
        "alarm_again": "Nobody has answered an alarm yet, and it calls you now.",
        "notice": "There is a notice for you to read.",
    }
)
"""What a message of a kind says. Fixed words: no code, no name, no place can stand in them."""
