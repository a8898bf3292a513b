"""What everything stands on: the clock, codes, refusals, settings, the database, the terms people read, batching.

Knows no feature and no other package of the bank.
"""
