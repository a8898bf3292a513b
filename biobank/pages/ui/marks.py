"""Icons and chips as markup: the same for templates (as `icon` and `chip`) and for what is written without one."""

from functools import cache

from markupsafe import Markup, escape

from biobank.foundation.terms import look_of, words
from biobank.pages.ui.assets import STATIC


def icon(name: str, label: str | None = None) -> Markup:
    """Write a symbol of `icons.svg`; without a `label` it is decoration."""
    return _drawn(name, f'role="img" aria-label="{escape(label)}"') if label else _decoration(name)


@cache
def _decoration(name: str) -> Markup:
    return _drawn(name, 'aria-hidden="true"')


def _drawn(name: str, said: str) -> Markup:
    use = f'<use href="{STATIC.url("icons.svg")}#{escape(name)}"/>'
    return Markup(f'<svg class="icon" {said} focusable="false">{use}</svg>')  # noqa: S704 - every value is escaped


def chip(word: str, text: str | None = None, tone: str | None = None, symbol: str | None = None) -> Markup:
    """Write a status: icon, word and colour. `text` replaces the word, `tone` and `symbol` the look."""
    look = look_of(word)
    said = escape(text or words(word))
    return Markup(f'<span class="chip {escape(tone or look.tone)}">{icon(symbol or look.icon)}<span>{said}</span></span>')  # noqa: S704 - as above
