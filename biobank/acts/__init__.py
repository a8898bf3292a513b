"""One request is one act: who, when, with which key, in one transaction, and what is kept when the answer is no.

Here: the act, the bank of a process, idempotency, attempts, signatures, acts that take two people. Not here: what an act does.
"""
