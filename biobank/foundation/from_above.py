"""What a package needs and only a package above it can give: the owner of a table says what stands in it.

A package reads and writes its own tables, and reads those below it. When it must know, or set going, something above (which
donor a specimen is of, that a hold ends a bedside release), it states the question here and the owner answers it:

    open_releases: FromAbove[Callable[[Session], int]] = FromAbove("withdrawals")   # below, beside the rule that asks
    open_releases.give(count_open)                                                  # above, beside the table
    open_releases.get()(session)                                                    # below, when it is asked

`biobank.registries.answers` imports every module that gives, so an application is whole or does not start.
"""

from typing import Any, ClassVar, Generic, TypeVar

T = TypeVar("T")


class FromAbove(Generic[T]):
    """One answer, given once at import by the package named."""

    missing: ClassVar["list[FromAbove[Any]]"] = []
    """Every question that nobody has answered yet; empty once `registries.answers` is imported."""

    def __init__(self, giver: str) -> None:
        self.giver = giver
        self._given: list[T] = []
        FromAbove.missing.append(self)

    def give(self, answer: T) -> T:
        """Answer the question; return the answer, so that this decorates a function."""
        assert not self._given, f"{self.giver} has answered already"
        self._given.append(answer)
        FromAbove.missing.remove(self)
        return answer

    def get(self) -> T:
        """Return the answer. Raises LookupError while the package above is not imported."""
        if not self._given:
            raise LookupError(f"{self.giver} has not said this yet; import biobank.registries.answers first.")
        return self._given[0]
