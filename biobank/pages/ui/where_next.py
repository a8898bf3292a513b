"""Where a page that acts leads once its act is done: to the next one like it, back to setting the bank up, or where it says."""

from collections.abc import Collection
from urllib.parse import urlencode

from biobank.pages.ui.addresses import AFTER_IT, ONE_MORE, SET_UP, coming_back
from biobank.pages.ui.posted import Form


def comes_back(form: Form) -> bool:
    """Say whether a page was opened from the steps of setting the bank up."""
    return form.get(AFTER_IT) == "set-up"


def where_next(form: Form, again: Collection[str], here: str, location: str, *, halfway: bool) -> str:
    """Return where a posted form leads. `again`: its fields that the next one has in common with it, where there may be one;
    `here`: its own address; `location`: where the act leads by itself; `halfway`: more is to be done there before it leads back.
    """
    if again and ONE_MORE in form:
        kept = urlencode([(name, value) for name, value in form.pairs if name in again and value])
        location, halfway = f"{here}?{kept}" if kept else here, True
    if not comes_back(form):
        return location
    return coming_back(location) if halfway else SET_UP
