"""What a page is sent: the fields of a form, and of an address what fills one in beforehand.

A field that is posted and that nobody reads would be dropped in silence: of a misspelt `occurred_at` the act would be of now. So
a `Form` knows which of its fields were asked for, and `require_read` refuses every other, as the API refuses a member that it
does not know (`acts/strict.py`). It is asked in one place, before any use case of a page runs (`PagePerformer`). A field is known
when the page asked for it by name, whatever it says; what is sent blank says nothing. A field of which one value was asked for
is sent once.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, TypeVar, overload
from uuid import UUID

from fastapi import Request
from starlette.datastructures import UploadFile

from biobank.acts.strict import NAMED, DuplicateMember
from biobank.foundation.codes import is_label
from biobank.foundation.errors import MalformedRequest
from biobank.foundation.scanned_text import scans_on
from biobank.foundation.terms import words
from biobank.pages.ui.addresses import AFTER_IT, ONE_MORE

T = TypeVar("T")

SECOND: Final = "password_code"
"""The field of the second factor's code. Like every name with `password` in it, it is no part of what is signed."""
OF_EVERY_FORM: Final = frozenset({"csrf_token", "idempotency_key", "password", SECOND, "meaning", "add", AFTER_IT, ONE_MORE})
"""Fields that any form may have: its token, its key, the signature's, the button for more rows, and where it leads next."""
LONGEST_FORM = 256 * 1024
"""Bytes of a posted form. The longest is a full list of scanned tubes; no page has more to say."""
LONGEST_IN_ADDRESS = 1400
MOST_IN_ADDRESS = 500
_HASH_OR_ID = re.compile(r"[0-9a-f]{64}|[0-9a-f-]{36}")


class UnknownField(MalformedRequest):
    """The form has a field that its page does not have: what it says would have been dropped."""

    code: ClassVar[str] = "unknown_field"
    title: ClassVar[str] = "Unknown field"


def _is_ours(text: str) -> bool:
    """Say whether a text is a code, a label's address, or the hash or id of something of ours: none of them holds a blank."""
    return is_label(text.rpartition("/")[2]) or _HASH_OR_ID.fullmatch(text) is not None


@dataclass
class _Asked:
    """The names that were asked for: for one value, and for every value."""

    one: set[str] = field(default_factory=set)
    every: set[str] = field(default_factory=set)


class Form(dict[str, str]):
    """A posted form by field name: the last value of each; `all_of` gives every value. Blank fields are left out.

    `of` is the form that this one is made of, whose record of what was asked for it shares; `end` follows the names there.
    """

    def __init__(self, pairs: list[tuple[str, str]], of: "Form | None" = None, end: str = "") -> None:
        self.pairs = [(name, value if "password" in name else value.strip()) for name, value in pairs]
        self._asked: _Asked = _Asked() if of is None else of._asked
        self._end: str = end if of is None else end + of._end
        super().__init__({name: value for name, value in self.pairs if value})

    @overload
    def get(self, name: str, default: None = None, /) -> str | None: ...

    @overload
    def get(self, name: str, default: str, /) -> str: ...

    @overload
    def get(self, name: str, default: T, /) -> str | T: ...

    def get(self, name: str, default: Any = None, /) -> Any:
        """Return the value of a field."""
        self._asked.one.add(name + self._end)
        return super().get(name, default)

    def __getitem__(self, name: str) -> str:
        self._asked.one.add(name + self._end)
        return super().__getitem__(name)

    def __contains__(self, name: object) -> bool:
        self._asked.one.add(f"{name}{self._end}")
        return super().__contains__(name)

    def all_of(self, name: str) -> list[str]:
        """Return every value of a field, and of a text each line, or each code of a line of nothing but codes (`scans_on`)."""
        return [scan for line in self.lines_of(name) for scan in scans_on(line, _is_ours)]

    def lines_of(self, name: str) -> list[str]:
        """Return every line of a field."""
        return [line.strip() for value in self.values_of(name) for line in value.splitlines() if line.strip()]

    def values_of(self, name: str) -> list[str]:
        """Return every value of a field as it was sent."""
        self._asked.every.add(name + self._end)
        return [value for key, value in self.pairs if key == name and value]

    def names_after(self, start: str) -> list[str]:
        """Return what stands behind `start` in the names that begin with it, of the fields that say something."""
        found = [name for name in self if name.startswith(start)]
        self._asked.one.update(name + self._end for name in found)
        return [name.removeprefix(start) for name in found]

    def know(self, *names: str) -> None:
        """Say that these fields belong to the form though what is done with it now needs none of them."""
        self._asked.one.update(name + self._end for name in names)

    def asked_with(self, end: str) -> set[str]:
        """Return the names, without `end`, of the fields that were asked for and end so."""
        return {name.removesuffix(end) for name in self._asked.one | self._asked.every if name.endswith(end)}

    def require_read(self) -> None:
        """Raise UnknownField or DuplicateMember for what the page was sent and did not ask for."""
        self._require(OF_EVERY_FORM | self._asked.one, self._asked.every)

    def require_once(self) -> None:
        """Raise DuplicateMember for a field of which one value was asked for and several were sent."""
        self._require({name for name, _ in self.pairs}, self._asked.every | ({name for name, _ in self.pairs} - self._asked.one))

    def require_fields(self, *names: str) -> None:
        """Do the same for a form of these fields; a `*` behind a name says that it may be sent more than once."""
        every = {name.removesuffix("*") for name in names if name.endswith("*")}
        self._require(OF_EVERY_FORM | set(names), every)

    def _require(self, one: Collection[str], every: Collection[str]) -> None:
        said = [name + self._end for name, value in self.pairs if value]
        for name in said:
            called, spoken = name[:NAMED], words(name[:NAMED]).lower()
            if name not in one and name not in every:
                raise UnknownField(
                    f"This form has no field '{spoken}'. Nothing was recorded. Load the page again and fill it in there.",
                    field=called,
                )
            if name not in every and said.count(name) > 1:
                raise DuplicateMember(f"The field '{spoken}' is sent twice. Nothing was recorded. Send it once.", member=called)


def typed_in_address(request: Request, names: Collection[str]) -> Form:
    """Return what the address fills into a form beforehand; raise MalformedRequest for what no link of ours says."""
    pairs = [(name, value) for name, value in request.query_params.multi_items() if name in names]
    if any(len(value) > LONGEST_IN_ADDRESS or not value.isprintable() for _, value in pairs) or len(pairs) > MOST_IN_ADDRESS:
        raise MalformedRequest("This address is not one of ours. Open the form from the page that leads to it.")
    return Form(pairs)


async def read_form(request: Request) -> Form:
    """Read a posted form of plain fields; raise MalformedRequest for files, oversized forms and characters no text has."""
    if len(await request.body()) > LONGEST_FORM:
        raise MalformedRequest("This form is larger than any page of ours sends.")
    pairs = [(k, v) for k, v in (await request.form()).multi_items() if not isinstance(v, UploadFile)]
    if any("\x00" in part for pair in pairs for part in pair):
        raise MalformedRequest("The form holds a character that cannot be kept. Type it again.")
    return Form(pairs)


def chosen_id(text: str) -> UUID:
    """Return the id of what was chosen from a list; raise MalformedRequest."""
    try:
        return UUID(text)
    except ValueError:
        raise MalformedRequest("Load this page again and choose from the list.") from None
