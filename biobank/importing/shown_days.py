"""Whether the text that people saw of a date shows its day, or only a month and a year. Pure."""

import re
from datetime import date

_CLOCK = re.compile(r"\d{1,2}:\d{2}(?::\d{2})?(?:[.,]\d+)?")
_WORD = re.compile(r"[^\W\d_]{3,}|\b(?:I{1,3}|IV|VI{0,3}|IX|XI{0,2})\b")
"""A month in letters, or in Roman numerals."""
_NO_MONTH = re.compile(r"week|woche|quart|semest|semain|trimest", re.I)


def shows_day(text: str, day: date) -> bool:
    """Say whether a shown text has a part for the day beside those for the month and the year.

    A part that can be the day as well as the year (`03/20` of 20 March 2020) shows no day.
    """
    bare = _CLOCK.sub(" ", text)
    parts = [int(part) for part in re.findall(r"\d+", bare)]
    in_words = _WORD.search(bare) is not None and _NO_MONTH.search(bare) is None
    return any(part == day.day and _is_day(day, parts[:at] + parts[at + 1 :], in_words=in_words) for at, part in enumerate(parts))


def _is_day(day: date, others: list[int], *, in_words: bool) -> bool:
    """Say whether a number that equals the day can be nothing else, beside the other numbers of the text."""
    if not in_words:
        if day.month not in others:
            return False
        others = others.copy()
        others.remove(day.month)
    return day.day != day.year % 100 or any(other in (day.year, day.year % 100) for other in others)
