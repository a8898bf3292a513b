"""What a profile's own texts may make of themselves: neither a pattern nor a format of the program's."""

import pytest
from pydantic import ValidationError

from biobank.importing.profile import Sheet, Split


@pytest.mark.parametrize("sign", [".", "+", "|", "(", "$", "*", "\\"])
def test_a_sign_between_two_fields_means_itself(sign: str) -> None:
    expression = Split(heading="Place", pattern=f"{{rack}}{sign}{{box}}").expression

    found = expression.fullmatch(f"R1 {sign} B2")
    assert found is not None
    assert (found["rack"], found["box"]) == ("R1", "B2")
    assert expression.fullmatch("R1xB2") is None


@pytest.mark.parametrize(
    "alias", ["{patient.__class__}-{vial}", "{patient!r}-{vial}", "{patient:>99}-{vial}", "{0}-{vial}-xxxx", "{patient}-{vial}{"]
)
def test_an_alias_names_fields_and_reaches_into_nothing(alias: str) -> None:
    with pytest.raises(ValidationError):
        Sheet(name="Vials", alias=alias)
