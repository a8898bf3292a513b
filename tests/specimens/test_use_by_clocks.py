"""Every change of condition starts the clock that its material has; `expires_at` follows it; nothing goes to use after it."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert
from sqlmodel import Session

from biobank.custody.event import Event, rules
from biobank.custody.legality import Snapshot
from biobank.custody.projection import Projection
from biobank.custody.recording import NOW, Move, record
from biobank.custody.snapshots import load
from biobank.custody.states import Condition
from biobank.foundation import clock
from biobank.foundation.clock import rfc3339
from biobank.foundation.db import table_of
from biobank.registries import event_kinds
from biobank.specimens.events import Collected, Derived, Frozen, Imported, Thawed
from biobank.specimens.limits import limits_of
from biobank.specimens.materials import MATERIALS, Material, MaterialName
from biobank.specimens.models import Specimen
from biobank.withdrawals.checks import use_refusals
from tests.conftest import Api
from tests.factories import fresh_code, make_donor, make_harvest
from tests.shipping.stories import stage
from tests.specimens.stories import donor, fat, harvest, made, output, raw_fat, run, using
from tests.withdrawals.stories import sign_and_post
from tests.withdrawals.test_checks import AT, tube

assert event_kinds.MODULES

LIVING = (Condition.FRESH, Condition.IN_CULTURE, Condition.THAWED)
SITES_OWN = 1800


def births(material: Material) -> Iterator[tuple[str, Condition]]:
    """Every way in which a material comes to be in a condition that has a clock, by the kind of its event."""
    for condition in LIVING:
        yield "specimen.derived", condition
        yield "specimen.imported", condition
    if material.harvested:
        yield "specimen.collected", Condition.FRESH
    yield "specimen.thawed", Condition.THAWED


ROWS = [(entry.name, *birth) for entry in MATERIALS.values() if entry.name != "unidentified" for birth in births(entry)]


def comes_to_be(session: Session, api: Api, material: MaterialName, kind: str, condition: Condition) -> Snapshot:
    """A specimen of the material after the event that brings it into the condition."""
    act, entry = stage(api.test_bank), MATERIALS[material]
    giver = make_donor(session)
    given = make_harvest(session, giver)
    code, unit = fresh_code(entry.prefixes[0].value, 26), entry.units[0].value
    row = {"code": code, "donor_code": giver, "material": material.value, "unit": unit, "harvest_code": given}
    session.execute(insert(table_of(Specimen)).values(**row, home_site_code="LAB", created_at=act.at, created_by=act.actor.code))
    common: dict[str, Any] = {"donor": giver, "material": material.value, "unit": unit, "amount": 10, "site": "LAB"}
    frozen_first = kind == "specimen.thawed"
    start: Event
    if kind == "specimen.collected":
        start = Collected(
            **common, harvest=given, home_site="LAB", method="excision", anatomical_site="scalp", started_at=rfc3339(act.at)
        )
    elif kind == "specimen.imported" or frozen_first:
        start = Imported(**common, condition=Condition.FROZEN if frozen_first else condition, evidence="old list:1")
    else:
        start = Derived(
            **common, parents=(code,), parent_heads=("0" * 64,), lot="LT-0000000", process="wash", condition=condition
        )
    before = Snapshot(
        code, giver, 0, None, Projection(), material=material.value, home_site_code="LAB", clinic_site_code="CLINIC"
    )
    record(session, act, [Move(before, start, site="LAB")], NOW)
    if frozen_first:
        record(session, act, [Move(load(session, [code], lock=True)[code], Thawed(method="bath"), site="LAB")], NOW)
    return load(session, [code])[code]


def test_every_change_of_condition_starts_the_clock_of_its_material(api: Api) -> None:
    def clocks() -> dict[tuple[MaterialName, str, Condition], int | None]:
        def work(session: Session) -> dict[tuple[MaterialName, str, Condition], int | None]:
            found = {}
            for material, kind, condition in ROWS:
                one = comes_to_be(session, api, material, kind, condition)
                assert one.projection.condition == condition
                ends = one.projection.use_by
                assert one.expires_at == (None if ends is None else datetime.fromisoformat(ends))
                left = None if one.expires_at is None else (one.expires_at - clock.now()).total_seconds()
                found[material, kind, condition] = None if left is None else round(left / 60) * 60
            return found

        return api.test_bank.write(work)  # type: ignore[no-any-return]

    named = {row: MATERIALS[row[0]].use_by.get(row[2]) for row in ROWS}
    assert clocks() == {row: None if entry is None else entry.seconds for row, entry in named.items()}

    for material, condition in sorted({(row[0], row[2]) for row in ROWS}):
        body = {"site": "LAB", "material": material.value, "condition": condition.value, "use_by_s": SITES_OWN}
        answer = sign_and_post(api.quality, "decided", "/material-limits", body)
        assert answer.status_code == 200, answer.text
    assert set(clocks().values()) == {SITES_OWN}


def test_whatever_may_be_frozen_has_a_time_for_use_once_thawed_and_without_one_nothing_is_given() -> None:
    living = [entry for entry in MATERIALS.values() if entry.freezable and entry.name != "unidentified"]
    assert [entry.name for entry in living if Condition.THAWED not in entry.use_by] == []

    thawed = tube({"condition": Condition.THAWED.value})
    assert [one.code for one in use_refusals(Thawed, thawed, donor="DN-A", at=AT)][-1] == "no_time_for_use"


def test_what_was_given_to_the_registry_as_a_clock_names_where_it_is_from() -> None:
    published = {
        (entry.name, condition): (one.seconds // 3600, one.published)
        for entry in MATERIALS.values()
        for condition, one in entry.use_by.items()
    }

    thawed = {"intact_follicles", "hf_stem_cells", "dermal_papilla_cells", "lipoaspirate", "micro_nanofat", "svf", "prp"}
    assert published == {
        **{(name, "thawed"): (4, False) for name in (*thawed, "exosome_preparation")},
        ("intact_follicles", "fresh"): (6, True),
        ("lipoaspirate", "fresh"): (24, True),
        ("adsc", "thawed"): (4, True),
        ("prp", "fresh"): (24, False),
        ("prf", "fresh"): (24, False),
    }
    for entry in MATERIALS.values():
        for one in entry.use_by.values():
            assert one.source.startswith("starting value") != one.published


def test_freezing_stops_the_clock_and_thawing_starts_it_anew(api: Api) -> None:
    def work(session: Session) -> tuple[str | None, str | None, str | None]:
        act = stage(api.test_bank)
        fresh = comes_to_be(session, api, MaterialName.PRP, "specimen.derived", Condition.FRESH)
        cold = Frozen(programme="p", cryoprotectant="none", cryoprotectant_contact_s=0)
        record(session, act, [Move(load(session, [fresh.code], lock=True)[fresh.code], cold, site="LAB")], NOW)
        frozen = load(session, [fresh.code], lock=True)[fresh.code]
        record(session, act, [Move(frozen, Thawed(method="bath"), site="LAB")], NOW)
        return fresh.projection.use_by, frozen.projection.use_by, load(session, [fresh.code])[fresh.code].projection.use_by

    fresh, frozen, thawed = api.test_bank.write(work)

    assert fresh is not None
    assert frozen is None and thawed is not None, "frozen it keeps; thawed it has as long as the registry begins with"


def test_what_is_frozen_when_it_is_too_old_is_kept_and_held(api: Api) -> None:
    def freeze(session: Session, hours: int) -> list[str]:
        fresh = comes_to_be(session, api, MaterialName.PRP, "specimen.derived", Condition.FRESH)
        clock.set_offset(timedelta(hours=hours), test_mode=True)
        cold = Frozen(programme="p", cryoprotectant="none", cryoprotectant_contact_s=0)
        act = stage(api.test_bank)
        record(session, act, [Move(load(session, [fresh.code], lock=True)[fresh.code], cold, site="LAB")], NOW)
        clock.set_offset(timedelta(0), test_mode=True)
        return [one.kind for one in load(session, [fresh.code], holds=True)[fresh.code].holds]

    assert api.test_bank.write(lambda s: freeze(s, 20)) == []
    assert api.test_bank.write(lambda s: freeze(s, 30)) == ["quality"], "one person does not make it young by freezing it"


def test_a_longer_time_of_one_site_is_not_another_s(api: Api) -> None:
    longer = {"site": "LAB", "material": "prp", "condition": "fresh", "use_by_s": 48 * 3600, "source": "VAL-2026-020, at 22 C"}
    assert sign_and_post(api.quality, "decided", "/material-limits", longer).status_code == 200

    def hours(*sites: str) -> int:
        found = api.test_bank.write(lambda s: limits_of(s, "prp", "fresh", frozenset(sites)))
        return int(found.use_by_s // 3600)

    assert (hours("LAB"), hours("CLINIC"), hours("LAB", "CLINIC"), hours()) == (48, 24, 24, 24)


def test_a_starting_value_without_a_published_source_may_be_longer_where_a_site_says_why(api: Api) -> None:
    longer = {"site": "LAB", "material": "prp", "condition": "fresh", "use_by_s": 48 * 3600}

    refused = sign_and_post(api.quality, "decided", "/material-limits", longer)
    done = sign_and_post(api.quality, "decided", "/material-limits", longer | {"source": "VAL-2026-020, PRP at 22 C"})

    assert (refused.status_code, refused.json()["code"]) == (409, "longer_without_source")
    assert done.status_code == 200, done.text
    one = api.test_bank.write(lambda s: comes_to_be(s, api, MaterialName.PRP, "specimen.derived", Condition.FRESH))
    assert one.expires_at is not None
    assert timedelta(hours=47) < one.expires_at - clock.now() < timedelta(hours=49)


def test_washing_or_dividing_does_not_start_the_clock_anew(api: Api) -> None:
    raw = raw_fat(api, donor(api))
    began = api.lab_tech.get(f"/specimens/{raw['code']}").json()["expires_at"]

    washed = made(run(api.lab_tech, "wash", [using(raw)], [output("lipoaspirate", 40_000, "ul_washed")]))["specimens"][0]

    assert began is not None
    assert api.lab_tech.get(f"/specimens/{washed['code']}").json()["expires_at"] == began


def test_prp_of_a_harvest_is_of_the_day_it_was_drawn(api: Api) -> None:
    drawn = {"material": "prp", "unit": "ul", "amount": 4000}
    answer = made(harvest(api.clinician, donor(api), fat(), drawn))

    (code,) = [one["code"] for one in answer["specimens"] if one["material"] == "prp"]
    one = api.clinician.get(f"/specimens/{code}").json()

    assert datetime.fromisoformat(one["expires_at"]) == datetime.fromisoformat(one["custody"]["use_by"])
    left = datetime.fromisoformat(one["expires_at"]) - clock.now()
    assert timedelta(hours=20) < left < timedelta(hours=24)


TOWARDS_USE = sorted(kind for kind, event in rules.by_kind.items() if event.stream.value == "specimen" and event.toward_use)


@pytest.mark.parametrize("kind", TOWARDS_USE)
def test_no_act_towards_use_happens_after_the_clock(kind: str) -> None:
    def why_not(expires_at: datetime) -> set[str]:
        return {one.code for one in use_refusals(rules.by_kind[kind], tube(expires_at=expires_at), donor="DN-A", at=AT)}

    assert "expired" not in why_not(AT + timedelta(seconds=1))
    assert "expired" in why_not(AT)


def test_freezing_starts_the_clock_that_a_site_gave_frozen_material(api: Api) -> None:
    body = {"site": "LAB", "material": "prp", "condition": "frozen", "use_by_s": 86_400}
    assert sign_and_post(api.quality, "decided", "/material-limits", body).status_code == 200

    def work(session: Session) -> tuple[str | None, datetime | None]:
        fresh = comes_to_be(session, api, MaterialName.PRP, "specimen.derived", Condition.FRESH)
        cold = Frozen(programme="p", cryoprotectant="none", cryoprotectant_contact_s=0)
        record(session, stage(api.test_bank), [Move(load(session, [fresh.code], lock=True)[fresh.code], cold, site="LAB")], NOW)
        frozen = load(session, [fresh.code])[fresh.code]
        return frozen.projection.use_by, frozen.expires_at

    use_by, expires_at = api.test_bank.write(work)

    assert use_by is not None and expires_at == datetime.fromisoformat(use_by)
    assert abs(expires_at - clock.now() - timedelta(days=1)) < timedelta(minutes=2)
