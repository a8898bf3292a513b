"""One specimen for another system, from the command line."""

from biobank.acts.bank import Bank
from biobank.auth.actor import READER
from biobank.foundation.errors import NotAcceptable
from biobank.interchange.formats import OF_A_SPECIMEN
from biobank.interchange.naming import Naming


def file_of_specimen(bank: Bank, code: str, format_name: str) -> bytes:
    """Return a file of a specimen. Raises NotAcceptable for an unknown format, NotFound."""
    chosen = OF_A_SPECIMEN.get(format_name)
    if chosen is None:
        raise NotAcceptable(f"There is no format '{format_name}'. Choose one of: {', '.join(OF_A_SPECIMEN)}.")
    naming = Naming.of(bank.settings)
    return bank.database.write_now(lambda session: chosen.written(session, READER, naming, code))
