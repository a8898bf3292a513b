"""Everything as FHIR to a file, from the command line: whoever holds the database's login is the bank itself."""

import sys
from collections.abc import Sequence
from pathlib import Path

from sqlmodel import Session

from biobank.acts.act import Act
from biobank.acts.bank import Bank
from biobank.auth.actor import READER
from biobank.exports.selection import Selection
from biobank.exports.service import Written, finish_export, start_copy_as_bank
from biobank.foundation.errors import NotAcceptable
from biobank.interchange.fhir.bulk import lines_of
from biobank.interchange.fhir.resources import TYPES
from biobank.interchange.fhir.saying import Release, Saying
from biobank.interchange.fhir.service import sources_of
from biobank.interchange.naming import Naming


def fhir_to_file(bank: Bank, output: Path, release: str, kinds: Sequence[str]) -> Written:
    """Write resources to `output` (`-` is standard output), one a line, and record start and end of the copy.

    Raises NotAcceptable for an unknown release, NoSuchResourceType.
    """
    if release not in {one.value for one in Release}:
        raise NotAcceptable(f"There is no release {release} here. Choose {' or '.join(Release)}.")
    for kind in kinds:
        sources_of(kind)
    say = Saying(Release(release), Naming.of(bank.settings))
    act = Act.system(bank, path="cli/fhir")
    copy = bank.database.write_now(lambda s: start_copy_as_bank(s, act, f"fhir{release.lower()}", Selection()))
    written = Written()

    def write(session: Session) -> None:
        with sys.stdout.buffer if str(output) == "-" else output.open("wb") as target:
            for kind in TYPES:
                for line in lines_of(session, READER, say, kind) if not kinds or kind in kinds else ():
                    target.write(line)
                    written.add(line)
                    written.rows += 1
        written.complete = True

    try:
        bank.database.write_now(write)
    finally:
        bank.database.write_now(lambda s: finish_export(s, Act.system(bank, path="cli/fhir"), copy, written))
    return written
