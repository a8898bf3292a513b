"""The example bank of `biobank demo`: people, places and three years of records, all made through the ledger.

Not here: anything that a real bank needs.
"""
