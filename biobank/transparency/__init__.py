"""The custody log as a transparency log: canonical bytes, Merkle tree, signed notes, receipts and the sealer.

Knows no custody: entries are bytes with a hash.
"""
