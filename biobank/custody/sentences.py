"""What an event says, as one sentence for people: on the page of the log and in its files, for every kind there is."""

from functools import cache

from biobank.custody.event import rules


@cache
def what_happened(kind: str) -> str:
    """Return the first sentence of what a kind of event means, as its class describes it; empty for a kind that is not known."""
    cls = rules.by_kind.get(kind)
    described = "" if cls is None else " ".join((cls.__doc__ or "").split())
    sentence, stop, _ = described.partition(". ")
    return sentence + stop.strip()


def sentences() -> dict[str, str]:
    """Return kind → sentence for every kind of event."""
    return {kind: what_happened(kind) for kind in rules.by_kind}
