"""From what a scanner sent to a specimen: our own code, our label's address, or another issuer's identifier.

Frozen vials are not relabelled: a pre-etched tube, a legacy bank's vial or a clinic's bag keeps the identifier it came with,
and `specimen_alias` says which specimen it is. The bank is asked before a text is judged by its shape: a registered identifier
is found whatever it looks like. An address on an unknown host is never our tube, whatever code stands in it, unless it was
registered itself.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Row, bindparam, func, select
from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.custody.legality import TO_QUARANTINE, Snapshot
from biobank.custody.snapshots import load, may_know, unknown_specimen
from biobank.custody.states import TERMINAL
from biobank.foundation.codes import SPECIMENS, CheckCharacterWrong, Code, ForeignLabel, MalformedCode, resolve_payload
from biobank.foundation.config import Settings
from biobank.foundation.db import table_of
from biobank.foundation.errors import Conflict, NotFound, Refusal
from biobank.foundation.scanned_text import foreign_kind, may_stand_on_a_tube, spellings
from biobank.specimens.models import SpecimenAlias, kit_label
from biobank.specimens.scanned_labels import NO_LABELS, outdated, read_current, refusal_of
from biobank.transparency.models import event

alias = table_of(SpecimenAlias)
same_identifier = func.lower(alias.c.value)
"""How identifiers of other issuers are compared: without letter case (there is an index on it)."""
_MOST_ROWS = 5000
_came = event.alias()
_KNOWN_WHEN_BANKED = select(
    select(alias.c.value)
    .where(alias.c.specimen_code == bindparam("code"), same_identifier.in_(bindparam("spellings", expanding=True)))
    .where(
        alias.c.recorded_at
        <= select(func.coalesce(func.min(_came.c.recorded_at), alias.c.recorded_at))
        .where(_came.c.stream_kind == "specimen", _came.c.stream_id == alias.c.specimen_code)
        .where(_came.c.kind.in_(["specimen.stored", "specimen.imported"]))
        .scalar_subquery()
    )
    .exists()
)
"""Whether a tube had an identifier when it first came into its place, or was taken over from another bank with it."""
_find_aliases = select(alias.c.issuer, alias.c.specimen_code, same_identifier.label("spelling"))


class AmbiguousIdentifier(Conflict):
    """Several issuers gave this identifier, to different specimens."""

    code = "ambiguous_identifier"
    title = "More than one specimen has this identifier"


class IdentifierAddedLater(Conflict):
    """One login added it to a tube that was banked already."""

    code = "identifier_added_later"
    title = "Added after it was banked"


class LabelNotInUse(Conflict):
    """The code stands on a pre-printed label that no harvest used, or that was destroyed as unused."""

    code = "label_not_in_use"
    title = "This label belongs to no specimen"


@dataclass(frozen=True)
class Resolved:
    """What was scanned. `specimen` is None when the code names something else (a box, a donor, a kit …).

    `issuer` is None when it was our own code, else who gave the identifier.
    """

    code: str
    specimen: Snapshot | None
    issuer: str | None = None


def resolve_code(session: Session, actor: Actor, text: str, settings: Settings) -> Resolved:
    """Read a scan and find the specimen.

    Raises ForeignLabel (another bank's address), NotFound (nothing the actor may know of), AmbiguousIdentifier, LabelNotInUse,
    LabelSuperseded and LabelOfNoPrint (a label that should be on nothing), and CheckCharacterWrong when it has the shape of our
    codes and is neither one nor a known identifier.
    """
    answer = resolve_all(session, actor, [text], settings)[text]
    if isinstance(answer, Refusal):
        raise answer
    return answer


def resolve_all(
    session: Session,
    actor: Actor,
    texts: Collection[str],
    settings: Settings,
    *,
    hidden: bool = False,
    holds: bool = False,
    in_spite: bool = False,
) -> dict[str, Resolved | Refusal]:
    """Read every scan and return, by its text, what it names or why it names nothing, as `resolve_code` would raise it.

    Five statements at most, however many there are. `hidden`: also live tubes that the actor may not know of, and those with an
    outdated label, because a safe place takes them. `holds`: load the active holds too. `in_spite`: whatever is said against the
    labels.
    """
    own: dict[str, Code] = {}
    unread: dict[str, Refusal] = {}
    for text in texts:
        try:
            own[text] = resolve_payload(text, settings.host_name, settings.former_hosts)
        except Refusal as refusal:
            unread[text] = refusal
    against = NO_LABELS if hidden or in_spite else outdated(session, own.values())
    tubes = {text: code for text, code in own.items() if code.prefix in SPECIMENS}
    found = load(session, {code.text for code in tubes.values()}, holds=holds) if tubes else {}

    def visible(code: str) -> bool:
        tube = found.get(code)
        return tube is not None and (may_know(actor, tube) or (hidden and tube.state not in TERMINAL))

    others = {text for text in texts if text in unread or (text in tubes and tubes[text].text not in found)}
    rows = matching_aliases(session, others) if others else {}
    named = {row.specimen_code for several in rows.values() for row in several} - found.keys()
    found |= load(session, named, holds=holds) if named else {}
    answers: dict[str, Resolved | Refusal] = {}
    strange: dict[str, str] = {}
    for text in texts:
        if rows.get(text):
            answers[text] = _of_aliases([row for row in rows[text] if visible(row.specimen_code)], found)
        elif text in unread:
            answers[text] = _unread(text, unread[text])
        elif text not in tubes:
            answers[text] = refusal_of(own[text], against) or Resolved(own[text].text, None)
        elif visible(tubes[text].text):
            answers[text] = refusal_of(own[text], against) or Resolved(tubes[text].text, found[tubes[text].text])
        else:
            strange[text] = tubes[text].text
    return answers | _no_tubes(session, strange)


def matching_aliases(session: Session, texts: Collection[str]) -> dict[str, list[Row[Any]]]:
    """Return the registered identifiers that each text may stand for (issuer, specimen_code); texts without one are absent."""
    forms = {text: spellings(text) for text in texts}
    wanted = sorted(set().union(*forms.values()))
    if not wanted:
        return {}
    by_spelling: dict[str, list[Row[Any]]] = {}
    for row in session.execute(_find_aliases.where(same_identifier.in_(wanted)).limit(_MOST_ROWS)):
        by_spelling.setdefault(row.spelling, []).append(row)
    answer = {text: [row for form in sorted(said) for row in by_spelling.get(form, ())] for text, said in forms.items()}
    return {text: rows for text, rows in answer.items() if rows}


def codes_named(
    session: Session, actor: Actor, texts: Collection[str], settings: Settings, *, hidden: bool = False
) -> dict[str, str]:
    """Return, by its text, the code that each scan names: one of ours whatever stands behind it, or that of the one specimen
    with this identifier that the actor may know of (`hidden`: as `resolve_all`). Texts that name nothing are absent.

    For lists of what is in a place: an outdated label says all the same what stands there.
    """
    named: dict[str, str] = {}
    others: set[str] = set()
    for text in texts:
        try:
            named[text] = resolve_payload(text, settings.host_name, settings.former_hosts).text
        except Refusal:
            others.add(text)
    answers = resolve_all(session, actor, others, settings, hidden=hidden) if others else {}
    return named | {text: answer.code for text, answer in answers.items() if isinstance(answer, Resolved)}


def tube_for_use(session: Session, text: str, settings: Settings) -> str:
    """Return what `tube_named` does, of a tube that is meant for a patient. An identifier that somebody added to it after it
    was banked is no proof that the tube in the hand is this one. Raises IdentifierAddedLater too.
    """
    try:
        return read_current(session, text, settings).text
    except (MalformedCode, ForeignLabel):
        code = tube_named(session, text, settings)
    if not session.execute(_KNOWN_WHEN_BANKED, {"code": code, "spellings": sorted(spellings(text))}).scalar():
        raise IdentifierAddedLater(
            f"This identifier was added to {code} after it was banked. Scan the bank's own label; where none can be read, two "
            "people read it (the page of the pick says how).",
            subject=code,
        )
    return code


def tube_named(session: Session, text: str, settings: Settings) -> str:
    """Return the code that a scan of a tube names, a code of another kind included, whoever may know of it.

    Raises MalformedCode, CheckCharacterWrong and ForeignLabel when it is no code of ours and no identifier that the bank knows,
    AmbiguousIdentifier when several specimens have it, LabelSuperseded and LabelOfNoPrint.
    """
    try:
        return read_current(session, text, settings).text
    except (MalformedCode, ForeignLabel):
        known = matching_aliases(session, [text]).get(text, [])
        if not known:
            raise
    if len({row.specimen_code for row in known}) > 1:
        raise _several(known)
    return str(known[0].specimen_code)


def _several(known: list[Row[Any]]) -> AmbiguousIdentifier:
    return AmbiguousIdentifier(
        "Several specimens have this identifier. Say which issuer gave the one in your hand.",
        where_now=TO_QUARANTINE,
        issuers=sorted({row.issuer for row in known}),
    )


def _of_aliases(known: list[Row[Any]], found: Mapping[str, Snapshot]) -> Resolved | Refusal:
    """Return the one specimen that the actor may know of by these identifiers."""
    if not known:
        return NotFound("There is no specimen with this identifier that you may see.", where_now=TO_QUARANTINE)
    if len({row.specimen_code for row in known}) > 1:
        return _several(known)
    return Resolved(known[0].specimen_code, found[known[0].specimen_code], known[0].issuer)


def _unread(text: str, refusal: Refusal) -> Refusal:
    """Say what a text is that names nothing here."""
    if isinstance(refusal, CheckCharacterWrong) or not isinstance(refusal, MalformedCode):
        return refusal
    kind = foreign_kind(text)
    if kind is not None:
        return NotFound(kind)
    return NotFound(
        "Nothing here answers to what was scanned: it is no code of this bank and no identifier it knows. Scan the label "
        "again; if it is right, register the tube as unidentified.",
        where_now=TO_QUARANTINE if may_stand_on_a_tube(text) else None,
    )


def _no_tubes(session: Session, codes: Mapping[str, str]) -> dict[str, Refusal]:
    """Say why good codes name no tube that the actor may know of: nobody's, or a label that no harvest used."""
    if not codes:
        return {}
    unused = kit_label.c.specimen_code.in_(set(codes.values())) & kit_label.c.used_at.is_(None)
    labels = {row.specimen_code: row for row in session.execute(select(kit_label).where(unused))}
    return {text: _label_not_in_use(labels[code]) if code in labels else unknown_specimen(code) for text, code in codes.items()}


def _label_not_in_use(label: Row[Any]) -> LabelNotInUse:
    what = "was destroyed as unused" if label.voided_at is not None else "was never used in a harvest"
    return LabelNotInUse(
        f"{label.specimen_code} is a label of kit {label.kit_code} that {what}. Whatever it is on is not what it says: call "
        "quality.",
        where_now=TO_QUARANTINE,
        subject=label.specimen_code,
    )
