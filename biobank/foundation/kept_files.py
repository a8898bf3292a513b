"""The type of a member that names a file which the bank keeps, by its SHA-256.

On the wire it is 64 hexadecimal digits, as any hash. Forms know it by this type and take the file itself: nobody types a hash.
"""

from typing import Annotated, Final

from pydantic import BaseModel, Field
from pydantic.fields import FieldInfo

from biobank.foundation.marks import marks_of


class NamesAFile:
    """The mark of such a member."""


NAMES_A_FILE: Final = NamesAFile()
FileHash = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$"), NAMES_A_FILE]


def names_file(info: FieldInfo) -> bool:
    """Say whether a member names a kept file, or several."""
    return any(mark is NAMES_A_FILE for mark in marks_of(info))


def file_members(model: type[BaseModel], *names: str) -> list[str]:
    """Return which of `names`, or of all members of `model`, name kept files, in order."""
    known = model.model_fields
    return [name for name in names or known if name in known and names_file(known[name])]
