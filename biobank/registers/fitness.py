"""What stands against using something from the registers, and whether a site warns of it or refuses it. Pure.

The usual answer to each problem is the bank's own starting choice, no law: a site's quality changes any but those in FIXED. What
keeps living material (a freezing run) is never refused: what would be refused is then a warning.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Final, Literal

Answer = Literal["accept", "warn", "refuse"]


class Problem(StrEnum):
    """What can be wrong with a thing, or with who uses it. Names are stored; the gravest stand first."""

    RECALLED = "recalled"
    RECALLED_SINCE = "recalled_since"
    RETIRED = "retired"
    EXPIRED = "expired"
    OPEN_TOO_LONG = "open_too_long"
    UNQUALIFIED = "unqualified"
    UNCALIBRATED = "uncalibrated"
    UNAUTHORISED = "unauthorised"
    NO_BENCH_SESSION = "no_bench_session"
    CLEARED_ALONE = "cleared_alone"


USUAL: Final[Mapping[Problem, Answer]] = {
    Problem.RECALLED: "refuse",
    # It was used before anybody knew: the record must be able to say so, or a look-back would miss it.
    Problem.RECALLED_SINCE: "warn",
    Problem.RETIRED: "refuse",
    Problem.EXPIRED: "refuse",
    Problem.OPEN_TOO_LONG: "refuse",
    Problem.UNQUALIFIED: "warn",
    Problem.UNCALIBRATED: "warn",
    Problem.UNAUTHORISED: "warn",
    Problem.NO_BENCH_SESSION: "accept",
    Problem.CLEARED_ALONE: "accept",
}
FIXED: Final = frozenset({Problem.RECALLED, Problem.RECALLED_SINCE, Problem.RETIRED})
"""Every site answers these alike."""

WAYS_OF_WORKING: Final = frozenset({Problem.NO_BENCH_SESSION, Problem.CLEARED_ALONE})
"""No fault of a thing but how a site works: these alone may be accepted without a word."""

SENTENCES: Final[Mapping[Problem, str]] = {
    Problem.RECALLED: "{name} was recalled. Put it aside and take another.",
    Problem.RECALLED_SINCE: "{name} was recalled after this use. Tell quality.",
    Problem.RETIRED: "{name} is out of use. Take what replaced it.",
    Problem.EXPIRED: "{name} expired on {expires_on}. Take another lot.",
    Problem.OPEN_TOO_LONG: "{name} was opened more than {use_within_days} days before. Take a fresh one.",
    Problem.UNQUALIFIED: "{name} is not qualified for use here. Quality records that on its page.",
    Problem.UNCALIBRATED: "The calibration of {name} was due on {calibration_due_on}.",
    Problem.NO_BENCH_SESSION: "No workstation is named that is open for this person. Clear one, open it and scan its label.",
    Problem.CLEARED_ALONE: "{name} was cleared by one person alone.",
    Problem.UNAUTHORISED: "{person} is not authorised for {name} in the register.",
}
QUALIFIED_FIRST: Final = frozenset({"reagent_lot", "medium", "equipment", "shipper"})


def has_code(key: str) -> bool:
    """Say whether an entry's key is a code of ours, which stands on its label; what goes by its name has a UUID."""
    return len(key) != 36


@dataclass(frozen=True)
class Entry:
    """What the registers hold of one thing, as far as its fitness depends on it. `key` is our code, or a UUID."""

    key: str
    kind: str
    name: str
    expires_on: date | None = None
    use_within_days: int | None = None
    calibration_due_on: date | None = None
    opened_at: datetime | None = None
    qualified_at: datetime | None = None
    recalled_at: datetime | None = None
    retired_at: datetime | None = None

    @property
    def called(self) -> str:
        """How people know it."""
        return f"{self.key} ({self.name})" if has_code(self.key) else self.name


@dataclass(frozen=True)
class Finding:
    """One problem of one use: what is done about it here, and the sentence that says it."""

    entry: Entry
    problem: Problem
    answer: Answer
    sentence: str
    person: str | None = None


def problems_of(entry: Entry, used_at: datetime, now: datetime) -> list[Problem]:
    """Return what stood against an entry when it was used, the gravest first; `now`: what is known today. Days end in UTC."""
    day = used_at.date()
    opened = entry.opened_at
    found = {
        Problem.RECALLED: entry.recalled_at is not None and entry.recalled_at <= used_at,
        Problem.RECALLED_SINCE: entry.recalled_at is not None and used_at < entry.recalled_at <= now,
        Problem.RETIRED: entry.retired_at is not None and entry.retired_at <= used_at,
        Problem.EXPIRED: entry.expires_on is not None and entry.expires_on < day,
        Problem.OPEN_TOO_LONG: opened is not None
        and entry.use_within_days is not None
        and used_at > opened + timedelta(days=entry.use_within_days),
        Problem.UNQUALIFIED: entry.kind in QUALIFIED_FIRST and (entry.qualified_at is None or entry.qualified_at > used_at),
        Problem.UNCALIBRATED: entry.calibration_due_on is not None and entry.calibration_due_on < day,
    }
    return [problem for problem, is_so in found.items() if is_so]


def answer_to(problem: Problem, own: Mapping[str, str]) -> Answer:
    """Return what a site does about a problem, given its `own` answers."""
    said = own.get(problem.value)
    if problem in FIXED or said not in {"accept", "warn", "refuse"} or (said == "accept" and problem not in WAYS_OF_WORKING):
        return USUAL[problem]
    return "accept" if said == "accept" else "warn" if said == "warn" else "refuse"


def fitness(
    entries: Sequence[Entry],
    *,
    people: Collection[str],
    authorised: Collection[tuple[str, str]],
    own: Mapping[str, str],
    used_at: datetime,
    now: datetime,
    keeping: bool = False,
    unbound: bool = False,
    alone: bool = False,
) -> list[Finding]:
    """Return every problem of using `entries` at an instant; the same for the form, the preview and the act.

    `people`: the badges of those who work; `authorised`: pairs (procedure's key, badge) that are in force; `own`: the site's
    answers; `keeping`: the act keeps living material, so nothing is refused; `unbound`: no bench session is open
    for it; `alone`: one person clears a line. What a site accepts is no finding.
    """

    def finding(entry: Entry, problem: Problem, person: str | None = None) -> Finding:
        said = SENTENCES[problem].format(
            name=entry.called,
            expires_on=entry.expires_on,
            calibration_due_on=entry.calibration_due_on,
            use_within_days=entry.use_within_days,
            person=person,
        )
        answer = answer_to(problem, own)
        return Finding(entry, problem, "warn" if keeping and answer == "refuse" else answer, said, person)

    found = [finding(entry, problem) for entry in entries for problem in problems_of(entry, used_at, now)]
    found += [
        finding(entry, Problem.UNAUTHORISED, person)
        for entry in entries
        if entry.kind == "procedure"
        for person in sorted(people)
        if (entry.key, person) not in authorised
    ]
    found += [finding(entry, Problem.NO_BENCH_SESSION) for entry in entries if unbound and entry.kind == "procedure"]
    found += [finding(entry, Problem.CLEARED_ALONE) for entry in entries if alone and entry.kind == "workstation"]
    return [one for one in found if one.answer != "accept"]
