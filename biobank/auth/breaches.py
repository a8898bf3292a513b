"""Passwords known from breaches, asked of a file that the bank keeps: no question about a password leaves it.

The file holds SHA-1 hashes in hex, one a line, sorted, whatever follows the 40 digits: as Have I Been Pwned gives them. It may be
tens of gigabytes: it is searched where it lies, with some forty short reads.
"""

import hashlib
import os
from pathlib import Path
from typing import Final

from biobank.foundation.errors import Unavailable

_DIGITS: Final = 40
_LONGEST_LINE: Final = 80


def is_breached(password: str, listed: Path) -> bool:
    """Say whether the file lists a password. Raises Unavailable when it cannot be read: then nobody chooses a new one."""
    wanted = hashlib.sha1(password.encode(), usedforsecurity=False).hexdigest().upper().encode()
    try:
        with listed.open("rb") as file:
            low, high = 0, os.fstat(file.fileno()).st_size
            # The line that begins at or after `low` is not past the wanted one; the one at or after `high` is.
            while low < high:
                middle = (low + high) // 2
                file.seek(max(0, middle - 1))
                if middle:
                    file.readline(_LONGEST_LINE)
                line = file.readline(_LONGEST_LINE)
                found = line[:_DIGITS].upper()
                if found == wanted:
                    return True
                if not line or found > wanted:
                    high = middle
                else:
                    low = middle + 1
    except OSError as error:
        raise Unavailable("The list of breached passwords cannot be read now. Tell an administrator.") from error
    return False
