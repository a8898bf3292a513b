"""The custody log as others get it: lists, CSV, JSON Lines, bundles, proofs, tiles, and the keys of the log.

Not here: how the log is sealed (`transparency/`).
"""
