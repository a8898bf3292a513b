"""The forms of a page, as a browser would send them."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser

OF_THE_FRAME = ("/find", "/find/now", "/donors/search", "/logout", "/locked")
"""Where the forms lead that every page has around it."""
TYPED = ("text", "date", "datetime-local", "number", "email", "tel", "url", "search", "")


@dataclass
class Control:
    """One input. `kind`: hidden · typed · secret · select · box · file; `options` are what can be chosen."""

    name: str
    kind: str
    value: str = ""
    options: list[str] = field(default_factory=list)


@dataclass
class PostedForm:
    """A form that is posted: where to, and its inputs."""

    action: str
    multipart: bool = False
    controls: list[Control] = field(default_factory=list)

    def of(self, *kinds: str) -> Iterator[Control]:
        """Yield the inputs of these kinds."""
        return (one for one in self.controls if one.kind in kinds)

    @property
    def hidden(self) -> dict[str, str]:
        """What the form brings along."""
        return {one.name: one.value for one in self.of("hidden")}

    @property
    def asks(self) -> frozenset[str]:
        """The names of what a person fills in; a row of many counts once."""
        return frozenset(re.sub(r"\d+", "0", one.name) for one in self.controls if one.kind != "hidden")


class _Forms(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[PostedForm] = []
        self._form: PostedForm | None = None
        self._text: Control | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Begin a form, or an input of it."""
        said = {name: value or "" for name, value in attrs}
        if tag == "form" and said.get("method", "").lower() == "post":
            self._form = PostedForm(said.get("action", ""), "multipart" in said.get("enctype", ""))
            self.found.append(self._form)
        elif self._form is not None and tag == "option" and self._form.controls:
            self._form.controls[-1].options.append(said.get("value", ""))
            if "selected" in said:
                self._form.controls[-1].value = said.get("value", "")
        elif self._form is not None and said.get("name"):
            self._add(self._form, tag, said)

    def _add(self, form: PostedForm, tag: str, said: dict[str, str]) -> None:
        kind, name, value = said.get("type", ""), said["name"], said.get("value", "")
        if tag == "select":
            form.controls.append(Control(name, "select"))
        elif tag == "textarea":
            self._text = Control(name, "typed")
            form.controls.append(self._text)
        elif tag == "button":
            form.controls.append(Control(name, "button", value))
        elif tag == "input":
            kinds = {"password": "secret", "hidden": "hidden", "radio": "box", "checkbox": "box", "file": "file"}
            form.controls.append(Control(name, kinds.get(kind, "typed"), value, ["checked"] if "checked" in said else []))

    def handle_data(self, data: str) -> None:
        """Read what stands in a field of several lines."""
        if self._text is not None:
            self._text.value += data

    def handle_endtag(self, tag: str) -> None:
        """End a form or a field."""
        if tag == "form":
            self._form = None
        elif tag == "textarea":
            self._text = None


def forms_of(page: str) -> list[PostedForm]:
    """Return the forms of a page that are posted, without those around every page."""
    reader = _Forms()
    reader.feed(page)
    return [form for form in reader.found if form.action.partition("?")[0] not in OF_THE_FRAME]
