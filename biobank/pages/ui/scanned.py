"""Codes that were scanned into a form: a bare code, the address on its label, or a tube's identifier of another issuer."""

import re
from collections.abc import Collection, Iterator

from sqlmodel import Session

from biobank.auth.actor import Actor
from biobank.foundation.codes import Prefix, is_ours, resolve_payload
from biobank.foundation.config import Settings
from biobank.foundation.errors import Refusal
from biobank.foundation.scanned_text import scans_on
from biobank.pages.ui.forms import Field, FormFault
from biobank.pages.ui.posted import Form
from biobank.scanning.racks import read_scans
from biobank.specimens.resolving import codes_named, resolve_all
from biobank.specimens.scanned_labels import PrintedLabels, labels_in, outdated

A_PERSON = "Scan the badge, or type the name and choose the colleague from the list."


def scanned_code(form: Form, name: str, settings: Settings, *prefixes: Prefix) -> str:
    """Return the code in a field; raise FormFault when it is missing, misread, another bank's, or of another kind."""
    if name not in form:
        raise FormFault({name: A_PERSON if prefixes == (Prefix.BADGE,) else f"Scan a code that begins with {_listed(prefixes)}."})
    return code_of(form[name], name, settings, *prefixes)


def scanned_codes(form: Form, name: str, settings: Settings, *prefixes: Prefix) -> list[str]:
    """Return every code in a field that takes several."""
    return [code_of(text, name, settings, *prefixes) for text in form.all_of(name)]


def code_of(text: str, name: str, settings: Settings, *prefixes: Prefix) -> str:
    """Return the code that `text` names; raise FormFault about the field `name`."""
    try:
        code = resolve_payload(text, settings.host_name, settings.former_hosts)
    except Refusal as error:
        raise FormFault({name: A_PERSON if prefixes == (Prefix.BADGE,) else error.detail}) from None
    if code.prefix not in prefixes:
        raise FormFault({name: f"{code.text} is another kind of code. Scan one that begins with {_listed(prefixes)}."})
    return code.text


NOTHING = "nothing_in_it"


def nothing_in(form: Form) -> Field:
    """Return the box to tick by whoever looked and found no tube: a list left empty does not say so."""
    return Field(NOTHING, "There is no tube in it", "checkbox", NOTHING in form, hint="Only when you looked, and it is empty.")


def found_in(form: Form, name: str, other: Collection[str] = ()) -> list[str]:
    """Return what was scanned of what is inside, empty where it was said that nothing is; `other`: scanned elsewhere in the form.

    Raises FormFault when nothing was scanned and nothing said, or both.
    """
    scanned, nothing = form.lines_of(name), NOTHING in form
    if nothing and (scanned or other):
        raise FormFault({NOTHING: "Something was scanned. Take this tick away, or empty the list."})
    if not (nothing or scanned or other):
        raise FormFault({name: "Scan every tube that is in it; when there is none, tick that below."})
    return scanned


def outdated_labels(session: Session, _actor: Actor, form: Form, settings: Settings) -> PrintedLabels:
    """Return what stands against the labels that were scanned into a form's fields, by what each says.

    A label is a whole line, or a part of a line of nothing but labels: what stands in somebody's sentence was not scanned.
    """

    def ours(text: str) -> bool:
        return is_ours(text, settings.host_name, settings.former_hosts)

    scans = {scan for _, value in form.pairs for line in value.splitlines() for scan in scans_on(line, ours)}
    return outdated(session, labels_in(scans, settings).values())


def with_plain_codes(form: Form, settings: Settings) -> Form:
    """Return the form with the code alone where the text of a label was scanned that says which print it is. Pure.

    For after `outdated_labels`: whoever takes a code is asked nothing about labels.
    """

    def ours(text: str) -> bool:
        return is_ours(text, settings.host_name, settings.former_hosts)

    def plain(line: str) -> str:
        scans = scans_on(line, ours)
        labels = labels_in(scans, settings)
        return "\n".join(labels[scan].text if scan in labels else scan for scan in scans) if labels else line

    def value_of(value: str) -> str:
        lines = value.splitlines()
        said = [plain(line) for line in lines]
        return value if said == lines else "\n".join(said)

    return Form([(name, value_of(value)) for name, value in form.pairs], form)


ENTRY_WITHOUT_CODE = re.compile("[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
"""An entry of the registers that carries no label, as links name it: no identifier of a tube."""


def with_codes(
    session: Session, actor: Actor, form: Form, fields: Collection[str], settings: Settings, *, in_spite: bool = False
) -> Form:
    """Return the form with codes in its fields of tubes, those of rows included, where other issuers' identifiers stood.

    The bank is asked as for any other scan; `in_spite` of what stands against the labels. Raises FormFault for a text that is no
    code of ours and that the bank does not know.
    """
    typed = [(name, value) for name, value in form.pairs if name.partition("-")[0] in fields]
    asked = {part for _, value in typed for part in _parts(value)}
    answers = resolve_all(session, actor, asked, settings, in_spite=in_spite) if asked else {}
    wrong: dict[str, str] = {}

    def named(text: str) -> bool:
        ours = is_ours(text, settings.host_name, settings.former_hosts)
        return not isinstance(answers[text], Refusal) or ours or ENTRY_WITHOUT_CODE.fullmatch(text) is not None

    def code_of_scan(name: str, text: str) -> str:
        answer = answers[text]
        if not isinstance(answer, Refusal):
            return answer.code
        if not named(text):
            parts = [part for part in _parts(text) if part != text]
            against = [one for part in parts if not named(part) and isinstance(one := answers[part], Refusal)]
            said = against[0] if against and any(map(named, parts)) else answer
            wrong.setdefault(name, said.detail)
        return text

    pairs = []
    for name, value in form.pairs:
        if name.partition("-")[0] in fields:
            scans = [scan for line in value.splitlines() for scan in scans_on(line, named)]
            value = "\n".join(code_of_scan(name, scan) for scan in scans)
        pairs.append((name, value))
    if wrong:
        raise FormFault(wrong)
    return Form(pairs, form)


def with_scans(session: Session, actor: Actor, form: Form, fields: Collection[str], settings: Settings) -> Form:
    """Return the form with one scan a line in its lists of scans, whatever was typed or pasted there: the codes of a line of
    several, the tubes of a rack scanner's file, else the line as it is. Nothing is refused: unknown tubes are listed too.
    """

    def listed(value: str) -> str:
        asked = {part for line in value.splitlines() for part in _parts(line)}
        named = codes_named(session, actor, asked, settings)
        scans: list[str] = []
        left: list[str] = []
        for line in filter(None, map(str.strip, value.splitlines())):
            parts = scans_on(line, named.__contains__)
            (scans if all(part in named for part in parts) else left).extend(parts)
        return "\n".join([*scans, *read_scans(session, "\n".join(left))])

    return Form([(name, listed(value) if name in fields else value) for name, value in form.pairs], form)


def _parts(value: str) -> Iterator[str]:
    """An identifier may hold blanks: a line is asked about as a whole and in its parts."""
    for line in value.splitlines():
        yield from filter(None, dict.fromkeys([line.strip(), *line.replace(",", " ").replace(";", " ").split()]))


def _listed(prefixes: tuple[Prefix, ...]) -> str:
    return " or ".join(prefix.value for prefix in prefixes)
