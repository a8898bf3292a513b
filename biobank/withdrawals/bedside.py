"""At the bedside: two people verify that these cells are this person's.

Each of two people, from their own login and without seeing the other's scans, scans
the band on the wrist and the final product. The system compares band → donor, product → donor and withdrawal → recipient. Any
mismatch stops everything: the refusal and an identity hold are committed and open releases end. Agreement makes a release of
single use, valid for 15 minutes, which the administration consumes; the database knows the chain by foreign keys.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal
from uuid import uuid4

from sqlalchemy import insert, select, update
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.auth.models import user
from biobank.auth.queries import actor_of_user, every_login
from biobank.custody.legality import Snapshot
from biobank.custody.recording import NOW, Circumstances
from biobank.custody.states import HoldKind
from biobank.donors.wristbands import ActiveBand, active_wristband, find_band
from biobank.foundation.clock import rfc3339
from biobank.foundation.codes import CheckCharacterWrong, ForeignLabel, MalformedCode, Prefix
from biobank.foundation.errors import Conflict, Refusal, Refused, raise_first
from biobank.quality.independence import MISMATCH
from biobank.quality.urgent import call_quality
from biobank.specimens.scanned_labels import LabelOfNoPrint, LabelSuperseded
from biobank.withdrawals.against_a_stop import told_of_it
from biobank.withdrawals.case import Case, open_case, record_on_case
from biobank.withdrawals.events import CheckFailed, CheckOpened, CheckPassed
from biobank.withdrawals.gate import step_permission_refusal
from biobank.withdrawals.given_then import judged_then
from biobank.withdrawals.models import bedside_release as release_table
from biobank.withdrawals.paper_checks import moment_at_bedside
from biobank.withdrawals.release_rules import CHECKED_AGAIN
from biobank.withdrawals.releases import check_table, end_checks, end_open_releases, end_releases
from biobank.withdrawals.scans import AnotherKindOfCode, read_scan, read_tube
from biobank.withdrawals.schemas import BedsideAnswer, BedsideRequest
from biobank.withdrawals.service import answer_members
from biobank.withdrawals.step_rules import begin_refusals, check_refusals, consents_of, read_grounds
from biobank.withdrawals.strays import hold_specimens
from biobank.withdrawals.workflow import Step

_reader = user.alias("reader")

_NOW = {"occurred_at": None, "late_entry": False, "paper": None}

UNKNOWN = "UNKNOWN"
"""What is recorded of a scan that names nothing here: what stood on it may say who somebody is."""

CHECK_LIFE = timedelta(minutes=10)
"""How long the first person's scans wait for the second's."""
RELEASE_LIFE = timedelta(minutes=15)

Differing = Literal["wristband", "product", "withdrawal"]


class WrongRecipient(Conflict):
    """Band, product and withdrawal do not belong to one person."""

    code = "wrong_recipient"
    title = "STOP: not this person's"


class DeviceUnnamed(Conflict):
    """Each of the two people says which device they scan on."""

    code = "device_unnamed"
    title = "Say which device this is"


class SameDevice(Conflict):
    """The two people at the bedside scan on devices of their own: on one they would see each other's scans."""

    code = "same_device"
    title = "A second device is needed"


def differing(
    recipient: str, items: Collection[str], band_donor: str | None, product: str, product_donor: str | None
) -> list[Differing]:
    """Compare band, product and withdrawal, and return what does not belong together; empty when all is one person's. Pure.

    A band or a product of nobody here is not this person's.
    """
    wrong: list[Differing] = []
    if band_donor != recipient:
        wrong.append("wristband")
    if product_donor is None or product_donor != recipient:
        wrong.append("product")
    elif product not in items:
        wrong.append("withdrawal")
    return wrong


@dataclass(frozen=True)
class Product:
    """What was scanned at a bedside as the product: a tube of ours, or no tube of this bank by any name (`code` None).

    `outdated`: it is one of ours by a label that should be on nothing any more.
    """

    code: str | None
    outdated: LabelSuperseded | LabelOfNoPrint | None = None

    @property
    def codes(self) -> list[str]:
        """The tube, where it is one."""
        return [] if self.code is None else [self.code]


def read_product(session: Session, act: Act, text: str) -> Product:
    """Read the tube that was scanned at a bedside. Raises what `read_tube` raises of a code of ours that was misread."""
    try:
        return Product(read_tube(session, act, text))
    except CheckCharacterWrong:
        raise
    except (LabelSuperseded, LabelOfNoPrint) as refusal:
        return Product(None, refusal)
    except (MalformedCode, ForeignLabel):
        return Product(None)


def read_band(session: Session, act: Act, text: str) -> str | None:
    """Return the code of the band that was scanned on the wrist; None for what is no band of this bank's. Raises what `read_scan`
    raises of a code of ours that was misread, or by a label that should be on nothing any more.
    """
    try:
        code = read_scan(session, act, text, Prefix.WRISTBAND)
    except CheckCharacterWrong:
        raise
    except (MalformedCode, ForeignLabel, AnotherKindOfCode):
        return None
    return None if find_band(session, code) is None else code


def check_at_bedside(session: Session, act: Act, code: str, request: BedsideRequest) -> BedsideAnswer | Refused:
    """One person's scans. The first opens the check, the second completes it and makes the release."""
    band_code, read = read_band(session, act, request.wristband), read_product(session, act, request.product)
    case, others = open_case(session, act, code, expected_seq=request.expected_seq, also=read.codes)
    raise_first(begin_refusals(act.actor, Step.CHECK, case))
    if read.outdated is not None:
        return stop_outdated(session, act, case, request, read.outdated)
    # Whose the band is counts before whether it is still in force: another person's old band is another person's band.
    row = None if band_code is None else find_band(session, band_code)
    scanned = None if read.code is None else others.get(read.code)
    whose = None if scanned is None else scanned.donor_code
    wrong = differing(case.donor, case.tubes, None if row is None else row.donor_code, read.code or UNKNOWN, whose)
    if wrong or band_code is None or read.code is None:
        return stop(session, act, case, request, wrong, band_code, read.code or UNKNOWN, scanned)
    product = read.code
    at = moment_at_bedside(session, act, case, product, request)
    band = active_wristband(session, band_code, at)
    live = request.paper is None
    grounds = read_grounds(session, act.bank, [case.donor], act.at, of=request.occurred_at, decided=live)[case.donor]
    if live:
        raise_first(check_refusals(act.actor, case, grounds, product))
    else:
        try:
            grounds = judged_then(session, act, case, grounds, product, at, check_refusals, act.actor).grounds
        except Refusal as against:
            return told_of_it(session, act, case, product, request, against)
    consents = tuple(consents_of(case, grounds, [product])[0])
    if request.device is None and request.paper is None:
        raise DeviceUnnamed(
            "Each of you scans on a device of your own, and this one has no name. On a page, allow scripts and storage for the "
            "bank's address and load it again.",
            subject=product,
        )
    open_check = next((one for one in open_checks(session, [code]) if one.specimen_code == product), None)
    if (
        open_check is None
        or open_check.expires_at < at
        or open_check.paper != request.paper
        or act.actor.code in open_check.readers
        or open_check.wristband_code != band.code
        or (live and not _may_still_check(session, case, open_check.first_checker))
        # On paper the later reader may have entered first: the earlier reading opens, and the later is entered again after it.
        or (request.paper is not None and at < open_check.opened_at)
    ):
        return _open_check(session, act, at, case, request, product, band, open_check)
    # What a browser calls itself is its own word; by what it was given at sign-ins the bank knows it.
    one_browser = request.paper is None and not set(act.browser).isdisjoint(open_check.first_browser)
    if one_browser or _same(request.device, open_check.first_device):
        raise SameDevice(
            f"{open_check.first_checker} scanned on this device. Scan on another, signed in as yourself.", subject=product
        )
    return _pass_check(session, act, max(at, open_check.opened_at), case, request, product, band, open_check, consents)


def _may_still_check(session: Session, case: Case, login: str) -> bool:
    """Say whether whoever scanned first could scan now: the scans of a login that was ended are nobody's half."""
    first = actor_of_user(session, login)
    return first is not None and step_permission_refusal(first, Step.CHECK, case) is None


def open_checks(session: Session, codes: Collection[str]) -> Sequence[Any]:
    """Return the checks of these withdrawals that the first person opened: `readers` are the logins of that person."""
    return session.execute(
        select(check_table, every_login(_reader).label("readers"))
        .join(_reader, _reader.c.code == check_table.c.first_checker)
        .where(
            check_table.c.withdrawal_code.in_(sorted(codes)),
            check_table.c.ended_at.is_(None),
            check_table.c.superseded_at.is_(None),
        )
    ).all()


def _same(device: str | None, other: str | None) -> bool:
    return device is not None and other is not None and device.casefold() == other.casefold()


def stop(
    session: Session,
    act: Act,
    case: Case,
    given: Circumstances,
    wrong: list[Differing],
    band: str | None,
    product: str,
    scanned: Snapshot | None,
) -> Refused:
    """Stop everything: open releases and checks end, the product is held, and the refusal is evidence.

    It is dated now, whatever the call states: a wrong clock or form is no reason to undo a stop.
    """
    killed = end_releases(session, {*case.tubes, product}, at=act.at, because=MISMATCH)
    other = None if band is None else find_band(session, band)
    if other is not None and other.donor_code != case.donor:
        # Whose band it is may lie before the other's cells, here or at the next bed: what is open of both is over.
        killed += end_open_releases(session, other.donor_code, at=act.at, because=MISMATCH)
        end_checks(session, act.at, donor=other.donor_code)
    held = [] if scanned is None else [product]
    hold_specimens(session, act, held, HoldKind.IDENTITY, NOW, reason=MISMATCH, site=case.clinic)
    end_checks(session, act.at, withdrawal=case.code)
    event = CheckFailed(differing=tuple(wrong), wristband=band, product=product, held=tuple(held), releases_killed=killed)
    record_on_case(session, act, case, event, given.model_copy(update=_NOW))
    call_quality(
        session,
        act,
        topic=MISMATCH,
        about=case.code,
        description=f"STOP at the bedside of {case.code}: {' and '.join(wrong)} did not belong together with the rest.",
        units={*case.tubes, *held},
        site=case.clinic,
        sites=[tube.keeper for tube in [*case.tubes.values(), *([] if scanned is None else [scanned])]],
        affected=[("withdrawal", case.code)],
    )
    return Refused(
        WrongRecipient(
            f"STOP. The band, the product and {case.code} do not belong to one person ({' and '.join(wrong)}). Give nothing.",
            where_now="Keep the product cold and apart from every other, and call quality now."
            + (" It is on hold." if held else ""),
            subject=case.code if product == UNKNOWN else product,
            withdrawal=case.code,
            differing=wrong,
        )
    )


def stop_outdated(
    session: Session, act: Act, case: Case, given: Circumstances, outdated: LabelSuperseded | LabelOfNoPrint
) -> Refused:
    """A label that should be on nothing any more is on what is in the hand: what is open of the withdrawal ends, and the label's
    own refusal is evidence. Which tube it is, quality finds out.
    """
    killed = end_releases(session, case.tubes, at=act.at, because=MISMATCH)
    end_checks(session, act.at, withdrawal=case.code)
    event = CheckFailed(differing=("product",), wristband=None, product=UNKNOWN, held=(), releases_killed=killed)
    record_on_case(session, act, case, event, given.model_copy(update=_NOW))
    call_quality(
        session,
        act,
        topic="outdated_label_at_the_bedside",
        about=case.code,
        description=f"At the bedside of {case.code} a label was scanned that should be on nothing any more: {outdated.detail}",
        units=case.tubes,
        site=case.clinic,
        sites=[tube.keeper for tube in case.tubes.values()],
        affected=[("withdrawal", case.code)],
    )
    return Refused(outdated)


def _open_check(
    session: Session, act: Act, at: datetime, case: Case, given: Circumstances, product: str, band: ActiveBand, before: Any
) -> BedsideAnswer:
    if before is not None:
        session.execute(update(check_table).where(check_table.c.id == before.id).values(superseded_at=act.at))
    check = uuid4()
    event = CheckOpened(check=str(check), specimen=product, wristband=band.code)
    opened = record_on_case(session, act, case, event, given, relies_on=(band.leaf_hash,))
    expires = at + CHECK_LIFE
    session.execute(
        insert(check_table).values(
            id=check,
            withdrawal_code=case.code,
            specimen_code=product,
            donor_code=case.donor,
            wristband_code=band.code,
            first_checker=act.actor.code,
            opened_at=at,
            opened_event=opened.leaf_hash,
            expires_at=expires,
            first_device=given.device,
            first_browser=list(act.browser),
            paper=given.paper,
        )
    )
    members = answer_members(session, act, case.moved_on([opened]), [opened])
    return BedsideAnswer(**members, check=check, status="waiting_for_second_person", expires_at=expires)


def _pass_check(
    session: Session,
    act: Act,
    at: datetime,
    case: Case,
    given: Circumstances,
    product: str,
    band: ActiveBand,
    check: Any,
    consents: tuple[bytes, ...],
) -> BedsideAnswer:
    # A second check of the same product makes the first one's release void: one permission at a time.
    end_releases(session, [product], at=act.at, because=CHECKED_AGAIN)
    release, expires = uuid4(), at + RELEASE_LIFE
    event = CheckPassed(
        check=str(check.id),
        opened=bytes(check.opened_event).hex(),
        specimen=product,
        wristband=band.code,
        first_checker=check.first_checker,
        release=str(release),
        expires_at=rfc3339(expires),
    )
    relies_on = (bytes(check.opened_event), band.leaf_hash, *consents)
    passed = record_on_case(session, act, case, event, given, relies_on=relies_on)
    session.execute(
        update(check_table)
        .where(check_table.c.id == check.id)
        .values(second_checker=act.actor.code, second_device=given.device, ended_at=at, passed=True)
    )
    session.execute(
        insert(release_table).values(
            id=release,
            check_id=check.id,
            withdrawal_code=case.code,
            specimen_code=product,
            donor_code=case.donor,
            wristband_code=band.code,
            first_checker=check.first_checker,
            second_checker=act.actor.code,
            made_at=at,
            made_event=passed.leaf_hash,
            expires_at=expires,
        )
    )
    members = answer_members(session, act, case.moved_on([passed]), [passed])
    return BedsideAnswer(**members, check=check.id, status="released", release=release, expires_at=expires)
