"""What a label host costs."""

import pytest

from biobank.labels.catalogue import catalogue
from biobank.labels.host import host_cost, version_for
from biobank.labels.layout import compose
from tests.labels.samples import sample

ALL = tuple(catalogue().values())


def test_a_short_host_costs_nothing() -> None:
    assert host_cost("bank.example", ALL) is None  # 12 characters, the most that version 2 M has room for beside code and print


def test_a_longer_host_is_told_what_it_costs() -> None:
    warning = host_cost("b" * 5 + ".example", ALL)
    assert warning is not None
    assert "13 characters" in warning
    assert "cryovial-25x13 4 modules a side" in warning
    assert "cryobag" not in warning
    assert "cannot" not in warning


def test_a_host_that_some_labels_cannot_carry_names_them() -> None:
    warning = host_cost("a-much-longer-name.of-some.university-biobank.example", ALL)
    assert warning is not None
    assert "cannot be printed on cryovial-24x13, cryovial-25x13" in warning
    assert "cap-9" not in warning


def test_a_host_that_hardly_any_symbol_can_hold_is_told_so() -> None:
    warning = host_cost(".".join(["x" * 60] * 4), ALL)
    assert warning is not None
    assert warning.index("cannot be printed") < warning.index("cryobag-76x38")


def test_the_cost_agrees_with_what_is_printed() -> None:
    for host in ("bank.example", "labels.some-biobank.example"):
        for template in ALL:
            if template.symbol.payload == "url":
                assert compose(template, sample(template), 300, host).version <= version_for(template, host)


def test_something_that_is_no_host_is_an_error() -> None:
    with pytest.raises(ValueError, match="bare name"):
        host_cost("https://bank.example/", ALL)
