"""Which statements the law wants on a container of a person's own cells.

A rule whose wording and condition were read in its source always applies in its region. A rule known from background
only (`verified=False`) is a setting of `StatementPolicy`: the bank's responsible person confirms it against the primary
text and switches it. Nothing here is legal advice.

FOR AUTOLOGOUS USE ONLY
    always, as this bank stores for autologous use: 21 CFR 1271.90(c)(1), 2006/86/EC Annex II.E(1)(d). Read.
NOT EVALUATED FOR INFECTIOUS SUBSTANCES
    US, 1271.90(c)(2). The words were read; that full screening *and* testing lift it was not: a setting.
BIOLOGICAL HAZARD
    EU, a marker is known to be positive: 2006/86/EC Annex II.E(1)(f). Read.
DONOR AND RECIPIENT (our donor code, never a name)
    EU, the donor and recipient are identified: 2006/86/EC Annex II.E(1)(d). Read.
BIOHAZARD
    US, screening or testing shows an agent or a risk factor: 1271.90(c)(4). Not read: a setting.
WARNING: Reactive test results for ...
    US, a test is reactive: 1271.90(c)(5). Not read: a setting.
WARNING: Advise recipient of communicable disease risks
    US, evaluation not complete; autologous use is said to be exempt: 1271.90(c)(3). Not read: a setting.

The biohazard *symbol* of 1271.3(h) is not drawn: its dimensions were not read. We print the word; a bank that needs the
symbol uses stock with it pre-printed.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from biobank.donors.markers import Evaluation
from biobank.foundation.codes import Code

SEE_SHEET: Final = "SEE SHEET"
"""What a label says when a statement is on the accompanying sheet only."""


class Region(StrEnum):
    """Whose label rules apply."""

    US = "us"
    EU = "eu"


@dataclass(frozen=True, slots=True)
class StatementPolicy:
    """The bank's choice among the rules that were not read in their primary source, and its own statements.

    :ivar regions: whose rules apply
    :ivar complete_evaluation_lifts: full screening and testing lift NOT EVALUATED… (1271.90(c)(2), the "unless")
    :ivar biohazard_on_risk: print BIOHAZARD when a risk is found (1271.90(c)(4))
    :ivar name_reactive_agents: print what the reactive results are for (1271.90(c)(5)); this puts health data, though
        no name, on the container, hence off unless the bank decides so
    :ivar advise_recipient: print the advice of 1271.90(c)(3), from which autologous use is said to be exempt
    :ivar own: further statements of the bank, such as an investigational-use legend
    """

    regions: frozenset[Region] = frozenset({Region.US})
    complete_evaluation_lifts: bool = True
    biohazard_on_risk: bool = True
    name_reactive_agents: bool = False
    advise_recipient: bool = False
    own: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement, the source that asks for it, and whether its condition was read there."""

    key: str
    text: str
    source: str
    verified: bool


def required_statements(evaluation: Evaluation, policy: StatementPolicy, recipient: Code | None = None) -> tuple[Statement, ...]:
    """Return the statements a container must carry, most important first.

    :param recipient: code of the donor, who is the recipient; EU containers identify them
    """
    us, eu = Region.US in policy.regions, Region.EU in policy.regions
    risk = evaluation.risk_found or evaluation.positive_marker or bool(evaluation.reactive_for)
    found = [
        Statement(
            "autologous",
            "FOR AUTOLOGOUS USE ONLY",
            "21 CFR 1271.90(c)(1); 2006/86/EC Annex II.E(1)(d)",
            verified=True,
        )
    ]
    if eu and (evaluation.positive_marker or evaluation.reactive_for):
        found.append(Statement("biological_hazard", "BIOLOGICAL HAZARD", "2006/86/EC Annex II.E(1)(f)", verified=True))
    if us and risk and policy.biohazard_on_risk:
        found.append(Statement("biohazard", "BIOHAZARD", "21 CFR 1271.90(c)(4)", verified=False))
    if us and not (evaluation.complete and policy.complete_evaluation_lifts):
        found.append(Statement("not_evaluated", "NOT EVALUATED FOR INFECTIOUS SUBSTANCES", "21 CFR 1271.90(c)(2)", verified=True))
    if eu and recipient is not None:
        found.append(Statement("recipient", f"DONOR AND RECIPIENT {recipient}", "2006/86/EC Annex II.E(1)(d)", verified=True))
    if us and policy.name_reactive_agents:
        found.extend(
            Statement("reactive", f"WARNING: Reactive test results for {agent}", "21 CFR 1271.90(c)(5)", verified=False)
            for agent in evaluation.reactive_for
        )
    if us and policy.advise_recipient and not evaluation.complete:
        found.append(
            Statement(
                "advise",
                "WARNING: Advise recipient of communicable disease risks",
                "21 CFR 1271.90(c)(3)",
                verified=False,
            )
        )
    found.extend(Statement("own", text, "the bank's own rule", verified=True) for text in policy.own)
    return tuple(found)
