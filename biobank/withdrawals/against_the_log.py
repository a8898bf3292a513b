"""Withdrawals compared with the log: where each stands, who approved it, what it is of, who picked, checked and gave what."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import select
from sqlmodel import Session

from biobank.custody.entry import parse_entry
from biobank.custody.event import rules
from biobank.reconciliation.comparing import Slice, codes_of, slice_of
from biobank.reconciliation.moved import Moves
from biobank.reconciliation.tables import repeated
from biobank.reconciliation.walk import is_compared
from biobank.reconciliation.written import Said, Written, is_written, plain_row
from biobank.transparency.models import event
from biobank.withdrawals.case import administration
from biobank.withdrawals.case import pick_table as _pick
from biobank.withdrawals.events import WithdrawalEvent
from biobank.withdrawals.models import bedside_release, withdrawal, withdrawal_item
from biobank.withdrawals.releases import check_table as _check

_MEMBERS: Final = {
    **{"donor_code": "donor", "recipient_code": "recipient", "clinic_site_code": "clinic_site", "material": "material"},
    **{"route": "route", "amount_asked": "amount", "needed_at": "needed_at", "indication_commit": "indication"},
}
"""Columns of a withdrawal that stand as it was asked for, and the member that says each."""
_APPROVED: Final = ("withdrawal.approved", "withdrawal.approval_renewed")
_APPROVAL: Final = ("approved_by", "approval_signature", "approval_event")

_OF_A_TUBE = {"withdrawal_code": "id", "specimen_code": "body.specimen"}
is_written(
    Written(
        _pick,
        (
            Said(
                "picked_event",
                ("withdrawal.picked",),
                {**_OF_A_TUBE, "container_code": "body.container", "position_code": "body.position", "picked_by": "by"},
            ),
        ),
        by_key=("withdrawal_code", "specimen_code"),
    ),
    Written(
        _check,
        (
            Said(
                "opened_event",
                ("withdrawal.bedside_check_opened",),
                {**_OF_A_TUBE, "id": "body.check", "wristband_code": "body.wristband", "first_checker": "by"},
            ),
        ),
    ),
    Written(
        bedside_release,
        (
            Said(
                "made_event",
                ("withdrawal.bedside_check_passed",),
                {
                    **_OF_A_TUBE,
                    **{"id": "body.release", "check_id": "body.check", "wristband_code": "body.wristband"},
                    **{"first_checker": "body.first_checker", "second_checker": "by", "expires_at": "body.expires_at"},
                },
            ),
        ),
    ),
    Written(
        administration,
        (
            Said(
                "event_hash",
                ("specimen.administered",),
                {
                    **{"release_id": "body.release", "specimen_code": "id", "withdrawal_code": "body.withdrawal", "by": "by"},
                    **{"donor_code": "body.recipient"},
                    **repeated("given", "residue", "loss", "volume_ul", "residue_went", "came_after", "started_at"),
                },
            ),
        ),
    ),
)


@is_compared("withdrawals")
def compare_withdrawals(session: Session, after: str, limit: int) -> Slice:
    """Compare the next withdrawals with their streams."""
    of = withdrawal.c

    def rows(session: Session, codes: Sequence[str]) -> dict[str, dict[str, Any]]:
        columns = ("code", "state", "requested_by", "approvers", *_APPROVAL, *_MEMBERS)
        found = session.execute(select(*(of[name] for name in columns)).where(of.code.in_(codes)))
        made = {row.code: plain_row(row._mapping) for row in found}
        parts = _parts(session, codes)
        return {code: row | {name: sorted(part[code]) for name, part in parts.items()} for code, row in made.items()}

    def logged(session: Session, stored: Mapping[str, Mapping[str, Any]]) -> tuple[dict[str, dict[str, Any]], int]:
        entries = _entries(session, sorted(stored))
        moves = Moves.read(session)
        made = {code: withdrawal_after(entries[code]) for code in stored}
        for code, one in made.items():
            for name in ("donor_code", "recipient_code"):
                one[name] = moves.led(one[name], stored[code][name])
        return made, sum(map(len, entries.values()))

    keys = select(of.code).where(of.code > after).order_by(of.code).limit(limit)
    return slice_of(session, codes_of(session, keys), rows, logged, site="clinic_site_code")


def _parts(session: Session, codes: Sequence[str]) -> dict[str, Mapping[str, list[str]]]:
    """Return by name and withdrawal: its tubes, who confirmed which pick, who passed which check, which releases were used."""
    item, release = withdrawal_item.c, bedside_release.c
    return {
        "tubes": _listed(session, select(item.withdrawal_code, item.specimen_code), item.withdrawal_code, codes),
        "picks": _listed(
            session,
            select(_pick.c.withdrawal_code, _pick.c.specimen_code, _pick.c.confirmed_by).where(_pick.c.confirmed_by.is_not(None)),
            _pick.c.withdrawal_code,
            codes,
        ),
        "checks": _listed(
            session,
            select(_check.c.withdrawal_code, _check.c.id, _check.c.second_checker).where(_check.c.passed),
            _check.c.withdrawal_code,
            codes,
        ),
        "used": _listed(
            session,
            select(release.withdrawal_code, release.id).where(release.consumed_at.is_not(None)),
            release.withdrawal_code,
            codes,
        ),
    }


def _listed(session: Session, statement: Any, key: Any, codes: Sequence[str]) -> Mapping[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for code, *told in session.execute(statement.where(key.in_(codes))):
        found[code].append(_worded(told))
    return found


def _worded(told: Iterable[Any]) -> str:
    return " by ".join(map(str, told))


def _entries(session: Session, codes: Sequence[str]) -> Mapping[str, list[dict[str, Any]]]:
    """Return the parsed entries of each stream in their order, each with its leaf hash, hex, as `leaf`."""
    of = event.c
    read = select(of.stream_id, of.leaf_hash, of.entry).where(of.stream_kind == "withdrawal", of.stream_id.in_(codes))
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in session.execute(read.order_by(of.stream_id, of.seq)):
        found[row.stream_id].append(parse_entry(bytes(row.entry)) | {"leaf": bytes(row.leaf_hash).hex()})
    return found


def withdrawal_after(entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return what a withdrawal and its parts are after the entries of its stream, each with its leaf hash as `leaf`."""
    after: dict[str, Any] = dict.fromkeys((*_MEMBERS, *_APPROVAL, "state", "requested_by"))
    approvers: set[str] = set()
    picks: dict[str, str] = {}
    parts: dict[str, list[str]] = {"tubes": [], "checks": [], "used": []}
    for entry in entries:
        kind, body, by = entry["kind"], entry["body"], entry["by"]
        led = rules.by_kind[kind]
        state = body.get("state") or (led.leads_to if issubclass(led, WithdrawalEvent) else None)
        after["state"] = after["state"] if state is None else str(state)
        if kind == "withdrawal.requested":
            after |= {column: body[member] for column, member in _MEMBERS.items()} | {"requested_by": by}
            parts["tubes"] = list(body["specimens"])
        elif kind in _APPROVED:
            after |= {"approved_by": by, "approval_signature": body["signature"], "approval_event": entry["leaf"]}
            approvers.add(by)
        elif kind == "withdrawal.remainder_accepted":
            approvers.add(body["first_by"])
        elif kind == "withdrawal.picked":
            picks.pop(body["specimen"], None)
        elif kind == "withdrawal.pick_confirmed":
            picks[body["specimen"]] = _worded([body["specimen"], by])
        elif kind == "withdrawal.bedside_check_passed":
            parts["checks"].append(_worded([body["check"], by]))
        elif kind == "withdrawal.administered":
            parts["used"].append(_worded([body["release"]]))
    lists = parts | {"picks": list(picks.values())}
    return after | {"approvers": sorted(approvers)} | {name: sorted(told) for name, told in lists.items()}
