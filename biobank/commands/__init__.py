"""The verbs of the `biobank` command, a file per subject; `biobank/cli.py` puts them together.

Verbs import what they need when they run: the parent of a running bank and its sealer need little of it, and a bank should be
back seconds after a power cut.
"""
