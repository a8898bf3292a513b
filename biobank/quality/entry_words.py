"""What somebody wrote beside an entry of the log: a remark, why a time lies back, what was seen, who may speak for a donor.

The log holds a commitment; the words are in the vault. They are read by quality and by those who record where it happened, by
those who treat the donor, and by whoever wrote them. That words about a person were read is recorded on the donor's stream.
"""

import re
from collections.abc import Mapping
from typing import Any, Final

from pydantic import BaseModel
from sqlalchemy import Row, select
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.auth.actor import Actor
from biobank.auth.permissions import Permission
from biobank.auth.scope import EVERYWHERE
from biobank.custody.entry import parse_entry
from biobank.custody.recording import NOW
from biobank.donors.events import WordsRead
from biobank.donors.models import donor
from biobank.donors.recording import record_on_donor
from biobank.foundation.errors import NotFound, NotPermitted, Refusal, raise_first
from biobank.quality.kept_words import NoWords, treats
from biobank.transparency.models import event as event_table
from biobank.vault import Erased, open_document

IN_BODY: Final = {"withdrawal.outcome_recorded": "words", "donor.consent_given": "representative"}
"""Members of a body that commit to words which an entry of that kind is read with."""
_ABOUT: Final = re.compile(r"^[A-Z0-9_-]{1,40}$")


class EntryWords(BaseModel):
    """What was written beside an entry, by what it is: `reason`, `comment`, `outcome`, `representative`."""

    leaf_hash: str
    kind: str
    stream: str
    id: str
    by: str
    words: dict[str, str]


def entry_words_refusals(actor: Actor, row: "Row[Any] | None", leaf_hash: str) -> list[Refusal]:
    """Return why the actor may not read what was written beside an entry. `row`: as `find_entry` gives it. Pure."""
    if row is None:
        return [NotFound(f"There is no entry {leaf_hash[:12]}… that you may see.")]
    if reads_words(actor, row.kind, row.recorded_by, row.site_code, row.clinic):
        return []
    return [NotPermitted("What was written beside an entry is read by quality, by those who record there and by who treats.")]


def reads_words(actor: Actor, kind: str, recorded_by: str, site: str | None, clinic: str | None) -> bool:
    """Say whether the actor reads what was written beside an entry of a kind. `clinic`: of the donor whom it is about. Pure."""
    if recorded_by == actor.code:
        return True
    places = [one for one in (site, clinic) if one is not None]
    here = bool(places) and actor.may(Permission.QUALITY_DECIDE, at=places)
    everywhere = not places and actor.may(Permission.LOG_READ, at=EVERYWHERE)
    bench = site is not None and kind not in IN_BODY and actor.may(Permission.CUSTODY_RECORD, at=site)
    return here or everywhere or bench or (clinic is not None and treats(actor, clinic))


def find_entry(session: Session, leaf_hash: str) -> "Row[Any] | None":
    """Return an event by its leaf hash, with its donor's clinic."""
    e = event_table.c
    columns = (e.kind, e.stream_kind, e.stream_id, e.entry, e.recorded_by, e.site_code, e.donor_code, donor.c.clinic_site_code)
    asked = select(*columns[:-1], columns[-1].label("clinic")).outerjoin(donor, donor.c.code == e.donor_code)
    return session.execute(asked.where(e.leaf_hash == bytes.fromhex(leaf_hash))).first()


def commits_of(kind: str, comment: str | None, body: Mapping[str, Any]) -> list[str]:
    """Return the commitments to what was written beside an entry of a kind. Pure."""
    found = (comment, body.get(IN_BODY.get(kind, "")))
    return [one for one in found if one is not None]


def read_entry_words(session: Session, act: Act, leaf_hash: str) -> EntryWords:
    """Read what was written beside an entry; of a donor's, that somebody read it is recorded.

    Raises NotFound, NotPermitted, NoWords.
    """
    row = find_entry(session, leaf_hash)
    raise_first(entry_words_refusals(act.actor, row, leaf_hash))
    assert row is not None, "else it is a refusal"
    words: dict[str, str] = {}
    read: list[WordsRead] = []
    entry = parse_entry(bytes(row.entry))
    for commit in commits_of(row.kind, entry.get("comment"), entry["body"]):
        try:
            said = open_document(session, act.keystore, bytes.fromhex(commit))
        except Erased:
            continue
        words |= {name: str(text) for name, text in said.items()}
        about = row.stream_id if _ABOUT.match(row.stream_id) else str(row.donor_code)
        what = "representative" if "representative" in said else "remark"
        read.append(WordsRead(what=what, about=about, words=commit))
    if not words:
        raise NoWords("Nothing was written beside this entry, or it was forgotten with its donor.")
    if row.donor_code is not None:
        record_on_donor(session, act, row.donor_code, read, NOW, site=row.clinic)
    return EntryWords(
        leaf_hash=leaf_hash, kind=row.kind, stream=row.stream_kind, id=row.stream_id, by=row.recorded_by, words=words
    )
