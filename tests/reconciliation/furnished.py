"""Rules, allowances, answers and moves beside a furnished bank, so that every table that names its events has a row."""

from tests.benches import stories as benches
from tests.benches.badges import ended, enrolled
from tests.benches.stories import workstation
from tests.conftest import Api
from tests.custody.test_performer_confirmations import confirm, helped
from tests.donors.stories import band, consent
from tests.donors.test_consents import revoke
from tests.donors.test_life import agree
from tests.people.api_clients import a_client, key_of
from tests.quality import test_deviation_ending as deviations
from tests.quality import test_reattributing as reattributing
from tests.quality.test_disposal import announce, seq_of
from tests.quality.test_markers import decide, enter
from tests.quality.test_merging import merge
from tests.quality.test_recall_ending import CLEARED, close, recalled
from tests.quality.test_recall_ending import decide as decide_recall
from tests.seed import A_REPORT
from tests.specimens import stories as specimens
from tests.viability.test_reports import demand
from tests.withdrawals.stories import a_donor, a_story, by_two, later, sign_and_post

RULES = (
    ("/ending-rules", {"site": "LAB", "cooling_off_days": 7, "usable_rest_percent": 50}),
    ("/sites/LAB/jurisdiction", {"site": "LAB", "jurisdiction": "US"}),
    ("/material-limits", {"site": "LAB", "material": "adsc", "condition": "frozen", "use_by_s": 400_000_000, "source": "SOP-12"}),
    ("/place-limits", {"site": "LAB", "temperature_class": "ln2_vapour", "highest_mc": -150_000}),
    ("/split-storage", {"site": "LAB", "spread": True}),
    ("/reporting-rules", {"site": "LAB", "seriousness": "serious", "days": 15, "authority": "FDA"}),
    ("/open-act-limits", {"site": "LAB", "act": "taken_out", "minutes": 5}),
)


def furnish_rules(api: Api) -> None:
    """Fill what the furnished bank leaves empty."""
    for path, rule in RULES:
        answer = sign_and_post(api.quality, "decided", path, rule)
        assert answer.status_code in (200, 201), (path, answer.text)
    demand(api)
    _, event = helped(api)
    assert confirm(api.lab_tech2, event["leaf_hash"]).status_code == 201
    _persons(api)
    _units(api)
    assert key_of(api, a_client(api, sites=["LAB"]))
    _at_a_bench(api)
    ended(api, enrolled(api, workstation(api, "Bench of a station"))[0])


def _persons(api: Api) -> None:
    """Two records of one person, each with a band and a reserve, are one; a consent is taken back, a marker confirmed."""
    stays, goes, third = (a_donor(api, external_ids=[{"issuer": f"HOSPITAL-{n}", "value": "7 7"}]) for n in range(3))
    band(api, stays)
    for one in (stays, goes, third):
        reserve = {"material": "adsc", "units": 2, "amount": 1_000_000, "unit": "cells"}
        assert sign_and_post(api.quality, "decided", f"/donors/{one}/reserves", reserve).status_code in (200, 201)
    banking = consent(api.clinician, stays).json()["consent"]
    assert revoke(api, stays, banking).status_code in (200, 201)
    assert agree(api, stays).status_code == 201
    marker = enter(api.clinician, stays, A_REPORT).json()["marker"]["id"]
    assert decide(api.quality, stays, marker).status_code in (200, 201)
    merged = merge(api, stays, goes)
    assert merged.status_code == 200, merged.text
    owner, other = specimens.donor(api), specimens.donor(api, **reattributing.OTHER)
    harvest = reattributing.harvest_of(api, specimens.raw_fat(api, owner)["code"])
    said = reattributing.say(api, harvest, other)
    assert said.status_code == 200, said.text


def _units(api: Api) -> None:
    """A recall comes to its end and a deviation is closed; a vial may be used up."""
    recall = recalled(api, a_story(api, 2))["id"]
    assert decide_recall(api, recall, **CLEARED).status_code == 200
    first = close(api.quality, recall).json()["pending_act"]
    assert close(api.quality2, recall, pending_act=first).status_code == 200
    assert deviations.close(api.quality, deviations.about(api)).status_code == 200
    vial, _ = a_story(api, vials=2).vials
    assert announce(api, vial, reason="quality_control").status_code in (200, 201)
    later(api, days=8)
    use = {"use": "quality_control", "expected_seq": seq_of(api, vial)}
    answer = by_two(api.lab_tech, api.quality, f"/specimens/{vial}/use-up", use)
    assert answer.status_code == 200, answer.text


def _at_a_bench(api: Api) -> None:
    """A workstation is opened, something is handled there, and it is closed; a donor is allergic."""
    donor = specimens.donor(api)
    fat = specimens.raw_fat(api, donor)["code"]
    bench = benches.workstation(api, "Bench that closes")
    code = benches.opened(api, bench, donor=donor)
    assert benches.scanning(api.lab_tech, code, fat).status_code in (200, 201)
    closed = benches.closing(api.lab_tech, code, bench)
    assert closed.json()["status"] == "done", closed.text
    allergic = api.clinician.post(f"/donors/{donor}/allergies", json={"substance": "bovine_serum"})
    assert allergic.status_code in (200, 201), allergic.text
