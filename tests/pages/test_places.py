"""Places on pages: slots blocked and kept, a slot nobody knows, racks brought to safety, material kept apart."""

from tests.conftest import Api
from tests.pages.visitor import Visit
from tests.storage.test_every_way_of_placing import a_tube, donor_of
from tests.storage.test_storing import a_box


def test_a_box_in_a_quarantine_tank_offers_what_it_accepts(api: Api, visit: Visit) -> None:
    tank = a_box(api, kind="tank", name="Apart", rows=None, cols=None, purpose="quarantine", temperature_class="ln2_vapour")
    box = a_box(api, parent=tank)
    visitor = visit("lab_tech")
    assert f"/storage/{box}/evacuate" in visitor.get_page(f"/storage/{box}")
    assert "Bring to safety" in visitor.get_page(f"/storage/{box}/evacuate")


def test_places_are_blocked_and_kept_and_a_tube_is_stored_without_one(api: Api, visit: Visit) -> None:
    box, tube = a_box(api), a_tube(api)
    visitor = visit("lab_tech")

    blocked = visitor.submit(f"/storage/{box}/slots", {"positions": "A1, b2", "mark": "blocked", "reason": "damaged"})
    kept = visitor.submit(f"/storage/{box}/slots", {"positions": "A2", "mark": "kept", "kept_for": donor_of(api, tube)})
    refused = visitor.submit(f"/specimens/{tube}/store", {"container": box, "position": "A1"})
    done = visitor.submit(f"/specimens/{tube}/store", {"container": box, "slot_unknown": "true"})

    assert "2 places." in blocked.text and "1 places." in kept.text
    assert refused.status_code == 409 and "A1 is blocked: damaged." in refused.text
    assert f"Stored in {box}, place unknown." in done.text
    page = visitor.get_page(f"/storage/{box}")
    assert "In it, place unknown" in page and tube in page and "damaged" in page


def test_a_rack_is_brought_to_safety_with_its_tubes_and_what_is_wrong_is_said(api: Api, visit: Visit) -> None:
    safe = a_box(api, kind="tank", name="Fridge", rows=None, cols=None, purpose="evacuation", temperature_class="fridge")
    rack = a_box(api, kind="rack", name="Rack", rows=None, cols=None)
    box, tube = a_box(api, parent=rack), a_tube(api)
    visitor = visit("lab_tech")
    visitor.submit(f"/specimens/{tube}/store", {"container": box})

    page = visitor.submit(f"/storage/{safe}/evacuate", {"scanned": rack})

    assert page.status_code == 200
    assert "1 tube stands here now." in page.text and "with 1 tube" in page.text
    assert f"{tube} is frozen" in page.text and "UN" not in {code[:2] for code in (tube, box)}


def test_quality_keeps_a_donors_material_apart(api: Api, visit: Visit) -> None:
    tube, box = a_tube(api), a_box(api)
    donor = donor_of(api, tube)

    done = visit("quality").submit(f"/donors/{donor}/isolation", {"reason": "reactive result"})
    refused = visit("lab_tech").submit(f"/specimens/{tube}/store", {"container": box})

    assert "Kept apart." in done.text and "isolated places only" in done.text
    assert "kept apart for infection" in refused.text
