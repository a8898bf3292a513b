"""Specimens: materials, processes, kits, harvests, runs, lots, lineage, counts of viability.

Not here: where a specimen is and in which state (`custody/`).
"""
