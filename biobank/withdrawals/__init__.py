"""Treatment withdrawals: request, approval, pick, issue, bedside, administration, outcome.

Not here: what custody allows at all (`custody/legality.py`).
"""
