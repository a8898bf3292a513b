"""A tube in the hand that is none of the withdrawal's: evidence at every step, and where it is out of its place already, a STOP.

At a thaw, and in a box that a clinic opens, another tube in the hand says that something was taken for something else before. It
is treated as the same at the bedside: what was scanned is held for its identity with all that was handled at its bench, what two
people released at the bedside is over, and quality is called by name.
"""

from collections.abc import Collection

from sqlmodel import Session

from biobank.acts.act import Act
from biobank.custody import holds as custody_holds
from biobank.custody.ledger import Appended
from biobank.custody.legality import Snapshot
from biobank.custody.recording import NOW, Circumstances, head_of
from biobank.custody.snapshots import load, may_know
from biobank.custody.states import TERMINAL, HoldKind, HoldScope
from biobank.foundation.errors import Refused, raise_first
from biobank.quality.independence import IN_HAND
from biobank.quality.urgent import call_quality
from biobank.withdrawals.case import Case
from biobank.withdrawals.releases import end_checks, end_releases
from biobank.withdrawals.step_errors import WrongSpecimen
from biobank.withdrawals.step_rules import QUARANTINE, begin_refusals, wrong_tube
from biobank.withdrawals.workflow import Step


def stray_tube(act: Act, step: Step, case: Case, code: str, scanned: Snapshot | None) -> Refused:
    """The evidence of a tube that is none of this withdrawal's, from one who may take the step now. Raises why not."""
    raise_first(begin_refusals(act.actor, step, case))
    return Refused(wrong_tube(act.actor, case, code, scanned))


def stop_stray(session: Session, act: Act, step: Step, case: Case, code: str, scanned: Snapshot | None) -> Refused:
    """The same where the tube is out of its place: it is held, open releases end, and quality finds out how it came there."""
    refused = stray_tube(act, step, case, code, scanned)
    if scanned is None:
        return refused
    site = case.clinic if step is Step.RECEIVE else scanned.projection.site_code or case.clinic
    held = [] if scanned.state in TERMINAL else [code]
    end_releases(session, {*case.tubes, code}, at=act.at, because=IN_HAND)
    end_checks(session, act.at, withdrawal=case.code)
    hold_specimens(session, act, held, HoldKind.IDENTITY, NOW, reason=IN_HAND, site=site)
    call_quality(
        session,
        act,
        topic=IN_HAND,
        about=case.code,
        description=f"{code} was in the hand at {case.code} ({step.value}), and is none of its tubes.",
        units={code, *case.tubes},
        site=site,
        sites=[case.clinic, scanned.keeper, *(tube.keeper for tube in case.tubes.values())],
        affected=[("withdrawal", case.code)],
    )
    known = may_know(act.actor, scanned)
    return Refused(
        WrongSpecimen(
            f"STOP. {code} is none of the tubes of {case.code}. It is held, and quality is called. Keep it apart from "
            "the others.",
            where_now=scanned.where_now if known else QUARANTINE,
            subject=code,
            withdrawal=case.code,
        )
    )


def hold_specimens(
    session: Session, act: Act, codes: Collection[str], kind: HoldKind, given: Circumstances, *, reason: str, site: str | None
) -> list[Appended]:
    """Place a hold on each specimen that has none of this kind of its own; the rows are locked."""
    placed = []
    for code, specimen in sorted(load(session, codes, lock=True, holds=True).items()):
        if any(h.kind == kind.value and h.scope_kind == HoldScope.SPECIMEN.value and h.scope_id == code for h in specimen.holds):
            continue
        head = head_of(session, act, given, subject=None, site=site, last=specimen.last_occurred_at)
        _id, appended = custody_holds.place(
            session, kind=kind, scope_kind=HoldScope.SPECIMEN, scope_id=code, reason=reason, head=head, specimen=specimen
        )
        placed.append(appended)
    return placed
