"""Why a withdrawal was asked for: words in the vault, read by those who decide about it and those who treat at its clinic."""

from sqlmodel import Session

from biobank.acts.act import Act
from biobank.auth.actor import Actor
from biobank.foundation.errors import Refusal, raise_first
from biobank.quality.kept_words import NoWords, open_words, treats
from biobank.withdrawals.case import Case, find_row, read_case
from biobank.withdrawals.gate import step_permission_refusal
from biobank.withdrawals.schemas import IndicationPublic
from biobank.withdrawals.workflow import Step


def indication_refusals(actor: Actor, case: Case) -> list[Refusal]:
    """Return why the actor may not read why a withdrawal was asked for. Pure."""
    refusal = None if treats(actor, case.clinic) else step_permission_refusal(actor, Step.APPROVE, case)
    if refusal is not None:
        return [refusal]
    if case.row["indication_commit"] is None:
        return [NoWords(f"{case.code} does not say why it was asked for.", subject=case.code)]
    return []


def read_indication(session: Session, act: Act, code: str) -> IndicationPublic:
    """Read why a withdrawal was asked for; that somebody read it is recorded. Raises NotFound, NotPermitted, NoWords."""
    case = read_case(session, find_row(session, act.actor, code))
    raise_first(indication_refusals(act.actor, case))
    commit = bytes(case.row["indication_commit"])
    words = open_words(session, act, case.donor, case.clinic, "indication", code, commit)
    return IndicationPublic(withdrawal=code, indication=words)
