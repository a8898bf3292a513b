"""Bringing an old bank's spreadsheets in: read, judge every row, tell what cannot be taken and why, import the rest.

Not here: rules about what a specimen is or where it may stand; the importer asks them.
"""
