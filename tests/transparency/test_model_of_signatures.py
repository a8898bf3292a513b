"""Personal signatures are model-checked: no thief passes unremarked, and each check of the verifier is needed for that."""

from collections.abc import Callable
from typing import Any

import pytest

from biobank.transparency import verify
from biobank.transparency.verify import People
from tests.transparency.model_signatures import explore


def test_no_thief_passes_unremarked_after_any_short_history() -> None:
    worlds, passed = explore(4)

    assert passed == []
    assert worlds > 100


def _nothing(*_: Any, **__: Any) -> None:
    return None


_held = People._held


def _anywhere(people: People, *asked: Any) -> set[str | None]:
    """As if who holds a role at one site held it at every site."""
    return {None} if _held(people, *asked) else set()


CHECKS: dict[str, tuple[Any, str, Callable[..., Any]]] = {
    "what an entry without a signature says": (People, "_without_key", _nothing),
    "that somebody else could have co-signed": (People, "_others_cosign", lambda *_: False),
    "whose key it is, and what it signed": (People, "_statement", _nothing),
    "who signed first": (People, "_first", _nothing),
    "which role the signer held": (People, "_permission", _nothing),
    "at which site they held it": (People, "_held", _anywhere),
    "that a key fits what it signed": (verify, "_signed", lambda *_: True),
    "that what ended is over": (verify.Span, "at", lambda *_: True),
}


@pytest.mark.parametrize("check", CHECKS)
def test_without_this_check_a_thief_passes(check: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(*CHECKS[check])

    assert explore(4, most=1)[1] != []
