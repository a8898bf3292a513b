"""Custody: states, events, legality, the ledger that alone writes, rebuilding, corrections, the scan path.

Not here: any rule about one feature's subject; features register their kinds of event and call the ledger.
"""
