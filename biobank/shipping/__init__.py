"""Shipments and hand-overs: who gives, who takes, what was packed and what arrived.

Not here: who holds a specimen; that stands in custody alone.
"""
