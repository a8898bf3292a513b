"""What a stop says to do with the tube in the hand: by what it is now and where it belongs, each sentence where it is true."""

from typing import Any

import pytest

from biobank.custody.legality import TO_QUARANTINE, what_now
from biobank.custody.projection import Projection

PLACED: dict[str, Any] = {"state": "stored", "container_code": "PS-BOX", "position_code": "PS-SLOT"}
TAKEN: dict[str, Any] = {"state": "received"}
LIFTED = "2026-03-02T09:00:00Z"

THAWED = "It is thawed: never back into a freezer or nitrogen. Put it in a cool quarantine place (fridge)."
WARM_PLACE = "Nothing keeps it cold in PS-SLOT by the record."
BACK = "Put the tube back in PS-SLOT, or in the nearest quarantine place."
FRESH_PLACE = "It is fresh, not frozen: back in PS-SLOT unless that is a freezer or nitrogen, else in a cool quarantine place."
FRESH = f"It is fresh, not frozen: never into a freezer or nitrogen. {TO_QUARANTINE}"
FROZEN = "It is frozen: never into a fridge. Put it into nitrogen or a -80 °C freezer of quarantine now."
UNKNOWN = f"Nobody knows what it is: keep it as cold as you found it. {TO_QUARANTINE}"


@pytest.mark.parametrize(
    ("tube", "material", "said"),
    [
        ({}, "unidentified", UNKNOWN),
        (TAKEN | {"condition": "frozen"}, "unidentified", UNKNOWN),
        (PLACED | {"condition": "frozen"}, "unidentified", BACK),
        ({}, "adsc", TO_QUARANTINE),
        (TAKEN | {"condition": "fresh"}, "adsc", FRESH),
        (TAKEN | {"condition": "freezing"}, "adsc", FROZEN),
        (TAKEN | {"condition": "frozen"}, "adsc", FROZEN),
        (TAKEN | {"condition": "thawed"}, "adsc", THAWED),
        (TAKEN | {"condition": "thawed", "use_by": LIFTED}, "adsc", f"{THAWED} It is too old for use from {LIFTED}."),
        (PLACED | {"condition": "thawed"}, "adsc", THAWED),
        (
            TAKEN | {"condition": "in_culture"},
            "adsc",
            "It is alive in culture: back into an incubator, or an incubator of quarantine.",
        ),
        (
            PLACED | {"condition": "in_culture"},
            "adsc",
            "It is alive in culture: back into PS-SLOT, or an incubator of quarantine.",
        ),
        (PLACED | {"condition": "frozen"}, "adsc", BACK),
        (PLACED | {"condition": "freezing"}, "adsc", BACK),
        (PLACED | {"condition": "fresh"}, "adsc", FRESH_PLACE),
        (PLACED | {"condition": "fresh", "out_since": LIFTED}, "adsc", FRESH_PLACE),
        (PLACED | {"condition": "frozen", "state": "in_transit", "out_since": LIFTED}, "adsc", BACK),
        (PLACED | {"condition": "frozen", "position_code": None}, "adsc", BACK.replace("SLOT", "BOX")),
    ],
)
def test_what_is_to_be_done_follows_what_it_is_and_where_it_belongs(tube: dict[str, Any], material: str, said: str) -> None:
    assert what_now(Projection(**tube), material) == said


def test_nobody_is_sent_back_to_a_place_that_keeps_nothing_cold() -> None:
    said = what_now(Projection(**PLACED, condition="frozen", out_since=LIFTED), "adsc")

    assert said.startswith(WARM_PLACE)
    assert "nitrogen or a -80 °C freezer of quarantine" in said
