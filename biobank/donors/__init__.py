"""Donors: who a person is (in the vault only), consents, identification, wristbands, retention, erasure.

Not here: what was taken from them (`specimens/`).
"""
