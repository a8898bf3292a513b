"""The preparation of PRP on the form of a harvest, and where people read it."""

import re

from biobank.specimens.preparations import GROWTH_FACTORS
from tests import seed
from tests.conftest import Api
from tests.pages.visitor import Visit
from tests.specimens import stories as lab
from tests.specimens.stories import donor, kit


def test_a_nurse_records_it_in_ordinary_units_and_reads_it_on_every_page(api: Api, visit: Visit) -> None:
    person, made_up = donor(api), kit(api)
    label, spare = [one["specimen"] for one in made_up["labels"]]
    nurse = visit("clinician")
    fields = {
        "kit": made_up["kit"],
        "donor": person,
        "site": "CLINIC",
        "home_site": "LAB",
        "method": "venepuncture",
        "anatomical_site": "forearm",
        "unused": spare,
        "rows-containers": "1",
        "specimen-containers-0": label,
        "what-containers-0": "prp:ul",
        "amount-containers-0": "4",
        "rows-preparations": "2",
        "material-preparations-0": "prp",
        "prepared_with-preparations-0": seed.EQUIPMENT,
        "spins-preparations-0": "160 g 10 min, 400 g 10 min",
        "blood_platelets_per_ul-preparations-0": "237,5",
    }
    address = f"/harvests/new?kit={made_up['kit']}"
    assert "Preparation of PRP or PRF" in nurse.get_page(address)
    without = nurse.submit("/harvests/new", fields, draw=address)
    assert "or say why they were not counted" in without.text
    done = nurse.submit("/harvests/new", fields | {"product_platelets_per_ul-preparations-0": "1050"}, draw=address)
    assert done.url.path == f"/harvests/{made_up['kit']}", done.text

    said = "160 g for 10 min, then 400 g for 10 min · blood 237.5 × 10⁹/L, product 1050 × 10⁹/L, platelets 4.4 × blood"
    for page in (f"/harvests/{made_up['kit']}", f"/specimens/{label}"):
        text = re.sub(r"\s+", " ", re.sub(r"<[^>]+>", "", nurse.get_page(page)))
        assert said in text, page
        assert GROWTH_FACTORS in text, page
    assert lab.kinds(api, "specimen", label) == ["specimen.collected"]
