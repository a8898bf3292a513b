"""The verbs of the `biobank` command, a file per subject; `biobank/cli.py` puts them together.

A verb reads its arguments and calls the package that does the work. No rule lives here.
"""
