"""The record put right, as forms: a change of state undone, a field of an entry corrected, another issuer's identifier added."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter
from pydantic import TypeAdapter, ValidationError
from pydantic.fields import FieldInfo
from sqlmodel import Session

from biobank.acts.signing import Meaning
from biobank.auth.actor import Actor
from biobank.custody.event import Event, rules
from biobank.custody.legality import Snapshot
from biobank.custody.reversal import AmendRequest, ReverseRequest, Undoing, amend, entry_to_correct, latest_change, reverse
from biobank.custody.snapshots import get_visible
from biobank.custody.states import TERMINAL
from biobank.foundation.errors import MalformedRequest
from biobank.foundation.terms import words
from biobank.pages.quality.attachments import about
from biobank.pages.shipping.shipments import asked_again
from biobank.pages.specimens.about import about_specimen
from biobank.pages.ui.act_pages import ActForm, Acting, ActPage, Asked, Done, Opened, proposed
from biobank.pages.ui.forms import FormFault, Measure, as_typed, called, fields_of, measure_of, typed
from biobank.specimens.aliases import add_alias
from biobank.specimens.schemas import AddAlias

router = APIRouter(include_in_schema=False)


@dataclass(frozen=True)
class ToUndo:
    """The specimen, and what undoing its latest change restores; None once the form was sent: the use case judges that."""

    specimen: Snapshot
    undoing: Undoing | None

    @property
    def ended(self) -> bool:
        """Whether its record has ended, so that two people of quality sign."""
        return self.specimen.state in TERMINAL


def _to_undo(session: Session, actor: Actor, asked: Asked) -> ToUndo:
    if asked.sent:
        return ToUndo(get_visible(session, actor, asked.code), None)
    return ToUndo(*latest_change(session, actor, asked.code))


def _draw_undo(at: Opened[ToUndo]) -> ActForm:
    one, undoing = at.read, at.read.undoing
    lead = "What was recorded stays in the record; beside it stands that it was undone, by whom and why."
    if undoing is not None:
        before = undoing.restores.get("state")
        then = "as it was before" if before is None else words(before).lower()
        lead = f"The latest change is: {words(undoing.kind).lower()}. Undone, it is {then} again. {lead}"
    seq = at.form.get("expected_seq") or str(one.specimen.seq)
    reverses = at.form.get("reverses") or ("" if undoing is None else undoing.leaf_hash.hex())
    return ActForm(
        title="Undo the end of a specimen" if one.ended else "Undo the latest change",
        submit="Sign and propose" if one.ended else "Undo it",
        icon="pen" if one.ended else "undo",
        grave=True,
        lead=lead,
        fields=fields_of(
            ReverseRequest,
            *(("reason", "evidence_sha256") if one.ended else ("reason",)),
            values=at.form,
            labels=UNDO,
            needed=("evidence_sha256",),
        ),
        hidden={"expected_seq": seq, "reverses": reverses},
        statement=f"You propose that the recorded end of {at.code} is undone." if one.ended else None,
        said="The evidence shows that it did not end.",
        attach=about(at.actor, [one.specimen]),
    )


UNDO = {"reason": "Why", "evidence_sha256": "What shows that it never happened"}


def _undone(at: Opened[ToUndo], _body: ReverseRequest, answer: Mapping[str, Any]) -> Done:
    if answer["status"] == "pending":
        return proposed(f"/specimens/{at.code}")
    return Done(f"/specimens/{at.code}", "Undone.", "Look where it is now, and put it there.", "care")


ActPage(
    address="/specimens/{code}/undo",
    reads=_to_undo,
    form=_draw_undo,
    labels=UNDO,
    model=ReverseRequest,
    names=("reason", "evidence_sha256"),
    given=lambda at: {"reverses": at.form.get("reverses", "")},
    meaning=lambda at, _body: Meaning.REVERSED if at.read.ended else None,
    use_case=reverse,
    after=_undone,
).on(router)


@dataclass(frozen=True)
class ToCorrect:
    """The specimen, the entry of its record that is to be corrected, and its class."""

    specimen: Snapshot
    entry: Mapping[str, Any]
    cls: type[Event]

    @property
    def names(self) -> list[str]:
        """What of it may be corrected."""
        return [name for name in self.cls.model_fields if name in self.cls.amendable]

    def measure(self, name: str) -> Measure | None:
        """How a number of it is typed, where that is not as it is kept."""
        return measure_of(name) if isinstance(self.entry["body"].get(name), int) else None

    @property
    def filled(self) -> dict[str, Any]:
        """Its fields as people type them."""
        of = {name: self.entry["body"].get(name) for name in self.names}
        return {name: value if (unit := self.measure(name)) is None else as_typed(value, unit) for name, value in of.items()}


def _to_correct(session: Session, actor: Actor, asked: Asked) -> ToCorrect:
    leaf_hash = asked.form.get("corrects", "")
    if len(leaf_hash) != 64 or not set(leaf_hash) <= set("0123456789abcdef"):
        raise MalformedRequest("Choose the entry to correct on the page of the specimen.")
    specimen, entry = entry_to_correct(session, actor, asked.code, leaf_hash)
    return ToCorrect(specimen, entry, rules.by_kind[entry["kind"]])


def _draw_correct(at: Opened[ToCorrect]) -> ActForm:
    one = at.read
    return ActForm(
        title="Correct an entry",
        submit="Correct it",
        icon="pen",
        lead=f"{words(one.cls.label)}. Change one field; the entry stays as it is, and the correction stands beside it.",
        fields=[
            *fields_of(one.cls, *one.names, values=at.form if at.sent else one.filled),
            *fields_of(AmendRequest, "reason", values=at.form if at.sent else None, labels={"reason": "Why"}),
            *asked_again(at.refusal),
        ],
        hidden={"corrects": at.form["corrects"], "expected_seq": str(one.specimen.seq)},
        attach=about(at.actor, [one.specimen]),
    )


def _kind_of(info: FieldInfo) -> TypeAdapter[Any]:
    annotation: Any = info.annotation
    return TypeAdapter(annotation)


def _changed(at: Acting[ToCorrect]) -> dict[str, Any]:
    """Return the one field that says something else now, with what it says."""
    one, found = at.read, {}
    for name in one.names:
        info = one.cls.model_fields[name]
        try:
            value = _kind_of(info).validate_python(typed(info, name, at.form, at.zone))
        except ValidationError:
            raise FormFault({name: f"{called(name, {})}: this cannot be read; look at it again."}) from None
        except ValueError as error:
            raise FormFault({name: f"{called(name, {})}: {error}"}) from None
        if value != one.entry["body"].get(name):
            found[name] = value
    if len(found) != 1:
        raise FormFault({"": "Nothing was changed." if not found else "Correct one field at a time."})
    ((name, value),) = found.items()
    return {"field": name, "value": value, "corrects": at.form["corrects"]}


ActPage(
    address="/specimens/{code}/correct",
    asks=("corrects",),
    reads=_to_correct,
    form=_draw_correct,
    model=AmendRequest,
    names=("reason", "confirmed"),
    given=_changed,
    use_case=amend,
    after=lambda at, body, _answer: Done(f"/specimens/{at.code}", "Corrected.", f"{called(body.field, {})} stands right now."),
).on(router)

ActPage(
    address="/specimens/{code}/alias",
    reads=about_specimen,
    form=lambda at: ActForm(
        title="Add another identifier",
        submit="Add it",
        lead="What another issuer calls this tube. From now on a scan of that finds it.",
        hidden={"expected_seq": str(at.read.custody.seq)},
    ),
    labels={"issuer": "Who gave it, such as clinic east", "value": "Identifier, as it stands on the tube"},
    model=AddAlias,
    names=("issuer", "value"),
    use_case=add_alias,
    after=lambda at, _body, _answer: Done(f"/specimens/{at.code}", "Added.", "A scan of it finds this tube."),
).on(router)
