"""Bringing an old bank's spreadsheets in: read, judge every row, tell what cannot be taken and why, import the rest.

Nothing is guessed. What a cell means is what the profile says it means (`profile.py`); a row whose meaning is open is left out,
with a sentence that says what to settle in the file.
"""
