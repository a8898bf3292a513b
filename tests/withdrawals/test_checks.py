"""May this tube go back to its donor: the pure rule."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from biobank.custody.legality import ActiveHold, Snapshot
from biobank.custody.projection import Projection
from biobank.custody.states import HOLD_BLOCKS, HoldAct, HoldKind, Quality
from biobank.quality.events import RegulatoryBasis
from biobank.quality.findings import Findings
from biobank.quality.lot_tests import LotTests
from biobank.quality.usable import RELEASED
from biobank.withdrawals.checks import use_refusals
from biobank.withdrawals.events import Reserved
from biobank.withdrawals.workflow import BEFORE_ISSUE, Route

AT = datetime(2030, 1, 1, tzinfo=UTC)


def tube(projection: dict[str, Any] | None = None, **fields: Any) -> Snapshot:
    """A vial that may go back."""
    usual: dict[str, Any] = {
        "state": "stored",
        "condition": "frozen",
        "quality": "released_to_bank",
        "amount": 5,
        "container_code": "BX-1",
    }
    whole = Snapshot(
        code="AD26-1",
        donor_code="DN-A",
        seq=3,
        head_hash=b"",
        projection=Projection(**(usual | (projection or {}))),
        material="adsc",
        unit="cells",
        regulatory_basis="us_351_ind",
    )
    return replace(whole, **fields)


def code_of(specimen: Snapshot, **changes: Any) -> str | None:
    """The refusal's code, or None."""
    route = Route.SHIP_FROZEN
    given: dict[str, Any] = {
        "donor": "DN-A",
        "at": AT,
        "route": route,
        "conditions": BEFORE_ISSUE[route],
        "material": "adsc",
    } | changes
    refusals = use_refusals(Reserved, specimen, **given)
    return refusals[0].code if refusals else None


FRESH: dict[str, Any] = {"route": Route.SHIP_FRESH, "conditions": BEFORE_ISSUE[Route.SHIP_FRESH]}


def test_a_released_vial_goes_back_to_its_donor() -> None:
    assert code_of(tube()) is None


@pytest.mark.parametrize(
    ("specimen", "changes", "code"),
    [
        (tube(), {"donor": "DN-B"}, "another_persons_cells"),
        (tube(donor_code=None), {}, "another_persons_cells"),
        (tube(purpose="retained"), {}, "not_for_treatment"),
        (tube(), {"material": "svf"}, "another_material"),
        (tube({"state": "missing"}), {}, "illegal_transition"),
        (tube({"reserved_for": "WD26-2"}), {}, "reserved_elsewhere"),
        (tube(), {"lagging": True}, "log_lagging"),
        (tube(), {"findings": Findings(came_back=True)}, "came_back_undecided"),
        (tube(regulatory_basis="undetermined"), {}, "regulatory_basis_undetermined"),
        (tube(regulatory_basis="research_only"), {}, "research_only"),
        (tube(regulatory_basis="us_361"), {}, "basis_not_for_material"),
        (tube(), {"findings": Findings(tests=LotTests(failed=("sterility",)))}, "lot_test_failed"),
        (tube(), {"findings": Findings(tests=LotTests(pending=("sterility",), overdue=("sterility",)))}, "lot_test_overdue"),
        (tube({"quality": "rejected"}), {}, "not_released"),
        (tube(expires_at=AT), {}, "expired"),
        (tube({"amount": 0}), {}, "nothing_left"),
        (tube({"condition": "thawed"}), {}, "wrong_condition_for_route"),
        *((tube({"condition": name}), FRESH, "no_time_for_use") for name in ("fresh", "in_culture")),
        (tube({"condition": "fresh", "use_by": "2030-01-01T00:00:00.000Z"}), FRESH, None),
    ],
)
def test_each_reason_is_named(specimen: Snapshot, changes: dict[str, Any], code: str | None) -> None:
    assert code_of(specimen, **changes) == code


def test_its_own_reservation_does_not_stand_in_its_way() -> None:
    assert code_of(tube({"reserved_for": "WD26-1"}), withdrawal="WD26-1") is None


@given(
    st.sampled_from(list(Quality)),
    st.sampled_from(list(RegulatoryBasis)),
    st.sampled_from([None, *HoldKind]),
    st.integers(-5, 5),
    st.integers(0, 2),
)
def test_nothing_goes_back_unless_everything_is_right(
    quality: Quality, basis: RegulatoryBasis, hold: HoldKind | None, days_left: int, amount: int
) -> None:
    holds = () if hold is None else (ActiveHold("h", hold.value, "donor", "DN-A", tuple(a.value for a in HOLD_BLOCKS[hold])),)
    specimen = tube(
        {"quality": quality.value, "amount": amount},
        regulatory_basis=basis.value,
        holds=holds,
        expires_at=AT + timedelta(days=days_left),
    )
    carried = {RegulatoryBasis(name) for name in ("us_351_ind", "us_351_bla", "us_state_exception", "eu_atmp_trial")}
    carried |= {RegulatoryBasis.EU_ATMP_HOSPITAL_EXEMPTION, RegulatoryBasis.NAMED_PATIENT}
    right = (
        quality in RELEASED
        and basis in carried
        and (hold is None or HoldAct.ISSUE not in HOLD_BLOCKS[hold])
        and days_left > 0
        and amount > 0
    )
    assert (code_of(specimen) is None) == right
