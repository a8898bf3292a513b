"""How the bank's own codes and words are named to others: as addresses under the bank's host name."""

from dataclasses import dataclass

from biobank.foundation.config import Settings


@dataclass(frozen=True)
class Naming:
    """`base`: the bank's address without a slash at its end; `origin`: the name of its log."""

    base: str
    origin: str

    @classmethod
    def of(cls, settings: Settings) -> "Naming":
        """Return how a bank with these settings names what is its own."""
        return cls(f"https://{settings.host_name.lower()}", settings.log_origin)

    def codes_of(self, kind: str) -> str:
        """Return the name of the space in which codes of a kind are unique, such as `specimen`."""
        return f"{self.base}/sid/{kind}"

    def terms(self, table: str) -> str:
        """Return the name of one of the bank's lists of words, such as `material`."""
        return f"{self.base}/terms/{table}"

    def term(self, table: str, word: str) -> str:
        """Return the address of one word of a list."""
        return f"{self.terms(table)}/{word}"

    def extension(self, name: str) -> str:
        """Return the name of a member that the format itself does not have."""
        return f"{self.base}/extensions/{name}"
