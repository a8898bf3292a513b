"""Quality: holds as people use them, decisions, disposal, deviations, attachments, look-back, recall.

Not here: what a hold blocks (`custody/legality.py`).
"""
