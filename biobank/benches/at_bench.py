"""Whose material may be at a workstation now: the one rule that runs, labels, scans and pages ask, and what it leaves behind.

Whoever names a workstation has locked its register entry, as opening and closing a session do: what is read here stays so until
the act ends.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import uuid4

from sqlalchemy import Row, insert, or_, select
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.benches.events import BenchHandled, What
from biobank.benches.models import bench_handling, bench_session
from biobank.custody.ledger import Appended, Fact, append
from biobank.custody.recording import NOW, Circumstances, head_of
from biobank.custody.states import StreamKind
from biobank.foundation.errors import Conflict
from biobank.registers.models import register_entry
from biobank.registers.queries import row_of


class AnotherPersonsMaterial(Conflict):
    """The workstation is open for one person, and this is another's."""

    code = "another_persons_material"
    title = "Stop: another person's material"


class NotAWorkstation(Conflict):
    """What is named as a workstation is something else."""

    code = "not_a_workstation"
    title = "Not a workstation"


TAKE_IT_AWAY = "Take it away from this workstation now: back where it came from, or to the nearest quarantine place."


def stop_of(session_row: "Row[Any]", owners: Mapping[str, str | None], *, before: bool = False) -> AnotherPersonsMaterial | None:
    """Return why these may not be at the workstation of a session, or None. Pure.

    `owners`: donor by code of the tube; `before`: what is entered was done before the session was opened.
    """
    strange = sorted(code for code, donor in owners.items() if donor != session_row.donor_code)
    if not strange:
        return None
    whose = "is of nobody known" if owners[strange[0]] is None else "is of another person"
    return AnotherPersonsMaterial(
        f"STOP. {strange[0]} {whose}: {session_row.workstation} is open for {session_row.donor_code} only. {TAKE_IT_AWAY}"
        + (" What was done here before is entered when that session is closed." if before else ""),
        where_now=TAKE_IT_AWAY,
        subject=session_row.code,
        site=session_row.site_code,
        specimens=strange,
    )


def sessions_between(session: Session, workstations: Collection[str], since: datetime, until: datetime) -> "Sequence[Row[Any]]":
    """Return the sessions that were open at these workstations between two times; any other equipment has none."""
    s = bench_session.c
    then = (s.opened_at <= until, or_(s.closed_at.is_(None), s.closed_at >= since))
    return session.execute(
        select(bench_session).where(s.workstation.in_(sorted(workstations)), *then).order_by(s.workstation, s.opened_at.desc())
    ).all()


@dataclass
class AtBench:
    """What an act names of workstations and whose material it brings. `workstation`: what it says is one; `codes`: equipment.

    `at`: when it was; `entered`: when that is written down, None from a paper form, whose time the bank has asked about. A bench
    that was nobody's then is asked whose it became, so that a minute more or less takes nobody's tubes past an open session; and
    whoever says why it lies back (`late`) is asked whose the bench is now: what was done before is entered when that is over.
    """

    workstation: str | None
    codes: Collection[str]
    owners: Mapping[str, str | None]
    at: datetime
    entered: datetime | None = None
    late: bool = False
    sessions: "Sequence[Row[Any]]" = field(default=(), init=False)

    def without_session(self, session: Session) -> bool:
        """Find the sessions; say whether none is open. Raises AnotherPersonsMaterial, NotAWorkstation."""
        named = {*self.codes, *([] if self.workstation is None else [self.workstation])}
        if not named:
            return True
        open_since = sessions_between(session, named, self.at, max(self.at, self.entered or self.at))
        self.sessions = [one for one in open_since if one.opened_at <= self.at]
        had_one = {one.workstation for one in self.sessions}
        since = [one for one in open_since if one.opened_at > self.at]
        later = [one for one in since if one.workstation not in had_one and not (self.late and one.closed_at)]
        for one in [*self.sessions, *later]:
            if (stop := stop_of(one, self.owners, before=one.opened_at > self.at)) is not None:
                raise stop
        if self.workstation is not None and self.workstation not in had_one:
            require_workstation(session, self.workstation)
        return not had_one

    @property
    def bound(self) -> str | None:
        """The session that the act is bound to: of the workstation that it names as such, else of the first."""
        named = [one.code for one in self.sessions if one.workstation == self.workstation]
        return next(iter([*named, *(one.code for one in self.sessions)]), None)

    def keep(
        self,
        session: Session,
        act: Act,
        what: What,
        codes: Collection[str],
        used_in: str | None = None,
        given: Circumstances = NOW,
    ) -> list[Appended]:
        """Record that these were handled in every session that was found."""
        return [done for one in self.sessions for done in keep_handled(session, act, one, what, codes, used_in, given)]


def require_workstation(session: Session, code: str) -> None:
    """Raise NotAWorkstation for what the registers know as something else."""
    kind = session.execute(select(register_entry.c.kind).where(register_entry.c.key == code)).scalar()
    if kind is not None and kind != "workstation":
        raise NotAWorkstation(f"{code} is no workstation. Scan the label of the bench or cabinet that you work at.", subject=code)


def keep_handled(
    session: Session,
    act: Act,
    row: "Row[Any]",
    what: What,
    codes: Collection[str],
    used_in: str | None,
    given: Circumstances = NOW,
) -> list[Appended]:
    """Record that specimens were handled in a session, on its own stream."""
    several = sorted(set(codes))
    if not several:
        return []
    digest = hashlib.sha256("\n".join(several).encode()).hexdigest()
    event = BenchHandled(what=what, used_in=used_in, count=len(several), specimens=digest)
    head = head_of(session, act, given, subject=None, site=row.site_code)
    done = append(session, [Fact(StreamKind.SYSTEM, row.code, event, head, donor_code=row.donor_code)])
    common = {"session_code": row.code, "donor_code": row.donor_code, "what": what, "used_in": used_in}
    common |= {"at": head.occurred_at, "by": act.actor.code, "event_hash": done[0].leaf_hash}
    session.execute(insert(bench_handling), [common | {"id": uuid4(), "specimen_code": code} for code in several])
    return done


class NoOpenSession(Conflict):
    """Nobody cleared this workstation and opened it."""

    code = "no_open_session"
    title = "The workstation is not open"


def label_at_bench(
    session: Session, act: Act, workstation: str, owners: Mapping[str, str | None], *, handled: Collection[str]
) -> str:
    """Return the session that labels belong to which are put on at a workstation; record that tubes were handled there.

    `owners`: donor by code of what has a label. Raises NotFound, NotAWorkstation, NoOpenSession, AnotherPersonsMaterial.
    """
    row_of(session, workstation, lock=True)
    at = AtBench(workstation, (), owners, act.at)
    if at.without_session(session):
        raise NoOpenSession(
            f"{workstation} is not open. Clear it and open it for this person, then print its labels.", subject=workstation
        )
    at.keep(session, act, "labelling", handled)
    (one,) = at.sessions[:1]
    return str(one.code)
