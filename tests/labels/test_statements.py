"""Which statements a container must carry."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from biobank.donors.markers import Evaluation, Extent
from biobank.labels.statements import Region, StatementPolicy, required_statements
from tests.labels.samples import DONOR

unhurried = settings(deadline=None)  # a busy machine is not a failure

US = StatementPolicy(regions=frozenset({Region.US}))
EU = StatementPolicy(regions=frozenset({Region.EU}))
BOTH = StatementPolicy(regions=frozenset(Region))
COMPLETE = Evaluation(screening=Extent.COMPLETE, testing=Extent.COMPLETE)

evaluations = st.builds(
    Evaluation,
    screening=st.sampled_from(Extent),
    testing=st.sampled_from(Extent),
    risk_found=st.booleans(),
    positive_marker=st.booleans(),
    reactive_for=st.lists(st.sampled_from(["HIV", "HBV", "HCV"]), unique=True).map(tuple),
)
policies = st.builds(
    StatementPolicy,
    regions=st.frozensets(st.sampled_from(Region)),
    complete_evaluation_lifts=st.booleans(),
    biohazard_on_risk=st.booleans(),
    name_reactive_agents=st.booleans(),
    advise_recipient=st.booleans(),
    own=st.lists(st.just("Investigational use"), max_size=1).map(tuple),
)


def texts(evaluation: Evaluation, policy: StatementPolicy) -> list[str]:
    return [statement.text for statement in required_statements(evaluation, policy, DONOR)]


@unhurried
@given(evaluations, policies)
def test_autologous_use_only_is_always_first(evaluation: Evaluation, policy: StatementPolicy) -> None:
    found = texts(evaluation, policy)
    assert found[0] == "FOR AUTOLOGOUS USE ONLY"
    assert len(found) == len(set(found))


@unhurried
@given(evaluations)
def test_not_evaluated_is_lifted_only_by_full_screening_and_full_testing(evaluation: Evaluation) -> None:
    complete = evaluation.screening is Extent.COMPLETE and evaluation.testing is Extent.COMPLETE
    assert ("NOT EVALUATED FOR INFECTIOUS SUBSTANCES" in texts(evaluation, US)) == (not complete)


def test_partial_testing_does_not_lift_not_evaluated() -> None:
    for screening, testing in ((Extent.COMPLETE, Extent.PARTIAL), (Extent.NOT_DONE, Extent.COMPLETE)):
        assert "NOT EVALUATED FOR INFECTIOUS SUBSTANCES" in texts(Evaluation(screening, testing), US)


def test_the_unverified_exception_can_be_switched_off() -> None:
    strict = StatementPolicy(complete_evaluation_lifts=False)
    assert "NOT EVALUATED FOR INFECTIOUS SUBSTANCES" in texts(COMPLETE, strict)


@unhurried
@given(evaluations, policies)
def test_a_rule_that_was_not_read_in_its_source_prints_only_when_switched_on(
    evaluation: Evaluation, policy: StatementPolicy
) -> None:
    off = StatementPolicy(
        regions=policy.regions,
        complete_evaluation_lifts=policy.complete_evaluation_lifts,
        biohazard_on_risk=False,
        name_reactive_agents=False,
        advise_recipient=False,
    )
    assert all(statement.verified for statement in required_statements(evaluation, off, DONOR))
    for statement in required_statements(evaluation, policy, DONOR):
        assert statement.source


@pytest.mark.parametrize(
    "risk", [Evaluation(risk_found=True), Evaluation(positive_marker=True), Evaluation(reactive_for=("HBV",))]
)
def test_a_risk_puts_the_biohazard_word_on_a_us_container(risk: Evaluation) -> None:
    assert "BIOHAZARD" in texts(risk, US)
    assert "BIOHAZARD" not in texts(risk, EU)
    assert "BIOHAZARD" not in texts(risk, StatementPolicy(biohazard_on_risk=False))
    assert "BIOHAZARD" not in texts(Evaluation(), US)


def test_a_positive_marker_puts_biological_hazard_on_an_eu_container_and_a_mere_risk_does_not() -> None:
    assert "BIOLOGICAL HAZARD" in texts(Evaluation(positive_marker=True), EU)
    assert "BIOLOGICAL HAZARD" not in texts(Evaluation(risk_found=True), EU)


def test_eu_containers_identify_the_recipient_by_code() -> None:
    assert f"DONOR AND RECIPIENT {DONOR}" in texts(COMPLETE, EU)
    assert not any("RECIPIENT" in text for text in texts(COMPLETE, US))
    assert not any("RECIPIENT" in statement.text for statement in required_statements(COMPLETE, EU))


def test_reactive_agents_are_named_only_when_the_bank_decides_so() -> None:
    reactive = Evaluation(reactive_for=("HBV", "HCV"))
    assert not any("HBV" in text for text in texts(reactive, BOTH))
    named = texts(reactive, StatementPolicy(name_reactive_agents=True))
    assert "WARNING: Reactive test results for HBV" in named
    assert "WARNING: Reactive test results for HCV" in named


def test_the_advice_to_the_recipient_is_off_unless_chosen_and_lifted_by_a_complete_evaluation() -> None:
    advice = "WARNING: Advise recipient of communicable disease risks"
    chosen = StatementPolicy(advise_recipient=True)
    assert advice not in texts(Evaluation(), US)
    assert advice in texts(Evaluation(), chosen)
    assert advice not in texts(COMPLETE, chosen)


def test_the_banks_own_statements_come_last() -> None:
    own = StatementPolicy(own=("Investigational use only",))
    assert texts(Evaluation(), own)[-1] == "Investigational use only"
