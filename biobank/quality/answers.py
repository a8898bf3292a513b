"""What packages below ask of quality: no sampling, thawing or run ends what is kept for treatment, or takes what is to stay."""

from collections.abc import Sequence
from dataclasses import replace

from sqlmodel import Session

from biobank.acts.act import Act
from biobank.auth.actor import SYSTEM_CODE
from biobank.custody.event import Event
from biobank.custody.events import Sampled
from biobank.custody.legality import Snapshot
from biobank.custody.recording import ending_guard
from biobank.custody.snapshots import load
from biobank.foundation.errors import raise_first
from biobank.quality.ending import Route, ends, is_protected, run_ends, sampling_refusals, thawing_ends
from biobank.quality.ending_facts import counted_from_before, grown_from, read_facts
from biobank.quality.usable import RELEASED
from biobank.specimens.events import Thawed
from biobank.specimens.making import run_refusals
from biobank.specimens.processes import Balance, Process
from biobank.specimens.run_rules import THERAPEUTIC, Making, Use, used_total


@ending_guard.give
def refuse_ending(session: Session, act: Act, specimen: Snapshot, event: Event, withdrawal: str | None) -> None:
    """Raise the first reason why a sampling or a thawing may not end the specimen. The bank itself is not asked."""
    if act.actor.code == SYSTEM_CODE or not is_protected(specimen):
        return
    if isinstance(event, Thawed) and not thawing_ends(specimen, withdrawal):
        return
    held = _held(session, specimen)
    facts = counted_from_before(session, held, read_facts(session, held, act.at))
    if isinstance(event, Sampled):
        raise_first(sampling_refusals(held, event.amount, facts))
    elif isinstance(event, Thawed):
        raise_first(ends(Route.THAW, held, facts))


def _held(session: Session, specimen: Snapshot) -> Snapshot:
    """The specimen as the act sees it, with what stands beside its custody row and its holds: whoever samples reads neither."""
    return replace(load(session, [specimen.code], holds=True)[specimen.code], projection=specimen.projection)


def _kept(session: Session, process: Process, use: Use, therapeutic: int, uses: Sequence[Use]) -> int | None:
    """Return what of an input stays for its donor in what came out, in the input's measure; None: it became something else."""
    total = used_total(uses)
    if process.balance is Balance.CONSERVED or not therapeutic:
        return 0 if total == 0 else therapeutic * use.amount // total
    if use.specimen.projection.quality in RELEASED:
        return None
    before = sum(grown_from(session, one.specimen, one.amount) for one in uses) if process.counts_on else total
    return 0 if process.leaves_input or process.yields_almost_nothing(therapeutic, before) else None


@run_refusals.give
def refuse_run(
    session: Session, act: Act, process: Process, uses: Sequence[Use], makings: Sequence[Making], withdrawal: str | None
) -> None:
    """Raise the first reason why a run may not end one of its inputs. What grows the cells of a withdrawal was approved for that,
    with what remains.

    Where amounts are conserved, what comes out as therapeutic material is shared out among the inputs by what each gave.
    Where they are not, making therapeutic material of a unit that was not released yet is what the bank is for; a run of which
    almost nothing comes out makes none, and one that takes the medium of a culture makes nothing of the cells themselves.
    """
    if withdrawal is not None:
        return
    therapeutic = sum(one.amount * one.count for one in makings if one.purpose == THERAPEUTIC)
    for use in uses:
        if not is_protected(use.specimen) or (process.leaves_input and use.amount == 0):
            continue
        kept = _kept(session, process, use, therapeutic, uses)
        if (kept is None and use.specimen.projection.quality not in RELEASED) or (kept is not None and kept >= use.amount):
            continue  # nothing of it is lost to the donor: no fact is needed to say so
        facts = counted_from_before(session, use.specimen, read_facts(session, use.specimen, act.at))
        if run_ends(use.specimen, use.amount, use.consumed, kept, facts):
            raise_first(ends(Route.RUN, use.specimen, facts))
