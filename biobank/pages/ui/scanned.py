"""Codes that were scanned into a form: a bare code, or the address on its label."""

from biobank.foundation.codes import Prefix, resolve_payload
from biobank.foundation.config import Settings
from biobank.foundation.errors import Refusal
from biobank.pages.ui.forms import FormFault
from biobank.pages.ui.session import Form


def scanned_code(form: Form, name: str, settings: Settings, *prefixes: Prefix) -> str:
    """Return the code in a field; raise FormFault when it is missing, misread, another bank's, or of another kind."""
    if name not in form:
        raise FormFault({name: f"Scan a code that begins with {_listed(prefixes)}."})
    return code_of(form[name], name, settings, *prefixes)


def scanned_codes(form: Form, name: str, settings: Settings, *prefixes: Prefix) -> list[str]:
    """Return every code in a field that takes several."""
    return [code_of(text, name, settings, *prefixes) for text in form.all_of(name)]


def code_of(text: str, name: str, settings: Settings, *prefixes: Prefix) -> str:
    """Return the code that `text` names; raise FormFault about the field `name`."""
    try:
        code = resolve_payload(text, settings.host_name, settings.former_hosts)
    except Refusal as error:
        raise FormFault({name: error.detail}) from None
    if code.prefix not in prefixes:
        raise FormFault({name: f"{code.text} is another kind of code. Scan one that begins with {_listed(prefixes)}."})
    return code.text


def _listed(prefixes: tuple[Prefix, ...]) -> str:
    return " or ".join(prefix.value for prefix in prefixes)
