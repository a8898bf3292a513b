"""What a scanner sent at the bench or at the bedside, turned into our codes.

A tube frozen long ago may carry another issuer's identifier only; it resolves when exactly one specimen has it.
"""

from typing import Annotated

from pydantic import Field
from sqlalchemy import select
from sqlmodel import Session

from biobank.acts.act import Act
from biobank.foundation.codes import SPECIMENS, MalformedCode, Prefix, resolve_payload
from biobank.foundation.db import table_of
from biobank.foundation.errors import MalformedRequest
from biobank.specimens.models import SpecimenAlias

_alias = table_of(SpecimenAlias)

Scan = Annotated[
    str, Field(min_length=3, max_length=300, pattern=r"^[\x20-\x7e]+$", description="As scanned: a code, or a label's address.")
]


class AnotherKindOfCode(MalformedRequest):
    """A code of ours, of the wrong kind: a box where a tube was asked for."""

    code = "another_kind_of_code"
    title = "Another kind of code"


def read_scan(act: Act, text: str, *kinds: Prefix) -> str:
    """Return the code a scan says. Raises MalformedCode, CheckCharacterWrong, ForeignLabel, AnotherKindOfCode."""
    settings = act.bank.settings
    code = resolve_payload(text, settings.host_name, settings.former_hosts)
    if kinds and code.prefix not in kinds:
        wanted = " or ".join(f"{kind.value}-…" for kind in kinds)
        raise AnotherKindOfCode(f"{code.text} is not what is asked for here; scan {wanted}.", subject=code.text)
    return code.text


def read_tube(session: Session, act: Act, text: str) -> str:
    """Return the code of a scanned tube, by its label or by another issuer's identifier."""
    try:
        return read_scan(act, text, *sorted(SPECIMENS))
    except AnotherKindOfCode:
        raise
    except MalformedCode:
        found = (
            session.execute(select(_alias.c.specimen_code).where(_alias.c.value == text.strip()).distinct().limit(2))
            .scalars()
            .all()
        )
        if len(found) == 1:
            return str(found[0])
        raise
